"""What clients take: ours, httpx and aiohttp with the same requests, and, in bulk,
curl, which is the floor there. The server is ours each time, and is not measured."""

from __future__ import annotations

import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from bench.measuring import GB, Figure, Scale, alternate
from bench.peers import Writer
from bench.running import Peer, load, new_channel, server

_SMALL: Final = 200
_BULK: Final = 1024 * 1024
_CLIENTS: Final = ("ours", "httpx", "aiohttp")
#: So that all of a round is still there when it is read.
_ROOM: Final = ("--keep-bytes", "900MiB", "--keep-seconds", "1h", "--autocreate")


def filled(peer: Peer, segments: int, size: int) -> str:
    """A channel that holds so many segments of `size` bytes."""
    channel = new_channel()
    writer = Writer(peer.kind, peer.port, channel)
    writer.attach("W")
    for _ in range(segments):
        writer.whole(b"x" * size)
        writer.answers.wait()
    writer.peer.close()
    return channel


def cpu_of_children() -> float:
    """Seconds that programs which have ended have had."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _cost(
    peer: Peer, client: str, side: str, segments: int, size: int, channel: str
) -> float:
    """Seconds of processor time for all of it."""
    options = {"client": client, "side": side, "segments": segments, "size": size}
    channel = channel or new_channel()
    with load("client_work", peer, channel=channel, **options) as work:
        cpu: float = work.go()["cpu"]
        return cpu


def _curl(peer: Peer, side: str, segments: int, channel: str) -> float:
    """The same in bulk with curl, one connection for all of it."""
    url = f"{peer.url}/{channel or new_channel()}/[0-{segments - 1}]"
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x" * _BULK)
        file.flush()
        upload = ("-X", "POST", "-H", "Transfer-Encoding: chunked", "-T", file.name)
        command = ("curl", "-sS", "-f", *(upload if side == "publish" else ()), url)
        before = cpu_of_children()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return cpu_of_children() - before


def _small(scale: Scale, side: str) -> Figure:
    segments = scale.of(3_000, 100)
    with server(*_ROOM) as peer:
        channel = filled(peer, segments, _SMALL) if side == "subscribe" else ""
        takes = [
            partial(_cost, peer, client, side, segments, _SMALL, channel)
            for client in _CLIENTS
        ]
        ours, *others = (
            cpu / segments * 1e6 for cpu in alternate(scale.rounds, *takes)
        )
    return Figure(
        name=f"clients.{side}-200B",
        about=f"{side} segments of 200 B, one after another",
        unit="µs/segment",
        value=ours,
        beside=dict(zip(_CLIENTS[1:], others, strict=True)),
    )


def _bulk(scale: Scale, side: str) -> Figure:
    segments = scale.of(128, 8)
    with server(*_ROOM) as peer:
        channel = filled(peer, segments, _BULK) if side == "subscribe" else ""
        takes: list[Callable[[], float]] = [
            partial(_cost, peer, client, side, segments, _BULK, channel)
            for client in _CLIENTS
        ]
        takes.append(partial(_curl, peer, side, segments, channel))
        ours, *others, curl = (
            cpu / (segments * _BULK / GB) for cpu in alternate(scale.rounds, *takes)
        )
    return Figure(
        name=f"clients.{side}-bulk",
        about=f"{side} segments of 1 MiB in pieces of 64 KiB",
        unit="s/GB",
        value=ours,
        floor=curl,
        floor_is="curl",
        beside=dict(zip(_CLIENTS[1:], others, strict=True)),
    )


def measure(scale: Scale) -> Iterator[Figure]:
    for side in ("publish", "subscribe"):
        yield _small(scale, side)
        yield _bulk(scale, side)
