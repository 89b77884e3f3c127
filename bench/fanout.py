"""Large segments, as they come, to many: what the server takes for each gigabyte that
it delivers. Over TLS too, where the floor encrypts the same bytes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import trustme

from bench.measuring import GB, Figure, Scale, alternate, cpu_of
from bench.running import Peer, floor, load, new_channel, server

SIZE: Final = 1024 * 1024
CHUNK: Final = 64 * 1024
#: Segments that a channel's window holds, and a few more: it is full when measuring
#: begins, as it is for all but the beginning of a channel's life.
BEFORE: Final = 70


def cost(peer: Peer, readers: int, segments: int, *, before: int = BEFORE) -> float:
    """Seconds of processor time for each GB delivered, on a channel that has had so
    many `before`."""
    options = {"load": "bulk", "channels": [new_channel()], "readers": readers}
    sizes = {"size": SIZE, "chunk": CHUNK, "segments": segments, "before": before}
    with load("loads", peer, **options, **sizes) as work:
        spent = cpu_of(peer.pid)
        work.go()
        return (cpu_of(peer.pid) - spent) / (readers * segments * SIZE / GB)


def _figure(
    name: str, scale: Scale, readers: int, segments: int, tls: tuple[str, str] | None
) -> Figure:
    with server(tls=tls) as ours, floor(tls) as bare:
        value, least = alternate(
            scale.rounds,
            lambda: cost(ours, readers, segments),
            lambda: cost(bare, readers, segments),
        )
    return Figure(
        name=f"fanout.{name}",
        about=f"1 → {readers}, 1 MiB segments in 64 KiB chunks"
        + (", over TLS" if tls else ""),
        unit="s/GB",
        value=value,
        floor=least,
        floor_is="bare sockets through ssl" if tls else "bare sockets",
    )


def measure(scale: Scale) -> Iterator[Figure]:
    yield _figure("1-50", scale, 50, scale.of(16, 2), None)
    yield _figure("1-1", scale, 1, scale.of(200, 20), None)
    if not scale.quick:
        yield _figure("1-500", scale, 500, 3, None)


def measure_tls(scale: Scale) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        cert, key = Path(folder) / "cert.pem", Path(folder) / "key.pem"
        cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        files = str(cert), str(key)
        yield _figure("tls-1-50", scale, 50, scale.of(8, 1), files)
        yield _figure("tls-1-1", scale, 1, scale.of(100, 10), files)
        if not scale.quick:
            yield _figure("tls-1-500", scale, 500, 1, files)
