"""The answer to a GET with a Range: a part of a segment, which may still be growing.

What is known to the end goes out with its Content-Length. What is not is chunked; its
Content-Range then says that the total is unknown (RFC 8673). A part that lies beyond
what there is by now is waited for; if the segment ends before that, it is 416, which
to a client that asked from its own last byte on means that it has it all.
"""

from __future__ import annotations

from trickle_cli.protocol.events import Request
from trickle_cli.protocol.ranges import ContentRange
from trickle_cli.protocol.requests import Subscribe
from trickle_cli.relay import Channel, Piece, Segment
from trickle_cli.server.answers import etag_of, not_in_range
from trickle_cli.server.connection import Connection
from trickle_cli.server.delivery import CHUNKED, Delivery


def part_wanted(wanted: Subscribe, channel: Channel, segment: Segment) -> bool:
    """Whether `wanted` is to get a part of `segment`, and not all of it."""
    part = wanted.range
    if part is None or (wanted.seq >= 0 and segment.seq != wanted.seq):
        return False
    if wanted.if_range and not (
        segment.ended and wanted.if_range.strip() == etag_of(channel, segment)
    ):
        return False
    # The first byte on of nothing is nothing, whole.
    return not (segment.ended and segment.size == part.first == 0)


class PartialDelivery(Delivery):
    """Delivers the part of a segment that is wanted."""

    status = 206

    __slots__ = ("_left", "_part", "_request")

    def __init__(
        self,
        connection: Connection,
        channel: Channel,
        request: Request,
        wanted: Subscribe,
        private: bool,  # noqa: FBT001
    ) -> None:
        super().__init__(connection, channel, request, wanted, private)
        assert wanted.range is not None
        self._request = request
        self._part = wanted.range
        self._left: int | None = None  # of a part that ends before the segment may

    def push(self, piece: Piece) -> bool:
        if self._state >= CHUNKED and self._left is None:
            return super().push(piece)
        self.start_at(piece.index, piece.offset)
        return False

    def _is_short(self, segment: Segment) -> bool:  # noqa: ARG002
        return False  # it is never sent as if it had come at once

    def _announce(self, segment: Segment) -> bytes | None:
        first, last = self._part
        size = segment.size
        if size <= first:
            if segment.ended:
                self._refuse(segment)
            return None
        if first < segment.dropped:
            self._done = True
            self._connection.close()  # it has gone in the meantime
            return None
        self.start_at(*segment.cursor_at(first))
        if segment.ended:
            last = size - 1 if last is None else min(last, size - 1)
        length = last - first + 1 if last is not None and last < size else None
        total = size if segment.ended else None
        content_range = ContentRange(first, last, total).encode()
        self._others += b"Content-Range: %b\r\n" % content_range
        if length is None and last is not None:
            self._left = last - first + 1
        head = self._head(length)
        self._follow_head(length is not None, length or 0)
        return head

    def _refuse(self, segment: Segment) -> None:
        """There is nothing in that part, and there never will be."""
        self._done = True
        self._channel.detach(self)
        self._connection.answer(not_in_range(self._channel, segment))

    def available(self, limit: int) -> tuple[list[bytes | memoryview], int]:
        for bound in (self._left, self._to_come):
            if bound is not None:
                limit = min(limit, bound)
        return super().available(limit)

    def move(self, count: int) -> None:
        super().move(count)
        if self._left is not None:
            self._left -= count

    def _is_last(self, segment: Segment, size: int) -> bool:
        return self._left == size or super()._is_last(segment, size)

    def _length(self, segment: Segment) -> int:
        first, last = self._part
        return (segment.size if last is None else min(last + 1, segment.size)) - first

    def _is_all(self, segment: Segment) -> bool:
        last = self._part.last
        return segment.ended and (last is None or last + 1 >= segment.size)

    def _sent(self, segment: Segment) -> int:
        return max(0, super()._sent(segment) - self._part.first)

    def _restart(self, instead: Segment) -> None:
        """Another segment than the one that a part was wanted of: all of it."""
        wanted = self._wanted._replace(range=None)
        Delivery(
            self._connection, self._channel, self._request, wanted, self._private
        ).start(instead)
