"""Throughput out of totals."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given, settings, strategies as st

from trickle_cli.display.meter import WINDOW, Meter

#: Pauses between looks, and what was added in them.
STEPS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 1000)), min_size=1)


def test_before_any_time_has_passed_there_is_no_throughput() -> None:
    meter = Meter(100)
    assert (meter.rate, meter.mean) == (0, 0)
    meter.look(1000, 100)
    assert (meter.rate, meter.mean) == (0, 0)


def test_at_the_beginning_the_rate_is_that_from_the_start() -> None:
    meter = Meter(100)
    meter.look(10, 101)
    assert meter.rate == 10
    meter.look(60, 102)
    assert meter.rate == 30


def test_the_rate_is_that_of_the_last_seconds_and_the_mean_that_of_all() -> None:
    meter = Meter(100)
    for second in range(1, 21):
        meter.look(1000 * second, 100 + second)
    for second in range(21, 41):
        meter.look(20_000, 100 + second)
    assert meter.rate == 0
    assert meter.mean == 500


def test_the_rate_falls_within_the_window_after_the_last_byte() -> None:
    meter = Meter(100)
    meter.look(1000, 101)
    rates = []
    for now in (102, 103, 104, 105, 106, 107):
        meter.look(1000, now)
        rates.append(meter.rate)
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0
    assert rates[-1] == 0


def test_a_look_after_a_long_silence_sees_all_of_it() -> None:
    meter = Meter(100)
    meter.look(1000, 101)
    meter.look(1000 + 60, 161)
    assert meter.rate == 1


@settings(deadline=None)
@given(STEPS)
def test_the_rate_is_taken_from_the_last_look_that_is_a_window_ago(
    steps: list[tuple[int, int]],
) -> None:
    times = list(accumulate((pause for pause, _ in steps), initial=100))
    totals = list(accumulate((added for _, added in steps), initial=0))
    looks = list(zip(times, totals, strict=True))
    meter = Meter(times[0])
    for now, total in looks[1:]:
        meter.look(total, now)
    now, total = looks[-1]
    old = [look for look in looks[:-1] if look[0] <= now - WINDOW]
    since, before = old[-1] if old else looks[0]
    assert meter.rate == pytest.approx((total - before) / (now - since))
    assert meter.mean == pytest.approx(total / (now - times[0]))
