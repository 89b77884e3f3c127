"""Snapshots as something that rich can show. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trickle_cli.display import formats
from trickle_cli.display.meter import Meter
from trickle_cli.statistics import (
    PublisherStatistics,
    ServerStatistics,
    SubscriberStatistics,
)


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
    line.append(formats.clean(channel), "bold cyan")
    if seq is None:
        return line.append("  nothing yet", "dim")
    line.append(f"  seq {seq}", "bold")
    line.append(f"  {formats.size(segment_size)}")
    line.append(f"  {formats.rate(meter.rate)}", "green")
    total = f"{formats.count(segments, 'segment')}, {formats.size(size)}"
    return line.append(f"  ({total}, mean {formats.rate(meter.mean)})", "dim")


def server(
    url: str, statistics: ServerStatistics, meters: Mapping[str, Meter], *, rows: int
) -> RenderableType:
    """What `serve` shows: its channels, at most `rows` of them."""
    channels = [c for c in statistics.channels if not c.closed]
    title = Text.assemble(
        (url, "bold cyan"),
        f"  {formats.count(len(channels), 'channel')},"
        f" {formats.count(statistics.connections, 'connection')}",
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
    table.add_column("channel", no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column("seq", justify="right")
    table.add_column("rate", justify="right", style="green", no_wrap=True)
    table.add_column("held", justify="right", no_wrap=True)
    table.add_column("subscribers", justify="right")
    table.add_column("publishers", justify="right")
    for channel in channels[:rows]:
        meter = meters.get(channel.name)
        table.add_row(
            Text(formats.clean(channel.name)),
            str(channel.head - 1) if channel.head else "-",
            formats.rate(meter.rate) if meter else "-",
            f"{channel.segments} / {formats.size(channel.size)}",
            str(channel.readers),
            str(channel.publishers),
        )
    hidden = len(channels) - rows
    more = [Text(f"and {hidden} more", "dim")] if hidden > 0 else []
    return Group(title, table, *more)
