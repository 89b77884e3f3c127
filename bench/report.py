"""Results, as JSON, and as the tables and the plots of docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bench.budgets import BUDGETS
from bench.measuring import Figure, Scale
from bench.plots import drawn, is_against

_HOME: Final = Path(__file__).parent.parent
RESULTS: Final = _HOME / "bench" / "results"
PAGE: Final = _HOME / "docs" / "performance.md"
PICTURES: Final = _HOME / "docs" / "performance"
#: What a plot shows, for who cannot see it.
_CAPTIONS: Final = {
    "ratios": "the ratio to its floor of each figure",
    "against": "the ratio of each figure to the other server's",
    "latency": "percentiles of the latency, and of its floor's",
    "growth": "how the cost of a unit of work grows with the work",
    "workers": "modelled throughput over the number of workers",
}
_BEGIN, _END = "<!-- results: written by scripts/bench -->", "<!-- end of results -->"


def told(figure: Figure) -> dict[str, Any]:
    """A figure as it stands in JSON."""
    budget = BUDGETS.get(figure.name)
    return {
        "name": figure.name,
        "about": figure.about,
        "unit": figure.unit,
        "value": figure.value,
        "floor": figure.floor,
        "floor_is": None if figure.floor is None else figure.floor_is,
        "ratio": figure.ratio,
        "beside": dict(figure.beside),
        "details": dict(figure.details),
        "series": [list(point) for point in figure.series],
        "budget": budget.told(figure.unit) if budget else None,
        "limit": budget.limit if budget and not budget.absolute else None,
        "met": budget.is_met_by(figure) if budget else None,
    }


def results(figures: list[Figure], scale: Scale, begun: datetime) -> dict[str, Any]:
    """All of a run."""
    return {
        "date": begun.isoformat(timespec="seconds"),
        "quick": scale.quick,
        "rounds": scale.rounds,
        "reference": scale.reference,
        "machine": {
            "cores": os.cpu_count(),
            "system": platform.system(),
            "processor": platform.machine(),
            "python": platform.python_version(),
            "load_before": os.getloadavg()[2],
        },
        "figures": [told(figure) for figure in figures],
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def line(row: dict[str, Any]) -> str:
    """A figure as a person reads it."""
    text = f"{row['name']}: {_number(row['value'])} {row['unit']}"
    if row["ratio"] is not None:
        text += f" = {row['ratio']:.2f} × {row['floor_is']} ({_number(row['floor'])})"
    elif row["floor"] is not None:
        text += f", {row['floor_is']} {_number(row['floor'])}"
    for name, value in (row["beside"] | row["details"]).items():
        text += f", {name} {_number(value)}"
    if row["budget"] is not None:
        text += f"; budget {row['budget']}: {'met' if row['met'] else 'NOT met'}"
    return text


def tables(run: dict[str, Any]) -> list[str]:
    """The rows of the page: what we cost, and then, if there was another server, how
    both did in turn."""
    machine = run["machine"]
    ours = [row for row in run["figures"] if not is_against(row)]
    against = [row for row in run["figures"] if is_against(row)]
    rows = [
        f"Taken {run['date'][:10]} on {machine['cores']} cores "
        f"({machine['processor']}), Python {machine['python']}; medians of "
        f"{run['rounds']} rounds; other work ran on the machine "
        f"(load {machine['load_before']:.1f} before).",
        "",
        *_table(ours, "floor"),
    ]
    if against:
        text = f"The same loads on ours and on another server (`{run['reference']}`):"
        rows += ["", text, "", *_table(against, "the other server")]
    return rows


def _table(figures: list[dict[str, Any]], held_against: str) -> list[str]:
    rows = [
        f"| figure | work | value | {held_against} | ratio | budget | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in figures:
        others = row["beside"] | row["details"]
        more = "".join(f"; {name} {_number(value)}" for name, value in others.items())
        floor = "" if row["floor"] is None else _number(row["floor"])
        if row["floor_is"] not in {None, held_against}:
            floor += f" ({row['floor_is']})"
        cells = (
            row["name"],
            row["about"],
            f"{_number(row['value'])} {row['unit']}{more}",
            floor,
            "" if row["ratio"] is None else f"{row['ratio']:.2f}",
            row["budget"] or "",
            {True: "met", False: "**missed**", None: ""}[row["met"]],
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def write(run: dict[str, Any], names: Sequence[str]) -> None:
    """The results into their folder, under the `names` of the groups that were
    measured; those of all (none is named), if not quick, into the page, too."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(run, indent=1, ensure_ascii=False) + "\n"
    is_whole = not names and not run["quick"]
    files = [run["date"][:10], "latest"]
    if not is_whole:
        files = ["-".join(["quick" if run["quick"] else files[0], *names])]
    for name in files:
        (RESULTS / f"{name}.json").write_text(text)
    if is_whole:
        pictures = drawn(run)
        PICTURES.mkdir(exist_ok=True)
        for name, picture in pictures.items():
            (PICTURES / f"{name}.svg").write_text(picture)
        before, _, rest = PAGE.read_text().partition(_BEGIN)
        after = rest.partition(_END)[2]
        shown = [f"![{_CAPTIONS[name]}](performance/{name}.svg)" for name in pictures]
        rows = [*tables(run), *(line for each in shown for line in ("", each))]
        body = "\n".join([_BEGIN, "", *rows, "", _END])
        PAGE.write_text(before + body + after)
