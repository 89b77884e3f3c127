"""Channels as a table of text, and one of them in full: what `ls` and `info` print.
Pure functions, and without rich: most listings go to another program."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from trickle_cli.display import formats
from trickle_cli.statistics import ChannelStatistics

_HEADINGS: Final = (
    *("NAME", "TYPE", "NEXT", "SEGMENTS", "HELD", "RATE", "SUBS", "PUBS", "AGE", ""),
)
#: Columns of text. The others are numbers, and end at the same place.
_LEFT: Final = frozenset({0, 1, len(_HEADINGS) - 1})
_GAP: Final = 2
#: What gives way where a line is too long, and what it keeps of its width; and what is
#: left out then, one after the other.
_GIVES_WAY: Final = ((1, 8), (0, 12))
_LEFT_OUT: Final = (3, 7, 8, 4, 6, 1)
_BOLD, _DIM, _PLAIN = "\033[1m", "\033[2m", "\033[0m"


def table(
    channels: Sequence[ChannelStatistics],
    now: datetime,
    *,
    columns: int | None = None,
    styled: bool = False,
) -> Iterator[str]:
    """The lines of a table of `channels`. On a terminal it is `columns` wide, and types
    and names give way; None: as wide as need be. `styled`: with the codes for bold."""
    rows = [list(_HEADINGS), *(_row(channel, now) for channel in channels)]
    widths = [max(_width(row[i]) for row in rows) for i in range(len(_HEADINGS))]
    shown = [index for index, width in enumerate(widths) if width]
    if columns is not None:
        _squeeze(widths, shown, columns)
    for number, row in enumerate(rows):
        cells = (_fitted(row[i], widths[i], left=i in _LEFT) for i in shown)
        line = (" " * _GAP).join(cells).rstrip()
        if styled and (number == 0 or channels[number - 1].closed):
            line = f"{_DIM if number else _BOLD}{line}{_PLAIN}"
        yield line


def _row(channel: ChannelStatistics, now: datetime) -> list[str]:
    marks = [
        *(["closed"] if channel.closed else []),
        *(["lossless"] if channel.lossless else []),
    ]
    return [
        formats.clean(channel.name),
        formats.clean(channel.type),
        str(channel.head),
        str(channel.segments),
        formats.size(channel.bytes),
        formats.rate(channel.rate),
        str(channel.readers),
        str(channel.publishers),
        _age(channel.created, now),
        ", ".join(marks),
    ]


def _squeeze(widths: list[int], shown: list[int], columns: int) -> None:
    """Have the columns in `shown` fit into so many of a terminal, as far as may be."""

    def excess() -> int:
        return sum(widths[i] for i in shown) + _GAP * (len(shown) - 1) - columns

    for index, least in _GIVES_WAY:
        if excess() > 0:
            widths[index] = max(min(least, widths[index]), widths[index] - excess())
    for index in _LEFT_OUT:
        if excess() > 0:
            shown.remove(index)


def _age(created: str, now: datetime) -> str:
    """Since when it is there, in one unit: `12s`, `3m`, `5h`, `8d`."""
    try:
        seconds = max(0, (now - datetime.fromisoformat(created)).total_seconds())
    except (ValueError, TypeError):
        return "?"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{seconds:.0f}s"


def _fitted(text: str, width: int, *, left: bool) -> str:
    """`text` in so many columns of a terminal, cut off or filled up."""
    if _width(text) > width:
        while _width(text) > width - 1:
            text = text[:-1]
        text += "…"
    space = " " * (width - _width(text))
    return text + space if left else space + text


def _width(text: str) -> int:
    """The columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_width_of(character) for character in text)


def _width_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def details(channel: ChannelStatistics, url: str, now: datetime) -> Iterator[str]:
    """All that is known of a channel, in lines of key and value."""
    held = f"{channel.segments}, {_exact(channel.bytes)}"
    oldest = "" if channel.oldest is None else f", from {channel.oldest} on"
    states = ["closed, but still to be read"] if channel.closed else ["open"]
    states += ["lossless"] if channel.lossless else []
    pairs = [
        ("channel", channel.name),
        ("url", url),
        ("type", channel.type),
        ("state", ", ".join(states)),
        ("next segment", str(channel.head)),
        ("segments held", held + oldest),
        ("bytes ever", _exact(channel.total_bytes)),
        ("rate", formats.rate(channel.rate)),
        ("readers", str(channel.readers)),
        ("publishers", str(channel.publishers)),
        ("created", f"{channel.created} ({_age(channel.created, now)} ago)"),
        ("written", _when(channel.written, now)),
        ("epoch", channel.epoch),
    ]
    if channel.let_go:
        pairs.append(("readers let go", str(channel.let_go)))
    return aligned(pairs)


def aligned(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Lines of `key: value`, with the values below each other."""
    pairs = list(pairs)
    width = max((len(key) for key, _ in pairs), default=0) + 1
    for key, value in pairs:
        yield f"{key + ':':<{width}} {formats.clean(value)}"


def _when(time: str | None, now: datetime) -> str:
    return "never" if time is None else f"{time} ({_age(time, now)} ago)"


def _exact(count: int) -> str:
    """Bytes as a person wants them, and as they are."""
    shown = formats.size(count)
    return shown if count < 1024 else f"{shown} ({count} bytes)"
