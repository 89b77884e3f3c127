"""A subscriber that is behind asks for several segments at once."""

from __future__ import annotations

import random
from urllib.parse import urlsplit

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client import scripted as say
from tests.client.breaking import breaking
from tests.client.ours import serving
from tests.client.scripted import Peer, ScriptedServer, scripted
from tests.client.toy import Manners, toying
from tests.waiting import linger, until
from trickle_cli.client import Publisher, Subscriber, asking, depth
from trickle_cli.protocol.sequence import OLDEST
from trickle_cli.relay import Limits, Window
from trickle_cli.server import ServerConfig

EPOCH = "Lp-Trickle-Epoch: one"
OTHER = "Lp-Trickle-Epoch: two"


def line(seq: int) -> bytes:
    return b"segment %d" % seq


def segment(seq: int, head: int, *fields: str) -> bytes:
    return say.segment(seq, line(seq), f"Lp-Trickle-Latest: {head}", *fields)


async def begin(server: ScriptedServer, head: int, asked: int) -> tuple[Peer, Peer]:
    """Segment 0 of a channel that is at `head`; then the others are asked for."""
    one, _ = await server.asked("GET /cam/0")
    await one.send(segment(0, head, EPOCH))
    two = await server.accept()
    for seq in range(1, asked + 1):
        await two.asked(f"GET /cam/{seq}")
    return one, two


async def seen_by(subscriber: Subscriber) -> list[tuple[int, list[int], bool]]:
    """What comes until the end: seqs, what was lost before each, and restarts."""
    seen = []
    async for part in subscriber:
        assert await part.read() == line(part.seq)
        seen.append((part.seq, list(part.lost), part.restarted))
    return seen


def whole(seqs: range) -> list[tuple[int, list[int], bool]]:
    return [(seq, [], False) for seq in seqs]


async def test_what_is_known_to_exist_is_asked_for_at_once() -> None:
    async def script(server: ScriptedServer) -> None:
        one, two = await begin(server, 6, 5)
        assert two.unread == b""
        await two.send(b"".join(segment(seq, 6, EPOCH) for seq in range(1, 6)))
        await one.asked("GET /cam/6")  # which is waited for, as ever
        await one.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=0) as subscriber,
    ):
        assert await seen_by(subscriber) == whole(range(6))
        assert server.accepted == 2


async def test_no_more_is_asked_for_than_the_server_has_answered_for() -> None:
    async def script(server: ScriptedServer) -> None:
        _, two = await begin(server, 1000, 8)
        assert two.unread == b""
        for seq in range(1, 5):
            await two.send(segment(seq, 1000, EPOCH))
        for seq in range(9, 14):  # half of them have come
            await two.asked(f"GET /cam/{seq}")
        assert two.unread == b""
        await two.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=0) as subscriber,
    ):
        assert await seen_by(subscriber) == whole(range(5))


async def test_who_takes_nothing_asks_for_nothing_more() -> None:
    """However much is there, and however long it takes."""
    async with serving() as server, Publisher(server.endpoint()) as publisher:
        for seq in range(3000):
            await publisher.write(line(seq) + bytes(10_000))
        await publisher.flush()
        port = urlsplit(server.url).port
        assert port is not None
        async with (
            breaking(port, lambda: None) as path,
            Subscriber(path.endpoint(), start=0) as subscriber,
        ):
            for seq in range(500):
                part = await subscriber.read()
                assert (await part.read()).startswith(line(seq))
            await wait_all_tasks_blocked(0.05)
            ahead = path.came - 500 * 10_200
            assert ahead < (depth.MOST + 1) * 10_500
            for seq in range(500, 600):
                part = await subscriber.read()
                assert (await part.read()).startswith(line(seq))


@pytest.mark.parametrize("count", [1, 2, 7, 50])
@pytest.mark.parametrize("reads", [True, False])
async def test_who_has_enough_leaves_nothing_behind(count: int, reads: bool) -> None:
    async with serving() as server:
        async with Publisher(server.endpoint()) as publisher:
            for seq in range(100):
                await publisher.write(line(seq))
            await publisher.flush()
        async with Subscriber(server.endpoint(), start=0) as subscriber:
            for seq in range(count):
                part = await subscriber.read()
                assert part.seq == seq
                if reads:
                    assert await part.read() == line(seq)
        await until(lambda: not server.connections)


async def test_a_segment_that_is_not_read_costs_no_connection() -> None:
    async with serving() as server, Publisher(server.endpoint()) as publisher:
        for seq in range(200):
            await publisher.write(line(seq))
        await publisher.close()
        async with Subscriber(server.endpoint(), start=0) as subscriber:
            assert [part.seq async for part in subscriber] == list(range(200))
            assert subscriber.statistics().reconnects == 0


async def test_on_a_lossless_channel_one_is_asked_for_when_the_last_is_taken() -> None:
    lossless = "Lp-Trickle-Delivery: lossless"

    async def script(server: ScriptedServer) -> None:
        one, _ = await server.asked("GET /cam/0")
        await one.send(segment(0, 3, EPOCH, lossless))
        two, _ = await server.asked("GET /cam/1")
        assert two.unread == b""
        await two.send(segment(1, 3, EPOCH, lossless))
        await one.asked("GET /cam/2")
        await one.send(segment(2, 3, EPOCH, lossless))
        await two.asked("GET /cam/3")
        await two.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=0) as subscriber,
    ):
        assert await seen_by(subscriber) == whole(range(3))


# Answers that are not what was expected.


async def test_of_what_left_the_window_meanwhile_nothing_is_asked_for_again() -> None:
    """The first that is there is the oldest."""

    async def script(server: ScriptedServer) -> None:
        _, two = await begin(server, 6, 5)
        for _ in (1, 2, 3):
            await two.send(say.missing(9, EPOCH))
        for seq in (4, 5):
            await two.send(segment(seq, 9, EPOCH))
        await two.asked("GET /cam/6")
        await two.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=0) as subscriber,
    ):
        assert await seen_by(subscriber) == [
            (0, [], False),
            (4, [1, 2, 3], False),
            (5, [], False),
        ]


async def test_when_all_have_left_the_window_the_oldest_is_asked_for() -> None:
    async def script(server: ScriptedServer) -> None:
        one, two = await begin(server, 4, 3)
        for _ in range(3):
            await two.send(say.missing(9, EPOCH))
        await two.asked(f"GET /cam/{OLDEST}")
        await two.send(segment(8, 9, EPOCH))
        await one.asked("GET /cam/9")
        await one.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=0) as subscriber,
    ):
        seen = await seen_by(subscriber)
        assert seen == [(0, [], False), (8, [*range(1, 8)], False)]


async def test_after_a_gap_what_was_asked_for_is_not_waited_for() -> None:
    async def script(server: ScriptedServer) -> None:
        one, two = await begin(server, 6, 5)
        await two.send(segment(1, 6, EPOCH) + segment(4, 6, EPOCH))
        await one.asked("GET /cam/5")
        await one.send(segment(5, 6, EPOCH))
        three, _ = await server.asked("GET /cam/6")
        await three.send(say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=0) as subscriber,
    ):
        seen = await seen_by(subscriber)
        assert seen == [
            (0, [], False),
            (1, [], False),
            (4, [2, 3], False),
            (5, [], False),
        ]


async def test_a_channel_that_begins_anew_in_the_middle_is_read_from_its_oldest() -> (
    None
):
    async with serving() as server:
        async with Publisher(server.endpoint()) as first:
            for seq in range(50):
                await first.write(line(seq))
            await first.flush()
        async with Subscriber(server.endpoint(), start=0) as subscriber:
            for seq in range(20):
                assert (await subscriber.read()).seq == seq
            async with Publisher(server.endpoint(), start=0) as second:
                for seq in range(3):
                    await second.write(line(seq))
                await second.flush()
                seen: list[int] = []
                lost: list[int] = []
                while seen[-3:] != [0, 1, 2]:
                    part = await subscriber.read()
                    assert part.restarted == (part.seq == 0)
                    assert await part.read() == line(part.seq)
                    seen.append(part.seq)
                    lost += part.lost
            assert sorted(seen[:-3] + lost) == list(range(20, 50))


async def test_the_end_comes_behind_what_was_asked_for() -> None:
    async def script(server: ScriptedServer) -> None:
        _, two = await begin(server, 4, 3)
        await two.send(segment(1, 4, EPOCH) + say.ENDED)

    async with (
        scripted(script) as server,
        Subscriber(server.endpoint(), start=0) as subscriber,
    ):
        assert await seen_by(subscriber) == whole(range(2))


# Servers that do not cope, and paths that break.

MANNERS = {
    "closes after each": Manners(closes_after=1),
    "closes after each, silently": Manners(closes_after=1, says=False),
    "closes now and then": Manners(closes_after=7),
    "closes now and then, silently": Manners(closes_after=7, says=False),
    "HTTP/1.0": Manners(speaks="1.0", closes_after=1, says=False),
    "takes no notice of more than a few": Manners(serves=3),
    "copes": Manners(),
}


@pytest.mark.parametrize("epoch", ["", "e"])
@pytest.mark.parametrize("name", MANNERS)
async def test_whatever_a_server_does_all_comes_and_in_order(
    name: str, epoch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_NEXT_GRACE", 0.1)
    monkeypatch.setattr(asking, "_READ_GRACE", 0.1)
    monkeypatch.setattr(asking, "_RENEWAL", (0, 0))
    monkeypatch.setattr(asking, "_RENEWAL_GRACE", 0.1)
    manners = Manners(**{**vars(MANNERS[name]), "epoch": epoch})
    async with toying(manners) as toy:
        toy.segments = {seq: line(seq) for seq in range(40)}
        async with Subscriber(toy.endpoint(), start=0) as subscriber:
            assert await seen_by(subscriber) == whole(range(40))
        if name == "copes":
            assert toy.gets == list(range(40))
            assert toy.most > 1


@pytest.mark.parametrize("seed", range(12))
async def test_wherever_it_breaks_all_comes_and_in_order(seed: int) -> None:
    chance = random.Random(seed)
    size = chance.choice([50, 500, 5_000, 50_000])
    breaks = chance.choice([3, 10])
    given = [chance.randbytes(chance.randrange(2 * size)) for _ in range(150)]

    def limit() -> int | None:
        nonlocal breaks
        breaks -= 1
        most = len(given) * size // 5 + 1000
        return chance.randrange(1000, most) if breaks >= 0 else None

    async with serving() as server, Publisher(server.endpoint()) as publisher:
        for data in given:
            await publisher.write(data)
        await publisher.close()
        port = urlsplit(server.url).port
        assert port is not None
        async with (
            breaking(port, limit) as path,
            Subscriber(path.endpoint(), start=0) as subscriber,
        ):
            got = [await part.read() async for part in subscriber]
            assert subscriber.statistics().lost == 0
            assert subscriber.statistics().incomplete == 0
        assert got == given


async def test_behind_a_window_that_moves_every_seq_is_read_or_told_as_lost() -> None:
    config = ServerConfig(autocreate=True, limits=Limits(window=Window(segments=20)))
    chance = random.Random(1)
    async with serving(config) as server, Publisher(server.endpoint()) as publisher:
        for seq in range(20):
            await publisher.write(line(seq))
        await publisher.flush()

        async def publish() -> None:
            for seq in range(20, 1000):
                await publisher.write(line(seq))
            await publisher.close()

        async with (
            trio.open_nursery() as nursery,
            Subscriber(server.endpoint(), start=0) as subscriber,
        ):
            nursery.start_soon(publish)
            accounted = []
            async for part in subscriber:
                accounted += [*part.lost, part.seq]
                assert await part.read() == line(part.seq)
                if chance.random() < 0.05:
                    await linger(chance)
            assert accounted == list(range(1000))
