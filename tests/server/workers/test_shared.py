"""What processes share: the table, memory, and who owns what."""

from __future__ import annotations

import itertools
from collections import Counter

from trickle_cli.protocol.names import CHANGEFEED
from trickle_cli.relay import Hub, Limits, LocalPublisher, Window
from trickle_cli.server.config import Peers
from trickle_cli.server.ledger import Ledger
from trickle_cli.server.workers import Owners, Table
from trickle_cli.server.workers.changes import Registry, Reporter
from trickle_cli.server.workers.owners import place_of
from trickle_cli.server.workers.sharing import SharedAddresses, SharedMemory


def test_rows_add_up_and_only_what_was_counted_outlasts_them() -> None:
    table = Table.make(4)
    for number in range(4):
        row = table.row(number)
        row.tell_channels(number, 1)
        row.tell_connections(10)
        row.tell_memory(100)
        ledger = Ledger(None)
        ledger.delivered = 5
        ledger.statuses.update({200: number, 470: 1, 999: 1})
        row.tell_ledger(ledger)
    row = table.row(1)
    assert row.channels() == (6, 4)
    assert row.connections() == 40
    assert row.memory_of_others() == 300
    table.clear(3)
    table.clear(3)
    assert row.channels() == (3, 3)
    assert row.connections() == 30
    assert row.memory_of_others() == 200
    assert row.delivered() == 20
    assert row.statuses() == {200: 6, 470: 4}
    again = Table(table.descriptor, 4, table.secret)
    assert again.row(0).channels() == (3, 3)


def test_addresses_are_never_counted_too_low() -> None:
    table = Table.make(2)
    for number in range(3000):
        table.row(number % 2).enter(f"192.0.2.{number}")
    for _ in range(7):
        table.row(0).enter("alice")
    assert table.row(1).connections_of("alice") >= 7
    counts = Counter(
        table.row(0).connections_of(f"192.0.2.{number}") for number in range(3000)
    )
    assert min(counts) == 1
    assert counts[1] > 2900
    for _ in range(7):
        table.row(0).leave("alice")
    assert table.row(1).connections_of("nobody") <= 1
    table.clear(0)
    assert table.row(1).connections_of("192.0.2.0") <= 1


def test_a_pumped_connection_counts_once() -> None:
    table = Table.make(2)
    one = SharedAddresses(Peers(connections=2, per_address=1), table.row(0))
    two = SharedAddresses(Peers(connections=2, per_address=1), table.row(1))
    accepted = one.enter("192.0.2.1")
    served = two.enter("192.0.2.1", 0)
    assert one.refusal(accepted) is None
    assert two.refusal(served) is None
    more = two.enter("192.0.2.1")
    refused = two.refusal(more)
    assert refused is not None
    assert refused.status == 429
    other = one.enter("192.0.2.2")
    refused = one.refusal(other)
    assert refused is not None
    assert refused.status == 503
    for addresses, visitor in ((one, accepted), (two, served), (two, more)):
        addresses.leave(visitor)
    assert one.refusal(other) is None


def test_owners_are_spread_and_do_not_depend_on_who_asks() -> None:
    owners = Owners([5, 6, 7])
    names = [f"cam-{number}" for number in range(3000)]
    counts = Counter(owners.owner(name) for name in names)
    assert set(counts) == {5, 6, 7}
    assert min(counts.values()) > 900
    assert owners.owner(CHANGEFEED) == 5
    assert place_of("cam", 3) == 2  # as it was with every version before
    assert owners.owner("x" * 300) in {5, 6, 7}


def test_what_is_kept_elsewhere_is_so_until_it_is_forgotten_or_lost() -> None:
    owners = Owners([2, 3])
    owners.keeps(0, ["a", "b"])
    owners.keeps(1, ["c"])
    assert [owners.owner(name) for name in "abc"] == [0, 0, 1]
    owners.forget(1, "a")  # that one never had it
    assert owners.owner("a") == 0
    owners.forget(0, "a")
    assert owners.owner("a") == owners.heir("a")
    assert owners.lose(0) == ["b"]
    assert owners.lose(1) == ["c"]
    assert owners.owner("b") == owners.heir("b")


class Told:
    """Keeps what is announced."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, list[str]]] = []

    def __call__(self, **names: list[str]) -> None:
        self.changes += [(key, list(value)) for key, value in names.items()]


def test_changes_of_others_are_published_once_and_in_order() -> None:
    told = Told()
    registry = Registry(told)
    registry.take_changes(1, [("+", "a"), ("-", "a"), ("+", "b")])
    registry.take_changes(2, [("-", "b"), ("+", "c")])  # it never had b
    assert told.changes == [
        ("added", ["a"]),
        ("removed", ["a"]),
        ("added", ["b"]),
        ("added", ["c"]),
    ]
    told.changes.clear()
    registry.take_names(1, ["b", "d"])
    registry.take_names(1, ["d"])
    registry.lose(1)
    registry.lose(1)
    registry.take_changes(3, [("+", "c")])  # it goes from one to another
    registry.take_changes(2, [("-", "c")])
    registry.lose(3)
    assert told.changes == [
        ("added", ["d"]),
        ("removed", ["b"]),
        ("removed", ["d"]),
        ("removed", ["c"]),
    ]


def test_who_cannot_keep_up_with_its_changes_tells_all_names() -> None:
    reporter = Reporter(1, lambda: ["x", "y"])
    assert reporter.letter() is None
    reporter.note(added=["a"], removed=["b"])
    letter = reporter.letter()
    assert letter is not None
    assert (letter.kind, letter.data) == ("changes", b'[["+", "a"], ["-", "b"]]')
    assert reporter.letter() is None
    reporter.note(added=[str(number) for number in range(30_000)])
    reporter.note(removed=["y"])
    letter = reporter.letter()
    assert letter is not None
    assert (letter.kind, letter.data) == ("open", b'["x", "y"]')
    assert reporter.letter() is None


LIMIT = 8 * 1024 * 1024


class Sharing:
    """Hubs that share memory as processes do."""

    def __init__(self, count: int) -> None:
        table = Table.make(count)
        window = Window(size=LIMIT * 2, seconds=float("inf"))
        limits = Limits(memory=LIMIT, window=window)
        ticks = itertools.count()
        self.hubs = [
            Hub(limits=limits, autocreate=True, clock=lambda: next(ticks) * 0.1)
            for _ in range(count)
        ]
        self.memories = [
            SharedMemory(hub, table.row(number), LIMIT, count, self.ask)
            for number, hub in enumerate(self.hubs)
        ]

    def ask(self, number: int) -> None:
        self.memories[number].look()

    @property
    def used(self) -> int:
        return sum(hub.memory.used for hub in self.hubs)


async def fill(hub: Hub, name: str, size: int) -> None:
    publisher = LocalPublisher(hub, name)
    for _ in range(size // 32_768):
        await publisher.write(b"x" * 32_768)


async def test_together_they_never_hold_more_than_the_limit() -> None:
    sharing = Sharing(3)
    for turn in range(4):
        for number, hub in enumerate(sharing.hubs):
            await fill(hub, f"{turn}-{number}", LIMIT // 4)
            assert sharing.used <= LIMIT + 40_000
    assert sharing.used > LIMIT * 0.8


async def test_the_one_with_the_largest_channel_gives_way() -> None:
    sharing = Sharing(2)
    first, second = sharing.hubs
    await fill(first, "large", LIMIT * 3 // 4)
    large = first.memory.used
    for number in range(8):
        sharing.memories[0].look()
        await fill(second, f"small-{number}", LIMIT // 20)
    assert first.memory.used < large
    assert second.memory.used >= 8 * (LIMIT // 20 // 32_768) * 32_768
    assert sharing.used <= LIMIT + 40_000
