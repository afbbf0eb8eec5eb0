"""Reaching a Kafka cluster: waiting for it, and talking to it as an administrator."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from pipeline.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pipeline.settings.schema import Settings

# The time limit of a request to a broker that has answered before.
_REQUEST_TIMEOUT_MS = 15_000
_ATTEMPT_TIMEOUT_S = 5.0
_RETRY_S = 0.25


def say_on_stderr(message: str) -> None:
    """Tell the person at the terminal what this command waits for."""
    sys.stderr.write(f"ott: {message}\n")


def broker_trouble(settings: Settings, error: BaseException) -> MissingError:
    """An error of a Kafka client, as a sentence that names the brokers."""
    return MissingError(f"Kafka at {settings.bootstrap_servers}: {str(error) or type(error).__name__}")


async def wait_for_broker(
    settings: Settings, timeout_s: float = 30.0, say: Callable[[str], None] = say_on_stderr
) -> None:
    """Wait until a broker answers. `say` is told once that this waits.

    Raises:
        MissingError: no broker answered within `timeout_s` seconds, or something answers that is not Kafka.
    """
    async with connected_admin(settings, timeout_s, say):
        pass


@asynccontextmanager
async def connected_admin(
    settings: Settings, timeout_s: float, say: Callable[[str], None] = say_on_stderr
) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client. Its errors inside of the block become MissingError."""
    options = settings.kafka_client_options()
    deadline = time.monotonic() + timeout_s
    await _wait_for_port(settings, timeout_s, say)
    admin = AIOKafkaAdminClient(**options, request_timeout_ms=_REQUEST_TIMEOUT_MS)
    try:
        async with asyncio.timeout(max(timeout_s, _ATTEMPT_TIMEOUT_S)):
            while True:
                try:
                    await admin.start()
                    break
                except KafkaConnectionError:
                    # A broker that is starting up accepts connections and closes them.
                    if time.monotonic() >= deadline:
                        raise
                    await asyncio.sleep(_RETRY_S)
    except (KafkaError, TimeoutError) as error:
        await admin.close()
        raise MissingError(
            f"what listens at {settings.bootstrap_servers} does not answer as Kafka "
            f"({settings.kafka_security_protocol}): {str(error) or 'timeout'}; check OTT_BOOTSTRAP_SERVERS "
            "and OTT_KAFKA_SECURITY_PROTOCOL"
        ) from error
    try:
        yield admin
    except (KafkaError, TimeoutError) as error:
        raise broker_trouble(settings, error) from error
    finally:
        await admin.close()


async def _wait_for_port(settings: Settings, timeout_s: float, say: Callable[[str], None]) -> None:
    """Wait with plain connections, because aiokafka logs an error for each failed attempt."""
    deadline = time.monotonic() + timeout_s
    said = False
    while True:
        reason = "no answer"
        for address in settings.bootstrap_servers.split(","):
            host, _, port = address.rpartition(":")
            try:
                async with asyncio.timeout(_ATTEMPT_TIMEOUT_S):
                    _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            except TimeoutError:
                continue
            except OSError as error:
                reason = _reason(error)
                continue
            writer.close()
            return
        if time.monotonic() >= deadline:
            raise MissingError(
                f"no Kafka broker answers at {settings.bootstrap_servers} ({reason}), "
                f"waited {timeout_s:g} s; start one with: ott broker; or name another with --bootstrap-servers or "
                "OTT_BOOTSTRAP_SERVERS"
            )
        if not said:
            say(
                f"waiting up to {timeout_s:g} s for a Kafka broker at {settings.bootstrap_servers} ({reason})"
            )
            said = True
        await asyncio.sleep(_RETRY_S)


def _reason(error: OSError) -> str:
    """The reason in the system's words. Those of asyncio repeat the address."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno).lower()
