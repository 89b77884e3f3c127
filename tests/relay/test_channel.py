from __future__ import annotations

import pytest

from tests.relay.fakes import Clock, TakingReader, attach, make_hub, publish, write
from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    LimitReached,
    SegmentConflict,
    SegmentNotFound,
)
from trickle_cli.relay import Channel, Limits, Verdict, Window


def read(channel: Channel, seq: int) -> bytes:
    """All of a segment that has ended."""
    reader = attach(channel, seq)
    assert reader.ended
    return reader.got


def missing(channel: Channel, seq: int) -> int:
    """That `seq` is not to be had; what its answer says is the head."""
    with pytest.raises(SegmentNotFound) as caught:
        channel.find(seq)
    assert caught.value.latest is not None
    return caught.value.latest


def make(clock: Clock, **limits: object) -> Channel:
    return make_hub(clock, Limits(**limits)).create("cam")  # type: ignore[arg-type]


# The head, and what may be waited for.


def test_the_head_moves_when_a_segment_begins_not_when_it_is_announced(
    channel: Channel,
) -> None:
    writer = publish(channel, 0)
    assert channel.head == 0
    writer.write([b"x"])
    assert channel.head == 1


def test_a_piece_of_nothing_begins_nothing(channel: Channel) -> None:
    writer = publish(channel, 0)
    writer.write([])
    writer.write([b""])
    assert channel.head == 0


def test_an_empty_segment_is_a_segment(channel: Channel) -> None:
    waiting = attach(channel, 0)
    write(channel, 0, b"")
    assert channel.head == 1
    assert waiting.ended
    assert read(channel, 0) == b""


def test_the_head_can_be_waited_for(channel: Channel) -> None:
    write(channel, 0, b"zero")
    reader = attach(channel, 1)
    write(channel, 1, b"one")
    assert reader.got == b"one"


def test_where_nothing_has_begun_one_can_be_waited_for_and_two_cannot(
    channel: Channel,
) -> None:
    reader = attach(channel, 1)
    assert missing(channel, 2) == 0
    write(channel, 0, b"zero")
    write(channel, 1, b"one")
    assert reader.got == b"one"


def test_what_a_publication_is_open_for_can_be_waited_for(channel: Channel) -> None:
    assert missing(channel, 7) == 0
    writer = publish(channel, 7)
    reader = attach(channel, 7)
    writer.write([b"seven"], end=True)
    assert reader.got == b"seven"
    assert channel.head == 8


def test_a_preconnected_publisher_that_leaves_takes_its_segment_with_it(
    channel: Channel,
) -> None:
    publish(channel, 7).abandon()
    assert missing(channel, 7) == 0


def test_relative_seqs_count_from_the_head(channel: Channel) -> None:
    for seq in range(5):
        write(channel, seq, b"%d" % seq)
    assert channel.find(-2).seq == 4
    assert channel.find(-3).seq == 3
    assert channel.find(-1).seq == 5
    assert channel.find(-100).seq == 0


def test_where_nothing_has_begun_relative_seqs_mean_the_first(channel: Channel) -> None:
    assert channel.find(-2).seq == 0
    assert channel.find(-9).seq == 0


def test_minus_one_is_resolved_at_the_first_byte(channel: Channel) -> None:
    writer = publish(channel, -1)
    write(channel, 0, b"first come")
    writer.write([b"late"], end=True)
    assert writer.seq == 1
    assert read(channel, 1) == b"late"


def test_two_at_minus_one_get_a_segment_each(channel: Channel) -> None:
    one, two = publish(channel, -1), publish(channel, -1)
    two.write([b"b"])
    one.write([b"a"])
    two.write([b"b"], end=True)
    one.write([b"a"], end=True)
    assert read(channel, 0) == b"bb"
    assert read(channel, 1) == b"aa"


# Overtaking.


def test_the_head_never_moves_back(channel: Channel) -> None:
    slow, quick = publish(channel, 0), publish(channel, 1)
    quick.write([b"one"], end=True)
    assert channel.head == 2
    slow.write([b"zero"], end=True)
    assert channel.head == 2


def test_an_overtaken_segment_is_still_filled_and_delivered(channel: Channel) -> None:
    slow = publish(channel, 0)
    reader = attach(channel, 0)
    write(channel, 1, b"one")
    later = attach(channel, 0)
    slow.write([b"zero"], end=True)
    assert reader.got == later.got == b"zero"
    assert [channel.find(seq).seq for seq in (-2, -3)] == [1, 0]


def test_an_overtaken_publication_is_waited_for_without_end(
    channel: Channel, clock: Clock
) -> None:
    slow = publish(channel, 0)
    reader = attach(channel, 0)
    write(channel, 1, b"one")
    clock.advance(100)
    channel.tick(clock.now)
    assert reader.released == []
    slow.write([b"zero"], end=True)
    assert reader.got == b"zero"


def test_a_skipped_seq_is_waited_for_for_a_second_then_the_next_is_served(
    channel: Channel, clock: Clock
) -> None:
    reader = attach(channel, 0)
    write(channel, 3, b"three")
    clock.advance(0.9)
    channel.tick(clock.now)
    assert reader.released == []
    clock.advance(0.1)
    channel.tick(clock.now)
    assert [s.seq for s in reader.released if s is not None] == [3]


def test_more_segments_do_not_delay_the_release_of_a_skipped_one(
    channel: Channel, clock: Clock
) -> None:
    reader = attach(channel, 0)
    write(channel, 1, b"one")
    for seq in range(2, 6):
        clock.advance(0.3)
        write(channel, seq, b"more")
        channel.tick(clock.now)
    assert [s.seq for s in reader.released if s is not None] == [1]


def test_a_seq_that_was_skipped_long_ago_is_answered_at_once(
    channel: Channel, clock: Clock
) -> None:
    write(channel, 0, b"zero")
    write(channel, 5, b"five")
    clock.advance(1)
    assert channel.find(2).seq == 5


def test_a_skipped_seq_that_is_published_after_all_is_delivered(
    channel: Channel, clock: Clock
) -> None:
    reader = attach(channel, 0)
    write(channel, 1, b"one")
    clock.advance(0.5)
    channel.tick(clock.now)
    write(channel, 0, b"zero")
    assert reader.got == b"zero"


def test_a_publisher_that_gives_up_lets_its_seq_be_skipped(
    channel: Channel, clock: Clock
) -> None:
    slow = publish(channel, 0)
    reader = attach(channel, 0)
    write(channel, 1, b"one")
    clock.advance(10)
    slow.abandon()
    clock.advance(1)
    channel.tick(clock.now)
    assert [s.seq for s in reader.released if s is not None] == [1]


# Several publications of one segment.


def test_a_second_publication_continues_an_open_segment(channel: Channel) -> None:
    one, two = publish(channel, 0), publish(channel, 0)
    one.write([b"Hello"])
    two.write([b"World"])
    assert channel.find(0).size == 10
    two.write([], end=True)
    assert read(channel, 0) == b"HelloWorld"


def test_the_first_to_end_ends_it_and_the_others_are_told(channel: Channel) -> None:
    one, two, three = (publish(channel, 0) for _ in range(3))
    one.write([b"a"])
    two.write([b"b"], end=True)
    assert (one.verdict, three.verdict, two.verdict) == (
        Verdict.ENDED,
        Verdict.ENDED,
        None,
    )
    one.write([b"dropped"])
    assert read(channel, 0) == b"ab"
    assert one.judgements == 1


def test_there_is_a_limit_to_open_publications(clock: Clock) -> None:
    channel = make(clock, publications=2)
    first = publish(channel, 0)
    publish(channel, 1)
    with pytest.raises(LimitReached) as caught:
        publish(channel, 2)
    assert not caught.value.retryable
    first.abandon()
    publish(channel, 2)


# Ends that come from elsewhere.


def test_ending_a_segment_that_is_waited_for_makes_it_empty(channel: Channel) -> None:
    writer, reader = publish(channel, 0), attach(channel, 0)
    channel.end_segment(0)
    assert channel.head == 1
    assert reader.ended
    assert writer.verdict is Verdict.ENDED


def test_ending_an_open_segment_keeps_what_it_has(channel: Channel) -> None:
    writer, reader = publish(channel, 0), attach(channel, 0)
    writer.write([b"half"])
    channel.end_segment(0)
    assert (reader.got, reader.ended) == (b"half", True)
    assert read(channel, 0) == b"half"
    assert not channel.find(0).incomplete
    assert writer.verdict is Verdict.ENDED


def test_ending_a_segment_that_is_over_does_nothing(channel: Channel) -> None:
    write(channel, 0, b"all")
    channel.end_segment(0)
    assert read(channel, 0) == b"all"


@pytest.mark.parametrize("seq", [0, 1, 5])
def test_a_segment_that_nobody_knows_cannot_be_ended(
    channel: Channel, seq: int
) -> None:
    with pytest.raises(SegmentNotFound):
        channel.end_segment(seq)


def test_reset_ends_what_is_open_before_it(channel: Channel) -> None:
    dead = publish(channel, 0)
    dead.write([b"half"])
    reader = attach(channel, 0)
    fresh = publish(channel, 1, reset=True)
    assert reader.ended
    assert dead.verdict is Verdict.ENDED
    assert channel.find(0).incomplete
    assert read(channel, 0) == b"half"
    fresh.write([b"new"], end=True)
    assert read(channel, 1) == b"new"


def test_reset_leaves_what_is_whole_and_what_is_ahead(channel: Channel) -> None:
    write(channel, 0, b"whole")
    ahead = publish(channel, 2)
    publish(channel, 1, reset=True)
    assert not channel.find(0).incomplete
    assert ahead.verdict is None


def test_reset_at_minus_one_ends_all_that_is_open(channel: Channel) -> None:
    dead = publish(channel, 0)
    dead.write([b"half"])
    publish(channel, -1, reset=True).write([b"new"], end=True)
    assert dead.verdict is Verdict.ENDED
    assert read(channel, 1) == b"new"


def test_reset_releases_those_who_wait_for_what_was_preconnected(
    channel: Channel,
) -> None:
    dead = publish(channel, 0)
    reader = attach(channel, 0)
    publish(channel, 3, reset=True)
    assert dead.verdict is Verdict.ENDED
    assert reader.ended


def test_a_publisher_that_vanishes_leaves_its_segment_open_for_a_while(
    channel: Channel, clock: Clock
) -> None:
    reader = attach(channel, 0)
    writer = publish(channel, 0)
    writer.write([b"Hel"])
    writer.abandon()
    clock.advance(4.9)
    channel.tick(clock.now)
    again = publish(channel, 0)
    again.write([b"lo"], end=True)
    assert (reader.got, reader.ended) == (b"Hello", True)


def test_a_publisher_that_does_not_come_back_leaves_it_incomplete(
    channel: Channel, clock: Clock
) -> None:
    reader = attach(channel, 0)
    writer = publish(channel, 0)
    writer.write([b"Hel"])
    writer.abandon()
    clock.advance(5)
    channel.tick(clock.now)
    assert reader.late
    assert reader.wakes == 1
    segment = channel.find(0)
    assert (segment.ended, segment.incomplete, segment.cut) == (True, True, True)


def test_a_segment_that_grows_too_large_is_cut_and_its_writer_told(
    clock: Clock,
) -> None:
    channel = make(clock, segment_size=10)
    writer = publish(channel, 0)
    reader = attach(channel, 0)
    writer.write([b"12345678"])
    writer.write([b"90abc"])
    assert writer.verdict is Verdict.TOO_LARGE
    assert reader.got == b"1234567890"
    assert not reader.ended
    assert channel.find(0).incomplete
    assert channel.size == 10


def test_a_segment_of_exactly_the_limit_is_whole(clock: Clock) -> None:
    channel = make(clock, segment_size=10)
    write(channel, 0, b"1234567890")
    assert read(channel, 0) == b"1234567890"
    assert not channel.find(0).incomplete


# Closing.


def test_closing_ends_open_segments_and_judges_publishers(channel: Channel) -> None:
    open_, waiting, at_head = (
        publish(channel, 0),
        publish(channel, 1),
        publish(channel, -1),
    )
    open_.write([b"half"])
    reader = attach(channel, 0)
    channel.close()
    assert (reader.got, reader.ended) == (b"half", True)
    assert {w.verdict for w in (open_, waiting, at_head)} == {Verdict.CLOSED}
    assert [w.judgements for w in (open_, waiting, at_head)] == [1, 1, 1]


def test_closing_tells_those_who_wait_that_it_is_over(channel: Channel) -> None:
    reader = attach(channel, 0)
    preconnected = attach(channel, 1)
    channel.close()
    assert reader.released == preconnected.released == [None]
    assert channel.readers == 0


def test_closing_sends_those_who_wait_for_an_overtaken_one_to_the_next(
    channel: Channel,
) -> None:
    publish(channel, 0)
    reader = attach(channel, 0)
    write(channel, 1, b"one")
    channel.close()
    assert [s.seq for s in reader.released if s is not None] == [1]


def test_a_closed_channel_drains(channel: Channel) -> None:
    write(channel, 0, b"zero")
    write(channel, 1, b"one")
    channel.close()
    assert read(channel, 0) == b"zero"
    assert read(channel, -2) == b"one"
    for seq in (2, 3, 100):
        with pytest.raises(ChannelClosed):
            channel.find(seq)
    with pytest.raises(ChannelNotFound):
        channel.find(-1)


def test_a_closed_channel_where_nothing_began_is_at_its_end(channel: Channel) -> None:
    channel.close()
    for seq in (0, 1, -2):
        with pytest.raises(ChannelClosed):
            channel.find(seq)


def test_a_closed_channel_serves_what_comes_after_a_skipped_seq(
    channel: Channel,
) -> None:
    write(channel, 0, b"zero")
    write(channel, 3, b"three")
    channel.close()
    assert channel.find(1).seq == 3


def test_nothing_can_be_published_to_a_closed_channel(channel: Channel) -> None:
    channel.close()
    with pytest.raises(ChannelClosed):
        publish(channel, 0)


# Starting over.


def test_a_publisher_that_starts_over_restarts_the_channel(channel: Channel) -> None:
    for seq in range(3):
        write(channel, seq, b"old")
    epoch = channel.epoch
    waiting = attach(channel, 3)
    write(channel, 0, b"new")
    assert channel.head == 1
    assert channel.epoch != epoch
    assert read(channel, 0) == b"new"
    assert [s.seq for s in waiting.released if s is not None] == [0]
    assert channel.size == len(b"new")


def test_a_restart_leaves_waiting_publications_in_place(channel: Channel) -> None:
    for seq in range(3):
        write(channel, seq, b"old")
    preconnected = publish(channel, 1)
    again = publish(channel, 0)
    ahead = publish(channel, 3)
    again.write([b"new"], end=True)
    assert preconnected.verdict is None
    assert ahead.verdict is None
    assert read(channel, 0) == b"new"


def test_what_was_opened_ahead_of_a_restart_goes_on_in_it(channel: Channel) -> None:
    """Publishers that start at 0 open 1 before the first byte of 0."""
    for seq in range(3):
        write(channel, seq, b"old")
    again, ahead = publish(channel, 0), publish(channel, 1)
    again.write([b"new"], end=True)
    epoch = channel.epoch
    waiting = attach(channel, 1)
    ahead.write([b"and on"], end=True)
    assert channel.epoch == epoch
    assert (waiting.got, waiting.ended) == (b"and on", True)
    assert (read(channel, 0), read(channel, 1)) == (b"new", b"and on")
    assert channel.publishers == 0
    assert channel.readers == 0


def test_who_waits_across_a_restart_hears_of_the_end(channel: Channel) -> None:
    write(channel, 0, b"old")
    again, ahead = publish(channel, 0), publish(channel, 1)
    again.write([b"new"], end=True)
    waiting = attach(channel, 1)
    ahead.abandon()
    channel.close()
    assert waiting.released == [None]


def test_nobody_restarts_a_channel_while_somebody_publishes(channel: Channel) -> None:
    write(channel, 0, b"whole")
    busy = publish(channel, 1)
    busy.write([b"half"])
    intruder = publish(channel, 0)
    with pytest.raises(SegmentConflict) as caught:
        intruder.write([b"new"])
    assert (caught.value.seq, caught.value.latest) == (0, 2)
    assert read(channel, 0) == b"whole"


def test_an_empty_end_never_restarts_a_channel(channel: Channel) -> None:
    write(channel, 0, b"whole")
    epoch = channel.epoch
    write(channel, 0, b"")
    assert channel.epoch == epoch
    assert read(channel, 0) == b"whole"
    assert channel.publishers == 0


def test_what_was_read_before_a_restart_can_be_read_to_its_end(
    channel: Channel,
) -> None:
    write(channel, 0, b"old data")
    reader = TakingReader(appetite=3)
    channel.attach(reader, channel.find(0))
    write(channel, 0, b"new")
    reader.catch_up()
    assert reader.got == b"old data"


# The window.


def test_the_window_is_bounded_by_count(clock: Clock) -> None:
    channel = make(clock, window=Window(segments=10, floor=2))
    for seq in range(25):
        write(channel, seq, b"x")
    assert len(channel) == 10
    assert channel.oldest == 15
    assert missing(channel, 14) == 25
    assert channel.find(-1000).seq == 15


def test_the_window_is_bounded_by_bytes(clock: Clock) -> None:
    channel = make(clock, window=Window(size=1000, floor=2))
    for seq in range(25):
        write(channel, seq, b"x" * 100)
    assert channel.size == 1000
    assert channel.oldest == 15


def test_the_window_is_bounded_by_age(clock: Clock) -> None:
    channel = make(clock, window=Window(seconds=10, floor=2))
    for seq in range(5):
        write(channel, seq, b"x")
    clock.advance(10.5)
    write(channel, 5, b"x")
    assert channel.oldest == 4
    clock.advance(1)  # the age is looked at every second
    write(channel, 6, b"x")
    assert channel.oldest == 5


def test_age_counts_from_the_end_of_a_segment(clock: Clock) -> None:
    channel = make(clock, window=Window(seconds=10, floor=1))
    long = publish(channel, 0)
    long.write([b"x"])
    clock.advance(100)
    write(channel, 1, b"x")
    write(channel, 2, b"x")
    assert channel.oldest == 0
    long.write([b"y"], end=True)
    assert read(channel, 0) == b"xy"


def test_what_is_too_old_goes_even_if_nothing_is_written(clock: Clock) -> None:
    channel = make(clock, window=Window(seconds=10, floor=1))
    for seq in range(3):
        write(channel, seq, b"x")
    clock.advance(11)
    channel.expire(clock.now)
    assert channel.oldest == 2


def test_the_newest_are_kept_whatever_their_size(clock: Clock) -> None:
    channel = make(clock, window=Window(size=10, floor=5))
    for seq in range(8):
        write(channel, seq, b"x" * 100)
    assert len(channel) == 5
    assert channel.oldest == 3


def test_an_evicted_segment_can_be_read_to_its_end_by_who_began_it(
    clock: Clock,
) -> None:
    channel = make(clock, window=Window(segments=2, size=1000, floor=1))
    write(channel, 0, b"old data")
    reader = TakingReader(appetite=3)
    channel.attach(reader, channel.find(0))
    for seq in range(1, 5):
        write(channel, seq, b"x")
    assert missing(channel, 0) == 5
    reader.catch_up()
    assert (reader.got, reader.ended) == (b"old data", True)


def test_what_is_kept_for_late_readers_is_bounded_too(clock: Clock) -> None:
    channel = make(clock, window=Window(segments=1, size=1000, floor=1))
    readers = []
    for seq in range(10):
        write(channel, seq, b"x" * 300)
        reader = TakingReader(appetite=1)
        channel.attach(reader, channel.find(seq))
        reader.push(channel.find(seq).as_piece())
        readers.append(reader)
    kept = [r for r in readers if r.segment is not None and r.segment.read(0, 0, 1)[1]]
    assert len(kept) == 1 + 3
    assert readers[0].segment is not None
    assert readers[0].segment.cut
    for reader in readers:
        channel.detach(reader)
    assert channel._held._leaving_size == 0
    assert channel.readers == 0


def test_an_open_segment_that_falls_out_of_the_window_is_cut(clock: Clock) -> None:
    channel = make(clock, window=Window(segments=3, floor=1))
    slow = publish(channel, 0)
    slow.write([b"x"])
    for seq in range(1, 6):
        write(channel, seq, b"x")
    assert slow.verdict is Verdict.EVICTED
    slow.write([b"y"], end=True)
    assert missing(channel, 0) == 6
    assert channel.size == 3


def test_a_segment_that_evicts_itself_leaves_nothing_behind(clock: Clock) -> None:
    channel = make(clock, window=Window(size=10, floor=1))
    slow = publish(channel, 0)
    slow.write([b"x"])
    write(channel, 1, b"x")
    slow.write([b"y" * 20])
    assert channel.size == sum(channel.find(seq).size for seq in (1,))
    assert slow.verdict is Verdict.EVICTED


# Readers.


def test_there_is_a_limit_to_readers(clock: Clock) -> None:
    channel = make(clock, readers=2)
    one = attach(channel, 0)
    attach(channel, 0)
    with pytest.raises(LimitReached) as caught:
        attach(channel, 0)
    assert caught.value.retryable
    channel.detach(one)
    attach(channel, 0)


def test_readers_that_wait_and_leave_leave_nothing_behind(channel: Channel) -> None:
    write(channel, 0, b"x")
    for seq in (1, -1):
        for _ in range(100):
            reader = TakingReader()
            channel.attach(reader, channel.find(seq))
            channel.detach(reader)
            channel.detach(reader)
    assert channel.readers == 0
    assert channel._awaited == {}


def test_everything_is_counted(channel: Channel) -> None:
    publish(channel, -1)
    write(channel, 0, b"abc")
    write(channel, 1, b"de")
    attach(channel, 2)
    assert (len(channel), channel.size, channel.total) == (2, 5, 5)
    assert (channel.readers, channel.publishers) == (1, 1)
    assert channel.newest is not None
    assert channel.newest.seq == 1


def test_a_dropped_channel_breaks_off_who_still_reads(channel: Channel) -> None:
    write(channel, 0, b"data")
    reader = TakingReader(appetite=1)
    channel.attach(reader, channel.find(0))
    wakes = reader.wakes
    channel.drop()
    assert reader.wakes == wakes + 1
    assert reader.segment is not None
    assert reader.segment.cut


def test_a_reader_that_says_who_it_is_counts_once(clock: Clock) -> None:
    """It asks for the next segment while it reads one."""
    channel = make_hub(clock).create("cam")
    write(channel, 0, b"zero")
    readers = []
    for label in (b"one", b"", b"two", b"one", b""):
        reader = TakingReader()
        reader.label, reader.channel = label, channel
        channel.attach(reader, channel.find(0 if label == b"one" else 1))
        readers.append(reader)
    assert channel.readers == 4
    channel.detach(readers[0])
    assert channel.readers == 4
    channel.detach(readers[3])
    assert channel.readers == 3
    channel.close()
    assert channel.readers == 0


def test_a_publisher_that_says_who_it_is_counts_once(clock: Clock) -> None:
    channel = make_hub(clock).create("cam")
    for seq, owner in enumerate([b"one", b"one", b"two", b"", b""]):
        publish(channel, seq, owner=owner)
    assert channel.publishers == 4
