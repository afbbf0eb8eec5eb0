"""What the index answers is what a look through all verdicts would; it is bounded, and survives restarts."""

import json
import random
import sqlite3
from collections import Counter

import pytest

from pipeline.jurisdictions.regions import in_eea
from pipeline.verdict_index.pages import CursorError, Filters, PagePosition
from pipeline.verdict_index.queries import IndexQueries
from pipeline.verdict_index.store import FILE_NAME, connect, open_store
from pipeline.verdict_index.summary import count_all, count_by_region
from pipeline.verdict_index.writer import IndexWriter, Published
from tests.pipeline.verdict_index.verdicts import REGIONS, RULES, alert, published, random_verdicts, verdict

T0 = ("flagged-events", 0)


class Index:
    """A writer and a reader on one file, as the service has them."""

    def __init__(self, directory, topic="flagged-events", limit=10_000):
        path = directory / FILE_NAME
        self.writer = IndexWriter(open_store(path, (topic, "risk-alerts")), limit)
        self.reader = IndexQueries(connect(path))

    def add(self, records, **positions):
        return self.writer.add(records, positions or {T0: len(records)})

    def all(self, filters=Filters(), size=7):  # noqa: B008 - frozen
        found, cursor = [], None
        while True:
            page = self.reader.page(filters, None if cursor is None else PagePosition.of_cursor(cursor), size)
            found += page.verdicts
            cursor = page.next_cursor
            if cursor is None:
                return found

    def close(self):
        self.writer.close()
        self.reader.close()


@pytest.fixture
def index(tmp_path):
    index = Index(tmp_path)
    yield index
    index.close()


def newest_first(records, wanted=lambda _: True):
    return sorted(
        (record for record in records if wanted(json.loads(record.value))),
        key=lambda record: record.position,
        reverse=True,
    )


def in_region(asked):
    return lambda content: content["region"] == asked or content["region"].startswith(f"{asked}-")


NOON = "2026-01-01T12:00:00.000Z"
QUESTIONS = [
    (Filters(), lambda _: True),
    *(
        (Filters(level=level), lambda c, level=level: c["risk_level"] == level)
        for level in ("LOW", "HIGH", "NONE")
    ),
    *(
        (Filters(rule=rule), lambda c, rule=rule: rule in [f["rule_id"] for f in c["findings"]])
        for rule in (*RULES, "account.multi", "privacy")
    ),
    *((Filters(region=region), in_region(region)) for region in (*REGIONS, "CH")),
    (Filters(users=("u1",)), lambda c: c["user_id"] == "u1"),
    (Filters(users=("u1", "u2", "x")), lambda c: c["user_id"] in ("u1", "u2")),
    (Filters(since=NOON), lambda c: c["event_time"] >= NOON),
    (Filters(until=NOON), lambda c: c["event_time"] < NOON),
    (
        Filters(level="HIGH", rule="privacy.minor", region="US", until=NOON),
        lambda c: (
            c["risk_level"] == "HIGH"
            and "privacy.minor" in [f["rule_id"] for f in c["findings"]]
            and in_region("US")(c)
            and c["event_time"] < NOON
        ),
    ),
]


@pytest.mark.parametrize(("filters", "wanted"), QUESTIONS)
def test_pages_hold_what_a_look_through_all_verdicts_finds(index, filters, wanted):
    records = random_verdicts(400)
    index.add(records)
    assert index.all(filters) == newest_first(records, wanted)


def test_a_reader_sees_each_verdict_once_while_new_ones_arrive(index):
    records = random_verdicts(300)
    later = [published(verdict(1_000 + n), 5_000 + n, 0, 1_000 + n) for n in range(100)]
    index.add(records)
    found, cursor = [], None
    for number in range(0, 100, 5):
        page = index.reader.page(Filters(), cursor, 20)
        found += page.verdicts
        index.add(later[number : number + 5])
        # A repetition of one that was read, or will be, changes nothing either.
        again = records[number]
        index.add([published(json.loads(again.value), 9_000, 3, 9_000 + number)])
        if page.next_cursor is None:
            break
        cursor = PagePosition.of_cursor(page.next_cursor)
    assert [item.position for item in found] == [record.position for record in newest_first(records)]
    index.add(later)
    assert [item.position for item in index.all()[:100]] == [record.position for record in reversed(later)]


def test_of_one_id_the_later_published_counts_at_the_place_of_the_first(index):
    index.add([published(verdict(1, risk_level="LOW"), 10, 0, 0), published(verdict(2), 20, 0, 1)])
    index.add([published(verdict(1, risk_level="HIGH", region="US-CA"), 30, 0, 2)])
    assert [item.position.published for item in index.all()] == [20, 10]
    (changed,) = index.all(Filters(region="US-CA"))
    assert json.loads(changed.value)["risk_level"] == "HIGH"
    assert count_all(index.reader.tallies()).by_level == {"HIGH": 2}


def test_bytes_are_those_that_were_published(index):
    value = json.dumps(verdict(0, "José", region=None), ensure_ascii=False, indent=1).encode()
    index.add([published({}, 1)._replace(value=value)])
    assert [item.value for item in index.all(Filters(users=("José",)))] == [value]


def test_a_device_is_not_found_as_a_user(index):
    index.add(
        [published(verdict(1, "x", subject={"type": "device", "id": "x"}, user_id=None, region=None), 1)]
    )
    assert index.all(Filters(users=("x",))) == []
    assert len(index.all()) == 1


def test_what_is_no_verdict_is_left_out_and_told(index):
    good = published(verdict(1), 1)
    bad = [b"", b"[]", b'{"verdict_id":"zz"}', json.dumps(verdict(2, verdict_id="no hex")).encode()]
    assert index.add([good, *(good._replace(value=value) for value in bad)]) == 4
    assert len(index.all()) == 1


def test_the_newest_are_kept(tmp_path):
    index = Index(tmp_path, limit=100)
    records = random_verdicts(500)
    random.Random(1).shuffle(records)
    for number in range(0, 500, 10):
        index.add(records[number : number + 10])
        index.add(records[number : number + 10])
        kept = index.all()
        assert len(kept) <= 105
        assert {*newest_first(records[: number + 10])[:100]} <= {*kept}
    assert index.reader.span(100, 3) == (
        len(kept), kept[-1].position.published, kept[0].position.published, 100, 3
    )  # fmt: skip
    index.close()


def test_after_a_skip_the_span_begins_where_nothing_is_missing(index):
    index.add([published(verdict(1), 10, 0, 0)])
    index.writer.skip("flagged-events", 1, 500, 70)
    index.add([published(verdict(2), 70, 1, 500)])
    assert index.reader.span(9, 0).first == 70
    assert index.writer.next_offsets() == {T0: 1, ("flagged-events", 1): 500}


def test_what_is_older_than_the_topic_keeps_is_deleted(index):
    index.add([published(verdict(n), n, 0, n) for n in range(10)])
    index.writer.expire(7)
    assert [item.position.published for item in index.all()] == [9, 8, 7]


def test_a_restart_keeps_verdicts_and_offsets(tmp_path):
    records = random_verdicts(50)
    before = Index(tmp_path)
    before.writer.add(records, {T0: 13, ("flagged-events", 3): 12})
    before.close()
    after = Index(tmp_path)
    assert after.writer.next_offsets() == {T0: 13, ("flagged-events", 3): 12}
    assert after.all() == newest_first(records)
    after.add(records)
    assert after.all() == newest_first(records)
    after.close()


def test_offsets_and_verdicts_are_written_together_or_not_at_all(index):
    index.writer.add(random_verdicts(5), {T0: 5})
    with pytest.raises(sqlite3.IntegrityError):
        index.writer.add([published(verdict(6), 8), published(verdict(7), None)], {T0: 6})
    assert index.writer.next_offsets() == {T0: 5}
    assert len(index.all()) == 5
    index.writer.add([published(verdict(8), 9)], {T0: 7})
    assert len(index.all()) == 6


@pytest.mark.parametrize("damage", ["other topic", "other version", "no database"])
def test_a_file_that_cannot_be_used_is_filled_again(tmp_path, damage):
    before = Index(tmp_path)
    before.add(random_verdicts(5))
    if damage == "other version":
        connect(tmp_path / FILE_NAME).execute("PRAGMA user_version = 99")
    before.close()
    if damage == "no database":
        (tmp_path / FILE_NAME).write_bytes(b"something else " * 1000)
    after = Index(tmp_path, topic="other" if damage == "other topic" else "flagged-events")
    assert after.writer.next_offsets() == {}
    assert after.all() == []
    after.close()


def test_counts_are_those_of_a_look_through_all_verdicts(index):
    records = random_verdicts(500)
    index.add(records)
    contents = [json.loads(record.value) for record in records]
    total = count_all(index.reader.tallies())
    assert total.verdicts == 500
    assert total.by_level == Counter(content["risk_level"] for content in contents)
    assert total.by_rule == Counter(f["rule_id"] for content in contents for f in content["findings"])
    assert total.by_regulation == Counter(name for content in contents for name in content["regulations"])
    assert total.by_dimension["account"] == Counter(
        content["dimensions"]["account"] for content in contents if "account" in content["dimensions"]
    )
    regions = count_by_region(index.reader.tallies())
    by_region = Counter(content["region"] for content in contents)
    assert {region: counts.verdicts for region, counts in regions.regions.items()} == by_region
    assert regions.eea.verdicts == sum(count for region, count in by_region.items() if in_eea(region))
    assert regions.eea.verdicts + regions.other.verdicts == 500
    assert regions.us_ca.verdicts == by_region["US-CA"]
    assert regions.rest_of_us.verdicts == by_region["US"] + by_region["US-NY"]


def test_a_title_has_no_region(index):
    index.add([published(verdict(1, "t", subject={"type": "content", "id": "t"}, region=None), 1)])
    assert count_by_region(index.reader.tallies()).regions == {}
    assert count_all(index.reader.tallies()).verdicts == 1


@pytest.mark.parametrize(
    "position", [PagePosition(0, 0, 0), PagePosition(1_766_000_000_000, 31, 10**12), PagePosition(-1, 0, 5)]
)
def test_a_cursor_leads_back_to_its_position(position):
    cursor = position.cursor()
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert PagePosition.of_cursor(cursor) == position


@pytest.mark.parametrize("cursor", ["", "x", "?", "é", "MS4x", "1.1.1.1", "Mi4xLjEuMQ"])
def test_what_is_no_cursor_is_refused(cursor):
    with pytest.raises(CursorError):
        PagePosition.of_cursor(cursor)


def test_the_newest_verdict_on_a_user_is_the_first_of_the_page_of_that_user(index):
    records = [
        published(verdict(number, f"u{number % 7}"), 1_000 + number // 3, number % 7 % 2, number)
        for number in range(50)
    ]
    for first in range(0, 50, 9):
        index.add(records[first : first + 9])
        # One that comes again is no newer for it.
        index.add(records[:1])
        for user in ("u0", "u1", "u6"):
            page = index.reader.page(Filters(users=(user,)), None, 1)
            newest = page.verdicts[0].value if page.verdicts else None
            assert index.reader.newest_of(user) == newest
    assert index.reader.newest_of("nobody") is None


def test_the_count_is_that_of_the_rows_whatever_comes_again_or_goes(tmp_path):
    chance = random.Random(7)
    records = random_verdicts(600)

    def rows(index):
        (count,) = index.reader._db.execute("SELECT count(*) FROM verdicts").fetchone()
        return count

    index = Index(tmp_path, limit=200)
    for _ in range(40):
        index.add(chance.sample(records, chance.randint(1, 60)))
        if chance.random() < 0.2:
            index.writer.expire(1_000 + chance.randint(0, 100))
        if chance.random() < 0.1:
            index.close()
            index = Index(tmp_path, limit=200)
        if chance.random() < 0.05:
            index.writer.clear()
        assert index.reader.span(200, 0).verdicts == rows(index) <= 210
    index.close()


@pytest.mark.parametrize(
    "text", ["\x00", "\U0001f4fa é ü \u2028", 'say \\ "no"', "[1, null]", "\\u0000 </script>"]
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_is_published_comes_back_byte_for_byte(index, text, ascii_only):
    content = json.dumps(verdict(1, text, region=text), ensure_ascii=ascii_only).encode()
    key = f"{text}/rule".encode()
    content_of_alert = alert(summary=text, subject={"type": "user", "id": text})
    value = json.dumps(content_of_alert, ensure_ascii=ascii_only).encode()
    index.writer.add([Published(PagePosition(1, 0, 0), content)], {("topic", 3): 1 << 60})
    assert index.writer.fold([(key, value)], {}) == 0
    (found,) = index.all()
    assert found.value == content
    assert index.reader.newest_of(text) == content
    assert index.reader.alerts(5).values == [value]
    assert index.writer.next_offsets() == {("topic", 3): 1 << 60}
    index.writer.fold([(key, None)], {})
    assert index.reader.alerts(5).values == []


def test_what_is_no_text_is_refused_alone(index):
    broken = json.dumps(verdict(1, note="x")).encode().replace(b'"x"', b'"\xff"')
    assert index.add([Published(PagePosition(1, 0, 0), broken), published(verdict(2), 2)]) == 1
    assert len(index.all()) == 1
    good = json.dumps(alert()).encode()
    assert index.writer.fold([(b"\xff", good), (b"k", good[:-1] + b',"x":"\xff"}'), (b"l", good)], {}) == 2
    assert index.reader.alerts(5).values == [good]
