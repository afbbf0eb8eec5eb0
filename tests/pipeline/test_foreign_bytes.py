"""Whatever the bytes are: each reader of each topic, body and file gives a value or its own error.

The seeds are what ended workers, or could: deep nesting, long integers, broken encodings, numbers beyond a double. They
stand alone, and inside of documents that are valid otherwise.
"""

import io
import json
import random
from contextlib import suppress
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from rich.console import Console

from agents.alerts import AlertAgent
from agents.risk import RiskAgent, RiskTopics
from pipeline.cli.rendering import Filter, Record, envelope, render
from pipeline.delivery.flow.rekeying import Misplaced, Origins
from pipeline.delivery.metrics import Metrics
from pipeline.delivery.partitioner import Partitioner
from pipeline.delivery.state.changelog import decode_watermarks
from pipeline.delivery.state.unit import State
from pipeline.errors import UsageError
from pipeline.evaluation.evaluator import Evaluator
from pipeline.evaluation.model_book import IN_FORCE_KEY, ModelBook
from pipeline.evaluation.rule_book import RuleBook
from pipeline.events.decode import EventDecoder
from pipeline.events.foreign import UnreadableError
from pipeline.events.invalid import InvalidMessageError
from pipeline.judging.file import FileJudge
from pipeline.rules.inputs import shown_as_it_is
from pipeline.rules.ruleset import RuleSetError, built_in, parse_ruleset
from pipeline.titles.chunks import Chunk, SourceTime, chunk_messages
from pipeline.titles.figures import Figures
from pipeline.titles.levels import SubjectRules
from pipeline.titles.live import LiveTitles
from pipeline.titles.notes import DIMENSIONS, SubjectRows
from pipeline.titles.rows import pack_row
from pipeline.verdict_index.pages import Filters, PagePosition
from pipeline.verdict_index.queries import IndexQueries
from pipeline.verdict_index.store import connect, open_store
from pipeline.verdict_index.writer import IndexWriter, Published
from pipeline.web.access.accounts import read_users
from pipeline.web.access.audit_trail import newest_records
from pipeline.web.http.problems import Problem
from pipeline.web.install import ROUTES
from pipeline.web.views.events import split_body
from tables.alerts import AlertCodec
from tables.forms import WireError
from tables.risk import RiskCodec
from tables.titles import TitlesCodec
from tests.pipeline.events.messages import message
from tests.pipeline.titles.units import Records
from tests.pipeline.verdict_index.verdicts import alert, verdict

NOW = 1_767_225_600_000
EVALUATOR = Evaluator(built_in(), "1")
DEEP = [b"[" * depth + b"]" * depth for depth in (60, 300, 1_000)]
DEEP += [b'{"a":' * depth + b"1" + b"}" * depth for depth in (65, 5_000)]
NASTY = [
    b"",
    b"\x00",
    b"null",
    b"{",
    b'"',
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5_000,
    b"-" + b"9" * 60_000,
    b'"\\ud800"',
    b'"\\u0000"',
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"' + b"\\u0000" * 20_000 + b'"',
    b"[" * 100_000,
    *DEEP,
]
PACKED = [
    b"\x91" * 100_000,
    b"\xdd\xff\xff\xff\xff",
    b"\xa1\xff",
    b"\xc7\x01\xffa",
    b"\xd6\xff\xff\xff\xff\xff",
    b"\x80",
]
HEADS = [bytes((kind, 1)) for kind in b"UPRQSABCFHTX"]
"""How values of tables and chunks begin."""
REQUEST = {
    "schema": "privacy-request/1",
    "request_id": "r1",
    "user_id": "u1",
    "type": "delete",
    "timestamp": "2026-01-01T00:00:00Z",
}
AUDIT = {
    "schema": "audit-entry/1",
    "at": "2026-01-01T00:00:00.000Z",
    "who": "admin",
    "role": "admin",
    "action": "GET /rules",
    "subject": None,
    "allowed": True,
    "address": None,
}
FAILED = {"source": {"topic": "raw-events", "partition": 0, "offset": 1}, "payload": "{}"}
RULES = {"version": "1", "rules": {"account.multi_ip": {"mode": "shadow", "medium_over": 8}}}
TEMPLATES = [
    message(extra_metadata={"device_type": "tv"}),
    REQUEST,
    verdict(1),
    verdict(2, change="closed", source={"topic": "t", "partition": 0, "offset": 1}),
    alert(),
    AUDIT,
    FAILED,
    RULES,
]
MARK = "the place of a seed"


def planted(document, seed, chance):
    """A document in which a seed stands in the place of one member, or beside the members."""
    copy = json.loads(json.dumps(document))
    inner = copy
    while True:
        name = chance.choice([*inner, "unknown"])
        if isinstance(inner.get(name), dict) and inner[name] and chance.random() < 0.5:
            inner = inner[name]
            continue
        inner[name] = MARK
        return json.dumps(copy).encode().replace(b'"%s"' % MARK.encode(), seed)


@st.composite
def _planted(draw):
    chance = random.Random(draw(st.integers(0, 1 << 30)))
    return planted(draw(st.sampled_from(TEMPLATES)), draw(st.sampled_from(NASTY)), chance)


@st.composite
def _chunks(draw):
    """A message of a chunk with some bytes changed."""
    rows = draw(st.one_of(st.binary(max_size=80), st.just(ROW), st.sampled_from(PACKED)))
    dimensions = draw(st.sets(st.sampled_from(DIMENSIONS)))
    subjects = [
        SubjectRows(f"{dimension}:t", rows, ((1, "E1", "DE", 1),), (("users", "u", 1), ("regions", "DE", 1)))
        for dimension in sorted(dimensions)
    ]
    chunk = Chunk(0, 1, 0, 1, 1, subjects, [SourceTime("raw-events/0", NOW, True)])
    ((_, value),) = chunk_messages(chunk, [0] * len(subjects), 1)
    data = bytearray(value)
    for place, byte in draw(
        st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(0, 255)), max_size=4)
    ):
        data[place] = byte
    return bytes(data)


ROW = pack_row(1, 1, 1, 1, 0, 0, 0)
BYTES = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(NASTY + PACKED),
    st.tuples(st.sampled_from(HEADS), st.sampled_from(PACKED)).map(b"".join),
    _planted(),
    _chunks(),
)


def every_seed(test):
    for seed in NASTY + PACKED:
        test = example(seed)(test)
    for document in TEMPLATES:
        for name in ("unknown", "extra_metadata", "findings"):
            for seed in (DEEP[2], b"9" * 5_000):
                whole = json.dumps({**document, name: MARK}).encode()
                test = example(whole.replace(b'"%s"' % MARK.encode(), seed))(test)
    return given(BYTES)(test)


class Schema(msgspec.Struct):
    schema: str


class Memory(State):
    def load(self, key):  # noqa: ARG002 - nothing is stored elsewhere
        return None


def consumed(topic, value, headers=()):
    return SimpleNamespace(
        topic=topic,
        partition=0,
        offset=0,
        timestamp=NOW,
        timestamp_type=1,
        key=value[:300],
        value=value,
        headers=headers,
    )


@every_seed
def test_events_and_requests(value):
    """`raw-events`, `raw-events-rekeyed`, `privacy-requests`: the value, the key and the headers."""
    decoder = EventDecoder()
    for read in (decoder.event, decoder.request):
        with suppress(InvalidMessageError):
            read(value)
    topics = RiskTopics("raw", "rekeyed", "requests", "flagged", "failed", "journal")
    for accept_unproven in (False, True):
        _read_by_the_risk_agent(topics, value, accept_unproven=accept_unproven)


def _read_by_the_risk_agent(topics, value, *, accept_unproven):
    agent = RiskAgent(
        EVALUATOR,
        RuleBook(built_in()),
        ModelBook(),
        topics,
        Partitioner(1),
        Misplaced(Metrics(), "user id"),
        Origins(bytes(32), Metrics(), accept_unproven=accept_unproven),
    )
    names = ("origin-topic", "origin-partition", "origin-offset", "origin-timestamp", "origin-proof", "\x00")
    for topic in (topics.raw, topics.rekeyed, topics.requests):
        headers = [
            (name, b"7" * 40 if value[:1] == b"{" and name != names[0] else value[:200]) for name in names
        ]
        headers = (
            [header for header in headers if header[0] != "origin-proof"] if accept_unproven else headers
        )
        record = consumed(topic, value, headers)
        for output in agent.handle(Memory(0, lambda _: 0), [record]):
            if output.topic == topics.failed:
                assert json.loads(output.value)["reason"] != "processing_error"


@every_seed
def test_rule_sets(value):
    """`rule-config`, and rule set files."""
    book = RuleBook(built_in())
    book.offer(value, NOW, 0)
    assert book.refused is None or len(book.refused.reason) < 2_000
    with suppress(RuleSetError):
        parse_ruleset(value.decode("utf-8", "surrogateescape"))


@every_seed
def test_models(value):
    """`model-config`, and model files."""
    book = ModelBook()
    for key in (value, b"model/x", IN_FORCE_KEY):
        book.offer(key, value, NOW, 0)
    assert book.refused is None or len(book.refused.reason) < 2_000
    assert book.newest is None


@every_seed
def test_chunks(value):
    """`health-partials`: what is taken can be folded on, kept, and shown."""
    titles = LiveTitles(SubjectRules(built_in(), shown_as_it_is), ["raw-events/0"])
    records = Records()
    # Forged times may be of no calendar: the delivery passes over such a record.
    with suppress(ValueError, OverflowError):
        titles.fold(records, [(NOW, value)])
    for kept in records.values():
        if isinstance(kept, Figures):
            kept.settle(None)
            kept.totals()
            assert TitlesCodec().decode(TitlesCodec().encode(kept)) == kept


@every_seed
def test_verdicts_that_the_alert_agent_reads(value):
    """`flagged-events`."""
    state = Memory(0, lambda _: 0)
    agent = AlertAgent("risk-alerts")
    outputs = agent.handle(state, [consumed("flagged-events", value), consumed("flagged-events", value)])
    for key in state.dirty:
        if key in state.cache:
            assert len(AlertCodec().encode(state.cache[key])) < 1_000_000
    assert all(output.size < 1_000_000 for output in outputs)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "verdicts.sqlite3"
    writer = IndexWriter(open_store(path, ("flagged-events", "risk-alerts")), 1_000)
    reader = IndexQueries(connect(path))
    yield writer, reader
    writer.close()
    reader.close()


@every_seed
def test_the_verdict_index(index, value):
    """`flagged-events` and `risk-alerts`: and what the views read is what they promise."""
    writer, reader = index
    writer.add([Published(PagePosition(NOW, 0, 0), value)], {("flagged-events", 0): 1})
    writer.fold([(value[:500], value), (b"k", value), (b"k", None)], {("risk-alerts", 0): 1})
    for found in reader.page(Filters(), None, 1_000).verdicts:
        assert msgspec.json.decode(found.value, type=Schema).schema == "risk-verdict/1"
    reader.alerts(1_000)
    reader.tallies()


@every_seed
def test_the_audit_trail(value):
    newest_records([value, json.dumps(AUDIT).encode(), value], 10)


@every_seed
def test_bodies(value):
    """Every body of every route."""
    for body in {
        route.body.model for route in ROUTES if route.body is not None and route.body.model is not None
    }:
        with suppress(ValidationError):
            body.model_validate_json(value)
    for lines in (True, False):
        values = []
        with suppress(Problem):
            values, _ = split_body(value, lines=lines)
        for one in values:
            with suppress(InvalidMessageError):
                EventDecoder().event(one)


@pytest.mark.slow
@pytest.mark.essential
@every_seed
def test_files(value):
    """`ott judge` and `ott tail`."""
    for output in FileJudge(EVALUATOR).judge(io.BytesIO(value)):
        if output.kind == "failed":
            assert json.loads(output.value)["reason"] != "processing_error"
    console = Console(file=io.StringIO())
    for topic in ("flagged-events", "failed-events", "audit-trail", "control-journal"):
        record = Record(topic, 0, 0, NOW, value[:200], value)
        Filter("LOW", "privacy", "u").admits(record)
        console.print(render(record))
        envelope(record).encode()


@every_seed
def test_users_files(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "users.json"
    path.write_bytes(value)
    with suppress(UsageError):
        read_users(path)


@every_seed
def test_changelogs(value):
    """Another one than us writes them only against the rules of the cluster; even then the error is named."""
    for codec in (RiskCodec(), AlertCodec(), TitlesCodec()):
        with suppress(WireError, UnreadableError):
            codec.decode(value)
    with suppress(ValueError):
        decode_watermarks(value)
