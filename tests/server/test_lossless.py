"""Lossless channels over HTTP: any client is held for, known by its connections."""

from __future__ import annotations

import json

import h11
import pytest
import trio

from tests.server.conftest import Running, Start
from tests.server.peer import Peer
from tests.waiting import until
from trickle_cli.access import Access, Caller, Grant, Right
from trickle_cli.access.tokens import TokenFile, digest_of
from trickle_cli.relay import Channel, Limits, Window
from trickle_cli.server import Patience, ServerConfig

LOSSLESS = "Lp-Trickle-Delivery: lossless"
#: So much is kept, and much less is under way in the kernel.
WINDOW = 20 * 1024 * 1024
PIECE = bytes(256 * 1024)


def config(*, lease: float = 30, **options: object) -> ServerConfig:
    limits = Limits(
        window=Window(size=WINDOW, segments=100, floor=1),
        segment_size=10 * WINDOW,
        lease=lease,
    )
    return ServerConfig(autocreate=True, allow_create=True, limits=limits, **options)  # type: ignore[arg-type]


async def until_held_back(channel: Channel) -> None:
    assert channel.flow is not None
    flow = channel.flow
    await until(lambda: flow.waiting)


async def until_waiting(channel: Channel, readers: int = 1) -> None:
    await until(lambda: channel.waiting_readers >= readers)


async def make(running: Running, *fields: str) -> Channel:
    peer = await running.connect()
    heard = await peer.request("POST", "/cam", LOSSLESS, *fields)
    assert (heard.status, heard["Lp-Trickle-Delivery"]) == (200, "lossless")
    return running.hub.find("cam")


@pytest.mark.parametrize("method", ["POST", "PUBLISH", "DEFAULT"])
async def test_a_channel_is_made_lossless_and_all_answers_say_so(
    start: Start, method: str
) -> None:
    running = await start(config(lossless=method == "DEFAULT"))
    peer = await running.connect()
    if method == "POST":
        await make(running)
    fields = (LOSSLESS,) if method == "PUBLISH" else ()
    heard = [await peer.request("POST", "/cam/0", *fields, body="data")]
    for asked in ("GET /cam/0", "GET /cam/next", "HEAD /cam/0", "GET /cam/7"):
        one, target = asked.split()
        heard.append(await peer.request(one, target))
    assert {answer["Lp-Trickle-Delivery"] for answer in heard} == {"lossless"}
    page = json.loads((await peer.get("/cam")).body)
    assert (page["lossless"], page["let_go"]) == (True, 0)


async def test_others_do_not_say_so(running: Running) -> None:
    peer = await running.connect()
    await peer.request("POST", "/cam/0", body="data")
    for target in ("/cam/0", "/cam/next"):
        assert (await peer.get(target))["Lp-Trickle-Delivery"] is None
    assert "let_go" not in json.loads((await peer.get("/cam")).body)


async def test_a_publisher_is_held_back_until_the_reader_takes_it(start: Start) -> None:
    running = await start(config())
    channel = await make(running)
    reader, publisher = await running.connect(), await running.connect()
    await reader.ask("GET", "/cam/0")
    await until_waiting(channel)
    sent = 0

    async def publish() -> None:
        nonlocal sent
        for seq in range(160):
            await publisher.publish(f"/cam/{seq}")
            await publisher.chunk(PIECE)
            await publisher.last_chunk()
            assert (await publisher.hear("POST")).status == 200
            sent += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish)
        await until_held_back(channel)
        assert channel.oldest == 0
        assert channel.size <= WINDOW + 2 * len(PIECE)
        for seq in range(160):
            assert (await reader.hear()).body == PIECE
            await reader.ask("GET", f"/cam/{seq + 1}")
    assert sent == 160
    assert channel.size <= WINDOW
    assert channel.oldest > 0


async def test_within_a_segment_it_is_held_back_too(start: Start) -> None:
    """Of one that is larger than the window, what all have taken is dropped."""
    running = await start(config())
    channel = await make(running)
    reader, publisher = await running.connect(), await running.connect()
    await reader.ask("GET", "/cam/0")
    await until_waiting(channel)

    async def publish() -> None:
        await publisher.publish("/cam/0")
        for number in range(160):
            await publisher.chunk(bytes([number]) * len(PIECE))
        await publisher.last_chunk()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish)
        await until_held_back(channel)
        assert channel.size <= WINDOW + 2 * len(PIECE)
        await reader.head()
        for number in range(160):
            assert await reader.exactly_from(number, len(PIECE))
        assert await reader.data() is None
    assert channel.look(0).dropped > 0


@pytest.mark.parametrize("close", [False, True])
async def test_readers_with_a_connection_for_each_segment_lose_nothing(
    start: Start, close: bool
) -> None:
    """As they are in the field: the next is asked for before this one ends."""
    running = await start(config())
    channel = await make(running)
    publisher = await running.connect()
    fields = ("Connection: close",) if close else ()
    current = await running.connect()
    await current.ask("GET", "/cam/0", *fields)
    await until_waiting(channel)

    async def publish() -> None:
        for seq in range(300):
            text = f"line {seq}"
            heard = await publisher.request("POST", f"/cam/{seq}", body=text)
            assert heard.status == 200

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish)
        for seq in range(300):
            head = await current.head()
            assert head["Lp-Trickle-Seq"] == str(seq)
            following = await running.connect()
            if seq < 299:
                await following.ask("GET", f"/cam/{seq + 1}", *fields)
            assert await current.rest() == b"line %d" % seq
            await current.stream.aclose()
            current = following
    assert channel.flow is not None
    assert channel.flow.let_go == 0


async def test_a_reader_that_stops_is_let_go_and_that_is_told(start: Start) -> None:
    running = await start(config(lease=1))
    channel = await make(running)
    stuck, publisher = await running.connect(), await running.connect()
    await stuck.ask("GET", "/cam/0")
    await until_waiting(channel)
    seq = 0
    while (heard := await _publish(publisher, seq)) == "0":
        seq += 1  # until it has what the kernel takes, and the window is full
        assert seq < 1000
    assert heard == "1"
    assert json.loads((await publisher.get("/cam")).body)["let_go"] == 1
    assert (await publisher.get("/cam/next"))["Lp-Trickle-Let-Go"] == "1"


async def test_a_reader_that_is_held_for_is_not_cut_off_before_its_lease_ends(
    start: Start,
) -> None:
    running = await start(config(lease=6, patience=Patience(stall=1)))
    channel = await make(running)
    slow, publisher = await running.connect(), await running.connect()
    await slow.ask("GET", "/cam/0", "Lp-Trickle-Subscriber: me")
    await until_waiting(channel)
    await publisher.publish("/cam/0")
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            for _ in range(100):
                await publisher.chunk(PIECE)
            await publisher.last_chunk()

        nursery.start_soon(send)
        await until_held_back(channel)
        (connection,) = [
            c
            for c in running.server._connections
            if c.hold is not None and c.exchange is not None
        ]
        now = trio.current_time()
        for later in range(30):  # as if so many seconds had passed
            connection.check(now + later)
        assert len((await slow.hear()).body) == 100 * len(PIECE)
    assert channel.flow is not None
    assert channel.flow.let_go == 0


async def _publish(publisher: Peer, seq: int) -> str | None:
    await publisher.publish(f"/cam/{seq}")
    await publisher.chunk(PIECE)
    await publisher.last_chunk()
    return (await publisher.hear("POST"))["Lp-Trickle-Let-Go"]


async def test_a_reader_that_comes_back_goes_on_where_it_was(start: Start) -> None:
    running = await start(config())
    channel = await make(running)
    label = "Lp-Trickle-Subscriber: me"
    first, publisher = await running.connect(), await running.connect()
    await first.ask("GET", "/cam/0", label)
    await until_waiting(channel)
    await publisher.publish("/cam/0")
    await publisher.chunk(b"abc")
    await first.head()
    await first.exactly(3)
    await trio.aclose_forcefully(first.stream)
    await publisher.chunk(b"def")
    await publisher.last_chunk()
    await publisher.hear("POST")
    for seq in range(1, 100):
        await publisher.request("POST", f"/cam/{seq}", body="x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publisher.request, "POST", "/cam/100", "X: y")
        await publisher_ends_or(channel)
        again = await running.connect()
        heard = await again.request("GET", "/cam/0", label, "Range: bytes=3-")
        assert (heard.status, heard.body) == (206, b"def")
        for seq in range(1, 101):
            heard = await again.request("GET", f"/cam/{seq}", label)
            assert heard["Lp-Trickle-Seq"] == str(seq)
    assert channel.flow is not None
    assert channel.flow.let_go == 0


async def publisher_ends_or(channel: Channel) -> None:
    await until(lambda: channel.head >= 101)
    assert channel.oldest == 0


async def test_where_rights_are_on_holding_is_one(start: Start) -> None:
    def caller(*rights: Right) -> Caller:
        grant = Grant(rights=frozenset(rights), channels=("*",))
        return Caller(name="x", grants=(grant,))

    callers = {
        digest_of(b"all"): caller(*Right),
        digest_of(b"reads"): caller(Right.SUBSCRIBE),
    }
    running = await start(config(access=Access(TokenFile((), callers))))
    channel = await make(running, "Authorization: Bearer all")
    assert channel.flow is not None
    reader = await running.connect()
    await reader.ask("GET", "/cam/0", "Authorization: Bearer reads")
    await until_waiting(channel)
    before = len(channel.flow)
    holder = await running.connect()
    await holder.ask("GET", "/cam/0", "Authorization: Bearer all")
    await until_waiting(channel, 2)
    assert (before, len(channel.flow)) == (1, 2)  # one is for whoever comes first


async def test_how_many_wait_for_the_head_is_told(running: Running) -> None:
    peer = await running.connect()
    await peer.request("POST", "/cam")
    assert (await peer.get("/cam/next"))["Lp-Trickle-Readers"] == "0"
    for count in (1, 2):
        reader = await running.connect()
        await reader.ask("GET", "/cam/-1")
        await until_waiting(running.hub.find("cam"), count)
        heard = await peer.get("/cam/next")
        assert heard["Lp-Trickle-Readers"] == str(count)


# A publisher that comes again.

ID = "Lp-Trickle-Publisher: 0123456789abcdef0123456789abcdef"


async def test_a_publisher_takes_its_segment_over(running: Running) -> None:
    first, reader = await running.connect(), await running.connect()
    await first.publish("/cam/0", ID)
    await first.chunk(b"abc")
    await reader.ask("GET", "/cam/0")
    await reader.head()
    await reader.exactly(3)
    again = await running.connect()
    await again.publish("/cam/0", ID, "Lp-Trickle-Offset: 1")
    await again.chunk(b"bcdef")
    assert await reader.exactly(3) == b"def"
    assert await first.stream.receive_some() == b""  # closed, without an answer
    await again.last_chunk()
    heard = await again.hear("POST")
    assert (heard.status, heard["Lp-Trickle-Size"]) == (200, "6")
    assert await reader.rest() == b""


async def test_the_secret_of_a_publisher_is_nowhere_to_be_seen(
    running: Running,
) -> None:
    peer, other = await running.connect(), await running.connect()
    await peer.publish("/cam/0", ID)
    await peer.chunk(b"abc")
    secret = ID.split()[1].encode()
    await until(lambda: running.hub.find("cam").head)
    for target in ("/", "/cam", "/_/metrics", "/cam/next"):
        heard = await other.get(target)
        assert secret not in repr(heard).encode()
    assert secret not in repr(vars(running.hub.find("cam"))).encode()
    refused = await other.request("POST", "/cam/0", body="x")
    assert secret not in repr(refused).encode()


@pytest.mark.parametrize(
    ("fields", "status", "size"),
    [
        ((ID, "Lp-Trickle-Offset: 4"), 409, "3"),
        (("Lp-Trickle-Publisher: other",), 409, "3"),
        ((), 409, "3"),
        ((ID, "Lp-Trickle-Offset: x"), 400, None),
        ((ID, "Lp-Trickle-Offset: -1"), 400, None),
    ],
)
async def test_what_does_not_fit_is_refused_and_harms_nothing(
    running: Running, fields: tuple[str, ...], status: int, size: str | None
) -> None:
    peer, other = await running.connect(), await running.connect()
    await peer.publish("/cam/0", ID)
    await peer.chunk(b"abc")
    await until(lambda: running.hub.get("cam") and running.hub.find("cam").head)
    heard = await other.request("POST", "/cam/0", *fields, body="nonsense")
    assert (heard.status, heard["Lp-Trickle-Size"]) == (status, size)
    if status == 409:
        assert heard["Lp-Trickle-Latest"] == "1"
    await peer.chunk(b"def")
    await peer.last_chunk()
    assert (await peer.hear("POST"))["Lp-Trickle-Size"] == "6"


async def test_what_is_repeated_is_drained_and_changes_nothing(
    running: Running,
) -> None:
    peer = await running.connect()
    heard = [await peer.request("POST", "/cam/0", ID, body="data") for _ in range(3)]
    assert {answer.status for answer in heard} == {200}
    assert len({answer["Lp-Trickle-Epoch"] for answer in heard}) == 1
    assert (await peer.get("/cam/0")).body == b"data"
    assert running.hub.find("cam").total == 4


async def test_every_reader_learns_that_its_publisher_did_not_come_back(
    start: Start,
) -> None:
    limits = Limits(resume=0.5)
    running = await start(ServerConfig(autocreate=True, limits=limits))
    publisher, old = await running.connect(), await running.connect()
    one, two = await running.connect(), await running.connect()
    await publisher.publish("/cam/0", ID)
    await publisher.chunk(b"abc")
    await one.ask("GET", "/cam/0")
    await one.head()
    await one.exactly(3)
    await old.ask("GET", "/cam/0", "Connection: close")
    await old.head()
    await old.exactly(3)
    await trio.aclose_forcefully(publisher.stream)
    for reader in (one, old):
        with pytest.raises(h11.RemoteProtocolError):
            await reader.data()
    heard = await two.get("/cam/0")
    assert (heard.body, heard["Lp-Trickle-Incomplete"]) == (b"abc", "true")
