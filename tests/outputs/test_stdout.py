"""Segments to standard output, and which name means what."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trickle_cli.outputs import open_output, open_stdout


class Reader:
    """Of our standard output."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self) -> bytes:
        """What there is by now."""
        try:
            return os.read(self._descriptor, 1 << 20)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._descriptor)


@contextmanager
def stdout_read() -> Iterator[Reader]:
    """Standard output is a pipe in the block, which the reader reads."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    reader = Reader(ours)
    before = os.dup(1)
    os.dup2(theirs, 1)
    os.close(theirs)
    try:
        yield reader
    finally:
        os.dup2(before, 1)
        os.close(before)
        reader.close()


async def test_a_piece_is_with_the_reader_when_its_write_returns() -> None:
    with stdout_read() as reader:
        async with open_stdout() as output:
            await output.write(b"one")
            assert reader.read() == b"one"
            await output.write(b"two")
            assert reader.read() == b"two"


async def test_standard_output_stays_open_and_as_it_was() -> None:
    with stdout_read() as reader:
        async with open_stdout() as output:
            await output.write(b"one ")
        assert os.get_blocking(1)
        os.write(1, b"two")
        assert reader.read() == b"one two"


async def test_a_reader_that_goes_is_noticed_and_breaks_the_pipe(
    nursery: trio.Nursery,
) -> None:
    gone = trio.Event()

    async def look() -> None:
        await output.reader_gone()
        gone.set()

    with stdout_read() as reader, trio.fail_after(60):
        async with open_stdout() as output:
            nursery.start_soon(look)
            await wait_all_tasks_blocked()
            assert not gone.is_set()
            reader.close()
            await gone.wait()
            with pytest.raises(BrokenPipeError):
                await output.write(b"one")


async def write(name: str | None, data: bytes) -> bytes:
    """What comes to standard output of what is written to `name`."""
    with stdout_read() as reader:
        async with open_output(name) as output:
            await output.write(data)
        return reader.read()


@pytest.mark.parametrize("name", [None, "-"])
async def test_no_name_and_a_dash_mean_standard_output(
    name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert await write(name, b"one") == b"one"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["file", "./-"])
async def test_any_other_name_means_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert await write(name, b"one") == b""
    assert (tmp_path / name).read_bytes() == b"one"
