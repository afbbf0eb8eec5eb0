"""Titles and devices are judged live as in a file, whichever worker or partition is faster, and after a kill."""

import asyncio
import json
import time

from pipeline.delivery.partitioner import partition_of
from pipeline.events.instants import format_instant
from pipeline.kafka.topics import ensure_topics
from tests.stream.events import generated
from tests.stream.harness import Stream, Worker, in_order, killed_at_end

EVENTS = 20_000
PARTITIONS = 4
MINUTE = 60_000


def event(user: str, number: int, at: int, *, failed: bool = False) -> bytes:
    """An event of a device and a title that all partitions share."""
    return json.dumps(
        {
            "event_id": f"{user}-{number}",
            "user_id": user,
            "device_id": "shared",
            "content_id": "shared",
            "event_type": "ERROR" if failed else "HEARTBEAT",
            "error_code": "E1" if failed else None,
            "timestamp": format_instant(at),
            "region": "DE",
            "is_eu": True,
            "has_consent": True,
            "ip_address": "192.0.2.1",
        }
    ).encode()


def users_of(partition: int) -> list[str]:
    names = (f"user-of-all-{number}" for number in range(1_000))
    return [name for name in names if partition_of(name.encode(), PARTITIONS) == partition]


def shared_events(now: int) -> list[tuple[int, bytes, bytes]]:
    """Two hours of one device and one title in all partitions.

    It fails in the first hour; each partition has stragglers of up to 50 minutes; partition 2 has a fast clock in the
    middle; every fifth user's records are in a wrong partition.
    """
    records = []
    for minute in range(120):
        for partition in range(PARTITIONS):
            at = now - (125 - minute) * MINUTE + partition * 7_000
            user = users_of(partition)[minute % 10]
            wrong = (partition + 1) % PARTITIONS if minute % 5 == 4 else partition
            failed = minute < 60 and (minute + partition) % 3 == 0
            records.append((wrong, user, event(user, minute, at, failed=failed)))
            if minute % 9 == 8:
                late = at - (minute % 50 + 1) * MINUTE
                records.append((wrong, user, event(user, 1_000 + minute, late, failed=True)))
        if minute == 70:
            user = users_of(2)[11]
            records.append((2, user, event(user, 2_000, now + 4 * MINUTE)))
    return [(partition, user.encode(), value) for partition, user, value in records]


def everywhere(number: int, at: int) -> list[tuple[int, bytes, bytes]]:
    """One event for every source partition: each partition has one, and gets one that was written to the next."""
    found = []
    for partition in range(PARTITIONS):
        for wrong in (partition, (partition + 1) % PARTITIONS):
            user = users_of(partition)[20 + (wrong != partition)]
            found.append((wrong, user.encode(), event(user, number, at)))
    return found


def settle(workers: list[Worker], records: int) -> None:
    """Until all records are accounted for by the workers together, and nothing is left to read, twice in a row."""
    deadline, times = time.monotonic() + 120, 0
    while times < 3:
        accounts = [worker.accounts() for worker in workers]
        assert time.monotonic() < deadline, accounts
        if None not in accounts:
            read = sum(account["read"] + account["requests"] for account in accounts)
            still = any(sum(account["lag"].values()) for account in accounts)
            times = 0 if read < records or still else times + 1
        time.sleep(0.5)


def test_two_workers_one_of_which_is_killed_judge_titles_and_devices_as_a_file_does(stream: Stream) -> None:
    now = time.time_ns() // 1_000_000
    given = [*generated(EVENTS, seed=21).events]
    shared = shared_events(now)
    step = len(given) // len(shared)
    for number, record in enumerate(shared):
        given.insert(number * (step + 1), record)
    # A partition without an event is not waited for, and what it brings later may come too late.
    opening = everywhere(3_000, now - 130 * MINUTE)
    given += everywhere(3_001, now)
    asyncio.run(ensure_topics(stream.settings))
    workers = [stream.worker(name) for name in ("a", "b")]
    with killed_at_end(workers):
        for worker in workers:
            worker.wait_ready()
        stream.write("raw-events", opening)
        settle(workers, len(opening))
        size = len(given) // 20
        for number in range(20):
            stream.write("raw-events", given[number * size : (number + 1) * size])
            if number == 9:
                workers[0].kill()
                workers[0] = stream.worker("a")
            time.sleep(0.3)
        stream.write("raw-events", given[20 * size :])
        settle(workers, len(opening) + len(given))
        for worker in workers:
            worker.terminate()
    expected = stream.expected()
    shared_ones = [json.loads(value) for value in expected.subjects if b'"id":"shared"' in value]
    for kind in ("content", "device"):
        assert {"opened", "closed"} <= {
            one["change"] for one in shared_ones if one["subject"]["type"] == kind
        }
    assert in_order(expected.subjects) == expected.subjects
    stream.check(expected)
    judged = {state.judged_through for state in stream.titles().values()}
    assert len(judged) == 1
    assert judged.pop() >= now // MINUTE - 3
