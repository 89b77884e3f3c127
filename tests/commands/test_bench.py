from __future__ import annotations

import json
import signal

import pytest

from tests.commands.programs import Http, Programs


def channels(http: Http) -> list[str]:
    """Those that are open, and made up."""
    listed = json.loads(http.get("/"))["channels"]
    names = [c["name"] for c in listed if not c["closed"]]
    return [name for name in names if name.startswith("bench-")]


@pytest.mark.parametrize("size", ["8", "100", "200000"])
def test_what_is_sent_is_received_by_everyone(
    programs: Programs, common: Http, size: str
) -> None:
    program = programs.run(
        *("bench", "-s", common.url, "--publishers", "2", "--subscribers", "3"),
        *("--segments", "5", "--size", size, "--lossless", "--json"),
    )
    assert program.ends() == 0
    assert program.err.startswith(f"trickle bench: loading {common.url}\n")
    found = json.loads(program.out)
    assert found["sent"]["segments"] == 10
    assert found["received"]["segments"] == 30
    assert found["sent"]["bytes"] == 10 * int(size)
    assert found["received"]["bytes"] == 30 * int(size)
    assert (found["lost"], found["incomplete"]) == (0, 0)
    for name in ("first_byte", "whole_segment"):
        latency = found[name]
        assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"]
        assert latency["p99"] <= latency["max"] <= found["seconds"]
    assert found["first_byte"]["p50"] <= found["whole_segment"]["p50"]
    assert found["client_cpu"] > 0
    assert channels(common) == []


def test_a_person_gets_a_table_and_a_picture_of_ascii_where_that_is_all(
    programs: Programs, common: Http
) -> None:
    program = programs.run(
        *("bench", "-s", common.url, "--segments", "20", "--size", "1KiB"),
        *("--rate", "100KiB", "--chunk", "256"),
        LC_ALL="C",
    )
    assert program.ends() == 0
    assert program.out.isascii()
    text = program.out.decode()
    assert text.startswith("1 publisher, 1 subscriber each, segments of 1.0 KiB, ")
    rows = {line[:14].strip(): line[14:].split() for line in text.splitlines()}
    assert rows["sent"][0] == rows["received"][0] == "20"
    assert rows["lost"] == ["0"]
    assert rows["latency, ms"] == ["p50", "p90", "p99", "max"]
    assert len(rows["whole segment"]) == 4
    assert "first byte, of 20:" in text
    assert "#" in text
    assert max(map(len, text.splitlines())) <= 80


def test_it_can_have_a_server_of_its_own(programs: Programs) -> None:
    program = programs.run(
        "bench", "--serve", "--for", "300ms", "--json", "--rate", "1MiB"
    )
    assert program.ends() == 0
    found = json.loads(program.out)
    assert found["received"]["segments"] == found["sent"]["segments"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_channels_are_closed_when_it_is_interrupted(
    programs: Programs, common: Http, number: int
) -> None:
    program = programs.start("bench", "-s", common.url, "--publishers", "3")
    program.says("loading")
    while len(channels(common)) < 3:
        assert program.runs
    program.interrupt(number)
    assert (program.ends(), program.out) == (128 + number, b"")
    assert channels(common) == []


def test_an_unreachable_server_is_said(programs: Programs, nowhere: str) -> None:
    program = programs.run("bench", "-s", nowhere)
    assert program.ends() == 1
    assert program.err.splitlines()[-1].startswith(
        f"trickle bench: cannot reach {nowhere}: connection refused"
    )


def test_a_segment_has_room_for_its_time(programs: Programs, common: Http) -> None:
    program = programs.run("bench", "-s", common.url, "--size", "7")
    assert (program.ends(), program.out) == (2, b"")
    assert "a segment has at least 8 bytes here" in program.err
