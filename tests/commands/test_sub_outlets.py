"""Where `sub` puts segments besides standard output, and when it ends."""

from __future__ import annotations

import json
import os
import re
from functools import partial
from pathlib import Path

import pytest

from tests.commands.programs import TRICKLE, Http, Programs, wait_until

Command = tuple[str, ...]
TEXT = r"[\d.]+ m?s, [\d.]+ k?bit/s"


@pytest.fixture
def three(common: Http, name: str) -> str:
    """A channel that has ended, with three segments."""
    common.make(name, b"zero\n", b"one\n", b"two\n")
    common.close(name)
    return name


@pytest.fixture
def all_of(sub: Command) -> Command:
    return (*sub, "--from", "oldest")


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# Files.


def test_each_segment_is_a_file(
    programs: Programs, all_of: Command, three: str, tmp_path: Path
) -> None:
    pattern = f"{tmp_path}/new/{{channel}}/seg-{{seq:03d}}.txt"
    program = programs.run(*all_of, "-o", pattern, three)
    assert (program.ends(), program.out) == (0, b"")
    assert files(tmp_path / "new" / three) == {
        "seg-000.txt": b"zero\n",
        "seg-001.txt": b"one\n",
        "seg-002.txt": b"two\n",
    }


def test_a_file_has_its_name_when_it_is_complete(
    programs: Programs,
    common: Http,
    pub: Command,
    all_of: Command,
    name: str,
    tmp_path: Path,
) -> None:
    common.make(name)
    program = programs.start(*all_of, "-o", f"{tmp_path}/{{seq}}", name)
    publisher = programs.start(*pub, "--newline", name)
    publisher.feed(b"first\nsec")
    wait_until(lambda: files(tmp_path) == {"0": b"first\n", "1.part": b"sec"})
    publisher.feed(b"ond\n")
    publisher.end_input()
    assert program.ends() == 0
    assert files(tmp_path) == {"0": b"first\n", "1": b"second\n"}


def test_what_breaks_off_keeps_its_other_name(
    programs: Programs, tmp_path: Path
) -> None:
    _, http = programs.serve("--autocreate", "--resume-window", "100ms")
    http.make("cam")
    program = programs.start(
        "sub", "--print0", "-o", f"{tmp_path}/{{seq}}", f"{http.url}/cam"
    )
    publisher = programs.start("pub", f"{http.url}/cam")
    publisher.feed(b"so far")
    wait_until(lambda: files(tmp_path) == {"0.part": b"so far"})
    publisher.process.kill()
    program.says("segment 0 is incomplete")
    http.close("cam")
    assert (program.ends(), program.out) == (4, b"")
    assert files(tmp_path) == {"0.part": b"so far"}


def test_names_of_files_come_with_nuls_for_xargs(
    programs: Programs, all_of: Command, three: str, tmp_path: Path
) -> None:
    folder = tmp_path / "a folder"
    program = programs.run(*all_of, "--print0", "-o", f"{folder}/{{seq}}", three)
    assert program.out == b"".join(b"%s/%d\0" % (bytes(folder), n) for n in range(3))
    script = '"$@" | xargs -0 cat'
    command = (*TRICKLE, *all_of, "--print0", "-o", f"{folder}/{{seq}}", three)
    program = programs.start_other("bash", "-c", script, "bash", *command)
    assert (program.ends(), program.out) == (0, b"zero\none\ntwo\n")


def test_each_channel_can_have_a_file(
    programs: Programs, common: Http, all_of: Command, name: str, tmp_path: Path
) -> None:
    for part in "ab":
        common.make(name + part, b"one ", part.encode())
        common.close(name + part)
    channels = (name + "a", name + "b")
    assert programs.run(*all_of, "-o", f"{tmp_path}/{{channel}}", *channels).ends() == 0
    assert files(tmp_path) == {name + "a": b"one a", name + "b": b"one b"}


# Commands.


def test_a_command_gets_each_segment_and_what_there_is_to_know(
    programs: Programs, all_of: Command, three: str
) -> None:
    command = (
        'printf "%s " $TRICKLE_CHANNEL $TRICKLE_SEQ $TRICKLE_TYPE $TRICKLE_SIZE; cat'
    )
    program = programs.run(*all_of, "--exec", command, three)
    assert program.ends() == 0
    assert program.out.decode() == (
        f"{three} 0 text/plain 5 zero\n"
        f"{three} 1 text/plain 4 one\n"
        f"{three} 2 text/plain 4 two\n"
    )


def test_a_command_can_have_a_file_too(
    programs: Programs, all_of: Command, three: str, tmp_path: Path
) -> None:
    command = 'cat "$TRICKLE_FILE"'
    program = programs.run(
        *all_of, "-o", f"{tmp_path}/{{seq}}", "--exec", command, three
    )
    assert (program.ends(), program.out) == (0, b"zero\none\ntwo\n")


@pytest.mark.parametrize("jobs", [1, 3])
def test_so_many_commands_run_at_a_time(
    programs: Programs, all_of: Command, three: str, tmp_path: Path, jobs: int
) -> None:
    for seq in range(3):
        os.mkfifo(tmp_path / f"gate-{seq}")
    command = f"cd {tmp_path}; echo > began-$TRICKLE_SEQ; read line < gate-$TRICKLE_SEQ"
    program = programs.start(*all_of, "--jobs", str(jobs), "--exec", command, three)

    def began() -> int:
        return len(list(tmp_path.glob("began-*")))

    def has_begun(count: int) -> bool:
        return began() >= count

    for seq in range(3):
        expected = min(3, seq + jobs)
        wait_until(partial(has_begun, expected))
        assert began() == expected
        (tmp_path / f"gate-{seq}").write_text("go on\n")
    assert program.ends() == 0


def test_a_command_that_fails_is_said_and_the_exit_code(
    programs: Programs, all_of: Command, three: str
) -> None:
    command = "cat; [ $TRICKLE_SEQ != 1 ] || exit 7"
    program = programs.run(*all_of, "--exec", command, three)
    assert (program.ends(), program.out) == (1, b"zero\none\ntwo\n")
    told = f"the command for segment 1 of '{three}' failed: exit code 7"
    assert f"trickle sub: {told}\n" in program.err
    stopped = programs.run(*all_of, "--exec", command, "--on-failure", "stop", three)
    assert stopped.ends() == 1
    assert b"two" not in stopped.out
    assert stopped.err == f"trickle sub: {told}\n"


# Lines.


def test_a_command_that_will_not_end_is_ended_without_a_word(
    programs: Programs, all_of: Command, three: str, tmp_path: Path
) -> None:
    file = tmp_path / "begun"
    command = f"trap '' TERM; touch {file}; while :; do sleep 1; done"
    program = programs.start(*all_of, "-q", "--exec", command, three)
    wait_until(file.exists)
    program.interrupt()
    assert (program.ends(), program.err) == (130, "")


def test_json_tells_of_each_segment(
    programs: Programs, all_of: Command, three: str, tmp_path: Path
) -> None:
    told = programs.run(*all_of, "--json", "--payload", "text", three).out
    objects = [json.loads(line) for line in told.splitlines()]
    for seq, (content, text) in enumerate(
        zip(objects, ("zero\n", "one\n", "two\n"), strict=True)
    ):
        times = content.pop("started"), content.pop("ended")
        assert all(re.fullmatch(r"\d{4}-.*T.*\.\d{3}Z", moment) for moment in times)
        assert content == {
            "channel": three,
            "seq": seq,
            "size": len(text),
            "type": "text/plain",
            "complete": True,
            "lost": 0,
            "payload": text,
        }
    beside = programs.run(*all_of, "--json", "-o", f"{tmp_path}/{{seq}}", three).out
    assert [json.loads(line)["file"] for line in beside.splitlines()] == [
        f"{tmp_path}/{seq}" for seq in range(3)
    ]


def test_a_line_has_the_form_that_was_asked_for(
    programs: Programs, all_of: Command, three: str
) -> None:
    program = programs.run(*all_of, "--format", "{seq}: {text}", three)
    assert program.out == b"0: zero\n\n1: one\n\n2: two\n\n"


WRONG = {
    "--print0 -o out": "--print0 wants --output with a file for each segment",
    "--print0": "--print0 wants --output",
    "--json -o -": "leave out --json",
    "--json --format {seq}": "either --json or --format",
    "--payload text": "--payload is of no use without --json",
    "--format {nothing}": "--format: {nothing} is not one of",
    "-o {seq": "--output: '{seq'",
    "other -o {seq}": "put {channel} into it",
    "--count 0": "--count",
    "--for 0": "--for",
}


def test_what_does_not_go_together_is_wrong_usage(programs: Programs) -> None:
    started = {line: programs.start("sub", "cam", *line.split()) for line in WRONG}
    for line, program in started.items():
        assert (program.ends(), program.out) == (2, b""), line
        assert WRONG[line] in program.err
        assert program.err.count("\n") == 1


# The end.


def test_it_ends_after_so_many_segments(
    programs: Programs, common: Http, all_of: Command, name: str
) -> None:
    common.make(name, b"one ", b"two ", b"three ")
    program = programs.run(*all_of, "--count", "2", name)
    assert (program.ends(), program.out) == (0, b"one two ")


def test_it_ends_with_what_there_is(
    programs: Programs, common: Http, all_of: Command, sub: Command, name: str
) -> None:
    common.make(name, b"one ", b"two ")
    common.make(f"{name}-empty")
    assert programs.run(*all_of, "--until-end", name).out == b"one two "
    for start in ("next", "2", "17"):
        program = programs.run(*sub, "--from", start, "--until-end", name)
        assert (program.ends(), program.out) == (0, b""), start
    assert programs.run(*all_of, "--until-end", f"{name}-empty").ends() == 0
    assert programs.run(*all_of, "--until-end", f"{name}-absent").ends() == 3


def test_it_ends_after_so_long_or_gives_up(
    programs: Programs, common: Http, sub: Command, name: str
) -> None:
    common.make(name, b"one ")
    for option, code in ("--for", 0), ("--idle", 124):
        program = programs.run(*sub, option, "300ms", name)
        assert (program.ends(), program.out) == (code, b"one "), option
    assert programs.run(*sub, "--idle", "300ms", f"{name}-absent").ends() == 124


def test_a_slow_command_is_not_taken_for_silence(
    programs: Programs, all_of: Command, three: str
) -> None:
    program = programs.run(*all_of, "--idle", "200ms", "--exec", "sleep 1; cat", three)
    assert (program.ends(), program.out) == (0, b"zero\none\ntwo\n")


# Several channels.


def test_segments_of_several_channels_are_not_mixed(
    programs: Programs, common: Http, pub: Command, sub: Command, name: str
) -> None:
    names = [f"{name}-{part}" for part in "ab"]
    publishers = []
    for channel in names:
        common.make(channel)
        publishers.append(programs.start(*pub, "--newline", channel))
    program = programs.start(*sub, "--from", "0", *names)
    one, two = publishers
    one.feed(b"one ")
    two.feed(b"two ")
    two.feed(b"- two\n")
    program.writes(b"two - two\n")
    one.feed(b"- one\n")
    program.writes(b"two - two\none - one\n")
    for publisher in publishers:
        publisher.end_input()
    assert program.ends() == 0


def test_a_pattern_means_those_that_are_there_and_those_that_come(
    programs: Programs, tmp_path: Path
) -> None:
    server, http = programs.serve("--autocreate")
    http.make("cam-1", b"old", b"newest")
    http.make("mic-1", b"else")
    program = programs.start(
        *("sub", "-s", http.url, "-o", f"{tmp_path}/{{channel}}/{{seq}}", "cam-*")
    )
    wait_until(lambda: files(tmp_path) == {"cam-1/1": b"newest"})
    http.make("cam-2", b"first", b"second")
    expected = {"cam-1/1": b"newest", "cam-2/0": b"first", "cam-2/1": b"second"}
    wait_until(lambda: files(tmp_path) == expected)
    http.close("cam-2")
    http.make("cam-3", b"third")
    wait_until(lambda: files(tmp_path) == expected | {"cam-3/0": b"third"})
    server.interrupt()
    assert program.ends() == 0


def test_a_pattern_means_what_can_still_be_read_where_only_that_is_wanted(
    programs: Programs,
) -> None:
    _, http = programs.serve("--autocreate")
    for name in ("cam-1", "cam-2", "mic"):
        http.make(name, name.encode())
    http.close("cam-1")
    program = programs.run(
        *("sub", "-s", http.url, "--from", "oldest", "--until-end"),
        *("--format", "{channel} {text}", "cam-*"),
    )
    assert program.ends() == 0
    assert sorted(program.out.splitlines()) == [b"cam-1 cam-1", b"cam-2 cam-2"]


def test_what_is_wrong_with_one_channel_leaves_the_others(
    programs: Programs, common: Http, all_of: Command, three: str
) -> None:
    absent = f"{three}-absent"
    program = programs.run(*all_of, "--no-wait", absent, three)
    assert (program.ends(), program.out) == (3, b"zero\none\ntwo\n")
    told = f"trickle sub: {absent}: no channel '{absent}' on {common.url}\n"
    assert told in program.err


def test_a_name_that_is_too_long_for_a_file_leaves_the_others(
    programs: Programs, tmp_path: Path
) -> None:
    server, http = programs.serve("--autocreate")
    http.make("n" * 255, b"long")
    http.make("cam", b"short")
    pattern = f"{tmp_path}/{{channel}}-{{seq}}"
    program = programs.start("sub", "-s", http.url, "*", "-o", pattern)
    wait_until(lambda: files(tmp_path) == {"cam-0": b"short"})
    program.says("too long for a file's name")
    server.interrupt()
    assert program.ends() == 2


def test_a_pattern_needs_the_changefeed(programs: Programs) -> None:
    _, http = programs.serve("--no-changefeed")
    program = programs.run("sub", "-s", http.url, "cam-*")
    assert program.ends() == 3
    assert "--no-changefeed: name the channels instead" in program.err


# What is told.


def test_programs_get_the_sums_in_objects_of_json(
    programs: Programs, all_of: Command, three: str
) -> None:
    program = programs.run(*all_of, "--progress", "json", three)
    assert program.ends() == 0
    told = [json.loads(line) for line in program.err.splitlines()]
    assert {line["command"] for line in told} == {"sub"}
    assert told[-1]["event"] == "message"
    assert told[-1]["text"].startswith("received 3 segments, 13 B in ")
    assert (told[-1]["segments"], told[-1]["size"], told[-1]["lost"]) == (3, 13, 0)
    assert told[-1]["duration"] >= 0


def test_those_who_want_to_know_everything_are_told_of_each_segment(
    programs: Programs, tmp_path: Path
) -> None:
    server, http = programs.serve("--autocreate", "-v")
    kept = str(tmp_path / "kept")
    publisher = programs.run(
        "pub", "-v", "-s", http.url, "--newline", "a", given=b"1\n"
    )
    commands = {
        "sub": ("--from", "0", "a"),
        "record": ("--from", "0", "a", kept),
        "replay": (kept, "b"),
        "mirror": ("--from", "0", "a", "c"),
    }
    started = {"pub": publisher}
    for name, arguments in commands.items():
        started[name] = programs.run(name, "-v", "-s", http.url, *arguments)
    for name, program in started.items():
        assert program.ends() == 0, program.err
        line = rf"^trickle {name}: segment 0, 2 B in [\d.]+ m?s$"
        assert re.search(line, program.err, re.MULTILINE), program.err
    assert server.says("127.0.0.1 POST /a/0 200, 2 bytes")
    assert server.says("127.0.0.1 GET /a/0 200, 2 bytes")
    quiet = programs.run("sub", "--from", "0", "-s", http.url, "a")
    assert "segment 0" not in quiet.err
