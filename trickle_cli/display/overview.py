"""The channels of a server, as it lists them: what `watch` shows of all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from trickle_cli.display import formats
from trickle_cli.display.terminals import size_of, speaks_unicode
from trickle_cli.statistics import ChannelStatistics

if TYPE_CHECKING:
    from rich.console import RenderableType

    from trickle_cli.display.columns import Column

#: Lines of the terminal that are not rows: title, headings, how many more, the last
#: change, the cursor's.
_OTHER_LINES: Final = 5
_LONGEST_NAME: Final = 60
_SHORTEST_NAME: Final = 16


class Overview:
    """Holds the latest list. `change` is the last that came or went."""

    def __init__(self, server: str) -> None:
        self.change = ""
        self._server = server
        self._channels: Sequence[ChannelStatistics] = ()

    def look(self, channels: Sequence[ChannelStatistics]) -> None:
        """These are the channels by now."""
        self._channels = [channel for channel in channels if not channel.closed]

    def render(self) -> RenderableType:
        """For the terminal on standard output."""
        from rich.console import Group

        from trickle_cli.display.columns import heading, row, title_line

        lines, width = reversed(size_of(1))
        unicode = speaks_unicode()
        rows = max(1, lines - _OTHER_LINES)
        columns = _columns(width)
        shown = self._channels[:rows]
        hidden = len(self._channels) - len(shown)
        title = [(self._server, "bold cyan"), (self._sum(), "")]
        last = [
            (f"and {hidden} more" if hidden else "", "dim"),
            (self.change, "dim"),
        ]
        return Group(
            title_line(title, width, unicode=unicode),
            heading(columns, unicode=unicode),
            *(row(columns, _cells(c)[: len(columns)], unicode=unicode) for c in shown),
            *(title_line([part], width, unicode=unicode) for part in last if part[0]),
        )

    def _sum(self) -> str:
        channels = self._channels
        return (
            f"{formats.count(len(channels), 'channel')},"
            f" {formats.rate(sum(channel.rate for channel in channels))},"
            f" {formats.count(sum(channel.readers for channel in channels), 'reader')}"
        )

    def line(self) -> str:
        """In one line of text."""
        return f"{self._server}: {self._sum()}"

    def record(self) -> Mapping[str, object]:
        """As an object of JSON."""
        return {
            "server": self._server,
            "channels": [asdict(channel) for channel in self._channels],
        }


def _columns(width: int) -> list[Column]:
    from trickle_cli.display.columns import Column, width_of

    numbers = [
        Column(heading="rate", width=12, style="green"),
        Column(heading="readers", width=7),
        Column(heading="publishers", width=10),
        Column(heading="seq", width=9),
        Column(heading="held", width=10),
    ]
    while len(numbers) > 1 and width_of(numbers) + 2 + _SHORTEST_NAME > width:
        numbers.pop()
    room = width - width_of(numbers) - 2
    name = max(1, min(_LONGEST_NAME, room))
    return [Column(heading="channel", width=name, is_text=True), *numbers]


def _cells(channel: ChannelStatistics) -> list[str]:
    return [
        formats.clean(channel.name),
        formats.rate(channel.rate),
        str(channel.readers),
        str(channel.publishers),
        str(channel.head - 1) if channel.head else "-",
        formats.size(channel.bytes),
    ]
