"""Declared edits: what each step does, and that none of them fails on whatever the document is."""

import json
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.evaluation.failed import failed_event
from pipeline.evaluation.source import Source
from pipeline.events.invalid import ErrorDetail
from pipeline.history.edits import edited, parse_edits
from pipeline.history.failed import _read_failed

HEAD = b"[[edit]]\nsteps = ["


def only(steps: str):
    (edit,) = parse_edits(HEAD + steps.encode() + b"]", "edits.toml").edit
    return edit


@pytest.mark.parametrize(
    ("steps", "before", "after"),
    [
        ('{op="set", path="/a", value=1}', {}, {"a": 1}),
        ('{op="set", path="/a/b", value=1}', {"a": {}}, {"a": {"b": 1}}),
        ('{op="set", path="/a/b", value=1}', {"a": [1]}, {"a": [1]}),
        ('{op="set", path="/a~1b~0c", value=1}', {}, {"a/b~c": 1}),
        ('{op="remove", path="/a"}', {"a": 1, "b": 2}, {"b": 2}),
        ('{op="remove", path="/none"}', {"b": 2}, {"b": 2}),
        ('{op="rename", path="/a", to="/c"}', {"a": 1}, {"c": 1}),
        ('{op="rename", path="/a", to="/b"}', {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        ('{op="rename", path="/a", to="/b/c"}', {"a": 1, "b": {}}, {"b": {"c": 1}}),
        ('{op="cast", path="/a", to="integer"}', {"a": "25"}, {"a": 25}),
        ('{op="cast", path="/a", to="integer"}', {"a": 25.0}, {"a": 25}),
        ('{op="cast", path="/a", to="integer"}', {"a": 25.5}, {"a": 25.5}),
        ('{op="cast", path="/a", to="integer"}', {"a": True}, {"a": True}),
        ('{op="cast", path="/a", to="number"}', {"a": "1.5"}, {"a": 1.5}),
        ('{op="cast", path="/a", to="number"}', {"a": "nan"}, {"a": "nan"}),
        ('{op="cast", path="/a", to="number"}', {"a": 2**53 + 1}, {"a": 2**53 + 1}),
        ('{op="cast", path="/a", to="boolean"}', {"a": "TRUE"}, {"a": True}),
        ('{op="cast", path="/a", to="boolean"}', {"a": "perhaps"}, {"a": "perhaps"}),
        ('{op="cast", path="/a", to="string"}', {"a": 25}, {"a": "25"}),
        ('{op="cast", path="/a", to="string"}', {"a": True}, {"a": "true"}),
        ('{op="cast", path="/a", to="string"}', {"a": None}, {"a": None}),
        ('{op="set", path="/a", value=1}, {op="rename", path="/a", to="/b"}', {}, {"b": 1}),
    ],
)
def test_steps(steps: str, before: dict, after: dict) -> None:
    given_document = deepcopy(before)
    found = edited(before, only(steps))
    assert (found, list(map(type, found.values()))) == (after, list(map(type, after.values())))
    assert before == given_document, "the message itself stays as it is"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), JSON))
def test_no_document_is_too_strange(document: dict) -> None:
    for to in ("integer", "number", "boolean", "string"):
        edit = only(
            f'{{op="cast", path="/a", to="{to}"}}, {{op="rename", path="/b/a", to="/c/b"}}, '
            '{op="remove", path="/c/a"}, {op="set", path="/a/b/c", value=[1]}'
        )
        json.dumps(edited(document, edit))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"edit = []",
        b"\xff",
        b'[[edit]]\nsteps = [{op="run", path="/a"}]',
        b'[[edit]]\nsteps = [{op="set", path="a", value=1}]',
        b'[[edit]]\nsteps = [{op="remove", path="/a", value=1}]',
        b'[[edit]]\nsteps = [{op="cast", path="/a", to="date"}]',
        b'[[edit]]\nwhen = "always"\nsteps = []',
    ],
)
def test_what_is_no_file_of_edits_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"edits\.toml"):
        parse_edits(data, "edits.toml")


def test_an_edit_is_for_the_events_that_have_all_it_names() -> None:
    source = Source("raw-events", 0, 7, None, None)
    errors = [ErrorDetail("user_age", "must be an integer", "int_type")]
    event = _read_failed(failed_event("schema_violation", errors, source, b"{}", "raw-event/1", "1.0"))
    for words, matches in {
        "": True,
        'reason = "schema_violation"': True,
        'reason = "not_json"': False,
        'path = "user_age"\napp_version = "1.0"': True,
        'path = "region"': False,
        'path = "user_age"\napp_version = "2.0"': False,
    }.items():
        (edit,) = parse_edits(f"[[edit]]\n{words}\nsteps = []".encode(), "edits.toml").edit
        assert edit.matches(event) is matches
