"""A worker listens on its web port, on loopback, and nowhere else."""

import asyncio
import contextlib
import socket
import urllib.parse
from pathlib import Path

import psutil

from pipeline.kafka.topics import ensure_topics
from tests.stream.harness import Stream

FAUSTS_OWN_PORT = 6066


def listening(pid: int) -> set[tuple[str, int]]:
    """Where a process and its children take connections."""
    process = psutil.Process(pid)
    return {
        (connection.laddr.ip, connection.laddr.port)
        for one in (process, *process.children(recursive=True))
        for connection in one.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    }


def answers(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def test_a_worker_listens_on_one_port_of_loopback_only(
    embedded_broker: str, topic_prefix: str, tmp_path: Path
) -> None:
    stream = Stream(embedded_broker, topic_prefix, tmp_path)
    asyncio.run(ensure_topics(stream.settings))
    with stream.worker() as worker:
        worker.wait_ready()
        port = urllib.parse.urlsplit(worker.address).port
        assert port is not None
        assert listening(worker.process.pid) == {("127.0.0.1", port)}
        assert answers("127.0.0.1", port)
        addresses = [
            address.address
            for addresses in psutil.net_if_addrs().values()
            for address in addresses
            if address.family == socket.AF_INET and not address.address.startswith("127.")
        ]
        assert not [address for address in addresses if answers(address, port)]
        assert ("127.0.0.1", FAUSTS_OWN_PORT) not in listening(worker.process.pid)
