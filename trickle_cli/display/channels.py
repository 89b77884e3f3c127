"""The channels of a server over time: what `serve` shows and says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from trickle_cli.display import formats
from trickle_cli.display.terminals import size_of
from trickle_cli.statistics import ChannelStatistics, ServerStatistics

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Lines of the terminal that are not rows of the table.
_OTHER_LINES: Final = 7


class ChannelWatch:
    """Compares one look at a server with the one before."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._latest = ServerStatistics(connections=0, memory=0, channels=())
        self._known: dict[str, ChannelStatistics] = {}

    def look(self, statistics: ServerStatistics) -> Iterator[str]:
        """Take note of `statistics`; yields a line for each change."""
        self._latest = statistics
        before, self._known = self._known, {}
        for channel in statistics.channels:
            name = channel.name
            last = before.pop(name, None)
            self._known[name] = channel
            if last is None or last.epoch != channel.epoch:
                yield f"channel {name} is there, {channel.type}"
            if channel.closed and not (last is not None and last.closed):
                yield f"channel {name} is closed, {_sum(channel)}"

    def render(self) -> RenderableType:
        """The table, for the live view."""
        from trickle_cli.display import views

        size = size_of(2)
        rows = max(3, size.lines - _OTHER_LINES)
        return views.server(self._url, self._latest, columns=size.columns, rows=rows)

    def line(self) -> str:
        """In one line of text."""
        latest = self._latest
        channels = [channel for channel in latest.channels if not channel.closed]
        rate = formats.rate(sum(channel.rate for channel in channels))
        return (
            f"{formats.count(len(channels), 'channel')}, {rate},"
            f" {formats.count(latest.connections, 'connection')},"
            f" {formats.size(latest.memory)} held"
        )

    def record(self) -> Mapping[str, object]:
        """As an object of JSON."""
        return asdict(self._latest)


def _sum(channel: ChannelStatistics) -> str:
    size = formats.size(channel.total_bytes)
    return f"{formats.count(channel.head, 'segment')}, {size}"
