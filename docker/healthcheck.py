"""Health check of a container with a worker: status 0 if its /healthz answers 200, else 1."""  # noqa: INP001 - a script

import os
import ssl
import sys
import urllib.request

_TIMEOUT_S = 4.0


def main() -> int:
    """Ask the worker on loopback, on the port of its settings."""
    scheme = "https" if os.environ.get("OTT_WEB_TLS_CERT") else "http"
    url = f"{scheme}://127.0.0.1:{os.environ.get('OTT_WEB_PORT', '8000')}/healthz"
    # The certificate names the worker's host and not loopback. Nothing secret is sent or believed here.
    context = ssl._create_unverified_context()  # noqa: S323, SLF001 - as above
    # A proxy in the environment is not for loopback.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(url, timeout=_TIMEOUT_S):
            return 0
    except OSError as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
