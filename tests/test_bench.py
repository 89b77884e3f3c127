"""The benchmarks run, and say what they are to say; not how fast anything is."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.__main__ import GROUPS
from bench.against import OTHER
from bench.budgets import BUDGETS, Budget
from bench.measuring import Figure, Scale, alternate, exponent, percentile
from bench.peers import Reader
from bench.plots import drawn
from bench.report import line, results, tables, told
from bench.running import TRICKLE, reference
from bench.workers import imbalance, is_there, modelled


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "bench", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def quick() -> dict[str, Any]:
    done = run("--quick", "--json", "small", "idle")
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_a_quick_run_tells_of_each_figure_that_is_named(quick: dict[str, Any]) -> None:
    names = [row["name"] for row in quick["figures"]]
    assert names == ["small.1-100", "small.20x1-1", "small.visits", "idle.memory"]
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


def run_of(*figures: Figure, reference: str = "") -> dict[str, Any]:
    scale = Scale(rounds=1, quick=True, reference=reference)
    return results(list(figures), scale, datetime.now(UTC))


def test_the_page_has_a_row_for_each_figure() -> None:
    rows = tables(run_of(figure(4, 2), figure(4)))
    assert rows[-2] == "| f | f | 4 s | 2 (bare sockets) | 2.00 |  |  |"
    assert rows[-1] == "| f | f | 4 s |  |  |  |  |"


def test_another_server_has_a_table_of_its_own() -> None:
    ours = replace(figure(4, 2), name="against.f", floor_is=OTHER)
    rows = tables(run_of(figure(4), ours, reference="refserve {port}"))
    assert any("`refserve {port}`" in row for row in rows)
    assert rows[-3] == "| figure | work | value | the other server | ratio | budget | |"
    assert rows[-1] == "| against.f | f | 4 s | 2 | 2.00 |  |  |"


def test_what_the_other_server_did_not_lose_is_told_too() -> None:
    none = replace(figure(0, 0), name="against.lost", floor_is=OTHER)
    row = told(none)
    assert row["met"] is True
    assert line(row).startswith("against.lost: 0 s, the other server 0;")
    assert tables(run_of(none))[-1].startswith("| against.lost | f | 0 s | 0 |  |")


# Plots.


def elements(picture: str, tag: str) -> list[ET.Element]:
    return ET.fromstring(picture).findall(f"{{http://www.w3.org/2000/svg}}{tag}")


def test_a_plot_has_a_bar_for_each_ratio_as_long_as_that() -> None:
    picture = drawn(run_of(figure(2, 2), figure(4, 2), figure(4)))["ratios"]
    once, twice = (float(bar.attrib["width"]) for bar in elements(picture, "rect"))
    assert twice == pytest.approx(2 * once, abs=0.2)


def test_a_plot_has_a_line_for_all_that_grows_level_if_that_is_linear() -> None:
    linear = ((10.0, 30.0), (20.0, 60.0), (40.0, 120.0))
    grown = replace(figure(1), name="growth.f", series=linear)
    (path,) = elements(drawn(run_of(grown))["growth"], "polyline")
    heights = {point.partition(",")[2] for point in path.attrib["points"].split()}
    assert len(heights) == 1


def test_latency_is_drawn_over_its_percentiles_beside_the_floor() -> None:
    rows = [replace(figure(4, 2), name=f"latency.{name}") for name in ("p50", "p99")]
    picture = drawn(run_of(*rows))["latency"]
    assert len(elements(picture, "polyline")) == 2
    texts = [element.text for element in elements(picture, "text")]
    assert {"p50", "p99", "Trickle", "floor"} <= set(texts)


def test_what_was_not_measured_is_not_drawn() -> None:
    assert drawn(run_of(figure(4))) == {}


def test_a_whole_run_and_no_other_is_written_into_the_page_with_its_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{report._BEGIN}\nold\n{report._END}\nafter\n")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(report, "PICTURES", tmp_path / "performance")
    quick = run_of(figure(5, 2))
    for run, names in ((quick | {"quick": False}, ["f"]), (quick, [])):
        report.write(run, names)
    assert "old" in page.read_text()
    assert not (tmp_path / "results" / "latest.json").exists()

    report.write(run_of(figure(4, 2)) | {"quick": False}, [])
    written = page.read_text()
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert "![the ratio to its floor of each figure](performance/ratios.svg)" in written
    assert elements((tmp_path / "performance" / "ratios.svg").read_text(), "rect")
    latest = json.loads((tmp_path / "results" / "latest.json").read_text())
    assert latest["figures"][0]["value"] == 4


# Other servers, and workers.


def test_another_server_takes_turns_with_ours_under_the_same_loads() -> None:
    command = " ".join(TRICKLE) + " serve --port {port} --no-changefeed"
    done = run("--quick", "--json", "against", "--reference", command)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["figures"]}
    assert set(rows) == {name for name in BUDGETS if name.startswith("against.")}
    assert all(row["floor_is"] == OTHER for row in rows.values())
    assert rows["against.lost"]["floor"] == 0


def test_another_server_must_be_told_its_port() -> None:
    done = run("against", "--reference", "refserve")
    assert done.returncode == 2
    assert "with {port} in it" in done.stderr


def test_another_server_that_does_not_start_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="does not listen"), reference("false"):
        pass


@pytest.fixture
def late() -> Iterator[tuple[Reader, socket.socket]]:
    """A reader that may miss segments, and the server's end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        reader = Reader("http", port, "c", bare=0, skips=True)
        server, _ = listener.accept()
        with reader.peer, server:
            yield reader, server


def test_a_reader_that_is_late_goes_on_with_the_latest(
    late: tuple[Reader, socket.socket],
) -> None:
    reader, server = late
    reader.ask()
    server.sendall(
        b"HTTP/1.1 470 \r\nLp-Trickle-Latest: 7\r\nContent-Length: 4\r\n\r\nlate"
    )
    assert reader.take() is False
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")
    assert reader.take() is True
    asked = server.recv(1000)
    assert asked.startswith(b"GET /c/0 ")
    assert b"GET /c/7 " in asked


def test_workers_are_left_out_or_measured_and_modelled() -> None:
    done = run("--quick", "--json", "workers")
    assert done.returncode == 0, done.stderr
    names = [row["name"] for row in json.loads(done.stdout)["figures"]]
    measured = [f"workers.{n}" for n in ("throughput", "cpu", "handover", "model")]
    assert names == (measured if is_there() else [])


def test_the_model_is_bounded_by_the_busiest_worker_and_by_what_does_not_divide() -> (
    None
):
    free = partial(modelled, handover=0.0, undivided=0.0)
    assert free(1, work=1e-5) == pytest.approx(1e5)
    assert free(64, work=1e-5) == pytest.approx(64e5 / imbalance(10_000, 64))
    assert modelled(64, work=1e-5, handover=0, undivided=1e-6) == pytest.approx(1e6)
    assert modelled(64, work=1e-5, handover=1e-3, undivided=0) < free(64, work=1e-5)


def test_names_are_dealt_out_less_evenly_to_more_workers() -> None:
    assert imbalance(10_000, 1) == 1
    assert 1 < imbalance(10_000, 2) < imbalance(10_000, 64) < 1.5


def test_a_subscriber_far_away_is_held_against_its_publisher() -> None:
    done = run("--quick", "--json", "distance")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)["figures"][-1]
    assert row["name"] == "distance.live"
    assert row["value"] > 0
    assert row["details"]["published"] > 0
