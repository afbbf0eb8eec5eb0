"""Ports on loopback, and whether a Kafka-compatible broker answers on one."""

import random
import socket
import struct

from pipeline.errors import MissingError

HOST = "127.0.0.1"
_API_VERSIONS = 18
_CORRELATION = 0x0077
_TIMEOUT_S = 2.0
_PORTS = range(20000, 32000)


def is_free(port: int) -> bool:
    """Whether a broker could listen on ``port`` of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_ports(count: int = 1) -> list[int]:
    """``count`` different ports that are free now. Another process may take one at any time.

    They are below the range of outgoing connections (from 32768 on Linux). Otherwise a client that tries to
    reach a broker which is down could take the broker's port, or connect to itself.
    """
    found: list[int] = []
    for port in random.sample(_PORTS, k=len(_PORTS)):
        if len(found) == count:
            return found
        if is_free(port):
            found.append(port)
    raise MissingError(f"{HOST} has no {count} free ports from {_PORTS.start} to {_PORTS.stop - 1}")


def kafka_answers(port: int, host: str = HOST) -> bool:
    """Whether something on ``port`` answers a Kafka ApiVersions request within two seconds."""
    request = struct.pack(">hhih", _API_VERSIONS, 0, _CORRELATION, -1)
    try:
        with socket.create_connection((host, port), _TIMEOUT_S) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = b""
            while len(answer) < 8:  # noqa: PLR2004 - length and correlation id
                part = connection.recv(64)
                if not part:
                    return False
                answer += part
    except OSError:
        return False
    # If nobody listens, a connection can connect to itself. The echo of the request does not have this id.
    return bool(struct.unpack_from(">i", answer, 4)[0] == _CORRELATION)
