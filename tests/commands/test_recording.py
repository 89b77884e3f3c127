"""`trickle record` and `trickle replay`."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands.programs import Http, Programs, wait_until


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def record(common: Http, name: str, kept: Path) -> tuple[str, ...]:
    return ("record", "-s", common.url, name, str(kept))


@pytest.fixture
def replay(common: Http, name: str, kept: Path) -> tuple[str, ...]:
    return ("replay", "-s", common.url, str(kept), f"{name}-again")


def index(kept: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in (kept / "index.jsonl").read_text().split("\n")[:-1]
    ]


def files(kept: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in kept.iterdir()
        if path.name != "index.jsonl"
    }


def write(kept: Path, *segments: dict[str, Any], type_: str = "text/plain") -> None:
    """A recording, with what is missing of `segments` made up."""
    kept.mkdir()
    lines: list[dict[str, Any]] = [
        {
            "recording": 1,
            "channel": "cam",
            "type": type_,
            "started": "2026-01-01T00:00:00Z",
        }
    ]
    for number, segment in enumerate(segments):
        data = segment.pop("data", b"data")
        usual = {"seq": number, "file": f"{number:08}.txt", "size": len(data)}
        usual |= {"epoch": "e", "began": 0.0, "ended": 0.0, "complete": True}
        lines.append(usual | {"chunks": [[0.0, len(data)]]} | segment)
        (kept / f"{number:08}.txt").write_bytes(data)
    (kept / "index.jsonl").write_text(
        "".join(f"{json.dumps(line)}\n" for line in lines)
    )


def test_a_channel_is_kept_in_files_and_an_index(
    programs: Programs, common: Http, name: str, record: tuple[str, ...], kept: Path
) -> None:
    common.make(name, b"", b"1" * 300_000, type_="video/mp2t")
    program = programs.start(*record, "--from", "0")
    wait_until(
        lambda: len(index(kept)) == 3 if (kept / "index.jsonl").exists() else False
    )
    common.add(name, 2, b"2")
    common.close(name)
    assert program.ends() == 0
    assert files(kept) == {
        "00000000.ts": b"",
        "00000001.ts": b"1" * 300_000,
        "00000002.ts": b"2",
    }
    session, *segments = index(kept)
    assert (session["recording"], session["channel"]) == (1, name)
    assert session["type"] == "video/mp2t"
    assert [line["seq"] for line in segments] == [0, 1, 2]
    assert [line["complete"] for line in segments] == [True] * 3
    for line in segments:
        assert sum(size for _, size in line["chunks"]) == line["size"]
        assert 0 <= line["began"] <= line["ended"]
    assert program.err.splitlines()[-1].startswith(
        "trickle record: recorded 3 segments"
    )


def test_it_comes_again_with_the_timing_that_it_had(
    programs: Programs,
    common: Http,
    name: str,
    record: tuple[str, ...],
    replay: tuple[str, ...],
    kept: Path,
) -> None:
    publisher = programs.start(
        "pub", "--type", "a/b", "-s", common.url, "--time", "1h", name
    )
    program = programs.start(*record)
    publisher.feed(b"first")
    wait_until(lambda: (kept / "00000000.seg.part").exists())
    wait_until(lambda: (kept / "00000000.seg.part").read_bytes() == b"first")
    time.sleep(0.4)
    publisher.feed(b"second")
    time.sleep(0.2)
    publisher.end_input()
    assert program.ends() == 0
    (line,) = index(kept)[1:]
    (start, first), (later, second) = line["chunks"]
    assert (first, second) == (5, 6)
    assert later - start >= 0.4
    began = time.monotonic()
    again = programs.start(*replay)
    watch = programs.start("sub", "-s", common.url, f"{name}-again")
    assert again.ends() == 0
    assert time.monotonic() - began >= later - start
    assert watch.ends() == 0
    assert common.segments(f"{name}-again") == [b"firstsecond"]


def test_numbers_gaps_and_what_is_incomplete_stay_as_they_were(
    programs: Programs, common: Http, name: str, replay: tuple[str, ...], kept: Path
) -> None:
    write(kept, {"seq": 3}, {"seq": 4, "complete": False}, {"seq": 7, "data": b"7"})
    assert programs.run(*replay).ends() == 0
    channel = f"/{name}-again"
    found = [common.ask("HEAD", f"{channel}/{seq}") for seq in (3, 4, 7)]
    assert [answer[2]["Lp-Trickle-Seq"] for answer in found] == ["3", "4", "7"]
    assert [answer[2]["Lp-Trickle-Incomplete"] for answer in found] == [
        None,
        "true",
        None,
    ]
    assert common.get(f"{channel}/7") == b"7"
    assert found[0][2]["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    ("speed", "least", "most"), [("2", 0.5, 0.9), ("max", 0, 0.4), ("0", 0, 0.4)]
)
def test_it_can_be_faster(
    programs: Programs,
    common: Http,
    name: str,
    kept: Path,
    replay: tuple[str, ...],
    speed: str,
    least: float,
    most: float,
) -> None:
    write(
        kept,
        {"began": 5.0, "ended": 5.0},
        {"began": 5.5, "ended": 6.0, "chunks": [[0.0, 1], [0.2, 3]]},
    )
    program = programs.start(*replay, "--speed", speed)
    program.says("replaying")
    assert program.ends() == 0
    last = program.err.splitlines()[-1].partition(" in ")[2].partition(",")[0]
    number, unit = last.split()
    took = float(number) / (1000 if unit == "ms" else 1)
    assert least <= took <= most + 2
    assert common.segments(f"{name}-again") == [b"data", b"data"]


def test_a_channel_that_is_beyond_it_is_not_gone_back_on(
    programs: Programs, common: Http, name: str, kept: Path, replay: tuple[str, ...]
) -> None:
    common.make(f"{name}-again", b"a", b"b")
    write(kept, {"seq": 1}, {"seq": 3})
    program = programs.run(*replay)
    assert program.ends() == 2
    assert program.err.splitlines()[-1] == (
        f"trickle replay: {common.url}/{name}-again is beyond segment 1 already"
        " — close it, or: --from-head"
    )
    assert programs.run(*replay, "--from-head", "--keep-open").ends() == 0
    assert not common.is_closed(f"{name}-again")
    _, head, _ = common.ask("GET", f"/{name}-again/next")
    assert head == b"5"


def test_a_loop_counts_on(
    programs: Programs, common: Http, name: str, kept: Path, replay: tuple[str, ...]
) -> None:
    write(
        kept, *[{"began": n / 50, "ended": n / 50, "data": b"%d" % n} for n in range(3)]
    )
    program = programs.start(*replay, "--loop")
    sub = programs.start("sub", "-s", common.url, "--from", "0", f"{name}-again")
    sub.wait_until(lambda: len(sub.out) >= 7)
    assert sub.out[:7] == b"0120120"
    program.interrupt()
    assert program.ends() == 130
    assert sub.ends() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_it_what_there_is_can_be_replayed_and_added_to(
    programs: Programs,
    common: Http,
    name: str,
    record: tuple[str, ...],
    replay: tuple[str, ...],
    kept: Path,
    number: int,
) -> None:
    publisher = programs.start(
        "pub", "--type", "a/b", "-s", common.url, "--newline", name
    )
    program = programs.start(*record, "--from", "0")
    publisher.feed(b"one\ntwo\nopen")
    wait_until(lambda: (kept / "00000002.seg.part").exists())
    wait_until(lambda: (kept / "00000002.seg.part").read_bytes() == b"open")
    program.interrupt(number)
    is_killed = number == signal.SIGKILL
    assert program.ends() == (-9 if is_killed else 130)
    with (kept / "index.jsonl").open("a") as file:
        file.write('{"seq": 1234, "fi')  # as far as it came, by chance
    again = programs.run(*replay, "--speed", "max")
    assert again.ends() == 0, (again.err, index(kept))
    whole = [b"one\n", b"two\n"]
    expected = whole if is_killed else [*whole, b"open"]
    assert common.segments(f"{name}-again") == expected
    program = programs.start(*record, "--append", "--count", "1")
    publisher.feed(b"ed\n")
    assert program.ends() == 0
    publisher.process.kill()
    again = programs.run(*replay, "--speed", "max")
    assert again.ends() == 0, (again.err, index(kept))
    assert common.segments(f"{name}-again") == [*expected, b"opened\n"]


def test_what_was_missed_or_broke_off_is_told(
    programs: Programs, tmp_path: Path, kept: Path
) -> None:
    _, http = programs.serve("--autocreate", "--resume-window", "100ms")
    http.make("cam", b"0")
    program = programs.start("record", "-s", http.url, "cam", str(kept), "--count", "3")
    wait_until(lambda: (kept / "00000000.txt").exists())
    http.add("cam", 3, b"3")
    program.says("lost segments 1-2")
    publisher = programs.start("pub", "-s", http.url, "cam")
    publisher.feed(b"half")
    wait_until(lambda: (kept / "00000004.txt.part").exists())
    wait_until(lambda: (kept / "00000004.txt.part").read_bytes() == b"half")
    publisher.interrupt(signal.SIGKILL)
    assert program.ends() == 4
    program.says("segment 4 is incomplete")
    assert [line["complete"] for line in index(kept)[1:]] == [True, True, False]


def test_numbers_that_begin_anew_overwrite_nothing(
    programs: Programs, common: Http, name: str, record: tuple[str, ...], kept: Path
) -> None:
    common.make(name, b"a", b"b")
    program = programs.start(*record, "--from", "0", "--count", "4")
    wait_until(lambda: (kept / "00000001.txt").exists())
    common.add(name, 0, b"c", b"d")
    assert program.ends() == 0
    assert sorted(files(kept).values()) == [b"a", b"b", b"c", b"d"]
    assert len({line["epoch"] for line in index(kept)[1:]}) == 2


def test_a_directory_with_something_in_it_is_left_alone(
    programs: Programs, record: tuple[str, ...], kept: Path
) -> None:
    kept.mkdir()
    (kept / "mine").write_text("mine")
    for more in ([], ["--append"]):
        program = programs.run(*record, *more)
        assert (program.ends(), program.err) == (
            2,
            f"trickle record: {kept} is not empty — choose another\n",
        )
    assert files(kept) == {"mine": b"mine"}


def test_a_recording_is_added_to_only_if_that_is_wanted(
    programs: Programs, record: tuple[str, ...], kept: Path
) -> None:
    write(kept, {})
    program = programs.run(*record)
    assert (program.ends(), program.err) == (
        2,
        f"trickle record: {kept} is not empty — choose another, or --append\n",
    )


BROKEN = {
    "a file elsewhere": {"file": "../../etc/passwd"},
    "an absolute file": {"file": "/etc/passwd"},
    "a hidden file": {"file": ".x"},
    "no number": {"seq": "1"},
    "a number below all": {"seq": -1},
    "a time before all": {"began": -1.0},
    "a time for ever": {"ended": float("inf")},
    "no time": {"ended": float("nan")},
    "bytes that are not there": {"chunks": [[0.0, 5]]},
    "no chunks": {"chunks": 7},
    "no size": {"size": None},
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_an_index_that_makes_no_sense_is_refused(
    programs: Programs, kept: Path, replay: tuple[str, ...], change: dict[str, Any]
) -> None:
    write(kept, {**change})
    program = programs.run(*replay)
    assert program.ends() == 2
    assert program.err == (f"trickle replay: {kept}/index.jsonl: line 2 is broken\n")


def test_what_is_no_recording_is_said(
    programs: Programs, kept: Path, replay: tuple[str, ...]
) -> None:
    program = programs.run(*replay)
    assert program.ends() == 1
    assert f"{kept}: No such file or directory" in program.err
    kept.mkdir()
    program = programs.run(*replay)
    assert program.ends() == 2
    assert "is no recording: there is no index.jsonl in it" in program.err


def test_a_link_is_not_followed(
    programs: Programs, kept: Path, replay: tuple[str, ...], tmp_path: Path
) -> None:
    write(kept, {})
    (tmp_path / "secret").write_bytes(b"data")
    os.unlink(kept / "00000000.txt")
    (kept / "00000000.txt").symlink_to(tmp_path / "secret")
    assert programs.run(*replay).ends() == 1


def test_a_file_that_is_not_whole_is_said(
    programs: Programs, kept: Path, replay: tuple[str, ...]
) -> None:
    write(kept, {})
    (kept / "00000000.txt").write_bytes(b"dat")
    program = programs.run(*replay)
    assert program.ends() == 2
    assert "it has not 4 bytes any more" in program.err


def test_a_directory_that_is_recorded_to_takes_no_other(
    programs: Programs, common: Http, name: str, record: tuple[str, ...], kept: Path
) -> None:
    common.make(name, b"one")
    first = programs.start(*record)
    wait_until(lambda: (kept / "index.jsonl").exists())
    second = programs.run(*record, "--append")
    told = f"trickle record: {kept} is recorded to already — choose another\n"
    assert (second.ends(), second.err) == (2, told)
    first.interrupt()
    assert first.ends() == 130


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -1.0])
def test_times_that_cannot_be_are_refused(
    programs: Programs, replay: tuple[str, ...], kept: Path, time: float
) -> None:
    write(kept, {"data": b"one", "chunks": [[time, 3]]})
    program = programs.run(*replay)
    told = f"trickle replay: {kept}/index.jsonl: line 2 is broken\n"
    assert (program.ends(), program.err) == (2, told)
