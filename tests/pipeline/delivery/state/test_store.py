"""The local store writes keys and position at once, and never opens a directory of another owner."""

import time
from pathlib import Path

import pytest

from pipeline.delivery.errors import StoreError
from pipeline.delivery.state.changelog import WATERMARKS, encode_watermarks
from pipeline.delivery.state.store import PartitionStore, StoreCache, StoreOptions


@pytest.fixture
def cache() -> StoreCache:
    return StoreCache(StoreOptions())


def test_a_new_store_is_empty_and_knows_no_position(tmp_path: Path, cache: StoreCache) -> None:
    store = PartitionStore(tmp_path / "p.db", "app table", cache)
    assert store.is_empty()
    assert store.changelog_offset() is None
    assert store.watermarks() == {}


def test_keys_watermarks_and_position_survive_a_restart(tmp_path: Path, cache: StoreCache) -> None:
    store = PartitionStore(tmp_path / "p.db", "app table", cache)
    store.write([(b"a", b"1"), (b"b", b"2"), (WATERMARKS, encode_watermarks({"t": 7}))], 41)
    store.write([(b"a", None)], 42)
    store.close()
    again = PartitionStore(tmp_path / "p.db", "app table", cache)
    assert dict(again.items()) == {b"b": b"2"}
    assert again.get(b"a") is None
    assert again.changelog_offset() == 42
    assert again.watermarks() == {"t": 7}


def test_a_cleared_store_is_as_new_and_leaves_nothing_behind(tmp_path: Path, cache: StoreCache) -> None:
    store = PartitionStore(tmp_path / "p.db", "app table", cache)
    store.write([(b"a", b"1")], 1)
    store.clear()
    assert store.is_empty()
    assert [path.name for path in tmp_path.iterdir()] == ["p.db"]


def test_remains_of_a_store_that_was_being_cleared_are_removed(tmp_path: Path, cache: StoreCache) -> None:
    (tmp_path / "p.db.discarded").mkdir()
    (tmp_path / "p.db.discarded" / "000001.sst").write_bytes(b"x")
    PartitionStore(tmp_path / "p.db", "app table", cache)
    assert [path.name for path in tmp_path.iterdir()] == ["p.db"]


def test_a_store_that_is_too_old_has_no_position(tmp_path: Path) -> None:
    old = StoreCache(StoreOptions(max_age_seconds=1.5))
    store = PartitionStore(tmp_path / "p.db", "app table", old)
    store.write([(b"a", b"1")], 1)
    assert store.changelog_offset() == 1
    time.sleep(2.6)  # its clock has whole seconds
    assert store.changelog_offset() is None


def test_another_tables_store_is_refused(tmp_path: Path, cache: StoreCache) -> None:
    PartitionStore(tmp_path / "p.db", "app one", cache).close()
    with pytest.raises(StoreError, match=r"'write-behind/1 app one', and 'write-behind/1 app two' is needed"):
        PartitionStore(tmp_path / "p.db", "app two", cache)


def test_a_foreign_store_is_refused(tmp_path: Path, cache: StoreCache) -> None:
    store = PartitionStore(tmp_path / "p.db", "app one", cache)
    store._db.delete(b"\xff\x00format")
    store._db.put(b"x", b"y")
    store.close()
    with pytest.raises(StoreError, match="was not written by this program"):
        PartitionStore(tmp_path / "p.db", "app one", cache)


def test_a_directory_that_is_no_store_is_refused(tmp_path: Path, cache: StoreCache) -> None:
    (tmp_path / "p.db").write_text("not a directory")
    with pytest.raises(StoreError, match="cannot be opened"):
        PartitionStore(tmp_path / "p.db", "app table", cache)


def test_a_store_in_use_is_refused(tmp_path: Path, cache: StoreCache) -> None:
    first = PartitionStore(tmp_path / "p.db", "app table", cache)
    with pytest.raises(StoreError, match="if another worker uses it"):
        PartitionStore(tmp_path / "p.db", "app table", cache)
    first.close()


def test_watermarks_that_cannot_be_read_are_an_error(tmp_path: Path, cache: StoreCache) -> None:
    store = PartitionStore(tmp_path / "p.db", "app table", cache)
    store.write([(WATERMARKS, b"?")], 1)
    with pytest.raises(StoreError, match="watermarks"):
        store.watermarks()


def test_a_page_begins_at_a_key_and_has_so_many(tmp_path: Path, cache: StoreCache) -> None:
    store = PartitionStore(tmp_path / "p.db", "app table", cache)
    store.write([(b"u%d" % number, b"%d" % number) for number in range(5)], 1)
    assert store.page(b"u1", 2) == [(b"u1", b"1"), (b"u2", b"2")]
    assert store.page(b"u2\x00", 1) == [(b"u3", b"3")]
    assert [key for key, _ in store.page(b"u4", 1)] == [b"u4"]
    assert store.page(b"", 1) == [(b"u0", b"0")]
