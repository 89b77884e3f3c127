"""What may be a channel's name, and how it is written in a path."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings, strategies as st

from tests.protocol.feeding import CHANNELS
from trickle_cli.errors import BadAddress
from trickle_cli.protocol.names import (
    CHANGEFEED,
    check_channel_name,
    quote_channel,
    unquote_channel,
)

EMPTY = "a channel name cannot be empty"
NOT_UTF8 = "the channel name is not valid UTF-8"


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "cam1",
        "next",
        "-1",
        "0",
        "...",
        ".a",
        "a..b",
        "a b",
        " ",
        "a%2Fb",
        "a?b#c&d=e+f",
        "\\",
        "~",
        "é",
        "カメラ",
        "👩‍🚀",
        "\u00a0",
        "\u00a0\u0600",
        CHANGEFEED,
        "x" * 255,
        "é" * 127,
        "👩" * 63,
    ],
)
def test_a_name_that_may_be_is_returned_and_survives_a_path(name: str) -> None:
    assert check_channel_name(name) == name
    assert unquote_channel(quote_channel(name).encode("ascii")) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", EMPTY),
        ("/", "channel name '/' contains '/': use a name without it"),
        ("a/b", "channel name 'a/b' contains '/': use a name without it"),
        ("a/", "channel name 'a/' contains '/': use a name without it"),
        (".", "channel name '.' is a path step, not a name"),
        ("..", "channel name '..' is a path step, not a name"),
        ("x" * 256, "channel name of 256 bytes: at most 255 are allowed"),
        ("é" * 128, "channel name of 256 bytes: at most 255 are allowed"),
        ("👩" * 64, "channel name of 256 bytes: at most 255 are allowed"),
        ("a\ud800", r"channel name 'a\ud800' is not valid text"),
    ],
)
def test_a_name_that_may_not_be_is_refused_with_its_reason(
    name: str, reason: str
) -> None:
    with pytest.raises(BadAddress) as refusal:
        check_channel_name(name)
    assert str(refusal.value) == reason


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029])
def test_a_name_with_a_control_character_is_refused(code: int) -> None:
    name = f"é{chr(code)}b"
    reason = f"channel name {name!a} contains control characters"
    with pytest.raises(BadAddress) as refusal:
        check_channel_name(name)
    assert str(refusal.value) == reason
    with pytest.raises(BadAddress) as refusal:
        unquote_channel(quote(name).encode("ascii"))
    assert str(refusal.value) == reason


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (b"cam1", "cam1"),
        (b"%63am1", "cam1"),
        (b"%C3%A9", "é"),
        (b"%c3%a9", "é"),
        (b"%C3\xa9", "é"),
        (b"a%20b", "a b"),
        (b"a+b", "a+b"),
        (b"a%2525", "a%25"),
        (b"%", "%"),
        (b"%zz", "%zz"),
        (b"a%4", "a%4"),
        (b"x" * 255, "x" * 255),
        (b"%78" * 255, "x" * 255),
        (b"%2e%2E%2e", "..."),
    ],
)
def test_a_part_of_a_path_is_decoded_once(part: bytes, name: str) -> None:
    assert unquote_channel(part) == name


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (b"", EMPTY),
        (b"%2F", "channel name '/' contains '/': use a name without it"),
        (b"a%2fb", "channel name 'a/b' contains '/': use a name without it"),
        (b"%2e", "channel name '.' is a path step, not a name"),
        (b"%2E.", "channel name '..' is a path step, not a name"),
        (b"%78" * 256, "channel name of 256 bytes: at most 255 are allowed"),
        (b"%ff", NOT_UTF8),
        (b"%C3", NOT_UTF8),
        (b"\xff", NOT_UTF8),
        (b"%C0%AF", NOT_UTF8),
        (b"%ED%A0%80", NOT_UTF8),
    ],
)
def test_a_part_of_a_path_that_names_no_channel_is_refused(
    part: bytes, reason: str
) -> None:
    for _ in range(2):  # what is remembered are names, not refusals
        with pytest.raises(BadAddress) as refusal:
            unquote_channel(part)
        assert str(refusal.value) == reason


def test_a_refused_name_is_also_a_value_error() -> None:
    with pytest.raises(ValueError, match=EMPTY):
        check_channel_name("")


@settings(max_examples=200, deadline=None)
@given(CHANNELS)
def test_any_name_survives_a_path(name: str) -> None:
    quoted = quote_channel(name)
    assert quoted.isascii()
    assert "/" not in quoted
    assert unquote_channel(quoted.encode("ascii")) == check_channel_name(name)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=20) | st.text(max_size=20).map(str.encode))
def test_any_part_of_a_path_gives_a_name_that_may_be_or_is_refused(part: bytes) -> None:
    try:
        name = unquote_channel(part)
    except BadAddress:
        return
    assert check_channel_name(name) == name
