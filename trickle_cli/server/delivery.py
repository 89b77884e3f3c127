"""The answer to one GET on its way: a reader of a segment that speaks HTTP.

The head goes out with the segment's first byte (or its end), never before: a
client takes it to mean "this segment has begun". What is complete by then is sent
with its Content-Length, anything else chunked, or to an HTTP/1.0 reader until the
connection closes.

While the reader is live, `push` sends each piece in one non-blocking call. All
readers in the same state send the same bytes, which are rendered once for each
piece. When the peer takes less than that, what it owes is worked out from three
things, not kept in a buffer: the cursor, the bytes still missing from the chunk
that was announced (`_frame_left`), and any unsent rest of head and framing
(`_owed`). An errand then pulls, many stored chunks to one HTTP chunk, until the
cursor is at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import trio

from trickle_cli.errors import LimitReached
from trickle_cli.protocol.http1 import CRLF, LAST_CHUNK, Request, chunk_head
from trickle_cli.protocol.responses import encode_segment_head
from trickle_cli.relay import Channel, Piece, Reader, Segment
from trickle_cli.server.answers import ended, full
from trickle_cli.server.connection import Connection
from trickle_cli.server.transport import Disconnected

#: The most that a late reader is sent with one call, in bytes.
PULL_SIZE: Final = 256 * 1024

#: A piece up to this many bytes is joined with its framing, once for all readers;
#: a larger one is sent from where it lies.
_JOIN_SIZE: Final = 16 * 1024

# The states of an answer; a piece's renderings are kept by them.
_HEAD: Final = 0  # nothing is sent yet
_HEAD_CLOSING: Final = 1  # the same, and the connection ends with this answer
_HEAD_HTTP10: Final = 2
_CHUNKED: Final = 3  # the head is sent, chunks follow
_PLAIN: Final = 4  # the head is sent, bare content follows


class _Batch(NamedTuple):
    """What goes out with one call: protocol bytes, content, protocol bytes."""

    lead: bytes
    views: Sequence[bytes | memoryview]
    size: int  # of the views together
    tail: bytes
    last: bool  # whether the answer ends with it


class Delivery(Reader):
    """The exchange of one GET on `connection`. `start` attaches it."""

    __slots__ = (
        "_channel",
        "_closing",
        "_connection",
        "_done",
        "_ending",
        "_frame_left",
        "_owed",
        "_state",
        "_to_come",
        "_transport",
    )

    def __init__(
        self, connection: Connection, channel: Channel, request: Request
    ) -> None:
        super().__init__()
        self._connection = connection
        self._transport = connection.transport
        self._channel = channel
        self._closing = not request.keep_alive
        self._state = _HEAD_CLOSING if self._closing else _HEAD
        if request.http10:
            self._state = _HEAD_HTTP10
        self._owed = b""
        self._frame_left = 0
        self._to_come: int | None = None  # of the Content-Length announced
        self._ending = False  # the rest of the last chunk is in _owed
        self._done = False

    def start(self, segment: Segment) -> None:
        """Deliver `segment`, or wait for it. LimitReached."""
        self._channel.attach(self, segment)
        self._connection.exchange = self
        if not self.late:
            return
        if segment.ended and segment.size <= PULL_SIZE:
            caught_up = self.push(segment.as_piece())
        else:
            caught_up = self.advance()
        if not caught_up:
            self.wake()

    # Live: the task that appends sends for us.

    def push(self, piece: Piece) -> bool:
        rendering = piece.renderings.get(self._state)
        if rendering is None:
            rendering = piece.renderings[self._state] = self._render(piece)
        lead, tail, buffers, size = rendering
        if len(buffers) == 1:
            taken = self._transport.send_nowait(buffers[0])
        else:
            taken = self._transport.sendv_nowait(buffers)
        if self._state < _CHUNKED:
            self._follow_head(piece.ended, piece.size)
        if taken == size:
            if piece.ended:
                self._finish()
            return True
        self.start_at(piece.index, piece.offset)
        self._settle(_Batch(lead, piece.chunks, piece.size, tail, piece.ended), taken)
        return False

    def _render(self, piece: Piece) -> tuple[bytes, bytes, list[bytes], int]:
        """The bytes that `piece` is on the wire, for readers in our state: what
        comes before its content, what after, all of it as buffers, and its size."""
        size = piece.size
        lead = b""
        chunked = self._state == _CHUNKED
        if self._state < _CHUNKED:
            lead = self._head(size if piece.ended else None)
            chunked = not piece.ended and self._state != _HEAD_HTTP10
        tail = b""
        if chunked:
            tail = LAST_CHUNK if piece.ended else b""
            if size:
                lead += chunk_head(size)
                tail = CRLF + tail
        buffers = [lead, *piece.chunks, tail]
        if size <= _JOIN_SIZE:
            buffers = [b"".join(buffers)]
        elif not tail:
            buffers.pop()  # some platforms refuse an empty buffer
        return lead, tail, buffers, len(lead) + size + len(tail)

    def _head(self, length: int | None) -> bytes:
        channel, segment = self._channel, self.segment
        assert segment is not None
        return encode_segment_head(
            channel.about,
            segment.seq,
            channel.head,
            length=length,
            incomplete=segment.incomplete,
            close=self._closing,
            http10=self._state == _HEAD_HTTP10,
        )

    def _follow_head(self, ended: bool, size: int) -> None:  # noqa: FBT001
        """The head goes out: from now on, what follows it."""
        if ended:
            self._to_come = size
        plain = ended or self._state == _HEAD_HTTP10
        self._state = _PLAIN if plain else _CHUNKED

    def _tail(self, size: int, *, ended: bool) -> bytes:
        """What comes after `size` bytes of content."""
        if self._state == _PLAIN:
            return b""
        return (CRLF if size else b"") + (LAST_CHUNK if ended else b"")

    # Late: pulled, at once as far as the peer takes it, then in an errand.

    def wake(self) -> None:
        self._connection.run_errand(self._catch_up)

    async def _catch_up(self) -> None:
        """Send until the cursor is at the end. Raises Disconnected if the peer
        goes, or if the rest of the segment is not to be had."""
        if not self.late:
            return
        while (batch := self._next_batch()) is not None:
            buffers = [part for part in (batch.lead, *batch.views, batch.tail) if part]
            taken = await self._transport.sendv(buffers) if buffers else 0
            self._settle(batch, taken)
        self._rejoin()

    def advance(self) -> bool:
        while not self._is_stuck() and (batch := self._next_batch()) is not None:
            buffers = [part for part in (batch.lead, *batch.views, batch.tail) if part]
            taken = self._transport.sendv_nowait(buffers) if buffers else 0
            if not self._settle(batch, taken):
                return False
        if self._is_stuck():
            return False
        self._rejoin()
        return True

    def _is_stuck(self) -> bool:
        """Whether the segment was cut, which the owner must see to."""
        return self.segment is not None and self.segment.cut

    def _rejoin(self) -> None:
        if self._done:
            return
        assert self.segment is not None
        if not self.segment.ended:
            self.segment.go_live(self)
            return
        # It was cut short. A chunked body shows that by having no last chunk; one
        # that lasts until the connection closes, only by the way it closes.
        self._connection.close(fail=self._state == _PLAIN)

    def _next_batch(self) -> _Batch | None:
        """What to send next; None if there is nothing for now."""
        segment = self.segment
        if self._done or segment is None:
            return None
        lead = self._owed
        if self._state < _CHUNKED:
            lead = self._head(segment.size if segment.ended else None)
            self._follow_head(segment.ended, segment.size)
        if self._ending:
            return _Batch(lead, [], 0, b"", last=True)
        views, size = self.available(self._frame_left or PULL_SIZE)
        if size < self._frame_left or (self._to_come and not size):
            raise Disconnected(f"segment {segment.seq} is no longer held")
        if self._state == _CHUNKED and size and not self._frame_left:
            lead += chunk_head(size)
        last = segment.is_whole_at(self.index, self.offset, size)
        if self._to_come is not None:
            last = self._to_come == size
        tail = self._tail(size, ended=last)
        if not (lead or size or tail or last):
            return None
        return _Batch(lead, views, size, tail, last)

    def _settle(self, batch: _Batch, taken: int) -> bool:
        """Note that `taken` bytes of `batch` are sent. True if those were all."""
        lead, _, size, tail, last = batch
        sent = min(max(taken - len(lead), 0), size)
        if taken < len(lead):
            self._owed = lead[taken:]
        elif sent < size:
            self._owed = b""
        else:
            self._owed = tail[taken - len(lead) - size :]
            self._ending = last and bool(self._owed)
        if sent:
            self.move(sent)
        self._frame_left = size - sent if self._state == _CHUNKED else 0
        if self._to_come is not None:
            self._to_come -= sent
        if taken < len(lead) + size + len(tail):
            return False
        if last:
            self._finish()
        return True

    def _finish(self) -> None:
        self._done = True
        if self.late:
            self._channel.detach(self)
        self._connection.delivered(close=self._closing)

    # The segment does not come, or the peer has gone.

    def release(self, instead: Segment | None) -> None:
        async def go_on() -> None:
            await trio.lowlevel.checkpoint()
            self._go_on(instead)

        self._connection.run_errand(go_on)

    def _go_on(self, instead: Segment | None) -> None:
        """Nothing has been sent yet: deliver `instead`, or say that it is over."""
        if instead is None:
            self._connection.answer(ended(self._channel))
            return
        try:
            self.start(instead)
        except LimitReached as error:
            self._connection.answer(full(error))

    def take(self, chunks: list[bytes], *, end: bool) -> None:
        pass  # a GET may have a body, which means nothing

    def hang_up(self) -> None:
        self._channel.detach(self)

    def waiting_for(self) -> object:
        # The next segment may be a long way off: that is what subscribers wait for.
        if self.late:
            return self.index, self.offset, len(self._owed)
        return None
