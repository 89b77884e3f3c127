"""How seqs are written, and what the negative ones mean."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from trickle_cli.protocol.sequence import (
    CURRENT,
    MAX_SEQ,
    NEXT,
    OLDEST,
    parse_seq,
    resolve,
)

HEADS = st.integers(0, MAX_SEQ - 1)


@pytest.mark.parametrize(
    ("text", "seq"),
    [
        (b"0", 0),
        (b"7", 7),
        (b"10", 10),
        (b"-1", -1),
        (b"-2", -2),
        (b"-10", -10),
        (b"007", 7),
        (b"-007", -7),
        (b"0000000000000001", 1),
        (b"9007199254740991", 2**53 - 1),
        (b"-9007199254740991", 1 - 2**53),
    ],
)
def test_a_seq_is_decimal_digits_after_at_most_a_minus(text: bytes, seq: int) -> None:
    assert parse_seq(text) == seq


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"-",
        b"--1",
        b"+1",
        b"-+1",
        b" 1",
        b"1 ",
        b"- 1",
        b"1\n",
        b"1_0",
        b"1.0",
        b"1e3",
        b"0x1",
        b"-0",
        b"-00",
        b"a",
        b"next",
        b"\xb2",
        "١".encode(),
        b"1\0",
        b"9007199254740992",
        b"-9007199254740992",
        b"9999999999999999",
        b"00000000000000001",
        b"1" * 20,
        b"-" + b"1" * 20,
        pytest.param(b"1" * 100_000, id="100 000 digits"),
        pytest.param(b"-" * 100_000, id="100 000 minuses"),
    ],
)
def test_nothing_else_is_a_seq(text: bytes) -> None:
    assert parse_seq(text) is None


def test_the_words_for_seqs_are_those_of_the_contract() -> None:
    assert (NEXT, CURRENT, OLDEST, MAX_SEQ) == (-1, -2, 1 - 2**53, 2**53 - 1)


@pytest.mark.parametrize(
    ("seq", "head", "oldest", "absolute"),
    [
        # an absolute one is itself, wherever the window is
        (0, 10, 5, 0),
        (7, 10, 5, 7),
        (10, 10, 5, 10),
        (99, 10, 5, 99),
        # the head, and back from it
        (-1, 10, 5, 10),
        (-2, 10, 5, 9),
        (-3, 10, 5, 8),
        (-6, 10, 5, 5),
        # clamped to the oldest
        (-7, 10, 5, 5),
        (-12, 10, 5, 5),
        (OLDEST, 10, 5, 5),
        (-2, 10, 9, 9),
        (-3, 10, 9, 9),
        # all evicted
        (-1, 10, 10, 10),
        (-2, 10, 10, 10),
        # a window that begins at 0
        (-1, 1, 0, 1),
        (-2, 1, 0, 0),
        (-3, 1, 0, 0),
        # nothing has begun
        (-1, 0, 0, 0),
        (-2, 0, 0, 0),
        (OLDEST, 0, 0, 0),
    ],
)
def test_a_negative_seq_counts_back_from_the_head(
    seq: int, head: int, oldest: int, absolute: int
) -> None:
    assert resolve(seq, head=head, oldest=oldest) == absolute


@settings(max_examples=200, deadline=None)
@given(st.integers(-MAX_SEQ, MAX_SEQ))
def test_any_seq_is_read_as_it_was_written(seq: int) -> None:
    assert parse_seq(b"%d" % seq) == seq


@settings(max_examples=200, deadline=None)
@given(st.integers(MAX_SEQ + 1))
def test_no_number_beyond_the_largest_seq_is_one(number: int) -> None:
    assert parse_seq(b"%d" % number) is None
    assert parse_seq(b"-%d" % number) is None


@settings(max_examples=200, deadline=None)
@given(st.integers(-MAX_SEQ, -2), HEADS, HEADS)
def test_what_is_named_from_the_end_is_in_the_window(seq: int, a: int, b: int) -> None:
    oldest, head = sorted((a, b))
    newest = max(oldest, head - 1)
    assert oldest <= resolve(seq, head=head, oldest=oldest) <= newest
    after = resolve(seq + 1, head=head, oldest=oldest)
    assert resolve(seq, head=head, oldest=oldest) <= after
    assert resolve(CURRENT, head=head, oldest=oldest) == newest
    assert resolve(OLDEST, head=head, oldest=oldest) == oldest
