"""Commands that get segments."""

from __future__ import annotations

import pytest

from trickle_cli.outputs.command import open_commands
from trickle_cli.outputs.taken import Segment, Taken

TAKEN = Taken(
    segment=Segment(channel="cam", seq=7, type="", started=0, lost=0),
    size=5,
    ended=0,
    complete=True,
)


async def test_what_a_command_complains_of_can_be_told_by_somebody_else(
    capfd: pytest.CaptureFixture[str],
) -> None:
    told: list[str] = []
    failed: list[int] = []
    command = "cat >&2; echo second >&2; exit 3"
    async with open_commands(
        command, jobs=1, failed=lambda _, code: failed.append(code), said=told.append
    ) as commands:
        writer = commands.open(TAKEN.segment)
        await writer.write(b"first")
        await writer.write(b"\n")
        await writer.finish(TAKEN)
    assert told == ["first", "second"]
    assert failed == [3]
    assert capfd.readouterr() == ("", "")
