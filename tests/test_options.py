"""How the values of options are written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
import typer
from hypothesis import given, settings, strategies as st

from trickle_cli.commands.options import (
    parse_delimiter,
    parse_server,
    parse_size,
    parse_start,
    parse_time,
    parse_type,
)
from trickle_cli.protocol.sequence import CURRENT, MAX_SEQ, NEXT, OLDEST


def refusal(parse: Callable[[str], object], text: str) -> str:
    """What a user is told who writes `text`."""
    with pytest.raises(typer.BadParameter) as caught:
        parse(text)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("65536", 65536),
        ("12b", 12),
        ("12B", 12),
        ("64k", 64 * 1024),
        ("64K", 64 * 1024),
        ("64kb", 64 * 1024),
        ("64Ki", 64 * 1024),
        ("64KiB", 64 * 1024),
        ("64 KiB", 64 * 1024),
        (" 64KiB ", 64 * 1024),
        ("1.5MiB", 3 * 512 * 1024),
        ("2g", 2 * 1024**3),
        ("1T", 1024**4),
        ("0.001k", 1),
        ("1.9", 1),
    ],
)
def test_a_size_is_a_number_of_bytes_or_of_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


NO_SIZES = ["", "k", "KiB", "-1", "+1", "1 2", "1.", ".5", "1e3", "1p", "1kk", "1_0"]
NO_SIZES += ["1bk", "1ib", "0x10", "nan", "inf", "\u0664", "1\u212a"]


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    expected = f"'{text}' is not a size: 65536, 64KiB, 1.5MiB"
    assert refusal(parse_size, text) == expected


@pytest.mark.parametrize("text", ["0", "0k", "0.9", "0.0001k", "9" * 400])
def test_a_size_has_at_least_one_byte_and_an_end(text: str) -> None:
    assert refusal(parse_size, text) == "a size must be at least one byte, and finite"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2),
        ("2s", 2),
        ("2S", 2),
        ("2 s", 2),
        (" 2s ", 2),
        ("0.5", 0.5),
        ("500ms", 0.5),
        ("1.5m", 90),
        ("1h", 3600),
        ("1d", 86400),
    ],
)
def test_a_time_is_a_number_of_seconds_or_of_its_unit(
    text: str, seconds: float
) -> None:
    assert parse_time(text) == seconds


NO_TIMES = ["", "s", "-1", "+1", "1.", ".5", "1e3", "1w", "1 min", "1m30s", "1:30"]
NO_TIMES += ["nan", "inf", "\u0664", "2\u017f"]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    assert refusal(parse_time, text) == f"'{text}' is not a time: 500ms, 2s, 5m, 1h"


@pytest.mark.parametrize("text", ["0", "0ms", "0.0h", "9" * 400])
def test_a_time_passes_and_ends(text: str) -> None:
    assert refusal(parse_time, text) == "a time must be longer than nothing, and finite"


@settings(deadline=None)
@given(st.text() | st.from_regex(r"(?i)[0-9]+\.?[0-9]*\s?[kmgthdsib]{0,3}"))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_size, parse_time):
        with suppress(typer.BadParameter):
            assert parse(text) > 0


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        (";", b";"),
        (r"\n\n", b"\n\n"),
        (r"\0", b"\0"),
        (r"\r\t\\n", b"\r\t\\n"),
        (r"a\x1Eb", b"a\x1eb"),
        ("0x0D0a", b"\r\n"),
        ("hex:00", b"\0"),
        ("ü", b"\xc3\xbc"),
        ("\udcff", b"\xff"),
        (" ", b" "),
        ("x0a", b"x0a"),
    ],
)
def test_a_delimiter_is_text_with_escapes_or_hex(text: str, delimiter: bytes) -> None:
    assert parse_delimiter(text) == delimiter


@pytest.mark.parametrize(
    "text", [r"\q", "a\\", r"\x1", r"\xzz", "0x1", "hex:zz", "0xabc", "0x0a "]
)
def test_what_are_no_bytes_is_refused_with_examples(text: str) -> None:
    assert refusal(parse_delimiter, text).startswith(f"'{text}' are no bytes: ")


@pytest.mark.parametrize("text", ["", "0x", "hex:"])
def test_a_delimiter_has_bytes(text: str) -> None:
    assert refusal(parse_delimiter, text) == "a delimiter has at least one byte"


@pytest.mark.parametrize(
    ("text", "seq"),
    [
        ("latest", CURRENT),
        ("next", NEXT),
        ("oldest", OLDEST),
        ("0", 0),
        ("17", 17),
        ("-1", NEXT),
        ("-2", CURRENT),
        ("-30", -30),
        (str(MAX_SEQ), MAX_SEQ),
    ],
)
def test_a_start_is_a_word_or_a_seq(text: str, seq: int) -> None:
    assert parse_start(text) == seq


NO_STARTS = ["", "newest", "Latest", "1.0", "+1", "-", "--1", "-0", " 1", "1_0"]
NO_STARTS += [str(MAX_SEQ + 1), "\u0664", "\udcff"]


@pytest.mark.parametrize("text", NO_STARTS)
def test_what_is_no_start_is_refused_with_what_there_is(text: str) -> None:
    message = refusal(parse_start, text)
    assert message.startswith(f"'{text}' is not a start: latest, next, oldest")


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("video/mp2t", "video/mp2t"),
        (" text/plain ", "text/plain"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
    ],
)
def test_a_type_is_taken_as_it_is(text: str, type_: str) -> None:
    assert parse_type(text) == type_


@pytest.mark.parametrize("text", ["", "  ", "text/plain\r\nX: y", "a\0b", "téxt/plain"])
def test_a_type_that_cannot_be_sent_is_refused(text: str) -> None:
    assert refusal(parse_type, text) == f"'{text}' is not a MIME type: video/mp2t"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:2939", "http://127.0.0.1:2939"),
        ("http://127.0.0.1:2939/", "http://127.0.0.1:2939"),
        ("http://host:80/live/", "http://host/live"),
        ("https://host:443", "https://host"),
        ("http://[::1]:2939/a/b", "http://[::1]:2939/a/b"),
        (parse_server("http://host/live"), "http://host/live"),
    ],
)
def test_a_server_is_a_url_with_its_base_path(text: str, url: str) -> None:
    assert parse_server(text) == url


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:2939", "http://", "ftp://host", "http://host:x", "http://h?q=1"],
)
def test_what_is_no_server_is_refused_by_name(text: str) -> None:
    assert refusal(parse_server, text).startswith(f"'{text}' ")
