"""Publishing, with a channel read back by an HTTP client that is not ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.commands.programs import TRICKLE, Http, Programs, wait_until

Command = tuple[str, ...]


# Where the bytes come from, and where they are cut.


def test_standard_input_is_published_and_the_channel_closed(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    program = programs.run(*pub, name, given=b"all of it")
    assert program.ends() == 0
    assert common.segments(name) == [b"all of it"]
    assert common.is_closed(name)
    assert program.out == b""
    first, last = program.err.splitlines()
    assert first == f"trickle pub: publishing to {common.url}/{name}"
    assert last.startswith("trickle pub: sent 1 segment, 9 B in ")


CUTS = [
    ("", "", []),
    ("--newline", "", []),
    ("", "few", ["few"]),
    ("--size 4", "abcdefghij", ["abcd", "efgh", "ij"]),
    ("--size 5B", "abcdefghij", ["abcde", "fghij"]),
    ("--size 1KiB", "x" * 1025, ["x" * 1024, "x"]),
    ("--newline", "a\nb\n", ["a\n", "b\n"]),
    ("--newline", "a\n\nlast", ["a\n", "\n", "last"]),
    (
        "--newline --size 4",
        "a\nb\nc\nlong line\nd",
        ["a\nb\n", "c\n", "long line\n", "d"],
    ),
    ("--time 1h", "a\nb\n", ["a\nb\n"]),
    ("--time 1h --size 3", "abcdef", ["abc", "def"]),
    ("--time 1h --newline", "a\nb\n", ["a\nb\n"]),
    ("--lines 2", "a\nb\nc\nd\ne", ["a\nb\n", "c\nd\n", "e"]),
    ("--lines 3 --size 4", "a\nb\nc\nd\n", ["a\nb\n", "c\nd\n"]),
    ("--delimiter ;", "a;;b", ["a;", ";", "b"]),
    (r"--delimiter \n\n", "a\n\n\nb\nc\n\n", ["a\n\n", "\nb\nc\n\n"]),
    (r"--delimiter \0", "a\0b", ["a\0", "b"]),
    ("--delimiter 0x0d0a --size 5", "a\r\nb\r\nc", ["a\r\n", "b\r\nc"]),
    ("--whole", "a\nb\n", ["a\nb\n"]),
    ("--whole", "", [""]),
]


def test_input_is_cut_where_it_was_asked_for(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    started = [
        programs.start(*pub, *options.split(), f"{name}-{number}")
        for number, (options, _, _) in enumerate(CUTS)
    ]
    for program, (_, data, _) in zip(started, CUTS, strict=True):
        program.feed(data.encode())
        program.end_input()
    for number, (options, _, segments) in enumerate(CUTS):
        assert started[number].ends() == 0
        channel = f"{name}-{number}"
        got = [segment.decode() for segment in common.segments(channel)]
        assert got == segments, options
        assert f"sent {len(got)} segment" in started[number].err
        assert common.is_closed(channel)


@pytest.mark.parametrize("options", [[], ["--size", "64k"]])
def test_a_large_file_arrives_byte_for_byte(
    programs: Programs,
    common: Http,
    pub: Command,
    name: str,
    tmp_path: Path,
    options: list[str],
) -> None:
    path = tmp_path / "film.ts"
    path.write_bytes(data := os.urandom(2_500_000))
    assert programs.run(*pub, *options, name, str(path)).ends() == 0
    segments = common.segments(name)
    assert b"".join(segments) == data
    assert len(segments) >= 3
    assert all(segments)
    if not options:
        assert max(map(len, segments)) <= 1024 * 1024


def test_a_file_called_dash_is_standard_input(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    assert programs.run(*pub, name, "-", given=b"input").ends() == 0
    assert common.segments(name) == [b"input"]


def test_a_named_pipe_can_be_the_file(
    programs: Programs, common: Http, pub: Command, name: str, tmp_path: Path
) -> None:
    os.mkfifo(path := tmp_path / "pipe")
    program = programs.start(*pub, name, str(path))
    path.write_bytes(b"through a pipe")
    assert program.ends() == 0
    assert common.segments(name) == [b"through a pipe"]


def test_each_file_ends_its_segment_and_is_cut_afresh(
    programs: Programs, common: Http, pub: Command, name: str, tmp_path: Path
) -> None:
    names = [str(tmp_path / f"{number}") for number in range(3)]
    for path, data in zip(names, ["a\nb", "", "c\nd\n"], strict=True):
        Path(path).write_text(data)
    inputs = (names[0], "-", *names[1:])
    assert programs.run(*pub, "--newline", name, *inputs, given=b"x\ny").ends() == 0
    assert common.segments(name) == [b"a\n", b"b", b"x\n", b"y", b"c\n", b"d\n"]
    assert programs.run(*pub, "--whole", f"{name}-2", *names).ends() == 0
    assert common.segments(f"{name}-2") == [b"a\nb", b"", b"c\nd\n"]


def test_nothing_is_published_if_one_of_the_files_is_missing(
    programs: Programs, common: Http, pub: Command, name: str, tmp_path: Path
) -> None:
    (tmp_path / "there").write_bytes(b"data")
    missing = str(tmp_path / "missing")
    program = programs.run(*pub, name, str(tmp_path / "there"), missing)
    assert program.ends() == 1
    assert program.err.startswith(f"trickle pub: {missing}: No such file")
    assert common.ask("GET", f"/{name}/next")[0] == 404


def test_a_loops_standard_input_is_not_eaten(
    programs: Programs, common: Http, pub: Command, name: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"data")
    loop = 'while read -r line; do "$@"; echo "$line"; done'
    command = ("sh", "-c", loop, "sh", *TRICKLE, *pub, name, str(tmp_path / "file"))
    program = programs.start_other(*command)
    program.feed(b"one\ntwo\n")
    program.end_input()
    assert program.ends() == 0
    assert program.out == b"one\ntwo\n"


# What they are.


TYPES = {
    b"some text\n": "text/plain",
    b'{"a": 1}\n{"b": 2}\n': "application/json",
    b"\x89PNG\r\n\x1a\n....": "image/png",
    b"\0\1\2\3": "application/octet-stream",
    b"": "application/octet-stream",
}


def test_the_first_bytes_tell_the_type(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    started = [programs.start(*pub, f"{name}-{n}") for n in range(len(TYPES))]
    for program, data in zip(started, TYPES, strict=True):
        program.feed(data)
        program.end_input()
    for number, (program, type_) in enumerate(
        zip(started, TYPES.values(), strict=True)
    ):
        assert program.ends() == 0
        listed = json.loads(common.get(f"/{name}-{number}"))
        assert listed["type"] == type_


def test_a_few_bytes_of_text_are_sent_at_once_though_video_begins_so(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    program = programs.start(*pub, name)
    program.feed(b"GO\n")
    program.says("publishing to")
    with common.begin("GET", f"/{name}/0") as answer:
        assert answer.read(3) == b"GO\n"
        assert answer.headers["Content-Type"] == "text/plain"


def test_who_has_nothing_to_say_yet_publishes_bytes(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    program = programs.start(*pub, name)
    program.says("publishing to")
    program.feed(b"late")
    with common.begin("GET", f"/{name}/0") as answer:
        assert answer.read(4) == b"late"
        assert answer.headers["Content-Type"] == "application/octet-stream"


CONTENT = {
    "--gop": "this is no MPEG-TS, which --gop cuts — leave --gop out",
    "--fragment": "this is no MP4, which --fragment cuts — leave --fragment out",
}


@pytest.mark.parametrize("option", CONTENT)
def test_content_that_cannot_be_cut_as_was_asked_for_is_said(
    programs: Programs, pub: Command, name: str, option: str
) -> None:
    program = programs.run(*pub, option, name, given=b"nothing of the kind")
    assert program.ends() == 1
    _, error = program.err.splitlines()
    assert error.startswith(f"trickle pub: standard input: {CONTENT[option]}")


def test_what_was_sent_before_it_failed_is_said(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    common.make(name)
    program = programs.start(*pub, "--newline", name)
    program.feed(b"one\n")
    assert common.get(f"/{name}/0") == b"one\n"
    common.close(name)
    assert program.ends() == 1
    _, summary, error = program.err.splitlines()
    assert summary.startswith("trickle pub: sent 1 segment, 4 B in ")
    assert summary.endswith(" before it failed")
    assert error.endswith("is closed")


def test_who_is_displaced_is_told(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    common.make(name)
    program = programs.start(*pub, "--newline", name)
    program.feed(b"one\n")
    assert common.get(f"/{name}/0") == b"one\n"
    common.add(name, 0, b"other")  # somebody else starts over
    program.feed(b"two\n")
    assert program.says("the channel has begun anew: another publisher is there")
    program.end_input()
    assert program.ends() == 0
    assert common.segments(name) == [b"other", b"two\n"]


# What is passed on.


def test_tee_passes_all_on_as_it_comes(
    programs: Programs, common: Http, pub: Command, name: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(data := os.urandom(200_000))
    program = programs.start(*pub, "--tee", name, "-", str(tmp_path / "file"))
    program.feed(b"one")
    program.writes(b"one")
    program.end_input()
    assert program.ends() == 0
    assert program.out == b"one" + data
    assert b"".join(common.segments(name)) == b"one" + data


@pytest.mark.parametrize("is_busy", [True, False])
def test_when_nobody_takes_that_any_more_the_channel_ends_in_order(
    programs: Programs, common: Http, pub: Command, name: str, is_busy: bool
) -> None:
    reader, writer = os.pipe()
    program = programs.start(*pub, "--tee", name, stdout=writer)
    os.close(writer)
    program.feed(b"one")
    assert os.read(reader, 3) == b"one"
    os.close(reader)
    if is_busy:
        with suppress(BrokenPipeError):
            program.feed(b"two")
    assert program.ends() == 141
    assert common.is_closed(name)
    assert b"".join(common.segments(name)) in {b"one", b"onetwo"}
    assert "sent 1 segment" in program.err


# When they are sent.


@pytest.mark.parametrize("options", [["--size", "1MiB"], ["--newline"], ["--time=1h"]])
def test_bytes_are_sent_as_they_arrive(
    programs: Programs, common: Http, pub: Command, name: str, options: list[str]
) -> None:
    common.make(name)
    program = programs.start(*pub, *options, name)
    program.feed(b"one")
    with common.begin("GET", f"/{name}/0") as answer:
        assert answer.read(3) == b"one"
        program.feed(b"two")
        assert answer.read(3) == b"two"
        program.end_input()
        assert answer.read() == b""
    assert program.ends() == 0


def test_time_ends_a_segment_but_never_makes_an_empty_one(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    common.make(name)
    program = programs.start(*pub, "--time", "20ms", name)
    for seq, data in enumerate([b"one", b"two", b"three"]):
        program.feed(data)
        assert common.get(f"/{name}/{seq}") == data  # to its end, with no more input
        time.sleep(0.1)  # time for several empty ones
    program.end_input()
    assert program.ends() == 0
    assert common.segments(name) == [b"one", b"two", b"three"]


def test_time_with_newline_waits_for_the_end_of_the_line(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    common.make(name)
    program = programs.start(*pub, "--time", "20ms", "--newline", name)
    program.feed(b"half ")
    with common.begin("GET", f"/{name}/0") as answer:
        assert answer.read(5) == b"half "
        time.sleep(0.1)  # time for several cuts
        program.feed(b"line\nnext\n")
        assert answer.read() == b"line\n"
    assert common.get(f"/{name}/1") == b"next\n"


# The channel.


def test_the_type_is_the_channels(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    programs.run(*pub, "--type", "video/mp2t", name, given=b"data")
    assert common.ask("GET", f"/{name}/0")[2]["Content-Type"] == "video/mp2t"
    programs.run(*pub, f"{name}-2", given=b"data", TRICKLE_TYPE="text/csv")
    assert common.ask("GET", f"/{name}-2/0")[2]["Content-Type"] == "text/csv"


def test_keep_open_lets_the_next_one_go_on(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    for data in (b"first", b"second"):
        program = programs.run(*pub, "--keep-open", name, given=data)
        assert program.ends() == 0
    assert common.segments(name) == [b"first", b"second"]
    assert not common.is_closed(name)


def test_server_and_channel_come_from_the_environment(
    programs: Programs, common: Http, name: str
) -> None:
    program = programs.run(
        "pub", given=b"data", TRICKLE_SERVER=common.url, TRICKLE_CHANNEL=name
    )
    assert program.ends() == 0
    assert common.segments(name) == [b"data"]
    assert "made up" not in program.err


def test_a_url_is_a_channel_whatever_the_server_is_said_to_be(
    programs: Programs, common: Http, name: str, nowhere: str
) -> None:
    program = programs.run("pub", "-s", nowhere, f"{common.url}/{name}", given=b"data")
    assert program.ends() == 0
    assert common.segments(name) == [b"data"]


def test_a_name_is_any_text(programs: Programs, common: Http, pub: Command) -> None:
    assert programs.run(*pub, "kamera 1 ü%?#", given=b"data").ends() == 0
    assert common.get("/kamera%201%20%C3%BC%25%3F%23/0") == b"data"


@pytest.mark.parametrize("env", [{}, {"TRICKLE_CHANNEL": ""}])
def test_a_name_is_made_up_and_the_command_that_is_shown_reads_it(
    programs: Programs, pub: Command, env: dict[str, str]
) -> None:
    program = programs.start(*pub, **env)
    program.feed(b"data")
    shown = program.says("made up").partition("see it with: trickle ")[2]
    subscriber = programs.start(*shown.split())
    subscriber.writes(b"data")
    program.end_input()
    assert (program.ends(), subscriber.ends()) == (0, 0)


# What goes wrong.


BAD_CHANNELS = {
    "a/b": "channel name 'a/b' contains '/': use a name without it",
    "a\nb": r"channel name 'a\nb' contains control characters",
    "a\x1b[31m": r"channel name 'a\x1b[31m' contains control characters",
    "": "a channel name cannot be empty",
    "..": "channel name '..' is a path step, not a name",
    "x" * 256: "channel name of 256 bytes: at most 255 are allowed",
    "http://127.0.0.1:1/": "names a server but no channel",
    "ftp://127.0.0.1/a": "is not the URL of a server",
}
BAD_VALUES = {
    ("--size", "0"): "a size must be at least one byte",
    ("--size", "many"): "'many' is not a size: 65536, 64KiB",
    ("--time", "0s"): "a time must be longer than nothing",
    ("--time", "-1"): "'-1' is not a time: 500ms, 2s",
    ("--type", "ü"): "'ü' is not a MIME type",
    ("--lines", "0"): "1",
    ("--delimiter", ""): "a delimiter has at least one byte",
    ("--delimiter", "0x"): "a delimiter has at least one byte",
    ("--delimiter", "0xabc"): "'0xabc' are no bytes",
    ("-s", "here"): "'here' is not the URL of a server",
}


def test_a_channel_that_cannot_be_is_wrong_usage(programs: Programs) -> None:
    started = {channel: programs.start("pub", channel) for channel in BAD_CHANNELS}
    for channel, program in started.items():
        assert program.ends() == 2, channel
        assert BAD_CHANNELS[channel] in program.err
        assert program.err.count("\n") == 1
        assert program.err.strip().isprintable()


def test_a_value_that_cannot_be_is_wrong_usage(programs: Programs) -> None:
    started = {
        options: programs.start("pub", *options, "cam") for options in BAD_VALUES
    }
    names = {"-s": "--server"}
    for options, program in started.items():
        assert program.ends() == 2, options
        assert program.err.startswith(
            f"trickle pub: {names.get(options[0], options[0])}: "
        )
        assert BAD_VALUES[options] in program.err
        assert program.err.count("\n") == 1


CONTRADICTIONS = {
    "--gop --newline": "either --newline or --gop",
    "--whole --fragment": "either --fragment or --whole",
    "--lines 2 --delimiter x": "either --lines or --delimiter",
    "--whole --size 1k": "--whole is one segment, whatever --size and --time",
    "--repeat-init --gop": "--repeat-init is of no use without --fragment",
    "--repeat-init --size 1k": "--repeat-init is of no use without --fragment",
}


def test_what_contradicts_itself_is_wrong_usage(programs: Programs) -> None:
    started = {
        options: programs.start("pub", *options.split(), "cam")
        for options in CONTRADICTIONS
    }
    for options, program in started.items():
        assert program.ends() == 2, options
        assert CONTRADICTIONS[options] in program.err
        assert program.err.count("\n") == 1


def test_a_file_that_cannot_be_read_is_named_and_makes_no_channel(
    programs: Programs, common: Http, pub: Command, name: str, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    for path, reason in [
        (missing, "No such file or directory — check the path"),
        (tmp_path, "Is a directory — name a file in it"),
    ]:
        program = programs.run(*pub, name, str(path))
        assert program.ends() == 1
        assert program.err == f"trickle pub: {path}: {reason}\n"
    assert common.ask("GET", f"/{name}/next")[0] == 404


def test_an_unreachable_server_is_said_with_what_to_do(
    programs: Programs, nowhere: str
) -> None:
    program = programs.run("pub", "-s", nowhere, "cam")
    assert program.ends() == 1
    assert program.err == (
        f"trickle pub: cannot reach {nowhere}: connection refused"
        " — is a server running there? (trickle serve)\n"
    )


def test_an_unreachable_server_is_said_before_there_is_any_input(
    programs: Programs, nowhere: str
) -> None:
    program = programs.start("pub", "-s", nowhere, "cam")
    assert program.ends() == 1
    assert program.err.startswith(f"trickle pub: cannot reach {nowhere}")


def test_a_server_that_makes_no_channel_is_said_with_what_to_do(
    programs: Programs,
) -> None:
    _, http = programs.serve("--no-create")
    program = programs.run("pub", f"{http.url}/cam", given=b"data")
    assert program.ends() == 3
    assert program.err.splitlines()[-1] == (
        f"trickle pub: no channel 'cam' on {http.url} — start the server with"
        " --autocreate, or without --no-create"
    )


def test_the_servers_own_names_are_not_allowed(
    programs: Programs, nowhere: str
) -> None:
    program = programs.run("pub", f"{nowhere}/_changes")
    assert program.ends() == 5
    assert program.err == (
        "trickle pub: channel '_changes': names that begin with '_' are the server's"
        " — choose another\n"
    )


def test_a_channel_that_somebody_closes_ends_it_without_more_input(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    common.make(name)
    program = programs.start(*pub, name)
    program.feed(b"data")
    with common.begin("GET", f"/{name}/0") as answer:
        assert answer.read(4) == b"data"
        common.close(name)
    assert program.ends() == 1
    assert f"channel '{name}' on {common.url} is closed" in program.err


def test_a_server_that_dies_ends_it_without_more_input(programs: Programs) -> None:
    server, http = programs.serve("--channel", "cam")
    program = programs.start("pub", "--retry-for", "0", f"{http.url}/cam")
    program.feed(b"data")
    with http.begin("GET", "/cam/0") as answer:
        assert answer.read(4) == b"data"
        server.process.kill()
        assert program.ends() == 1
    assert http.url in program.err.splitlines()[-1]


# Interruptions.


def test_ctrl_c_ends_the_segment_and_closes_the_channel(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    for number, code in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
        channel = f"{name}-{code}"
        common.make(channel)
        program = programs.start(*pub, "--time", "1h", channel)
        program.feed(b"so far")
        with common.begin("GET", f"/{channel}/0") as answer:
            assert answer.read(6) == b"so far"
            program.interrupt(number)
            assert answer.read() == b""  # an end, not a break
        assert program.ends() == code
        assert common.is_closed(channel)
        assert common.segments(channel) == [b"so far"]
        assert "sent 1 segment, 6 B" in program.err


def test_a_second_ctrl_c_ends_it_at_once(programs: Programs) -> None:
    server, http = programs.serve("--channel", "one", "--channel", "two")
    patient, hurried = (
        programs.start("pub", f"{http.url}/{channel}") for channel in ("one", "two")
    )
    for program, channel in [(patient, "one"), (hurried, "two")]:
        program.feed(b"data")
        with http.begin("GET", f"/{channel}/0") as answer:
            assert answer.read(4) == b"data"
    server.process.send_signal(signal.SIGSTOP)
    for program in (patient, hurried):
        program.interrupt()
        program.says("interrupt again to leave at once")
    hurried.interrupt()
    assert hurried.ends() == 130
    assert patient.runs  # it waits for the server's word
    server.process.send_signal(signal.SIGCONT)
    assert patient.ends() == 130


def test_ctrl_c_while_there_is_nothing_to_finish_ends_it(
    programs: Programs, pub: Command, name: str, tmp_path: Path
) -> None:
    os.mkfifo(path := tmp_path / "pipe")
    program = programs.start(*pub, name, str(path))
    blocked = Path(f"/proc/{program.process.pid}/task")
    # A thread waits for the pipe's other end.
    wait_until(lambda: len(list(blocked.iterdir())) == 2)
    program.interrupt()
    assert program.ends(patience=8) == 130  # what there is to finish may take 10


# Standard streams that are closed.


def test_without_a_standard_error_it_works_in_silence(
    programs: Programs, common: Http, pub: Command, name: str
) -> None:
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *TRICKLE, *pub, name]
    program = programs.start_other(*command)
    program.feed(b"data")
    program.end_input()
    assert program.ends() == 0
    assert (program.out, program.err) == (b"", "")
    assert common.segments(name) == [b"data"]


def test_a_standard_error_that_breaks_does_no_harm(
    common: Http, pub: Command, name: str
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as broken:
        result = subprocess.run(
            [*TRICKLE, *pub, name], input=b"data", stderr=broken, timeout=30
        )
    assert result.returncode == 0
    assert common.segments(name) == [b"data"]


def test_without_a_standard_input_it_says_so(
    programs: Programs, pub: Command, name: str
) -> None:
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *TRICKLE, *pub, name]
    program = programs.start_other(*command)
    assert program.ends() == 1
    assert "trickle pub: standard input: Bad file descriptor" in program.err
