"""Numbers and foreign texts as a person reads them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings, strategies as st

from trickle_cli.display import formats


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1023.6, "1.0 KiB"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (1024**2, "1.0 MiB"),
        (8.1 * 1024**2, "8.1 MiB"),
        (1024**3, "1.0 GiB"),
        (1024**4, "1.0 TiB"),
        (5000 * 1024**4, "5000.0 TiB"),
    ],
)
def test_a_size_is_in_binary_units(count: float, text: str) -> None:
    assert formats.size(count) == text


@pytest.mark.parametrize(
    ("bytes_per_second", "text"),
    [
        (0, "0 bit/s"),
        (1, "8 bit/s"),
        (124.9, "999 bit/s"),
        (125, "1.0 kbit/s"),
        (337_500, "2.7 Mbit/s"),
        (124_999_999, "1.0 Gbit/s"),
        (1e12, "8000.0 Gbit/s"),
    ],
)
def test_a_rate_is_in_bits_in_decimal_units(bytes_per_second: float, text: str) -> None:
    assert formats.rate(bytes_per_second) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0, "0 ms"),
        (0.0004, "0 ms"),
        (0.34, "340 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (24, "24.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1:00 min"),
        (185, "3:05 min"),
        (3599.6, "1:00:00 h"),
        (7385, "2:03:05 h"),
        (100 * 3600, "100:00:00 h"),
    ],
)
def test_a_time_span_is_in_the_unit_that_suits_it(duration: float, text: str) -> None:
    assert formats.seconds(duration) == text


@settings(deadline=None)
@given(st.integers(0, 2**60))
def test_no_number_is_longer_than_a_column_has_room_for(count: int) -> None:
    number, unit = formats.size(count).split()
    assert unit == "TiB" or float(number) < 1024
    number, unit = formats.rate(count).split()
    assert unit == "Gbit/s" or float(number) < 1000


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 segments"), (1, "1 segment"), (12, "12 segments")]
)
def test_only_one_is_in_the_singular(number: int, text: str) -> None:
    assert formats.count(number, "segment") == text


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        (range(12, 13), "segment 12"),
        (range(12, 14), "segments 12-13"),
        (range(12, 18), "segments 12-17"),
    ],
)
def test_missing_segments_are_named_by_the_first_and_the_last(
    missing: range, text: str
) -> None:
    assert formats.seqs(missing) == text


@pytest.mark.parametrize(
    "text", ["", "cam1", "a b", "über", "カメラ", "🎥", "e\u0301", "[red]x[/]"]
)
def test_what_a_person_can_read_stays_as_it_is(text: str) -> None:
    assert formats.clean(text) == text


@pytest.mark.parametrize(
    "character",
    [
        "\0",
        "\a",
        "\b",
        "\t",
        "\n",
        "\r",
        "\x1b",
        "\x7f",
        "\x9b",
        "\u200b",
        "\u202e",
        "\u2028",
        "\u2029",
        "\udc80",
        "\ue000",
        "\U000e0001",
    ],
)
def test_what_commands_a_terminal_or_breaks_a_line_is_replaced(character: str) -> None:
    assert formats.clean(f"a{character}b") == "a\ufffdb"
    assert formats.clean(f"ü{character}b") == "ü\ufffdb"


@settings(deadline=None)
@given(st.text(st.characters(codec=None)))
def test_a_cleaned_text_is_one_line_without_commands(text: str) -> None:
    cleaned = formats.clean(text)
    assert len(cleaned) == len(text)
    assert len(cleaned.splitlines()) <= 1
    assert not {unicodedata.category(c) for c in cleaned} & {"Cc", "Cf", "Cs"}
    cleaned.encode()
