"""A unit behaves like a dictionary, whatever its cache drops and whenever commits begin and end."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pipeline.delivery.metrics import Metrics
from pipeline.delivery.state.changelog import WATERMARKS
from pipeline.delivery.state.outputs import Output
from pipeline.delivery.state.store import PartitionStore, StoreCache, StoreOptions
from pipeline.delivery.state.unit import EncodingError, Snapshot, State, Unit

KEYS = st.sampled_from([b"k%d" % number for number in range(12)])


class ListCodec:
    """Lists of numbers, which handlers change in place; 13 cannot be encoded."""

    def encode(self, value: list[int]) -> bytes:
        if 13 in value:
            raise ValueError("13")
        return bytes(value)

    def decode(self, data: bytes) -> list[int]:
        return list(data)


def new_unit(path: Path, cache_keys: int = 4, max_value_bytes: int = 1000) -> Unit[list[int]]:
    store = PartitionStore(path, "app table", StoreCache(StoreOptions()))
    return Unit(
        "table", 0, store, ListCodec(), lambda _: 0, cache_keys, max_value_bytes, Metrics(), count_notes
    )


def taken(unit: Unit[list[int]]) -> Snapshot:
    """The snapshot, without the pauses before it."""
    *_, snapshot = unit.take()
    assert snapshot is not None
    return snapshot


def count_notes(state: State[list[int]], notes: list[str]) -> list[Output]:
    """One output of all notes, and a key that counts the commits that had some."""
    state[b"notes"] = [*(state.get(b"notes") or []), len(notes)]
    return [Output("topic", None, ",".join(notes).encode())]


class UnitIsADictionary(RuleBasedStateMachine):
    """Model: what the unit shows, what the last commit wrote, and what is in flight."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.unit = new_unit(self.directory / "p.db")
        self.now: dict[bytes, list[int]] = {}
        self.committed: dict[bytes, list[int]] = {}
        self.flying: dict[bytes, list[int]] = {}
        self.offset = 0

    def teardown(self) -> None:
        self.unit.store.close()
        shutil.rmtree(self.directory)

    @rule(key=KEYS, number=st.integers(0, 12))
    def append_in_place(self, key: bytes, number: int) -> None:
        value = self.unit.get(key)
        if value is None:
            value = []
        value.append(number)
        self.unit[key] = value
        self.now[key] = [*self.now.get(key, []), number]

    @rule(key=KEYS, number=st.integers(0, 12))
    def overwrite_unseen(self, key: bytes, number: int) -> None:
        self.unit[key] = [number]
        self.now[key] = [number]

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        self.unit.discard(key)
        self.now.pop(key, None)

    @rule(key=KEYS)
    def read(self, key: bytes) -> None:
        assert self.unit.get(key) == self.now.get(key)

    @rule(key=KEYS, number=st.integers(0, 12), fails=st.booleans())
    def try_a_record(self, key: bytes, number: int, fails: bool) -> None:
        trial = self.unit.trial()
        value = trial.get(key)
        if value is None:
            value = []
        value.append(number)
        trial[key] = value
        if not fails:
            trial.keep()
            self.now[key] = [*self.now.get(key, []), number]

    @rule()
    def evict(self) -> None:
        self.unit.evict()

    @rule(outputs=st.integers(0, 2))
    def advance(self, outputs: int) -> None:
        self.offset += 1
        self.unit.advance("topic", self.offset, [Output("out", b"k", b"v")] * outputs)

    @precondition(lambda self: self.unit.in_flight is None)
    @rule()
    def begin_a_commit(self) -> None:
        self.snapshot = taken(self.unit)
        self.flying = {key: list(value) for key, value in self.now.items()}

    @precondition(lambda self: self.unit.in_flight is not None)
    @rule()
    def end_a_commit(self) -> None:
        self.unit.settle(self.snapshot, 1)
        self.committed = self.flying
        assert {key: list(value) for key, value in self.unit.store.items()} == self.committed

    @precondition(lambda self: self.unit.in_flight is None)
    @rule()
    def go_back(self) -> None:
        self.unit.back_to_last_commit({})
        self.now = {key: list(value) for key, value in self.committed.items()}
        self.offset = self.unit.next_offsets.get("topic", 0)

    @invariant()
    def peeking_agrees_and_changed_keys_are_never_forgotten(self) -> None:
        for number in range(12):
            key = b"k%d" % number
            assert self.unit.peek(key) == self.now.get(key)

    @invariant()
    def memory_is_bounded(self) -> None:
        self.unit.evict()
        flying = 0 if self.unit.in_flight is None else len(self.unit.in_flight.keys)
        assert self.unit.cached <= 2 * (4 + len(self.unit.dirty) + flying)


TestUnitIsADictionary = UnitIsADictionary.TestCase
TestUnitIsADictionary.settings = settings(stateful_step_count=40)


def test_a_snapshot_holds_changed_keys_outputs_and_watermarks(tmp_path: Path) -> None:
    unit = new_unit(tmp_path / "p.db")
    unit[b"a"] = [1]
    unit.discard(b"b")
    unit.advance("topic", 5, [Output("out", b"k", b"v")])
    snapshot = taken(unit)
    assert dict(snapshot.entries) == {b"a": b"\x01", b"b": None, WATERMARKS: b'{"v":1,"next":{"topic":5}}'}
    assert snapshot.entries[-1][0] == WATERMARKS
    assert snapshot.moved == {"topic": 5}
    assert [output.value for output in snapshot.outputs] == [b"v"]
    assert not unit.changed or unit.in_flight is snapshot


def test_what_comes_after_a_snapshot_belongs_to_the_next_one(tmp_path: Path) -> None:
    unit = new_unit(tmp_path / "p.db")
    unit[b"a"] = [1]
    unit.advance("topic", 5, [])
    first = taken(unit)
    unit[b"a"] = [1, 2]
    unit.advance("topic", 9, [])
    unit.settle(first, 0)
    assert unit.store.get(b"a") == b"\x01"
    assert unit.store.watermarks() == {"topic": 5}
    second = taken(unit)
    assert dict(second.entries)[b"a"] == b"\x01\x02"
    assert second.moved == {"topic": 9}


def test_nothing_is_taken_when_a_value_cannot_be_encoded(tmp_path: Path) -> None:
    unit = new_unit(tmp_path / "p.db")
    unit[b"a"], unit[b"b"] = [1], [13]
    unit.advance("topic", 5, [Output("out", b"k", b"v")])
    with pytest.raises(EncodingError, match=r"key b'b' cannot be encoded"):
        taken(unit)
    assert unit.in_flight is None
    assert unit.dirty == {b"a", b"b"}
    assert len(unit.outputs) == 1


def test_a_value_that_is_too_large_for_the_changelog_is_refused(tmp_path: Path) -> None:
    unit = new_unit(tmp_path / "p.db", max_value_bytes=3)
    unit[b"a"] = [1, 2, 3, 4]
    with pytest.raises(EncodingError, match="takes 4 bytes; 3 are allowed"):
        taken(unit)


def test_a_trial_that_cannot_be_encoded_keeps_nothing(tmp_path: Path) -> None:
    unit = new_unit(tmp_path / "p.db")
    trial = unit.trial()
    trial[b"a"], trial[b"b"] = [1], [13]
    with pytest.raises(EncodingError):
        trial.keep()
    assert unit.peek(b"a") is None
    assert not unit.dirty


def test_a_reserved_key_is_refused(tmp_path: Path) -> None:
    unit = new_unit(tmp_path / "p.db")
    unit[WATERMARKS] = [1]
    with pytest.raises(EncodingError, match="reserved"):
        taken(unit)


def test_notes_become_outputs_with_the_commit_and_change_the_state_with_it(tmp_path: Path) -> None:
    unit = new_unit(tmp_path / "p.db")
    unit.notes += ["a", "b"]
    unit.advance("topic", 1, [])
    first = taken(unit)
    assert [output.value for output in first.outputs] == [b"a,b"]
    assert (b"notes", bytes([2])) in first.entries
    unit.notes.append("c")
    unit.settle(first, None)
    second = taken(unit)
    assert [output.value for output in second.outputs] == [b"c"]
    unit.settle(second, None)
    unit[b"k"] = [1]
    assert taken(unit).outputs == []


def test_notes_of_what_is_not_committed_are_dropped(tmp_path: Path) -> None:
    unit = new_unit(tmp_path / "p.db")
    unit.notes.append("lost")
    unit.back_to_last_commit({})
    assert unit.notes == []
    unit.notes.append("kept")
    good, bad = unit.trial(), unit.trial()
    good.notes.append("good")
    bad.notes.append("bad")
    good.keep()
    unit.advance("topic", 1, [])
    assert [output.value for output in taken(unit).outputs] == [b"kept,good"]


def test_in_memory_says_which_stored_values_may_be_out_of_date(tmp_path: Path) -> None:
    unit = new_unit(tmp_path / "p.db", cache_keys=2)
    for key in (b"a", b"b", b"c", b"d"):
        unit[key] = [1]
    unit.settle(taken(unit), None)
    unit.evict()
    assert unit.in_memory(b"a")  # in the older half of the cache
    unit[b"e"], unit[b"f"] = [1], [1]
    unit.settle(taken(unit), None)
    unit.evict()
    assert not any(unit.in_memory(key) for key in (b"a", b"b", b"c", b"d", b"never"))
    unit.get(b"b")
    unit.discard(b"c")
    assert [unit.in_memory(key) for key in (b"a", b"b", b"c")] == [False, True, True]
    snapshot = taken(unit)
    assert unit.in_memory(b"c")  # deleted by a commit that is under way
    unit.settle(snapshot, None)
    assert not unit.in_memory(b"c")
    assert unit.stored(b"b", 2) == [(b"b", b"\1"), (b"d", b"\1")]
