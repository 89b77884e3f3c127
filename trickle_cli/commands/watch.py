"""`trickle watch`: a line for each channel that comes or goes, or each segment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from trickle_cli.commands.connecting import Connecting, connecting
from trickle_cli.commands.groups import takes
from trickle_cli.commands.running import ExitCode, run
from trickle_cli.commands.talking import talking
from trickle_cli.display import formats
from trickle_cli.display.manner import Manner
from trickle_cli.errors import ChannelNotFound
from trickle_cli.protocol.names import CHANGEFEED
from trickle_cli.protocol.sequence import CURRENT, OLDEST

if TYPE_CHECKING:
    from trickle_cli.client import Subscriber
    from trickle_cli.display.talk import Talk
    from trickle_cli.outputs import Output

EPILOG = """\b
Example, what comes and goes on a server:
  trickle watch _changes"""

_NO_FEED = "the server runs with --no-changefeed, or has another base path"


@takes(connect=connecting, talk=talking)
def watch(
    connect: Connecting,
    talk: Manner,
    channel: Annotated[
        str, typer.Argument(metavar="CHANNEL", help="The channel: a name, or a URL.")
    ] = CHANGEFEED,
) -> None:
    """Watch a channel: a line on standard output for each of its segments.

    On _changes, a line for each channel that exists, then one for each that is added
    or removed.
    """
    run("watch", lambda: _watch(channel, connect, talk))


async def _watch(channel: str, connect: Connecting, manner: Manner) -> ExitCode:
    import trio

    from trickle_cli.client import Subscriber
    from trickle_cli.commands.signals import interruptible
    from trickle_cli.commands.subscribing import notice_reader
    from trickle_cli.commands.taking import notice_waiting
    from trickle_cli.display.talk import open_talk
    from trickle_cli.outputs import open_stdout

    endpoint, config = connect.endpoint(channel), connect.config()
    is_feed = endpoint.channel == CHANGEFEED
    async with (
        open_talk("watch", manner, stdout=True) as talk,
        interruptible() as interruption,
        open_stdout() as output,
        Subscriber(
            endpoint,
            start=OLDEST if is_feed else CURRENT,
            wait=not is_feed,
            config=config,
            retry_for=connect.retry_for,
        ) as subscriber,
        trio.open_nursery() as nursery,
    ):
        interruption.cancel = nursery.cancel_scope.cancel
        nursery.start_soon(notice_reader, output)
        nursery.start_soon(notice_waiting, subscriber, talk)
        try:
            await (_changes if is_feed else _segments)(subscriber, output, talk)
        except ChannelNotFound as error:
            raise ChannelNotFound(
                error.channel, where=endpoint.server, hint=_NO_FEED
            ) from error
        nursery.cancel_scope.cancel()
    return interruption.code or ExitCode.DONE


async def _changes(subscriber: Subscriber, output: Output, talk: Talk) -> None:
    """What exists by now, which the changes so far add up to; then each change."""
    existing: dict[str, None] | None = {}
    now = None
    from trickle_cli.commands.taking import tell_gap

    async for segment in subscriber:
        tell_gap(segment, talk)
        now = segment.latest if now is None else now
        change = _parse_change(await segment.read())
        if existing is None:
            lines = [f"added {name}" for name in change["added"]]
            lines += [f"removed {name}" for name in change["removed"]]
            await _print(output, lines)
            continue
        existing.update(dict.fromkeys(change["added"]))
        for name in change["removed"]:
            existing.pop(name, None)
        if now is None or segment.seq >= now - 1:
            await _print(output, [f"added {name}" for name in existing])
            existing = None


def _parse_change(data: bytes) -> dict[str, list[str]]:
    """The names in one segment of a changefeed; of what is not one, none."""
    try:
        change = json.loads(data)
    except ValueError:
        change = None
    if not isinstance(change, dict):
        change = {}
    return {
        key: [str(name) for name in names] if isinstance(names, list) else []
        for key in ("added", "removed")
        for names in [change.get(key)]
    }


async def _segments(subscriber: Subscriber, output: Output, talk: Talk) -> None:
    """Number, size, duration and rate of each segment, when it has ended."""
    import trio

    from trickle_cli.commands.taking import tell_gap

    async for segment in subscriber:
        tell_gap(segment, talk)
        began = trio.current_time()
        async for _ in segment:
            pass
        duration = trio.current_time() - began
        rate = formats.rate(segment.size / duration) if duration > 0 else "-"
        note = "  incomplete" if segment.incomplete else ""
        line = f"{segment.seq:>8}  {segment.size:>10} B  {duration:>8.3f} s  {rate}"
        await _print(output, [line + note])


async def _print(output: Output, lines: list[str]) -> None:
    if lines:
        text = "".join(f"{formats.clean(line)}\n" for line in lines)
        await output.write(text.encode())
