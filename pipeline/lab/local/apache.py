"""A real Apache Kafka (KRaft, combined nodes) on loopback, with one node or three. Nodes are stopped by their pids."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock

from pipeline.delivery.private_files import make_private, private_umask
from pipeline.errors import MissingError, UsageError
from pipeline.lab.local.apache_files import (
    ClusterState,
    Node,
    is_own_file,
    log_path,
    logging_path,
    properties_path,
    read_state,
    write_configuration,
    write_state,
)
from pipeline.lab.local.kafka_jars import java_available, java_command, kafka_class_path
from pipeline.lab.local.ports import HOST, free_ports, is_free, kafka_answers
from pipeline.lab.local.processes import command_line, wait_until
from pipeline.leash import Leashed, last_lines

__all__ = ["KafkaCluster", "NodeStatus", "java_available"]

_SIZES = (1, 3)
_START_TIMEOUT_S = 120.0
# Combined nodes that stop together lose their quorum, and would wait minutes for it.
_STOP_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The state of a node.

    Attributes:
        id: 1, 2 or 3.
        port: Clients' port on 127.0.0.1.
        pid: Process id, None when it does not run.
        answers: Whether it answers Kafka requests.
    """

    id: int
    port: int
    pid: int | None
    answers: bool


class KafkaCluster:
    """One or three Kafka nodes whose data, logs and state file live in one directory.

    After `start` the nodes go on running when this process ends, and any process finds them again by the
    directory (`KafkaCluster.at`). As a context manager they end with the block, or with this process.
    """

    def __init__(
        self,
        nodes: int | None = None,
        port: int = 0,
        directory: Path | None = None,
        *,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a cluster; nothing runs yet.

        Args:
            nodes: 1 or 3; None takes what the directory holds, or 1.
            port: Port of the first node, the others take the next ones; 0 takes what the directory's
                cluster has, or any free ones.
            directory: Its directory; None takes a temporary one that is deleted after the ``with`` block.
            settings: Broker settings beside or instead of the usual ones; for a directory without a cluster.

        Raises:
            UsageError: Neither one node nor three, or the directory holds a cluster that differs.
        """
        if nodes not in (None, *_SIZES):
            raise UsageError(f"a local Kafka has 1 node or 3, not {nodes}")
        self._is_temporary = directory is None
        self.directory = (directory or Path(tempfile.mkdtemp(prefix="ott-kafka-"))).absolute()
        self._settings = dict(settings or {})
        # Nodes of a `with` block cannot outlive this process: each has its leash.
        self._is_leashed = False
        self._leashes: dict[int, Leashed] = {}
        # Nodes that this process started and that may outlive it. They are kept to collect their exit status.
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        known = read_state(self.directory)
        self._is_new = known is None
        self._state = known or _new_state(nodes or 1, port)
        size, first = len(self._state.nodes), self._state.nodes[0].port
        if nodes not in (None, size):
            raise UsageError(
                f"{self.directory} holds a Kafka of {size} node(s), not {nodes}; use another --dir"
            )
        if port not in (0, first):
            raise UsageError(f"{self.directory} holds a Kafka on port {first}, not {port}; use another --dir")

    @classmethod
    def at(cls, directory: Path) -> Self:
        """The cluster that a directory holds.

        Raises:
            MissingError: It holds none.
        """
        if read_state(directory) is None:
            raise MissingError(
                f"there is no Kafka in {directory}; ott kafka start --dir {directory} makes one"
            )
        return cls(directory=directory)

    @property
    def bootstrap_servers(self) -> str:
        """Every node's address, comma separated."""
        return ",".join(f"{HOST}:{node.port}" for node in self._state.nodes)

    @property
    def node_ids(self) -> tuple[int, ...]:
        """(1,) or (1, 2, 3)."""
        return tuple(node.id for node in self._state.nodes)

    def pid(self, node: int) -> int | None:
        """A node's process id, None when it does not run."""
        pid = self._node(node).pid
        return pid if pid is not None and self._is_ours(node, pid) else None

    def status(self) -> list[NodeStatus]:
        """The state of every node."""
        found = []
        for node in self._state.nodes:
            pid = self.pid(node.id)
            found.append(NodeStatus(node.id, node.port, pid, pid is not None and kafka_answers(node.port)))
        return found

    def log(self, node: int) -> Path:
        """The file with a node's output."""
        return log_path(self.directory, self._node(node))

    def start(self) -> Self:
        """Start the nodes that do not run and wait until all answer; they go on running.

        Raises:
            MissingError: Java, Maven or a port is missing, or a node does not come up (what was started
                here is stopped again).
        """
        class_path = kafka_class_path()
        with self._lock():
            self._read_again()
            missing = [node for node in self.node_ids if self.pid(node) is None]
            for node in missing:
                # This comes before a new directory is filled, because the directory keeps its ports.
                self._check_ports(node)
            if self._is_new:
                self._format(class_path)
            try:
                for node in missing:
                    self._spawn(node, class_path)
                self._wait_until_answers(missing)
            except BaseException:
                self._stop(missing)
                raise
        return self

    def stop(self) -> None:
        """Stop every node (SIGTERM, after ten seconds SIGKILL) and wait until they are gone. Repeatable."""
        with self._lock():
            self._read_again()
            self._stop(self.node_ids)

    def delete(self) -> None:
        """Stop every node and delete the directory with all data."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def stop_node(self, node: int) -> None:
        """Stop one node with SIGTERM and wait until it is gone. Repeatable."""
        self._stop([node])

    def start_node(self, node: int) -> None:
        """Start one node unless it runs, and wait until it answers.

        Raises:
            MissingError: Its port is taken, or it does not come up.
        """
        if self.pid(node) is None:
            self._spawn(node, kafka_class_path())
        self._wait_until_answers([node])

    def restart(self, node: int) -> None:
        """Stop one node with SIGTERM if it runs, start it and wait until it answers.

        Raises:
            MissingError: Its port is taken, or it does not come up.
        """
        self.stop_node(node)
        self.start_node(node)

    def kill(self, node: int) -> None:
        """End a node with SIGKILL, as a crash would, and wait until it is gone.

        Raises:
            MissingError: It does not run.
        """
        self._signal(node, signal.SIGKILL)
        self._wait_until_gone([node], _STOP_GRACE_S)

    def freeze(self, node: int) -> None:
        """Freeze a node (SIGSTOP): its connections stay open, and it does not answer.

        Raises:
            MissingError: It does not run.
        """
        self._signal(node, signal.SIGSTOP)

    def thaw(self, node: int) -> None:
        """Continue a frozen node (SIGCONT).

        Raises:
            MissingError: It does not run.
        """
        self._signal(node, signal.SIGCONT)

    @contextlib.contextmanager
    def slowed(self, node: int, *, frozen_s: float = 0.2, running_s: float = 0.05) -> Iterator[None]:
        """Make a node slow in the block: it is frozen and running in turns, for the given seconds each.

        Raises:
            MissingError: It does not run.
        """
        self.freeze(node)
        ended = threading.Event()

        def alternate() -> None:
            # A test may kill it meanwhile.
            with contextlib.suppress(MissingError):
                while not ended.wait(frozen_s):
                    self.thaw(node)
                    if ended.wait(running_s):
                        return
                    self.freeze(node)

        thread = threading.Thread(target=alternate)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            if self.pid(node) is not None:
                self.thaw(node)

    def __enter__(self) -> Self:
        self._is_leashed = True
        try:
            return self.start()
        except BaseException:
            self._end_block()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end_block()

    def _end_block(self) -> None:
        self.stop()
        if self._is_temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _node(self, node: int) -> Node:
        return self._state.nodes[node - 1]

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Lock the directory for this process. Files that it or its nodes create are readable for the owner only."""
        with private_umask():
            make_private(self.directory, is_own_file)
            with FileLock(self.directory / "lock"):
                yield

    def _read_again(self) -> None:
        """Read the state again, because another process may have formatted, started or stopped the cluster."""
        state = read_state(self.directory)
        if state is not None:
            self._state, self._is_new = state, False

    def _format(self, class_path: str) -> None:
        """Fill a directory that holds no cluster yet."""
        write_configuration(self.directory, self._state, self._settings)
        for node in self._state.nodes:
            properties = properties_path(self.directory, node)
            tool = [java_command(), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", class_path]
            tool += ["kafka.tools.StorageTool", "format"]
            done = subprocess.run(  # noqa: S603 - the command is ours
                [*tool, "-t", self._state.cluster_id, "-c", str(properties)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_START_TIMEOUT_S,
                check=False,
            )
            if done.returncode != 0:
                raise MissingError(f"Kafka cannot format {properties.parent}: {done.stderr.strip()[-400:]}")
        # The state file comes last: it says that the directory is formatted.
        write_state(self.directory, self._state)
        self._is_new = False

    def _spawn(self, node: int, class_path: str) -> None:
        with private_umask():
            self._spawn_privately(node, class_path)

    def _spawn_privately(self, node: int, class_path: str) -> None:
        self._check_ports(node)
        command = [java_command(), "-Xmx512m", "-Xms128m", "-Djava.awt.headless=true"]
        command += [f"-Dlog4j2.configurationFile={logging_path(self.directory)}", "-cp", class_path]
        command += ["kafka.Kafka", str(properties_path(self.directory, self._node(node)))]
        with self.log(node).open("ab") as output:
            if self._is_leashed:
                self._leashes[node] = leash = Leashed(command, output=output, grace_s=_STOP_GRACE_S)
                pid = leash.pid
            else:
                # With a session of its own it does not get a Ctrl-C of this terminal.
                self._children[node] = child = subprocess.Popen(  # noqa: S603 - the command is ours
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                pid = child.pid
        self._remember(node, pid)

    def _check_ports(self, node: int) -> None:
        known = self._node(node)
        for port in (known.port, known.controller_port):
            if not is_free(port):
                raise MissingError(
                    f"port {port} on {HOST} (Kafka node {node}) is taken by another program;"
                    " choose another with --port and a new --dir"
                )

    def _remember(self, node: int, pid: int | None) -> None:
        nodes = (replace(known, pid=pid) if known.id == node else known for known in self._state.nodes)
        self._state = replace(self._state, nodes=tuple(nodes))
        write_state(self.directory, self._state)

    def _wait_until_answers(self, nodes: Sequence[int]) -> None:
        end = time.monotonic() + _START_TIMEOUT_S
        for node in nodes:
            while not kafka_answers(self._node(node).port):
                runs = self.pid(node) is not None
                if not runs or time.monotonic() > end:
                    how = f"gave no answer in {_START_TIMEOUT_S:.0f} s" if runs else "ended at its start"
                    last = last_lines(self.log(node))
                    raise MissingError(
                        f"Kafka node {node} {how}; see {self.log(node)}; its last lines: {last}"
                    )
                time.sleep(0.1)

    def _stop(self, nodes: Sequence[int]) -> None:
        for node in nodes:
            if self.pid(node) is not None:
                # A frozen process would never see SIGTERM.
                self._signal(node, signal.SIGCONT)
                self._signal(node, signal.SIGTERM)
        if not self._wait_until_gone(nodes, _STOP_GRACE_S):
            for node in nodes:
                if self.pid(node) is not None:
                    self._signal(node, signal.SIGKILL)
            self._wait_until_gone(nodes, _STOP_GRACE_S)
        for node in nodes:
            if node in self._leashes:
                self._leashes.pop(node).stop()
            self._remember(node, None)

    def _signal(self, node: int, number: signal.Signals) -> None:
        pid = self.pid(node)
        if pid is None:
            raise MissingError(f"Kafka node {node} of {self.directory} does not run")
        # It may end between the check and the signal.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def _wait_until_gone(self, nodes: Sequence[int], timeout_s: float) -> bool:
        return wait_until(lambda: all(self.pid(node) is None for node in nodes), timeout_s)

    def _is_ours(self, node: int, pid: int) -> bool:
        """Whether the process runs and is this node. The pid alone may have been given to another program."""
        child = self._children.get(node)
        if child is not None and child.pid == pid:
            return child.poll() is None
        arguments = command_line(pid)
        return (
            "kafka.Kafka" in arguments and str(properties_path(self.directory, self._node(node))) in arguments
        )


def _new_state(nodes: int, port: int) -> ClusterState:
    if port == 0:
        ports = free_ports(2 * nodes)
        return ClusterState.new(ports[:nodes], ports[nodes:])
    return ClusterState.new([port + n for n in range(nodes)], free_ports(nodes))
