"""The files of a local Kafka: its state file, each node's properties, and the logging configuration."""

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from pipeline.errors import MissingError
from pipeline.lab.local.ports import HOST

_STATE_SCHEMA = "ott-kafka/1"

_LOGGING = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="error" shutdownHook="disable">
  <Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %p %c{1} %m%n"/></Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


@dataclass(frozen=True, slots=True)
class Node:
    """One broker that is also a controller.

    Attributes:
        id: 1, 2 or 3.
        port: Clients' port on 127.0.0.1.
        controller_port: The controllers' own port.
        pid: Process id of the last start; None before the first start and after a stop.
    """

    id: int
    port: int
    controller_port: int
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The content of the state file.

    Attributes:
        cluster_id: KRaft cluster id, a base64 UUID.
        nodes: Ordered by id.
    """

    cluster_id: str
    nodes: tuple[Node, ...]

    @classmethod
    def new(cls, ports: list[int], controller_ports: list[int]) -> Self:
        """A cluster that has never run, one node for each pair of ports."""
        cluster_id = "-"
        # Kafka's tool would read an id that begins with a dash as an option.
        while cluster_id.startswith("-"):
            cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        nodes = [Node(n, *pair) for n, pair in enumerate(zip(ports, controller_ports, strict=True), start=1)]
        return cls(cluster_id, tuple(nodes))


def read_state(directory: Path) -> ClusterState | None:
    """The state file of a directory, None when there is none.

    Raises:
        MissingError: The file cannot be read as one.
    """
    path = _state_path(directory)
    try:
        state = json.loads(path.read_bytes())
        if state["schema"] != _STATE_SCHEMA:
            raise MissingError(
                f"{path} has the schema {state['schema']!r}, not {_STATE_SCHEMA!r}; use another --dir"
            )
        return ClusterState(str(state["cluster_id"]), tuple(Node(**node) for node in state["nodes"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingError(
            f"{path} is not readable as the state of a Kafka ({error}); use another --dir"
        ) from error


def write_state(directory: Path, state: ClusterState) -> None:
    """Replace the state file in one step."""
    path = _state_path(directory)
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"schema": _STATE_SCHEMA, **asdict(state)}, indent=2), encoding="utf-8")
    new.replace(path)


def properties_path(directory: Path, node: Node) -> Path:
    """A node's server.properties. This path in the command line identifies its process."""
    return directory / f"node-{node.id}" / "server.properties"


def log_path(directory: Path, node: Node) -> Path:
    """The file with a node's output."""
    return directory / f"node-{node.id}" / "kafka.log"


def is_own_file(name: str) -> bool:
    """Whether an entry of this name in a cluster's directory is the cluster's."""
    return name in {"lock", "cluster.json", "log4j2.xml"} or name.startswith("node-")


def logging_path(directory: Path) -> Path:
    """The log4j 2 configuration of all nodes."""
    return directory / "log4j2.xml"


def write_configuration(directory: Path, state: ClusterState, settings: Mapping[str, str]) -> None:
    """Write every node's properties and the logging configuration.

    Args:
        directory: Where the cluster lives.
        state: Its nodes.
        settings: Broker settings beside or instead of the ones here.
    """
    logging_path(directory).write_text(_LOGGING, encoding="utf-8")
    for node in state.nodes:
        path = properties_path(directory, node)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (
            f"{name}={value}\n" for name, value in {**_properties(directory, state, node), **settings}.items()
        )
        path.write_text("".join(lines), encoding="utf-8")


def _properties(directory: Path, state: ClusterState, node: Node) -> dict[str, str]:
    count = len(state.nodes)
    replicas, in_sync = str(count), str(min(2, count))
    return {
        "process.roles": "broker,controller",
        "node.id": str(node.id),
        "controller.quorum.voters": ",".join(f"{n.id}@{HOST}:{n.controller_port}" for n in state.nodes),
        "listeners": f"PLAINTEXT://{HOST}:{node.port},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{node.port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(properties_path(directory, node).with_name("data")),
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        # Kafka's defaults (50 partitions, three replicas) take seconds to create on a laptop.
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        # A group of one or two workers need not wait three seconds for more.
        "group.initial.rebalance.delay.ms": "0",
    }


def _state_path(directory: Path) -> Path:
    return directory / "cluster.json"
