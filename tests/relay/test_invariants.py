"""Any interleaving of publishers, readers, closes and ticks keeps the promises."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.relay.fakes import Clock, TakingReader, Writer, make_hub
from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    LimitReached,
    SegmentConflict,
    SegmentNotFound,
)
from trickle_cli.relay import Limits, Segment, Window
from trickle_cli.relay.memory import SEGMENT_COST

SEQS = st.integers(-3, 12)


class ChannelMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        limits = Limits(
            window=Window(segments=4, size=60, seconds=20, floor=2),
            publications=6,
            readers=8,
            segment_size=30,
            memory=5 * SEGMENT_COST,
        )
        self.hub = make_hub(self.clock, limits)
        self.channel = self.hub.create("cam")
        self.written: dict[int, bytes] = {}  # by id of the segment
        self.alive: list[Segment] = []  # so that ids are not used again
        self.writers: list[Writer] = []
        self.readers: list[tuple[TakingReader, int]] = []
        self.last = (self.channel.epoch, 0)

    @rule(seq=SEQS, reset=st.booleans())
    def open_publication(self, seq: int, reset: bool) -> None:
        writer = Writer()
        try:
            self.channel.publish(writer, max(seq, -1), reset=reset)
        except (ChannelClosed, LimitReached):
            return
        self.writers.append(writer)

    @precondition(lambda self: self.writers)
    @rule(data=st.data(), content=st.binary(max_size=20), end=st.booleans())
    def write(self, data: st.DataObject, content: bytes, end: bool) -> None:
        writer = data.draw(st.sampled_from(self.writers))
        if writer.channel is None or writer not in self.channel._publications:
            return
        before = {id(s): s.size for s in self._segments()}
        try:
            writer.write([content] if content else [], end=end)
        except SegmentConflict:
            return
        segment = writer.segment
        if segment is not None and content:
            self.alive.append(segment)
            grown = segment.size - before.get(id(segment), 0)
            known = self.written.get(id(segment), b"")
            self.written[id(segment)] = known + content[:grown]

    @precondition(lambda self: self.writers)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        writer = data.draw(st.sampled_from(self.writers))
        self.writers.remove(writer)
        writer.abandon()

    @rule(seq=SEQS, appetite=st.none() | st.integers(0, 30))
    def subscribe(self, seq: int, appetite: int | None) -> None:
        try:
            segment = self.channel.find(seq)
        except (ChannelClosed, ChannelNotFound, SegmentNotFound):
            return
        reader = TakingReader(appetite)
        reader.channel = self.channel
        try:
            self.channel.attach(reader, segment)
        except LimitReached:
            return
        self.alive.append(segment)
        self.readers.append((reader, id(segment)))

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def catch_up(self, data: st.DataObject) -> None:
        reader, _ = data.draw(st.sampled_from(self.readers))
        if reader.segment is not None and reader.late:
            reader.catch_up()

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.readers))
        self.readers.remove(entry)
        self.channel.detach(entry[0])

    @rule(seq=st.integers(0, 12))
    def end_segment(self, seq: int) -> None:
        with suppress(SegmentNotFound):
            self.channel.end_segment(seq)

    @rule(seconds=st.sampled_from([0.3, 1.1, 6, 30]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.channel.tick(self.clock.now)
        self.channel.expire(self.clock.now)

    @rule()
    def close(self) -> None:
        self.channel.close()

    def _segments(self) -> list[Segment]:
        return [
            *self.channel._held._segments.values(),
            *self.channel._awaited.values(),
            *self.channel._held._leaving,
        ]

    @invariant()
    def the_head_never_moves_back_without_a_new_epoch(self) -> None:
        epoch, head = self.last
        if self.channel.epoch == epoch:
            assert self.channel.head >= head
        self.last = (self.channel.epoch, self.channel.head)

    @invariant()
    def what_is_held_is_in_order_counted_and_within_the_window(self) -> None:
        channel = self.channel
        order = list(channel._held._order)
        assert order == sorted(channel._held._segments) == sorted(set(order))
        assert all(seq < channel.head for seq in order)
        assert channel.size == sum(s.size for s in channel._held._segments.values())
        assert len(order) <= max(4, 2)
        assert channel.size <= 60 or len(order) <= 2
        assert (
            channel._held._leaving_size
            == sum(s.size for s in channel._held._leaving)
            <= 60
        )
        assert self.hub.memory.used == channel.memory <= self.hub.memory.limit

    @invariant()
    def nobody_is_miscounted(self) -> None:
        channel = self.channel
        attached = [r for r, _ in self.readers if r.segment is not None]
        assert channel.readers == len(attached)
        for segment in self._segments():
            assert segment.readers == sum(r.segment is segment for r in attached)
            writers = sum(p.segment is segment for p in channel._publications)
            assert segment.writers == writers

    @invariant()
    def what_waits_has_somebody_who_waits(self) -> None:
        for segment in self.channel._awaited.values():
            assert segment.readers or segment.writers
            assert not segment.has_begun
        for segment in self.channel._held._leaving:
            assert segment.readers

    @invariant()
    def what_is_open_is_known_to_be(self) -> None:
        open_ = {s for s in self.channel._held._segments.values() if not s.ended}
        assert self.channel._open == open_

    @invariant()
    def readers_see_a_prefix_of_what_was_written_in_order_once(self) -> None:
        for reader, segment in self.readers:
            written = self.written.get(segment, b"")
            assert written.startswith(reader.got)
            if reader.ended:
                assert reader.got == written


TestChannel = ChannelMachine.TestCase
TestChannel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
