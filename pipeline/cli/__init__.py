"""The command `ott`: registration of the commands, errors as messages, exit statuses.

Every command lives in a module of its own, which imports what is heavy inside its function, so that
`ott --help` and shell completion answer at once.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import __version__
from pipeline.errors import OttError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# In the order of `ott --help`. A module offers either a function of the command's name or, for a command
# with subcommands, a Typer named `app`.
COMMANDS = ("worker", "generate", "judge", "tail", "topics", "broker", "kafka")

EXIT_DONE = 0
EXIT_USAGE = 2
EXIT_MISSING = 3
EXIT_BUG = 70  # EX_SOFTWARE: kept apart from 1, which is an answer
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
    """The whole command line as one Typer."""
    app = typer.Typer(name="ott", rich_markup_mode=None, no_args_is_help=True)
    app.callback(epilog="Example: ott worker --bootstrap-servers 127.0.0.1:9092")(_frame)
    for name in COMMANDS:
        if importlib.util.find_spec(f"pipeline.cli.{name}") is None:
            continue
        module = importlib.import_module(f"pipeline.cli.{name}")
        group = getattr(module, "app", None)
        if isinstance(group, typer.Typer):
            app.add_typer(group, name=name, no_args_is_help=True)
        else:
            app.command(name)(getattr(module, name))
    return app


def _take_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Splits `--debug` off, wherever it stands before a `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [argument for argument in arguments[:end] if argument != "--debug"]
    return [*kept, *arguments[end:]], len(kept) < end


def _complain(message: str) -> None:
    sys.stderr.write(f"ott: {message}\n")


def _explain_usage(error: typer.TyperException) -> str:
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return message if context is None else f"{message.rstrip('.')}; see: {context.command_path} --help"


def _silence_stdout() -> None:
    """Keeps the interpreter from failing again when it flushes a pipe that nobody reads any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(arguments: Sequence[str], build: Callable[[], typer.Typer] = build_app, name: str = "ott") -> int:
    """Runs one command line and returns its exit status; messages go to standard error."""
    arguments, debug = _take_debug(arguments)
    failure: Exception
    try:
        result = typer.main.get_command(build()).main(arguments, prog_name=name, standalone_mode=False)
        sys.stdout.flush()
    except OttError as error:
        failure, message, status = error, error.message, error.exit_status
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(error.format_message() + "\n")
            return EXIT_USAGE
        failure, message = error, _explain_usage(error)
        status = EXIT_USAGE if error.exit_code == EXIT_USAGE else EXIT_MISSING
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_MISSING
    except OSError as error:
        thing = error.filename if error.filename is not None else "the system"
        failure, message, status = error, f"{thing}: {error.strerror or error}", EXIT_MISSING
    except Exception as error:  # noqa: BLE001 - the last line of defence: a person gets a sentence, not a traceback
        failure, status = error, EXIT_BUG
        message = (
            f"a bug: {type(error).__name__}: {error}; run it again with --debug and report the traceback"
        )
    else:
        return result if isinstance(result, int) else EXIT_DONE
    if debug:
        traceback.print_exception(failure)
    _complain(message)
    return status


def main() -> None:
    """The entry point of `ott`."""
    sys.exit(run(sys.argv[1:]))
