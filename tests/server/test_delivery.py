"""However little the peer takes at a time, the bytes on the wire are one answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import h11
import pytest
import trio
from hypothesis import given, settings, strategies as st

from tests.relay.fakes import Clock, make_hub, publish
from trickle_cli.protocol.events import Request
from trickle_cli.protocol.familiar import Familiar
from trickle_cli.protocol.http1 import USUAL_LIMITS
from trickle_cli.protocol.requests import Subscribe
from trickle_cli.relay import Channel
from trickle_cli.server.config import Patience
from trickle_cli.server.connection import Connection
from trickle_cli.server.delivery import Delivery
from trickle_cli.server.ledger import Ledger
from trickle_cli.server.transport import Disconnected


class StingyTransport:
    """Takes what `appetites` say, one number for each call, then everything."""

    joins = False

    def __init__(self, appetites: Sequence[int] = ()) -> None:
        self.peer = "test"
        self.wire = b""
        self.closed: str = ""
        self._appetites = list(appetites)

    def cork(self, *, on: bool) -> None:
        pass

    def send_nowait(self, data: bytes) -> int:
        return self.sendv_nowait([data])

    def sendv_nowait(self, buffers: Sequence[bytes | memoryview]) -> int:
        data = b"".join(buffers)
        taken = self._appetites.pop(0) if self._appetites else len(data)
        self.wire += data[:taken]
        return min(taken, len(data))

    async def sendv(self, buffers: Sequence[bytes | memoryview]) -> int:
        await trio.lowlevel.checkpoint()
        if self.closed:
            raise Disconnected("closed")
        return self.sendv_nowait(buffers) or self.sendv_nowait(buffers)

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def unacknowledged(self) -> int:
        return 0

    def shut_down_sending(self) -> None:
        pass

    def close(self, *, fail: bool = False) -> None:
        self.closed = "failed" if fail else "ended"


def request(*, http10: bool = False, keep_alive: bool = True) -> Request:
    return Request(b"GET", b"/cam/0", [], http10, keep_alive and not http10, False)


def heard(wire: bytes) -> tuple[dict[str, str], bytes, bool]:
    """What h11 makes of `wire`: fields, body, and whether it is all there."""
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method="GET", target="/", headers=[("Host", "test")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(wire)
    head = peer.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    while True:
        event = peer.next_event()
        if isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            break
    if event is h11.NEED_DATA:
        peer.receive_data(b"")
        with suppress(h11.RemoteProtocolError):
            event = peer.next_event()
    fields = {k.decode(): v.decode() for k, v in head.headers}
    return fields, body, isinstance(event, h11.EndOfMessage)


async def deliver(
    channel: Channel,
    transport: StingyTransport,
    play: Callable[[], object],
    **kind: bool,
) -> None:
    """Begin to deliver segment 0 over `transport`, `play`, and let errands run."""
    async with trio.open_nursery() as nursery:
        connection = Connection(
            transport,
            begin=lambda *_: None,
            on_close=lambda _: None,
            nursery=nursery,
            patience=Patience(),
            limits=USUAL_LIMITS,
            familiar=Familiar(),
            ledger=Ledger(None),
            peer="test",
        )
        wanted = Subscribe("cam", 0)
        delivery = Delivery(connection, channel, request(**kind), wanted)
        delivery.start(channel.find(0))
        play()


PIECES = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
APPETITES = st.lists(st.integers(0, 60), max_size=12)


@settings(max_examples=300, deadline=None)
@given(
    before=PIECES,
    after=PIECES,
    appetites=APPETITES,
    end=st.booleans(),
    ended_before=st.booleans(),
    large=st.booleans(),
    http10=st.booleans(),
)
def test_any_partial_sends_make_the_same_answer(
    before: list[bytes],
    after: list[bytes],
    appetites: list[int],
    end: bool,
    ended_before: bool,
    large: bool,
    http10: bool,
) -> None:
    """`before` is there when the GET comes, `after` follows, in the same or another
    call than the `end`."""
    if large:  # beyond what is joined and what small chunks are merged into
        before = [piece * 1000 for piece in before]
        after = [piece * 1000 for piece in after]
        appetites = [appetite * 700 for appetite in appetites]
    channel = make_hub(Clock()).create("cam", "text/plain")
    writer = publish(channel, 0)
    for piece in before:
        writer.write([piece])
    if ended_before:
        writer.write([], end=True)
        after = []
    transport = StingyTransport(appetites)

    def play() -> None:
        for number, piece in enumerate(after):
            writer.write([piece], end=end and number == len(after) - 1)
        writer.write([], end=True)

    trio.run(lambda: deliver(channel, transport, play, http10=http10))
    fields, body, is_whole = heard(transport.wire)
    assert body == b"".join(before + after)
    assert is_whole
    assert fields["lp-trickle-seq"] == "0"
    if ended_before:
        assert fields["content-length"] == str(len(body))
    assert channel.readers == 0
    assert (transport.closed == "ended") is http10


@pytest.mark.parametrize("appetites", [[], [0], [3, 0, 5]])
async def test_a_segment_that_is_cut_has_no_last_chunk(appetites: list[int]) -> None:
    channel = make_hub(Clock()).create("cam")
    writer = publish(channel, 0)
    transport = StingyTransport(appetites)

    def play() -> None:
        writer.write([b"half"])
        channel.find(0).break_off(cut=True)

    await deliver(channel, transport, play)
    _, body, is_whole = heard(transport.wire)
    assert (body, is_whole) == (b"half", False)
    assert transport.closed == "ended"
    assert channel.readers == 0


async def test_to_http_1_0_a_cut_is_shown_by_a_failure() -> None:
    channel = make_hub(Clock()).create("cam")
    writer = publish(channel, 0)
    transport = StingyTransport()

    def play() -> None:
        writer.write([b"half"])
        channel.find(0).break_off(cut=True)

    await deliver(channel, transport, play, http10=True)
    assert transport.closed == "failed"


@pytest.mark.parametrize("appetite", [0, 10, 200, 300, 5000])
async def test_a_segment_that_is_forgotten_breaks_its_answer_off(appetite: int) -> None:
    channel = make_hub(Clock()).create("cam")
    writer = publish(channel, 0)
    writer.write([b"x" * 10_000], end=True)
    segment = channel.find(0)
    transport = StingyTransport([appetite])
    await deliver(channel, transport, segment.forget)
    assert len(transport.wire) == appetite
    assert transport.closed == "ended"
    assert channel.readers == 0


async def test_a_chunk_that_was_announced_and_is_forgotten_is_not_made_up() -> None:
    channel = make_hub(Clock()).create("cam")
    writer = publish(channel, 0)
    transport = StingyTransport([300])

    def play() -> None:
        writer.write([b"x" * 10_000])
        channel.find(0).forget()

    await deliver(channel, transport, play)
    _, body, is_whole = heard(transport.wire)
    assert len(body) < 10_000
    assert set(body) == {ord("x")}
    assert not is_whole


async def test_a_live_reader_gets_small_pieces_and_their_end_in_one_call() -> None:
    channel = make_hub(Clock()).create("cam")
    writer = publish(channel, 0)
    calls: list[bytes] = []

    class Recording(StingyTransport):
        def send_nowait(self, data: bytes) -> int:
            calls.append(data)
            return len(data)

    def play() -> None:
        writer.write([b"one"])
        writer.write([b"two"], end=True)

    await deliver(channel, Recording(), play)
    head, first = calls[0].split(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert first == b"3\r\none\r\n"
    assert calls[1:] == [b"3\r\ntwo\r\n0\r\n\r\n"]


async def test_a_segment_that_comes_whole_is_one_call_with_its_length() -> None:
    channel = make_hub(Clock()).create("cam")
    transport = StingyTransport()
    await deliver(
        channel, transport, lambda: publish(channel, 0).write([b"all"], end=True)
    )
    head, body = transport.wire.split(b"\r\n\r\n")
    assert b"Content-Length: 3" in head
    assert body == b"all"
