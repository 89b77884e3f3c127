"""What browsers, caches and scrapers get: ETags, foreign pages, listings, metrics."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server.conftest import Running, Start
from tests.server.peer import Peer
from tests.waiting import until
from trickle_cli.server import ServerConfig, metrics
from trickle_cli.version import __version__

SHAPE = [
    "name",
    "type",
    "epoch",
    "head",
    "oldest",
    "segments",
    "bytes",
    "total_bytes",
    "readers",
    "publishers",
    "rate",
    "created",
    "written",
    "closed",
    "lossless",
]


async def cam(running: Running, *texts: str) -> Peer:
    """A peer of a server with a channel of these segments."""
    peer = await running.connect()
    assert (await peer.request("POST", "/cam", "Expect-Content: a/b")).status == 200
    for seq, text in enumerate(texts):
        assert (await peer.request("POST", f"/cam/{seq}", body=text)).status == 200
    return peer


# Caches.


async def test_a_complete_segment_by_its_number_may_be_kept(running: Running) -> None:
    peer = await cam(running, "one")
    heard = await peer.get("/cam/0")
    epoch = running.hub.find("cam").epoch
    assert heard["ETag"] == f'"{epoch}-0"'
    assert heard["Cache-Control"] == "max-age=60"
    for unless in (heard["ETag"], f'"x", W/{heard["ETag"]}', "*"):
        again = await peer.request("GET", "/cam/0", f"If-None-Match: {unless}")
        assert (again.status, again.body) == (304, b"")
        assert (again["ETag"], again["Content-Length"]) == (heard["ETag"], None)
        assert again["Cache-Control"] == "max-age=60"
    again = await peer.request("GET", "/cam/0", 'If-None-Match: "x"')
    assert (again.status, again.body) == (200, b"one")


async def test_head_tells_caches_what_get_does(running: Running) -> None:
    peer = await cam(running, "one")
    for target in ("/cam/0", "/cam/-2"):
        get, head = await peer.get(target), await peer.request("HEAD", target)
        for field in ("ETag", "Cache-Control", "Content-Length", "Content-Type"):
            assert head[field] == get[field], (target, field)


async def test_a_new_life_of_a_seq_has_another_etag(running: Running) -> None:
    peer = await cam(running, "one", "two")
    etag = (await peer.get("/cam/0"))["ETag"]
    await peer.request("POST", "/cam/0", body="new")
    heard = await peer.request("GET", "/cam/0", f"If-None-Match: {etag}")
    assert (heard.status, heard.body) == (200, b"new")


async def test_all_else_is_not_to_be_kept(running: Running) -> None:
    peer = await cam(running, "one")
    targets = ["/cam/-2", "/cam/5", "/cam/next", "/nothing/0", "/", "/cam", "/_/health"]
    for target in targets:
        heard = await peer.get(target)
        assert (heard["Cache-Control"], heard["ETag"]) == ("no-store", None), target
    reader = await running.connect()
    await reader.ask("GET", "/cam/1")
    await until(lambda: running.hub.find("cam").readers == 1)
    await peer.request("POST", "/cam/1", body="two")
    heard = await reader.hear()
    assert (heard.body, heard["Cache-Control"]) == (b"two", "no-store")


async def test_no_browser_takes_anything_for_a_page(running: Running) -> None:
    peer = await cam(running, "<script>")
    for method, target in (
        ("GET", "/cam/0"),
        ("GET", "/cam/7"),
        ("GET", "/"),
        ("PUT", "/cam"),
        ("HEAD", "/cam/0"),
        ("POST", "/cam/1"),
    ):
        heard = await peer.request(method, target)
        assert heard["X-Content-Type-Options"] == "nosniff", target
        assert heard["Content-Security-Policy"] == "sandbox", target


# Web pages from elsewhere.


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://test:1"])
async def test_a_page_from_elsewhere_changes_nothing(start: Start, origin: str) -> None:
    running = await start(
        ServerConfig(autocreate=True, allow_create=True, cors=("http://evil.example",))
    )
    peer = await cam(running, "one")
    for method, target in (
        ("POST", "/new"),
        ("POST", "/new/0"),
        ("POST", "/cam/1"),
        ("DELETE", "/cam/0"),
        ("DELETE", "/cam"),
    ):
        stranger = await running.connect()
        heard = await stranger.request(method, target, f"Origin: {origin}", body="x")
        assert heard.status == 403, target
        assert heard["Access-Control-Allow-Origin"] is None
    assert [channel.name for channel in running.hub.all()] == ["cam"]
    assert (await peer.get("/cam/next")).body == b"1"


async def test_a_page_of_the_server_itself_may(running: Running) -> None:
    peer = await running.connect()
    heard = await peer.request("POST", "/cam", "Origin: http://test")
    assert heard.status == 200


async def test_without_cors_no_page_from_elsewhere_reads(running: Running) -> None:
    peer = await cam(running, "one")
    heard = await peer.request("GET", "/cam/0", "Origin: http://there")
    assert (heard.status, heard["Access-Control-Allow-Origin"]) == (200, None)
    assert (await peer.request("OPTIONS", "/cam/0")).status == 405


async def test_cors_lets_pages_of_an_origin_read(start: Start) -> None:
    running = await start(ServerConfig(allow_create=True, cors=("http://there",)))
    peer = await cam(running, "one")
    for target in ("/cam/0", "/cam/7", "/cam/next", "/", "/nothing/0"):
        heard = await peer.request("GET", target, "Origin: http://there")
        assert heard["Access-Control-Allow-Origin"] == "http://there", target
        assert "Lp-Trickle-Seq" in str(heard["Access-Control-Expose-Headers"])
        assert heard["Vary"] == "Origin"
        heard = await peer.request("GET", target, "Origin: http://elsewhere")
        assert heard["Access-Control-Allow-Origin"] is None
        assert heard["Vary"] == "Origin"
    heard = await peer.request(
        "OPTIONS",
        "/cam/0",
        "Origin: http://there",
        "Access-Control-Request-Method: GET",
    )
    assert (heard.status, heard["Content-Length"]) == (204, None)
    assert heard["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert "Range" in str(heard["Access-Control-Allow-Headers"])


async def test_a_live_segment_goes_to_pages_and_others(start: Start) -> None:
    running = await start(ServerConfig(allow_create=True, cors=("http://there",)))
    await cam(running)
    page, other = await running.connect(), await running.connect()
    await page.ask("GET", "/cam/0", "Origin: http://there")
    await other.ask("GET", "/cam/0")
    await until(lambda: running.hub.find("cam").readers == 2)
    publisher = await running.connect()
    await publisher.publish("/cam/0")
    await publisher.chunk(b"one")
    assert (await page.head())["Access-Control-Allow-Origin"] == "http://there"
    assert (await other.head())["Access-Control-Allow-Origin"] is None
    await publisher.last_chunk()
    assert (await page.rest(), await other.rest()) == (b"one", b"one")


async def test_cors_for_all(start: Start) -> None:
    running = await start(ServerConfig(allow_create=True, cors=("*",)))
    peer = await cam(running, "one")
    heard = await peer.get("/cam/0")
    assert heard["Access-Control-Allow-Origin"] == "*"


# Pages.


def parse(body: bytes) -> Any:
    return json.loads(body)


def when(text: str) -> datetime:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    return datetime.fromisoformat(text)


async def test_a_channel_has_a_page(running: Running) -> None:
    peer = await cam(running, "one", "three")
    heard = await peer.get("/cam")
    assert heard["Content-Type"] == "application/json"
    told = parse(heard.body)
    assert list(told) == SHAPE
    created, written = when(told.pop("created")), when(told.pop("written"))
    assert created <= written
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=5)
    assert told.pop("rate") >= 0
    assert told == {
        "name": "cam",
        "type": "a/b",
        "epoch": running.hub.find("cam").epoch,
        "head": 2,
        "oldest": 0,
        "segments": 2,
        "bytes": 8,
        "total_bytes": 8,
        "readers": 0,
        "publishers": 0,
        "closed": False,
        "lossless": False,
    }
    assert (await peer.get("/nothing")).status == 404
    assert (await peer.request("HEAD", "/cam")).body == b""
    await peer.request("DELETE", "/cam")
    heard = await peer.get("/cam")
    assert parse(heard.body)["closed"] is True
    assert heard["Lp-Trickle-Closed"] is None  # which never comes with content


async def test_an_empty_channel_was_never_written(running: Running) -> None:
    peer = await cam(running)
    told = parse((await peer.get("/cam")).body)
    assert (told["oldest"], told["written"], told["rate"]) == (None, None, 0)


async def test_the_listing_has_every_channel_by_name(start: Start) -> None:
    running = await start(ServerConfig(autocreate=True, changefeed=True))
    peer = await running.connect()
    names = [f"c{number:03}" for number in range(300)]
    for name in reversed(names):
        running.hub.create(name)
    running.hub.close("c007")
    for target in ("/", "/?x"):
        heard = await peer.get(target)
        told = parse(heard.body)
        assert heard["Content-Type"] == "application/json"
        assert told["server"] == f"trickle/{__version__}"
        assert [c["name"] for c in told["channels"]] == ["_changes", *names]
        assert all(list(channel) == SHAPE for channel in told["channels"])
        closed = [c["name"] for c in told["channels"] if c["closed"]]
        assert closed == ["c007"]
    assert (await peer.request("HEAD", "/")).body == b""
    assert (await peer.request("POST", "/", body="x")).status == 405


async def test_the_listing_is_below_the_base_path(start: Start) -> None:
    running = await start(ServerConfig(base_path="/live", autocreate=True))
    peer = await running.connect()
    for target in ("/live/", "/live"):
        assert parse((await peer.get(target)).body)["channels"] == []
    assert (await peer.get("/live/_/health")).status == 200
    assert (await peer.get("/")).status == 404


async def test_a_name_that_is_hard_to_write_is_in_the_listing(
    running: Running,
) -> None:
    name = 'a "b" \\ é \u2028'.replace("\u2028", "…")
    running.hub.create(name)
    peer = await running.connect()
    (told,) = parse((await peer.get("/")).body)["channels"]
    assert told["name"] == name


async def test_who_leaves_while_the_listing_is_made_harms_nobody(
    running: Running,
) -> None:
    for number in range(2000):
        running.hub.create(f"c{number}")
    for _ in range(5):
        peer = await running.connect()
        await peer.ask("GET", "/")
        await peer.hang_up()
    await until(lambda: running.server.statistics().connections == 0)


async def test_the_server_is_healthy(running: Running) -> None:
    peer = await running.connect()
    heard = await peer.get("/_/health")
    assert (heard.status, parse(heard.body)) == (200, {"status": "ok"})
    assert (await peer.get("/_/nothing")).status == 400


async def samples(peer: Peer) -> dict[tuple[str, str], float]:
    heard = await peer.get("/_/metrics")
    assert str(heard["Content-Type"]).startswith("text/plain; version=0.0.4")
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(heard.body.decode())
        for sample in family.samples
    }


async def test_metrics_are_for_prometheus(running: Running) -> None:
    peer = await cam(running, "one", "three")
    await peer.get("/cam/0")
    await peer.get("/cam/9")
    told = await samples(peer)
    assert told["trickle_connections", ""] == 1
    assert told["trickle_channels", ""] == 1
    assert told["trickle_channel_head", "cam"] == 2
    assert told["trickle_channel_bytes", "cam"] == 8
    assert told["trickle_channel_published_bytes", "cam"] == 8
    assert told["trickle_delivered_bytes_total", ""] == 3
    assert told["trickle_responses_total", "200"] == 4
    assert told["trickle_responses_total", "470"] == 1
    assert told["trickle_memory_bytes", ""] == running.hub.memory.used
    assert told["trickle_info", __version__] == 1


async def test_the_labels_of_metrics_are_bounded(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MAX_LABELS", 3)
    peer = await running.connect()
    for number in range(10):
        body = "x" * (100 - number)
        await peer.request("POST", f"/c{number}/0", body=body)
    told = await samples(peer)
    labels = [label for name, label in told if name == "trickle_channel_bytes"]
    assert labels == ["c0", "c1", "c2", "_others"]
    assert told["trickle_channel_head", "_others"] == 7
