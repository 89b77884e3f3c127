"""Live video through a channel: what scripts/demo runs, once there is an environment.

A server, ffmpeg piped into `trickle pub`, two `trickle sub` that write files, and
`trickle watch` beside them; then the files are held against what ffmpeg wrote.
"""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import imageio_ffmpeg

SECONDS = 8
TRICKLE = [sys.executable, "-m", "trickle_cli"]
FFMPEG = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error"]
#: H.264 in MPEG-TS from a test picture, as fast as it is to be seen.
CAMERA = [
    *FFMPEG,
    *("-re", "-f", "lavfi"),
    *("-i", f"testsrc2=size=640x360:rate=25:duration={SECONDS}"),
    *("-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-g", "25"),
    *("-f", "mpegts", "-"),
]


class Programs:
    """Processes that end with the demonstration, whatever happens."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def start(self, *command: str, **pipes: object) -> subprocess.Popen[bytes]:
        process = self._stack.enter_context(subprocess.Popen(command, **pipes))  # type: ignore[call-overload]
        self._stack.callback(process.kill)
        return process  # type: ignore[no-any-return]

    def trickle(self, *arguments: str, **pipes: object) -> subprocess.Popen[bytes]:
        return self.start(*TRICKLE, *arguments, **pipes)


def address_of(server: subprocess.Popen[bytes]) -> str:
    """Where the server says that it listens."""
    assert server.stderr is not None
    line = server.stderr.readline().decode()
    match = re.search(r"http://\S+", line)
    if match is None:
        sys.exit(f"the server did not start: {line}")
    return match[0]


def wait_for(process: subprocess.Popen[bytes], what: str) -> None:
    if process.wait(timeout=60) != 0:
        sys.exit(f"{what} failed with exit code {process.returncode}")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def frames_in(path: Path) -> int:
    """How many pictures decode from a file, without a single complaint."""
    command = [*FFMPEG, "-i", str(path), "-f", "null", "-stats", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    complaints = [line for line in done.stderr.splitlines() if "frame=" not in line]
    if any(complaints):
        sys.exit(f"{path.name} does not decode: {complaints[0]}")
    return int(re.findall(r"frame=\s*(\d+)", done.stderr)[-1])


def run(folder: Path, stack: ExitStack) -> None:
    programs = Programs(stack)
    server = programs.trickle(
        "serve", "--autocreate", "--port", "0", stderr=subprocess.PIPE
    )
    url = address_of(server)
    print(f"serving {url}")
    watch = programs.trickle("watch", "-s", url, stdout=subprocess.PIPE)
    copies = [folder / "one.ts", folder / "two.ts"]
    subscribers = [
        programs.trickle("sub", "cam", "-s", url, "-o", str(copy)) for copy in copies
    ]
    source = folder / "source.ts"
    print(f"publishing {SECONDS} s of live video, with two subscribers and a watcher")
    started = time.monotonic()
    ffmpeg = programs.start(*CAMERA, stdout=subprocess.PIPE)
    tee = programs.start(
        "tee", str(source), stdin=ffmpeg.stdout, stdout=subprocess.PIPE
    )
    publisher = programs.trickle(
        "pub", "cam", "-s", url, "--type", "video/mp2t", stdin=tee.stdout
    )
    wait_for(ffmpeg, "ffmpeg")
    wait_for(publisher, "trickle pub")
    for subscriber in subscribers:
        wait_for(subscriber, "trickle sub")
    print(f"done after {time.monotonic() - started:.1f} s; comparing")

    for copy in copies:
        if digest(copy) != digest(source):
            sys.exit(f"{copy.name} is not what ffmpeg wrote")
    size = source.stat().st_size
    print(f"both files are what ffmpeg wrote, byte for byte: {size} bytes")
    print(f"they decode: {[frames_in(copy) for copy in copies]} frames")

    watch.send_signal(signal.SIGINT)
    changes = watch.communicate(timeout=10)[0].decode().splitlines()
    print(f"trickle watch saw: {', '.join(changes)}")
    if changes[-2:] != ["added cam", "removed cam"]:
        sys.exit("that is not what happened")
    server.send_signal(signal.SIGINT)
    server.wait(timeout=30)


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="trickle-demo-") as folder,
        ExitStack() as stack,
    ):
        run(Path(folder), stack)
    print("all is well")


if __name__ == "__main__":
    main()
