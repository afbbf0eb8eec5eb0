"""Event types: named ones in any ASCII case, aliases, and OTHER."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.kinds import ACCOUNT, ALIASES, OTHER, PLAYBACK, canonical_type

NAMED = sorted(PLAYBACK | ACCOUNT)


def test_the_named_types_are_those_of_the_contract():
    assert sorted(PLAYBACK) == ["BUFFERING", "ERROR", "HEARTBEAT", "PAUSE", "PLAY", "RESUME", "SEEK", "STOP"]
    assert sorted(ACCOUNT) == [
        "DOWNLOAD",
        "LOGIN",
        "LOGIN_FAILED",
        "LOGOUT",
        "PROFILE_UPDATE",
        "PURCHASE",
        "TOKEN_REFRESH",
        "TOKEN_REFRESH_FAILED",
    ]


@given(st.sampled_from(NAMED), st.randoms())
def test_a_named_type_is_itself_in_any_case(kind, random):
    assert canonical_type("".join(random.choice((char.lower(), char)) for char in kind)) == kind


@pytest.mark.parametrize(
    ("alias", "kind"), [("stream_start", "PLAY"), ("stream_pause", "PAUSE"), ("stream_end", "STOP")]
)
def test_aliases_in_any_case(alias, kind):
    assert canonical_type(alias) == canonical_type(alias.upper()) == canonical_type(alias.title()) == kind


@given(st.text(max_size=50))
def test_every_other_type_is_other(raw):
    known = {*NAMED, *ALIASES}
    assert (canonical_type(raw) == OTHER) == (raw.encode().upper().decode() not in known)


@pytest.mark.parametrize(
    "raw",
    [
        # Letters that Unicode upper-cases or folds into ASCII: long s, dotless i, Kelvin sign.
        "\u017ftop",
        "LOG\u0131N",
        "SEE\u212a",
        "\uff30\uff2c\uff21\uff39",
        "PLAY ",
        " PLAY",
        "PLAY\n",
        "STREAM-START",
        "OTHER",
        "other",
    ],
)
def test_what_only_looks_like_a_named_type_is_other(raw):
    assert canonical_type(raw) == OTHER
