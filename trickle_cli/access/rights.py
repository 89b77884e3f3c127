"""What can be granted, and to whom it has been."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import lru_cache
from typing import Final


class Right(enum.Enum):
    """What one may do with a channel."""

    PUBLISH = "publish"  # segments, and end them
    SUBSCRIBE = "subscribe"
    CREATE = "create"
    CLOSE = "close"
    LIST = "list"
    HOLD = "hold"  # back the publisher of a lossless channel, by reading slowly


@dataclass(frozen=True, kw_only=True)
class Grant:
    """`rights` on all channels whose names match one of `channels`: `*` in these stands
    for any run of characters, and nothing else is special."""

    rights: frozenset[Right]
    channels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody with rights. `name` is for logs; `expires` is in seconds since 1970."""

    name: str
    grants: tuple[Grant, ...]
    expires: float | None = None

    def may(self, right: Right, channel: str) -> bool:
        """Whether `right` on `channel` is among what was granted."""
        return _covers(self.grants, right, channel)

    def may_somewhere(self, right: Right) -> bool:
        """Whether there are channels on which `right` was granted."""
        return any(right in grant.rights and grant.channels for grant in self.grants)


#: Where there is no access control, everyone may do everything.
EVERYTHING: Final = Caller(
    name="", grants=(Grant(rights=frozenset(Right), channels=("*",)),)
)


@lru_cache(maxsize=8192)  # the same few, for every request
def _covers(grants: tuple[Grant, ...], right: Right, channel: str) -> bool:
    return any(
        right in grant.rights
        and any(_matches(pattern, channel) for pattern in grant.channels)
        for grant in grants
    )


def _matches(pattern: str, name: str) -> bool:
    """By looking for the parts between the stars, each as early as can be, which is
    enough. (As a regular expression, a pattern of many stars would take for ever.)"""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    start, end = len(first), len(name) - len(last)
    if start > end or not (name.startswith(first) and name.endswith(last)):
        return False
    for part in middle:
        found = name.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True
