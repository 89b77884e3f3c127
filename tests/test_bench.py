"""The benchmarks run, and say what they are to say; not how fast anything is."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from bench.__main__ import GROUPS
from bench.budgets import BUDGETS, Budget
from bench.measuring import Figure, Scale, alternate, exponent, percentile
from bench.report import line, plots, results, table, told


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "bench", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def quick() -> dict[str, Any]:
    done = run("--quick", "--json", "small", "idle")
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_a_quick_run_tells_of_each_figure_that_is_named(quick: dict[str, Any]) -> None:
    names = [row["name"] for row in quick["figures"]]
    assert names == ["small.1-100", "small.20x1-1", "idle.memory"]
    assert quick["quick"] is True
    assert set(quick["machine"]) >= {"cores", "python"}


def test_a_figure_has_a_floor_of_the_same_run_and_a_verdict(
    quick: dict[str, Any],
) -> None:
    row = quick["figures"][0]
    assert row["value"] > 0
    assert row["ratio"] == row["value"] / row["floor"]
    assert row["budget"] == "≤ 2.8 × floor"
    assert row["met"] is (row["ratio"] <= 2.8)


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    done = run("fan")
    assert done.returncode == 2
    assert f"there is no fan: {', '.join(GROUPS)}" in done.stderr


# What is made of what was measured.


def test_rounds_alternate_and_the_median_counts() -> None:
    order = []
    values = iter([1.0, 5.0, 9.0])

    def ours() -> float:
        order.append("ours")
        return next(values)

    def bare() -> float:
        order.append("bare")
        return 2.0

    assert alternate(3, ours, bare) == (5.0, 2.0)
    assert order == ["ours", "bare"] * 3


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_is_that_of_the_growth(power: float) -> None:
    points = tuple((float(work), 3 * work**power) for work in (1, 2, 4, 8))
    assert exponent(points) == pytest.approx(power)


def test_a_percentile_is_a_value_that_was_seen() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert percentile([1.0, 2.0], 0.999) == 2.0


def figure(value: float, floor: float | None = None) -> Figure:
    return Figure(name="f", about="f", unit="s", value=value, floor=floor)


def test_a_budget_holds_the_ratio_or_the_value_against_its_limit() -> None:
    assert Budget(limit=2).is_met_by(figure(4, 2))
    assert not Budget(limit=2).is_met_by(figure(5, 2))
    assert not Budget(limit=2, absolute=True).is_met_by(figure(4, 2))
    assert Budget(limit=2, absolute=True, at_least=True).is_met_by(figure(4))


def test_a_missed_budget_is_said_to_be_missed() -> None:
    name = next(iter(BUDGETS))
    row = told(Figure(name=name, about="it", unit="s", value=100, floor=1))
    assert row["met"] is False
    assert line(row).endswith("NOT met")


def test_the_page_has_a_row_for_each_figure_and_a_plot_of_what_grows() -> None:
    points = ((1.0, 1.0), (2.0, 4.0))
    grown = Figure(name="g", about="growing", unit="", value=2, series=points)
    scale = Scale(rounds=1, quick=True)
    told_all = results([figure(4, 2), grown], scale, datetime.now(UTC))
    rows = table(told_all)
    assert rows[-2] == "| f | f | 4 s | 2 (bare sockets) | 2.00 |  |  |"
    assert f"     2  {'█' * 60} 2.00" in plots(told_all)
