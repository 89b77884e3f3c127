"""Each segment of video by itself, for a real decoder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.commands.programs import Http, Programs

FFMPEG = (imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-v", "error")
PICTURES = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=5")
SOUND = ("-f", "lavfi", "-i", "sine=duration=5")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-bf", "2")
HEVC = (
    *("-c:v", "libx265", "-preset", "ultrafast"),
    *("-x265-params", "keyint=25:open-gop=0:log-level=none"),
)
TS = ("-f", "mpegts")
MP4 = ("-f", "mp4", "-movflags")

STREAMS = {
    "h264": (*PICTURES, *H264, *TS),
    "h264, few tables": (*PICTURES, *H264, *TS, "-pat_period", "10"),
    "h264, many tables": (
        *(*PICTURES, *H264, *TS),
        *("-mpegts_flags", "+pat_pmt_at_frames"),
    ),
    "h264, tables once more": (
        *(*PICTURES, *H264, *TS),
        *("-mpegts_flags", "+resend_headers"),
    ),
    "h264 and sound": (*PICTURES, *SOUND, *H264, "-c:a", "aac", *TS),
    "hevc": (*PICTURES, *HEVC, *TS),
    "mpeg-2": (*PICTURES, "-c:v", "mpeg2video", "-g", "25", *TS),
}
FRAGMENTED = {
    "ffmpeg's own way": "+frag_keyframe+empty_moov",
    "base moof": "+frag_keyframe+empty_moov+default_base_moof",
    "dash": "+frag_keyframe+empty_moov+dash+cmaf",
}


def made(path: Path, *arguments: str) -> bytes:
    """What ffmpeg writes to a file, which it may seek in."""
    subprocess.run([*FFMPEG, *arguments, "-y", str(path)], check=True, timeout=60)
    return path.read_bytes()


def frames(data: bytes, stream: str = "0:0") -> int:
    """How many frames of a stream decode, without any complaint."""
    done = subprocess.run(
        [*FFMPEG, "-xerror", "-i", "-", "-map", stream, "-f", "framecrc", "-"],
        input=data,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    return sum(line.startswith("0,") for line in lines)


def type_of(http: Http, channel: str) -> str:
    return str(http.ask("GET", f"/{channel}/0")[2]["Content-Type"])


@pytest.mark.parametrize("stream", STREAMS)
def test_each_segment_of_a_transport_stream_decodes_by_itself(
    programs: Programs, common: Http, name: str, tmp_path: Path, stream: str
) -> None:
    data = made(path := tmp_path / "source.ts", *STREAMS[stream])
    cuts = {"auto": (), "gop": ("--gop",), "time": ("--gop", "--time", "2s")}
    for way, options in cuts.items():
        channel = f"{common.url}/{name}-{way}"
        program = programs.run("pub", *options, channel, str(path))
        assert program.process.returncode == 0, program.err
        segments = common.segments(f"{name}-{way}")
        counts = [frames(segment) for segment in segments]
        assert counts == ([50, 50, 25] if way == "time" else [25] * 5)
        assert type_of(common, f"{name}-{way}") == "video/mp2t"
        # Tables apart, which may have been repeated, it is all there, as it was.
        assert frames(b"".join(segments)) == 125
        at = 0
        for segment in segments:
            tail = segment[-2 * 188 :]
            assert (at := data.find(tail, at) + len(tail)) >= len(tail)
        assert at == len(data)


def test_tables_that_stand_before_keyframes_are_not_repeated(
    programs: Programs, common: Http, name: str, tmp_path: Path
) -> None:
    data = made(path := tmp_path / "source.ts", *STREAMS["h264, many tables"])
    programs.run("pub", f"{common.url}/{name}", str(path))
    assert b"".join(common.segments(name)) == data


def test_tables_that_are_rare_are_repeated(
    programs: Programs, common: Http, name: str, tmp_path: Path
) -> None:
    data = made(path := tmp_path / "source.ts", *STREAMS["h264, few tables"])
    # Only the first are left: joined later, it could not be decoded.
    tables = [at for at in range(0, len(data), 188) if data[at + 1 : at + 3] == b"@\0"]
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    pmt = next(p for p in packets if p[1] & 0x5F == 0x50 and p[2] == 0)
    kept = [p for p in packets if p[1:3] not in {b"@\0", b"@\x11", pmt[1:3]}]
    assert tables
    path.write_bytes(b"".join([data[tables[0] :][:188], pmt, *kept]))
    programs.run("pub", f"{common.url}/{name}", str(path))
    segments = common.segments(name)
    assert [frames(segment) for segment in segments] == [25] * 5
    assert all(s.startswith(data[tables[0] :][:188] + pmt) for s in segments)
    assert sum(map(len, segments)) == path.stat().st_size + 4 * 2 * 188


def test_each_second_of_sound_alone_decodes_by_itself(
    programs: Programs, common: Http, name: str, tmp_path: Path
) -> None:
    data = made(path := tmp_path / "source.ts", *SOUND, "-c:a", "aac", *TS)
    programs.run("pub", f"{common.url}/{name}", str(path))
    segments = common.segments(name)
    assert len(segments) in {4, 5}
    assert sum(map(frames, segments)) == frames(data)


@pytest.mark.parametrize("flags", FRAGMENTED)
def test_each_fragment_decodes_by_itself_with_the_init_in_front(
    programs: Programs, common: Http, name: str, tmp_path: Path, flags: str
) -> None:
    sources = (*PICTURES, *SOUND, *H264, "-c:a", "aac", *MP4, FRAGMENTED[flags])
    data = made(path := tmp_path / "source.mp4", *sources)
    for way, options in {"auto": (), "explicit": ("--fragment",)}.items():
        programs.run("pub", *options, f"{common.url}/{name}-{way}", str(path))
        init, *fragments = common.segments(f"{name}-{way}")
        assert init + b"".join(fragments) == data
        assert len(fragments) == 5
        if flags != "ffmpeg's own way":  # there, a fragment tells its place in the file
            assert [frames(init + fragment) for fragment in fragments] == [25] * 5
        assert type_of(common, f"{name}-{way}") == "video/mp4"
    programs.run("pub", "--repeat-init", f"{common.url}/{name}", str(path))
    segments = common.segments(name)
    assert all(segment.startswith(init) for segment in segments)
    assert [frames(segment) for segment in segments] == [25] * 5
    assert sum(frames(segment, "0:1") for segment in segments) == frames(data, "0:1")


def test_mp4_that_is_not_fragmented_is_refused_or_cut_as_bytes(
    programs: Programs, common: Http, name: str, tmp_path: Path
) -> None:
    data = made(path := tmp_path / "source.mp4", *PICTURES, *H264, "-f", "mp4")
    program = programs.run("pub", "--fragment", f"{common.url}/{name}-1", str(path))
    assert program.process.returncode == 1
    assert "not fragmented" in program.err.splitlines()[-1]
    assert "-movflags +frag_keyframe+empty_moov" in program.err.splitlines()[-1]
    program = programs.run("pub", f"{common.url}/{name}-2", str(path))
    assert program.process.returncode == 0
    assert b"".join(common.segments(f"{name}-2")) == data
    assert type_of(common, f"{name}-2") == "video/mp4"
