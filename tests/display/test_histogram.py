from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from trickle_cli.display.histogram import Histogram

times = st.lists(st.floats(0, 1000), min_size=1, max_size=200)


def histogram(*seconds: float) -> Histogram:
    found = Histogram()
    for time in seconds:
        found.add(time)
    return found


@given(times, st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_true_to_two_percent(seconds: list[float], part: float) -> None:
    exact = sorted(seconds)[max(0, -int(-part * len(seconds) // 1) - 1)]
    found = histogram(*seconds).quantile(part)
    assert found is not None
    assert exact <= found * 1.000001 + 1e-9
    assert found <= max(1.02 * exact, 1e-6) * 1.000001


@given(times)
def test_rows_have_all_of_them_each_below_its_end(seconds: list[float]) -> None:
    rows = histogram(*seconds).rows()
    assert sum(count for _, count in rows) == len(seconds)
    assert len(rows) <= 14
    assert [end for end, _ in rows] == sorted(end for end, _ in rows)
    total = 0
    for end, count in rows:
        total += count
        assert sum(time <= end for time in seconds) >= total
    assert rows[0][1]
    assert rows[-1][1]


def test_of_nothing_there_is_nothing_to_tell() -> None:
    empty = histogram()
    assert empty.record() == {"p50": None, "p90": None, "p99": None, "max": None}
    assert empty.lines(unicode=True) == []


def test_the_picture_is_as_wide_as_its_longest_row() -> None:
    found = histogram(*[0.0009] * 4, *[0.0039] * 2, 0.3)
    assert found.lines(unicode=False) == [
        "  to     1 ms          4  " + "#" * 40,
        "  to     2 ms          0",
        "  to     4 ms          2  " + "#" * 20,
        "  to     8 ms          0",
        "  to    16 ms          0",
        "  to    32 ms          0",
        "  to    64 ms          0",
        "  to   128 ms          0",
        "  to   256 ms          0",
        "  to   512 ms          1  " + "#" * 10,
    ]
    assert found.lines(unicode=True)[0].endswith("  " + "█" * 40)


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e-6])
def test_what_is_too_quick_to_measure_counts(seconds: float) -> None:
    assert histogram(seconds).quantile(1) == seconds
