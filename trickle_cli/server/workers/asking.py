"""What all workers have, put together: for the pages about all of the server, and for
who shows it.

Who wants to know opens a pair of sockets, sends one end to each worker, and reads what
it writes there until it closes it. One that does not answer in time is left out.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

import trio

from trickle_cli.server.workers.letters import Letter
from trickle_cli.server.workers.outbox import Outbox
from trickle_cli.statistics import ChannelStatistics, ServerStatistics

#: Seconds that a worker has to answer.
PATIENCE: Final = 2.0
#: Seconds in which a question is to be on its way.
_POSTING: Final = 1
#: More than this is no answer.
_MAX_ANSWER: Final = 256 * 1024 * 1024
_PIECE: Final = 256 * 1024


def join(parts: Iterable[Mapping[str, Any]]) -> ServerStatistics:
    """Put together what each has told (see `part`)."""
    connections = memory = 0
    channels: dict[str, ChannelStatistics] = {}
    for part in parts:
        connections += part["connections"]
        memory += part["memory"]
        for channel in _channels_of(part):
            # For a moment two may have it, one that drains and one that is open.
            if channel.name not in channels or not channel.closed:
                channels[channel.name] = channel
    return ServerStatistics(
        connections=connections,
        memory=memory,
        channels=tuple(sorted(channels.values(), key=lambda c: c.name)),
    )


def _channels_of(part: Mapping[str, Any]) -> list[ChannelStatistics]:
    """For a while after a restart, some of the workers may be of another version, and
    tell other things of channels."""
    known = [(n, name) for n, name in enumerate(part["fields"]) if name in _FIELDS]
    if len(known) < len(_FIELDS):
        return []
    return [
        ChannelStatistics(**{name: values[number] for number, name in known})
        for values in part["channels"]
    ]


_FIELDS: Final = tuple(field.name for field in fields(ChannelStatistics))


def part(connections: int, memory: int) -> dict[str, Any]:
    """What one worker tells, but for the channels."""
    return {"connections": connections, "memory": memory, "fields": _FIELDS}


def encode(about: Mapping[str, Any], channels: Sequence[str]) -> bytes:
    """What one worker tells, with its `channels`, each `encode_channel`ed."""
    content = ",".join(channels)
    return json.dumps(about)[:-1].encode() + f', "channels": [{content}]}}'.encode()


def encode_channel(channel: ChannelStatistics) -> str:
    """One channel: its values alone."""
    values = [getattr(channel, name) for name in _FIELDS]
    return json.dumps(values, separators=(",", ":"))


async def ask(
    outboxes: Mapping[int, Outbox],
) -> tuple[list[dict[str, Any]], list[int]]:
    """What the workers tell that there are `outboxes` for, by their seats; and the
    seats of those that do not answer."""
    answers: list[dict[str, Any]] = []
    missing: list[int] = []

    async def ask_one(seat: int, outbox: Outbox) -> None:
        with trio.move_on_after(PATIENCE):
            try:
                answers.append(await _ask(outbox))
            except (OSError, trio.BrokenResourceError, ValueError):
                pass
            else:
                return
        missing.append(seat)

    async with trio.open_nursery() as nursery:
        for seat, outbox in outboxes.items():
            nursery.start_soon(ask_one, seat, outbox)
    return answers, missing


async def _ask(outbox: Outbox) -> dict[str, Any]:
    ours, theirs = socket.socketpair()
    question = Letter(kind="ask", descriptors=(theirs.fileno(),))
    outbox.post(question, (theirs,), patience=_POSTING)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    answer = bytearray()
    async with stream:
        while data := await stream.receive_some(_PIECE):
            answer += data
            if len(answer) > _MAX_ANSWER:
                raise ValueError("too long")
    return dict(json.loads(answer))
