"""The short requests: what is sent, and what each answer means."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
import trio

from tests.client import scripted as say
from tests.client.ours import serving
from tests.client.scripted import ScriptedServer, scripted
from trickle_cli.client import ClientConfig, Control, Endpoint, Head, control
from trickle_cli.errors import (
    ChannelNotFound,
    ConnectionFailed,
    NotAllowed,
    TrickleError,
    UnexpectedStatus,
)
from trickle_cli.server import ServerConfig

Call = Callable[[Control], Awaitable[Any]]

CALLS: Final[dict[str, tuple[Call, str]]] = {
    "create": (lambda c: c.create("text/plain"), "POST /cam"),
    "next": (lambda c: c.next(), "GET /cam/next"),
    "end_segment": (lambda c: c.end_segment(3), "DELETE /cam/3"),
    "close": (lambda c: c.close(), "DELETE /cam"),
}
FAR: Final = f"GET /cam/{(2**53 - 1) // 2}"
EPOCH: Final = "Lp-Trickle-Epoch: e"

#: Whoever asks, how often, and what comes of the answers.
OUTCOMES: Final[list[tuple[str, list[bytes], object]]] = [
    ("create", [say.answer(200)], True),
    ("create", [say.answer(404)], False),
    ("create", [say.answer(405)], False),
    ("create", [say.answer(400)], UnexpectedStatus),
    ("next", [say.answer(body=b"7")], Head(seq=7, closed=False, epoch="")),
    ("next", [say.answer(body=b" 7\n")], Head(seq=7, closed=False, epoch="")),
    (
        "next",
        [say.answer(200, "Lp-Trickle-Latest: 8", EPOCH, body=b"7")],
        Head(seq=8, closed=False, epoch="e"),
    ),
    (
        "next",
        [say.answer(200, say.CLOSED, body=b"7")],
        Head(seq=7, closed=True, epoch=""),
    ),
    (
        "next",
        [say.answer(400), say.missing(9, EPOCH)],
        Head(seq=9, closed=False, epoch="e"),
    ),
    ("next", [say.answer(400), say.missing()], UnexpectedStatus),
    ("next", [say.answer(400), say.NOT_FOUND], ChannelNotFound),
    ("next", [say.answer(400), say.answer(400)], UnexpectedStatus),
    ("next", [say.answer(body=b"seven")], UnexpectedStatus),
    ("next", [say.answer()], UnexpectedStatus),
    ("next", [say.NOT_FOUND], ChannelNotFound),
    ("end_segment", [say.answer(200)], None),
    ("end_segment", [say.answer(400)], UnexpectedStatus),
    ("end_segment", [say.NOT_FOUND], ChannelNotFound),
    ("close", [say.answer(200)], None),
    ("close", [say.answer(400)], ChannelNotFound),
    ("close", [say.NOT_FOUND], ChannelNotFound),
    *((call, [say.answer(401)], NotAllowed) for call in CALLS),
    *((call, [say.answer(403)], NotAllowed) for call in CALLS),
    *((call, [say.answer(302, "Location: /x")], UnexpectedStatus) for call in CALLS),
    *((call, [say.answer(503)], UnexpectedStatus) for call in CALLS),
    *((call, [b"SSH-2.0\r\n\r\n"], ConnectionFailed) for call in CALLS),
]


async def _outcome(call: Call, server: ScriptedServer) -> object:
    async with Control(server.endpoint()) as asking:
        try:
            return await call(asking)
        except TrickleError as error:
            return type(error)


@pytest.mark.parametrize(("name", "answers", "outcome"), OUTCOMES)
async def test_an_answer_means(
    name: str, answers: list[bytes], outcome: object
) -> None:
    call, line = CALLS[name]

    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked(line)
        await peer.send(answers[0])
        for further in answers[1:]:
            await peer.asked(FAR)
            await peer.send(further)

    async with scripted(script) as server:
        assert await _outcome(call, server) == outcome


async def test_the_type_is_told_when_the_channel_is_made() -> None:
    async def script(server: ScriptedServer) -> None:
        peer, asked = await server.asked("POST /cam")
        assert asked.fields["expect-content"] == "text/plain"
        await peer.send(say.answer())
        assert await peer.asked("POST /cam")
        await peer.send(say.answer())

    async with scripted(script) as server, Control(server.endpoint()) as asking:
        await asking.create("text/plain")
        await asking.create()


async def test_the_path_has_the_base_path_and_the_quoted_name() -> None:
    async def script(server: ScriptedServer) -> None:
        peer, asked = await server.asked("GET /live/a%20b%2Fc/my%20cam%3F/next")
        assert asked.fields["host"] == server.url.removeprefix("http://")
        await peer.send(say.answer(body=b"0"))

    async with scripted(script) as server:
        endpoint = Endpoint.parse("my cam?", f"{server.url}/live/a%20b%2Fc")
        async with Control(endpoint) as asking:
            await asking.next()


async def test_all_requests_go_over_one_connection_which_is_closed_at_the_end() -> None:
    async def script(server: ScriptedServer) -> None:
        peer = await server.accept()
        for _ in range(3):
            await peer.asked("GET /cam/next")
            await peer.send(say.answer(body=b"0"))
        await peer.gone()

    async with scripted(script) as server:
        async with Control(server.endpoint()) as asking:
            for _ in range(3):
                await asking.next()
        assert server.accepted == 1


async def test_a_proxy_of_the_environment_is_not_used_unless_it_is_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("GET /cam/next")
        await peer.send(say.answer(body=b"0"))

    config = ClientConfig(trust_env=False)
    async with scripted(script) as server:
        async with Control(server.endpoint(), config) as asking:
            assert (await asking.next()).seq == 0
        async with Control(server.endpoint()) as asking:
            with pytest.raises(ConnectionFailed, match="refused"):
                await asking.next()


async def test_a_server_that_does_not_answer_in_time_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "TIMEOUT", 0.05)

    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("GET /cam/next")
        await peer.gone()

    async with scripted(script) as server, Control(server.endpoint()) as asking:
        with pytest.raises(ConnectionFailed, match="cannot reach http://127"):
            await asking.next()


async def test_what_the_server_says_is_shown_but_not_at_any_length() -> None:
    said = b" no \xff " + 1000 * b"x"

    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked()
        await peer.send(say.answer(403, body=said))
        await peer.asked()
        await peer.send(say.answer(500, "X-Odd: \xff", body=said))

    async with scripted(script) as server, Control(server.endpoint()) as asking:
        with pytest.raises(NotAllowed, match="does not allow it: no ") as refused:
            await asking.create()
        assert len(str(refused.value)) < 300
        with pytest.raises(UnexpectedStatus) as failed:
            await asking.create()
        assert failed.value.code == 500
        assert failed.value.body.startswith("no ")
        assert len(failed.value.body) <= 200


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_is_cancelled_leaves_no_connection(name: str) -> None:
    call, line = CALLS[name]
    scope = trio.CancelScope()

    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked(line)
        scope.cancel()
        await peer.gone()

    async with scripted(script) as server:
        with scope:
            async with Control(server.endpoint()) as asking:
                await call(asking)
        assert scope.cancelled_caught


async def test_our_server_understands_all_of_it() -> None:
    config = ServerConfig(allow_create=True)
    async with serving(config) as server, Control(server.endpoint()) as asking:
        with pytest.raises(ChannelNotFound):
            await asking.next()
        with pytest.raises(ChannelNotFound):
            await asking.close()
        assert await asking.create("text/plain")
        channel = server.hub.find("cam")
        assert channel.type == "text/plain"
        channel.find(0)  # somebody waits for it
        assert await asking.next() == Head(
            seq=0, closed=False, epoch=channel.epoch, readers=0
        )
        await asking.end_segment(0)
        with pytest.raises(UnexpectedStatus):
            await asking.end_segment(5)
        assert (await asking.next()).seq == channel.head == 1
        await asking.close()
        assert await asking.next() == Head(
            seq=1, closed=True, epoch=channel.epoch, readers=0
        )
        with pytest.raises(ChannelNotFound):
            await asking.close()


async def test_a_server_that_makes_no_channels_says_so() -> None:
    async with serving(ServerConfig()) as server, Control(server.endpoint()) as asking:
        assert not await asking.create()
        server.hub.create("cam")
        assert await asking.create()


DESCRIPTION: dict[str, object] = {
    "name": "cam",
    "type": "",
    "epoch": "",
    "head": 0,
    "oldest": None,
    "segments": 0,
    "bytes": 0,
    "total_bytes": 0,
    "readers": 0,
    "publishers": 0,
    "rate": 0,
    "created": "",
    "written": None,
    "closed": False,
    "lossless": False,
}


async def test_a_description_that_makes_no_sense_is_refused() -> None:
    strange: list[dict[str, object]]
    strange = [{"name": 5}, {"head": "1"}, {"rate": None}, {"oldest": []}]

    async def script(server: ScriptedServer) -> None:
        peer, _ = await server.asked("GET /cam")
        for wrong in [{}, *strange]:
            body = json.dumps({**DESCRIPTION, **wrong, "more": 1}).encode()
            await peer.send(say.answer(body=body))
            await peer.asked()
        await peer.send(say.answer(body=b"[]"))

    async with scripted(script) as server, Control(server.endpoint()) as asking:
        assert (await asking.info()).name == "cam"
        for _ in [*strange, None]:
            with pytest.raises(UnexpectedStatus, match="description of a channel"):
                await asking.info()
