"""Results, as JSON, and as the table and the plots of docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bench.budgets import BUDGETS
from bench.measuring import Figure, Scale

_HOME: Final = Path(__file__).parent.parent
RESULTS: Final = _HOME / "bench" / "results"
PAGE: Final = _HOME / "docs" / "performance.md"
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
        "floor_is": figure.floor_is if figure.floor else None,
        "ratio": figure.ratio,
        "beside": dict(figure.beside),
        "details": dict(figure.details),
        "series": [list(point) for point in figure.series],
        "budget": budget.told(figure.unit) if budget else None,
        "met": budget.is_met_by(figure) if budget else None,
    }


def results(figures: list[Figure], scale: Scale, begun: datetime) -> dict[str, Any]:
    """All of a run."""
    return {
        "date": begun.isoformat(timespec="seconds"),
        "quick": scale.quick,
        "rounds": scale.rounds,
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
    for name, value in (row["beside"] | row["details"]).items():
        text += f", {name} {_number(value)}"
    if row["budget"] is not None:
        text += f"; budget {row['budget']}: {'met' if row['met'] else 'NOT met'}"
    return text


def table(run: dict[str, Any]) -> list[str]:
    """The rows of the page."""
    machine = run["machine"]
    rows = [
        f"Taken {run['date'][:10]} on {machine['cores']} cores "
        f"({machine['processor']}), Python {machine['python']}; medians of "
        f"{run['rounds']} rounds; other work ran on the machine "
        f"(load {machine['load_before']:.1f} before).",
        "",
        "| figure | work | value | floor | ratio | budget | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in run["figures"]:
        others = row["beside"] | row["details"]
        more = "".join(f"; {name} {_number(value)}" for name, value in others.items())
        floor = f"{_number(row['floor'])} ({row['floor_is']})" if row["floor"] else ""
        cells = (
            row["name"],
            row["about"],
            f"{_number(row['value'])} {row['unit']}{more}",
            floor,
            f"{row['ratio']:.2f}" if row["ratio"] else "",
            row["budget"] or "",
            {True: "met", False: "**missed**", None: ""}[row["met"]],
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def plots(run: dict[str, Any]) -> list[str]:
    """What grows, as bars: the cost of each unit of work, held against the first."""
    rows = []
    for row in run["figures"]:
        if not row["series"]:
            continue
        first_work, first_cost = row["series"][0]
        rows += ["", f"{row['about']} ({row['value']:.2f}):", "", "```text"]
        for work, cost in row["series"]:
            share = (cost / work) / (first_cost / first_work)
            rows.append(f"{work:>6,.0f}  {'█' * round(share * 30)} {share:.2f}")
        rows.append("```")
    return rows


def write(run: dict[str, Any], *, page: bool) -> None:
    """The results into their folder, and, with `page`, into the documentation."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(run, indent=1, ensure_ascii=False) + "\n"
    for name in (run["date"][:10], "latest"):
        (RESULTS / f"{name}.json").write_text(text)
    if page:
        before, _, rest = PAGE.read_text().partition(_BEGIN)
        after = rest.partition(_END)[2]
        body = "\n".join([_BEGIN, "", *table(run), *plots(run), "", _END])
        PAGE.write_text(before + body + after)
