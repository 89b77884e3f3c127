from __future__ import annotations

import pytest
import trio

from tests.client import scripted as say
from tests.client.scripted import ScriptedServer, scripted
from tests.commands.programs import Programs
from trickle_cli.commands.changes import Change, parse_change


def test_names_are_what_was_added_and_removed() -> None:
    data = b'{"added": ["a", "b"], "removed": ["c"]}'
    assert parse_change(data) == Change(added=["a", "b"], removed=["c"])


def test_what_is_no_change_says_nothing() -> None:
    for data in (b"", b"\xff", b"7", b"[]", b'{"added": 7}', b"[" * 100_000):
        assert parse_change(data) == Change(added=[], removed=[])


def test_what_cannot_be_a_name_is_none() -> None:
    data = rb'{"added": ["..", "", "a/b", "\ud800", "\u001b[31m", "ok"]}'
    assert parse_change(data).added == ["ok"]


async def test_strange_names_do_not_keep_from_the_others(programs: Programs) -> None:
    names = rb'{"added": ["\ud800", "..", "cam"]}'

    async def script(server: ScriptedServer) -> None:
        feed, _ = await server.asked("GET /_changes/-9007199254740991")
        await feed.send(say.segment(0, names, "Lp-Trickle-Latest: 1"))
        ahead, _ = await server.asked("GET /_changes/1")
        cam, _ = await server.asked("GET /cam/-2")
        await cam.send(say.segment(0, b"picture"))
        following, _ = await server.asked("GET /cam/1")
        await following.gone()
        await ahead.gone()

    async with scripted(script) as server:
        sub = programs.start("sub", "-s", server.url, "*", "--count", "1")
        assert await trio.to_thread.run_sync(sub.ends) == 0, sub.err
        assert sub.out == b"picture"


@pytest.mark.parametrize(
    ("epoch", "then"), [("same", "1"), ("other", "-9007199254740991")]
)
async def test_a_channel_that_is_heard_of_again_is_gone_on_with(
    programs: Programs, epoch: str, then: str
) -> None:
    """A server that was restarted tells of all again that it has. What is another
    channel of that name is read from its beginning."""
    names = b'{"added": ["cam"]}'

    async def script(server: ScriptedServer) -> None:
        feed, _ = await server.asked("GET /_changes/-9007199254740991")
        await feed.send(say.segment(0, names, "Lp-Trickle-Latest: 1"))
        ahead, _ = await server.asked("GET /_changes/1")
        cam, _ = await server.asked("GET /cam/-2")
        await cam.send(say.segment(0, b"picture", "Lp-Trickle-Epoch: same"))
        following, _ = await server.asked("GET /cam/1")
        await following.send(say.ENDED)
        await following.gone()
        await ahead.send(say.segment(1, names, "Lp-Trickle-Latest: 2"))
        asked, _ = await server.asked("GET /cam/next")
        await asked.send(say.answer(200, f"Lp-Trickle-Epoch: {epoch}", body=b"1"))
        again, _ = await server.asked(f"GET /cam/{then}")
        await again.send(say.ENDED)
        await again.gone()
        is_over.set()

    is_over = trio.Event()
    async with scripted(script) as server:
        sub = programs.start("sub", "-s", server.url, "*")
        await is_over.wait()
        sub.interrupt()
        assert await trio.to_thread.run_sync(sub.ends) == 130
        assert sub.out == b"picture"
