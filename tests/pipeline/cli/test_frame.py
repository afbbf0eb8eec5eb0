"""What holds for every command: help, messages, exit statuses."""

import os
import re
import subprocess
import sys

import pytest
import typer

from pipeline import __version__
from pipeline.cli import COMMANDS, build_app, run
from pipeline.errors import MissingError, OttError, RefusedError, UsageError


def walk(command, path=()):
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))


EVERY_COMMAND = list(walk(typer.main.get_command(build_app())))


@pytest.mark.parametrize(
    ("path", "command"), EVERY_COMMAND, ids=[" ".join(p) or "ott" for p, _ in EVERY_COMMAND]
)
def test_every_help_says_what_the_command_does_and_gives_an_example(path, command, capsys):
    assert run([*path, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: ott")
    assert command.help
    if not getattr(command, "commands", None) or not path:
        assert re.search(r"Example: ott \w+", " ".join(shown.split()))


def test_help_answers_without_the_heavy_libraries():
    code = (
        "import sys; from pipeline.cli import run; run(['--help']);"
        "print(sorted({'pydantic', 'aiokafka', 'faust', 'rich', 'numpy', 'msgspec'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
@pytest.mark.essential
def test_the_installed_command_is_this_one(ott):
    done = ott("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"ott {__version__}\n", "")


def test_without_a_command_the_help_goes_to_standard_error(ott):
    done = ott()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: ott")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["wroker"], "No such command 'wroker'. Did you mean 'worker', 'broker'?; see: ott --help"),
        (["worker", "--web-prot", "1"], "No such option: --web-prot"),
        (["worker", "surplus"], "Got unexpected extra argument(s) (surplus); see: ott worker --help"),
        (["worker", "--web-port"], "Option '--web-port' requires an argument."),
        (["worker", "--web-port", "x"], "Invalid value for '--web-port'"),
        (["worker", "--web-port", "70000"], "web_port = '70000' (flag --web-port) is not allowed"),
        (["worker", "--demo", "--web-host", "0.0.0.0"], "web_host '0.0.0.0': the demo"),
        (["topics", "chek"], "No such command 'chek'. Did you mean 'check'?; see: ott topics --help"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(ott, arguments, message):
    done = ott(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ott: {message}")


def test_a_wrong_variable_is_one_sentence_and_status_2(ott):
    done = ott("worker", "--show-settings", OTT_WEB_PROT="1")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == "ott: environment variable OTT_WEB_PROT is unknown; the nearest known one is OTT_WEB_PORT\n"
    )


def test_a_settings_file_that_is_not_there_is_status_3(ott):
    done = ott("worker", "--config", "nope.toml", "--show-settings")
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(r"ott: settings file \S*nope\.toml: No such file or directory; name another .*", line)


def test_show_settings_prints_each_with_its_origin_and_masks_secrets(ott):
    done = ott("worker", "--show-settings", "--web-port", "0", OTT_JWT_SECRET="x" * 32, OTT_APP_ID="mine")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {re.split(r"\s{2,}", line)[0]: re.split(r"\s{2,}", line)[1:] for line in done.stdout.splitlines()}
    assert rows["web_port"] == ["0", "flag --web-port"]
    assert rows["app_id"] == ["mine", "environment OTT_APP_ID"]
    assert rows["jwt_secret"] == ["********", "environment OTT_JWT_SECRET"]
    assert rows["partitions"] == ["8", "default"]


def test_the_traceback_is_for_debug_wherever_it_stands(ott):
    for arguments in (["--debug", "worker", "--config", "nope"], ["worker", "--config", "nope", "--debug"]):
        done = ott(*arguments)
        assert done.returncode == 3
        assert "Traceback" in done.stderr
        assert done.stderr.splitlines()[-1].startswith("ott: settings file")


def only(function):
    """A command line of one command that does `function`."""

    def build():
        app = typer.Typer(rich_markup_mode=None, add_completion=False)
        app.command("only")(function)
        return app

    return build


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (RefusedError("no"), 1, "no"),
        (UsageError("wrong"), 2, "wrong"),
        (MissingError("gone"), 3, "gone"),
        (FileNotFoundError(2, "No such file or directory", "f.json"), 3, "f.json: No such file or directory"),
        (PermissionError(13, "Permission denied", "f.json"), 3, "f.json: Permission denied"),
        (ZeroDivisionError("oh"), 70, "a bug: ZeroDivisionError: oh; run it again with --debug"),
    ],
)
def test_an_error_is_one_sentence_and_its_status(capsys, error, status, message):
    def fail():
        raise error

    assert run([], only(fail)) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ott: {message}")


def test_ctrl_c_is_130_without_a_word(capsys):
    def interrupted():
        raise KeyboardInterrupt

    assert run([], only(interrupted)) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (1, 1)])
def test_what_a_command_returns_is_the_status(returned, status):
    assert run([], only(lambda: returned)) == status


@pytest.mark.slow
@pytest.mark.essential
def test_a_reader_that_went_away_is_no_traceback(ott_command, tmp_path):
    with subprocess.Popen(
        [*ott_command, "worker", "--show-settings"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 3


def test_every_error_of_ours_has_a_status_of_the_contract():
    assert {
        kind.exit_status for kind in OttError.__subclasses__() if kind.__module__ == "pipeline.errors"
    } == {1, 2, 3}


def test_completion_knows_the_commands(ott):
    done = ott(_OTT_COMPLETE="complete_bash", COMP_WORDS="ott to", COMP_CWORD="1")
    assert done.stdout.split() == ["topics"]
    assert done.returncode == 0


def test_every_listed_command_is_there():
    assert [name for (name,) in (path for path, _ in EVERY_COMMAND if len(path) == 1)] == list(COMMANDS)
    assert os.path.exists(os.path.join(os.path.dirname(sys.executable), "ott"))  # noqa: PTH110, PTH118, PTH120
