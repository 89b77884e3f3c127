"""Programs that know nothing of ours, at both ends.

ffmpeg, aiohttp and httpx at a server of ours; our commands at one made with aiohttp.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.commands.programs import PATIENCE, Program, Programs
from tests.e2e.test_video import FFMPEG, RATE, frames_in

SECONDS = 3
TEST_CARD = (
    *FFMPEG,
    *("-f", "lavfi", "-i", f"testsrc2=size=320x240:rate={RATE}:duration={SECONDS}"),
    *("-c:v", "libx264", "-preset", "ultrafast", "-g", str(RATE)),
)
LINES = [b"%d\n" % number for number in range(200)]


def end(program: Program) -> None:
    program.end_input()
    assert program.ends() == 0, program.err


def test_ffmpeg_posts_one_endless_segment_and_another_ffmpeg_plays_it(
    programs: Programs,
) -> None:
    _, http = programs.serve("--autocreate")
    ours = programs.start("sub", f"{http.url}/cam")
    ours.says("waiting")
    sending = programs.start_other(*TEST_CARD, "-f", "mpegts", f"{http.url}/cam/0")
    end(sending)
    playing = subprocess.run(
        [*FFMPEG, "-i", f"{http.url}/cam/0", "-f", "null", "-stats", "-"],
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    assert re.findall(rb"frame=\s*(\d+)", playing.stderr)[-1] == b"%d" % (
        SECONDS * RATE
    )
    http.close("cam")
    end(ours)
    assert ours.out == http.get("/cam/0")
    assert frames_in(ours.out) == SECONDS * RATE


def test_ffmpeg_posts_a_segment_per_second(programs: Programs) -> None:
    _, http = programs.serve("--autocreate")
    ours = programs.start("sub", f"{http.url}/cam")
    ours.says("waiting")
    cutting = ("-map", "0", "-f", "segment", "-segment_time", "1")
    end(
        programs.start_other(
            *TEST_CARD, *cutting, "-segment_format", "mpegts", f"{http.url}/cam/%d"
        )
    )
    http.close("cam")
    end(ours)
    held = http.segments("cam")
    assert [frames_in(segment) for segment in held] == [RATE] * SECONDS
    assert ours.out == b"".join(held)


async def chunks(*data: bytes) -> AsyncIterator[bytes]:
    for chunk in data:
        yield chunk


def test_httpx_publishes_for_us_and_reads_what_we_publish(programs: Programs) -> None:
    _, http = programs.serve("--autocreate")
    ours = programs.start("sub", f"{http.url}/c")
    ours.says("waiting")
    with httpx.Client(base_url=http.url, timeout=PATIENCE) as client:
        for seq, line in enumerate(LINES):
            answer = client.post(f"/c/{seq}", content=iter([line[:1], line[1:]]))
            assert answer.status_code == 200
            assert answer.headers["Lp-Trickle-Seq"] == str(seq)
        client.delete("/c").raise_for_status()
        end(ours)
        assert ours.out == b"".join(LINES)

        programs.run("pub", "--newline", f"{http.url}/d", given=ours.out)
        read = [client.get(f"/d/{seq}").content for seq in range(len(LINES))]
        assert read == LINES


def test_aiohttp_publishes_for_us_segments_that_overlap(programs: Programs) -> None:
    server = programs.serve("--autocreate")[1]
    ours = programs.start("sub", f"{server.url}/c")
    ours.says("waiting")
    publishing = programs.start_other(
        sys.executable, "-m", "tests.e2e.aiohttp_publisher", f"{server.url}/c"
    )
    for line in LINES:
        publishing.feed(line)
    end(publishing)
    end(ours)
    assert ours.out == b"".join(LINES)


@pytest.fixture
def other_server(programs: Programs) -> str:
    """The URL of a server that is not ours."""
    server = programs.start_other(sys.executable, "-m", "tests.e2e.aiohttp_server")
    return server.says("http://")


def test_our_commands_at_a_server_of_another_kind(
    programs: Programs, other_server: str, tmp_path: Path
) -> None:
    card = subprocess.run([*TEST_CARD, "-f", "mpegts", "-"], stdout=-1, check=True)
    file = tmp_path / "got.ts"
    url = f"{other_server}/cam"
    to_file = programs.start("sub", url, "-o", str(file))
    to_stdout = programs.start("sub", url)
    watcher = programs.start("watch", url)
    for program in (to_file, to_stdout, watcher):
        program.says("waiting")
    publisher = programs.start("pub", url, "--size", "20000")
    publisher.feed(card.stdout[:1])
    to_stdout.writes(card.stdout[:1])  # at once, not when the segment is full
    publisher.feed(card.stdout[1:])
    for program in (publisher, to_file, to_stdout, watcher):
        end(program)
    assert to_stdout.out == file.read_bytes() == card.stdout
    segments = -(-len(card.stdout) // 20_000)
    assert watcher.out.count(b"\n") == segments
