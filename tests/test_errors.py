"""What errors tell a person, and what they keep for a program."""

from __future__ import annotations

import inspect
import re

import pytest

from trickle_cli import errors
from trickle_cli.errors import (
    BadAddress,
    ChannelClosed,
    ChannelNotFound,
    ChannelVanished,
    LimitReached,
    ProtocolViolation,
    SegmentConflict,
    SegmentNotFound,
    SegmentTooLarge,
    TrickleError,
    UnexpectedStatus,
)

HINT = "trickle create cam1"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UnexpectedStatus(502), "the server answered 502"),
        (UnexpectedStatus(502, "bad"), "the server answered 502: bad"),
        (
            UnexpectedStatus(502, "bad", what="creating cam1"),
            "creating cam1: the server answered 502: bad",
        ),
        (ChannelNotFound("cam1"), "no channel 'cam1'"),
        (
            ChannelNotFound("cam1", where="http://h:1", hint=HINT),
            "no channel 'cam1' on http://h:1 — trickle create cam1",
        ),
        (SegmentNotFound(7, 5), "no segment 7 (the head is 5)"),
        (ChannelClosed("cam1"), "channel 'cam1' is closed"),
        (
            ChannelClosed("cam1", where="http://h:1"),
            "channel 'cam1' on http://h:1 is closed",
        ),
        (
            ChannelVanished("cam1", where="http://h:1"),
            "channel 'cam1' on http://h:1 has vanished: if more was published, it is"
            " lost",
        ),
        (
            SegmentTooLarge(3),
            "segment 3 is larger than the server allows"
            " — cut it smaller, or raise its --max-segment",
        ),
        (
            SegmentTooLarge(3, 99),
            "segment 3 is larger than the server allows (99 bytes)"
            " — cut it smaller, or raise its --max-segment",
        ),
        (SegmentConflict(3, 8), "segment 3 is complete already; the head is 8"),
        (
            SegmentConflict(3, 8, reason="has 5 bytes"),
            "segment 3 has 5 bytes; the head is 8",
        ),
    ],
)
def test_an_error_reads_as_one_line_for_a_person(
    error: TrickleError, text: str
) -> None:
    assert str(error) == text


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (ProtocolViolation("no"), {"status": 400}),
        (ProtocolViolation("no", status=431), {"status": 431}),
        (UnexpectedStatus(502, "bad"), {"code": 502, "body": "bad"}),
        (ChannelNotFound("cam1", where="http://h:1"), {"channel": "cam1"}),
        (SegmentNotFound(7, None), {"seq": 7, "latest": None}),
        (ChannelClosed("cam1"), {"channel": "cam1"}),
        (ChannelVanished("cam1"), {"channel": "cam1"}),
        (SegmentTooLarge(3, 99), {"seq": 3, "limit": 99}),
        (LimitReached("full", retryable=True), {"retryable": True}),
        (SegmentConflict(3, 8), {"seq": 3, "latest": 8, "size": None}),
        (SegmentConflict(3, 8, size=5), {"seq": 3, "latest": 8, "size": 5}),
    ],
)
def test_an_error_keeps_what_a_program_needs(
    error: TrickleError, fields: dict[str, object]
) -> None:
    assert vars(error) == fields


def test_a_bad_address_is_a_value_error_too() -> None:
    assert issubclass(BadAddress, ValueError)


def test_the_tree_in_the_docstring_is_the_tree_that_there_is() -> None:
    defined = inspect.getmembers(errors, inspect.isclass)
    raised = {name for name, class_ in defined if class_ is not TrickleError}
    assert errors.__doc__ is not None
    assert set(re.findall(r"[├└]── (\w+)", errors.__doc__)) == raised
    assert all(issubclass(class_, TrickleError) for _, class_ in defined)
