"""What `serve` shows. Pure functions."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trickle_cli.display import formats
from trickle_cli.statistics import ChannelStatistics, ServerStatistics

#: Columns for the name of a channel: half of what most terminals have.
_MAX_NAME: Final = 40
#: Columns that a table takes with short names; a narrower terminal gets less of it.
_TABLE_WIDTH: Final = 60


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
        channel_name(channel.name),
        str(channel.head - 1) if channel.head else "-",
        formats.rate(channel.rate),
        f"{channel.segments} / {formats.size(channel.bytes)}",
        str(channel.readers),
        str(channel.publishers),
    ]


def channel_name(channel: str, style: str = "") -> Text:
    """The name of a channel, cut off where it would push out the numbers."""
    name = Text(formats.clean(channel), style=style, no_wrap=True, overflow="ellipsis")
    name.truncate(_MAX_NAME)
    return name
