"""A path to a server in this process that breaks, where it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import trio

from trickle_cli.client import Endpoint

#: How many bytes may pass on a connection, there and back together; None: all.
Breaks = Callable[[], int | None]


class Path:
    """From `breaking`. `broken` counts the connections that broke; `came` the bytes
    that came back."""

    def __init__(self, port: int, breaks: Breaks) -> None:
        self.url = ""
        self.broken = 0
        self.came = 0
        self._port = port
        self._breaks = breaks

    def endpoint(self, channel: str = "cam") -> Endpoint:
        return Endpoint.parse(channel, self.url)

    async def carry(self, near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream("127.0.0.1", self._port)
        left = self._breaks()
        async with near, far, trio.open_nursery() as nursery:

            async def pass_on(
                source: trio.SocketStream, sink: trio.SocketStream
            ) -> None:
                nonlocal left
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    while data := await source.receive_some(4096):
                        self.came += len(data) * (source is far)
                        if left is not None:
                            data, left = data[:left], max(0, left - len(data))
                        await sink.send_all(data)
                        if left == 0:
                            self.broken += 1
                            break
                    else:
                        await sink.send_eof()
                        return
                nursery.cancel_scope.cancel()

            nursery.start_soon(pass_on, near, far)
            nursery.start_soon(pass_on, far, near)


@asynccontextmanager
async def breaking(port: int, breaks: Breaks) -> AsyncIterator[Path]:
    """The path to `port`; what `breaks` says is asked for each connection."""
    path = Path(port, breaks)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    path.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, path.carry, [listener])
        yield path
        nursery.cancel_scope.cancel()
