"""The segments of one channel, in the order of time: what `watch CHANNEL` shows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from trickle_cli.display import formats
from trickle_cli.display.meter import Meter
from trickle_cli.display.terminals import size_of, speaks_unicode
from trickle_cli.times import stamp

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from trickle_cli.display.columns import Column

#: Segments that are remembered: no terminal has more lines.
_REMEMBERED: Final = 1000
#: Lines of the terminal that are not rows: the title, the headings, the cursor's.
_OTHER_LINES: Final = 3
_LONGEST_BAR: Final = 60
_SHORTEST_BAR: Final = 10


@dataclass(frozen=True, kw_only=True)
class TimedSegment:
    """A segment as it came.

    `first_byte` are the seconds from the end of the segment before, or from when we
    asked if it is our first, until its first byte was here; `duration` those from then
    to its end, or until now. `readers` is what the server said last, None if it does
    not tell. `ended` is None as long as there may be more; `complete` whether it is
    whole.
    """

    channel: str
    seq: int
    size: int
    first_byte: float
    duration: float
    readers: int | None
    complete: bool
    started: datetime
    ended: datetime | None

    @property
    def rate(self) -> float | None:
        """Bytes a second; None if it took no time."""
        return self.size / self.duration if self.duration > 0 else None

    def line(self) -> str:
        """In one line of text."""
        rate = "-" if self.rate is None else formats.rate(self.rate)
        readers = "-" if self.readers is None else str(self.readers)
        note = "" if self.complete else "  incomplete"
        return (
            f"{self.seq:>8}  {self.size:>10} B  +{self.first_byte:.3f} s"
            f"  {self.duration:>8.3f} s  {rate}  {readers}{note}"
        )

    def record(self) -> dict[str, object]:
        """As an object of JSON: times are RFC 3339, rates in bytes a second."""
        return {
            "channel": self.channel,
            "seq": self.seq,
            "size": self.size,
            "first_byte": round(self.first_byte, 6),
            "duration": round(self.duration, 6),
            "rate": None if self.rate is None else round(self.rate),
            "readers": self.readers,
            "complete": self.complete,
            "started": stamp(self.started),
            "ended": None if self.ended is None else stamp(self.ended),
        }


class Timeline:
    """Remembers the last segments. `clock` is in seconds, and does not go back."""

    def __init__(self, channel: str, clock: Callable[[], float]) -> None:
        self.readers: int | None = None
        self.lost = 0
        self._channel = channel
        self._clock = clock
        self._meter = Meter(clock())
        self._ended: deque[TimedSegment] = deque(maxlen=_REMEMBERED)
        self._open: TimedSegment | None = None
        self._segments = self._size = 0
        self._began = 0.0

    def begin(self, seq: int, first_byte: float, started: datetime) -> None:
        """Segment `seq` has begun, just now."""
        self._began = self._clock()
        self._open = TimedSegment(
            channel=self._channel,
            seq=seq,
            size=0,
            first_byte=first_byte,
            duration=0.0,
            readers=self.readers,
            complete=True,
            started=started,
            ended=None,
        )

    def grow(self, size: int) -> None:
        """It has `size` bytes by now."""
        assert self._open is not None
        self._open = replace(self._open, size=size)

    def end(self, ended: datetime, *, complete: bool) -> TimedSegment:
        """It is over; what it was."""
        assert self._open is not None
        segment = replace(self._by_now(self._open), ended=ended, complete=complete)
        self._ended.append(segment)
        self._open = None
        self._segments += 1
        self._size += segment.size
        return segment

    def count_readers(self, segment: TimedSegment) -> TimedSegment:
        """`segment`, with the readers that are known by now, if none were."""
        if segment.readers is None:
            segment = replace(segment, readers=self.readers)
        return segment

    def _by_now(self, segment: TimedSegment) -> TimedSegment:
        duration = self._clock() - self._began
        return replace(segment, duration=duration, readers=self.readers)

    def _look(self) -> int:
        size = self._size + (0 if self._open is None else self._open.size)
        self._meter.look(size, self._clock())
        return size

    def render(self) -> RenderableType:
        """For the terminal on standard output."""
        self._look()
        lines, columns = reversed(size_of(1))
        segments = list(self._ended)
        if self._open is not None:
            segments.append(self._by_now(self._open))
        rows = max(1, lines - _OTHER_LINES)
        unicode = speaks_unicode()
        table = Table(columns, unicode=unicode)
        return table.render(self._title(), segments[-rows:])

    def _title(self) -> list[tuple[str, str]]:
        parts = [(self._channel, "bold cyan")]
        if not self._segments and self._open is None:
            return [*parts, ("nothing yet", "dim")]
        readers = "" if self.readers is None else formats.count(self.readers, "reader")
        parts += [(formats.rate(self._meter.rate), "green"), (readers, "")]
        parts.append((f"({self._sum()})", "dim"))
        if self.lost:
            parts.append((f"lost {self.lost}", "bold red"))
        return [part for part in parts if part[0]]

    def _sum(self) -> str:
        segments = formats.count(self._segments + (self._open is not None), "segment")
        size = self._size + (0 if self._open is None else self._open.size)
        return (
            f"{segments}, {formats.size(size)}, mean {formats.rate(self._meter.mean)}"
        )

    def line(self) -> str:
        """In one line of text."""
        self._look()
        return f"{self._channel}: {formats.rate(self._meter.rate)}, {self._sum()}"

    def record(self) -> Mapping[str, object]:
        """As an object of JSON."""
        size = self._look()
        return {
            "channel": self._channel,
            "segments": self._segments,
            "size": size,
            "lost": self.lost,
            "readers": self.readers,
            "rate": round(self._meter.rate),
            "mean_rate": round(self._meter.mean),
        }


class Table:
    """Segments as lines of a terminal that is `width` cells wide."""

    def __init__(self, width: int, *, unicode: bool) -> None:
        from trickle_cli.display.columns import Column, width_of

        self._width = width
        self._unicode = unicode
        columns = [
            Column(heading="seq", width=9, style="bold"),
            Column(heading="size", width=10),
            Column(heading="rate", width=12, style="green"),
            Column(heading="first byte", width=10),
            Column(heading="duration", width=10),
            Column(heading="readers", width=7),
        ]
        clock = Column(heading="began", width=8, is_text=True, style="dim")
        self._columns: list[Column] = columns
        while len(columns) > 1 and width_of(columns) > width:
            columns.pop()
        self._shows_clock = width_of([*columns, clock]) <= width
        if self._shows_clock:
            columns.insert(0, clock)
        room = width - width_of(columns) - 2
        self._bar = min(_LONGEST_BAR, room) if room >= _SHORTEST_BAR else 0

    def render(
        self, title: list[tuple[str, str]], segments: list[TimedSegment]
    ) -> RenderableType:
        """All of it, the newest segment last."""
        from rich.console import Group

        from trickle_cli.display.columns import heading, title_line

        first = title_line(title, self._width, unicode=self._unicode)
        most = max((segment.size for segment in segments), default=0)
        lines = [self._line(segment, most) for segment in segments]
        names = heading(self._columns, unicode=self._unicode)
        return Group(first, names, *lines)

    def _line(self, segment: TimedSegment, most: int) -> Text:
        from trickle_cli.display.columns import row

        cells = [
            str(segment.seq),
            formats.size(segment.size),
            "-" if segment.rate is None else formats.rate(segment.rate),
            formats.seconds(segment.first_byte),
            formats.seconds(segment.duration),
            "-" if segment.readers is None else str(segment.readers),
        ]
        clock = [segment.started.astimezone().strftime("%H:%M:%S")]
        cells = [*(clock if self._shows_clock else []), *cells][: len(self._columns)]
        is_open = segment.ended is None
        style = "bold yellow" if is_open else ("" if segment.complete else "red")
        line = row(self._columns, cells, unicode=self._unicode, style=style)
        if not segment.complete:
            line.append("  incomplete")
        elif self._bar and most:
            bar = round(self._bar * segment.size / most)
            line.append("  " + ("█" if self._unicode else "#") * bar, "cyan")
        line.truncate(self._width)
        return line
