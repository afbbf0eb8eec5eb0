"""Ports on loopback, and whether a Kafka-compatible broker answers on one."""

import socket
import struct
import time

HOST = "127.0.0.1"
_API_VERSIONS = 18
_CORRELATION = 0x0077
_TIMEOUT_S = 2.0


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
    """``count`` different ports that are free at this moment (another process may still take one)."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def kafka_answers(port: int) -> bool:
    """Whether something on ``port`` answers a Kafka ApiVersions request within two seconds."""
    request = struct.pack(">hhih", _API_VERSIONS, 0, _CORRELATION, -1)
    try:
        with socket.create_connection((HOST, port), _TIMEOUT_S) as connection:
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
    # A connection to a port that nobody listens on can connect to itself; the echo has no such id here.
    return bool(struct.unpack_from(">i", answer, 4)[0] == _CORRELATION)


def wait_until_kafka_answers(port: int, timeout_s: float) -> bool:
    """Ask every 50 ms until `kafka_answers`; False after ``timeout_s`` seconds."""
    end = time.monotonic() + timeout_s
    while not kafka_answers(port):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
