"""The wire contract, rule by rule, against a real server on a real socket."""

from __future__ import annotations

import h11
import pytest
import trio

from tests.server.conftest import Running, Start
from tests.server.peer import Peer
from tests.waiting import until
from trickle_cli.relay import Limits, Window
from trickle_cli.server import ServerConfig


async def create(
    running: Running, name: str = "cam", type_: str = "video/mp2t"
) -> Peer:
    peer = await running.connect()
    heard = await peer.request("POST", f"/{name}", f"Expect-Content: {type_}")
    assert heard.status == 200
    return peer


async def post(peer: Peer, seq: int, data: str, name: str = "cam") -> None:
    heard = await peer.request("POST", f"/{name}/{seq}", body=data)
    assert (heard.status, heard["Lp-Trickle-Seq"]) == (200, str(seq))


async def waiting(running: Running, target: str, readers: int = 1) -> Peer:
    """A subscriber of whom the server knows, and who has heard nothing."""
    peer = await running.connect()
    await peer.ask("GET", target)
    channel = running.hub.find(target.split("/")[1])
    await until(lambda: channel.readers == readers)
    assert peer.has_heard_nothing()
    return peer


# The six requests.


async def test_creating_a_channel_that_exists_is_fine(running: Running) -> None:
    peer = await create(running)
    again = await peer.request("POST", "/cam", "Expect-Content: text/plain")
    assert again.status == 200
    assert running.hub.find("cam").type == "video/mp2t"


async def test_creating_is_refused_where_it_is_not_allowed(start: Start) -> None:
    peer = await (await start(ServerConfig())).connect()
    assert (await peer.request("POST", "/cam")).status == 404
    assert (await peer.request("POST", "/cam/0", body="x")).status == 404


async def test_an_explicit_create_may_be_allowed_alone(start: Start) -> None:
    peer = await (await start(ServerConfig(allow_create=True))).connect()
    assert (await peer.request("POST", "/cam/0", body="x")).status == 404
    assert (await peer.request("POST", "/cam")).status == 200
    await post(peer, 0, "x")


async def test_a_permanent_channel_may_always_be_made_again(start: Start) -> None:
    running = await start(ServerConfig())
    running.hub.create("cam", permanent=True)
    peer = await running.connect()
    await post(peer, 0, "old")
    assert (await peer.request("DELETE", "/cam")).status == 200
    assert (await peer.request("POST", "/cam")).status == 200
    await post(peer, 0, "new")
    assert (await peer.get("/cam/0")).body == b"new"


async def test_a_segment_is_published_and_served(running: Running) -> None:
    peer = await create(running)
    await post(peer, 0, "hello")
    heard = await peer.get("/cam/0")
    assert (heard.status, heard.body) == (200, b"hello")
    assert heard["Content-Type"] == "video/mp2t"
    assert heard["Lp-Trickle-Seq"] == "0"
    assert heard["Lp-Trickle-Latest"] == "1"
    assert heard["Lp-Trickle-Closed"] is None
    assert heard["Content-Length"] == "5"


async def test_a_type_that_is_not_given_is_bytes(running: Running) -> None:
    peer = await running.connect()
    await post(peer, 0, "x")
    heard = await peer.get("/cam/0")
    assert heard["Content-Type"] == "application/octet-stream"


async def test_autocreate_takes_the_type_of_the_first_segment(running: Running) -> None:
    peer = await running.connect()
    await peer.request("POST", "/cam/0", "Content-Type: text/plain", body="x")
    assert running.hub.find("cam").type == "text/plain"


async def test_minus_one_publishes_at_the_head(running: Running) -> None:
    peer = await create(running)
    for seq in range(3):
        heard = await peer.request("POST", "/cam/-1", body=str(seq))
        assert heard["Lp-Trickle-Seq"] == str(seq)


async def test_what_is_too_far_ahead_is_470_with_the_head(running: Running) -> None:
    peer = await create(running)
    await post(peer, 0, "x")
    heard = await peer.get("/cam/7")
    assert heard.status == 470
    assert heard["Lp-Trickle-Seq"] == "7"
    assert heard["Lp-Trickle-Latest"] == "1"


async def test_what_is_not_there_is_404(running: Running) -> None:
    peer = await running.connect()
    for target in ("/cam/0", "/cam/-1", "/cam/next"):
        assert (await peer.get(target)).status == 404
    assert (await peer.request("DELETE", "/cam/0")).status == 404
    assert (await peer.request("DELETE", "/cam")).status == 400


async def test_next_tells_the_head_in_text_and_field(running: Running) -> None:
    peer = await create(running)
    heard = await peer.get("/cam/next")
    assert (heard.status, heard.body) == (200, b"0")
    await post(peer, 0, "x")
    heard = await peer.get("/cam/next")
    assert (heard.body, heard["Lp-Trickle-Latest"]) == (b"1", "1")
    assert heard["Lp-Trickle-Closed"] is None


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/cam/x", 400),
        ("GET", "/cam/1.0", 400),
        ("GET", "/cam/+1", 400),
        ("GET", "/cam/99999999999999999999", 400),
        ("POST", "/cam/x", 400),
        ("POST", "/cam/-5", 400),
        ("DELETE", "/cam/-1", 400),
        ("DELETE", "/cam/5", 400),
        ("GET", "/%2F/0", 400),
        ("GET", "/%00/0", 400),
        ("GET", "/../0", 400),
        ("POST", f"/{'a' * 256}", 400),
        ("GET", "//", 404),
        ("OPTIONS", "/cam/0", 405),
        ("GET", "/cam/0/x", 404),
        ("GET", "/cam/", 404),
        ("PUT", "/cam/0", 405),
        ("PATCH", "/cam", 405),
        ("POST", "/cam/next", 405),
        ("POST", "/_changes", 403),
        ("POST", "/_mine/0", 403),
        ("DELETE", "/_changes", 403),
        ("DELETE", "/_changes/0", 403),
    ],
)
async def test_wrong_requests_get_one_line_and_harm_nobody(
    running: Running, method: str, target: str, status: int
) -> None:
    peer = await create(running)
    heard = await peer.request(method, target)
    assert heard.status == status
    assert heard.body.endswith(b"\n")
    assert heard.body.count(b"\n") == 1
    await post(peer, 0, "the connection goes on")


async def test_405_names_what_is_allowed(running: Running) -> None:
    peer = await create(running)
    assert (await peer.request("PUT", "/cam/0"))["Allow"] == "DELETE, GET, HEAD, POST"
    assert (await peer.request("PUT", "/cam"))["Allow"] == "DELETE, GET, HEAD, POST"
    assert (await peer.request("PUT", "/cam/next"))["Allow"] == "GET, HEAD"


async def test_paths_are_below_the_base_path(start: Start) -> None:
    running = await start(ServerConfig(base_path="/live/t", autocreate=True))
    peer = await running.connect()
    assert (await peer.request("POST", "/live/t/cam/0", body="x")).status == 200
    assert (await peer.get("/live/t/cam/0")).body == b"x"
    assert (await peer.get("/cam/0")).status == 404
    assert (await peer.get("/live/cam/0")).status == 404


async def test_names_are_percent_encoded(running: Running) -> None:
    peer = await running.connect()
    await peer.request("POST", "/caf%C3%A9%20%3F/0", body="x")
    assert running.hub.find("café ?").head == 1


# Rules 1 to 4: what a GET waits for.


async def test_no_head_is_sent_before_the_first_byte(running: Running) -> None:
    publisher = await create(running)
    subscriber = await waiting(running, "/cam/0")
    await publisher.publish("/cam/0")
    channel = running.hub.find("cam")
    await until(lambda: channel.publishers == 1)
    assert subscriber.has_heard_nothing()
    await publisher.chunk(b"x")
    head = await subscriber.head()
    assert (head.status, head["Lp-Trickle-Seq"]) == (200, "0")


async def test_an_empty_end_is_a_head_too(running: Running) -> None:
    publisher = await create(running)
    subscriber = await waiting(running, "/cam/0")
    await publisher.publish("/cam/0")
    await publisher.last_chunk()
    heard = await subscriber.hear()
    assert (heard.status, heard.body, heard["Lp-Trickle-Closed"]) == (200, b"", None)
    assert heard["Lp-Trickle-Latest"] == "1"


async def test_in_the_middle_one_gets_all_so_far_and_then_each_byte(
    running: Running,
) -> None:
    publisher = await create(running)
    await publisher.publish("/cam/0")
    await publisher.chunk(b"so far")
    channel = running.hub.find("cam")
    await until(lambda: channel.head == 1)
    subscriber = await running.connect()
    await subscriber.ask("GET", "/cam/0")
    assert (await subscriber.head())["Transfer-Encoding"] == "chunked"
    assert await subscriber.exactly(6) == b"so far"
    for byte in b"live":
        await publisher.chunk(bytes([byte]))
        assert await subscriber.exactly(1) == bytes([byte])
    await publisher.last_chunk()
    assert await subscriber.rest() == b""


async def test_relative_seqs_name_their_segment(running: Running) -> None:
    peer = await create(running)
    for seq in range(4):
        await post(peer, seq, str(seq))
    for relative, seq in ((-2, 3), (-3, 2), (-5, 0), (-50, 0)):
        heard = await peer.get(f"/cam/{relative}")
        assert (heard.body, heard["Lp-Trickle-Seq"]) == (b"%d" % seq, str(seq))


async def test_minus_one_waits_for_what_begins_next(running: Running) -> None:
    peer = await create(running)
    await post(peer, 0, "old")
    subscriber = await waiting(running, "/cam/-1")
    await post(peer, 1, "new")
    heard = await subscriber.hear()
    assert (heard.body, heard["Lp-Trickle-Seq"]) == (b"new", "1")


async def test_one_may_be_asked_for_before_zero_has_begun(running: Running) -> None:
    peer = await create(running)
    subscriber = await waiting(running, "/cam/1")
    await post(peer, 0, "zero")
    await post(peer, 1, "one")
    assert (await subscriber.hear()).body == b"one"


async def test_what_has_an_open_post_may_be_waited_for(running: Running) -> None:
    publisher = await create(running)
    await publisher.publish("/cam/9")
    channel = running.hub.find("cam")
    await until(lambda: channel.publishers == 1)
    subscriber = await waiting(running, "/cam/9")
    await publisher.chunk(b"nine")
    await publisher.last_chunk()
    assert (await subscriber.hear()).body == b"nine"


# Rule 5: overtaking.


async def test_a_post_that_is_overtaken_is_still_delivered(running: Running) -> None:
    slow, quick = await create(running), await running.connect()
    await slow.publish("/cam/0")
    subscriber = await waiting(running, "/cam/0")
    await quick.publish("/cam/1")
    await quick.chunk(b"one")
    await quick.last_chunk()
    await quick.hear("POST")
    assert (await quick.get("/cam/next")).body == b"2"
    await slow.chunk(b"zero")
    await slow.last_chunk()
    assert (await subscriber.hear()).body == b"zero"
    assert (await quick.get("/cam/next")).body == b"2"


async def test_a_skipped_seq_is_answered_by_the_segment_after_it(
    start: Start,
) -> None:
    running = await start(ServerConfig(autocreate=True, limits=Limits(skip=0.01)))
    peer = await running.connect()
    await post(peer, 0, "zero")
    subscriber = await waiting(running, "/cam/1")
    await post(peer, 3, "three")
    heard = await subscriber.hear()
    assert (heard.status, heard.body, heard["Lp-Trickle-Seq"]) == (200, b"three", "3")


# Rule 7: ends that come from elsewhere.


async def test_closing_answers_every_waiting_post_and_get(running: Running) -> None:
    peer = await create(running)
    begun, ahead = await running.connect(), await running.connect()
    await begun.publish("/cam/0")
    await begun.chunk(b"half")
    await ahead.publish("/cam/1")
    channel = running.hub.find("cam")
    await until(lambda: channel.publishers == 2)
    reader = await running.connect()
    await reader.ask("GET", "/cam/0")
    assert await reader.head()
    subscriber = await waiting(running, "/cam/1", readers=2)
    assert (await peer.request("DELETE", "/cam")).status == 200
    for publisher, seq in ((begun, "0"), (ahead, "1")):
        heard = await publisher.hear("POST")
        assert heard.status == 200
        assert heard["Lp-Trickle-Seq"] == seq
        assert heard["Lp-Trickle-Closed"] == "terminated"
        assert heard["Connection"] == "close"
        assert await publisher.is_hung_up()
    assert await reader.rest() == b"half"
    heard = await subscriber.hear()
    assert (heard.status, heard["Lp-Trickle-Closed"], heard.body) == (
        200,
        "terminated",
        b"",
    )


async def test_a_post_for_nothing_is_answered_before_its_body(start: Start) -> None:
    running = await start(ServerConfig())
    publisher = await running.connect()
    await publisher.publish("/cam/0")
    heard = await publisher.hear("POST")
    assert (heard.status, heard["Connection"]) == (404, "close")
    assert await publisher.is_hung_up()


async def test_deleting_a_segment_answers_its_waiting_post(running: Running) -> None:
    peer = await create(running)
    publisher = await running.connect()
    await publisher.publish("/cam/0")
    subscriber = await waiting(running, "/cam/0")
    heard = await peer.request("DELETE", "/cam/0")
    assert (heard.status, heard["Lp-Trickle-Seq"]) == (200, "0")
    heard = await publisher.hear("POST")
    assert (heard.status, heard["Lp-Trickle-Seq"]) == (200, "0")
    assert (heard["Connection"], heard["Lp-Trickle-Closed"]) == ("close", None)
    assert (await subscriber.hear()).body == b""
    assert (await peer.get("/cam/next")).body == b"1"


async def test_deleting_a_segment_ends_it_for_its_readers(running: Running) -> None:
    peer = await create(running)
    publisher = await running.connect()
    await publisher.publish("/cam/0")
    await publisher.chunk(b"half")
    subscriber = await running.connect()
    channel = running.hub.find("cam")
    await until(lambda: channel.head == 1)
    await subscriber.ask("GET", "/cam/0")
    assert await subscriber.head()
    await peer.request("DELETE", "/cam/0")
    assert await subscriber.rest() == b"half"
    assert (await peer.get("/cam/0")).body == b"half"


async def test_a_post_that_tells_of_no_body_has_an_empty_one(running: Running) -> None:
    peer = await create(running)
    heard = await peer.request("POST", "/cam/0")
    assert (heard.status, heard["Lp-Trickle-Seq"]) == (200, "0")
    assert (await peer.request("POST", "/cam/-1", "Expect: 100-continue")).status == 200
    assert [(await peer.get(f"/cam/{seq}")).body for seq in (0, 1)] == [b"", b""]
    assert (await peer.get("/cam/next")).body == b"2"


# Rules 8 and 9: several publishers.


async def test_reset_ends_open_segments_and_keeps_what_they_hold(
    running: Running,
) -> None:
    dead = await create(running)
    await dead.publish("/cam/0")
    await dead.chunk(b"half")
    channel = running.hub.find("cam")
    await until(lambda: channel.head == 1)
    subscriber = await running.connect()
    await subscriber.ask("GET", "/cam/0")
    assert await subscriber.head()
    fresh = await running.connect()
    heard = await fresh.request("POST", "/cam/-1", "Lp-Trickle-Reset: 1", body="new")
    assert heard["Lp-Trickle-Seq"] == "1"
    assert await subscriber.rest() == b"half"
    heard = await fresh.get("/cam/0")
    assert (heard.body, heard["Lp-Trickle-Incomplete"]) == (b"half", "true")
    assert (await fresh.get("/cam/1")).body == b"new"
    assert (await dead.hear("POST")).status == 200


async def test_a_second_post_continues_and_the_first_to_end_ends_it(
    running: Running,
) -> None:
    one, two = await create(running), await running.connect()
    await one.publish("/cam/0")
    await one.chunk(b"Hello")
    channel = running.hub.find("cam")
    await until(lambda: channel.total == 5)
    await two.publish("/cam/0")
    await two.chunk(b"World")
    await two.last_chunk()
    assert (await two.hear("POST")).status == 200
    heard = await one.hear("POST")
    assert (heard.status, heard["Lp-Trickle-Seq"]) == (200, "0")
    assert (await two.get("/cam/0")).body == b"HelloWorld"


# Rules 10 and 11, and draining.


async def test_what_fell_out_of_the_window_is_470_with_a_head_above(
    start: Start,
) -> None:
    limits = Limits(window=Window(segments=3, floor=1))
    running = await start(ServerConfig(autocreate=True, limits=limits))
    peer = await running.connect()
    for seq in range(10):
        await post(peer, seq, str(seq))
    heard = await peer.get("/cam/2")
    assert (heard.status, heard["Lp-Trickle-Latest"]) == (470, "10")
    heard = await peer.get("/cam/-9007199254740991")
    assert (heard.body, heard["Lp-Trickle-Seq"]) == (b"7", "7")


async def test_a_closed_channel_drains(running: Running) -> None:
    peer = await create(running)
    for seq in range(3):
        await post(peer, seq, str(seq))
    await peer.request("DELETE", "/cam")
    assert [(await peer.get(f"/cam/{seq}")).body for seq in (0, 1, 2, -2, -4)] == [
        b"0",
        b"1",
        b"2",
        b"2",
        b"0",
    ]
    for target in ("/cam/3", "/cam/4"):
        heard = await peer.get(target)
        assert (heard.status, heard["Lp-Trickle-Closed"], heard.body) == (
            200,
            "terminated",
            b"",
        )
    heard = await peer.get("/cam/next")
    assert (heard.body, heard["Lp-Trickle-Closed"]) == (b"3", "terminated")
    assert (await peer.get("/cam/-1")).status == 404
    assert (await peer.request("DELETE", "/cam")).status == 400
    assert (await peer.request("DELETE", "/cam/0")).status == 404


async def test_a_drained_channel_is_gone(start: Start) -> None:
    running = await start(ServerConfig(autocreate=True, limits=Limits(linger=0.01)))
    peer = await running.connect()
    await post(peer, 0, "x")
    await peer.request("DELETE", "/cam")
    await until(lambda: not running.hub.all())
    assert (await peer.get("/cam/0")).status == 404


@pytest.mark.parametrize(("target", "fields"), [("/cam/0", ()), ("/cam/-1", ())])
async def test_the_first_byte_of_a_new_start_replaces_a_closed_channel(
    running: Running, target: str, fields: tuple[str, ...]
) -> None:
    peer = await create(running)
    await post(peer, 0, "old")
    await peer.request("DELETE", "/cam")
    publisher = await running.connect()
    await publisher.publish(target, *fields)
    assert (await peer.get("/cam/0")).body == b"old"
    await publisher.chunk(b"new")
    await until(lambda: not running.hub.find("cam").closed)
    await publisher.last_chunk()
    assert (await publisher.hear("POST"))["Lp-Trickle-Seq"] == "0"
    assert (await peer.get("/cam/0")).body == b"new"


async def test_with_reset_any_seq_replaces_a_closed_channel(running: Running) -> None:
    peer = await create(running)
    await peer.request("DELETE", "/cam")
    assert (await peer.request("POST", "/cam/7", body="x")).status == 404
    again = await running.connect()
    heard = await again.request("POST", "/cam/7", "Lp-Trickle-Reset: 1", body="x")
    assert (heard.status, heard["Lp-Trickle-Seq"]) == (200, "7")


async def test_an_empty_body_replaces_nothing(running: Running) -> None:
    peer = await create(running)
    await post(peer, 0, "old")
    await peer.request("DELETE", "/cam")
    publisher = await running.connect()
    await publisher.publish("/cam/0")
    await publisher.last_chunk()
    heard = await publisher.hear("POST")
    assert (heard.status, heard["Lp-Trickle-Closed"]) == (200, "terminated")
    assert (await peer.get("/cam/0")).body == b"old"


async def test_without_autocreate_a_closed_channel_takes_no_post(start: Start) -> None:
    running = await start(ServerConfig(allow_create=True))
    peer = await create(running)
    await peer.request("DELETE", "/cam")
    publisher = await running.connect()
    await publisher.publish("/cam/0")
    assert (await publisher.hear("POST")).status == 404


async def test_a_create_replaces_a_closed_channel(running: Running) -> None:
    peer = await create(running)
    await post(peer, 0, "old")
    before = await peer.get("/cam/next")
    await peer.request("DELETE", "/cam")
    assert (await peer.request("POST", "/cam")).status == 200
    after = await peer.get("/cam/next")
    assert (after.body, after["Lp-Trickle-Closed"]) == (b"0", None)
    assert after["Lp-Trickle-Epoch"] != before["Lp-Trickle-Epoch"]


# Rule 12: the changefeed.


async def test_the_changefeed_is_a_channel_like_any_other(start: Start) -> None:
    running = await start(ServerConfig(changefeed=True, allow_create=True))
    subscriber = await running.connect()
    assert (await subscriber.get("/_changes/0")).body == b'{"added":["_changes"]}'
    await waiting(running, "/_changes/-1")
    await subscriber.ask("GET", "/_changes/1")
    peer = await create(running)
    heard = await subscriber.hear()
    assert heard.body == b'{"added":["cam"]}'
    assert heard["Content-Type"] == "application/json"
    await peer.request("DELETE", "/cam")
    assert (await subscriber.get("/_changes/2")).body == b'{"removed":["cam"]}'


async def test_without_a_changefeed_it_is_not_there(running: Running) -> None:
    peer = await running.connect()
    assert (await peer.get("/_changes/-1")).status == 404


# Rule 13 is the hub's. Rule 14: peers that go away.


async def test_a_waiting_subscriber_that_goes_away_leaves_nothing(
    running: Running,
) -> None:
    await create(running)
    channel = running.hub.find("cam")
    for _ in range(50):
        subscriber = await waiting(running, "/cam/0")
        await subscriber.hang_up()
        await until(lambda: channel.readers == 0)
    assert running.server.statistics().connections == 1
    assert channel._awaited == {}


async def test_a_reader_in_the_middle_that_goes_away_leaves_nothing(
    running: Running,
) -> None:
    publisher = await create(running)
    await publisher.publish("/cam/0")
    await publisher.chunk(b"x")
    channel = running.hub.find("cam")
    await until(lambda: channel.head == 1)
    subscriber = await running.connect()
    await subscriber.ask("GET", "/cam/0")
    assert await subscriber.head()
    await subscriber.hang_up()
    await until(lambda: channel.readers == 0)


async def test_a_publisher_that_goes_away_before_its_first_byte_leaves_nothing(
    running: Running,
) -> None:
    await create(running)
    channel = running.hub.find("cam")
    publisher = await running.connect()
    await publisher.publish("/cam/5")
    await until(lambda: channel.publishers == 1)
    await publisher.hang_up()
    await until(lambda: channel.publishers == 0)
    peer = await running.connect()
    assert (await peer.get("/cam/5")).status == 470


async def test_a_publisher_that_dies_in_the_middle_is_seen_by_its_readers(
    start: Start,
) -> None:
    running = await start(ServerConfig(autocreate=True, limits=Limits(resume=0.01)))
    publisher = await running.connect()
    await publisher.publish("/cam/0")
    await publisher.chunk(b"half")
    await until(lambda: running.hub.all() and running.hub.find("cam").head == 1)
    subscriber = await running.connect()
    await subscriber.ask("GET", "/cam/0")
    await subscriber.head()
    assert await subscriber.exactly(4) == b"half"
    await publisher.hang_up()
    with pytest.raises(h11.RemoteProtocolError):
        await subscriber.data()
    peer = await running.connect()
    heard = await peer.get("/cam/0")
    assert (heard.body, heard["Lp-Trickle-Incomplete"]) == (b"half", "true")


# Rule 15: early answers and 100 Continue.


async def test_an_early_answer_survives_the_body_that_is_still_being_sent(
    start: Start,
) -> None:
    running = await start(ServerConfig())
    publisher = await running.connect()
    await publisher.publish("/cam/0")
    for _ in range(8):
        await publisher.chunk(b"x" * 65536)
    heard = await publisher.hear("POST")
    assert heard.status == 404


async def test_a_body_that_is_refused_is_not_read_for_ever(start: Start) -> None:
    running = await start(ServerConfig())
    publisher = await running.connect()
    await publisher.publish("/cam/0")

    async def send_for_ever() -> None:
        while True:
            await publisher.chunk(b"x" * 65536)

    with pytest.raises(trio.BrokenResourceError):
        await send_for_ever()


async def test_100_continue_is_said_once_to_who_expects_it(running: Running) -> None:
    publisher = await create(running)
    await publisher.publish("/cam/0", "Expect: 100-continue")
    assert await publisher.stream.receive_some(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    await publisher.chunk(b"x")
    await publisher.last_chunk()
    heard = await publisher.hear("POST")
    assert heard.status == 200


async def test_100_continue_is_not_said_where_the_request_is_refused(
    start: Start,
) -> None:
    publisher = await (await start(ServerConfig())).connect()
    await publisher.publish("/cam/0", "Expect: 100-continue")
    data = await publisher.stream.receive_some(100)
    assert data.startswith(b"HTTP/1.1 404 ")


async def test_other_expectations_cannot_be_met(running: Running) -> None:
    publisher = await create(running)
    await publisher.publish("/cam/0", "Expect: the-unexpected")
    assert (await publisher.hear("POST")).status == 417


# Restart, and conflicts.


async def test_a_publisher_that_starts_over_restarts_the_channel(
    running: Running,
) -> None:
    peer = await create(running)
    for seq in range(3):
        await post(peer, seq, "old")
    before = await peer.get("/cam/next")
    subscriber = await waiting(running, "/cam/3")
    await post(peer, 0, "new")
    heard = await subscriber.hear()
    assert (heard.body, heard["Lp-Trickle-Seq"]) == (b"new", "0")
    assert heard["Lp-Trickle-Epoch"] != before["Lp-Trickle-Epoch"]
    assert (await peer.get("/cam/next")).body == b"1"


async def test_a_write_to_what_is_over_while_somebody_publishes_is_a_conflict(
    running: Running,
) -> None:
    peer = await create(running)
    await post(peer, 0, "whole")
    busy = await running.connect()
    await busy.publish("/cam/1")
    await busy.chunk(b"half")
    channel = running.hub.find("cam")
    await until(lambda: channel.head == 2)
    heard = await peer.request("POST", "/cam/0", body="again")
    assert (heard.status, heard["Lp-Trickle-Latest"]) == (409, "2")


# Limits.


async def test_a_segment_that_is_too_large_is_413_and_kept_in_part(
    start: Start,
) -> None:
    running = await start(ServerConfig(autocreate=True, limits=Limits(segment_size=10)))
    publisher = await running.connect()
    await publisher.publish("/cam/0")
    await publisher.chunk(b"12345678")
    await publisher.chunk(b"90abcdef")
    heard = await publisher.hear("POST")
    assert (heard.status, heard["Lp-Trickle-Seq"]) == (413, "0")
    peer = await running.connect()
    heard = await peer.get("/cam/0")
    assert (heard.body, heard["Lp-Trickle-Incomplete"]) == (b"1234567890", "true")


async def test_full_tables_say_so(start: Start) -> None:
    limits = Limits(channels=1, readers=1, publications=1)
    running = await start(ServerConfig(autocreate=True, limits=limits))
    publisher = await running.connect()
    await publisher.publish("/cam/0")
    await until(lambda: bool(running.hub.all()))
    await waiting(running, "/cam/0")
    peer = await running.connect()
    heard = await peer.get("/cam/0")
    assert (heard.status, heard["Retry-After"]) == (503, "5")
    assert (await peer.request("POST", "/cam/1", body="x")).status == 429
    heard = await peer.request("POST", "/mic/0", body="x")
    assert (heard.status, heard["Retry-After"]) == (503, "5")


# HTTP/1.0 readers.


async def test_a_reader_of_http_1_0_gets_a_body_that_ends_with_the_connection(
    running: Running,
) -> None:
    publisher = await create(running)
    await publisher.publish("/cam/0")
    await publisher.chunk(b"one ")
    channel = running.hub.find("cam")
    await until(lambda: channel.head == 1)
    reader = await running.connect()
    await reader.send(b"GET /cam/0 HTTP/1.0\r\n\r\n")
    await until(lambda: channel.readers == 1)
    await publisher.chunk(b"two")
    await publisher.last_chunk()
    data = b""
    while more := await reader.stream.receive_some(1000):
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    assert body == b"one two"
    assert b"Transfer-Encoding" not in head
    assert b"Content-Length" not in head
