"""What is told of a segment."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from trickle_cli.errors import BadConfiguration
from trickle_cli.outputs.taken import (
    FIELDS,
    FileName,
    FormattedLine,
    JsonLine,
    Segment,
    Taken,
)

PAYLOAD = b"caf\xc3\xa9 \xff\n"
TAKEN = Taken(
    segment=Segment(channel='a"b\n', seq=7, type="text/plain", started=1.5e9, lost=2),
    size=len(PAYLOAD),
    ended=1.5e9 + 1.25,
    complete=True,
    payload=PAYLOAD,
    file="out/7",
)


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (None, None),
        ("text", "caf\u00e9 \ufffd\n"),
        ("base64", base64.b64encode(PAYLOAD).decode()),
    ],
)
def test_an_object_of_json_is_one_line(payload: str | None, told: str | None) -> None:
    line = JsonLine(payload)
    assert line.wants_payload == (payload is not None)
    text = line.of(TAKEN)
    assert text.count(b"\n") == 1
    assert text.endswith(b"\n")
    assert json.loads(text) == {
        "channel": 'a"b\n',
        "seq": 7,
        "size": len(PAYLOAD),
        "started": "2017-07-14T02:40:00.000Z",
        "ended": "2017-07-14T02:40:01.250Z",
        "type": "text/plain",
        "complete": True,
        "lost": 2,
        "file": "out/7",
        **({} if told is None else {"payload": told}),
    }


def test_a_form_is_filled_in() -> None:
    line = FormattedLine("{seq:03d} {size} {duration} {{{text}}} {lost}")
    assert line.wants_payload
    assert line.of(TAKEN) == "007 8 1.25 {caf\u00e9 \ufffd\n} 2\n".encode()
    assert not FormattedLine("{seq}").wants_payload


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_can_be_written(name: str) -> None:
    assert FormattedLine(f"{{{name}}}").of(TAKEN).endswith(b"\n")


@pytest.mark.parametrize(
    "form", ["{seqs}", "{seq.real}", "{text[0]}", "{", "{seq!r}", "{seq:q}"]
)
def test_a_form_with_anything_else_is_refused(form: str) -> None:
    with pytest.raises(BadConfiguration, match="--format: "):
        FormattedLine(form)


def test_only_files_that_are_complete_are_named() -> None:
    from dataclasses import replace

    assert FileName().of(TAKEN) == b"out/7\0"
    assert FileName().of(replace(TAKEN, complete=False)) == b""


def test_the_name_of_a_file_is_no_option() -> None:
    assert FileName().of(replace(TAKEN, file="-rf-7")) == b"./-rf-7\0"


@pytest.mark.parametrize(
    "form", ["{size:99999999999}", "{seq:012345d}", "{text:.1000}"]
)
def test_no_field_is_so_wide_that_it_fills_the_memory(form: str) -> None:
    with pytest.raises(BadConfiguration, match="is too wide"):
        FormattedLine(form)
