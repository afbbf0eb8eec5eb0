"""`ott broker`: the embedded broker in the foreground."""

from pathlib import Path
from typing import Annotated

import typer


def broker(
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 9092,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the broker's own output in this file.")
    ] = None,
) -> None:
    """Run the embedded, in-memory broker in the foreground until Ctrl-C or SIGTERM.

    For first steps and tests: what it holds is gone when it ends, and it has no transactions. kcat of
    Debian 12 (librdkafka 2.0) cannot read it ("ApiVersionRequest failed: Local: Read underflow"): use
    `ott tail`, or a real Kafka (`ott kafka start`).

    Example: ott broker --port 9092
    """
    import signal
    import sys
    import threading

    from pipeline.errors import MissingError
    from pipeline.lab.local.tansu import EmbeddedBroker

    asked_to_end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked_to_end.set())
    with EmbeddedBroker(port, log) as embedded:
        sys.stderr.write(
            f"ott: embedded broker on {embedded.bootstrap_servers} (process {embedded.pid});"
            " in memory, Ctrl-C ends it\n"
        )
        sys.stderr.flush()
        while not asked_to_end.wait(0.2):
            if embedded.exit_code is not None:
                raise MissingError(
                    f"the embedded broker on {embedded.bootstrap_servers} ended by itself with status"
                    f" {embedded.exit_code}; start it again with: ott broker --port {embedded.port}"
                )
