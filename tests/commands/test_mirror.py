from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.commands.programs import PATIENCE, Http, Program, Programs
from tests.e2e.cutting import cutting


@pytest.fixture
def there(programs: Programs) -> Http:
    """The server that is mirrored to."""
    return programs.serve("--autocreate")[1]


@pytest.fixture
def mirror(common: Http, there: Http, name: str) -> tuple[str, ...]:
    return ("mirror", f"{common.url}/{name}", f"{there.url}/copy")


def seqs(http: Http, channel: str) -> dict[int, bytes]:
    """What a channel holds that is over, or ends its segments before long."""
    _, head, _ = http.ask("GET", f"/{channel}/next")
    found = {}
    for seq in range(int(head)):
        status, data, fields = http.ask("GET", f"/{channel}/{seq}")
        if status == 200 and fields["Lp-Trickle-Seq"] == str(seq):
            found[seq] = data
    return found


def is_incomplete(http: Http, channel: str, seq: int) -> bool:
    _, _, fields = http.ask("HEAD", f"/{channel}/{seq}")
    return fields["Lp-Trickle-Incomplete"] == "true"


def arrives(http: Http, path: str, size: int, unless: bytes = b"") -> bytes:
    """The first bytes of a segment, once it is there, and not what it was."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with http.begin("GET", path) as answer:
            data = answer.read(size) if answer.status == 200 else unless
        if data != unless:
            return data
        time.sleep(0.02)
    raise AssertionError(f"{path} does not come")


def test_segments_keep_their_numbers_and_the_channel_its_type_and_its_end(
    programs: Programs, common: Http, there: Http, name: str, mirror: tuple[str, ...]
) -> None:
    common.make(name, b"0", b"", b"2" * 300_000, type_="video/mp2t")
    program = programs.start(*mirror, "--from", "1")
    assert arrives(there, "/copy/2", 300_000) == b"2" * 300_000
    common.add(name, 3, b"3")
    common.close(name)
    assert program.ends() == 0
    assert there.is_closed("copy")
    assert seqs(there, "copy") == {1: b"", 2: b"2" * 300_000, 3: b"3"}
    _, _, fields = there.ask("GET", "/copy/2")
    assert fields["Content-Type"] == "video/mp2t"
    assert "Lp-Trickle-Delivery" not in fields
    first, last = program.err.splitlines()
    assert first == f"trickle mirror: mirroring {mirror[1]} to {mirror[2]}"
    assert last.startswith("trickle mirror: mirrored 3 segments, 293.0 KiB in ")


def test_bytes_come_before_their_segment_has_ended(
    programs: Programs, common: Http, there: Http, name: str, mirror: tuple[str, ...]
) -> None:
    publisher = programs.start("pub", "-s", common.url, "--time", "1h", name)
    programs.start(*mirror)
    publisher.feed(b"first")
    assert arrives(there, "/copy/0", 5) == b"first"
    publisher.feed(b"second")
    assert arrives(there, "/copy/0", 11) == b"firstsecond"


def test_a_lossless_channel_has_a_lossless_copy(
    programs: Programs, common: Http, there: Http, name: str, mirror: tuple[str, ...]
) -> None:
    assert common.ask("POST", f"/{name}", Lp_Trickle_Delivery="lossless")[0] == 200
    program = programs.start(*mirror)
    common.add(name, 0, b"data")
    assert arrives(there, "/copy/0", 4) == b"data"
    _, _, fields = there.ask("GET", "/copy/next")
    assert fields["Lp-Trickle-Delivery"] == "lossless"
    common.close(name)
    assert program.ends() == 0


def test_what_was_missed_is_said_and_missing_there_too(
    programs: Programs, common: Http, there: Http, name: str, mirror: tuple[str, ...]
) -> None:
    common.make(name, b"0")
    program = programs.start(*mirror)
    assert arrives(there, "/copy/0", 1) == b"0"
    common.add(name, 5, b"5", b"6")
    program.says("lost segments 1-4")
    assert arrives(there, "/copy/6", 1) == b"6"
    common.close(name)
    assert program.ends() == 4
    assert "; lost 4 segments" in program.err.splitlines()[-1]
    assert seqs(there, "copy") == {0: b"0", 5: b"5", 6: b"6"}


def test_what_breaks_off_is_incomplete_there_too(
    programs: Programs, there: Http
) -> None:
    _, here = programs.serve("--autocreate", "--resume-window", "100ms")
    publisher = programs.start("pub", "-s", here.url, "--time", "1h", "cam")
    program = programs.start("mirror", f"{here.url}/cam", f"{there.url}/copy")
    publisher.feed(b"half")
    assert arrives(there, "/copy/0", 4) == b"half"
    publisher.interrupt(signal.SIGKILL)
    program.says("segment 0 is incomplete")
    here.add("cam", 1, b"whole")
    assert arrives(there, "/copy/1", 5) == b"whole"
    here.close("cam")
    assert program.ends() == 4
    assert seqs(there, "copy") == {0: b"half", 1: b"whole"}
    assert is_incomplete(there, "copy", 0)
    assert not is_incomplete(there, "copy", 1)


def test_a_source_that_begins_anew_lets_the_copy_begin_anew(
    programs: Programs, common: Http, there: Http, name: str, mirror: tuple[str, ...]
) -> None:
    common.make(name, b"a", b"b", b"c")
    program = programs.start(*mirror, "--from", "0")
    assert arrives(there, "/copy/2", 1) == b"c"
    before = there.ask("GET", "/copy/2")[2]["Lp-Trickle-Epoch"]
    common.add(name, 0, b"new", b"more")
    program.says(f"{there.url}/copy begins anew, at segment 0")
    assert arrives(there, "/copy/1", 4, unless=b"b") == b"more"
    common.close(name)
    assert program.ends() == 0
    assert seqs(there, "copy") == {0: b"new", 1: b"more"}
    assert there.ask("GET", "/copy/0")[2]["Lp-Trickle-Epoch"] != before


def test_the_copy_may_stay_open(
    programs: Programs, common: Http, there: Http, name: str, mirror: tuple[str, ...]
) -> None:
    common.make(name, b"0")
    program = programs.start(*mirror, "--keep-open")
    assert arrives(there, "/copy/0", 1) == b"0"
    common.close(name)
    assert program.ends() == 0
    assert not there.is_closed("copy")


def test_it_goes_on_where_the_copy_stands(
    programs: Programs, common: Http, there: Http, name: str, mirror: tuple[str, ...]
) -> None:
    common.make(name, b"0", b"1")
    program = programs.start(*mirror, "--from", "oldest")
    assert arrives(there, "/copy/1", 1) == b"1"
    program.interrupt()
    assert program.ends() == 130
    assert not there.is_closed("copy")
    common.add(name, 2, b"2", b"3", b"4")
    program = programs.start(*mirror)
    program.says(f"{there.url}/copy is there: going on with segment 2")
    assert arrives(there, "/copy/4", 1) == b"4"
    common.close(name)
    assert program.ends() == 0
    assert seqs(there, "copy") == {n: b"%d" % n for n in range(5)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_it_leaves_in_the_middle_is_known_not_to_be_whole(
    programs: Programs,
    common: Http,
    there: Http,
    name: str,
    mirror: tuple[str, ...],
    number: int,
) -> None:
    publisher = programs.start("pub", "-s", common.url, "--time", "1h", name)
    program = programs.start(*mirror)
    publisher.feed(b"half")
    assert arrives(there, "/copy/0", 4) == b"half"
    program.interrupt(number)
    assert program.ends() == (-9 if number == signal.SIGKILL else 128 + number)
    if number != signal.SIGKILL:
        assert is_incomplete(there, "copy", 0)
    publisher.feed(b"more")
    program = programs.start(*mirror)
    program.says("segment 0 stays incomplete there")
    publisher.end_input()
    assert program.ends() == 4
    assert seqs(there, "copy") == {0: b"half"}


def test_nothing_is_lost_or_doubled_where_both_paths_break_again_and_again(
    programs: Programs, common: Http, there: Http, name: str, tmp_path: Path
) -> None:
    data = os.urandom(3_000_000)
    with (
        cutting(common.address, 12, 150_000) as source,
        cutting(there.address, 12, 150_000) as target,
    ):
        common.make(name)
        program = programs.start(
            *("mirror", f"{source.url}/{name}", f"{target.url}/copy", "--from", "0")
        )
        chance = random.Random(7)
        publisher = programs.start("pub", "-s", common.url, "--size", "100000", name)
        rest = data
        while rest:
            size = chance.randrange(1, 100_000)
            publisher.feed(rest[:size])
            rest = rest[size:]
        publisher.end_input()
        assert publisher.ends() == 0
        assert program.ends() == 0
        assert source.left + target.left < 24
    assert seqs(there, "copy") == seqs(common, name)
    assert b"".join(seqs(there, "copy").values()) == data


TOKENS = """
[tokens.one]
token = "{}"
rights = ["publish", "subscribe", "create"]
channels = ["*"]
"""


def test_each_server_can_have_a_token_of_its_own(
    programs: Programs, tmp_path: Path
) -> None:
    urls, files = [], []
    for token in ("here-here-here-here", "there-there-there-there"):
        file = tmp_path / f"{token}.toml"
        file.write_text(TOKENS.format(token))
        urls.append(programs.serve("--autocreate", "--tokens", str(file))[1].url)
        files.append(tmp_path / token)
        files[-1].write_text(f"{token}\n")
    source, target = (f"{url}/cam" for url in urls)
    first, second = map(str, files)
    pub = ("pub", "-s", urls[0], "--token-file", first, "--keep-open", "cam")
    assert programs.run(*pub, given=b"data").ends() == 0
    program = programs.run("mirror", source, target, "--token-file", first)
    assert program.ends() == 5
    program = programs.start(
        *("mirror", source, target, "--token-file", first, "--dst-token-file", second)
    )
    sub = ("sub", "-s", urls[1], "--token-file", second, "cam")
    reader: Program = programs.start(*sub)
    reader.writes(b"data")
    program.interrupt()
    assert program.ends() == 130


def test_a_channel_is_not_mirrored_to_itself(programs: Programs, common: Http) -> None:
    program = programs.run("mirror", "-s", common.url, "cam", f"{common.url}/cam")
    assert (program.ends(), program.out) == (2, b"")
    assert program.err == (
        f"trickle mirror: {common.url}/cam cannot be mirrored to itself\n"
    )


def test_an_unreachable_destination_is_said_before_anything_is_read(
    programs: Programs, common: Http, nowhere: str
) -> None:
    program = programs.run("mirror", f"{common.url}/cam", f"{nowhere}/copy")
    assert program.ends() == 1
    assert program.err.splitlines()[-1] == (
        f"trickle mirror: cannot reach {nowhere}: connection refused"
        " — is a server running there? (trickle serve)"
    )
