"""Names of files that are made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from trickle_cli.errors import BadAddress, BadConfiguration
from trickle_cli.outputs.pattern import Pattern
from trickle_cli.outputs.taken import Segment
from trickle_cli.protocol.names import check_channel_name


def segment(
    channel: str = "cam", seq: int = 7, started: float = 1.5e9 + 0.25
) -> Segment:
    return Segment(channel=channel, seq=seq, type="", started=started, lost=0)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("out.ts", "out.ts"),
        ("seg-{seq:06d}.ts", "seg-000007.ts"),
        ("{channel}/{seq}.ts", "cam/7.ts"),
        ("{time}.ts", "20170714T024000.250000Z.ts"),
        ("{time:%H:%M}.ts", "02:40.ts"),
        ("/a/{channel:>5}", "/a/  cam"),
        ("{{seq}}-{seq:x}", "{seq}-7"),
    ],
)
def test_fields_stand_for_what_they_are_called(text: str, path: str) -> None:
    assert Pattern(text).path_of(segment()) == Path(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{sequence}", "{sequence} is not one of {channel}, {seq}, {time}"),
        ("{}", "{} is not one of"),
        ("{seq.real}", "{seq.real} is not one of"),
        ("{seq!r}", "{seq} is not one of"),
        ("{seq", "expected '}' before end of string"),
        ("seq}", "Single '}' encountered"),
        ("{seq:q}", "Unknown format code 'q'"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadConfiguration, match=re.escape(reason)) as caught:
        Pattern(text)
    assert str(caught.value).startswith("--output: ")


@pytest.mark.parametrize(
    ("text", "plain", "per_channel", "per_segment"),
    [
        ("out", True, False, False),
        ("{channel}", False, True, False),
        ("{seq}", False, False, True),
        ("{time}", False, False, True),
        ("{channel}-{seq}", False, True, True),
    ],
)
def test_it_tells_how_many_files_there_are(
    text: str, plain: bool, per_channel: bool, per_segment: bool
) -> None:
    pattern = Pattern(text)
    assert pattern.is_plain == plain
    assert pattern.is_per_channel == per_channel
    assert pattern.is_per_segment == per_segment


def _is_name(text: str) -> bool:
    try:
        check_channel_name(text)
    except BadAddress:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "file"),
    [(".bashrc", "%2Ebashrc"), ("..", "%2E."), ("a.b", "a.b"), ("%2E", "%252E")],
)
def test_no_name_is_that_of_a_hidden_file(name: str, file: str) -> None:
    assert Pattern("{channel}").path_of(segment(name)) == Path(file)


def test_segments_that_come_in_the_same_second_have_different_files() -> None:
    pattern = Pattern("{time}")
    one, two = (pattern.path_of(segment(started=1.5e9 + t)) for t in (0.001, 0.002))
    assert one != two


names = st.text("2Eb.%/ \\é\u202e", min_size=1, max_size=4).filter(
    _is_name
) | st.sampled_from([".", "..", "...", "%2E", "~", "-rf", " ", "a\\b", "%2F"])


@given(names, st.sampled_from(["{channel}", "{channel}/{seq}", "x/{channel}/{seq}"]))
@settings(deadline=None)
def test_no_name_leads_out_of_the_folder(name: str, text: str) -> None:
    path = Pattern(f"/base/{text}").path_of(segment(name))
    assert path.is_relative_to("/base")
    assert ".." not in path.parts
    assert len(path.parts) == len(Path(f"/base/{text}").parts)


@given(names, names)
@settings(deadline=None)
def test_different_channels_have_different_files(one: str, two: str) -> None:
    pattern = Pattern("{channel}/{seq}")
    same = pattern.path_of(segment(one)) == pattern.path_of(segment(two))
    assert same == (one == two)
