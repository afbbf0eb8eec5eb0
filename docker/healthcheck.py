"""Whether this container's worker is up: exit 0 if its /healthz answers 200, else 1."""  # noqa: INP001 - a script

import os
import sys
import urllib.request

_TIMEOUT_S = 4.0


def main() -> int:
    """Ask the worker on loopback, on the port of its settings."""
    url = f"http://127.0.0.1:{os.environ.get('OTT_WEB_PORT', '8000')}/healthz"
    # No proxy: the environment may name one for the outside.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_TIMEOUT_S):
            return 0
    except OSError as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
