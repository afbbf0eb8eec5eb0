"""A dictionary of bounded size, for results that can be computed again and for counts that may be forgotten."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(OrderedDict[K, V]):
    """A dictionary that drops its oldest key when a new one does not fit. Setting a key again makes it the newest.

    Reading is as fast as with a plain `dict`. Only `bounded[key] = value` keeps the bound and the order: do not use
    `update` or `setdefault`.

    Args:
        limit: the largest number of keys.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._limit:
            self.popitem(last=False)
