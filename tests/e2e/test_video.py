"""Live video from a real ffmpeg, to subscribers of every kind at once."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import BinaryIO

import imageio_ffmpeg

from tests.commands.programs import TRICKLE, Program, Programs

SECONDS = 6
RATE = 25
HALF_OF_IT_AT_MOST = 300_000
FFMPEG = (imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error")
CAMERA = (
    *FFMPEG,
    *("-re", "-f", "lavfi"),
    *("-i", f"testsrc2=size=640x360:rate={RATE}:duration={SECONDS}"),
    *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25"),
    *("-f", "mpegts", "-"),
)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def frames_in(data: bytes) -> int:
    """How many pictures decode, without a single complaint."""
    done = subprocess.run(
        [*FFMPEG, "-i", "-", "-f", "null", "-stats", "-"],
        input=data,
        capture_output=True,
        check=True,
        timeout=60,
    )
    said = done.stderr.decode()
    complaints = [line for line in said.splitlines() if "frame=" not in line]
    assert not any(complaints), complaints
    return int(re.findall(r"frame=\s*(\d+)", said)[-1])


def read_slowly(pipe: BinaryIO, live: Program) -> bytes:
    """All that comes; for a while in small bits, and half as quickly as `live`."""
    data = bytearray()

    def is_slow() -> bool:
        return len(live.out) > 2 * len(data)

    while len(data) < HALF_OF_IT_AT_MOST:
        live.wait_until(is_slow)
        data += os.read(pipe.fileno(), 1000)
    return bytes(data) + pipe.read()


def test_live_video_is_the_same_for_everybody(
    programs: Programs, tmp_path: Path
) -> None:
    _, http = programs.serve("--autocreate")
    cam = f"{http.url}/cam"
    present = [programs.start("sub", cam) for _ in range(3)]
    reading, writing = os.pipe()
    slow = programs.start("sub", cam, stdout=writing)
    os.close(writing)
    watcher = programs.start("watch", cam)
    for program in (*present, slow, watcher):
        program.says("waiting")

    source = tmp_path / "source.ts"
    copying = f"tee {shlex.quote(str(source))}"
    command = (*TRICKLE, "pub", cam, "--type", "video/mp2t")
    publisher = programs.start_other(
        *("bash", "-o", "pipefail", "-c"),
        f"{shlex.join(CAMERA)} | {copying} | {shlex.join(command)}",
    )
    watcher.wait_until(lambda: watcher.out.count(b"\n") >= 2)  # so many have ended
    late = programs.start("sub", cam)
    late.wait_until(lambda: late.out)
    assert publisher.runs  # so it did join in the middle
    with open(reading, "rb") as pipe:
        slowly_read = read_slowly(pipe, present[0])
    for program in (publisher, *present, slow, watcher, late):
        assert program.ends(60) == 0, program.err

    sent = source.read_bytes()
    assert frames_in(sent) == SECONDS * RATE
    for data in (*(program.out for program in present), slowly_read):
        assert digest(data) == digest(sent)
    held = http.segments("cam")
    assert digest(b"".join(held)) == digest(sent)
    # Who came late has all from the beginning of what was then the newest segment.
    assert 0 < len(late.out) < len(sent)
    assert late.out in {b"".join(held[start:]) for start in range(1, len(held))}
