"""A channel: its head, the segments it holds, and the rules between them.

Words: a segment has *begun* when its first byte or its empty end has arrived.
The *head* is the seq after the newest that has begun; it moves when a segment
begins, never on a request's head alone, and never back. What has begun is *held*
until the window evicts it. What has not begun but has readers or publishers is
*awaited*.

Which seqs may be read (`find`):

    below the evicted     gone: SegmentNotFound, the head tells where to go on
    held                  that segment, open or ended
    below the head, and neither: it was overtaken. While a publication is open
                          for it, or for a second after the head passed it, it is
                          still awaited; then it is skipped, and its readers get
                          the oldest held segment after it.
    the head              awaited
    1 on an empty channel awaited: a subscriber may preconnect its second GET
    any other             awaited if a publication is open for it, else
                          SegmentNotFound

A publication of a segment that was over when it opened is a publisher that starts
anew: the channel *restarts* there, with a new epoch, unless somebody is publishing. But
if it is the channel's own publisher, known by the owner of the publication, it only
repeats what may not have arrived: what is there already is passed over.

A closed channel begins nothing more; what it holds can still be read, and at or
above its head there is the end: ChannelClosed.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    LimitReached,
    SegmentConflict,
    SegmentNotFound,
)
from trickle_cli.protocol.sequence import NEXT, resolve
from trickle_cli.relay.flow import Flow, Hold, Taker
from trickle_cli.relay.held import Held
from trickle_cli.relay.limits import Limits, Window
from trickle_cli.relay.memory import Memory
from trickle_cli.relay.publication import Publication, Verdict
from trickle_cli.relay.rate import Rate
from trickle_cli.relay.recording import Recording
from trickle_cli.relay.records import State
from trickle_cli.relay.segment import Reader, Segment, Stage, Tally, wake_all
from trickle_cli.relay.storage import StoredChannel

_log = logging.getLogger(__name__)

#: Seconds between looks at the age of what is held, while there are writes.
_LOOK_INTERVAL: Final = 1.0


def _new_epoch() -> str:
    return secrets.token_hex(8)


class Channel:
    """Made by `Hub.create`.

    `epoch` names this life of the channel's numbering. `created` is when (clock of the
    hub) it was made, `written` when it last got a byte or an end, or was made;
    `visited` when, being closed, it last got a reader. `owner` is what the publisher
    is known by who began a segment last. `size` and `len()` are
    what it holds, in bytes and segments; `total` is all bytes it ever got.
    `restless` is the hub's set of channels that want a `tick`. A `lossless` one has a
    `flow`: what its readers have not taken stays in the window, and `has_room` says
    whether its publishers may go on. If its `recording` has a log, all is written to
    disk before anything else is done with it.
    """

    def __init__(
        self,
        name: str,
        type_: str,
        *,
        limits: Limits,
        window: Window,
        clock: Callable[[], float],
        restless: set[Channel],
        memory: Memory,
        lossless: bool = False,
    ) -> None:
        self.name = name
        self.type = type_
        self.epoch = _new_epoch()
        self.head = 0
        self.total = 0
        self.closed = False
        self.owner = b""
        self.created = self.written = clock()
        self.visited = 0.0
        self._limits = limits
        self._clock = clock
        self._restless = restless
        self._held = Held(window, memory, self._evicted)
        self._awaited: dict[int, Segment] = {}
        self._gone_below = 0  # seqs below this have been evicted
        self._open: set[Segment] = set()  # begun and not ended
        self._next_look = self.written + _LOOK_INTERVAL
        self._publications: set[Publication] = set()
        self._tally = Tally()
        self._memory = memory
        self._rate = Rate(self.created)
        self.recording = Recording(lambda: self.state)
        self._made = time.time()
        self.flow: Flow | None = None
        if lossless:
            self.flow = Flow(limits.lease, limits.readers, clock)
            self.flow.hold_for_first(0)
            self._restless.add(self)

    @property
    def about(self) -> tuple[str, str, bool]:
        """The type, the epoch, and whether it is lossless."""
        return self.type, self.epoch, self.flow is not None

    @property
    def lossless(self) -> bool:
        """Whether it keeps what its readers have not taken."""
        return self.flow is not None

    def __len__(self) -> int:
        return len(self._held)

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return self._held.size

    @property
    def has_content(self) -> bool:
        """Whether anything has ever begun in it."""
        return self.head > 0 or self.total > 0

    @property
    def oldest(self) -> int:
        """The lowest seq held; the head where nothing is."""
        oldest = self._held.oldest
        return self.head if oldest is None else oldest

    @property
    def readers(self) -> int:
        """How many read it, as far as they can be told apart."""
        return self._tally.people

    @property
    def publishers(self) -> int:
        """How many publish to it, as far as they can be told apart: most have the next
        segment open ahead of time."""
        open_ = self._publications
        known = {publication.owner for publication in open_} - {b""}
        return len(known) + sum(not publication.owner for publication in open_)

    @property
    def memory(self) -> int:
        """Bytes that it takes to hold what it holds."""
        return self._held.memory

    def rate(self, now: float) -> float:
        """Bytes a second that it got, of late."""
        return self._rate.of(now, self.total)

    def sample(self, now: float) -> None:
        """Take note, for `rate`, of what has come by `now`; once a second."""
        self._rate.sample(now, self.total)

    @property
    def is_held(self) -> bool:
        """Whether there is something that one of its readers has not taken."""
        floor = None if self.flow is None else self.flow.floor()
        return floor is not None and floor < self.head

    @property
    def waiting_readers(self) -> int:
        """How many wait for the segment that begins next."""
        segment = self._awaited.get(self.head)
        return 0 if segment is None else segment.readers

    @property
    def newest(self) -> Segment | None:
        """The segment before the head, if it is held."""
        return self._held.get(self.head - 1)

    # Reading.

    def find(self, seq: int, offset: int = 0) -> Segment:
        """The segment to read for `seq`, which may be relative, from the byte `offset`
        on: see above. Where that is not held any more, it is the one at the head.

        Raises SegmentNotFound, ChannelClosed, or, for the head of a closed
        channel asked for as -1, ChannelNotFound.
        """
        if self.closed and seq == NEXT:
            raise ChannelNotFound(self.name)
        if seq < 0:
            seq = resolve(seq, head=self.head, oldest=self.oldest)
        if segment := self._held.get(seq):
            return segment if offset >= segment.dropped else self._find_ahead(self.head)
        if seq >= self.head:
            return self._find_ahead(seq)
        if seq < self._gone_below:
            raise SegmentNotFound(seq, self.head)
        return self._find_overtaken(seq)

    def look(self, seq: int) -> Segment:
        """The segment that `find` would return, if it has begun; SegmentNotFound else.
        Nothing is awaited because of this. Raises ChannelClosed, too."""
        if seq < 0:
            seq = resolve(seq, head=self.head, oldest=self.oldest)
        segment = self._held.get(seq)
        if segment is not None:
            return segment
        if self.closed and seq >= self.head:
            raise ChannelClosed(self.name)
        raise SegmentNotFound(seq, self.head)

    def _find_ahead(self, seq: int) -> Segment:
        if self.closed:
            raise ChannelClosed(self.name)
        if segment := self._awaited.get(seq):
            return segment
        if seq == self.head or (seq == 1 and self.head == 0):
            return self._await(seq)
        raise SegmentNotFound(seq, self.head)

    def _find_overtaken(self, seq: int) -> Segment:
        following = self._held.following(seq)
        if self.closed:
            if following is None:
                raise ChannelClosed(self.name)
            return following
        if segment := self._awaited.get(seq):
            return segment
        if following is not None and self._overdue(following.touched):
            return following
        segment = self._await(seq)
        segment.touched = self._clock()
        self._restless.add(self)
        return segment

    def _await(self, seq: int) -> Segment:
        segment = self._awaited[seq] = Segment(seq, self._tally)
        return segment

    def attach(self, reader: Reader, segment: Segment) -> None:
        """Let `reader` read `segment`, from `find`; LimitReached if there are
        too many readers."""
        if self._tally.readers >= self._limits.readers:
            self._tidy(segment)
            raise LimitReached(
                f"channel '{self.name}' has {self._limits.readers} readers already",
                retryable=True,
            )
        if self.closed:
            self.visited = self._clock()
        segment.attach(reader)

    def follow(
        self,
        hold: Hold | None,
        taker: Taker,
        label: bytes,
        seq: int,
        *,
        is_new: bool = False,
    ) -> Hold | None:
        """`Flow.ask`. Only of a lossless channel."""
        assert self.flow is not None
        self._restless.add(self)
        return self.flow.ask(hold, taker, label, seq, is_new=is_new)

    def detach(self, reader: Reader) -> None:
        """`reader` stops, done or not. Harmless if it has been detached."""
        segment = reader.segment
        if segment is not None:
            segment.detach(reader)
            self._tidy(segment)

    def _tidy(self, segment: Segment) -> None:
        """Forget what nobody waits for, and let go of what nobody reads."""
        if segment.readers or segment.writers:
            return
        if segment.stage is Stage.WAITING:
            if self._awaited.get(segment.seq) is segment:
                del self._awaited[segment.seq]
        else:
            self._held.let_leave(segment)

    # Writing.

    def publish(
        self, publication: Publication, seq: int, *, reset: bool = False
    ) -> None:
        """Open `publication` for segment `seq`, or for what is the head at its
        first byte if that is -1.

        With `reset`, every segment before it that is open ends now. Raises
        ChannelClosed, LimitReached, and SegmentConflict if the segment is another
        publisher's, or has not got to where this publication is to go on.
        """
        if self.closed:
            raise ChannelClosed(self.name)
        segment = None
        if seq != NEXT:
            segment = self._held.get(seq) or self._awaited.get(seq)
            self._require_fit(publication, segment, seq)
        if publication.owner and segment is not None and segment.writers:
            self._supersede(publication, segment)
        if len(self._publications) >= self._limits.publications:
            raise LimitReached(
                f"channel '{self.name}' has {self._limits.publications}"
                " open publications already",
                retryable=False,
            )
        if reset:
            self._end_open_before(self.head if seq == NEXT else seq)
        publication.channel = self
        self._publications.add(publication)
        if seq != NEXT:
            segment = publication.segment = self._segment_to_write(seq)
            segment.writers += 1

    def _require_fit(
        self, publication: Publication, segment: Segment | None, seq: int
    ) -> None:
        """Where in `segment` (None: it is gone, or not yet there) what is published
        goes on; SegmentConflict if that cannot be."""
        owner, offset = publication.owner, publication.offset
        is_current = bool(owner) and owner == self.owner
        if is_current:
            publication.owner = self.owner  # one object for all segments
        if segment is None or segment.stage is Stage.WAITING:
            if segment is None and seq < self._gone_below and is_current:
                publication.repeats = True
            elif offset:
                raise SegmentConflict(
                    seq, self.head, size=0, reason=f"has no byte before {offset}"
                )
            return
        size = segment.size
        if segment.stage is Stage.OPEN and segment.owner != owner:
            if offset > size and not segment.owner:
                reason = f"has {size} bytes"
                raise SegmentConflict(seq, self.head, size=size, reason=reason)
            if segment.owner:
                raise SegmentConflict(
                    seq, self.head, size=size, reason="is another publisher's"
                )
        elif owner and segment.owner == owner:
            if offset > size or (segment.ended and segment.incomplete):
                reason = f"has {size} bytes" + (
                    ", and is over, incomplete" if segment.ended else ""
                )
                raise SegmentConflict(seq, self.head, size=size, reason=reason)
            publication.repeats = segment.ended
            publication.skip = size - offset
        elif is_current:
            publication.repeats = True

    def _supersede(self, publication: Publication, segment: Segment) -> None:
        """Its publisher has come again: what it had open on `segment` is over."""
        for other in list(self._publications):
            if other.segment is segment and other.owner == publication.owner:
                self._done(other)
                other.judge(Verdict.SUPERSEDED)

    def _segment_to_write(self, seq: int) -> Segment:
        """What a publication for `seq` writes to. For one that is gone, a segment
        that is in no table, and ended."""
        segment = self._held.get(seq) or self._awaited.get(seq)
        if segment is not None:
            return segment
        if seq >= self._gone_below:
            return self._await(seq)
        gone = Segment(seq, self._tally)
        gone.stage = Stage.ENDED
        return gone

    def write(
        self, publication: Publication, chunks: Sequence[bytes], *, end: bool
    ) -> Sequence[Reader]:
        """`Publication.write`."""
        if publication.repeats:
            if end:
                self._done(publication)
            return ()
        if publication.skip:
            chunks = publication.pass_over(chunks)
        size = len(chunks[0]) if len(chunks) == 1 else sum(map(len, chunks))
        if not (size or end):
            return ()  # pushed on as an empty chunk, it would be the end
        segment = publication.segment
        if segment is None:
            segment = publication.segment = self._segment_to_write(self.head)
            segment.writers += 1
        if segment.stage is Stage.ENDED:
            if not size:  # what publishers leave behind ends so, and means nothing
                self._done(publication)
                return ()
            if any(other.writers for other in self._open):
                raise SegmentConflict(segment.seq, self.head, size=0)
        elif segment.owner and segment.owner != publication.owner:
            raise SegmentConflict(
                segment.seq,
                self.head,
                size=segment.size,
                reason="is another publisher's",
            )
        is_restart = segment.stage is Stage.ENDED
        room = self._limits.segment_size - (0 if is_restart else segment.size)
        is_too_large = size > room
        if is_too_large:
            chunks = [b"".join(chunks)[:room]] if room else []
            size = room
        last = end or is_too_large
        if is_restart:
            epoch = _new_epoch()
            self.recording.restart(
                segment.seq,
                chunks,
                publication.owner,
                epoch,
                last=last,
                incomplete=is_too_large,
            )
            segment = self._restart(publication, segment.seq, epoch)
        elif self.recording.log is not None:
            self.recording.data(
                segment, chunks, publication.owner, last=last, incomplete=is_too_large
            )
        now = self.written = segment.touched = self._clock()
        if segment.stage is Stage.WAITING:
            self._begin(segment, now)
            segment.owner = self.owner = publication.owner
            if not end:
                self._open.add(segment)
        if is_too_large:
            self._fill(segment, chunks, size)
            return ()
        rest = segment.append(chunks, size, end=end)
        if end:
            self._done(publication)
            self._over(segment, Verdict.ENDED)
        self._grow(size, now)
        return rest

    def add_whole(
        self, seq: int, body: Sequence[bytes], size: int, owner: bytes
    ) -> Sequence[Reader] | None:
        """What `publish`, `write` and the end come to for a segment that has come
        whole, in one step: returns what `write` does. None, and nothing is done, if
        anything about it is out of the ordinary."""
        segment = self._awaited.get(seq)
        if (
            seq != self.head
            or self.closed
            or self.flow is not None
            or self.recording.log is not None
            or size > self._limits.segment_size
            or len(self._publications) >= self._limits.publications
            or (segment is not None and segment.writers)
        ):
            return None
        if segment is None:
            segment = Segment(seq, self._tally)
        now = self.written = segment.touched = self._clock()
        self._begin(segment, now)
        if owner != self.owner:
            self.owner = owner
        segment.owner = self.owner  # one object for all segments
        rest = segment.append(body, size, end=True)
        self._grow(size, now)
        return rest

    def _fill(self, segment: Segment, chunks: Sequence[bytes], size: int) -> None:
        """Add `chunks`, after which the segment is full, and break it off."""
        if size:
            wake_all(segment.append(chunks, size))
        segment.break_off(cut=True)
        self._over(segment, Verdict.TOO_LARGE)
        self._grow(size, segment.touched)

    def _restart(self, publication: Publication, seq: int, epoch: str) -> Segment:
        """A publisher starts over at `seq`, which was over when it came: drop what
        is held, and count from there, in `epoch`. Whoever waits for a segment to come
        gets this one.
        """
        self.epoch = epoch
        self._held.evict_all()
        if self.flow is not None:
            self.flow.restart(seq)
        self.head = self._gone_below = seq
        segment = self._awaited.get(seq) or self._await(seq)
        if self.recording.log is not None:
            segment.file = self.recording.log.file
        self._redirect(publication, segment)
        for other in self._publications:
            # What is opened ahead, for a number that has been before, is for the new.
            old = other.segment
            if old is None or old.stage is not Stage.ENDED or other.repeats:
                continue
            if old.seq > seq:
                ahead = self._awaited.get(old.seq) or self._await(old.seq)
                self._redirect(other, ahead)
        for awaited in list(self._awaited.values()):
            if awaited is not segment:
                awaited.release_all(segment)
                self._tidy(awaited)
        return segment

    def _redirect(self, publication: Publication, segment: Segment) -> None:
        """Let `publication` write to `segment`."""
        if publication.segment is not None:
            publication.segment.writers -= 1
        publication.segment = segment
        segment.writers += 1

    def _begin(self, segment: Segment, now: float) -> None:
        seq = segment.seq
        self._awaited.pop(seq, None)
        segment.stage = Stage.OPEN
        self._held.add(segment)
        if seq >= self.head:
            for passed in self._awaited.values():
                if self.head <= passed.seq < seq:
                    passed.touched = now
                    self._restless.add(self)
            self.head = seq + 1

    def _grow(self, size: int, now: float) -> None:
        """It has `size` bytes more. That may push others out of the window."""
        held, memory = self._held, self._memory
        held.grow(size)
        self.total += size
        if memory.used > memory.limit:
            memory.relieve()
        if held.is_beyond_window or now >= self._next_look:
            self._trim(now)

    def _done(self, publication: Publication) -> None:
        if publication in self._publications:
            self._publications.remove(publication)
            if publication.segment is not None:
                publication.segment.writers -= 1

    def _over(self, segment: Segment, verdict: Verdict) -> None:
        """`segment` has ended: so is every publication on it."""
        self._open.discard(segment)
        if segment.writers:
            for publication in list(self._publications):
                if publication.segment is segment:
                    self._done(publication)
                    publication.judge(verdict)

    def leave(self, publication: Publication) -> None:
        """`Publication.abandon`."""
        if publication not in self._publications:
            return
        self._done(publication)
        segment = publication.segment
        if segment is None or segment.writers:
            return
        segment.touched = self._clock()
        self._restless.add(self)
        self._tidy(segment)

    # On disk.

    @property
    def state(self) -> State:
        """What its log has to tell of it, besides segments."""
        return State(
            name=self.name,
            type=self.type,
            epoch=self.epoch,
            head=self.head,
            total=self.total,
            created=self._made,
            lossless=self.lossless,
            owner=self.owner.hex(),
        )

    def restore(self, stored: StoredChannel) -> None:
        """Be what was found on disk."""
        state = stored.state
        self.recording.log = stored.log
        self.epoch, self.owner = state.epoch, bytes.fromhex(state.owner)
        self._made = state.created
        self.created = self._clock() - max(0.0, time.time() - state.created)
        for seq, found in stored.segments.items():
            segment = Segment(seq, self._tally)
            segment.restore(
                found.chunks, ended=found.ended, cut=found.ended and found.incomplete
            )
            segment.owner, segment.file = found.owner, found.file
            segment.touched = self.written
            self._held.add(segment)
            if not segment.ended:
                self._open.add(segment)
        self.total = max(state.total, self.size)
        self._rate = Rate(self.written, self.total)
        self.head = max(state.head, self._held.end)
        self._gone_below = self.oldest
        self._restless.add(self)
        if self.flow is not None:
            self.flow.hold_for_first(self.oldest)
        self._trim(self.written)

    # Ending.

    def end_segment(self, seq: int) -> Segment:
        """End `seq`, begun or awaited, as it is; the head moves past it.

        Raises SegmentNotFound if it is neither. Does nothing to one that is over.
        """
        segment = self._held.get(seq) or self._awaited.get(seq)
        if segment is None:
            raise SegmentNotFound(seq, self.head)
        if segment.stage is Stage.ENDED:
            return segment
        self.recording.end(segment, self.owner, incomplete=False)
        self.written = segment.touched = self._clock()
        if segment.stage is Stage.WAITING:
            self._begin(segment, self.written)
        wake_all(segment.append((), 0, end=True))
        self._over(segment, Verdict.ENDED)
        self._grow(0, self.written)
        return segment

    def _end_open_before(self, seq: int) -> None:
        for segment in [s for s in self._awaited.values() if s.seq < seq]:
            if segment.writers:
                self.end_segment(segment.seq)
        for segment in [s for s in self._open if s.seq < seq]:
            self._give_up(segment, cut=False)

    def _give_up(self, segment: Segment, *, cut: bool) -> None:
        """`segment`, which is open, will not be whole; for `cut`, see `break_off`."""
        self.recording.end(segment, self.owner, incomplete=True)
        segment.break_off(cut=cut)
        self._over(segment, Verdict.ENDED)

    def break_off_open(self) -> None:
        """The open segments will not be whole: let those know who read them."""
        for segment in self._open:
            self.recording.end(segment, self.owner, incomplete=True)
            segment.break_off(cut=True)
        self._open.clear()

    def close(self) -> None:
        """End the channel: open segments end as they are, those who wait for
        what has not begun learn that it will not, open publications are over."""
        if self.closed:
            return
        self.closed = True
        for segment in self._open:
            self.recording.end(segment, self.owner, incomplete=False)
            segment.touched = self._clock()
            wake_all(segment.append((), 0, end=True))
        self._open.clear()
        self.recording.close()
        for publication in list(self._publications):
            self._done(publication)
            publication.judge(Verdict.CLOSED)
        awaited, self._awaited = self._awaited, {}
        for segment in awaited.values():
            segment.release_all(self._held.following(segment.seq))

    def drop(self) -> None:
        """Forget everything: the channel is gone from the hub."""
        self.close()
        self._held.clear()
        if self.flow is not None:
            self.flow.clear()
        self.recording.remove()
        self._restless.discard(self)

    # Time.

    def tick(self, now: float) -> None:
        """Do what was to be done by `now`: release readers of skipped seqs, give
        up segments whose publisher does not come back."""
        pending = False
        for segment in [s for s in self._awaited.values() if s.seq < self.head]:
            if segment.writers:
                continue  # its leaving will make the channel restless again
            if now - segment.touched < self._patience:
                pending = True
                continue
            del self._awaited[segment.seq]
            segment.release_all(self._held.following(segment.seq))
        for segment in [s for s in self._open if not s.writers]:
            if now - segment.touched < self._limits.resume:
                pending = True
            else:
                self._give_up(segment, cut=True)
        if self.flow is not None and len(self.flow):
            before = self.flow.let_go
            self.flow.tick(self.head, closed=self.closed)
            if self.flow.let_go > before:
                count = self.flow.let_go - before
                readers = "1 reader" if count == 1 else f"{count} readers"
                text = "channel '%s': let go of %s that took nothing for %g s"
                _log.warning(text, self.name, readers, self._limits.lease)
            pending = True
        if not pending:
            self._restless.discard(self)

    def _overdue(self, since: float) -> bool:
        return self._clock() - since >= self._patience

    @property
    def _patience(self) -> float:
        """How long a segment that was overtaken is waited for. Its publisher may be one
        of those that we hold back."""
        if self.flow is not None and self.flow.waiting:
            return max(self._limits.skip, self._limits.lease)
        return self._limits.skip

    # The window.

    def expire(self, now: float) -> None:
        """Evict what is too old even if nothing more is written."""
        self._trim(now)

    def _trim(self, now: float) -> None:
        self._next_look = now + _LOOK_INTERVAL
        self._held.trim(now, self._floor)

    @property
    def _floor(self) -> float:
        """The lowest seq that some reader has not taken yet."""
        floor = None if self.flow is None else self.flow.floor()
        return math.inf if floor is None else floor

    @property
    def _is_full(self) -> bool:
        memory = self._memory
        return self._held.is_beyond_window or memory.used > memory.limit

    def has_room(self, seq: int) -> bool:
        """Whether who publishes segment `seq` may go on. If not, it must not write
        more, until readers have taken something."""
        flow = self.flow
        if flow is None or self.closed:
            return True
        if flow.is_anyone_before(seq):
            return False  # what comes first is needed first
        if not self._is_full:
            return True
        flow.settle()
        self._trim(self._clock())
        if self._memory.used > self._memory.limit:
            self._memory.relieve()
        self._drop_what_is_taken(flow)
        return not self._is_full or flow.has_all_of(seq)

    def _drop_what_is_taken(self, flow: Flow) -> None:
        """Drop the beginning of the open segment, if it is all that there is to take,
        and more than the window."""
        newest = self.newest
        excess = self.size - self._held.window.size
        if newest is None or newest.ended or excess <= 0 or self._floor < newest.seq:
            return
        taken = flow.taken_of(newest.seq)
        position = newest.dropped + excess
        if taken is not None:
            position = min(position, taken)
        self._held.grow(-newest.drop_before(position))

    def _evicted(self, segment: Segment) -> None:
        """`segment` leaves the window."""
        self._gone_below = max(self._gone_below, segment.seq + 1)
        self.recording.forget(segment)
        if segment.stage is Stage.OPEN:
            segment.break_off(cut=True)
            self._over(segment, Verdict.EVICTED)

    def shed(self, amount: int) -> bool:
        """Let go of `amount` bytes of memory, oldest first, whatever the window says
        and whoever reads or writes; but not of what a lossless channel holds for its
        readers. False if there is nothing to let go of."""
        before = self.memory
        self._held.shed(amount, self._floor)
        return self.memory < before
