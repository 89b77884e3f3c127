"""One of a publisher's two connections, and what is under way on it."""

from __future__ import annotations

from collections import deque

from trickle_cli.client.connection import Connection
from trickle_cli.client.outgoing import Outgoing


class Lane:
    """A connection, and the requests on it.

    `requests` are the segments that have begun here and are not answered yet, in order:
    their answers come so. All but the last have ended. The first `on_wire` of them have
    been sent on `connection`, which has brought `answers` so far.

    `seq` is the segment of a request that has not begun, None if there is none. `owed`
    is its head, if that is to go out with the first bytes of the body. Else `waits` is
    since when (trio's clock) the server knows of it.

    `is_mending`: the connection broke, and another is on the way, on which `requests`
    are sent again. `is_untouched`: the server has not looked at any of them.
    `is_refused`: it did not take one of them, and may have taken what is behind that.
    """

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.requests: deque[Outgoing] = deque()
        self.on_wire = 0
        self.answers = 0
        self.seq: int | None = None
        self.owed = b""
        self.waits: float | None = None
        self.is_opening = False
        self.is_mending = False
        self.is_untouched = False
        self.is_refused = False

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing on it."""
        return self.seq is None and not (
            self.requests or self.is_opening or self.is_mending
        )

    @property
    def is_in_segment(self) -> bool:
        """Whether its newest segment has not ended."""
        return bool(self.requests) and not self.requests[-1].ended

    def is_on(self, connection: Connection | None) -> bool:
        """Whether `connection` is the one that it uses."""
        return self.connection is connection is not None

    def use(self, connection: Connection) -> None:
        """From now on it uses that, on which nothing has been sent yet."""
        self.connection = connection
        self.on_wire = self.answers = 0
        self.is_untouched = False

    def leave(self) -> None:
        """It has no connection any more."""
        self.connection = None
        self.on_wire = 0

    def withdraw(self) -> None:
        """The request that has not begun is not on it any more."""
        self.seq = None
        self.owed = b""
        self.waits = None

    def begin(self, outgoing: Outgoing) -> bytes:
        """The request for `outgoing` begins; what of its head is to be sent."""
        owed = self.owed
        self.withdraw()
        self.requests.append(outgoing)
        self.on_wire += 1
        return owed

    def remove(self, outgoing: Outgoing) -> None:
        """There is nothing more to come of `outgoing`."""
        if self.on_wire and self.requests.index(outgoing) < self.on_wire:
            self.on_wire -= 1
        self.requests.remove(outgoing)
