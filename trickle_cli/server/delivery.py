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
from trickle_cli.protocol.events import Request
from trickle_cli.protocol.http1 import CRLF, LAST_CHUNK, chunk_head
from trickle_cli.protocol.requests import Subscribe
from trickle_cli.protocol.responses import encode_segment_head, field_lines
from trickle_cli.relay import Channel, Piece, Reader, Segment
from trickle_cli.server.answers import (
    cache_of,
    ended,
    etag_of,
    full,
    is_lasting,
    not_in_time,
    not_modified,
)
from trickle_cli.server.connection import Connection
from trickle_cli.server.transport import Disconnected

#: The most that a late reader is sent with one call, in bytes.
PULL_SIZE: Final = 256 * 1024

#: A piece up to this many bytes is joined with its framing, once for all readers;
#: a larger one is sent from where it lies.
_JOIN_SIZE: Final = 16 * 1024

# The states of an answer; a piece's renderings are kept by them, and by what else is
# in its head.
_HEAD: Final = 0  # nothing is sent yet
_HEAD_CLOSING: Final = 1  # the same, and the connection ends with this answer
_HEAD_HTTP10: Final = 2
CHUNKED: Final = 3  # the head is sent, chunks follow
_PLAIN: Final = 4  # the head is sent, bare content follows


class Batch(NamedTuple):
    """What goes out with one call: protocol bytes, content, protocol bytes."""

    lead: bytes
    views: Sequence[bytes | memoryview]
    size: int  # of the views together
    tail: bytes
    last: bool  # whether the answer ends with it


class Delivery(Reader):
    """The exchange of one GET on `connection`. `start` attaches it. `private`: not
    everybody may read the channel."""

    status = 200

    __slots__ = (
        "_cache",
        "_channel",
        "_closing",
        "_connection",
        "_deadline",
        "_done",
        "_ending",
        "_frame_left",
        "_others",
        "_owed",
        "_private",
        "_state",
        "_to_come",
        "_transport",
        "_wanted",
    )

    def __init__(
        self,
        connection: Connection,
        channel: Channel,
        request: Request,
        wanted: Subscribe,
        private: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        super().__init__(wanted.label)
        self._connection = connection
        self._transport = connection.transport
        self._channel = channel
        self._wanted = wanted
        self._private = private
        self._cache = "no-store"
        self._others = field_lines(connection.extra) if connection.extra else b""
        self._deadline: float | None = None
        if wanted.wait is not None:
            self._deadline = trio.current_time() + wanted.wait
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
        if is_lasting(segment, self._wanted.seq):
            etag = etag_of(self._channel, segment)
            unless = self._wanted.unless
            if unless and (unless.strip() == b"*" or etag in tags_in(unless)):
                self._connection.answer(
                    not_modified(self._channel, segment, private=self._private)
                )
                return
            self._cache = cache_of(private=self._private)
            self._others += b"ETag: %b\r\n" % etag
        self._channel.attach(self, segment)
        if self._connection.hold is not None:
            self._connection.hold.begin(self, segment.seq)
        self._connection.exchange = self
        if not self.late:
            if self._wanted.wait == 0:
                self._connection.run_errand(self._time_out)
            return
        if self._is_short(segment):
            caught_up = self.push(segment.as_piece())
        else:
            caught_up = self.advance()
        if not caught_up:
            self.wake()

    def _is_short(self, segment: Segment) -> bool:
        """Whether it is there whole, and can be sent in one go."""
        return segment.ended and segment.size <= PULL_SIZE

    # Live: the task that appends sends for us.

    def push(self, piece: Piece) -> bool:
        key: object = self._state
        joins = self._transport.joins
        if joins or (self._others and self._state < CHUNKED):
            key = self._state, self._others, joins
        rendering = piece.renderings.get(key)
        if rendering is None:
            rendering = piece.renderings[key] = self._render(piece)
        lead, tail, buffers, size = rendering
        if len(buffers) == 1:
            taken = self._transport.send_nowait(buffers[0])
        else:
            taken = self._transport.sendv_nowait(buffers)
        if self._state < CHUNKED:
            self._follow_head(piece.ended, piece.size)
        if taken == size:
            if piece.ended:
                self._finish()
            return True
        self.start_at(piece.index, piece.offset)
        self._settle(Batch(lead, piece.chunks, piece.size, tail, piece.ended), taken)
        return False

    def _render(self, piece: Piece) -> tuple[bytes, bytes, list[bytes], int]:
        """The bytes that `piece` is on the wire, for readers in our state: what
        comes before its content, what after, all of it as buffers, and its size."""
        size = piece.size
        lead = b""
        chunked = self._state == CHUNKED
        if self._state < CHUNKED:
            lead = self._head(size if piece.ended else None)
            chunked = not piece.ended and self._state != _HEAD_HTTP10
        tail = b""
        if chunked:
            tail = LAST_CHUNK if piece.ended else b""
            if size:
                lead += chunk_head(size)
                tail = CRLF + tail
        buffers = [lead, *piece.chunks, tail]
        if size <= _JOIN_SIZE or self._transport.joins:
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
            segment.size,
            status=self.status,
            cache=self._cache,
            others=self._others,
            length=length,
            incomplete=segment.incomplete,
            close=self._closing,
            http10=self._state == _HEAD_HTTP10,
        )

    def _follow_head(self, ended: bool, size: int) -> None:  # noqa: FBT001
        """The head goes out: from now on, what follows it."""
        if self._connection.entry is not None:
            self._connection.began(self.status)
        if ended:
            self._to_come = size
        plain = ended or self._state == _HEAD_HTTP10
        self._state = _PLAIN if plain else CHUNKED

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
        return self.cut or (self.segment is not None and self.segment.cut)

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

    def _next_batch(self) -> Batch | None:
        """What to send next; None if there is nothing for now."""
        segment = self.segment
        if self._done or segment is None:
            return None
        if self.cut:
            raise Disconnected(f"segment {segment.seq} is no longer held")
        lead = self._owed
        if self._state < CHUNKED:
            head = self._announce(segment)
            if head is None:
                return None
            lead = head
        if self._ending:
            return Batch(lead, [], 0, b"", last=True)
        views, size = self.available(self._frame_left or PULL_SIZE)
        if size < self._frame_left or (self._to_come and not size):
            raise Disconnected(f"segment {segment.seq} is no longer held")
        if self._state == CHUNKED and size and not self._frame_left:
            lead += chunk_head(size)
        last = self._is_last(segment, size)
        tail = self._tail(size, ended=last)
        if not (lead or size or tail or last):
            return None
        return Batch(lead, views, size, tail, last)

    def _announce(self, segment: Segment) -> bytes | None:
        """The head; None if it is not its time yet."""
        head = self._head(segment.size if segment.ended else None)
        self._follow_head(segment.ended, segment.size)
        return head

    def _is_last(self, segment: Segment, size: int) -> bool:
        """Whether the answer ends with the next `size` bytes."""
        if self._to_come is not None:
            return self._to_come == size
        return segment.is_whole_at(self.index, self.offset, size)

    def _settle(self, batch: Batch, taken: int) -> bool:
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
        self._frame_left = size - sent if self._state == CHUNKED else 0
        if self._to_come is not None:
            self._to_come -= sent
        if taken < len(lead) + size + len(tail):
            return False
        if last:
            self._finish()
        return True

    def _finish(self) -> None:
        segment = self.segment
        assert segment is not None
        size = self._length(segment)
        self._done = True
        if self.late:
            self._channel.detach(self)
        if self._connection.hold is not None:
            self._connection.hold.is_done = self._is_all(segment)
        self._connection.delivered(self.status, size, close=self._closing)

    def _length(self, segment: Segment) -> int:
        """The content of the answer, now that all of it is known."""
        return segment.size

    def _is_all(self, segment: Segment) -> bool:  # noqa: ARG002
        """Whether the peer has the segment to its end with this answer."""
        return True

    def _sent(self, segment: Segment) -> int:
        """How many bytes of content have gone out."""
        if self._state < CHUNKED:
            return 0
        if not self.late:
            return segment.size
        return segment.position(self.index, self.offset)

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
            self._restart(instead)
        except LimitReached as error:
            self._connection.answer(full(error))

    def _restart(self, instead: Segment) -> None:
        self.start(instead)

    def check(self, now: float) -> None:
        if self._deadline is None or self._state >= CHUNKED:
            return
        if now >= self._deadline:
            self._connection.run_errand(self._time_out)

    async def _time_out(self) -> None:
        """Say that it has not begun in the time that the peer would wait."""
        await trio.lowlevel.checkpoint()
        if (
            self._connection.exchange is self
            and self._state < CHUNKED
            and self.segment is not None
            and not self.late
        ):
            self._channel.detach(self)
            self._connection.answer(not_in_time(self._channel))

    def take(self, chunks: list[bytes], *, end: bool) -> None:
        pass  # a GET may have a body, which means nothing

    def hang_up(self) -> int:
        sent = self._sent(self.segment) if self.segment is not None else 0
        self._channel.detach(self)
        return sent

    def waiting_for(self) -> object:
        # The next segment may be a long way off: that is what subscribers wait for.
        if self.late:
            return self.index, self.offset, len(self._owed)
        return None


def tags_in(value: bytes) -> list[bytes]:
    """The entity tags in an If-None-Match, to be compared weakly (RFC 9110, 13.1.2)."""
    return [tag.strip().removeprefix(b"W/") for tag in value.split(b",")]
