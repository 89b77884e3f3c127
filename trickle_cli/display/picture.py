"""One channel at a glance: what a terminal shows of a transfer.

    cam  seq 123  [=======     ] 412.0 KiB in 1.2 s
      2.7 Mbit/s  mean 2.6 Mbit/s  ▁▂▅▇▆▅
      124 segments, 8.1 MiB; the last one 690.0 KiB in 2.0 s
      at the head  3 readers  1 reconnect

On a wide terminal these are two lines. Colours are the terminal's own, and never the
only thing that tells; where it has no Unicode, ASCII does as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from trickle_cli.display import formats
from trickle_cli.display.meter import Meter
from trickle_cli.display.views import channel_name
from trickle_cli.statistics import PublisherStatistics, SubscriberStatistics

#: Columns from which on there are two lines.
_WIDE: Final = 130
#: Columns of the bar, and of the last minute.
_BAR: Final = 12
_SPARKS: Final = 30

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS: Final = "_.-=+*%#"


class Picture:
    """Drawn for the terminal that it is printed on."""

    def __init__(
        self,
        channel: str,
        statistics: PublisherStatistics | SubscriberStatistics,
        meter: Meter,
        readers: int | None,
    ) -> None:
        self._channel = channel
        self._statistics = statistics
        self._meter = meter
        self._readers = readers

    def __rich_console__(
        self,
        console: Console,
        options: ConsoleOptions,
    ) -> RenderResult:
        lines = [line for line in self._lines(options.ascii_only) if line]
        if options.max_width >= _WIDE:
            lines = [
                Text("   ").join(pair)
                for pair in (lines[i : i + 2] for i in range(0, len(lines), 2))
            ]
        if self._statistics.waiting:
            waiting = formats.clean(self._statistics.waiting)
            lines.append(Text(waiting, "magenta"))
        for index, line in enumerate(lines):
            shown = Text("  " if index else "", no_wrap=True, overflow="ellipsis")
            shown.append_text(line)
            shown.truncate(options.max_width)
            yield shown

    def _lines(self, ascii_only: bool) -> Iterator[Text]:  # noqa: FBT001
        statistics = self._statistics
        line = Text().append_text(channel_name(self._channel, "bold cyan"))
        if statistics.seq is None:
            yield line.append("  nothing yet", "dim")
            return
        line.append(f"  seq {statistics.seq}  ", "bold")
        yield line.append_text(self._progress())
        yield self._speed(ascii_only)
        yield self._sums()
        yield self._state()

    def _progress(self) -> Text:
        """How far the present segment has got, as the ones before go by."""
        statistics = self._statistics
        done = formats.size(statistics.segment_size)
        age = formats.seconds(statistics.segment_age)
        text = Text(f"{done} in {age}")
        if statistics.last_size:
            share = min(1.0, statistics.segment_size / statistics.last_size)
            filled = round(share * _BAR)
            text = Text(f"[{'=' * filled:{_BAR}}] ").append_text(text)
        return text

    def _speed(self, ascii_only: bool) -> Text:  # noqa: FBT001
        levels = _ASCII_LEVELS if ascii_only else _LEVELS
        line = Text().append(formats.rate(self._meter.rate), "green")
        line.append(f"  mean {formats.rate(self._meter.mean)}", "dim")
        return line.append(f"  {sparkline(self._meter.history(_SPARKS), levels)}")

    def _sums(self) -> Text:
        statistics = self._statistics
        segments = formats.count(statistics.segments, "segment")
        line = Text(f"{segments}, {formats.size(statistics.size)}")
        if statistics.last_size is not None and statistics.last_age is not None:
            last = formats.size(statistics.last_size)
            age = formats.seconds(statistics.last_age)
            line.append(f"; the last one {last} in {age}", "dim")
        return line

    def _state(self) -> Text:
        """What is as it should be is not loud."""
        statistics = self._statistics
        parts = []
        if isinstance(statistics, SubscriberStatistics):
            parts.append(_lag(statistics))
        if self._readers is not None:
            parts.append(Text(formats.count(self._readers, "reader")))
        if statistics.lost:
            parts.append(Text(f"lost {statistics.lost}", "bold red"))
        if isinstance(statistics, SubscriberStatistics) and statistics.incomplete:
            parts.append(Text(f"incomplete {statistics.incomplete}", "bold red"))
        if statistics.reconnects:
            parts.append(Text(formats.count(statistics.reconnects, "reconnect")))
        return Text("  ").join(parts)


def _lag(statistics: SubscriberStatistics) -> Text:
    """How far behind the head the present segment is."""
    if statistics.head is None or statistics.seq is None:
        return Text()
    behind = max(0, statistics.head - 1 - statistics.seq)
    if not behind:
        return Text("at the head", "dim")
    return Text(f"{formats.count(behind, 'segment')} behind", "bold")


def sparkline(values: Sequence[float], levels: str) -> str:
    """`values` as so many characters, the highest of which is the largest of them."""
    most = max(values, default=0)
    if not most:
        return levels[0] * len(values)
    top = len(levels) - 1
    return "".join(levels[min(top, round(value / most * top))] for value in values)
