"""Whatever the input, however it comes in, and whatever the splitter's parameters."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings, strategies as st

from tests.splitters.rules import Parameters, Rules, Step, run, segments, take
from trickle_cli.splitters import CUT, NEWLINE, Cut, Splitter

DATA = st.text("ab\n", max_size=20).map(str.encode)
SIZES = st.integers(1, 12)


@st.composite
def timetables(draw: st.DrawFn) -> list[Step]:
    """Feeds and ticks at whole seconds that do not go back."""
    pauses = st.integers(0, 4)
    now, steps = 100, []
    for pause, data in draw(st.lists(st.tuples(pauses, DATA), max_size=10)):
        now += pause
        steps.append((float(now), data))
    return steps


PARAMETERS = st.builds(
    Parameters,
    delimiter=st.sampled_from([b"", b"\n", b"\n\n", b"ab", b"aba"]),
    every=st.none() | st.integers(1, 4),
    size=st.none() | SIZES,
    seconds=st.none() | st.integers(1, 4),
)
SPLITTERS = PARAMETERS.map(Parameters.splitter)


@settings(deadline=None)
@given(SPLITTERS, timetables())
def test_the_pieces_make_up_the_input_and_none_of_it_is_held_back(
    splitter: Splitter, steps: list[Step]
) -> None:
    for step in steps:
        pieces = [p for p in take(splitter, step) if not isinstance(p, Cut)]
        assert b"".join(pieces) == step[1]


@settings(deadline=None)
@given(SPLITTERS, timetables())
def test_no_piece_and_no_segment_is_empty(
    splitter: Splitter, steps: list[Step]
) -> None:
    output = run(splitter, steps)
    assert b"" not in output
    assert output[:1] != [CUT]
    assert (CUT, CUT) not in pairwise(output)


@settings(deadline=None)
@given(st.none() | SIZES, st.none() | st.integers(1, 4), timetables())
def test_with_a_boundary_every_cut_is_at_one(
    size: int | None, seconds: int | None, steps: list[Step]
) -> None:
    splitter = Splitter(boundary=NEWLINE, size=size, seconds=seconds)
    for segment in segments(run(splitter, steps))[:-1]:
        assert segment.endswith(b"\n")


@settings(deadline=None)
@given(PARAMETERS, st.binary(max_size=500), st.lists(st.integers(0, 500)))
def test_any_bytes_in_any_split_come_out_as_the_rules_say(
    parameters: Parameters, data: bytes, places: list[int]
) -> None:
    ends = sorted({0, len(data), *(place for place in places if place < len(data))})
    steps = [(0.0, data[start:end]) for start, end in pairwise(ends)]
    found = segments(run(parameters.splitter(), steps))
    assert b"".join(found) == data
    assert found == Rules(parameters).segments(steps)


@settings(deadline=None)
@given(PARAMETERS, timetables())
def test_the_cuts_are_those_that_the_rules_call_for(
    parameters: Parameters, steps: list[Step]
) -> None:
    output = run(parameters.splitter(), steps)
    assert segments(output) == Rules(parameters).segments(steps)


@settings(deadline=None)
@given(SPLITTERS, timetables())
def test_what_is_due_is_not_due_any_more_after_its_tick(
    splitter: Splitter, steps: list[Step]
) -> None:
    for step in steps:
        take(splitter, step)
        assert splitter.due is None or splitter.due > step[0]
