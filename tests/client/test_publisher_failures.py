"""What ends a publisher, that it is noticed at once, and what is left behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.client import scripted as say
from tests.client.ours import OurServer, serving
from tests.client.scripted import PATIENCE, ScriptedServer, admit, scripted
from tests.waiting import until
from trickle_cli.client import Publisher, SegmentWriter
from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    ConnectionFailed,
    LimitReached,
    NotAllowed,
    SegmentConflict,
    SegmentTooLarge,
    TrickleError,
    UnexpectedStatus,
)
from trickle_cli.relay import Limits
from trickle_cli.server import ServerConfig

LARGE: Final = bytes(1024 * 1024)

#: Answers that end a publisher, and what each is raised as.
ENDS: Final[dict[str, tuple[bytes, type[TrickleError], dict[str, object]]]] = {
    "closed": (say.answer(200, say.CLOSED), ChannelClosed, {"channel": "cam"}),
    "no channel": (say.NOT_FOUND, ChannelNotFound, {"channel": "cam"}),
    "over": (
        say.answer(409, "Lp-Trickle-Latest: 9"),
        SegmentConflict,
        {"latest": 9},
    ),
    "unauthorized": (say.answer(401), NotAllowed, {}),
    "forbidden": (say.answer(403), NotAllowed, {}),
    "too large": (say.answer(413), SegmentTooLarge, {}),
    "too many of us": (say.answer(429), LimitReached, {"retryable": False}),
    "too many": (say.answer(503), LimitReached, {"retryable": True}),
    "anything else": (say.answer(500, body=b"oh"), UnexpectedStatus, {"code": 500}),
}
all_ends = pytest.mark.parametrize(("text", "error", "fields"), ENDS.values(), ids=ENDS)


async def _assert_over(
    publishing: Publisher, segment: SegmentWriter, error: TrickleError
) -> None:
    """Every call says so from now on."""
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: segment.write(b"more"),
        publishing.next,
        lambda: publishing.write(b"more"),
        publishing.flush,
    ]
    if not isinstance(error, ChannelClosed):
        calls.append(publishing.close)
    for call in calls:
        with pytest.raises(type(error)) as caught:
            await call()
        assert caught.value is error
    if isinstance(error, ChannelClosed):
        await publishing.close()  # somebody has done it: fine
    assert await publishing.failed() is error


@all_ends
async def test_an_answer_to_the_request_that_waits_is_noticed_without_a_call(
    text: bytes, error: type[TrickleError], fields: dict[str, object]
) -> None:
    async def script(server: ScriptedServer) -> None:
        await admit(server)
        await server.asked("POST /cam/0")
        waiting, _ = await server.asked("POST /cam/1")
        await waiting.send(text)

    async with (
        scripted(script) as server,
        Publisher(server.endpoint()) as publishing,
    ):
        segment = await publishing.next()
        await segment.write(b"x")
        ended = await publishing.failed()
        assert type(ended) is error
        assert {name: getattr(ended, name) for name in fields} == fields
        await _assert_over(publishing, segment, ended)


@all_ends
async def test_an_answer_in_the_middle_of_a_segment_stops_a_write_that_is_stuck(
    text: bytes, error: type[TrickleError], fields: dict[str, object]
) -> None:
    async def script(server: ScriptedServer) -> None:
        await admit(server)
        sending, _ = await server.asked("POST /cam/0")
        await server.asked("POST /cam/1")  # by now the write is stuck
        await sending.send(text.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        await sending.close()

    async with (
        scripted(script) as server,
        Publisher(server.endpoint()) as publishing,
    ):
        segment = await publishing.next()
        with pytest.raises(error) as caught:
            while True:
                await segment.write(LARGE)
        assert {name: getattr(caught.value, name) for name in fields} == fields
        await _assert_over(publishing, segment, caught.value)


async def test_somebody_who_ends_our_segment_ends_us() -> None:
    async with serving() as server, Publisher(server.endpoint()) as publishing:
        await publishing.write(b"x")
        segment = await publishing.next()
        await segment.write(b"y")
        channel = server.hub.find("cam")
        await until(lambda: channel.head == 2)
        channel.end_segment(1)
        ended = await publishing.failed()
        assert isinstance(ended, SegmentConflict)
        assert (ended.seq, ended.latest) == (1, 2)
        await _assert_over(publishing, segment, ended)


@pytest.mark.parametrize("begins", [True, False])
async def test_our_server_closes_the_channel_while_we_wait_for_input(
    begins: bool,
) -> None:
    async with serving() as server, Publisher(server.endpoint()) as publishing:
        segment = await publishing.next()
        await segment.write(b"x")
        if not begins:
            await segment.close()
        channel = server.hub.find("cam")
        await until(lambda: len(channel._publications) == 1 + begins)
        server.hub.close("cam")
        assert isinstance(await publishing.failed(), ChannelClosed)


async def test_a_server_without_the_channel_says_so_and_how_to_have_it() -> None:
    config = ServerConfig()
    async with serving(config) as server, Publisher(server.endpoint()) as publishing:
        await (await publishing.next()).write(b"x")
        ended = await publishing.failed()
        assert isinstance(ended, ChannelNotFound)
        assert "--autocreate" in str(ended)


async def test_a_segment_larger_than_our_server_takes_is_its_own_error() -> None:
    config = ServerConfig(autocreate=True, limits=Limits(segment_size=100_000))
    async with serving(config) as server, Publisher(server.endpoint()) as publishing:
        await publishing.write(bytes(100_000))
        await publishing.flush()
        with pytest.raises(SegmentTooLarge) as caught:
            while True:
                await publishing.write(LARGE)
        assert caught.value.seq == 1


async def test_where_it_is_not_known_again_what_broke_is_given_up() -> None:
    has_ended = trio.Event()

    async def script(server: ScriptedServer) -> None:
        await admit(server)
        sending, asked = await server.asked("POST /cam/0")
        assert "lp-trickle-publisher" not in asked.fields
        await sending.expect(say.chunk(b"x"))
        after, _ = await server.asked("POST /cam/1")
        await sending.reset()
        ending, _ = await server.asked("DELETE /cam/0")
        await ending.send(say.answer())
        has_ended.set()
        await after.expect(say.chunk(b"one") + say.END)
        await after.send(say.answer())

    async with scripted(script) as server, Publisher(server.endpoint()) as publishing:
        segment = await publishing.next()
        await segment.write(b"x")
        while not segment.is_lost:
            await segment.write(b"")
            await trio.lowlevel.checkpoint()
        await segment.close(b"the rest")
        await has_ended.wait()
        assert await publishing.write(b"one") == 1
        await publishing.flush()
        assert publishing.lost == [0]
        assert publishing.statistics().lost == 1


async def test_an_answer_that_never_comes_is_a_loss_not_a_success() -> None:
    async def script(server: ScriptedServer) -> None:
        await admit(server)
        sending, _ = await server.asked("POST /cam/0")
        await sending.expect(say.chunk(b"x") + say.END)
        await server.asked("POST /cam/1")
        await sending.close()
        ending, _ = await server.asked("DELETE /cam/0")
        await ending.send(say.answer())

    async with scripted(script) as server, Publisher(server.endpoint()) as publishing:
        await publishing.write(b"x")
        await publishing.flush()
        assert publishing.lost == [0]


async def test_what_is_no_answer_ends_us() -> None:
    async def script(server: ScriptedServer) -> None:
        await admit(server)
        sending, _ = await server.asked("POST /cam/0")
        await sending.send(b"what?\r\n\r\n")

    async with (
        scripted(script) as server,
        Publisher(server.endpoint()) as publishing,
    ):
        await (await publishing.next()).write(b"x")
        assert "cannot understand" in str(await publishing.failed())


async def test_a_server_that_is_not_there_is_told_on_entering() -> None:
    async def script(server: ScriptedServer) -> None:
        await server.refuse()

    async with scripted(script) as server:
        endpoint = server.endpoint()
        await wait_all_tasks_blocked()
        with pytest.raises(ConnectionFailed):
            async with Publisher(endpoint):
                pytest.fail("it was entered")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_server_that_does_not_let_us_is_told_on_entering(status: int) -> None:
    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("POST /cam")
        await peer.send(say.answer(status, body=b"not you"))
        await peer.asked("GET /cam/next")
        await peer.send(say.NOT_FOUND)

    async with scripted(script) as server:
        with pytest.raises(NotAllowed, match="not you"):
            async with Publisher(server.endpoint()):
                pytest.fail("it was entered")


async def test_who_may_not_make_a_channel_may_publish_to_one_that_is_there() -> None:
    async def script(server: ScriptedServer) -> None:
        await admit(server, 3, create=403)
        peer, _ = await server.asked("POST /cam/3")
        await peer.expect(say.chunk(b"x") + say.END)
        await peer.send(say.answer(200, "Lp-Trickle-Seq: 3"))

    async with scripted(script) as server, Publisher(server.endpoint()) as publishing:
        assert await publishing.write(b"x") == 3
        await publishing.flush()


# What comes out of the block, and what is left.


class _OfTheBlock(Exception):
    pass


@pytest.mark.parametrize("error", [_OfTheBlock, ChannelClosed("cam")])
async def test_an_error_in_the_block_comes_out_as_it_is(error: Exception) -> None:
    async with serving() as server:
        with pytest.raises((_OfTheBlock, ChannelClosed)):
            async with Publisher(server.endpoint()) as publishing:
                await (await publishing.next()).write(b"x")
                raise error
        await _assert_nothing_is_left(server)


async def _assert_nothing_is_left(server: OurServer) -> None:
    with trio.fail_after(PATIENCE):
        await until(lambda: not server.connections)


async def _in_a_segment(publishing: Publisher) -> None:
    await (await publishing.next()).write(b"x")
    await trio.sleep_forever()


async def _with_a_request_that_waits(publishing: Publisher) -> None:
    await publishing.write(b"x")
    await publishing.failed()


async def _beginning(publishing: Publisher) -> None:
    while True:
        await publishing.next()


async def _writing(publishing: Publisher) -> None:
    segment = await publishing.next()
    while True:
        await segment.write(bytes(100))


@pytest.mark.parametrize("cancels", range(0, 40, 3))
@pytest.mark.parametrize(
    "work", [_in_a_segment, _with_a_request_that_waits, _beginning, _writing]
)
async def test_cancelled_anywhere_nothing_is_left_open(
    work: Callable[[Publisher], Awaitable[None]], cancels: int
) -> None:
    async with serving() as server:

        async def publish() -> None:
            async with Publisher(server.endpoint()) as publishing:
                await work(publishing)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            for _ in range(cancels * 5):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        await _assert_nothing_is_left(server)


@pytest.mark.parametrize("line", ["POST /cam", "GET /cam/next", "POST /cam/0"])
async def test_cancelled_while_it_waits_for_a_server_it_hangs_up(line: str) -> None:
    scope = trio.CancelScope()

    async def script(server: ScriptedServer) -> None:
        if line == "POST /cam/0":
            await admit(server)
        peer, asked = await server.asked()
        if line == "GET /cam/next":
            await peer.send(say.answer())
            asked = await peer.asked()
        assert asked.line == line
        scope.cancel()
        await peer.rest()

    async with scripted(script) as server:
        with scope:
            async with Publisher(server.endpoint()) as publishing:
                await publishing.write(LARGE)
                await publishing.flush()
        assert scope.cancelled_caught
