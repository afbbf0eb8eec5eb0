"""`ott user`: adds, lists and removes the accounts of the web views."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import AsJson, Config

app = typer.Typer(help="Add, list and remove the users of the web views.")

UsersFile = Annotated[Path | None, typer.Option("--users-file", metavar="FILE", help="The users file.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, '.', '_', '@', '-'.")]

_SHORTEST = 12


@app.command(epilog="Example: ott user add ana --role analyst --users-file users.json")
def add(
    name: Name,
    role: Annotated[str, typer.Option(metavar="analyst|admin", help="analyst reads; admin acts, too.")],
    users_file: UsersFile = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change the role and password of one that exists.")
    ] = False,
    config: Config = None,
) -> None:
    """Add a user; the password is asked for, or read from standard input."""
    from pydantic import ValidationError

    from pipeline.errors import RefusedError, UsageError
    from pipeline.web.access.accounts import UsersFile as Content
    from pipeline.web.access.accounts import new_user, read_users, write_users

    path = _path(users_file, config)
    if role not in {"analyst", "admin"}:
        raise UsageError(f"--role {role} is not one of analyst, admin")
    users = read_users(path) if path.exists() else {}
    if name in users and not replace:
        raise RefusedError(f"{path} has a user {name}; change it with --replace")
    password = _password()
    if len(password) < _SHORTEST:
        raise UsageError(f"the password has {len(password)} characters; at least {_SHORTEST} are asked for")
    users[name] = new_user(password, "admin" if role == "admin" else "analyst")
    try:
        Content(users=users)
    except ValidationError:
        raise UsageError(f"the name {name!r} is not 1 to 100 letters, digits, '.', '_', '@' or '-'") from None
    write_users(path, users)
    sys.stderr.write(f"ott: {name} ({role}) is in {path}; workers see it at once\n")


@app.command("list", epilog="Example: ott user list --json")
def list_(users_file: UsersFile = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the users with their roles."""
    from pipeline.web.access.accounts import read_users
    from pipeline.writing import print_json

    users = read_users(_path(users_file, config))
    if as_json:
        print_json([{"name": name, "role": user.role} for name, user in sorted(users.items())])
        return
    for name, user in sorted(users.items()):
        typer.echo(f"{name}  {user.role}")


@app.command(epilog="Example: ott user remove ana")
def remove(name: Name, users_file: UsersFile = None, config: Config = None) -> None:
    """Remove a user, whose tokens are void at once."""
    from pipeline.errors import RefusedError
    from pipeline.web.access.accounts import read_users, write_users

    path = _path(users_file, config)
    users = read_users(path)
    if name not in users:
        raise RefusedError(f"{path} has no user {name}")
    del users[name]
    write_users(path, users)
    sys.stderr.write(f"ott: {name} is not in {path} any more\n")


def _path(given: Path | None, config: Path | None) -> Path:
    from pipeline.errors import UsageError
    from pipeline.settings.schema import load_settings

    path = load_settings({"users_file": given, "config": config}).users_file
    if path is None:
        raise UsageError("no users file is named; use --users-file FILE or OTT_USERS_FILE")
    return path


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    entered: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return entered
