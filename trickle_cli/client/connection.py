"""One HTTP/1.1 connection to a server, read while it is written.

A publisher's request may be answered long before its body ends (the channel is
closed, or not there), so sending and receiving are independent here: one task may
be in `send` while another is in `response`. Requests are sent one at a time.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import trio

from trickle_cli.client.config import ClientConfig
from trickle_cli.client.endpoint import Endpoint
from trickle_cli.client.proxy import Proxy, proxy_for, tunnel
from trickle_cli.client.reasons import reason_of, unreachable
from trickle_cli.client.undoing import unless_done
from trickle_cli.errors import ConnectionFailed, ProtocolViolation
from trickle_cli.protocol.events import END, Buffer, Malformed, Response, ResponseEvent
from trickle_cli.protocol.http1 import ResponseParser

#: Seconds in which an answer that is just a text is to end.
_TEXT_TIMEOUT: Final = 30
#: Seconds that connecting may take, TLS and all.
CONNECT_TIMEOUT: Final = 10
#: One read takes at most so many bytes.
_RECEIVE_SIZE: Final = 128 * 1024
#: A server that vanished without a word is noticed after about 20 + 5 × 5 seconds.
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 5))


class Connection:
    """Made by `connect`. Close it with `aclose`.

    `where` is the server, for messages; `answers` counts those that have begun;
    `keeps_alive` whether others can come after the present one. All methods raise
    ConnectionFailed when the connection breaks, and ProtocolViolation for what is not
    HTTP.
    """

    def __init__(self, stream: trio.abc.Stream, where: str) -> None:
        self.where = where
        self.answers = 0
        self.keeps_alive = True
        self._stream = stream
        self._parser = ResponseParser()
        self._events: deque[ResponseEvent] = deque()
        self._eof = False
        self._inbox: memoryview | None = None

    async def send(self, data: bytes) -> None:
        """Send `data`, waiting as long as the server does not take it."""
        with _failures(self.where):
            await self._stream.send_all(data)

    async def response(self) -> Response:
        """Wait for the head of the next response."""
        event = await self._next()
        if isinstance(event, Response):
            self.answers += 1
            self.keeps_alive = event.keep_alive
            return event
        raise ProtocolViolation(f"{self.where} answered what was not asked")

    async def data(self) -> bytes | None:
        """More of the response's body; None at its end."""
        event = await self._next()
        if isinstance(event, bytes):
            return event
        if event is END:
            return None
        raise ProtocolViolation(f"{self.where} began another answer inside of one")

    async def text(self, limit: int = 1000) -> str:
        """The response's body to its end, and of it the first `limit` bytes. It must
        not take long."""
        if self._events and self._events[0] is END:
            self._events.popleft()
            return ""
        body = b""
        with trio.move_on_after(_TEXT_TIMEOUT) as reading:
            while (data := await self.data()) is not None:
                body = (body + data)[:limit]
        if reading.cancelled_caught:
            raise ConnectionFailed(f"{self.where} does not end its answer")
        return body.decode("utf-8", "replace").strip()

    async def skip(self, count: int) -> bool:
        """Drop `count` bytes of the body. False if it has fewer."""
        while count > 0:
            data = await self.data()
            if data is None:
                return False
            if len(data) > count:
                self._events.appendleft(data[count:])
            count -= len(data)
        return True

    def skip_nowait(self) -> bool:
        """Drop the rest of the body, if all of it has come. False if it has not: then
        nothing is dropped."""
        for count, event in enumerate(self._events):
            if event is END:
                for _ in range(count + 1):
                    self._events.popleft()
                return True
            if not isinstance(event, bytes):
                break
        return False

    def retire(self) -> None:
        """Of what comes after the present answer nothing is wanted."""
        self.keeps_alive = False

    @property
    def has_more(self) -> bool:
        """Whether something has come that was not asked about yet."""
        return bool(self._events)

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent after the response that has ended, with
        none under way."""
        return self.keeps_alive and not self._eof and not self._events

    async def _next(self) -> ResponseEvent:
        while not self._events:
            if self._eof:
                raise ConnectionFailed(f"{self.where} closed the connection")
            with _failures(self.where):
                data = await self._receive()
            self._eof = not data
            events = self._parser.feed(data) if data else self._parser.feed_eof()
            self._events.extend(events)
        event = self._events.popleft()
        if isinstance(event, Malformed):
            raise ProtocolViolation(f"cannot understand {self.where}: {event.reason}")
        return event

    async def _receive(self) -> Buffer:
        """What has come, b"" at the end. It is valid until the next call."""
        stream = self._stream
        if not isinstance(stream, trio.SocketStream):
            return await stream.receive_some(_RECEIVE_SIZE)
        # What is not allocated for each read need not be given back each time.
        if self._inbox is None:
            self._inbox = memoryview(bytearray(_RECEIVE_SIZE))
        count = await stream.socket.recv_into(self._inbox)
        return self._inbox[:count]

    async def aclose(self) -> None:
        """Close at once, whatever is on its way."""
        self._eof = True
        self._parser.close()
        with trio.CancelScope(shield=True):  # or who closes several closes the first
            await trio.aclose_forcefully(self._stream)


async def connect(endpoint: Endpoint, config: ClientConfig | None = None) -> Connection:
    """Connect to the server of `endpoint`. Raises ConnectionFailed."""
    where = endpoint.server
    config = config or ClientConfig()
    proxy = proxy_for(endpoint) if config.trust_env else None
    try:
        with trio.fail_after(CONNECT_TIMEOUT):
            stream = await _open_stream(endpoint, config, proxy)
            return Connection(stream, where)
    except trio.TooSlowError:
        text = f"cannot reach {where}: no answer within {CONNECT_TIMEOUT} s"
        raise ConnectionFailed(text) from None
    except _FAILURES as error:
        raise ConnectionFailed(unreachable(where, error, proxy)) from error


async def _open_stream(
    endpoint: Endpoint, config: ClientConfig, proxy: Proxy | None
) -> trio.abc.Stream:
    stream: trio.abc.Stream
    if endpoint.uds:
        return await trio.open_unix_socket(endpoint.uds)
    if proxy is None:
        stream = await _open_tcp(endpoint.host, endpoint.port)
    else:
        stream = await _open_tcp(proxy.host, proxy.port)
        if proxy.scheme == "https":
            stream = await _secure(stream, proxy.host, None)
        async with unless_done(partial(trio.aclose_forcefully, stream)):
            await tunnel(stream, proxy, endpoint)
    if endpoint.scheme == "http":
        return stream
    return await _secure(stream, endpoint.host, config.tls)


async def _open_tcp(host: str, port: int) -> trio.SocketStream:
    stream = await trio.open_tcp_stream(host, port)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return stream


async def _secure(
    stream: trio.abc.Stream, host: str, context: ssl.SSLContext | None
) -> trio.abc.Stream:
    secure = trio.SSLStream(
        stream,
        context or ssl.create_default_context(),
        server_hostname=host,
        https_compatible=True,
    )
    async with unless_done(partial(trio.aclose_forcefully, secure)):
        await secure.do_handshake()
    return secure


# What sockets, TLS and trio raise when a connection fails.
_FAILURES: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


@contextmanager
def _failures(where: str) -> Iterator[None]:
    """Where those errors become ours."""
    try:
        yield
    except trio.ClosedResourceError as error:
        raise ConnectionFailed(f"the connection to {where} was closed") from error
    except _FAILURES as error:
        text = f"lost the connection to {where}: {reason_of(error)}"
        raise ConnectionFailed(text) from error
