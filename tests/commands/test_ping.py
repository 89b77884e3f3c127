from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.commands.programs import Http, Programs
from trickle_cli.access import digest_of

QUICK = ("--count", "3", "--interval", "10ms")


def test_a_server_is_measured_and_no_channel_is_left_open(programs: Programs) -> None:
    _, http = programs.serve()
    program = programs.run("ping", "-s", http.url, *QUICK)
    assert (program.ends(), program.err) == (0, "")
    lines = program.out.decode().splitlines()
    what = [re.sub(r"\d+\.\d\d", "N", line.removeprefix(http.url)) for line in lines]
    assert what[0] == ": connect: N ms"
    assert what[1:7] == [
        f": {kind} {number}: N ms"
        for number in (1, 2, 3)
        for kind in ("round trip", "first byte")
    ]
    assert what[7:] == [
        f"{kind}, 3 times: min/avg/max = N/N/N ms"
        for kind in ("round trip", "first byte")
    ]
    for kind, total in (("round trip", lines[7]), ("first byte", lines[8])):
        times = [line.split()[-2] for line in lines[1:7] if f": {kind} " in line]
        least, _, most = total.removesuffix(" ms").rpartition(" ")[2].split("/")
        assert (least, most) == (min(times, key=float), max(times, key=float))
    (left,) = (
        channel
        for channel in json.loads(http.get("/"))["channels"]
        if channel["name"].startswith("ping-")
    )
    assert left["closed"]


def test_its_objects_add_up(programs: Programs, common: Http) -> None:
    program = programs.run("ping", "--json", *QUICK, f"{common.url}/")
    assert (program.ends(), program.err) == (0, "")
    rows = [json.loads(line) for line in program.out.splitlines()]
    assert {row["target"] for row in rows} == {common.url}
    for kind in ("round trip", "first byte"):
        *each, total = (row for row in rows if row["what"] == kind)
        times = [row["ms"] for row in each]
        assert [row["seq"] for row in each] == [1, 2, 3]
        assert (total["count"], total["min_ms"], total["max_ms"]) == (
            *(3, min(times), max(times)),
        )
        assert total["min_ms"] <= total["avg_ms"] <= total["max_ms"]


def test_a_channel_is_asked_and_not_published_to(
    programs: Programs, common: Http, name: str
) -> None:
    common.make(name, b"data")
    program = programs.run("ping", "-s", common.url, *QUICK, name)
    assert (program.ends(), program.err) == (0, "")
    assert program.out.count(b": head ") == 3
    assert json.loads(common.get(f"/{name}"))["head"] == 1
    missing = programs.run("ping", *QUICK, f"{common.url}/none")
    assert missing.ends() == 3
    assert "no channel 'none'" in missing.err


def test_without_the_right_to_make_channels_there_are_round_trips(
    programs: Programs, tmp_path: Path
) -> None:
    files = []
    for rights in ("list", "create", "create subscribe", "create publish"):
        files.append(tmp_path / rights)
        digest = digest_of(b"secret").hex()
        may = f'rights = {rights.split()}\nchannels = ["*"]\n'
        files[-1].write_text(f'[tokens.me]\nsha256 = "{digest}"\n{may}')
    for options in (("--no-create",), *(("--tokens", str(file)) for file in files)):
        _, http = programs.serve(*options)
        program = programs.run("ping", *QUICK, http.url, TRICKLE_TOKEN="secret")
        assert program.ends() == 0
        assert "round trips only" in program.err
        assert b"first byte" not in program.out
        assert b"round trip, 3 times" in program.out


def test_an_unreachable_server_exits_with_1(programs: Programs, nowhere: str) -> None:
    program = programs.run("ping", nowhere)
    assert (program.ends(), program.out) == (1, b"")
    assert "connection refused — is a server running there?" in program.err


@pytest.mark.parametrize("count", ["0", "100000"])
def test_an_interrupt_sums_up_and_closes_the_channel(
    programs: Programs, count: str
) -> None:
    _, http = programs.serve()
    program = programs.start("ping", http.url, "-c", count, "-i", "1ms")
    program.wait_until(lambda: program.out.count(b"first byte") > 5)
    program.interrupt()
    assert program.ends() == 130
    assert re.search(rb"first byte, \d+ times: min/avg/max = .* ms\n$", program.out)
    for channel in json.loads(http.get("/"))["channels"]:
        assert channel["closed"] == channel["name"].startswith("ping-")


def test_a_server_that_goes_away_meanwhile_exits_with_1(programs: Programs) -> None:
    server, http = programs.serve()
    program = programs.start("ping", http.url, "-c", "0", "-i", "1ms")
    program.wait_until(lambda: program.out.count(b"first byte") > 5)
    server.kill()
    assert program.ends() == 1
    assert program.err.startswith("trickle ping: ")
    assert b"round trip, " in program.out
