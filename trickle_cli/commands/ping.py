"""`trickle ping`: whether a server is there, and how long it takes to it.

Two things are measured. The round trip: a request to `/_/health`, of which any answer
counts, on a connection that is open already. And what a subscriber waits for: a segment
is published on a channel made for that, and its first bytes, which say when they were
sent, are received on another connection. That takes the right to make channels; without
it there are round trips only. A channel is not published to: it is asked for its head.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.options import parse_time
from trickle_cli.commands.running import ExitCode, first_error, run
from trickle_cli.commands.talking import saying
from trickle_cli.display.manner import Manner

if TYPE_CHECKING:
    from trickle_cli.client import ClientConfig, Control, Endpoint
    from trickle_cli.commands.signals import Interruption
    from trickle_cli.display.talk import Talk

EPILOG = """\b
Example, once a second until interrupted:
  trickle ping --count 0 http://127.0.0.1:2939"""

#: What a made-up channel is called at the beginning.
_PREFIX: Final = "ping-"
#: Seconds that an answer, or a segment, may take; that closing the channel may.
_PATIENCE: Final = 10.0
_CLOSING: Final = 5.0

#: One measurement: seconds.
_Probe = Callable[[], Awaitable[float]]


@dataclass(frozen=True, kw_only=True)
class _Job:
    target: str | None
    connect: Connecting
    manner: Manner
    count: int
    interval: float
    as_json: bool


@takes(connect=connecting, talk=saying)
def ping(
    connect: Connecting,
    talk: Manner,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="CHANNEL|SERVER",
            help="A server's URL, without a path or with / at its end; or a channel: a"
            " name, or a URL. The server of the other options if there is none.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int,
        typer.Option(
            "--count", "-c", metavar="N", min=0, help="How often; 0: until interrupted."
        ),
    ] = 5,
    interval: Annotated[
        float,
        typer.Option(
            "--interval", "-i", metavar="TIME", parser=parse_time, help="How far apart."
        ),
    ] = "1s",  # type: ignore[assignment] # typer parses defaults, too
    as_json: Annotated[
        bool, typer.Option("--json", help="Objects of JSON, one in a line.")
    ] = False,
) -> None:
    """See whether a server, or a channel, is there, and how long it takes to it.

    Of a server: the round trip of a request, and the time from publishing the first
    bytes of a segment to receiving them. Exits with 1 if it cannot be reached, and with
    3 if there is no such channel.
    """
    job = _Job(
        target=target,
        connect=connect,
        manner=talk,
        count=count,
        interval=interval,
        as_json=as_json,
    )
    run("ping", lambda: _ping(job))


async def _ping(job: _Job) -> ExitCode:
    from trickle_cli.commands.signals import interruptible
    from trickle_cli.display.talk import open_talk

    endpoint, is_channel = _target(job)
    config = job.connect.config()
    report = _Report(str(endpoint) if is_channel else endpoint.server, job.as_json)
    async with (
        open_talk("ping", job.manner) as talk,
        interruptible() as interruption,
        AsyncExitStack() as stack,
    ):
        probes = await _open_probes(
            stack, endpoint, config, report, talk, is_channel=is_channel
        )
        try:
            await _measure(probes, job, report, interruption)
        finally:
            report.sum_up()
    return interruption.code or ExitCode.DONE


def _target(job: _Job) -> tuple[Endpoint, bool]:
    """What is to be measured, and whether it is a channel."""
    from urllib.parse import urlsplit

    from trickle_cli.client import Endpoint

    target = job.target
    if target is None:
        return job.connect.endpoint(_made_up()), False
    if target.startswith("unix:"):
        is_server = ":/" not in target.removeprefix("unix:")
    else:
        path = urlsplit(target).path
        is_server = "://" in target and (not path or path.endswith("/"))
    if is_server:
        return Endpoint.parse(_made_up(), target), False
    return job.connect.endpoint(target), True


def _made_up() -> str:
    import secrets

    return _PREFIX + secrets.token_hex(6)


async def _open_probes(
    stack: AsyncExitStack,
    endpoint: Endpoint,
    config: ClientConfig,
    report: _Report,
    talk: Talk,
    *,
    is_channel: bool,
) -> dict[str, _Probe]:
    """What is to be measured, by its name."""
    from trickle_cli.client import Control
    from trickle_cli.errors import ChannelNotFound, NotAllowed

    trip = await stack.enter_async_context(
        _open_trip(endpoint, config, report, is_channel=is_channel)
    )
    if is_channel:
        return {"head": trip}
    probes = {"round trip": trip}
    control = await stack.enter_async_context(Control(endpoint, config))
    try:
        if await control.create("text/plain"):
            probes["first byte"] = await stack.enter_async_context(
                _open_segments(endpoint, config, control)
            )
            return probes
        reason = "the server lets nobody make channels"
    except* (NotAllowed, ChannelNotFound) as errors:  # from within a nursery, perhaps
        reason = str(first_error(errors))
    talk.say(f"round trips only: a channel of our own cannot be used: {reason}")
    return probes


@asynccontextmanager
async def _open_trip(
    endpoint: Endpoint, config: ClientConfig, report: _Report, *, is_channel: bool
) -> AsyncIterator[_Probe]:
    """A request and its answer, on a connection that stays. ConnectionFailed; for a
    channel, ChannelNotFound and NotAllowed."""
    import trio

    from trickle_cli.client.connection import connect
    from trickle_cli.errors import ChannelNotFound, NotAllowed
    from trickle_cli.protocol.requests import AskNext, Page, encode

    wanted = AskNext(endpoint.channel) if is_channel else Page.HEALTH
    request = encode(
        wanted,
        host=endpoint.authority,
        base_path=endpoint.base_path,
        fields=config.fields,
    )
    began = trio.current_time()
    connection = await connect(endpoint, config)
    report.tell("connect", trio.current_time() - began)

    async def probe() -> float:
        nonlocal connection
        if not connection.is_reusable:
            await connection.aclose()
            connection = await connect(endpoint, config)
        began = trio.current_time()
        await connection.send(request)
        answer = await connection.response()
        took = trio.current_time() - began
        text = await connection.text()
        if is_channel and answer.status == 404:
            raise ChannelNotFound(endpoint.channel, where=endpoint.server)
        if is_channel and answer.status in {401, 403}:
            raise NotAllowed(f"{endpoint.server} does not allow it: {text}")
        return took

    try:
        yield probe
    finally:
        await connection.aclose()  # noqa: ASYNC102 - it shields itself


@asynccontextmanager
async def _open_segments(
    endpoint: Endpoint, config: ClientConfig, control: Control
) -> AsyncIterator[_Probe]:
    """Segments of one line, published and received on `endpoint`, which is ours, and
    closed at the end whatever happens."""
    import trio

    from trickle_cli.client import Publisher, Subscriber
    from trickle_cli.commands.telling import fail_early
    from trickle_cli.errors import TrickleError, UnexpectedStatus
    from trickle_cli.protocol.sequence import NEXT

    try:
        async with (
            Publisher(endpoint, create=False, config=config, retry_for=0) as publisher,
            Subscriber(endpoint, start=NEXT, config=config, retry_for=0) as subscriber,
        ):

            async def probe() -> float:
                took = 0.0
                received = trio.Event()

                async def receive() -> None:
                    nonlocal took
                    segment = await subscriber.read()
                    sent = b""
                    while not sent.endswith(b"\n"):
                        sent += await anext(segment)
                    took = trio.current_time() - float(sent)
                    received.set()

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(fail_early, publisher)
                    nursery.start_soon(receive)
                    with suppress(UnexpectedStatus):  # not every server tells
                        await publisher.wait_for_readers(1)
                    writer = await publisher.next()
                    await writer.write(b"%r\n" % trio.current_time())
                    await received.wait()
                    nursery.cancel_scope.cancel()
                await writer.close()
                await publisher.flush()
                return took

            await _in_time(probe, endpoint.server)  # which opens the connections
            yield probe
    finally:
        with suppress(TrickleError), trio.move_on_after(_CLOSING, shield=True):
            await control.close()  # noqa: ASYNC102 - it is shielded


async def _measure(
    probes: dict[str, _Probe], job: _Job, report: _Report, interruption: Interruption
) -> None:
    import trio

    number = 0
    due = trio.current_time()
    while interruption.code is None:
        number += 1
        for name, probe in probes.items():
            took = await _in_time(probe, report.target)
            report.tell(name, took, number)
        if number == job.count:
            return
        due += job.interval
        await trio.sleep_until(due)


async def _in_time(probe: _Probe, target: str) -> float:
    import trio

    from trickle_cli.errors import ConnectionFailed

    try:
        with trio.fail_after(_PATIENCE):
            return await probe()
    except trio.TooSlowError:
        text = f"{target} does not answer within {_PATIENCE:.0f} s"
        raise ConnectionFailed(text) from None


class _Report:
    """Prints what was measured, and what it comes to."""

    def __init__(self, target: str, as_json: bool) -> None:
        self.target = target
        self._as_json = as_json
        self._times: dict[str, list[float]] = {}

    def tell(self, name: str, took: float, number: int | None = None) -> None:
        """One measurement; without a `number` it is not one of several."""
        if number is not None:
            self._times.setdefault(name, []).append(took)
        if self._as_json:
            record = {"target": self.target, "what": name, "seq": number}
            self._print(json.dumps({**record, "ms": round(took * 1000, 3)}))
        else:
            place = "" if number is None else f" {number}"
            self._print(f"{self.target}: {name}{place}: {took * 1000:.2f} ms")

    def sum_up(self) -> None:
        """Least, mean and most of each."""
        for name, times in self._times.items():
            least, mean, most = (
                time * 1000
                for time in (min(times), sum(times) / len(times), max(times))
            )
            if self._as_json:
                record = {"target": self.target, "what": name, "count": len(times)}
                numbers = {"min_ms": least, "avg_ms": mean, "max_ms": most}
                rounded = {key: round(number, 3) for key, number in numbers.items()}
                self._print(json.dumps({**record, **rounded}))
            else:
                self._print(
                    f"{name}, {len(times)} times:"
                    f" min/avg/max = {least:.2f}/{mean:.2f}/{most:.2f} ms"
                )

    def _print(self, line: str) -> None:
        import sys

        typer.echo(line)
        sys.stdout.flush()
