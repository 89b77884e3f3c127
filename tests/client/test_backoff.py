"""How long the pauses are, on a clock that jumps."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from trickle_cli.client.backoff import CAP, FIRST, Backoff


async def _length(backoff: Backoff, at_least: float = 0) -> float:
    started = trio.current_time()
    await backoff.pause(at_least)
    return trio.current_time() - started


async def test_pauses_double_up_to_the_cap_and_each_is_shortened_by_chance(
    autojump_clock: MockClock,
) -> None:
    lengths = []
    for _ in range(20):  # chance must not go by unseen
        backoff = Backoff()
        longest = FIRST
        for _ in range(12):
            length = await _length(backoff)
            assert longest / 2 - 1e-6 <= length <= longest + 1e-6
            lengths.append(length / longest)
            longest = min(longest * 2, CAP)
        assert longest == CAP
    assert max(lengths) - min(lengths) > 0.3


async def test_after_a_success_pauses_are_short_again(
    autojump_clock: MockClock,
) -> None:
    backoff = Backoff()
    for _ in range(5):
        await backoff.pause()
    backoff.reset()
    assert await _length(backoff) <= FIRST + 1e-6


async def test_a_cap_of_its_own_holds_and_may_change(
    autojump_clock: MockClock,
) -> None:
    backoff = Backoff(cap=0.3)
    for _ in range(10):
        assert await _length(backoff) <= 0.3 + 1e-6
    backoff.cap = 100
    for _ in range(10):
        await backoff.pause()
    assert await _length(backoff) >= 50 - 1e-6


async def test_a_pause_lasts_as_long_as_the_server_asked_for(
    autojump_clock: MockClock,
) -> None:
    backoff = Backoff()
    assert 7 <= await _length(backoff, at_least=7) < 7.001
    assert await _length(backoff) < 1
