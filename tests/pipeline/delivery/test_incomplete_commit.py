"""Without transactions a commit in several record batches may end in the middle; recovery must not believe it."""

import asyncio
from pathlib import Path

import pytest
from faust.types import TP

from pipeline.delivery import producers
from pipeline.delivery.changelog import WATERMARKS, encode_watermarks
from pipeline.delivery.outputs import Output
from pipeline.delivery.producers import PlainCommit, new_producer
from pipeline.delivery.restore import ChangelogReader, StoreTarget
from pipeline.delivery.store import PartitionStore, StoreCache, StoreOptions
from pipeline.delivery.unit import Snapshot
from tests.pipeline.delivery.counting import Counting


class DiedError(Exception):
    """In place of a SIGKILL."""


def snapshot(number: int, keys: int) -> Snapshot:
    entries = [(b"k%d" % key, b"%d %s" % (number, b"x" * 1_000)) for key in range(keys)]
    entries.append((WATERMARKS, encode_watermarks({"in": number})))
    return Snapshot(entries, set(), [Output("out", b"k", b"v")][:0], {"in": number}, {"in": number})


async def restored(counting: Counting, path: Path) -> tuple[PartitionStore, StoreTarget]:
    store = PartitionStore(path, "app table", StoreCache(StoreOptions()))
    target = StoreTarget(TP(counting.changelog, 0), store)
    async with ChangelogReader(counting.client_options, [target], 15) as reader, asyncio.timeout(60):
        await reader.begin()
        while await reader.remaining():
            await reader.read(0.2)
        await reader.finish()
    return store, target


async def test_a_commit_that_was_cut_is_not_applied_and_is_undone(
    any_broker: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producers, "MAX_BATCH_BYTES", 20_000)
    counting = Counting(any_broker, topic_prefix, tmp_path)
    await counting.create_topics()
    producer = new_producer(counting.client_options, 15)
    await producer.start()
    parts = 0

    def die_in_the_second_part(point: str) -> None:
        nonlocal parts
        parts += point == "commit:changelog-part"
        if parts == 2:
            raise DiedError

    place = (counting.changelog, 0)
    whole = PlainCommit(producer, place, lambda _topic, _key: 0, lambda _: None)
    await whole.write(snapshot(1, 100))
    with pytest.raises(DiedError):
        await PlainCommit(producer, place, lambda _topic, _key: 0, die_in_the_second_part).write(
            snapshot(2, 100)
        )

    store, target = await restored(counting, tmp_path / "first.db")
    assert {value[:2] for _, value in store.items()} == {b"1 "}
    assert store.watermarks() == {"in": 1}
    assert 0 < len(target.dropped) < 100

    # Whoever recovers from this store sees the rest of it again, until it is written anew.
    store.close()
    store, again = await restored(counting, tmp_path / "first.db")
    assert again.dropped == target.dropped

    anew = [(key, store.get(key)) for key in target.dropped]
    await whole.write(
        Snapshot([*anew, (WATERMARKS, encode_watermarks({"in": 1}))], set(), [], {"in": 1}, {"in": 1})
    )
    await producer.stop()
    other, nothing = await restored(counting, tmp_path / "second.db")
    assert dict(other.items()) == dict(store.items())
    assert not nothing.dropped
