"""What commands take: to start, beside Python with the libraries that they are made of;
and a pipeline through a server, beside `cat | cat` and curl."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from bench.clients import cpu_of_children
from bench.measuring import GB, Figure, Scale, alternate
from bench.peers import Writer
from bench.running import PATIENCE, Peer, environment, new_channel, server, started

#: As the installed script begins.
_TRICKLE: Final = (
    sys.executable,
    "-c",
    "from trickle_cli.start import main; main()",
)
_LIBRARIES: Final = (sys.executable, "-c", "import typer, rich")
_MILLISECONDS: Final = 1e3
#: Starting is short, and worth more rounds.
_MORE: Final = 3


def _cpu(*command: str) -> float:
    """Milliseconds of processor time from start to end, without input."""
    before = cpu_of_children()
    subprocess.run(
        command,
        env=environment(),
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=PATIENCE,
    )
    return (cpu_of_children() - before) * _MILLISECONDS


def _closed(peer: Peer) -> str:
    """A channel of one segment that is over."""
    channel = new_channel()
    writer = Writer(peer.kind, peer.port, channel)
    writer.attach("W")
    writer.whole(b"x")
    writer.answers.wait()
    writer.peer.sendall(f"DELETE /{channel} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
    writer.answers.wait()
    writer.peer.close()
    return channel


def measure(scale: Scale) -> Iterator[Figure]:
    with server("--autocreate", "--linger", "1h") as peer:
        works = {
            "help": ("--help",),
            "sub": ("sub", _closed(peer), "-s", peer.url, "--from", "oldest"),
            "pub": ("pub", new_channel(), "-s", peer.url, "--type", "text/plain"),
        }
        for name, arguments in works.items():
            value, least = alternate(
                scale.rounds * scale.of(_MORE, 1),
                partial(_cpu, *_TRICKLE, *arguments),
                partial(_cpu, *_LIBRARIES),
            )
            told = {"help": "--help", "sub": "sub, one segment", "pub": "pub, nothing"}
            yield Figure(
                name=f"commands.{name}",
                about=f"trickle {told[name]}: from start to end",
                unit="ms",
                value=value,
                floor=least,
                floor_is="importing typer and rich",
            )


def _piped(first: tuple[str, ...], second: tuple[str, ...], file: Path) -> float:
    """Seconds of processor time that two commands take: the first gets `file`, and what
    the second says is thrown away. They meet through a pipe, or by themselves."""
    before = cpu_of_children()
    away = subprocess.DEVNULL
    is_direct = first == ("cat",)
    out = subprocess.PIPE if is_direct else away
    with file.open("rb") as data, started(*first, stdin=data, stdout=out) as giver:
        between = giver.stdout if is_direct else away
        with started(*second, stdin=between, stdout=away) as taker:
            if giver.stdout is not None:
                giver.stdout.close()
            for process in (giver, taker):
                if process.wait(PATIENCE) != 0:
                    raise RuntimeError(f"{process.args!r} failed")
    return cpu_of_children() - before


def _trickle(peer: Peer, file: Path) -> float:
    to = (new_channel(), "-s", peer.url, "-q")
    pub = ("pub", *to, "--size", "1MiB", "--type", "text/plain", "--wait-readers", "1")
    return _piped((*_TRICKLE, *pub), (*_TRICKLE, "sub", *to, "--from", "oldest"), file)


def _curl(peer: Peer, file: Path) -> float:
    channel = new_channel()
    writer = Writer(peer.kind, peer.port, channel)
    writer.attach("W")
    writer.peer.close()
    url = f"{peer.url}/{channel}/0"
    give = ("curl", "-sS", "-f", "-X", "POST", "-T", "-", url)
    return _piped(give, ("curl", "-sS", "-f", url), file)


def measure_pipeline(scale: Scale) -> Iterator[Figure]:
    size = scale.of(256, 16) * 1024 * 1024
    rates: dict[str, list[float]] = {"trickle": [], "cat": [], "curl": []}

    def timed(name: str, take: Callable[[], float]) -> float:
        begun = time.monotonic()
        cpu = take()
        rates[name].append(size / 1e6 / (time.monotonic() - begun))
        return cpu / (size / GB)

    with (
        tempfile.NamedTemporaryFile() as made,
        server("--lossless", "--max-segment", "1GiB") as peer,
    ):
        file = Path(made.name)
        file.write_bytes(b"x" * size)
        ours, cat, curl = alternate(
            min(scale.rounds, 3),
            lambda: timed("trickle", partial(_trickle, peer, file)),
            lambda: timed("cat", partial(_piped, ("cat",), ("cat",), file)),
            lambda: timed("curl", partial(_curl, peer, file)),
        )
    yield Figure(
        name="commands.pipeline",
        about=f"trickle pub to trickle sub, {size // 1024**2} MiB: both commands",
        unit="s/GB",
        value=ours,
        floor=cat,
        floor_is="cat | cat",
        beside={"curl -T - to curl": curl},
        details={f"MB/s of {name}": max(seen) for name, seen in rates.items()},
    )
