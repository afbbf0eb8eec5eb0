"""Makes a secret and two accounts at the first start of the demo, and prints their passwords once."""  # noqa: INP001 - a script

import os
import secrets
import sys
from pathlib import Path

from pipeline.web.access.accounts import new_user, write_users


def main(directory: Path) -> int:
    """Make the files `jwt-secret` and `users.json` in a directory, unless they exist.

    The services of the demo share the directory, which is a volume. Existing files are not changed, so this may run at
    each start.
    """
    secret, users = directory / "jwt-secret", directory / "users.json"
    if not secret.exists():
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    if users.exists():
        print(f"the accounts are those of {users}; their passwords were printed when it was made")  # noqa: T201
        return 0
    passwords = {name: secrets.token_urlsafe(15) for name in ("admin", "analyst")}
    write_users(
        users,
        {
            "admin": new_user(passwords["admin"], "admin"),
            "analyst": new_user(passwords["analyst"], "analyst"),
        },
    )
    print("sign in at http://127.0.0.1:8000 with one of these; they are not printed again:")  # noqa: T201
    for name, password in passwords.items():
        print(f"  {name}  {password}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
