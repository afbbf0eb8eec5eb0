"""`ott judge` as a person or a pipe uses it."""

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest
import zstandard

from tests.pipeline.conftest import clean_environment
from tests.pipeline.events.messages import encode, encoded

DELETE = {
    "schema": "privacy-request/1",
    "request_id": "r",
    "user_id": "user-1",
    "type": "delete",
    "timestamp": "2026-01-31T00:00:00Z",
}
LINES = [
    encoded(is_eu=False),
    b"",
    encode(DELETE),
    encoded(event_id="event-2"),
    encoded(event_id="event-2"),
]
TEXT = b"\n".join(LINES).decode() + "\n"
ACCOUNTS = {"read": 4, "judged": 2, "duplicate": 1, "failed": 1, "flagged": 2, "requests": 1}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_verdicts_go_to_standard_output_failed_events_and_accounts_to_files(ott, file, tmp_path):
    done = ott("judge", str(file), "--failed", "failed.jsonl", "--accounts", "accounts.json")
    assert done.returncode == 0
    assert [json.loads(line)["event_id"] for line in done.stdout.splitlines()] == ["event-1", "event-2"]
    (failed,) = (tmp_path / "failed.jsonl").read_text().splitlines()
    assert json.loads(failed)["reason"] == "not_json"
    assert json.loads((tmp_path / "accounts.json").read_text()) == ACCOUNTS
    assert "read 4 records: 2 judged (2 flagged), 1 duplicates, 1 failed; 1 privacy requests" in done.stderr


@pytest.mark.parametrize("options", [(), ("--no-subjects",)])
def test_standard_input_gives_the_same_as_the_file(ott, file, options):
    from_file = ott("judge", str(file), *options)
    from_pipe = ott("judge", "-", *options, stdin=TEXT)
    assert from_pipe.returncode == 0
    assert (from_pipe.stdout, from_pipe.stderr) == (from_file.stdout, from_file.stderr)


@pytest.mark.slow
@pytest.mark.essential
def test_without_subjects_each_verdict_comes_at_once(ott_command, tmp_path):
    with subprocess.Popen(
        [*ott_command, "judge", "-", "--no-subjects"],
        cwd=tmp_path,
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        child.stdin.write(LINES[0] + b"\n")
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["event_id"] == "event-1"
        child.stdin.close()
        assert child.wait(60) == 0


@pytest.mark.slow
@pytest.mark.essential
def test_a_named_pipe_is_a_file_too(ott_command, file, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [*ott_command, "judge", str(pipe)], cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE
    ) as child:
        pipe.write_bytes(file.read_bytes())
        assert len(child.stdout.read().splitlines()) == 2
        assert child.wait(60) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["judge"], 2, "FILE"),
        (["judge", "missing.jsonl"], 3, "missing.jsonl"),
        (["judge", "."], 3, ".: Is a directory"),
        (["judge", "events.jsonl", "--failed", "no/such/place"], 3, "no/such/place"),
        (["judge", "events.jsonl", "--accounts", "no/such/place"], 3, "no/such/place"),
        (["judge", "events.jsonl", "--failed", "./events.jsonl"], 2, "--failed events.jsonl is the same"),
        (["judge", "events.jsonl", "--accounts", "events.jsonl"], 2, "--accounts events.jsonl is the same"),
        (["judge", "events.jsonl", "--failed", "x", "--accounts", "x"], 2, "same file as --failed"),
        (["judge", "events.jsonl", "--rules", "missing.toml"], 3, "missing.toml"),
        (["judge", "events.jsonl", "--rules", "events.jsonl"], 2, "events.jsonl"),
        (["judge", "events.jsonl", "--what"], 2, "--what"),
    ],
)
def test_what_goes_wrong_is_told_in_one_line(ott, file, arguments, status, words):
    done = ott(*arguments)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert file.read_text() == TEXT


@pytest.mark.parametrize("ending", ["gz", "zst"])
@pytest.mark.parametrize("options", [(), ("--no-subjects",)])
def test_a_compressed_file_gives_the_same(ott, file, tmp_path, ending, options):
    compress = gzip.compress if ending == "gz" else zstandard.compress
    path = tmp_path / f"events.jsonl.{ending}"
    path.write_bytes(compress(TEXT.encode()))
    assert ott("judge", str(path), *options).stdout == ott("judge", str(file), *options).stdout != ""
    path.write_bytes(path.read_bytes()[:-5])
    done = ott("judge", str(path), *options)
    assert done.returncode == 3
    assert f"ott: {path} cannot be read" in done.stderr


def test_outputs_may_both_go_nowhere(ott, file):
    done = ott("judge", str(file), "--failed", "/dev/null", "--accounts", "/dev/null")
    assert done.returncode == 0


def test_a_rule_set_from_a_file(ott, file, tmp_path):
    (tmp_path / "rules.toml").write_text(
        'version = "mine"\n[rules."privacy.jurisdiction_mismatch"]\nmode = "off"\n'
    )
    done = ott("judge", str(file), "--rules", "rules.toml")
    (verdict,) = map(json.loads, done.stdout.splitlines())
    assert (verdict["event_id"], verdict["ruleset_version"]) == ("event-2", "mine")


def test_pseudonyms(ott, file):
    done = ott("judge", str(file), OTT_PSEUDONYM_KEY="a key of some length for the test")
    assert done.returncode == 0
    assert "user-1" not in done.stdout


def test_the_answer_does_not_depend_on_how_often_it_is_asked(ott, file):
    assert ott("judge", str(file)).stdout == ott("judge", str(file)).stdout


def test_a_file_of_which_nothing_can_be_judged_is_told_with_the_first_reason(ott, tmp_path):
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text("no json\n{}\n")
    done = ott("judge", str(wrong))
    assert done.returncode == 1
    assert f"nothing in {wrong} could be judged; first: " in done.stderr
    wrong.write_text("")
    assert ott("judge", str(wrong)).returncode == 0


def test_a_full_disk_names_the_file(ott, file):
    for option in ("--accounts", "--failed"):
        done = ott("judge", str(file), option, "/dev/full")
        assert (done.returncode, "/dev/full cannot be written: No space left" in done.stderr) == (3, True)


@pytest.mark.slow
@pytest.mark.essential
@pytest.mark.parametrize(
    "arguments", [("judge", "events.jsonl"), ("generate", "--events", "5000", "--output", "-")]
)
def test_a_reader_of_verdicts_or_events_that_goes_away_ends_the_command_quietly(ott_command, file, arguments):
    with file.open("ab") as more:
        more.writelines(encoded(event_id=f"more-{number}", is_eu=False) + b"\n" for number in range(500))
    with subprocess.Popen(
        [*ott_command, *arguments],
        cwd=file.parent,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("judge", "events.jsonl"), "standard output"),
        (("generate", "--events", "50", "--output", "-"), "standard output"),
        (("generate", "--events", "50", "--output", "/dev/full"), "/dev/full"),
        (("generate", "--events", "50", "--output", "x.jsonl", "--labels", "/dev/full"), "/dev/full"),
    ],
)
@pytest.mark.usefixtures("file")
def test_a_full_disk_names_what_could_not_be_written(ott, arguments, named):
    done = ott(*arguments, stdout=Path("/dev/full"))
    message = f"ott: {named} cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (3, message)


@pytest.mark.slow
@pytest.mark.essential
def test_a_closed_standard_output_is_no_bug(ott_command, file):
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *ott_command, "judge", str(file)],
        env=clean_environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr.startswith(b"ott: standard output is closed; ")
