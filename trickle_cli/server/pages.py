"""The server's own pages: its channels, one of them, its health."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Final, TypeVar

import trio

from trickle_cli.access import Caller
from trickle_cli.protocol.responses import Answer
from trickle_cli.relay import Channel, Hub
from trickle_cli.server.changes import is_visible
from trickle_cli.server.connection import Connection
from trickle_cli.statistics import ChannelStatistics
from trickle_cli.times import stamp
from trickle_cli.version import __version__

_JSON: Final = "application/json"
#: Channels told of before other tasks get a turn.
_BATCH: Final = 256
_T = TypeVar("_T")

HEALTHY: Final = Answer(type=_JSON, body=b'{"status":"ok"}\n')


def snapshot(hub: Hub, channels: Iterable[Channel]) -> list[ChannelStatistics]:
    """What there is to say of `channels` of `hub`."""
    now = hub.now()
    offset = time.time() - now
    return [
        ChannelStatistics(
            name=channel.name,
            type=channel.type,
            epoch=channel.epoch,
            head=channel.head,
            oldest=channel.oldest if len(channel) else None,
            segments=len(channel),
            bytes=channel.size,
            total_bytes=channel.total,
            readers=channel.readers,
            publishers=channel.publishers,
            rate=round(channel.rate(now), 1),
            created=stamp(channel.created + offset),
            written=stamp(channel.written + offset) if channel.has_content else None,
            closed=channel.closed,
            lossless=channel.lossless,
            let_go=0 if channel.flow is None else channel.flow.let_go,
        )
        for channel in channels
    ]


def _told(statistics: ChannelStatistics) -> dict[str, object]:
    """In the shape in which pages tell it."""
    told = asdict(statistics)
    if not statistics.lossless:
        del told["let_go"]
    return told


def show_channel(hub: Hub, channel: Channel) -> Answer:
    """The page of one channel."""
    (statistics,) = snapshot(hub, [channel])
    body = _encode(_told(statistics))
    return Answer(latest=channel.head, epoch=channel.epoch, type=_JSON, body=body)


def visible_channels(hub: Hub, caller: Caller) -> list[Channel]:
    """The channels that `caller` may know of, by name."""
    visible = [c for c in hub.all() if is_visible(c.name, caller)]
    return sorted(visible, key=lambda channel: channel.name)


def list_channels(connection: Connection, hub: Hub) -> None:
    """Answer with the page of all channels."""

    async def tell() -> None:
        channels = visible_channels(hub, connection.caller)
        batches = (snapshot(hub, batch) for batch in in_batches(channels))
        await answer_listing(connection, batches)

    connection.run_errand(tell)


async def answer_listing(
    connection: Connection, batches: Iterable[Iterable[ChannelStatistics]]
) -> None:
    """`list_channels`, with these, from an errand: others get a turn in between."""
    entries: list[str] = []
    for batch in batches:
        entries += [json.dumps(_told(entry), ensure_ascii=False) for entry in batch]
        await trio.lowlevel.checkpoint()
    content = ", ".join(entries)
    body = f'{{"server": "trickle/{__version__}", "channels": [{content}]}}\n'
    answer_late(connection, Answer(type=_JSON, body=body.encode()))


def in_batches(channels: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """`channels`, as many at a time as may be dealt with in one turn."""
    for start in range(0, len(channels), _BATCH):
        yield channels[start : start + _BATCH]


def answer_late(connection: Connection, answer: Answer) -> None:
    """`answer`, from an errand: the peer may have gone in the meantime."""
    if not connection.is_closed:
        connection.answer(answer)


def _encode(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"
