"""Numbers and foreign texts as a person wants to read them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def size(count: float) -> str:
    """Bytes, in binary units: `8.1 MiB`."""
    return _scaled(count, 1024, ("B", "KiB", "MiB", "GiB", "TiB"))


def rate(bytes_per_second: float) -> str:
    """Bytes per second as bits per second, in decimal units: `2.7 Mbit/s`."""
    return _scaled(bytes_per_second * 8, 1000, ("bit/s", "kbit/s", "Mbit/s", "Gbit/s"))


def _scaled(number: float, step: int, units: Sequence[str]) -> str:
    if round(number) < step:
        return f"{number:.0f} {units[0]}"
    number, power = number / step, 1
    while round(number, 1) >= step and power < len(units) - 1:
        number /= step
        power += 1
    return f"{number:.1f} {units[power]}"


def seconds(duration: float) -> str:
    """A time span: `340 ms`, `24.0 s`, `3:05 min`, `2:03:05 h`."""
    if round(duration * 1000) < 1000:
        return f"{duration * 1000:.0f} ms"
    if round(duration, 1) < 60:
        return f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h"


def count(number: int, noun: str) -> str:
    """`1 segment`, `12 segments`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def seqs(missing: range) -> str:
    """`segment 12`, `segments 12-17`."""
    if len(missing) == 1:
        return f"segment {missing[0]}"
    return f"segments {missing[0]}-{missing[-1]}"


def clean(text: str) -> str:
    """`text` from a peer, without what could command a terminal or break a line."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_command(c) else c for c in text)


def _is_command(character: str) -> bool:
    """Controls, formats, surrogates and what has no meaning; separators of lines."""
    category = unicodedata.category(character)
    return category[0] == "C" or category in {"Zl", "Zp"}
