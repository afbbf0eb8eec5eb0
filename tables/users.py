"""The form of a user's state: compact, versioned, the same bytes for the same state.

Version 4 is the two bytes `U`, 4, and the MessagePack array `_User`. The window's entries are stored by column. Times
are milliseconds before the stream time. Regions, networks and devices are numbers into a list of names in order of
first use, and so are the hashes of titles. So an event in the window costs 25 bytes, and each name is stored once.
"""

import struct
from struct import Struct, pack, unpack
from typing import Final, Generic, TypeVar

import msgspec

from pipeline.windows.entry import Entry
from pipeline.windows.privacy import NO_RECORD, Mark, PrivacyRecord
from pipeline.windows.score import Score
from pipeline.windows.user import LastEvent, LastPlace, UserState
from pipeline.windows.window import Window
from tables.forms import Form, Kind, WireError

VERSION: Final = 4
_N = TypeVar("_N", str, int)
_BYTE: Final = 256
"""How many names one byte can number. More names, of which a window has at most 4,096, take two bytes each."""


class _Names(msgspec.Struct, Generic[_N], array_like=True, frozen=True):
    """One column of names: the distinct names in order of first use, and each entry's number as one or two bytes."""

    names: list[_N]
    numbers: bytes


class _Columns(msgspec.Struct, array_like=True, frozen=True):
    times: bytes
    hashes: bytes
    regions: _Names[str]
    networks: _Names[str]
    devices: _Names[str]
    kinds: bytes
    titles: _Names[int]


_ONE_AGE: Final = Struct("<I").pack
_ONE_PAIR: Final = Struct("<2Q").pack
_FIRST: Final = b"\x00"

_MarkTimes = tuple[int | None, int | None, int | None]
# Flags in the order of `LastEvent` (bit 0 first), user_age, data_shared, plan, place_before.
_LastEventFields = tuple[int, int | None, str, str | None, tuple[str, int] | None]
_FLAGS: Final = 5


class _Beginning(msgspec.Struct, array_like=True, frozen=True):
    """The first fields of `_User`, for readers that need no more: msgspec skips the rest of the array."""

    stream_time: int | None
    last_record_time: int


class _WithoutWindow(_Beginning, array_like=True, frozen=True):
    """`_User` without its last field. The window is nearly all of the bytes, so skipping it saves most of the time."""

    left_early: int | None
    last_place: tuple[str, int] | None
    privacy: tuple[_MarkTimes, _MarkTimes, int | None, int | None] | None
    last_event: _LastEventFields | None
    score: Score | None


class _User(_WithoutWindow, array_like=True, frozen=True):
    """The whole array, in the order of its fields."""

    window: _Columns | None


_FORM: Final = Form(Kind.USER, VERSION, _User, "user")
_FORM_WITHOUT_WINDOW: Final = Form(Kind.USER, VERSION, _WithoutWindow, "user")
_FORM_OF_BEGINNING: Final = Form(Kind.USER, VERSION, _Beginning, "user")


def encode_user(state: UserState) -> bytes:
    """The bytes of a state."""
    window, privacy = state.window, state.privacy
    return _FORM.encode(
        _User(
            state.stream_time,
            state.last_record_time,
            window.left_early,
            state.last_place,
            None if privacy == NO_RECORD else _privacy_times(privacy),
            None if state.last_event is None else _last_event_fields(state.last_event),
            state.score,
            _columns(window.entries, state.stream_time)
            if window.entries and state.stream_time is not None
            else None,
        )
    )


def decode_user(value: bytes) -> UserState:
    """The state of bytes that `encode_user` made.

    Raises:
        WireError: the bytes are of another kind or version, or damaged.
    """
    user = _FORM.decode(value)
    try:
        entries = (
            () if user.window is None or user.stream_time is None else _entries(user.window, user.stream_time)
        )
        window = Window(entries, user.left_early)
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise WireError("user", value) from error
    return _state(user, window)


def decode_without_window(value: bytes) -> UserState:
    """The same state with an empty window: the window in the bytes is not read, which is much faster.

    Raises:
        WireError: as `decode_user`.
    """
    return _state(_FORM_WITHOUT_WINDOW.decode(value), Window())


def _state(user: _WithoutWindow, window: Window) -> UserState:
    return UserState(
        user.stream_time,
        window,
        None if user.last_place is None else LastPlace(*user.last_place),
        user.last_record_time,
        NO_RECORD if user.privacy is None else _privacy(user.privacy),
        None if user.last_event is None else _last_event(user.last_event),
        user.score,
    )


def last_record_time_of(value: bytes) -> int:
    """Only `UserState.last_record_time` of bytes that `encode_user` made.

    Raises:
        WireError: as `decode_user`.
    """
    return _FORM_OF_BEGINNING.decode(value).last_record_time


def _columns(entries: list[Entry], stream_time: int) -> _Columns:
    if len(entries) == 1:
        # Every new user has a window of one entry, so this case has a short way of its own.
        time, identity, content, region, network, device, kind, title = entries[0]
        age, hashes = _ONE_AGE(stream_time - time), _ONE_PAIR(identity, content)
        return _Columns(
            age,
            hashes,
            _Names([region], _FIRST),
            _Names([network], _FIRST),
            _Names([device], _FIRST),
            bytes((kind,)),
            _Names([title], _FIRST),
        )
    times, identities, contents, regions, networks, devices, kinds, titles = zip(*entries, strict=True)
    count = len(entries)
    return _Columns(
        pack(f"<{count}I", *[stream_time - time for time in times]),
        pack(f"<{2 * count}Q", *identities, *contents),
        _number(regions),
        _number(networks),
        _number(devices),
        bytes(kinds),
        _number(titles),
    )


def _entries(columns: _Columns, stream_time: int) -> list[Entry]:
    count = len(columns.kinds)
    hashes = unpack(f"<{2 * count}Q", columns.hashes)
    return [
        Entry._make(row)
        for row in zip(
            [stream_time - age for age in unpack(f"<{count}I", columns.times)],
            hashes[:count],
            hashes[count:],
            _named(columns.regions, count),
            _named(columns.networks, count),
            _named(columns.devices, count),
            columns.kinds,
            _named(columns.titles, count),
            strict=True,
        )
    ]


def _number(column: tuple[_N, ...]) -> _Names[_N]:
    distinct = dict.fromkeys(column)
    if len(distinct) == 1:
        # By far the most common case: one home, one line, one television.
        return _Names([column[0]], bytes(len(column)))
    names = {name: number for number, name in enumerate(distinct)}
    numbers = map(names.__getitem__, column)
    if len(names) <= _BYTE:
        return _Names(list(names), bytes(numbers))
    return _Names(list(names), pack(f"<{len(column)}H", *numbers))


def _named(column: _Names[_N], count: int) -> list[_N]:
    names = column.names
    numbers = column.numbers if len(names) <= _BYTE else unpack(f"<{count}H", column.numbers)
    return [names[number] for number in numbers]


def _privacy_times(privacy: PrivacyRecord) -> tuple[_MarkTimes, _MarkTimes, int | None, int | None]:
    return (
        (privacy.opt_out.since, privacy.opt_out.last, privacy.opt_out.until),
        (privacy.deletion.since, privacy.deletion.last, privacy.deletion.until),
        privacy.consent_given,
        privacy.consent_withdrawn,
    )


def _privacy(times: tuple[_MarkTimes, _MarkTimes, int | None, int | None]) -> PrivacyRecord:
    opt_out, deletion, given, withdrawn = times
    return PrivacyRecord(Mark(*opt_out), Mark(*deletion), given, withdrawn)


def _last_event_fields(last: LastEvent) -> _LastEventFields:
    flags = sum(1 << bit for bit, flag in enumerate(last[:_FLAGS]) if flag)
    return flags, last.user_age, last.data_shared, last.plan, last.place_before


def _last_event(fields: _LastEventFields) -> LastEvent:
    flags, user_age, data_shared, plan, place = fields
    is_eu, has_consent, do_not_track, deletion_requested, gpc = (
        bool(flags >> bit & 1) for bit in range(_FLAGS)
    )
    return LastEvent(
        is_eu,
        has_consent,
        do_not_track,
        deletion_requested,
        gpc,
        user_age,
        data_shared,
        plan,
        None if place is None else LastPlace(*place),
    )
