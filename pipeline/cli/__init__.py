"""The command `ott`: registers the commands, and turns errors into messages and exit statuses.

Every command has a module of its own. It imports heavy modules inside of its function, so that `ott --help` and shell
completion answer at once.
"""

from __future__ import annotations

import sys

from pipeline.stopping import leave_on_sigterm

if sys.argv[1:2] == ["worker"]:
    # This comes before all imports that take time.
    leave_on_sigterm()

import importlib
import traceback
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import __version__
from pipeline.errors import OttError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# The commands in the order of `ott --help`, each with its example if its module does not give one. A module has a
# function with the name of the command, or, for a command with subcommands, a Typer named `app`.
COMMANDS = {
    "worker": "ott worker --bootstrap-servers 127.0.0.1:9092 --web-port 0",
    "generate": "ott generate --events 1000 --rate 100",
    "judge": "ott judge events.jsonl --failed failed.jsonl",
    "replay": "ott replay --from 2026-11-28T00:00:00Z --to 2026-11-29T00:00:00Z --output day.jsonl.gz",
    "diff": "ott diff topic:flagged-events day.jsonl.gz --from 2026-11-28T00:00:00Z --to 2026-11-29T00:00:00Z",
    "explain": "ott explain 6c9ac0314f0e4a7b9d1d2c3b4a5f6071",
    "tail": "ott tail --level HIGH --rule privacy",
    "bench": "ott bench --events 200000 --users 1000 --json",
    "broker": None,
    "rules": None,
    "failed": None,
    "model": None,
    "topics": None,
    "kafka": None,
    "user": None,
}

EXIT_DONE = 0
EXIT_USAGE = 2
EXIT_MISSING = 3
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h; 1 would be an answer
EXIT_INTERRUPTED = 130


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ott {__version__}")
        raise typer.Exit


def _frame(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (allowed anywhere on the line).")
    ] = False,
) -> None:
    """Risk and compliance judgement on OTT and Smart TV telemetry."""


def build_app() -> typer.Typer:
    """Make the whole command line."""
    app = typer.Typer(name="ott", rich_markup_mode=None, no_args_is_help=True)
    app.callback(epilog="Example: ott worker --bootstrap-servers 127.0.0.1:9092")(_frame)
    for name, example in COMMANDS.items():
        module = importlib.import_module(f"pipeline.cli.{name}")
        group = getattr(module, "app", None)
        if isinstance(group, typer.Typer):
            app.add_typer(group, name=name, no_args_is_help=True)
        else:
            app.command(name, epilog=example and f"Example: {example}")(getattr(module, name))
    return app


def _take_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Split off `--debug`, which may stand anywhere before a `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [argument for argument in arguments[:end] if argument != "--debug"]
    return [*kept, *arguments[end:]], len(kept) < end


def _explain_usage(error: typer.TyperException) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return message if context is None else f"{message.rstrip('.')}; see: {context.command_path} --help"


def run(arguments: Sequence[str], build: Callable[[], typer.Typer] = build_app, name: str = "ott") -> int:
    """Run one command line and return its exit status. Messages go to standard error."""
    arguments, debug = _take_debug(arguments)
    try:
        result = typer.main.get_command(build()).main(arguments, prog_name=name, standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except SystemExit as error:
        # If the reader of the output went away, Typer ends with status 1, which would be an answer.
        if isinstance(error.__context__, BrokenPipeError):
            return EXIT_MISSING
        raise
    except Exception as error:  # noqa: BLE001 - a person gets a sentence instead of a traceback
        if debug:
            traceback.print_exception(error)
        message, status = _explain(error)
        sys.stderr.write(f"{message}\n")
        return status
    return result if isinstance(result, int) else EXIT_DONE


def _explain(error: Exception) -> tuple[str, int]:
    """The message about an error, and the exit status."""
    match error:
        case OttError():
            return f"ott: {error.message}", error.exit_status
        case typer.TyperException() if type(error).__name__ == "NoArgsIsHelpError":
            return error.format_message(), EXIT_USAGE
        case typer.TyperException():
            status = EXIT_USAGE if error.exit_code == EXIT_USAGE else EXIT_MISSING
            return f"ott: {_explain_usage(error)}", status
        case OSError():
            thing = error.filename if error.filename is not None else "the system"
            return f"ott: {thing}: {error.strerror or error}", EXIT_MISSING
        case _:
            what = f"{type(error).__name__}: {error}"
            return f"ott: a bug: {what}; run it again with --debug and report the traceback", EXIT_BUG


def main() -> None:
    """The entry point of `ott`."""
    sys.exit(run(sys.argv[1:]))
