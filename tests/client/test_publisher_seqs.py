"""Publishing segments of chosen numbers, and leaving some as they are."""

from __future__ import annotations

import pytest

from tests.client import scripted as say
from tests.client.ours import OurServer, serving
from tests.client.scripted import ScriptedServer, admit, scripted
from trickle_cli.client import Publisher, Subscriber
from trickle_cli.errors import SegmentConflict
from trickle_cli.relay import Limits
from trickle_cli.server import ServerConfig

EPOCH = "Lp-Trickle-Epoch: e"


def held(server: OurServer) -> dict[int, bytes]:
    """What the channel holds."""
    channel = server.hub.find("cam")
    return {
        seq: b"".join(segment.read(0, 0, segment.size)[0])
        for seq, segment in sorted(channel._held._segments.items())
    }


@pytest.mark.parametrize("gap", [1, 2, 3, 1000])
@pytest.mark.parametrize("is_open", [True, False])
async def test_what_is_passed_over_is_missing_and_nothing_else(
    gap: int, is_open: bool
) -> None:
    async with serving() as server, Publisher(server.endpoint()) as publisher:
        first = await publisher.next(seq=gap)
        await first.write(b"first")
        if not is_open:
            await first.close()
        await server.until_preconnected(gap + 1)
        second = await publisher.next(seq=2 * gap)
        assert (first.seq, second.seq, publisher.next_seq) == (
            gap,
            2 * gap,
            2 * gap + 1,
        )
        await second.close(b"second")
        assert await publisher.write(b"third") == 2 * gap + 1
        await publisher.flush()
        assert held(server) == {
            gap: b"first",
            2 * gap: b"second",
            2 * gap + 1: b"third",
        }
        assert publisher.lost == []


async def test_nobody_waits_long_for_what_is_passed_over() -> None:
    config = ServerConfig(autocreate=True, limits=Limits(skip=0.05))
    async with (
        serving(config) as server,
        Publisher(server.endpoint()) as publisher,
        Subscriber(server.endpoint(), start=0) as subscriber,
    ):
        await publisher.write(b"0")
        assert await (await subscriber.read()).read() == b"0"  # and 1 is asked for
        await (await publisher.next(seq=7)).close(b"7")
        segment = await subscriber.read()
        assert (segment.seq, segment.lost) == (7, range(1, 7))
        assert await segment.read() == b"7"


async def test_the_first_request_ends_what_another_left_whatever_its_number() -> None:
    async def script(server: ScriptedServer) -> None:
        await admit(server, 7, EPOCH)
        peer, asked = await server.asked("POST /cam/9")
        assert "lp-trickle-reset" in asked.fields
        await peer.expect(say.chunk(b"one") + say.END)
        await peer.send(say.answer(200, EPOCH))

    async with scripted(script) as server, Publisher(server.endpoint()) as publisher:
        await (await publisher.next(seq=9)).close(b"one")
        await publisher.flush()


async def test_there_is_no_way_back_and_asking_for_it_ends_nothing() -> None:
    async with serving() as server, Publisher(server.endpoint()) as publisher:
        segment = await publisher.next(seq=4)
        await segment.write(b"on")
        with pytest.raises(
            SegmentConflict, match="segment 4 has been passed"
        ) as caught:
            await publisher.next(seq=4)
        assert caught.value.latest == 5
        await segment.close(b"e")
        await publisher.flush()
        assert held(server) == {4: b"one"}


@pytest.mark.parametrize("start", [0, 1, 3])
async def test_a_publisher_that_starts_at_what_is_over_begins_the_numbering_anew(
    start: int,
) -> None:
    async with serving() as server:
        async with Publisher(server.endpoint()) as first:
            for data in (b"a", b"b", b"c"):
                await first.write(data)
            await first.flush()
        epoch = server.hub.find("cam").epoch
        async with Publisher(server.endpoint(), start=start) as second:
            assert await second.write(b"new") == start
            await second.flush()
            assert await second.write(b"more") == start + 1
            await second.flush()
        new = {start: b"new", start + 1: b"more"}
        is_anew = start < 3
        assert held(server) == (new if is_anew else {0: b"a", 1: b"b", 2: b"c"} | new)
        assert (server.hub.find("cam").epoch != epoch) == is_anew


async def test_a_large_segment_can_begin_the_numbering_anew() -> None:
    data = bytes(1024 * 1024)
    async with serving() as server:
        async with Publisher(server.endpoint()) as first:
            await first.write(b"old")
            await first.flush()
        async with Publisher(server.endpoint(), start=0) as second:
            segment = await second.next()
            for _ in range(20):  # more than is kept
                await segment.write(data)
            await segment.close()
            await second.flush()
        assert held(server) == {0: 20 * data}


# Not whole.


@pytest.mark.parametrize("goes_on", ["at once", "later", "not at all"])
async def test_what_is_abandoned_arrives_and_is_known_not_to_be_whole(
    goes_on: str,
) -> None:
    async with serving() as server, Publisher(server.endpoint()) as publisher:
        await publisher.write(b"whole")
        segment = await publisher.next()
        await segment.write(b"half" * 100_000)
        if goes_on == "later":
            await server.until_preconnected(2)
        await segment.abandon()
        await segment.close()  # harmless
        found = server.hub.find("cam").find(1)
        assert (found.ended, found.incomplete) == (True, True)
        assert found.size == 400_000
        if goes_on != "not at all":
            assert await publisher.write(b"next") == 2
        await publisher.close()
        expected = {0: b"whole", 1: b"half" * 100_000, 2: b"next"}
        if goes_on == "not at all":
            del expected[2]
        assert held(server) == expected
        assert not server.hub.find("cam").find(0).incomplete
        assert publisher.lost == []


async def test_the_segment_after_an_abandoned_one_may_have_any_number() -> None:
    async with serving() as server, Publisher(server.endpoint()) as publisher:
        segment = await publisher.next()
        await segment.write(b"half")
        await segment.abandon()
        for seq in (4, 5, 8):
            await (await publisher.next(seq=seq)).close(b"%d" % seq)
        await publisher.flush()
        assert held(server) == {0: b"half", 4: b"4", 5: b"5", 8: b"8"}


async def test_an_abandoned_segment_that_never_began_is_passed_over() -> None:
    async with serving() as server, Publisher(server.endpoint()) as publisher:
        await publisher.write(b"0")
        await (await publisher.next()).abandon()
        assert await publisher.write(b"2") == 2
        await publisher.write(b"3")
        await publisher.flush()
        assert held(server) == {0: b"0", 2: b"2", 3: b"3"}


async def test_a_server_of_another_make_hears_of_an_abandoned_segment_by_a_reset() -> (
    None
):
    async def script(server: ScriptedServer) -> None:
        await admit(server)
        peer, _ = await server.asked("POST /cam/0")
        await peer.expect(say.chunk(b"half"))
        while True:
            waiting, asked = await server.asked("POST /cam/1")
            if "lp-trickle-reset" in asked.fields:
                break
            await waiting.gone()
        await peer.send(say.answer(200, "Connection: close"))
        await peer.gone()
        await waiting.expect(say.chunk(b"next") + say.END)
        await waiting.send(say.answer(200))

    async with scripted(script) as server, Publisher(server.endpoint()) as publisher:
        segment = await publisher.next()
        await segment.write(b"half")
        await segment.abandon()
        await publisher.write(b"next")
        await publisher.flush()


async def test_what_is_abandoned_is_ended_only_when_all_of_it_has_arrived() -> None:
    async def script(server: ScriptedServer) -> None:
        await admit(server, 0, EPOCH)
        sending, _ = await server.asked("POST /cam/0")
        await sending.expect(say.chunk(b"half"))
        peer, asked = await server.asked()
        while asked.line == "POST /cam/1":  # ahead of time, and taken back
            assert "lp-trickle-reset" not in asked.fields
            peer, asked = await server.asked()
        assert asked.line == "HEAD /cam/0"
        await peer.send(say.head(200, EPOCH, "Lp-Trickle-Size: 2", "Content-Length: 0"))
        await peer.asked("HEAD /cam/0")
        await peer.send(say.head(200, EPOCH, "Lp-Trickle-Size: 4", "Content-Length: 0"))
        _, asked = await server.asked("POST /cam/1")
        while "lp-trickle-reset" not in asked.fields:
            _, asked = await server.asked("POST /cam/1")
        await sending.send(say.answer(200, EPOCH, "Connection: close"))

    async with scripted(script) as server, Publisher(server.endpoint()) as publisher:
        segment = await publisher.next()
        await segment.write(b"half")
        await segment.abandon()
