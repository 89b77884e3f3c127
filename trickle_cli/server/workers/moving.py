"""A connection that can go to another process, between two requests.

What tells where it belongs is the head of a request, and by then some of the request
has been read. The parser does not say which bytes a head was made of. So the connection
knows when it is at rest, with nothing half done, and from then on keeps the raw bytes,
until it turns out that the request is for here. Usually that is within one call: they
are copied only when they go, or while a head comes in pieces.

A request that came behind another in the same read cannot go anywhere: its connection
ends when what was before it has been answered, and the client asks again, as it must be
ready to with requests that it pipelines (RFC 9112, 9.3.2).
"""

from __future__ import annotations

from typing import Any

from trickle_cli.protocol.events import Buffer
from trickle_cli.server.connection import Connection


class MovableConnection(Connection):
    """`host` is the address of its peer, if that has one; `origin` is the seat of the
    worker that it has come from, as long as its first request is being routed; `hops`
    how many it has passed through for that."""

    __slots__ = (
        "_before",
        "_is_measured",
        "_kept",
        "_present",
        "hops",
        "host",
        "origin",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.origin: int | None = None
        self.hops = 0
        self.host = ""
        self._kept = b""  # of a head that is not complete
        self._present: Buffer | None = None  # that goes on from there
        self._is_measured = False
        self._before = 0  # requests before those bytes

    def received(self, data: Buffer) -> None:
        if not (self._kept or self.is_at_rest):
            super().received(data)
        else:
            self._receive_first(data)
        if self.hold is not None and not self._is_measured:
            self._is_measured = True
            self.unacknowledged()  # what is far away begins to count

    def _receive_first(self, data: Buffer) -> None:
        """`data` begins a request, or goes on with its head."""
        self._present = data
        self._before = self._served
        super().received(data)
        self._present = None
        if self._served == self._before and self._parser.in_head and not self._closing:
            self._kept += data
        else:
            self._kept = b""

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing has come that is not answered."""
        return (
            self.exchange is None
            and self._body_done
            and not self._parser.in_head
            and not (self._events or self._errands or self._owed)
            and not (self._closing or self._discarding or self._closed)
        )

    @property
    def can_move(self) -> bool:
        """Whether the present request can go elsewhere."""
        return self._present is not None and self._served == self._before + 1

    @property
    def is_idle(self) -> bool:
        """Whether it can go without a request, or with the beginning of one."""
        return self.is_at_rest or bool(self._kept)

    def take_leave(self) -> bytes:
        """Let go of the transport, which is the caller's: what has come of it that is
        not answered. Nobody here knows of the connection any more."""
        data = self._kept + bytes(self._present or b"")
        if self.hold is not None:
            self.hold.took()
            hold, self.hold = self.hold, None
            hold.flow.leave(hold, is_taken=hold.is_taken())
        self._closed = True
        self.entry = None
        self._events.clear()
        self._parser.close()
        self._on_close(self)
        return data

    def break_off(self) -> None:
        """The present request cannot be served here, nor go: end, when what was before
        it has been answered."""
        self.entry = None
        self._events.clear()
        self._closing = True
