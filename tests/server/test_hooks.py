"""What the owner of a server has a say in: making channels in any way, and closing."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import trio
import trio.testing

from tests.server.conftest import Start
from tests.server.peer import Heard, Peer
from tests.waiting import until
from trickle_cli.server import HookRequest, Refused, ServerConfig, consultation

Ask = Callable[[Peer], object]


async def create(peer: Peer) -> Heard:
    return await peer.request("POST", "/cam", "Expect-Content: a/b", "X-Key: secret")


async def publish(peer: Peer) -> Heard:
    fields = ("Content-Type: a/b", "X-Key: secret")
    return await peer.request("POST", "/cam/0", *fields, body="data")


async def publish_at_the_head(peer: Peer) -> Heard:
    fields = ("Content-Type: a/b", "X-Key: secret")
    return await peer.request("POST", "/cam/-1", *fields, body="data")


WAYS = [create, publish, publish_at_the_head]
every_way = pytest.mark.parametrize("make", WAYS)


def config(**hooks: object) -> ServerConfig:
    return ServerConfig(autocreate=True, allow_create=True, **hooks)  # type: ignore[arg-type]


@every_way
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_hook_sees_the_request_and_may_allow_it(
    start: Start, make: Callable[[Peer], object], is_async: bool
) -> None:
    seen: list[HookRequest] = []

    async def ask(request: HookRequest) -> None:
        await trio.testing.wait_all_tasks_blocked()
        seen.append(request)

    running = await start(config(before_create=ask if is_async else seen.append))
    peer = await running.connect()
    heard = await make(peer)  # type: ignore[misc]
    assert heard.status == 200
    (request,) = seen
    assert (request.channel, request.type, request.method) == ("cam", "a/b", "POST")
    assert request.target.startswith("/cam")
    assert (request.headers["x-key"], request.peer) == ("secret", "127.0.0.1")
    assert running.hub.find("cam").type == "a/b"
    assert (await peer.request("POST", "/cam/5", body="more")).status == 200
    assert len(seen) == 1  # the channel is there


@every_way
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_hook_refuses_with_a_status_and_a_message(
    start: Start, make: Callable[[Peer], object], is_async: bool
) -> None:
    def refuse(request: HookRequest) -> None:
        raise Refused(402, f"{request.channel} costs money")

    async def refuse_later(request: HookRequest) -> None:
        await trio.lowlevel.checkpoint()
        refuse(request)

    hook = refuse_later if is_async else refuse
    running = await start(config(before_create=hook))
    heard = await make(await running.connect())  # type: ignore[misc]
    assert (heard.status, heard.body) == (402, b"cam costs money\n")
    assert running.hub.all() == []


@every_way
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_hook_that_fails_makes_nothing_and_is_answered_500(
    start: Start,
    make: Callable[[Peer], object],
    is_async: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(request: HookRequest) -> None:
        raise KeyError("oops")

    async def fail_later(request: HookRequest) -> None:
        await trio.lowlevel.checkpoint()
        fail(request)

    hook = fail_later if is_async else fail
    running = await start(config(before_create=hook))
    with caplog.at_level(logging.ERROR):
        heard = await make(await running.connect())  # type: ignore[misc]
    assert heard.status == 500
    assert b"oops" not in heard.body
    assert running.hub.all() == []
    assert [r.getMessage() for r in caplog.records] == [
        "a hook failed: KeyError: 'oops'"
    ]


async def test_a_refusal_has_a_status_that_blames_the_peer() -> None:
    with pytest.raises(ValueError, match="from 400 to 499"):
        Refused(500, "no")


async def test_a_closed_channel_is_replaced_with_consent_only(start: Start) -> None:
    allowed = True

    def ask(request: HookRequest) -> None:
        if not allowed:
            raise Refused(403, "once is enough")

    running = await start(config(before_create=ask))
    peer = await running.connect()
    await peer.request("POST", "/cam/0", body="old")
    await peer.request("DELETE", "/cam")
    allowed = False
    for method_target in ("/cam", "/cam/0", "/cam/-1"):
        stranger = await running.connect()
        heard = await stranger.request("POST", method_target, body="new")
        assert (heard.status, heard.body) == (403, b"once is enough\n")
    stranger = await running.connect()
    heard = await stranger.request("POST", "/cam/5", "Lp-Trickle-Reset: 1", body="new")
    assert heard.status == 403
    assert (await peer.get("/cam/0")).body == b"old"
    allowed = True
    assert (await peer.request("POST", "/cam/0", body="new")).status == 200
    assert (await peer.get("/cam/0")).body == b"new"


async def test_a_channel_is_closed_with_consent_only(start: Start) -> None:
    seen: list[HookRequest] = []

    async def ask(request: HookRequest) -> None:
        await trio.lowlevel.checkpoint()
        seen.append(request)
        if len(seen) == 1:
            raise Refused(409, "not yet")

    running = await start(config(before_delete=ask))
    peer = await running.connect()
    await peer.request("POST", "/cam/0", body="x")
    heard = await peer.request("DELETE", "/cam")
    assert (heard.status, heard.body) == (409, b"not yet\n")
    assert not running.hub.find("cam").closed
    assert (await peer.request("DELETE", "/cam/0")).status == 200  # not the channel
    assert (await peer.request("DELETE", "/cam")).status == 200
    assert running.hub.find("cam").closed
    assert [(r.channel, r.type, r.method) for r in seen] == [("cam", "", "DELETE")] * 2
    assert (await peer.request("DELETE", "/cam")).status == 400


async def test_nothing_that_is_not_possible_is_asked_for(start: Start) -> None:
    def fail(request: HookRequest) -> None:
        raise AssertionError(request)

    running = await start(ServerConfig(before_create=fail))
    peer = await running.connect()
    assert (await peer.request("POST", "/cam")).status == 404
    assert (await peer.request("POST", "/_mine")).status == 403
    assert (await peer.request("POST", "/cam/0", body="x")).status == 404


async def test_a_hook_that_waits_holds_up_nobody_else(start: Start) -> None:
    going = trio.Event()

    async def wait(request: HookRequest) -> None:
        if request.channel == "cam":
            await going.wait()

    running = await start(config(before_create=wait))
    slow, quick = await running.connect(), await running.connect()
    await slow.publish("/cam/0")
    await slow.chunk(b"data")  # which waits, too
    assert (await quick.request("POST", "/mic/0", body="x")).status == 200
    assert (await quick.get("/cam/next")).status == 404
    going.set()
    await slow.chunk(b" and more")
    await slow.last_chunk()
    assert (await slow.hear("POST")).status == 200
    assert (await quick.get("/cam/0")).body == b"data and more"


async def test_two_that_wait_for_the_same_channel_make_one(start: Start) -> None:
    going = trio.Event()

    async def wait(request: HookRequest) -> None:
        await going.wait()

    running = await start(config(before_create=wait))
    one, two = await running.connect(), await running.connect()
    await one.ask("POST", "/cam/0", body="one")
    await two.ask("POST", "/cam/1", body="two")
    await until(lambda: running.server.statistics().connections == 2)
    await trio.testing.wait_all_tasks_blocked(0.01)
    going.set()
    assert [(await peer.hear("POST")).status for peer in (one, two)] == [200, 200]
    assert running.hub.find("cam").head == 2


async def test_a_peer_that_is_reset_cancels_its_hook(start: Start) -> None:
    ended = trio.Event()

    async def wait(request: HookRequest) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    running = await start(config(before_create=wait))
    peer = await running.connect()
    await peer.ask("POST", "/cam")
    await until(lambda: running.server.statistics().connections == 1)
    await trio.testing.wait_all_tasks_blocked(0.01)
    linger = (1).to_bytes(4, "little") + bytes(4)
    peer.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, linger)
    await peer.hang_up()
    await ended.wait()
    assert running.hub.all() == []


async def test_a_hook_that_takes_for_ever_is_given_up(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consultation, "HOOK_TIMEOUT", 0.05)

    async def wait(request: HookRequest) -> None:
        await trio.sleep_forever()

    running = await start(config(before_create=wait))
    assert (await create(await running.connect())).status == 500
    assert running.hub.all() == []


async def test_channels_made_within_the_program_need_no_consent(
    start: Start,
) -> None:
    def fail(request: HookRequest) -> None:
        raise AssertionError(request)

    running = await start(config(before_create=fail, before_delete=fail))
    running.hub.create("cam")
    running.hub.close("cam")
