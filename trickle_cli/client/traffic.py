"""What a publisher has under way: its two lanes, and what is not answered yet.

Nothing here waits: these are the facts that those who send, who listen, and who mend
share, and what each event does to them. Whoever waits for a change parks on `changed`.

The rules of order. Segments begin one after another. Quick ones follow each other on
one connection, where nothing can overtake anything. One that begins on the other lane
could overtake: readers pass over what is overtaken, and servers of another make take
the later one for the newest, and then the earlier. So it may begin only when nothing is
broken off, and, of the lane that it leaves, all but the last is answered; where the
server is not one that knows us again, that, too.
"""

from __future__ import annotations

from typing import Final

import trio

from trickle_cli.client.depth import Depth
from trickle_cli.client.lane import Lane
from trickle_cli.client.outgoing import Outgoing, Tally
from trickle_cli.client.upstream import Upstream
from trickle_cli.errors import TrickleError

#: Segments that may be under way at first, where a break costs nothing.
FIRST_DEPTH: Final = 16
#: Bytes that are not answered, beyond which no other segment follows them: enough for
#: any distance, and few enough that the server need not be asked about them.
AHEAD: Final = 4 * 1024 * 1024


class Traffic:
    """`lane` is the newest segment's. `kept` are the segments that are
    not answered, in order. `lost`, `reconnects` and `waiting` are as in `Publisher` and
    its statistics. `failure` is what has ended it."""

    def __init__(self, upstream: Upstream, first_seq: int) -> None:
        self.upstream = upstream
        self.first_seq = self.next_seq = first_seq
        self.lanes = (Lane(), Lane())
        self.lane = self.lanes[0]
        self.depth = Depth()
        self.tally = Tally()
        self.kept: dict[Outgoing, None] = {}
        self.lost: list[int] = []
        self.reconnects = 0
        self.waiting = ""
        self.failure: TrickleError | None = None
        self.failed = trio.Event()
        self.changed = trio.lowlevel.ParkingLot()
        self.wants_next = trio.Event()
        self.to_end: list[int] = []  # segments that were given up, and are not ended
        self.wants_end = trio.Event()

    def enter(self, seq: int) -> None:
        """Begin with segment `seq`."""
        self.first_seq = self.next_seq = seq
        self.trust()

    def other(self, lane: Lane) -> Lane:
        first, second = self.lanes
        return second if lane is first else first

    def trust(self) -> None:
        """Several may be under way at once where the server mends what breaks."""
        if self.upstream.resumes and self.upstream.epoch:
            self.depth.trust(FIRST_DEPTH)

    # Where the next segment goes.

    def lane_with(self, seq: int) -> Lane | None:
        """The lane that has the request for segment `seq`, which has not begun."""
        return next((lane for lane in self.lanes if lane.seq == seq), None)

    def free_lane(self) -> Lane | None:
        """A lane for the next segment's request; None if there is none now. The lane in
        use is best, unless one at a time is all that it takes: then they take turns, so
        that the end of a connection is noticed before that is used again."""
        lane, other = self.lane, self.other(self.lane)
        is_other_free = other.is_idle and self._can_be_left(lane)
        if is_other_free and self.depth.limit == 1 and lane.answers:
            return other
        if (
            lane.seq is None
            and len(lane.requests) < self.depth.limit
            and not (lane.requests and self.tally.size >= AHEAD)
            and not (lane.is_in_segment or lane.is_mending or lane.is_opening)
        ):
            return lane
        return other if is_other_free else None

    def lane_ahead(self) -> Lane | None:
        """A lane to open the next segment's request on ahead of its time; None if it
        is too early for that. Never the one that is in use: even when all on it is
        answered, its writer may not have come back from sending."""
        other = self.other(self.lane)
        if not other.is_idle or len(self.lane.requests) > 1:
            return None
        return other if self.lane_with(self.next_seq) is None else None

    def _can_be_left(self, lane: Lane) -> bool:
        """Whether a segment on the other lane may follow what is on `lane`."""
        under_way = 1 if self.upstream.resumes else 0
        return not lane.is_mending and len(lane.requests) <= under_way

    def may_begin_on(self, lane: Lane) -> bool:
        return not lane.is_mending and self._can_be_left(self.other(lane))

    def take(self, lane: Lane) -> Outgoing:
        """The next segment, which is `lane`'s from now on."""
        outgoing = Outgoing(self.next_seq, self.tally)
        self.lane = lane
        self.next_seq += 1
        self.wants_next.set()
        return outgoing

    def begin(self, lane: Lane, outgoing: Outgoing) -> bytes:
        """`outgoing` begins on `lane`; what of its head is to be sent."""
        if self.upstream.resumes is False and not lane.requests:
            outgoing.forget()  # nobody could be sent it again
        self.kept[outgoing] = None
        return lane.begin(outgoing)

    # What becomes of segments.

    def arrived(self, lane: Lane, outgoing: Outgoing) -> None:
        """The server has all of it."""
        outgoing.forget()
        del self.kept[outgoing]
        lane.remove(outgoing)
        self.wants_next.set()
        self.changed.unpark_all()

    def give_up(self, lane: Lane, outgoing: Outgoing) -> None:
        """The server may or may not have some of it, and cannot be told the rest."""
        outgoing.give_up()
        self.lost.append(outgoing.seq)
        self.arrived(lane, outgoing)
        self.to_end.append(outgoing.seq)
        self.wants_end.set()

    def forget_begun(self, lane: Lane) -> None:
        """The server is at the first of `lane`. If it does not know us again, that
        cannot be sent again; what is behind it can, if it does not come to that."""
        if self.upstream.resumes is False and lane.requests and lane.on_wire:
            lane.requests[0].forget()

    def are_broken_before(self, lane: Lane) -> bool:
        """Whether segments that come before those of `lane` are to be mended first."""
        other = self.other(lane)
        return (
            self.failure is None
            and other.is_mending
            and bool(other.requests and lane.requests)
            and other.requests[0].seq < lane.requests[0].seq
        )

    def is_mended(self, outgoing: Outgoing) -> bool:
        """Whether it is being sent again."""
        return any(lane.is_mending and outgoing in lane.requests for lane in self.lanes)

    # The end.

    def fail(self, error: TrickleError) -> None:
        if self.failure is None:
            self.failure = error
            self.failed.set()
            self.changed.unpark_all()

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure
