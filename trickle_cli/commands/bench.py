"""`trickle bench`: how much goes through a server, and how quickly."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import parse_size, parse_time
from trickle_cli.commands.running import ExitCode, run
from trickle_cli.commands.talking import talking
from trickle_cli.display.manner import Manner
from trickle_cli.errors import ConnectionFailed

if TYPE_CHECKING:
    import trio

    from trickle_cli.client import Endpoint
    from trickle_cli.commands.load import Load, Outcome

EPILOG = """\b
Example, four cameras that ten people see each, on a server of its own:
  trickle bench --serve --publishers 4 --subscribers 10 --rate 500KiB --for 5s"""

#: How long it takes if nobody says.
_USUAL_SECONDS: Final = 10.0
#: Seconds in which a server of our own is to begin, and to end.
_SERVER_TIMEOUT: Final = 10.0


@takes(connect=connecting, talk=talking)
def bench(
    connect: Connecting,
    talk: Manner,
    publishers: Annotated[
        int, typer.Option(metavar="P", min=1, help="So many channels, one each.")
    ] = 1,
    subscribers: Annotated[
        int, typer.Option(metavar="S", min=0, help="So many on each channel.")
    ] = 1,
    size: Annotated[
        int,
        typer.Option(metavar="SIZE", parser=parse_size, help="Bytes of a segment."),
    ] = "64KiB",  # type: ignore[assignment] # typer parses defaults, too
    chunk: Annotated[
        int,
        typer.Option(metavar="SIZE", parser=parse_size, help="Bytes sent at once."),
    ] = "64KiB",  # type: ignore[assignment]
    segments: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Segments that each publisher sends."),
    ] = None,
    for_: Annotated[
        float | None,
        typer.Option(
            "--for",
            metavar="TIME",
            parser=parse_time,
            help="How long they send; 10s if there is no --segments.",
        ),
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(
            metavar="SIZE",
            parser=parse_size,
            help="Bytes a second that each publisher sends; else as many as can be.",
        ),
    ] = None,
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Make the channels lossless.")
    ] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Run a server of its own for it.")
    ] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Write an object of JSON.")
    ] = False,
) -> None:
    """Publish and subscribe to channels that are made up, and closed again, and write
    how much went through, and how long it took.

    Latencies are from the moment at which a segment's first byte was sent until that,
    or the end of the segment, was here.
    """
    from trickle_cli.commands.load import STAMP_SIZE, Load

    if size < STAMP_SIZE:
        raise typer.BadParameter(f"a segment has at least {STAMP_SIZE} bytes here")
    if for_ is None and segments is None:
        for_ = _USUAL_SECONDS
    load = Load(
        publishers=publishers,
        subscribers=subscribers,
        size=size,
        chunk=chunk,
        segments=math.inf if segments is None else segments,
        seconds=math.inf if for_ is None else for_,
        rate=rate,
        lossless=lossless,
    )
    run("bench", lambda: _bench(load, connect, talk, serve=serve, is_json=json_))


async def _bench(
    load: Load, connect: Connecting, manner: Manner, *, serve: bool, is_json: bool
) -> ExitCode:
    import trio

    from trickle_cli.commands.load import Outcome, run as run_load
    from trickle_cli.commands.signals import interruptible
    from trickle_cli.display.talk import open_talk

    config = connect.config()
    outcome = Outcome()
    async with (
        open_talk("bench", manner) as talk,
        interruptible() as interruption,
        _server(connect, wanted=serve) as reached,
    ):
        endpoints = _made_up(reached, load.publishers)
        talk.say(f"loading {endpoints[0].server}")
        talk.show(_View(outcome))
        with trio.CancelScope() as work:
            interruption.cancel = work.cancel
            await run_load(load, endpoints, config, outcome)
    if interruption.code is not None:
        return interruption.code
    typer.echo(json.dumps(_record(load, outcome)) if is_json else _table(load, outcome))
    return ExitCode.DONE


def _made_up(connect: Connecting, count: int) -> list[Endpoint]:
    """Channels that nobody has."""
    import secrets

    prefix = f"bench-{secrets.token_hex(6)}"
    return [connect.endpoint(f"{prefix}-{number}") for number in range(count)]


@asynccontextmanager
async def _server(connect: Connecting, *, wanted: bool) -> AsyncIterator[Connecting]:
    """How to connect to a server of our own, a process, if one is `wanted`."""
    import subprocess

    import trio

    if not wanted:
        yield connect
        return
    command = [sys.executable, "-m", "trickle_cli", "serve", "--port", "0"]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        async with trio.open_nursery() as nursery:
            assert process.stderr is not None
            url = await nursery.start(_listen, process.stderr)
            yield replace(connect, server=url)
            nursery.cancel_scope.cancel()
    finally:
        process.terminate()
        with trio.move_on_after(_SERVER_TIMEOUT, shield=True):
            await process.wait()
        if process.returncode is None:
            process.kill()


async def _listen(
    stream: trio.abc.ReceiveStream,
    *,
    task_status: trio.TaskStatus[str],
) -> None:
    """Wait for the server to say where it listens; then let it say what it wants."""
    import trio

    text = b""
    with trio.move_on_after(_SERVER_TIMEOUT) as beginning:
        while data := await stream.receive_some():
            text += data
            _, is_there, rest = text.partition(b"listening on ")
            if is_there and b"\n" in rest:
                task_status.started(rest.partition(b"\n")[0].decode().strip())
                beginning.deadline = math.inf
                text = b""
    raise ConnectionFailed(f"the server has ended: {text.decode(errors='replace')}")


class _View:
    """How far it has got."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def render(self) -> str:
        """For a terminal."""
        return self.line()

    def line(self) -> str:
        """In one line of text."""
        from trickle_cli.display import formats

        outcome = self._outcome
        return (
            f"sent {formats.count(outcome.sent, 'segment')},"
            f" received {formats.count(outcome.received, 'segment')}"
        )

    def record(self) -> Mapping[str, object]:
        """As an object of JSON."""
        return {"sent": self._outcome.sent, "received": self._outcome.received}


def _record(load: Load, outcome: Outcome) -> dict[str, object]:
    """Times in seconds, sizes in bytes."""
    seconds = outcome.seconds or math.inf
    wanted = {k: None if v == math.inf else v for k, v in asdict(load).items()}
    return {
        "load": wanted,
        "seconds": round(outcome.seconds, 3),
        "sent": _flow(outcome.sent, outcome.sent_bytes, seconds),
        "received": _flow(outcome.received, outcome.received_bytes, seconds),
        "lost": outcome.lost,
        "incomplete": outcome.incomplete,
        "first_byte": outcome.first_byte.record(),
        "whole_segment": outcome.whole.record(),
        "client_cpu": round(outcome.cpu, 3),
    }


def _flow(segments: int, size: int, seconds: float) -> dict[str, float]:
    return {
        "segments": segments,
        "bytes": size,
        "segments_per_second": round(segments / seconds, 1),
        "bytes_per_second": round(size / seconds),
    }


def _table(load: Load, outcome: Outcome) -> str:
    from trickle_cli.display import formats
    from trickle_cli.display.terminals import speaks_unicode

    seconds = outcome.seconds or math.inf
    lines = [
        f"{formats.count(load.publishers, 'publisher')},"
        f" {formats.count(load.subscribers, 'subscriber')} each, segments of"
        f" {formats.size(load.size)}, {formats.seconds(outcome.seconds)}",
        "",
        f"{'':14}{'segments':>10}{'segments/s':>13}{'MB/s':>10}",
    ]
    for name, count, size in (
        ("sent", outcome.sent, outcome.sent_bytes),
        ("received", outcome.received, outcome.received_bytes),
    ):
        rates = f"{count / seconds:>13.1f}{size / seconds / 1e6:>10.1f}"
        lines.append(f"{name:14}{count:>10}{rates}")
    lines.append(f"{'lost':14}{outcome.lost:>10}")
    if outcome.incomplete:
        lines.append(f"{'incomplete':14}{outcome.incomplete:>10}")
    lines += ["", f"{'latency, ms':14}" + "".join(f"{q:>10}" for q in _QUANTILES)]
    for name, histogram in (
        ("first byte", outcome.first_byte),
        ("whole segment", outcome.whole),
    ):
        found = histogram.record()
        lines.append(f"{name:14}" + "".join(_milli(found[q]) for q in _QUANTILES))
    picture = outcome.first_byte.lines(unicode=speaks_unicode())
    cpu = 100 * outcome.cpu / seconds
    lines += ["", f"first byte, of {outcome.first_byte.count}:", *picture]
    lines += ["", f"CPU of the client: {outcome.cpu:.2f} s, {cpu:.0f} %"]
    return "\n".join(lines)


_QUANTILES: Final = ("p50", "p90", "p99", "max")


def _milli(seconds: float | None) -> str:
    return f"{'-' if seconds is None else f'{seconds * 1000:.2f}':>10}"
