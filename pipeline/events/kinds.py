"""Event types and their normal form."""

from typing import Final

PLAYBACK: Final = frozenset({"PLAY", "PAUSE", "RESUME", "SEEK", "STOP", "HEARTBEAT", "BUFFERING", "ERROR"})
ACCOUNT: Final = frozenset(
    {
        "LOGIN",
        "LOGIN_FAILED",
        "LOGOUT",
        "DOWNLOAD",
        "PURCHASE",
        "PROFILE_UPDATE",
        "TOKEN_REFRESH",
        "TOKEN_REFRESH_FAILED",
    }
)
OTHER: Final = "OTHER"
"""Stands for every type that the contract does not name. All rules judge such events, but they never play or fail."""

ALIASES: Final = {"STREAM_START": "PLAY", "STREAM_PAUSE": "PAUSE", "STREAM_END": "STOP"}

_CANONICAL: Final = {kind: kind for kind in PLAYBACK | ACCOUNT} | ALIASES
_UPPER: Final = {ord(letter): ord(letter) - 32 for letter in "abcdefghijklmnopqrstuvwxyz"}


def ascii_upper(text: str) -> str:
    """Upper-case ASCII letters only. By Unicode's rules a dotless i or a long s would match a type too."""
    return text.translate(_UPPER)


def canonical_type(raw: str) -> str:
    """The normal form of an event type; `OTHER` for one that the contract does not name."""
    return _CANONICAL.get(ascii_upper(raw), OTHER)
