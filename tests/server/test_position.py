"""Sizes, HEAD, parts of segments, and waits that end: what trickle adds to a GET."""

from __future__ import annotations

import h11
import pytest

from tests.server.conftest import Running, Start
from tests.server.peer import Heard, Peer
from tests.waiting import until
from trickle_cli.server import ServerConfig

ALL = b"0123456789"
TEXT = ALL.decode()


async def publishing(running: Running, *chunks: bytes) -> Peer:
    """A publisher in the middle of /cam/0, of which `chunks` have arrived."""
    peer = await running.connect()
    await peer.publish("/cam/0")
    for chunk in chunks:
        await peer.chunk(chunk)
    size = sum(map(len, chunks))
    await until(lambda: running.hub.all() and running.hub.find("cam").total == size)
    return peer


async def whole(running: Running, text: str = TEXT) -> Peer:
    """A peer of a server that holds `text` as /cam/0."""
    peer = await running.connect()
    assert (await peer.request("POST", "/cam/0", body=text)).status == 200
    return peer


async def part(peer: Peer, wanted: str, *fields: str) -> Heard:
    return await peer.request("GET", "/cam/0", f"Range: bytes={wanted}", *fields)


# Size, and HEAD.


async def test_answers_about_a_segment_tell_its_size(running: Running) -> None:
    peer = await running.connect()
    heard = await peer.request("POST", "/cam/0", body="hello")
    assert (heard["Lp-Trickle-Size"], heard["Lp-Trickle-Seq"]) == ("5", "0")
    assert (await peer.get("/cam/0"))["Lp-Trickle-Size"] == "5"
    await publishing_more(running)
    heard = await peer.request("DELETE", "/cam/1")
    assert (heard.status, heard["Lp-Trickle-Size"]) == (200, "4")


async def publishing_more(running: Running) -> Peer:
    """A publisher in the middle of /cam/1."""
    publisher = await running.connect()
    await publisher.publish("/cam/1")
    await publisher.chunk(b"half")
    await until(lambda: running.hub.find("cam").head == 2)
    return publisher


async def test_the_size_of_a_live_segment_is_what_there_is_of_it(
    running: Running,
) -> None:
    publisher = await publishing(running, b"12345")
    reader = await running.connect()
    await reader.ask("GET", "/cam/0")
    assert (await reader.head())["Lp-Trickle-Size"] == "5"
    await publisher.chunk(b"67")
    assert await reader.exactly(7) == b"1234567"


async def test_head_tells_of_a_segment_without_waiting(running: Running) -> None:
    peer = await whole(running)
    heard = await peer.request("HEAD", "/cam/0")
    told = [heard[f"Lp-Trickle-{name}"] for name in ("Seq", "Latest", "Size")]
    assert (heard.status, told, heard.body) == (200, ["0", "1", "10"], b"")
    assert (heard["Lp-Trickle-Complete"], heard["Content-Length"]) == ("true", "10")
    assert heard["Lp-Trickle-Epoch"] == running.hub.find("cam").epoch
    for target in ("/cam/1", "/cam/-1", "/cam/7"):
        heard = await peer.request("HEAD", target)
        assert (heard.status, heard["Lp-Trickle-Latest"]) == (470, "1")
    assert (await peer.request("HEAD", "/nothing/0")).status == 404
    assert running.hub.find("cam")._awaited == {}  # nothing is waited for


async def test_head_of_a_live_segment_tells_how_far_it_is(running: Running) -> None:
    await publishing(running, b"12345")
    peer = await running.connect()
    for target in ("/cam/0", "/cam/-2"):
        heard = await peer.request("HEAD", target)
        assert heard["Lp-Trickle-Size"] == "5"
        assert heard["Lp-Trickle-Complete"] == "false"


async def test_head_of_a_segment_that_was_cut_short_is_not_complete(
    start: Start,
) -> None:
    running = await start(ServerConfig(autocreate=True))
    publisher = await publishing(running, b"12345")
    peer = await running.connect()
    await peer.request("POST", "/cam/1", "Lp-Trickle-Reset: 1", body="x")
    await publisher.hang_up()
    heard = await peer.request("HEAD", "/cam/0")
    assert heard["Lp-Trickle-Complete"] == "false"
    assert heard["Lp-Trickle-Incomplete"] == "true"


async def test_head_of_what_will_never_be_is_as_get_is(running: Running) -> None:
    peer = await whole(running)
    await peer.request("DELETE", "/cam")
    heard = await peer.request("HEAD", "/cam/1")
    assert (heard.status, heard["Lp-Trickle-Closed"]) == (200, "terminated")
    assert (await peer.request("HEAD", "/cam/0")).status == 200


# Parts.


@pytest.mark.parametrize(
    ("wanted", "body", "content_range"),
    [
        ("0-", ALL, "bytes 0-9/10"),
        ("4-", ALL[4:], "bytes 4-9/10"),
        ("9-", ALL[9:], "bytes 9-9/10"),
        ("2-5", ALL[2:6], "bytes 2-5/10"),
        ("2-2", ALL[2:3], "bytes 2-2/10"),
        ("2-100", ALL[2:], "bytes 2-9/10"),
        ("0-9007199254740991", ALL, "bytes 0-9/10"),
    ],
)
async def test_a_part_of_a_complete_segment(
    running: Running, wanted: str, body: bytes, content_range: str
) -> None:
    peer = await whole(running)
    heard = await part(peer, wanted)
    assert (heard.status, heard.body) == (206, body)
    assert heard["Content-Range"] == content_range
    assert heard["Content-Length"] == str(len(body))
    assert heard["Lp-Trickle-Size"] == "10"
    assert (await peer.get("/cam/0")).body == ALL  # the connection goes on


@pytest.mark.parametrize("wanted", ["-5", "1-2,4-5", "5-2", "x", ""])
async def test_a_part_of_another_kind_is_all_of_it(
    running: Running, wanted: str
) -> None:
    heard = await part(await whole(running), wanted)
    assert (heard.status, heard.body, heard["Content-Range"]) == (200, ALL, None)


async def test_beyond_the_end_there_is_nothing(running: Running) -> None:
    peer = await whole(running)
    for wanted in ("10-", "11-", "10-20"):
        heard = await part(peer, wanted)
        assert (heard.status, heard["Content-Range"]) == (416, "bytes */10")
        assert (heard["Lp-Trickle-Seq"], heard["Lp-Trickle-Size"]) == ("0", "10")


async def test_of_nothing_the_first_byte_on_is_all(running: Running) -> None:
    peer = await running.connect()
    await peer.publish("/cam/0")
    await peer.last_chunk()
    await peer.hear("POST")
    heard = await part(peer, "0-")
    assert (heard.status, heard.body) == (200, b"")
    assert (await part(peer, "1-")).status == 416


async def test_a_part_of_a_live_segment_goes_on_with_it(running: Running) -> None:
    publisher = await publishing(running, b"0123")
    reader = await running.connect()
    await reader.ask("GET", "/cam/0", "Range: bytes=2-")
    heard = await reader.head()
    assert heard.status == 206
    assert heard["Content-Range"] == "bytes 2-9007199254740991/*"
    assert await reader.exactly(2) == b"23"
    for piece in (b"45", b"67"):
        await publisher.chunk(piece)
        assert await reader.exactly(2) == piece
    await publisher.chunk(b"89")
    await publisher.last_chunk()
    assert await reader.rest() == b"89"
    channel = running.hub.find("cam")
    await until(lambda: channel.readers == 0)


async def test_a_part_that_has_not_come_yet_is_waited_for(running: Running) -> None:
    publisher = await publishing(running, b"0123")
    channel = running.hub.find("cam")
    reader = await running.connect()
    await reader.ask("GET", "/cam/0", "Range: bytes=6-")
    await until(lambda: channel.readers == 1)
    await publisher.chunk(b"45")
    await until(lambda: channel.total == 6)
    assert reader.has_heard_nothing()
    await publisher.chunk(b"6789")
    heard = await reader.head()
    assert heard["Content-Range"] == "bytes 6-9007199254740991/*"
    assert await reader.exactly(4) == b"6789"
    await publisher.last_chunk()
    assert await reader.rest() == b""


async def test_a_part_that_never_comes_is_416_when_that_is_known(
    running: Running,
) -> None:
    publisher = await publishing(running, b"0123")
    channel = running.hub.find("cam")
    readers = [await running.connect() for _ in range(2)]
    for first, reader in zip((4, 6), readers, strict=True):
        await reader.ask("GET", "/cam/0", f"Range: bytes={first}-")
    await until(lambda: channel.readers == 2)
    await publisher.last_chunk()
    for reader in readers:
        heard = await reader.hear()
        assert (heard.status, heard["Content-Range"]) == (416, "bytes */4")
        assert (await reader.get("/cam/0")).body == b"0123"


async def test_a_part_of_a_segment_that_has_not_begun(running: Running) -> None:
    peer = await running.connect()
    await peer.request("POST", "/cam")
    reader = await running.connect()
    await reader.ask("GET", "/cam/0", "Range: bytes=2-")
    channel = running.hub.find("cam")
    await until(lambda: channel.readers == 1)
    await peer.request("POST", "/cam/0", body=TEXT)
    heard = await reader.hear()
    assert (heard.status, heard.body) == (206, ALL[2:])
    assert heard["Content-Range"] == "bytes 2-9/10"


async def test_a_bounded_part_of_a_live_segment_ends_where_it_ends(
    running: Running,
) -> None:
    publisher = await publishing(running, b"0123")
    reader = await running.connect()
    heard = await part(reader, "1-2")
    assert (heard.body, heard["Content-Range"]) == (b"12", "bytes 1-2/*")
    await reader.ask("GET", "/cam/0", "Range: bytes=3-6")
    assert (await reader.head())["Content-Range"] == "bytes 3-6/*"
    assert await reader.exactly(1) == b"3"
    await publisher.chunk(b"45678")
    assert await reader.rest() == b"456"
    channel = running.hub.find("cam")
    await until(lambda: channel.readers == 0)
    await publisher.last_chunk()
    assert (await publisher.hear("POST")).status == 200


async def test_a_large_part_of_a_live_segment_is_whole(running: Running) -> None:
    data = bytes(range(256)) * 4096
    publisher = await publishing(running, data)
    reader = await running.connect()
    await reader.ask("GET", "/cam/0", f"Range: bytes=1000-{2 * len(data) - 1001}")
    assert (await reader.head()).status == 206
    await publisher.chunk(data)
    assert await reader.rest() == (data * 2)[1000:-1000]


async def test_http_1_0_gets_parts_too(running: Running) -> None:
    publisher = await publishing(running, b"0123")
    reader = await running.connect()
    await reader.send(b"GET /cam/0 HTTP/1.0\r\nRange: bytes=2-\r\n\r\n")
    channel = running.hub.find("cam")
    await until(lambda: channel.readers == 1)
    await publisher.chunk(b"45")
    await publisher.last_chunk()
    data = b""
    while more := await reader.stream.receive_some(1000):
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 206 ")
    assert body == b"2345"


async def test_if_range_asks_for_all_of_another_segment(running: Running) -> None:
    peer = await whole(running)
    etag = (await peer.get("/cam/0"))["ETag"]
    assert (await part(peer, "4-", f"If-Range: {etag}")).status == 206
    assert (await part(peer, "4-", 'If-Range: "another"')).body == ALL


async def test_another_segment_than_the_one_asked_for_comes_whole(
    start: Start,
) -> None:
    running = await start(ServerConfig(autocreate=True))
    peer = await running.connect()
    await peer.request("POST", "/cam/5", body=TEXT)
    reader = await running.connect()
    await reader.ask("GET", "/cam/3", "Range: bytes=2-")  # it was passed over
    heard = await reader.hear()
    assert (heard.status, heard.body, heard["Lp-Trickle-Seq"]) == (200, ALL, "5")


async def test_a_part_of_a_segment_that_is_cut_shows_that(running: Running) -> None:
    publisher = await publishing(running, b"0123")
    reader = await running.connect()
    await reader.ask("GET", "/cam/0", "Range: bytes=2-")
    await reader.head()
    assert await reader.exactly(2) == b"23"
    channel = running.hub.find("cam")
    segment = channel.newest
    assert segment is not None
    segment.break_off(cut=True)
    with pytest.raises(h11.RemoteProtocolError):
        await reader.data()
    await publisher.hang_up()


# Waits that end.


async def test_a_wait_ends_when_the_peer_has_said(running: Running) -> None:
    peer = await whole(running)
    heard = await peer.request("GET", "/cam/1", "Prefer: wait=0")
    assert (heard.status, heard["Lp-Trickle-Timeout"]) == (408, "wait")
    assert heard["Lp-Trickle-Latest"] == "1"
    heard = await peer.request("GET", "/cam/-1", "Prefer: wait=1")
    assert (heard.status, heard["Lp-Trickle-Timeout"]) == (408, "wait")
    assert (await peer.get("/cam/0")).body == ALL  # the connection goes on
    assert running.hub.find("cam")._awaited == {}


async def test_what_begins_in_time_is_not_disturbed_by_a_wait(
    running: Running,
) -> None:
    peer = await whole(running)
    assert (await peer.request("GET", "/cam/0", "Prefer: wait=0")).body == ALL
    publisher = await running.connect()
    await publisher.publish("/cam/1")
    await publisher.chunk(b"slowly")
    await until(lambda: running.hub.find("cam").head == 2)
    reader = await running.connect()
    await reader.ask("GET", "/cam/1", "Prefer: wait=0")
    assert (await reader.head()).status == 200
    assert await reader.exactly(6) == b"slowly"
    await publisher.last_chunk()
    assert await reader.rest() == b""


async def test_a_part_beyond_the_live_edge_can_be_waited_for_in_vain(
    running: Running,
) -> None:
    await publishing(running, b"0123")
    reader = await running.connect()
    heard = await reader.request("GET", "/cam/0", "Range: bytes=9-", "Prefer: wait=0")
    assert (heard.status, heard["Lp-Trickle-Timeout"]) == (408, "wait")


async def test_requests_behind_each_other_are_answered_in_turn(
    running: Running,
) -> None:
    peer = await whole(running)
    asked = [
        ("GET", "/cam/1", "Prefer: wait=0"),
        ("HEAD", "/cam/0", ""),
        ("GET", "/cam/0", "Range: bytes=20-"),
        ("GET", "/cam/0", "Range: bytes=8-"),
        ("GET", "/", ""),
        ("GET", "/cam/0", ""),
    ]
    await peer.send(
        "".join(
            f"{method} {target} HTTP/1.1\r\nHost: a\r\n{field or 'X: y'}\r\n\r\n"
            for method, target, field in asked
        ).encode()
    )
    answers = [await peer.hear(method) for method, _, _ in asked]
    assert [answer.status for answer in answers] == [408, 200, 416, 206, 200, 200]
    assert (answers[3].body, answers[5].body) == (b"89", ALL)
