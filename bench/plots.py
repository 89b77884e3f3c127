"""Plots of results, as SVG: bars of the ratios to the floors, latencies, and how costs
grow. Drawn by hand, for three kinds of plots take less than a library to draw any.

They are looked at on white and on black: all lines and letters are of a grey, or of
colours, that can be seen on both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Final

_WIDTH: Final = 760
_INK: Final = "#808080"
_OURS: Final = "#2f81f7"
_OTHER: Final = "#b58900"
_MISSED: Final = "#d1495b"
#: For lines, one after the other.
_COLOURS: Final = (_OURS, _OTHER, "#3fa45b", _MISSED, "#8a63d2")

Row = dict[str, Any]
#: A line in a plot: what it is called, and its points.
Line = tuple[str, Sequence[tuple[float, float]]]


def _text(x: float, y: float, text: str, *, at: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{at}" fill="{_INK}">'
        f"{escape(text)}</text>"
    )


def _segment(x: float, y: float, to_x: float, to_y: float, *, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
        f' stroke="{_INK}"{dashes}/>'
    )


def _picture(height: float, title: str, parts: Sequence[str]) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
            ' font-family="sans-serif" font-size="12" role="img">',
            f"<title>{escape(title)}</title>",
            _text(8, 18, title),
            *parts,
            "</svg>",
            "",
        ]
    )


# Ratios.

_LABELS: Final = 200
_BAR: Final = 14
_STEP: Final = 22
_TOP: Final = 44


def ratios(rows: Sequence[Row], title: str) -> str:
    """A bar for each figure that has a floor, which is the line at 1; a tick where its
    budget ends."""
    shown = [row for row in rows if row["ratio"] is not None]
    most = max(1.5, *(row["ratio"] for row in shown)) if shown else 1.5
    scale = (_WIDTH - _LABELS - 60) / most
    end = _TOP + _STEP * len(shown)
    parts = []
    for number, row in enumerate(shown):
        y = _TOP + _STEP * number
        colour = _MISSED if row["met"] is False else _OURS
        width = row["ratio"] * scale
        parts += [
            _text(_LABELS - 8, y + 11, row["name"], at="end"),
            f'<rect x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR}"'
            f' fill="{colour}"/>',
            _text(_LABELS + width + 5, y + 11, f"{row['ratio']:.2f}"),
        ]
        if row["limit"] is not None and row["limit"] <= most:
            x = _LABELS + row["limit"] * scale
            parts.append(_segment(x, y - 3, x, y + _BAR + 3))
    floor = _LABELS + scale
    parts.append(_segment(floor, _TOP - 6, floor, end, dash="4 3"))
    parts.append(_text(floor, _TOP - 10, "floor", at="middle"))
    return _picture(end + 8, title, parts)


# Lines.

_LEFT: Final = 60
_RIGHT: Final = 170
_HEIGHT: Final = 300
_BOTTOM: Final = 46


def _ticks(most: float) -> Iterator[float]:
    """Round numbers from 0 to about `most`, some five of them."""
    power = 10 ** math.floor(math.log10(most / 4))
    step = next(power * n for n in (1, 2, 5, 10) if power * n * 5 >= most)
    for number in range(int(most / step) + 1):
        yield number * step


def lines(
    drawn: Sequence[Line], marks: Sequence[str], title: str, *, x: str, y: str
) -> str:
    """Lines over places that are evenly apart, which `marks` are the names of: their
    points are at 0, 1, 2 …"""
    most = max((value for _, points in drawn for _, value in points), default=0) or 1.0
    most *= 1.1
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(at: float, value: float) -> tuple[float, float]:
        across = at / max(1, len(marks) - 1)
        return _LEFT + across * wide, _TOP + high * (1 - value / most)

    last = len(marks) - 1
    parts = [_segment(*place(0, 0), *place(last, 0)), _text(8, 34, y)]
    for tick in _ticks(most):
        at_x, at_y = place(0, tick)
        parts.append(_text(at_x - 6, at_y + 4, f"{tick:g}", at="end"))
        parts.append(_segment(at_x - 3, at_y, *place(last, tick), dash="1 4"))
    for number, mark in enumerate(marks):
        at_x, at_y = place(number, 0)
        parts.append(_text(at_x, at_y + 18, mark, at="middle"))
    parts.append(_text(_LEFT + wide / 2, _HEIGHT - 8, x, at="middle"))
    for number, (name, points) in enumerate(drawn):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in (place(*p) for p in points))
        label = _TOP + 18 * number
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{colour}"'
            ' stroke-width="2"/>',
            f'<rect x="{_WIDTH - _RIGHT + 14}" y="{label - 9}" width="10" height="10"'
            f' fill="{colour}"/>',
            _text(_WIDTH - _RIGHT + 30, label, name),
        ]
    return _picture(_HEIGHT, title, parts)


# Of a run.


def drawn(run: Row) -> dict[str, str]:
    """The plots of a run, by the names of their files: of what was measured."""
    rows = run["figures"]
    plots = {}
    for name, title, chosen in (
        (
            "ratios",
            "Cost over floor: less is better; a tick is the budget, red is over it",
            _is_ours,
        ),
        (
            "against",
            "Cost over that of the other server: less is better, red is behind it",
            is_against,
        ),
    ):
        of_these = [r for r in rows if chosen(r) and r["ratio"] is not None]
        if of_these:
            plots[name] = ratios(of_these, title)
    if late := [row for row in rows if row["name"].startswith("latency.")]:
        plots["latency"] = _latency(late)
    if grown := [row for row in rows if row["name"].startswith("growth.")]:
        plots["growth"] = _growth(grown)
    for row in rows:
        if row["name"] == "workers.model":
            plots["workers"] = _workers(row)
    return plots


def is_against(row: Row) -> bool:
    """Whether a figure is of ours and another server's."""
    return str(row["name"]).startswith("against.")


def _is_ours(row: Row) -> bool:
    return not is_against(row) and row["unit"] != "segments/s"


def _latency(rows: Sequence[Row]) -> str:
    marks = [row["name"].partition(".")[2] for row in rows]
    of: list[Line] = [
        (name, [(float(at), row[key]) for at, row in enumerate(rows)])
        for name, key in (("Trickle", "value"), ("floor", "floor"))
    ]
    title = "From the publisher's send to each of 200 readers"
    return lines(of, marks, title, x="percentile", y="ms")


def _growth(rows: Sequence[Row]) -> str:
    of: list[Line] = []
    for row in rows:
        first_work, first_cost = row["series"][0]
        unit = first_cost / first_work
        points = [(float(n), c / w / unit) for n, (w, c) in enumerate(row["series"])]
        exponent = f"{row['name'].partition('.')[2]} ({row['value']:.2f})"
        of.append((exponent, points))
    marks = [f"{2**n} ×" for n in range(max(len(points) for _, points in of))]
    title = "Cost of each unit of work, of that of the first (level: linear)"
    return lines(of, marks, title, x="work", y="")


def _workers(row: Row) -> str:
    first = row["series"][0][1]
    times = [(float(n), rate / first) for n, (_, rate) in enumerate(row["series"])]
    ideal = [(float(n), float(cores)) for n, (cores, _) in enumerate(row["series"])]
    marks = [f"{cores:g}" for cores, _ in row["series"]]
    of: list[Line] = [("modelled", times), ("if all divided", ideal)]
    title = "Modelled throughput, times that of one worker"
    return lines(of, marks, title, x="workers, on as many cores", y="")
