"""A lossless channel keeps what its readers have not taken, and no longer than that."""

from __future__ import annotations

import pytest
import trio

from tests.relay.fakes import Clock, TakingReader, attach, make_hub, publish, write
from trickle_cli.errors import SegmentNotFound
from trickle_cli.relay import Channel, Hold, Hub, Limits, Window

LEASE = 10.0


class Connection:
    """What a hold belongs to: it asks for segments, one after another."""

    def __init__(
        self, channel: Channel, label: bytes = b"", *, peer: str = "192.0.2.1"
    ) -> None:
        self.channel = channel
        self.peer = peer
        self.label = label
        self.owed = 0
        self.hold: Hold | None = None
        self.reader: TakingReader | None = None

    def unacknowledged(self) -> int:
        return self.owed

    def ask(self, seq: int, appetite: int | None = None) -> TakingReader:
        """Ask for a segment, and take all of it, or what it has `appetite` for."""
        channel = self.channel
        if self.hold is not None:
            self.hold.took()
        segment = channel.find(seq)
        self.hold = channel.follow(self.hold, self, self.label, segment.seq)
        reader = self.reader = TakingReader(appetite)
        reader.channel = channel
        channel.attach(reader, segment)
        assert self.hold is not None
        self.hold.begin(reader, segment.seq)
        if reader.late and appetite is None:
            reader.catch_up()
        self.look()
        return reader

    def look(self) -> None:
        """Note what has become of the segment, as a server does."""
        if self.reader is not None and self.reader.ended:
            assert self.hold is not None
            self.hold.is_done = True

    def close(self) -> None:
        self.look()
        assert self.hold is not None
        hold, self.hold = self.hold, None
        hold.flow.leave(hold, is_taken=hold.is_taken())
        if self.reader is not None:
            self.channel.detach(self.reader)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub(clock: Clock) -> Hub:
    """Windows are of five segments, or a hundred bytes."""
    window = Window(segments=5, size=100, floor=1)
    return make_hub(clock, Limits(window=window, lease=LEASE))


@pytest.fixture
def channel(hub: Hub, clock: Clock) -> Channel:
    """Lossless; nobody came to read when it was made."""
    channel = hub.create("cam", lossless=True)
    write(channel, 0, b"0")
    clock.advance(LEASE)
    channel.tick(clock.now)
    return channel


def fill(channel: Channel, count: int) -> None:
    for _ in range(count):
        write(channel, channel.head, b"x")


def let_go(channel: Channel) -> int:
    assert channel.flow is not None
    return channel.flow.let_go


def pass_time(channel: Channel, clock: Clock, seconds: float) -> None:
    """A tick each second."""
    for _ in range(round(seconds)):
        clock.advance(1)
        channel.tick(clock.now)


def test_without_readers_it_is_as_any_other(channel: Channel) -> None:
    fill(channel, 20)
    assert channel.has_room(channel.head - 1)
    assert channel.oldest == 16


def test_what_a_reader_has_not_taken_stays(channel: Channel) -> None:
    connection = Connection(channel)
    connection.ask(0)
    fill(channel, 4)
    assert channel.has_room(channel.head - 1)
    fill(channel, 1)
    assert not channel.has_room(channel.head - 1)
    assert channel.oldest == 0


def test_by_asking_for_the_next_it_has_taken_a_segment(channel: Channel) -> None:
    connection = Connection(channel)
    connection.ask(0)
    fill(channel, 5)
    connection.ask(1)
    assert channel.has_room(channel.head - 1)
    assert channel.oldest == 1


def test_the_slowest_counts(channel: Channel) -> None:
    quick, slow = Connection(channel), Connection(channel)
    slow.ask(0)
    for _ in range(5):
        quick.ask(channel.head - 1)
        fill(channel, 1)
    assert not channel.has_room(channel.head - 1)
    assert channel.oldest == 0
    assert slow.ask(1).got == b"x"
    assert channel.has_room(channel.head - 1)


def test_when_all_have_all_there_is_it_goes_on(channel: Channel) -> None:
    """Else nobody would: readers ask for the next when it begins."""
    connection = Connection(channel)
    connection.ask(0)
    writer = publish(channel, 1)
    writer.write([b"x" * 200])
    reader = connection.ask(1)
    assert reader.got == b"x" * 200
    writer.write([b"y" * 200], end=True)
    connection.look()
    assert connection.hold is not None
    assert connection.hold.position == 1
    assert channel.has_room(channel.head - 1)
    connection.owed = 1
    assert not channel.has_room(channel.head - 1)


def test_who_waits_for_the_rest_of_a_segment_gets_it_whatever_has_come_after(
    channel: Channel,
) -> None:
    """A publisher sends its segments on connections in turn: one may be ahead."""
    connections = Connection(channel), Connection(channel)
    first, second = publish(channel, 1), publish(channel, 2)
    first.write([b"x" * 50])
    connections[0].ask(1)
    second.write([b"y" * 60])
    connections[1].ask(2)
    assert not channel.has_room(2)
    assert channel.has_room(1)
    connections[0].owed = 1
    assert not channel.has_room(1)


def test_an_open_segment_larger_than_the_window_loses_what_all_have(
    channel: Channel,
) -> None:
    one, two = Connection(channel), Connection(channel)
    writer = publish(channel, 1)
    one.ask(1)
    slow = two.ask(1, appetite=0)
    pieces = [bytes([65 + number]) * 5000 for number in range(4)]
    for piece in pieces[:2]:
        writer.write([piece])
    assert not channel.has_room(channel.head - 1)
    assert channel.find(1).dropped == 0
    slow.catch_up()
    assert channel.has_room(channel.head - 1)
    segment = channel.find(1, offset=10_000)
    assert segment.dropped == 5000  # a chunk as a whole, and never the last
    assert channel.size == segment.held == 5000
    for piece in pieces[2:]:
        writer.write([piece])
        assert channel.has_room(channel.head - 1)
    assert one.reader is not None
    assert one.reader.got == slow.got == b"".join(pieces)
    assert channel.find(1).seq == 2  # who comes now begins with the next
    assert segment.position(segment.dropped // 5000, 0) == segment.dropped


def test_who_takes_nothing_for_the_lease_is_let_go(
    channel: Channel, clock: Clock
) -> None:
    quick, stuck = Connection(channel), Connection(channel)
    quick.ask(0)
    stuck.ask(0, appetite=0)
    for seq in range(1, 6):
        fill(channel, 1)
        quick.ask(seq)
    pass_time(channel, clock, LEASE - 1)
    assert not channel.has_room(channel.head - 1)
    assert let_go(channel) == 0
    pass_time(channel, clock, 2)
    assert let_go(channel) == 1
    assert channel.has_room(channel.head - 1)


def test_who_takes_a_byte_now_and_then_is_not(channel: Channel, clock: Clock) -> None:
    connection = Connection(channel)
    write(channel, 1, b"y" * 90)
    connection.ask(1)
    connection.owed = 90
    fill(channel, 10)
    for _ in range(5):
        pass_time(channel, clock, LEASE - 2)
        connection.owed -= 1
    assert let_go(channel) == 0
    pass_time(channel, clock, LEASE + 1)
    assert let_go(channel) == 1


def test_who_has_nothing_to_take_may_wait_for_ever(
    channel: Channel, clock: Clock
) -> None:
    waiting, done = Connection(channel, b"one"), Connection(channel, b"two")
    waiting.ask(-1)
    done.ask(0)
    pass_time(channel, clock, 10 * LEASE)
    assert let_go(channel) == 0
    assert channel.flow is not None
    assert len(channel.flow) == 2


def test_a_place_is_held_for_the_lease_and_taken_over_by_asking_there(
    channel: Channel, clock: Clock
) -> None:
    connection = Connection(channel)
    connection.ask(0, appetite=0)
    connection.close()
    fill(channel, 10)
    pass_time(channel, clock, LEASE - 1)
    assert channel.oldest == 0
    again = Connection(channel)
    again.ask(0)
    assert channel.flow is not None
    assert len(channel.flow) == 1
    pass_time(channel, clock, 2)
    assert let_go(channel) == 0
    assert channel.oldest == 0


def test_a_place_that_nobody_takes_over_is_given_up_and_told(
    channel: Channel, clock: Clock
) -> None:
    connection = Connection(channel)
    connection.ask(0)
    connection.close()
    fill(channel, 10)
    assert channel.oldest == 1  # it had that one
    pass_time(channel, clock, LEASE + 1)
    assert let_go(channel) == 1
    assert channel.has_room(channel.head - 1)


def test_a_reader_with_a_label_is_known_wherever_it_comes_back(
    channel: Channel,
) -> None:
    first = Connection(channel, b"me")
    first.ask(0, appetite=0)
    fill(channel, 3)
    first.close()
    again = Connection(channel, b"me")
    again.ask(2)
    assert channel.flow is not None
    assert len(channel.flow) == 1
    fill(channel, 10)
    assert channel.oldest == 2


def test_others_do_not_take_over_what_has_a_label(
    channel: Channel, clock: Clock
) -> None:
    first = Connection(channel, b"me")
    first.ask(0, appetite=0)
    first.close()
    Connection(channel).ask(0)
    Connection(channel, b"somebody else").ask(0)
    assert channel.flow is not None
    assert len(channel.flow) == 3
    fill(channel, 3)
    pass_time(channel, clock, LEASE + 1)
    assert let_go(channel) == 3


@pytest.mark.parametrize("label", [b"", b"me"])
@pytest.mark.parametrize("readers", [1, 3])
def test_a_connection_for_each_segment_is_one_reader_all_the_time(
    channel: Channel, clock: Clock, label: bytes, readers: int
) -> None:
    """The next is asked for on another connection before the last one ends."""
    names = [label and label + b"%d" % number for number in range(readers)]
    current = [Connection(channel, name) for name in names]
    for connection in current:
        connection.ask(0)
    for seq in range(1, 40):
        following = [Connection(channel, name) for name in names]
        for connection in following:
            connection.ask(seq)
        fill(channel, 1)
        for connection in current:
            connection.close()
        for connection in following:
            connection.look()
        current = following
        assert channel.flow is not None
        assert len(channel.flow) == readers
        pass_time(channel, clock, 3)
    assert let_go(channel) == 0
    assert channel.oldest >= 35


def test_two_connections_in_turn_hold_no_more_than_needed(channel: Channel) -> None:
    connections = [Connection(channel), Connection(channel)]
    for seq in range(40):
        if seq >= channel.head:
            fill(channel, 1)
        connections[seq % 2].ask(seq)
    assert channel.has_room(channel.head - 1)
    assert channel.oldest >= 34


def test_a_connection_left_behind_in_a_pool_holds_nothing_for_long(
    channel: Channel, clock: Clock
) -> None:
    left, goes_on = Connection(channel), Connection(channel)
    left.ask(0)
    goes_on.ask(1)
    fill(channel, 1)
    goes_on.look()
    for seq in range(2, 6):
        fill(channel, 1)
        goes_on.ask(seq)
    assert channel.oldest == 0
    pass_time(channel, clock, 2)
    fill(channel, 1)
    assert channel.has_room(channel.head - 1)
    assert channel.oldest > 0
    assert let_go(channel) == 0


def test_when_numbering_begins_anew_all_hold_from_there(channel: Channel) -> None:
    connection = Connection(channel)
    fill(channel, 4)
    connection.ask(-1)
    write(channel, 0, b"anew")
    fill(channel, 10)
    assert channel.oldest == 0


def test_the_place_of_the_first_reader_is_held_for_the_lease(
    hub: Hub, clock: Clock
) -> None:
    channel = hub.create("new", lossless=True)
    pass_time(channel, clock, 3 * LEASE)  # nothing is there to be read
    fill(channel, 6)
    assert not channel.has_room(channel.head - 1)
    Connection(channel).ask(0)
    fill(channel, 1)
    pass_time(channel, clock, LEASE + 1)
    assert channel.flow is not None
    fill(channel, 1)
    pass_time(channel, clock, LEASE + 1)
    assert let_go(channel) == 1  # the reader; that nobody came is no news


def test_memory_is_made_free_where_nobody_holds_it(clock: Clock) -> None:
    hub = make_hub(clock, Limits(memory=20_000, lease=LEASE))
    kept, other = hub.create("kept", lossless=True), hub.create("other")
    connection = Connection(kept)
    connection.ask(-1)
    for _ in range(8):
        write(kept, kept.head, b"k" * 1000)
        write(other, other.head, b"o" * 1000)
    fill(other, 10)
    assert kept.oldest == 0
    assert other.oldest > 0
    assert hub.memory.used <= 20_000
    for _ in range(10):
        write(kept, kept.head, b"k" * 1000)
    assert not kept.has_room(kept.head - 1)
    assert len(other) == 0
    pass_time(kept, clock, LEASE + 1)
    assert kept.has_room(kept.head - 1)
    assert hub.memory.used <= 20_000


def test_what_comes_first_gets_room_first(channel: Channel) -> None:
    connection = Connection(channel)
    connection.ask(0)
    fill(channel, 4)
    assert channel.flow is not None
    assert channel.has_room(5)
    channel.flow._waiting.append(4)
    assert channel.has_room(4)
    assert not channel.has_room(5)


def test_what_is_held_back_is_not_passed_over_for_that(
    channel: Channel, clock: Clock
) -> None:
    """It was overtaken, and its publisher may not send it for now."""
    connection = Connection(channel)
    connection.ask(0)
    write(channel, 2, b"two")
    reader = connection.ask(1)
    assert channel.flow is not None
    channel.flow._waiting.append(2)
    pass_time(channel, clock, LEASE / 2)
    assert reader.released == []
    channel.flow._waiting.clear()
    pass_time(channel, clock, 2)
    assert [segment and segment.seq for segment in reader.released] == [2]


def test_readers_that_use_one_of_many_connections_each_time_pin_nothing(
    channel: Channel, clock: Clock
) -> None:
    """They leave connections behind that have taken a segment, and any of those may be
    used again for another."""
    connections = [Connection(channel) for _ in range(4)]
    used = [0, 1, 2, 0, 3, 1, 0, 2, 1, 3]
    for seq, index in enumerate(used):
        connections[index].ask(seq)
        write(channel, channel.head, b"x")
        for connection in connections:
            connection.look()
    clock.advance(1)
    fill(channel, 3)
    assert channel.has_room(channel.head - 1)
    assert channel.flow is not None
    assert channel.flow.floor() == 9
    assert let_go(channel) == 0


def test_two_readers_of_one_connection_each_are_not_taken_for_one(
    channel: Channel, clock: Clock
) -> None:
    one, two = Connection(channel), Connection(channel)
    for seq in range(5):
        one.ask(seq)
        if not seq:
            two.ask(seq)
        fill(channel, 1)
    clock.advance(1)
    assert not channel.has_room(channel.head - 1)
    assert channel.oldest <= 1


def test_readers_from_elsewhere_are_not_taken_for_one(
    channel: Channel, clock: Clock
) -> None:
    """One that is slow, and one that begins by number where that would go on."""
    fill(channel, 1)
    slow = Connection(channel, peer="192.0.2.1")
    slow.ask(0)
    other = Connection(channel, peer="192.0.2.2")
    other.ask(1)
    clock.advance(1)
    for seq in range(2, 12):
        fill(channel, 1)
        other.ask(seq)
    assert not channel.has_room(channel.head - 1)
    assert channel.oldest <= 1


def test_a_place_may_be_taken_over_from_elsewhere(
    channel: Channel, clock: Clock
) -> None:
    fill(channel, 1)
    before = Connection(channel, peer="192.0.2.1")
    before.ask(0)
    before.close()
    after = Connection(channel, peer="192.0.2.2")
    after.ask(1)
    assert channel.flow is not None
    assert len(channel.flow) == 1
    fill(channel, 9)
    pass_time(channel, clock, LEASE)
    assert channel.oldest == 1


def test_a_place_taken_over_from_elsewhere_is_as_good_there(
    channel: Channel, clock: Clock
) -> None:
    """It waits for a segment, and comes again from another address, on a connection for
    each segment."""
    waiting = Connection(channel, peer="192.0.2.1")
    waiting.ask(1)
    waiting.close()
    again = Connection(channel, peer="192.0.2.2")
    again.ask(1)
    fill(channel, 1)
    again.close()
    pass_time(channel, clock, 2)
    fill(channel, 20)
    assert channel.oldest == 2
    Connection(channel, peer="192.0.2.2").ask(2)


def test_who_comes_from_elsewhere_costs_nobody_a_place(
    channel: Channel, clock: Clock
) -> None:
    slow = Connection(channel, peer="192.0.2.2")
    slow.ask(0)
    before = Connection(channel, peer="192.0.2.1")
    before.ask(0)
    before.close()
    after = Connection(channel, peer="192.0.2.2")
    after.ask(1)
    pass_time(channel, clock, 1)
    for seq in range(2, 20):
        fill(channel, 1)
        after.ask(seq)
    channel.has_room(channel.head - 1)
    slow.ask(1)


def test_own_places_are_taken_over_first(channel: Channel, clock: Clock) -> None:
    own = Connection(channel, peer="192.0.2.1")
    other = Connection(channel, peer="192.0.2.2")
    own.ask(1)
    other.ask(1)
    own.close()
    other.close()
    again = Connection(channel, peer="192.0.2.2")
    again.ask(1)
    assert again.hold is not None
    assert again.hold.crowd is not None
    assert again.hold.crowd.size == 1
    assert again.hold.crowd.peer == "192.0.2.2"


def test_who_was_let_go_of_holds_nothing_whatever_it_asks_for(
    channel: Channel, clock: Clock
) -> None:
    fill(channel, 4)
    gone, other = Connection(channel), Connection(channel, b"other")
    gone.ask(0)
    assert channel.flow is not None
    assert gone.hold is not None
    channel.flow.drop(gone.hold)
    other.ask(channel.head - 1)
    channel.flow.floor()
    gone.hold.took()
    for _ in range(20):
        fill(channel, 1)
        other.ask(channel.head - 1)
    assert len(channel) <= 5


def test_a_reader_that_is_lost_is_told_of_whoever_is_ahead_elsewhere(
    channel: Channel, clock: Clock
) -> None:
    fill(channel, 3)
    lost = Connection(channel, peer="192.0.2.1")
    lost.ask(0)
    lost.close()
    Connection(channel, peer="192.0.2.2").ask(2)
    pass_time(channel, clock, LEASE + 1)
    assert let_go(channel) == 1


def test_who_is_not_held_for_is_broken_off_when_a_beginning_is_dropped(
    channel: Channel,
) -> None:
    held = Connection(channel)
    writer = publish(channel, 1)
    held.ask(1)
    slow = attach(channel, 1, appetite=10)
    for _ in range(4):
        writer.write([bytes(5000)])
        channel.has_room(1)
    assert channel.find(2)
    assert channel.newest is not None
    assert channel.newest.dropped > 10
    assert slow.cut
    assert slow.wakes


def test_a_connection_that_serves_another_reader_leaves_the_place_of_the_first(
    channel: Channel,
) -> None:
    connection = Connection(channel, b"one")
    connection.ask(0)
    fill(channel, 4)
    connection.ask(1)
    connection.label = b"two"
    connection.ask(4)
    fill(channel, 10)
    assert channel.oldest == 2


def test_a_closed_channel_keeps_what_its_readers_have_not_taken(
    hub: Hub, channel: Channel, clock: Clock
) -> None:
    slow, gone = Connection(channel), Connection(channel, b"gone")
    fill(channel, 4)
    for connection in (slow, gone):
        connection.ask(0)
    hub.close("cam")
    for seq in range(1, 5):
        for _ in range(round(LEASE) - 1):
            clock.advance(1)
            hub.tick()
        channel.shed(1000)  # somebody needs the memory
        assert slow.ask(seq).ended
    clock.advance(1)
    hub.tick()
    assert let_go(channel) == 1  # who never came back
    assert not channel.is_held


async def test_who_waits_for_room_goes_on_when_a_reader_has_moved(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hub = make_hub(Clock(), Limits(window=Window(segments=5, floor=1)))
    channel = hub.create("cam", lossless=True)
    connection = Connection(channel)
    connection.ask(0)
    fill(channel, 6)
    assert channel.flow is not None
    connection.look()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.flow.until, lambda: channel.has_room(5), 5)
        await trio.testing.wait_all_tasks_blocked(0.001)
        assert channel.flow.waiting == 1
        channel.flow.clear()
    assert channel.flow.waiting == 0


def test_a_reader_that_is_not_let_hold_changes_nothing(channel: Channel) -> None:
    attach(channel, 0)
    fill(channel, 10)
    with pytest.raises(SegmentNotFound):
        channel.find(0)
