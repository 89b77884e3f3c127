"""What `trickle watch` looks at, and how it writes that."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import trio

from trickle_cli.client import ClientConfig, Control, Endpoint, Subscriber
from trickle_cli.commands.changes import Change, follow
from trickle_cli.commands.taking import tell_gap
from trickle_cli.display import formats
from trickle_cli.display.overview import Overview
from trickle_cli.display.talk import Talk, View
from trickle_cli.display.timeline import Timeline
from trickle_cli.errors import NotAllowed, TrickleError, UnexpectedStatus
from trickle_cli.outputs import Output
from trickle_cli.times import stamp

#: Seconds between two looks at a page of the server's.
_INTERVAL: Final = 1.0
#: Seconds that the first line waits for the number of readers.
_FIRST_LOOK: Final = 1.0


class Lines:
    """Writes to standard output, as long as no table is there: text, or objects of
    JSON if `is_json`, at most `count` of them (None: any number)."""

    def __init__(
        self, output: Output, talk: Talk, *, count: int | None, is_json: bool
    ) -> None:
        self.talk = talk
        self._output = output
        self._left = count
        self._is_json = is_json

    @property
    def are_all(self) -> bool:
        """Whether there are as many as are wanted."""
        return self._left is not None and self._left <= 0

    @property
    def has_view(self) -> bool:
        """Whether somebody sees more than the lines."""
        return self.talk.has_table or self.talk.is_chosen

    def show(self, view: View) -> None:
        """Show that, in a table, or beside the lines if a manner was chosen."""
        if self.has_view:
            self.talk.show(view)

    async def write(self, entries: Iterable[tuple[str, Mapping[str, object]]]) -> None:
        """Each as a line, or an object, in which names can command no terminal."""
        chosen = list(entries)[: self._left]
        if self._left is not None:
            self._left -= len(chosen)
        if not chosen or self.talk.has_table:
            return
        lines = [
            json.dumps(record) if self._is_json else formats.clean(line)
            for line, record in chosen
        ]
        await self._output.write("".join(f"{line}\n" for line in lines).encode())


# The segments of a channel.


async def see_segments(
    subscriber: Subscriber, lines: Lines, nursery: trio.Nursery
) -> None:
    """A line for each segment, when it has ended. `nursery` is for what is looked at
    meanwhile."""
    timeline = Timeline(subscriber.endpoint.channel, trio.current_time)
    lines.show(timeline)
    is_known = trio.Event()
    nursery.start_soon(_count_readers, subscriber, timeline, is_known)
    since = trio.current_time()
    async for segment in subscriber:
        first_byte = trio.current_time() - since
        tell_gap(segment, lines.talk)
        timeline.lost = subscriber.statistics().lost
        timeline.begin(segment.seq, first_byte, datetime.now(UTC))
        async for _ in segment:
            timeline.grow(segment.size)
        since = trio.current_time()
        ended = timeline.end(datetime.now(UTC), complete=not segment.incomplete)
        with trio.move_on_after(_FIRST_LOOK):
            await is_known.wait()
        ended = timeline.count_readers(ended)
        await lines.write([(ended.line(), ended.record())])
        if lines.are_all:
            break


async def _count_readers(
    subscriber: Subscriber, timeline: Timeline, is_known: trio.Event
) -> None:
    """Keep the number of readers up to date, if the server tells it."""
    async with Control(subscriber.endpoint, subscriber.config) as control:
        while True:
            try:
                timeline.readers = (await control.info()).readers
            except (UnexpectedStatus, NotAllowed):
                timeline.readers = None
                is_known.set()
                return
            except TrickleError:
                timeline.readers = None
            is_known.set()
            await trio.sleep(_INTERVAL)


# What comes and goes.


async def has_listing(endpoint: Endpoint, config: ClientConfig) -> bool:
    """Whether the server lists its channels to us."""
    try:
        async with Control(endpoint, config) as control:
            await control.list()
    except TrickleError:
        return False
    return True


async def see_changes(
    subscriber: Subscriber, lines: Lines, nursery: trio.Nursery
) -> None:
    """A line for what exists by now, which the changes so far add up to; then for
    each change. `nursery` is for what is looked at meanwhile."""
    listing = Overview(subscriber.endpoint.server)
    lines.show(listing)
    if lines.has_view:
        nursery.start_soon(_list_channels, subscriber, listing)
    is_first = True
    async for change in follow(subscriber, lambda gap: tell_gap(gap, lines.talk)):
        await _write_change(change, lines, None if is_first else listing)
        is_first = False
        if lines.are_all:
            break


async def _write_change(
    change: Change, lines: Lines, listing: Overview | None = None
) -> None:
    now = datetime.now(UTC)
    time = stamp(now)
    told = change._asdict().items()
    entries = [(what, name) for what, names in told for name in names]
    if entries and listing is not None:
        listing.change = f"{now.astimezone():%H:%M:%S} {' '.join(entries[-1])}"
    await lines.write(
        (f"{what} {name}", {"time": time, "change": what, "channel": name})
        for what, name in entries
    )


async def _list_channels(subscriber: Subscriber, listing: Overview) -> None:
    """Keep the list up to date. While it cannot be had, the changefeed cannot either,
    and that is said."""
    async with Control(subscriber.endpoint, subscriber.config) as control:
        while True:
            try:
                listing.look(await control.list())
            except (UnexpectedStatus, NotAllowed):
                return
            except TrickleError:
                pass
            await trio.sleep(_INTERVAL)
