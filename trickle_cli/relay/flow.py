"""Lossless delivery: what the readers of a channel have not taken yet is kept, and its
publisher held back when that is all that the window has room for.

A *hold* is a place in the channel: nothing from there on leaves the window. Each
connection that reads has one, at the segment that it asked for last: by asking for
another it shows that it has taken that one. When a connection ends, its hold stays
for the lease, so that the reader can come again and take it over: by its label, or, if
it has none, by asking for exactly the segment at which the hold is.

Those without a label are told apart by their addresses alone, and those from one
address are counted (`crowd.py`): when more holds are at a segment than readers, those
of connections that have taken it, and have ended or are idle, go.

Who neither takes anything nor asks for the lease, though there is something to take, is
let go: from then on it is served as on any other channel.

As long as nobody has read, the place of the first reader is held for the lease, too,
and after that a little longer for others who begin with it: so a publisher that is
quicker to begin than its readers loses nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import trio

from trickle_cli.relay.crowd import Crowd
from trickle_cli.relay.segment import Reader

#: Seconds between looks at whether there is room again: peers acknowledge in silence.
_ROOM_INTERVAL: Final = 0.05
#: Seconds in which those come who begin together: who waits for a channel that is not
#: there looks for it every second.
_TOGETHER: Final = 2.0
#: Seconds that a connection which has taken its segment must be idle to be joined.
_IDLE: Final = 0.25
#: Seconds between the times at which what nobody asks about any more is forgotten.
_PRUNE_INTERVAL: Final = 1.0


class Taker(Protocol):
    """The connection that a hold belongs to; `peer` is the address it comes from."""

    peer: str

    def unacknowledged(self) -> int:
        """How many of the bytes sent have not reached the peer yet."""


class Hold:
    """Everything from segment `position` on is kept for a reader.

    `label` is what the reader calls itself, b"" if it does not say · `taker` its
    connection, None when that is gone · `reader` what the segment at `position` is read
    with · `is_done` that one has been handed out whole · `crowd` those it is counted
    with, if its reader has no label, `is_counted` its request is, too · `since` when
    (clock of the hub) it last moved or took anything · `is_over` it holds nothing any
    more.
    """

    __slots__ = (
        "crowd",
        "flow",
        "is_counted",
        "is_done",
        "is_over",
        "label",
        "mark",
        "position",
        "reader",
        "since",
        "taker",
    )

    def __init__(self, flow: Flow, label: bytes, position: int, now: float) -> None:
        self.flow = flow
        self.label = label
        self.position = position
        self.taker: Taker | None = None
        self.reader: Reader | None = None
        self.is_done = False
        self.is_counted = False
        self.crowd: Crowd | None = None
        self.since = now
        self.mark: object = None
        self.is_over = False

    def begin(self, reader: Reader, seq: int) -> None:
        """Segment `seq` is read by `reader` now."""
        self.reader = reader
        self.is_done = False
        self.flow.begin(self, seq)

    def took(self) -> None:
        """Its connection has asked for something else."""
        if self.is_done:
            self.is_done = False
            self.flow.move(self, self.position + 1)

    def is_taken(self) -> bool:
        """Whether the peer has got all of the segment at `position`."""
        return self.is_done and (self.taker is None or self.taker.unacknowledged() == 0)

    def has_all_of(self, seq: int) -> bool:
        """Whether its reader can take nothing more before there is more of segment
        `seq`, or one after that."""
        if self.position > seq:
            return True
        if self.taker is None or self.position < seq - 1:
            return False
        return self.is_taken() or (self.position == seq and self._is_at_the_end())

    def _is_at_the_end(self) -> bool:
        """Whether it has all that there is of its segment by now."""
        reader = self.reader
        if reader is None or reader.segment is None or reader.late:
            return False
        return self.taker is not None and self.taker.unacknowledged() == 0

    def has_all(self, head: int) -> bool:
        """Whether there is nothing that its reader could take, or ask for, now."""
        return self._is_at_the_end() or self.has_all_of(head - 1)

    def taken_of(self, seq: int) -> int | None:
        """How many bytes of segment `seq` its reader has got; None if all of them."""
        if self.position > seq:
            return None
        if self.position < seq or self.taker is None or self.reader is None:
            return 0
        owed = self.taker.unacknowledged()
        segment = self.reader.segment
        if segment is None:
            return None if self.is_done and not owed else 0
        given = (
            segment.position(self.reader.index, self.reader.offset)
            if self.reader.late
            else segment.size
        )
        return max(0, given - owed)


class Flow:
    """The holds on one channel.

    `lease` is in seconds, `limit` how many holds there may be. `let_go` counts readers
    that were let go.
    """

    def __init__(self, lease: float, limit: int, clock: Callable[[], float]) -> None:
        self.let_go = 0
        self._waiting: list[int] = []  # the segments of publishers that are held back
        self._lease = lease
        self._limit = limit
        self._clock = clock
        self._holds: dict[Hold, None] = {}
        self._labelled: dict[bytes, dict[Hold, None]] = {}
        # Of those without a label: whose connections are gone, for each segment; and
        # those from each address.
        self._left: dict[int, dict[Hold, None]] = {}
        self._crowds: dict[str, Crowd] = {}
        self._settled = self._pruned = -math.inf
        self._floor: int | None = None  # the lowest position, once it is asked for
        self._first: Hold | None = None
        self._first_until = math.inf
        self._room = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return len(self._holds)

    def hold_for_first(self, position: int) -> None:
        """Hold `position` until somebody has read for a little, or for the lease."""
        if self._first is not None:
            self._remove(self._first)
        self._first = self._add(b"", position)

    def floor(self) -> int | None:
        """What is below this seq may go; all if it is None."""
        if self._floor is None and self._holds:
            self._floor = min(hold.position for hold in self._holds)
            now = self._clock()
            if now - self._pruned >= _PRUNE_INTERVAL:
                self._pruned = now
                for crowd in self._crowds.values():
                    crowd.forget_before(self._floor)
        return self._floor

    # Readers.

    def ask(
        self,
        hold: Hold | None,
        taker: Taker,
        label: bytes,
        seq: int,
        *,
        is_new: bool = False,
    ) -> Hold | None:
        """`taker`, which has `hold`, asks for segment `seq`; `is_new`: as a reader that
        only begins with it. Returns the hold that it has from now on; None if there are
        too many."""
        if (
            hold is not None
            and hold.flow is self
            and hold.label == label
            and not hold.is_over
            and (hold.crowd is None or hold.crowd.peer == taker.peer)
        ):
            self.move(hold, seq)
        else:
            if hold is not None:
                hold.flow.leave(hold, is_taken=hold.is_done)
            if self._first is not None:
                until = self._clock() + _TOGETHER
                self._first_until = min(self._first_until, until)
            hold = self._detached(label, seq, taker.peer)
            if hold is None:
                if len(self._holds) >= self._limit:
                    return None
                hold = self._add(label, seq)
            elif not label:
                _remove_from(self._left, hold.position, hold)
            hold.taker = taker
            self.move(hold, seq)
        if label:
            self._forget_before(label, seq - 1)
            return hold
        before = hold.crowd
        crowd = self._join(hold, taker.peer)
        if before is not None and before is not crowd:
            # It is another's now: nobody of these has gone on to it.
            before.depart(seq, is_counted=hold.is_counted)
            hold.is_counted = False
            is_new = True
        if not hold.is_counted:
            hold.is_counted = True
            crowd.count(hold, is_new=is_new)
        return hold

    def _join(self, hold: Hold, peer: str) -> Crowd:
        """`hold` is one of those from `peer`, whatever it was before."""
        crowd = self._crowds.get(peer)
        if crowd is None:
            crowd = self._crowds[peer] = Crowd(peer)
        if hold.crowd is not crowd:
            self._part(hold)
            hold.crowd = crowd
            crowd.enter(hold.position)
        return crowd

    def _part(self, hold: Hold) -> None:
        crowd, hold.crowd = hold.crowd, None
        if crowd is not None:
            crowd.leave(hold.position)
            if not crowd.size:
                del self._crowds[crowd.peer]

    def _detached(self, label: bytes, seq: int, peer: str) -> Hold | None:
        """The hold that a connection takes over which asks for `seq`: if there is one,
        one that was left from its own address."""
        if not label:
            places = self._left.get(seq, {})
            own = self._crowds.get(peer)
            mine = (hold for hold in places if hold.crowd is own) if own else ()
            return next(iter(mine), None) or next(iter(places), None)
        left = [hold for hold in self._labelled.get(label, ()) if hold.taker is None]
        return min(left, key=lambda hold: hold.position, default=None)

    def _forget_before(self, label: bytes, position: int) -> None:
        """The reader has got on: what it does not come back for it does not want."""
        for hold in list(self._labelled.get(label, ())):
            if hold.taker is None and hold.position < position:
                self._remove(hold)

    def begin(self, hold: Hold, seq: int) -> None:
        """`hold` reads `seq`, which may be another than was asked for."""
        self.move(hold, seq)
        if hold.crowd is not None and not hold.is_counted:
            hold.is_counted = True
            hold.crowd.count(hold, is_new=True)

    def move(self, hold: Hold, seq: int) -> None:
        """`hold` is at `seq` from now on. If it is over, that means nothing."""
        if hold.is_over:
            return
        hold.since = self._clock()
        if hold.position != seq:
            if hold.position == self._floor:
                self._floor = None
                self._room.unpark_all()
            elif self._floor is not None:
                self._floor = min(self._floor, seq)
            if hold.crowd is not None:
                hold.crowd.leave(hold.position)
                hold.crowd.enter(seq)
            hold.position = seq
            hold.is_counted = False

    def leave(self, hold: Hold, *, is_taken: bool) -> None:
        """The connection of `hold` has ended, with its segment taken or not."""
        if hold.is_over:
            return
        hold.taker = hold.reader = None
        hold.is_done = False
        seq = hold.position
        if hold.label:
            self.move(hold, seq + is_taken)
            if self._goes_on(hold, seq + is_taken):
                self._remove(hold)
            return
        crowd = hold.crowd
        assert crowd is not None
        if is_taken and crowd.is_left_behind(seq):
            self._remove(hold)
        elif not is_taken and crowd.asks_again(hold, is_counted=hold.is_counted):
            crowd.discount(seq)
            self._remove(hold)
        else:
            self.move(hold, seq + is_taken)
            _add_to(self._left, hold.position, hold)

    def _goes_on(self, hold: Hold, position: int) -> bool:
        """Whether the reader of `hold`, which has nothing before `position` to take,
        has another connection there already."""
        return any(
            other.taker is not None and other.position <= position
            for other in self._labelled[hold.label]
            if other is not hold
        )

    def _add(self, label: bytes, position: int) -> Hold:
        hold = Hold(self, label, position, self._clock())
        self._holds[hold] = None
        if label:
            _add_to(self._labelled, label, hold)
        self._floor = None
        return hold

    def _remove(self, hold: Hold) -> None:
        if hold.is_over:
            return
        hold.is_over = True
        hold.reader = None
        del self._holds[hold]
        self._part(hold)
        if hold.label:
            _remove_from(self._labelled, hold.label, hold)
        elif hold.taker is None:
            _remove_from(self._left, hold.position, hold)
        if hold is self._first:
            self._first = None
        if hold.position == self._floor:
            self._floor = None
            self._room.unpark_all()

    def drop(self, hold: Hold) -> None:
        """The reader of `hold` wants no more."""
        if not hold.is_over:
            self._remove(hold)

    def restart(self, seq: int) -> None:
        """The numbering begins anew at `seq`."""
        left = [hold for holds in self._left.values() for hold in holds]
        self._left.clear()
        for crowd in self._crowds.values():
            crowd.restart()
        for hold in self._holds:
            hold.is_done = hold.is_counted = False
            self.move(hold, seq)
            if hold.crowd is not None:
                hold.is_counted = True
                hold.crowd.count(hold, is_new=True)
        for hold in left:
            _add_to(self._left, seq, hold)

    def clear(self) -> None:
        """The channel is gone."""
        for hold in list(self._holds):
            self._remove(hold)

    # Time.

    def settle(self) -> None:
        """Join holds whose readers have shown no sign, but have what they asked for."""
        now = self._clock()
        if now - self._settled < _ROOM_INTERVAL:
            return
        self._settled = now
        for hold in list(self._holds):
            if hold.taker is None or not hold.is_taken():
                continue
            seq = hold.position
            if hold.label:
                if self._goes_on(hold, seq + 1):
                    self._remove(hold)
            elif (
                now - hold.since >= _IDLE
                and hold.crowd is not None
                and hold.crowd.is_left_behind(seq)
            ):
                self._remove(hold)

    def has_all_of(self, seq: int) -> bool:
        """Whether no reader can go on before there is more of segment `seq`, or one
        after that: then it must come, whether there is room or not."""
        return all(hold.has_all_of(seq) for hold in self._holds)

    def taken_of(self, seq: int) -> int | None:
        """How many bytes of segment `seq` all readers have got; None if all."""
        taken = [
            size for hold in self._holds if (size := hold.taken_of(seq)) is not None
        ]
        return min(taken, default=None)

    def tick(self, head: int, *, closed: bool = False) -> None:
        """Let go of those who have taken nothing for the lease; and of those for whom
        there is nothing more, if the channel is `closed`."""
        self.settle()
        now = self._clock()
        for hold in list(self._holds):
            taker, reader = hold.taker, hold.reader
            if taker is not None:
                mark = (
                    hold.position,
                    hold.is_done,
                    reader and (reader.index, reader.offset),
                    taker.unacknowledged(),
                )
                if mark != hold.mark or hold.has_all(head):
                    hold.mark, hold.since = mark, now
            elif hold is self._first and head <= hold.position:
                hold.since = now  # there is nothing to read yet
            elif hold is self._first and now >= self._first_until:
                self._remove(hold)
            is_through = hold.position + hold.is_taken() >= head
            if closed and (is_through or hold is self._first):
                self._remove(hold)
            elif now - hold.since >= self._lease:
                self._let_go(hold)

    def _let_go(self, hold: Hold) -> None:
        """Its reader has done nothing for too long. That is none at all if it goes on
        with another connection; and those without a label leave connections behind
        that have taken their segment and are not used again."""
        if hold.is_over:
            return
        is_reader = hold is not self._first
        if hold.label:
            siblings = self._labelled[hold.label]
            is_reader = all(o is hold or o.taker is None for o in siblings)
        elif hold.taker is None or hold.is_taken():
            is_reader = is_reader and not any(
                other.crowd is hold.crowd and other.position > hold.position
                for other in self._holds
            )
        self._remove(hold)
        self.let_go += is_reader

    # Publishers.

    @property
    def waiting(self) -> int:
        """How many publishers are held back."""
        return len(self._waiting)

    def is_anyone_before(self, seq: int) -> bool:
        """Whether the publisher of a segment before `seq` is held back."""
        return any(other < seq for other in self._waiting)

    async def until(self, has_room: Callable[[], bool], seq: int) -> None:
        """Hold the publisher of segment `seq` back until that. It is asked whenever
        something may have changed."""
        self._waiting.append(seq)
        try:
            while not has_room():
                with trio.move_on_after(_ROOM_INTERVAL):
                    await self._room.park()
        finally:
            self._waiting.remove(seq)
            self._room.unpark_all()


_Key = TypeVar("_Key", int, bytes)


def _add_to(table: dict[_Key, dict[Hold, None]], key: _Key, hold: Hold) -> None:
    table.setdefault(key, {})[hold] = None


def _remove_from(table: dict[_Key, dict[Hold, None]], key: _Key, hold: Hold) -> None:
    holds = table.get(key, {})
    holds.pop(hold, None)
    if not holds:
        table.pop(key, None)
