"""Every request with every right: nothing is done, read or told of without it."""

from __future__ import annotations

import json
from itertools import chain, combinations

import pytest

from tests.server.conftest import Running, Start
from tests.waiting import until
from trickle_cli.access import Access, Grant, Right, TokenFile, digest_of
from trickle_cli.access.rights import Caller
from trickle_cli.server import ServerConfig

P, S, C, D, L = (
    Right.PUBLISH,
    Right.SUBSCRIBE,
    Right.CREATE,
    Right.CLOSE,
    Right.LIST,
)
EVERY_SET = [
    frozenset(rights)
    for rights in chain.from_iterable(
        combinations(Right, n) for n in range(len(Right) + 1)
    )
]
#: A request, and the sets of rights of which one is needed for it.
REQUESTS: dict[tuple[str, str], list[set[Right]]] = {
    ("GET", "/cam/0"): [{S}],
    ("GET", "/cam/-2"): [{S}],
    ("GET", "/cam/7"): [{S}],
    ("HEAD", "/cam/0"): [{S}, {P}],
    ("GET", "/cam/next"): [{S}, {P}],
    ("GET", "/cam"): [{L, S}],
    ("HEAD", "/cam"): [{L, S}],
    ("GET", "/"): [{L}],
    ("GET", "/_/metrics"): [{L}],
    ("GET", "/_/health"): [set()],
    ("GET", "/_changes/0"): [{S}, {L}],
    ("POST", "/cam"): [{C}],
    ("POST", "/new"): [{C}],
    ("POST", "/cam/1"): [{P}],
    ("POST", "/cam/-1"): [{P}],
    ("POST", "/new/0"): [{P, C}],
    ("POST", "/old/0"): [{P, C}],
    ("DELETE", "/cam/0"): [{P}],
    ("DELETE", "/cam"): [{D}],
    ("GET", "/nothing/0"): [{S}],
    ("GET", "/nothing"): [{L, S}],
    ("DELETE", "/nothing"): [{D}],
}


def tokens(anonymous: frozenset[Right] = frozenset()) -> Access:
    """For each set of rights a token that has them on all channels."""
    callers = {
        digest_of(name_of(rights)): Caller(name="x", grants=_grants(rights, "*"))
        for rights in EVERY_SET
    }
    callers[digest_of(b"cams")] = Caller(
        name="cams", grants=_grants(frozenset(Right), "cam*")
    )
    return Access(TokenFile(_grants(anonymous, "*"), callers))


def _grants(rights: frozenset[Right], *channels: str) -> tuple[Grant, ...]:
    return (Grant(rights=rights, channels=channels),)


def name_of(rights: frozenset[Right]) -> bytes:
    return "-".join(["token", *sorted(right.value for right in rights)]).encode()


def bearer(rights: frozenset[Right]) -> str:
    return f"Authorization: Bearer {name_of(rights).decode()}"


async def filled(start: Start, access: Access) -> Running:
    """A server with /cam, which has a segment, and /old, which is closed."""
    running = await start(
        ServerConfig(autocreate=True, allow_create=True, changefeed=True, access=access)
    )
    running.hub.create("old")
    running.hub.close("old")
    peer = await running.connect()
    everything = bearer(frozenset(Right))
    heard = await peer.request("POST", "/cam/0", everything, body="data")
    assert heard.status == 200
    return running


def state(running: Running) -> object:
    """All that a request might change."""
    return {
        c.name: (c.epoch, c.head, c.total, c.closed, c.readers, c.publishers)
        for c in running.hub.all()
    }


@pytest.mark.parametrize(("method", "target"), REQUESTS)
async def test_a_request_is_served_with_its_rights_only(
    start: Start, method: str, target: str
) -> None:
    body = "more" if method == "POST" and target.count("/") > 1 else ""
    needed = REQUESTS[method, target]
    running = await filled(start, tokens())
    before = state(running)
    for rights in EVERY_SET:
        if any(need <= rights for need in needed):
            continue
        peer = await running.connect()
        heard = await peer.request(method, target, bearer(rights), body=body)
        assert heard.status == 403, (rights, heard)
        assert state(running) == before, rights
        if method != "HEAD":
            assert heard.body == b"the token does not allow this\n"
    for need in needed:
        running = await filled(start, tokens())
        peer = await running.connect()
        heard = await peer.request(method, target, bearer(frozenset(need)), body=body)
        allowed = {200, 404, 470} | ({400} if target == "/nothing" else set())
        assert heard.status in allowed, (need, heard)


@pytest.mark.parametrize(("method", "target"), REQUESTS)
@pytest.mark.parametrize("fields", [(), ("Authorization: Bearer nonsense",)])
async def test_without_a_token_or_with_a_bad_one_there_is_nothing(
    start: Start, method: str, target: str, fields: tuple[str, ...]
) -> None:
    running = await filled(start, tokens())
    before = state(running)
    peer = await running.connect()
    heard = await peer.request(method, target, *fields)
    if target == "/_/health":
        assert heard.status == 200
        return
    assert heard.status == 401
    assert str(heard["WWW-Authenticate"]).startswith('Bearer realm="trickle"')
    assert state(running) == before


async def test_refused_bodies_are_not_read(start: Start) -> None:
    """The answer comes before any of the body is sent."""
    running = await filled(start, tokens())
    for fields, status in (((), 401), ((bearer(frozenset({S})),), 403)):
        for target in ("/cam/1", "/new/0"):
            peer = await running.connect()
            await peer.publish(target, *fields)
            heard = await peer.hear("POST")
            assert (heard.status, heard["Connection"]) == (status, "close")
    assert {c.name for c in running.hub.all()} == {"_changes", "old", "cam"}


async def test_anonymous_rights_are_what_the_file_says(start: Start) -> None:
    running = await filled(start, tokens(anonymous=frozenset({S})))
    peer = await running.connect()
    assert (await peer.get("/cam/0")).body == b"data"
    assert (await peer.request("POST", "/cam/1", body="x")).status == 401
    peer = await running.connect()
    heard = await peer.request("GET", "/cam/0", "Authorization: Bearer nonsense")
    assert heard.status == 401
    # Whoever has a token has what everybody has, too.
    heard = await peer.request("GET", "/cam/0", bearer(frozenset({P})))
    assert heard.body == b"data"


async def test_what_not_everybody_may_read_is_kept_by_private_caches_only(
    start: Start,
) -> None:
    running = await filled(start, tokens())
    peer = await running.connect()
    heard = await peer.request("GET", "/cam/0", bearer(frozenset({S})))
    assert heard["Cache-Control"] == "private, max-age=60"
    running = await filled(start, tokens(anonymous=frozenset({S})))
    peer = await running.connect()
    assert (await peer.get("/cam/0"))["Cache-Control"] == "max-age=60"


CAMS = "Authorization: Bearer cams"


async def test_rights_are_on_channels(start: Start) -> None:
    running = await filled(start, tokens())
    peer = await running.connect()
    for target in ("/cam/0", "/cam-2", "/cam-2/0"):
        method = "GET" if target == "/cam/0" else "POST"
        assert (await peer.request(method, target, CAMS)).status == 200
    for method, target in (("GET", "/old/0"), ("POST", "/mic"), ("POST", "/mic/0")):
        stranger = await running.connect()
        assert (await stranger.request(method, target, CAMS)).status == 403
    names = {c.name for c in running.hub.all()}
    assert names == {"_changes", "old", "cam", "cam-2"}


async def test_the_listing_and_the_metrics_have_what_the_caller_may_read(
    start: Start,
) -> None:
    running = await filled(start, tokens())
    peer = await running.connect()
    told = json.loads((await peer.request("GET", "/", CAMS)).body)
    assert {c["name"] for c in told["channels"]} == {"_changes", "cam"}
    listing_only = bearer(frozenset({L}))
    told = json.loads((await peer.request("GET", "/", listing_only)).body)
    assert {c["name"] for c in told["channels"]} == {"_changes"}
    metrics = (await peer.request("GET", "/_/metrics", CAMS)).body
    assert b'channel="cam"' in metrics
    assert b'channel="old"' not in metrics


async def test_the_changefeed_hides_what_the_caller_may_not_read(
    start: Start,
) -> None:
    running = await filled(start, tokens())
    peer, all_ = await running.connect(), await running.connect()
    everything = bearer(frozenset(Right))
    seen, whole = [], []
    for seq in range(4):
        heard = await peer.request("GET", f"/_changes/{seq}", CAMS)
        assert heard["Lp-Trickle-Seq"] == str(seq)
        assert heard["Lp-Trickle-Size"] == str(len(heard.body))
        assert heard["ETag"] is None
        seen.append(heard.body)
        heard = await peer.request("HEAD", f"/_changes/{seq}", CAMS)
        assert heard["Lp-Trickle-Size"] == str(len(seen[-1]))
        whole.append((await all_.request("GET", f"/_changes/{seq}", everything)).body)
    assert seen == [b'{"added":["_changes"]}', b"{}", b"{}", b'{"added":["cam"]}']
    assert whole[1:3] == [b'{"added":["old"]}', b'{"removed":["old"]}']


async def test_changes_to_come_are_hidden_too(start: Start) -> None:
    running = await filled(start, tokens())
    everything = bearer(frozenset(Right))
    waiting = [await running.connect() for _ in range(3)]
    fields = [(CAMS,), (everything,), (CAMS, "Range: bytes=3-")]
    for peer, more in zip(waiting, fields, strict=True):
        await peer.ask("GET", "/_changes/4", *more)
    feed = running.hub.find("_changes")
    await until(lambda: feed.readers == 3)
    peer = await running.connect()
    await peer.request("POST", "/secret", everything)
    answers = [(await peer.hear()).body for peer in waiting]
    assert answers == [b"{}", b'{"added":["secret"]}', b"{}"]
    await until(lambda: feed.readers == 0)
    await waiting[0].ask("GET", "/_changes/5", CAMS)
    await until(lambda: feed.readers == 1)
    await peer.request("POST", "/cam-9", everything)
    assert (await waiting[0].hear()).body == b'{"added":["cam-9"]}'


async def test_the_end_of_many_is_told_in_part(start: Start) -> None:
    running = await filled(start, tokens())
    peer = await running.connect()
    await peer.ask("GET", "/_changes/4", CAMS)
    feed = running.hub.find("_changes")
    await until(lambda: feed.readers == 1)
    running.hub.create("old")
    assert (await peer.hear()).body == b"{}"
    await peer.ask("GET", "/_changes/5", CAMS)
    await until(lambda: feed.readers == 1)
    running.hub.shut_down()
    assert (await peer.hear()).body == b'{"removed":["cam"]}'


async def test_rights_that_are_taken_away_are_gone_with_the_next_request(
    running: Running,
) -> None:
    peer = await running.connect()
    assert (await peer.request("POST", "/cam/0", body="x")).status == 200
    running.server.access = tokens()
    assert (await peer.get("/cam/0")).status == 401
    assert (await peer.request("GET", "/cam/0", CAMS)).status == 200
    running.server.access = None
    assert (await peer.get("/cam/0")).status == 200


async def test_a_token_that_expires_in_the_middle_ends_with_the_segment(
    start: Start,
) -> None:
    now = 0.0
    grants = _grants(frozenset(Right), "*")
    soon = Caller(name="soon", grants=grants, expires=10)
    table = TokenFile((), {digest_of(b"soon"): soon})
    access = Access(table, clock=lambda: now)
    running = await start(ServerConfig(autocreate=True, access=access))
    publisher, reader = await running.connect(), await running.connect()
    token = "Authorization: Bearer soon"
    await publisher.publish("/cam/0", token)
    await publisher.chunk(b"one ")
    await until(lambda: running.hub.all() and running.hub.find("cam").head == 1)
    await reader.ask("GET", "/cam/0", token)
    await reader.head()
    now = 11.0
    await publisher.chunk(b"two")
    await publisher.last_chunk()
    assert (await publisher.hear("POST")).status == 200
    assert await reader.rest() == b"one two"
    assert (await reader.request("GET", "/cam/0", token)).status == 401
