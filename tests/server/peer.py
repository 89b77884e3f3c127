"""A peer at the other end of a real socket, which says what it likes byte by byte and
has what it hears judged by h11, which is not ours.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

import h11
import trio


@dataclass(frozen=True)
class Heard:
    """A response: its status, its fields (lower case), its body."""

    status: int
    fields: dict[str, str]
    body: bytes

    def __getitem__(self, field: str) -> str | None:
        return self.fields.get(field.lower())


class Peer:
    """One connection to a server. Made by `connect`."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.CLIENT)
        self._began = False
        self._early = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def ask(self, method: str, target: str, *fields: str, body: str = "") -> None:
        """Send a request, with a Content-Length if it has a body."""
        lines = [f"{method} {target} HTTP/1.1", "Host: test", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        await self.send("\r\n".join([*lines, "", body]).encode())

    async def publish(self, target: str, *fields: str) -> None:
        """Send the head of a request whose body is chunked."""
        await self.ask("POST", target, "Transfer-Encoding: chunked", *fields)

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def last_chunk(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def head(self, method: str = "GET") -> Heard:
        """Wait for the head of the next response; its body is for `data`."""
        if not self._began:
            self._prepare(method)
        event = await self._event()
        assert isinstance(event, h11.Response), event
        fields = {k.decode(): v.decode("latin-1") for k, v in event.headers}
        return Heard(event.status_code, fields, b"")

    def _prepare(self, method: str) -> None:
        self._began = True
        request = h11.Request(method=method, target="/", headers=[("Host", "test")])
        self._http.send(request)
        self._http.send(h11.EndOfMessage())

    async def data(self) -> bytes | None:
        """More of the body; None at its end. Raises h11.RemoteProtocolError if it is
        cut short."""
        event = await self._event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        assert isinstance(event, h11.EndOfMessage), event
        self._began = False
        if self._http.their_state is h11.DONE and self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        return None

    async def exactly(self, count: int) -> bytes:
        """The next `count` bytes of the body."""
        got = b""
        while len(got) < count:
            data = await self.data()
            assert data is not None, got
            got += data
        assert len(got) == count, got
        return got

    async def exactly_from(self, value: int, count: int) -> bool:
        """Whether the next `count` bytes of the body, and no more, are all `value`."""
        left = count - len(self._early)
        got, self._early = self._early, b""
        while left > 0:
            data = await self.data()
            assert data is not None
            got += data
            left = count - len(got)
        got, self._early = got[:count], got[count:]
        return got == bytes([value]) * count

    async def rest(self) -> bytes:
        """The body to its end."""
        parts = []
        while (data := await self.data()) is not None:
            parts.append(data)
        return b"".join(parts)

    async def hear(self, method: str = "GET") -> Heard:
        """The next response, whole."""
        head = await self.head(method)
        return Heard(head.status, head.fields, await self.rest())

    async def request(
        self, method: str, target: str, *fields: str, body: str = ""
    ) -> Heard:
        """Ask, and hear the whole answer."""
        await self.ask(method, target, *fields, body=body)
        return await self.hear(method)

    async def get(self, target: str) -> Heard:
        return await self.request("GET", target)

    def has_heard_nothing(self) -> bool:
        """Whether not one byte is there to be received."""
        try:
            return not self.stream.socket._sock.recv(1, socket.MSG_PEEK)  # type: ignore[attr-defined]
        except BlockingIOError:
            return True

    async def is_hung_up(self) -> bool:
        """Wait for the server to close; whether it did so in order."""
        try:
            return await self.stream.receive_some(1) == b""
        except trio.BrokenResourceError:
            return False

    async def hang_up(self) -> None:
        await self.stream.aclose()

    async def _event(self) -> object:
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self.stream.receive_some(65536))
            elif not isinstance(event, h11.InformationalResponse):
                return event
