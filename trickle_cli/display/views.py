"""Snapshots as something that rich can show. Pure functions."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trickle_cli.display import formats
from trickle_cli.display.meter import Meter
from trickle_cli.statistics import (
    ChannelStatistics,
    PublisherStatistics,
    ServerStatistics,
    SubscriberStatistics,
)

#: Columns for the name of a channel: half of what most terminals have.
_MAX_NAME: Final = 40
#: Columns that a table takes with short names; a narrower terminal gets less of it.
_TABLE_WIDTH: Final = 60


def publisher(
    channel: str, statistics: PublisherStatistics, meter: Meter
) -> RenderableType:
    """What `pub` shows: the segment that is going out, and the sum of all."""
    return _line(
        channel,
        statistics.seq,
        statistics.segment_size,
        statistics.segments,
        statistics.size,
        meter,
    )


def subscriber(
    channel: str, statistics: SubscriberStatistics, meter: Meter
) -> RenderableType:
    """What `sub` shows: the segment that is coming in, and the sum of all."""
    line = _line(
        channel,
        statistics.seq,
        statistics.segment_size,
        statistics.segments,
        statistics.size,
        meter,
    )
    if statistics.lost:
        line.append(f"  lost {statistics.lost}", "bold red")
    if not statistics.waiting:
        return line
    return Group(line, Text(f"  {formats.clean(statistics.waiting)}", "yellow"))


def _line(
    channel: str,
    seq: int | None,
    segment_size: int,
    segments: int,
    size: int,
    meter: Meter,
) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append_text(_name(channel, "bold cyan"))
    if seq is None:
        return line.append("  nothing yet", "dim")
    line.append(f"  seq {seq}", "bold")
    line.append(f"  {formats.size(segment_size)}")
    line.append(f"  {formats.rate(meter.rate)}", "green")
    total = f"{formats.count(segments, 'segment')}, {formats.size(size)}"
    return line.append(f"  ({total}, mean {formats.rate(meter.mean)})", "dim")


def server(
    url: str,
    statistics: ServerStatistics,
    *,
    columns: int,
    rows: int,
) -> RenderableType:
    """What `serve` shows: its channels, at most `rows` of them, on a terminal that
    is `columns` wide."""
    channels = [c for c in statistics.channels if not c.closed]
    title = Text.assemble(
        (url, "bold cyan"),
        f"  {formats.count(len(channels), 'channel')},"
        f" {formats.count(statistics.connections, 'connection')}",
        no_wrap=True,
        overflow="ellipsis",
    )
    shown = 6 if columns >= _TABLE_WIDTH else 3
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
    table.add_column("channel")  # where there is no room for all, names give way
    for heading in ("seq", "rate", "held", "subs", "pubs")[: shown - 1]:
        style = "green" if heading == "rate" else ""
        table.add_column(heading, justify="right", style=style, no_wrap=True)
    for channel in channels[:rows]:
        table.add_row(*_row(channel)[:shown])
    hidden = len(channels) - rows
    more = [Text(f"and {hidden} more", "dim")] if hidden > 0 else []
    return Group(title, table, *more)


def _row(channel: ChannelStatistics) -> list[RenderableType]:
    return [
        _name(channel.name),
        str(channel.head - 1) if channel.head else "-",
        formats.rate(channel.rate),
        f"{channel.segments} / {formats.size(channel.bytes)}",
        str(channel.readers),
        str(channel.publishers),
    ]


def _name(channel: str, style: str = "") -> Text:
    """The name of a channel, cut off where it would push out the numbers."""
    name = Text(formats.clean(channel), style=style, no_wrap=True, overflow="ellipsis")
    name.truncate(_MAX_NAME)
    return name
