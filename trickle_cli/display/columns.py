"""Tables whose columns stay where they are, whatever comes into them.

rich's own fit each column to what is in it, anew in each picture: numbers would jump
from side to side. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from trickle_cli.display.formats import clean

#: Between two columns.
_GAP = "  "


@dataclass(frozen=True, kw_only=True)
class Column:
    """`width` cells under a `heading`; numbers go to the right of it."""

    heading: str
    width: int
    is_text: bool = False
    style: str = ""


def fit(text: str, width: int, *, unicode: bool, is_text: bool = False) -> str:
    """`text` in `width` cells exactly; what is cut off ends in a mark of that."""
    if not unicode:
        text = text.encode("ascii", "replace").decode()
    length = cell_len(text)
    if length > width:
        mark = "…" if unicode else "~"
        return set_cell_size(text, max(0, width - 1)) + mark[:width]
    padding = " " * (width - length)
    return text + padding if is_text else padding + text


def heading(columns: Sequence[Column], *, unicode: bool) -> Text:
    """The first line of a table."""
    return row(columns, [c.heading for c in columns], unicode=unicode, style="bold")


def row(
    columns: Sequence[Column],
    cells: Sequence[str],
    *,
    unicode: bool,
    style: str = "",
) -> Text:
    """One line of a table."""
    line = Text(no_wrap=True, overflow="crop", style=style)
    for index, (column, cell) in enumerate(zip(columns, cells, strict=True)):
        text = fit(cell, column.width, unicode=unicode, is_text=column.is_text)
        line.append(_GAP if index else "")
        line.append(text, "" if style else column.style)
    line.rstrip()
    return line


def width_of(columns: Sequence[Column]) -> int:
    """Cells that a line of these takes."""
    return sum(column.width + len(_GAP) for column in columns) - len(_GAP)


def title_line(parts: Sequence[tuple[str, str]], width: int, *, unicode: bool) -> Text:
    """What stands above a table: texts from anywhere, and their styles. The first of
    several is cut off where it would push out the others."""
    line = Text(no_wrap=True, overflow="crop")
    for index, (text, style) in enumerate(parts):
        shown = clean(text)
        if not index and len(parts) > 1:
            shown = fit(shown, min(cell_len(shown), width // 2), unicode=unicode)
        shown = shown if unicode else shown.encode("ascii", "replace").decode()
        line.append(_GAP if index else "")
        line.append(shown, style)
    line.truncate(width)
    return line
