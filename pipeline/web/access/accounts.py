"""The accounts of the web views: those of the users file, and the two of the demo."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import MissingError, UsageError
from pipeline.web.access.passwords import ITERATIONS, hash_password, is_password, read_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

Role = Literal["analyst", "admin"]

DEMO_USERS: Final[Mapping[str, tuple[str, Role]]] = {
    "admin": ("admin123", "admin"),
    "analyst": ("analyst123", "analyst"),
}
"""Names, passwords and roles of the demo, which listens on loopback only. They exist in the demo only."""

_NAME: Final = r"^[A-Za-z0-9._@-]{1,100}$"
# Fewer than for a file, because the documentation shows these passwords. Enough that the time of a check does not
# reveal which names exist.
_DEMO_ITERATIONS: Final = 100_000


def _hash(text: str) -> str:
    read_hash(text)
    return text


class Account(BaseModel):
    """One user of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role
    password: Annotated[str, AfterValidator(_hash)]


class UsersFile(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: dict[Annotated[str, Field(pattern=_NAME)], Account] = {}


def read_users(path: Path) -> dict[str, Account]:
    """The users of a file.

    Raises:
        MissingError: the file cannot be read.
        UsageError: it is not a valid users file, or others can read it.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_bytes()
    except OSError as error:
        raise MissingError(
            f"the users file {path} cannot be read: {error.strerror}; make one with: ott user add NAME --role ROLE"
        ) from None
    if os.name == "posix" and mode & 0o077:
        raise UsageError(
            f"the users file {path} has mode {mode:o}: others can read or change it; mend it with: chmod 600 {path}"
        )
    try:
        return UsersFile.model_validate_json(text).users
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"the users file {path} is not valid: {place}: {first['msg']}") from None


def write_users(path: Path, users: Mapping[str, Account]) -> None:
    """Replace the file as a whole. Only its owner may read the new file.

    Raises:
        MissingError: it cannot be written.
    """
    text = UsersFile(users=dict(users)).model_dump_json(indent=2) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A temporary file is made with mode 600.
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError as error:
        raise MissingError(f"the users file {path} cannot be written: {error.strerror}") from None


def new_user(password: str, role: Role) -> Account:
    """A user with a hashed password."""
    return Account(role=role, password=hash_password(password))


@cache
def _demo_accounts() -> Mapping[str, Account]:
    """The users of the demo. Their hashes are the same in each worker, so a token of one is valid at the others."""
    return {
        name: Account(
            role=role,
            password=hash_password(password, _DEMO_ITERATIONS, hashlib.sha256(name.encode()).digest()[:16]),
        )
        for name, (password, role) in DEMO_USERS.items()
    }


class Accounts:
    """The users that may get a token. The file is read again when it has changed.

    Args:
        path: of the users file, if there is one.
        demo: whether the demo's users are there too.
    """

    def __init__(self, path: Path | None, *, demo: bool) -> None:
        self._path = path
        self._version: tuple[int, int, int] | None = None
        self._of_file: Mapping[str, Account] = {}
        self._of_demo = _demo_accounts() if demo else {}
        self._nobody = next(iter(self._of_demo.values()), None) or Account(
            role="analyst", password=hash_password(os.urandom(16).hex())
        )
        if path is not None:
            self._refresh(path)

    @property
    def exist(self) -> bool:
        """Whether anybody can sign in: there is a users file, or this is the demo."""
        return self._path is not None or bool(self._of_demo)

    def find(self, name: str) -> Account | None:
        """A user as of now; None if the user does not exist, or no longer exists."""
        if self._path is not None:
            self._refresh(self._path)
        return self._of_file.get(name) or self._of_demo.get(name)

    def role_of(self, name: str) -> Role | None:
        """The role that a user has now; None if the user does not exist, or no longer exists."""
        user = self.find(name)
        return None if user is None else user.role

    def check(self, name: str, password: str) -> Role | None:
        """The role of a user with this password; None for a wrong name or password. Both take the same time.

        A check takes a tenth of a second or more, so call it in a thread.
        """
        user = self.find(name)
        fits = is_password(password, (user or self._nobody).password)
        return user.role if fits and user is not None else None

    @staticmethod
    def _strong(path: Path) -> dict[str, Account]:
        """The users of the file, if all of their hashes are strong enough.

        Raises:
            MissingError: it cannot be read.
            UsageError: it is not a users file, or one of its hashes can be guessed too fast.
        """
        users = read_users(path)
        for name, user in users.items():
            rounds = read_hash(user.password)[0]
            if rounds < ITERATIONS:
                raise UsageError(
                    f"the users file {path} has a password hash of {rounds} rounds for {name}, and {ITERATIONS} are "
                    f"asked for; set the password again with: ott user add {name} --role {user.role} --replace "
                    f"--users-file {path}"
                )
        return users

    def _refresh(self, path: Path) -> None:
        """Read the file if it has changed.

        Raises:
            MissingError: it cannot be read. Then nobody gets in, because somebody may have been removed.
            UsageError: it is not a users file.
        """
        try:
            found = path.stat()
        except OSError:
            self._version, self._of_file = None, {}
            read_users(path)
            return
        version = (found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        if version != self._version:
            self._of_file = {}
            self._of_file = self._strong(path)
            self._version = version
