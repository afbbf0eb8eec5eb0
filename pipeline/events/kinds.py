"""Event types: what a television or an account did."""

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
"""Every type that the contract does not name; all rules judge it, it never plays or fails."""

ALIASES: Final = {"STREAM_START": "PLAY", "STREAM_PAUSE": "PAUSE", "STREAM_END": "STOP"}

_CANONICAL: Final = {kind: kind for kind in PLAYBACK | ACCOUNT} | ALIASES
_UPPER: Final = {ord(letter): ord(letter) - 32 for letter in "abcdefghijklmnopqrstuvwxyz"}


def ascii_upper(text: str) -> str:
    """Upper-case ASCII letters only: Unicode's rules would make a Turkish or long-s letter match."""
    return text.translate(_UPPER)


def canonical_type(raw: str) -> str:
    """The event type in its normal form; `OTHER` for one that the contract does not name."""
    return _CANONICAL.get(ascii_upper(raw), OTHER)
