"""A small server with manners of its own: it keeps one channel, and answers requests
one after another, unless it is told to do that badly. `toying` runs it.

It shares the codec with our own, and nothing else. It knows its publishers again if it
has an epoch; like the reference, it appends whatever it is sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio

from tests.client.scripted import PATIENCE
from trickle_cli.client import Endpoint
from trickle_cli.protocol.events import END, Request, RequestEvent
from trickle_cli.protocol.http1 import RequestParser


@dataclass(kw_only=True)
class Manners:
    """`epoch` "" is a server of another make. After `closes_after` answers about
    segments it closes a connection, and `says` so in the last of them, or not. `speaks`
    is its version of HTTP. It answers two requests that come at once out of turn if it
    `swaps`. Beyond `serves` requests on a connection it takes no notice of any more.
    """

    epoch: str = ""
    closes_after: int = 1_000_000
    says: bool = True
    speaks: str = "1.1"
    swaps: bool = False
    serves: int = 1_000_000


@dataclass
class Toy:
    """`segments` is what it has got; `most` the requests that came at once, at most;
    `posts` the seqs in the order in which they came, and `gets`."""

    manners: Manners
    url: str = ""
    segments: dict[int, bytes] = field(default_factory=dict)
    most: int = 0
    posts: list[int] = field(default_factory=list)
    gets: list[int] = field(default_factory=list)
    is_closed: bool = False

    def endpoint(self) -> Endpoint:
        return Endpoint.parse("cam", self.url)

    @property
    def head(self) -> int:
        return max(self.segments, default=-1) + 1

    async def serve(self, stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async with stream:
                await self._answer_all(stream)
                await stream.send_eof()
                while await stream.receive_some():
                    pass

    async def _answer_all(self, stream: trio.SocketStream) -> None:
        parser = RequestParser()
        waiting: list[tuple[Request, bytes]] = []
        held: list[bytes] = []
        open_: tuple[Request, list[bytes]] | None = None
        answered = 0
        while data := await stream.receive_some():
            for event in parser.feed(data):
                open_ = self._take(event, open_, waiting)
            self.most = max(self.most, len(waiting))
            while waiting:
                answered += waiting[0][0].target.rpartition(b"/")[2].isdigit()
                if answered > self.manners.serves:
                    await trio.sleep_forever()
                closes = answered >= self.manners.closes_after
                held.append(self._answer(*waiting.pop(0), closes=closes))
                if self.manners.swaps and waiting and len(held) < 2:
                    continue
                for answer in reversed(held):
                    await stream.send_all(answer)
                held.clear()
                if closes:
                    return

    def _take(
        self,
        event: RequestEvent,
        open_: tuple[Request, list[bytes]] | None,
        waiting: list[tuple[Request, bytes]],
    ) -> tuple[Request, list[bytes]] | None:
        if isinstance(event, Request):
            if event.has_body:
                return event, []
            waiting.append((event, event.body or b""))
        elif open_ is not None and isinstance(event, bytes):
            open_[1].append(event)
        elif open_ is not None and event is END:
            waiting.append((open_[0], b"".join(open_[1])))
            return None
        return open_

    def _answer(self, request: Request, body: bytes, *, closes: bool) -> bytes:
        status, fields, content = self._judge(request, body)
        if self.manners.epoch:
            fields.append(f"Lp-Trickle-Epoch: {self.manners.epoch}")
        if closes and self.manners.says:
            fields.append("Connection: close")
        if request.method == b"HEAD":
            content = b""
        fields.append(f"Content-Length: {len(content)}")
        head = "\r\n".join([f"HTTP/{self.manners.speaks} {status} So", *fields])
        return head.encode() + b"\r\n\r\n" + content

    def _judge(self, request: Request, body: bytes) -> tuple[int, list[str], bytes]:
        method, (_, _, *rest) = request.method, request.target.split(b"/")
        if not rest:
            self.is_closed = method == b"DELETE"
            return 200, [], b""
        if rest == [b"next"]:
            return 200, [], b"%d" % self.head
        seq = int(rest[0])
        fields = [f"Lp-Trickle-Seq: {seq}", f"Lp-Trickle-Latest: {self.head}"]
        if method == b"POST":
            self._store(seq, body, int(request.field(b"lp-trickle-offset") or -1))
            return 200, fields[:1], b""
        if method == b"DELETE":
            return 400, [], b""
        if seq not in self.segments:
            closed = ["Lp-Trickle-Closed: terminated"]
            return (200, closed, b"") if seq == self.head else (470, fields, b"")
        if method == b"HEAD":
            size = len(self.segments[seq])
            complete = ["Lp-Trickle-Complete: true"]
            return 200, [*fields, f"Lp-Trickle-Size: {size}", *complete], b""
        self.gets.append(seq)
        return 200, fields, self.segments[seq]

    def _store(self, seq: int, body: bytes, offset: int) -> None:
        self.posts.append(seq)
        held = self.segments.get(seq, b"")
        if self.manners.epoch:
            assert 0 <= offset <= len(held)
            body = body[len(held) - offset :]
        self.segments[seq] = held + body


@asynccontextmanager
async def toying(manners: Manners) -> AsyncIterator[Toy]:
    """The server, in this process."""
    toy = Toy(manners)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    toy.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, toy.serve, [listener])
            yield toy
            nursery.cancel_scope.cancel()
