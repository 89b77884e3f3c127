"""Whatever breaks on the way, what comes out is what went in, or the loss is named."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands.programs import (
    TRICKLE,
    Http,
    Program,
    Programs,
    wait_until,
)
from tests.e2e.cutting import Cutter, cutting
from tests.e2e.test_comings_and_goings import memory

MIB = 1024 * 1024
LONG = 120.0

#: Passes its input on, at most so many bytes a second.
THROTTLE = """
import sys, time
rate, began, count = float(sys.argv[1]), time.monotonic(), 0
while data := sys.stdin.buffer.read1(65536):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    count += len(data)
    time.sleep(max(0, began + count / rate - time.monotonic()))
"""


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """24 MiB that no two parts of are alike."""
    path = tmp_path / "given"
    path.write_bytes(os.urandom(24 * MIB))
    return path


def shell(programs: Programs, command: str) -> Program:
    """`trickle` is ours, and `throttle RATE` slows what goes through it down."""
    command = command.replace("trickle ", shlex.join(TRICKLE) + " ")
    throttle = shlex.join([sys.executable, "-c", THROTTLE])
    return programs.start_other(
        "bash", "-o", "pipefail", "-c", command.replace("throttle ", throttle + " ")
    )


def stop(program: Program) -> None:
    """Have it do nothing, from when this returns."""
    program.interrupt(signal.SIGSTOP)
    stat = Path(f"/proc/{program.process.pid}/stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def named_as_lost(reader: Program) -> set[int]:
    lost: set[int] = set()
    for first, last in re.findall(r"lost segments? (\d+)(?:-(\d+))?", reader.err):
        lost |= set(range(int(first), int(last or first) + 1))
    return lost


# Lossless.


def test_a_tree_goes_through_a_lossless_channel_to_a_slow_reader(
    programs: Programs, tmp_path: Path
) -> None:
    """And the server keeps to its ceiling, though its publisher could be quicker."""
    tree, copy = tmp_path / "tree", tmp_path / "copy"
    copy.mkdir()
    for number in range(600):
        path = tree / f"dir{number % 20}" / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(number * 250))
    server, http = programs.serve("--max-memory", "8MiB", "--keep-bytes", "64MiB")
    before = memory(server.process.pid)
    reader = shell(
        programs,
        f"trickle sub {http.url}/tree | throttle 8000000 | tar -xf - -C {copy}",
    )
    reader.says("waiting")
    writer = shell(
        programs,
        f"tar -cf - -C {tree} . | trickle pub --lossless --wait-readers 1"
        f" {http.url}/tree",
    )
    most = 0
    while writer.runs:
        most = max(most, memory(server.process.pid))
        time.sleep(0.05)
    assert writer.ends() == 0
    assert reader.ends(LONG) == 0
    assert subprocess.run(["diff", "-r", tree, copy], check=False).returncode == 0
    # 43 MiB went through. Twice the ceiling is allowed, and what the kernel is read by.
    assert (most - before) * 1024 < 2 * 8 * MIB + 4 * MIB


def test_readers_of_different_speeds_get_every_line(
    programs: Programs, tmp_path: Path
) -> None:
    _, http = programs.serve("--keep-segments", "500", "--lossless")
    http.make("lines")
    speeds = {"fast": 10**9, "slow": 100_000, "slower": 50_000}
    readers = [
        shell(
            programs,
            f"trickle sub {http.url}/lines | throttle {rate} > {tmp_path / name}",
        )
        for name, rate in speeds.items()
    ]
    lines = b"".join(b"%d\n" % number for number in range(20_000))
    writer = programs.start(
        "pub", "--newline", "--wait-readers", "3", f"{http.url}/lines"
    )
    writer.feed(lines)
    writer.end_input()
    assert writer.ends(LONG) == 0
    for name, reader in zip(speeds, readers, strict=True):
        assert reader.ends(LONG) == 0, reader.err
        assert (tmp_path / name).read_bytes() == lines


def test_a_reader_that_is_stopped_for_a_while_loses_nothing(
    programs: Programs, given: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _, http = programs.serve("--keep-bytes", "4MiB", "--lease", "60s")
    http.ask("POST", "/cam", Lp_Trickle_Delivery="lossless")
    with out.open("wb") as file:
        reader = programs.start("sub", f"{http.url}/cam", stdout=file)
        writer = programs.start(
            "pub", "--wait-readers", "1", f"{http.url}/cam", str(given)
        )
        wait_until(lambda: size_of(out) > 2 * MIB)
        stop(reader)
        size = size_of(out)
        time.sleep(3)
        assert writer.runs  # it is held back
        assert size_of(out) == size
        reader.interrupt(signal.SIGCONT)
        assert writer.ends(LONG) == reader.ends(LONG) == 0, (writer.err, reader.err)
    assert out.read_bytes() == given.read_bytes()


def test_what_a_stopped_reader_of_a_live_channel_loses_is_named_exactly(
    programs: Programs, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _, http = programs.serve("--keep-segments", "50")
    http.make("cam")
    with out.open("wb") as file:
        reader = programs.start("sub", f"{http.url}/cam", stdout=file)
        writer = programs.start("pub", "--newline", f"{http.url}/cam")
        writer.feed(b"0\n")
        wait_until(lambda: size_of(out))
        stop(reader)
        writer.feed(b"".join(b"%d\n" % number for number in range(1, 1000)))
        wait_until(lambda: http.get("/cam/next") == b"1000")
        reader.interrupt(signal.SIGCONT)
        writer.end_input()
        assert writer.ends() == 0
        assert reader.ends() == 4
    got = [int(line) for line in out.read_text().split()]
    lost = named_as_lost(reader)
    assert lost
    assert sorted([*lost, *got]) == list(range(1000))
    assert f"lost {len(lost)} segments" in reader.err.splitlines()[-1]


def test_on_gap_fail_ends_at_once(programs: Programs, tmp_path: Path) -> None:
    _, http = programs.serve("--keep-segments", "5", "--keep-newest", "1")
    http.make("cam", *[b"%d " % number for number in range(20)])
    reader = programs.start("sub", "--from", "0", "--on-gap", "fail", f"{http.url}/cam")
    assert reader.ends() == 4
    assert reader.out == b""
    assert "lost segments 0-14" in reader.err


# Paths that break.


@pytest.mark.parametrize("side", ["publisher", "subscriber", "both"])
@pytest.mark.parametrize("options", [("--size", "100KiB"), ("--size", "8MiB")])
def test_connections_cut_fifty_times_cost_nothing(
    programs: Programs,
    given: Path,
    tmp_path: Path,
    side: str,
    options: tuple[str, ...],
) -> None:
    out = tmp_path / "out"
    _, http = programs.serve()
    http.ask("POST", "/cam")

    def path() -> Cutter:
        return stack.pop()

    with (
        cutting(http.address, 50, 300_000) as one,
        cutting(http.address, 50, 300_000) as two,
        out.open("wb") as file,
    ):
        stack = [one, two]
        cutters = []
        reading = writing = http.url
        if side != "publisher":
            cutters.append(path())
            reading = cutters[-1].url
        if side != "subscriber":
            cutters.append(path())
            writing = cutters[-1].url
        reader = programs.start("sub", f"{reading}/cam", stdout=file)
        wait_until(lambda: b'"readers": 1' in http.get("/cam"))
        writer = programs.start("pub", *options, f"{writing}/cam", str(given))
        assert writer.ends(LONG) == 0, writer.err
        assert reader.ends(LONG) == 0, reader.err
        for cutter in cutters:
            assert cutter.left <= 15  # most of what was to be cut was there to be cut
    assert out.read_bytes() == given.read_bytes()


def test_a_publisher_killed_within_a_segment_leaves_it_incomplete_for_all(
    programs: Programs,
) -> None:
    _, http = programs.serve("--resume-window", "1s")
    http.make("cam")
    early = programs.start("sub", f"{http.url}/cam")
    writer = programs.start("pub", "--time", "1h", f"{http.url}/cam")
    writer.feed(b"so far")
    early.writes(b"so far")
    writer.process.kill()
    early.says("segment 0 is incomplete")
    with http.begin("GET", "/cam/0") as answer:
        assert answer.read() == b"so far"
        assert answer.headers["Lp-Trickle-Incomplete"] == "true"
    http.close("cam")
    assert early.ends() == 4


# Servers that die.


def kill_and_restart(
    programs: Programs, server: Program, http: Http, *options: str
) -> Program:
    server.process.kill()
    server.process.wait()
    return programs.serve(*options, port=http.address[1])[0]


@pytest.mark.parametrize("options", [(), ("--lossless",)])
def test_a_server_killed_again_and_again_goes_on_from_its_disk(
    programs: Programs, given: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    out, data = tmp_path / "out", tmp_path / "data"
    settings = ("--data-dir", str(data), *options)
    server, http = programs.serve(*settings)
    http.ask("POST", "/cam")
    with out.open("wb") as file:
        reader = programs.start("sub", f"{http.url}/cam", stdout=file)
        wait_until(lambda: b'"readers": 1' in http.get("/cam"))
        writer = programs.start(
            "pub", "--rate", "3MiB", "--size", "300KiB", f"{http.url}/cam", str(given)
        )
        for number in range(1, 11):
            wait_until(lambda: size_of(out) > number * 2 * MIB)  # noqa: B023
            server = kill_and_restart(programs, server, http, *settings)
        assert writer.ends(LONG) == 0, writer.err
        assert reader.ends(LONG) == 0, reader.err
    assert out.read_bytes() == given.read_bytes()
    assert not (data / "quarantine").exists()


def test_without_a_disk_what_was_lost_with_the_server_is_named(
    programs: Programs,
) -> None:
    """What the reader has, and what it says that it has not, is all there was."""
    server, http = programs.serve("--autocreate")
    http.ask("POST", "/cam")
    reading, writing = os.pipe()
    slow = programs.start("sub", f"{http.url}/cam", stdout=writing)
    os.close(writing)
    wait_until(lambda: b'"readers": 1' in http.get("/cam"))
    writer = programs.start("pub", "--newline", f"{http.url}/cam")
    lines = [b"%05d " % number + b"x" * 4000 + b"\n" for number in range(1500)]
    writer.feed(b"".join(lines[:1000]))
    wait_until(lambda: http.get("/cam/next") == b"1000")
    server = kill_and_restart(programs, server, http, "--autocreate")
    writer.feed(b"".join(lines[1000:]))
    writer.end_input()
    assert writer.ends() == 0, writer.err
    with open(reading, "rb") as pipe:
        got = pipe.read().splitlines(keepends=True)
    assert slow.ends() == 4
    lost = named_as_lost(slow)
    assert 0 < min(lost) <= max(lost) == 999
    assert got == [line for number, line in enumerate(lines) if number not in lost]
    assert "begun anew, at segment 1000" in slow.err


def test_a_server_that_forgets_again_and_again_costs_what_is_named_and_no_more(
    programs: Programs, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    server, http = programs.serve("--autocreate")
    http.ask("POST", "/cam")
    with out.open("wb") as file:
        reader = programs.start("sub", f"{http.url}/cam", stdout=file)
        wait_until(lambda: b'"readers": 1' in http.get("/cam"))
        writer = programs.start("pub", "--newline", f"{http.url}/cam")
        for part in range(5):
            lines = range(part * 2000, part * 2000 + 2000)
            writer.feed(b"".join(b"%d\n" % number for number in lines))
            wait_until(lambda: f"{part * 2000}\n".encode() in out.read_bytes())  # noqa: B023
            if part < 4:
                server = kill_and_restart(programs, server, http, "--autocreate")
        writer.end_input()
        assert writer.ends(LONG) == 0, writer.err  # what it sent is there, or was
        reader.ends(LONG)
    got = [int(line) for line in out.read_text().split()]
    lost = named_as_lost(reader)
    assert sorted([*lost, *got]) == list(range(10_000))
    assert got == sorted(got)
    assert reader.process.returncode == (4 if lost else 0)


def test_a_directory_is_used_by_one_server(programs: Programs, tmp_path: Path) -> None:
    programs.serve("--data-dir", str(tmp_path / "data"))
    other = programs.run("serve", "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert other.process.returncode == 1
    assert "another server uses this directory" in other.err


def test_a_server_that_is_ended_within_a_segment_leaves_it_incomplete(
    programs: Programs,
) -> None:
    server, http = programs.serve("--autocreate")
    publisher = programs.start("pub", "--time", "1h", f"{http.url}/cam")
    publisher.feed(b"half")
    reader = programs.start("sub", "--retry-for", "1s", "--json", f"{http.url}/cam")
    plain = programs.start("sub", "--retry-for", "1s", f"{http.url}/cam")
    plain.writes(b"half")
    wait_until(lambda: b'"readers": 2' in http.get("/cam"))
    server.interrupt()
    assert server.ends() == 130
    assert publisher.ends() == 1
    assert "is closed" in publisher.err
    for program in reader, plain:
        assert program.ends() in {1, 4}, program.err
        assert "segment 0 is incomplete" in program.err
    assert json.loads(reader.out)["complete"] is False


@pytest.mark.parametrize("is_kept", [True, False])
def test_who_reads_by_a_pattern_gets_nothing_twice_after_a_restart(
    programs: Programs, tmp_path: Path, *, is_kept: bool
) -> None:
    settings = ("--data-dir", str(tmp_path / "data")) if is_kept else ()
    server, http = programs.serve("--autocreate", *settings)
    publisher = programs.start("pub", "--newline", f"{http.url}/a-1")
    publisher.feed(b"1\n")
    reader = programs.start("sub", "--from", "oldest", f"{http.url}/a-*")
    reader.writes(b"1\n")
    publisher.feed(b"2\n")
    reader.writes(b"1\n2\n")
    server.kill()
    publisher.feed(b"3\n")
    reader.says("cannot reach")
    _, http = programs.serve("--autocreate", *settings, port=http.address[1])
    publisher.feed(b"4\n")
    publisher.end_input()
    assert publisher.ends() == 0
    # What is new is heard of after what is old, and by now nothing of that came again.
    wait_until(lambda: b"4\n" in reader.out)
    http.make("a-2", b"another\n")
    wait_until(lambda: b"another\n" in reader.out)
    assert reader.out == b"1\n2\n3\n4\nanother\n"


def test_a_server_that_is_ended_in_order_brings_its_channels_back(
    programs: Programs, tmp_path: Path
) -> None:
    settings = ("--data-dir", str(tmp_path / "data"))
    server, http = programs.serve(*settings)
    http.make("cam", b"zero", b"one")
    server.interrupt()
    assert server.ends() == 130
    programs.serve(*settings, port=http.address[1])
    assert http.segments("cam") == [b"zero", b"one"]
    assert not http.is_closed("cam")


# Speed.


def test_a_rate_is_kept_to(programs: Programs, common: Http, name: str) -> None:
    began = time.monotonic()
    program = programs.run(
        "pub", "--rate", "200KiB", f"{common.url}/{name}", given=bytes(300 * 1024)
    )
    assert program.process.returncode == 0
    assert time.monotonic() - began > 1.4  # less it cannot be; more it may
