"""`python -m tests.e2e.aiohttp_server`: a Trickle server of the plainest kind.

It has none of what ours adds: no grace but for the head, no drain, no Reset, nothing
that it forgets.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web


class Segment:
    def __init__(self) -> None:
        self.data = bytearray()
        self.complete = False


class Channel:
    def __init__(self) -> None:
        self.segments: dict[int, Segment] = {}
        self.closed = False
        self.changed = asyncio.Condition()

    @property
    def head(self) -> int:
        return max(self.segments, default=-1) + 1

    async def wake(self) -> None:
        async with self.changed:
            self.changed.notify_all()


channels: dict[str, Channel] = {}
routes = web.RouteTableDef()


def channel_of(request: web.Request) -> Channel:
    if (channel := channels.get(request.match_info["channel"])) is None:
        raise web.HTTPNotFound
    return channel


@routes.post("/{channel}")
async def create(request: web.Request) -> web.Response:
    channels.setdefault(request.match_info["channel"], Channel())
    return web.Response()


@routes.delete("/{channel}")
async def close(request: web.Request) -> web.Response:
    channel = channel_of(request)
    channel.closed = True
    await channel.wake()
    return web.Response()


@routes.get("/{channel}/next")
async def head(request: web.Request) -> web.Response:
    latest = str(channel_of(request).head)
    return web.Response(text=latest, headers={"Lp-Trickle-Latest": latest})


@routes.post(r"/{channel}/{seq:\d+}")
async def publish(request: web.Request) -> web.Response:
    channel, seq = channel_of(request), int(request.match_info["seq"])
    segment = Segment()
    reading = asyncio.create_task(fill(request, channel, seq, segment))
    async with channel.changed:
        await channel.changed.wait_for(
            lambda: reading.done() or (channel.closed and seq not in channel.segments)
        )
    fields = {"Lp-Trickle-Seq": str(seq)}
    if not segment.complete:
        reading.cancel()
        fields |= {"Lp-Trickle-Closed": "terminated", "Connection": "close"}
    return web.Response(headers=fields)


async def fill(
    request: web.Request, channel: Channel, seq: int, segment: Segment
) -> None:
    async for data in request.content.iter_any():
        channel.segments[seq] = segment
        segment.data += data
        await channel.wake()
    channel.segments[seq] = segment
    segment.complete = True
    asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(channel.wake()))


@routes.get(r"/{channel}/{seq:-?\d+}")
async def subscribe(request: web.Request) -> web.StreamResponse:
    channel, seq = channel_of(request), int(request.match_info["seq"])
    if seq < 0:
        seq = max(channel.head + (0 if seq == -1 else -1), 0)
    if seq > channel.head:
        latest = {"Lp-Trickle-Seq": str(seq), "Lp-Trickle-Latest": str(channel.head)}
        return web.Response(status=470, reason="No such segment", headers=latest)
    async with channel.changed:
        await channel.changed.wait_for(
            lambda: seq in channel.segments or channel.closed
        )
    fields = {"Lp-Trickle-Seq": str(seq), "Lp-Trickle-Latest": str(channel.head)}
    if seq not in channel.segments:
        return web.Response(headers=fields | {"Lp-Trickle-Closed": "terminated"})
    answer = web.StreamResponse(headers=fields)
    await answer.prepare(request)
    segment, sent = channel.segments[seq], 0
    while not (segment.complete and sent == len(segment.data)):
        if data := bytes(segment.data[sent:]):
            await answer.write(data)
            sent += len(data)
            continue
        async with channel.changed:
            if sent == len(segment.data) and not segment.complete:
                await channel.changed.wait()
    await answer.write_eof()
    return answer


async def serve() -> None:
    app = web.Application(client_max_size=0)
    app.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", file=sys.stderr, flush=True)
    await asyncio.Event().wait()


asyncio.run(serve())
