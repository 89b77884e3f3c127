"""Segments to a file: of it, whatever it is, and of what it held before."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trickle_cli.outputs import open_file


class Target:
    """A file to write to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()

    @content.setter
    def content(self, content: bytes) -> None:
        self.path.write_bytes(content)

    @property
    def mode(self) -> int:
        return self.path.stat().st_mode & 0o777


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture
def target(path: Path) -> Target:
    return Target(path)


async def write(path: Path, *pieces: bytes) -> None:
    with trio.fail_after(60):
        async with open_file(str(path)) as file:
            for piece in pieces:
                await file.write(piece)


async def test_a_file_is_made_and_gets_all_pieces_in_order(
    path: Path, target: Target
) -> None:
    await write(path, b"one ", b"two ", b"three")
    assert target.content == b"one two three"


async def test_a_file_that_is_made_may_be_read_and_written_as_the_umask_says(
    path: Path,
    target: Target,
) -> None:
    before = os.umask(0o027)
    try:
        await write(path)
    finally:
        os.umask(before)
    assert target.mode == 0o640


async def test_a_piece_is_in_the_file_when_its_write_returns(
    path: Path, target: Target
) -> None:
    async with open_file(str(path)) as file:
        await file.write(b"one")
        assert target.content == b"one"
        await file.write(b" two")
        assert target.content == b"one two"


async def test_the_old_content_goes_when_the_first_bytes_come(
    path: Path, target: Target
) -> None:
    target.content = b"an old and long content"
    async with open_file(str(path)) as file:
        assert target.content == b"an old and long content"
        await file.write(b"new")
        assert target.content == b"new"
        await file.write(b"er")
    assert target.content == b"newer"


async def test_an_attempt_that_brings_nothing_leaves_the_old_content(
    path: Path,
    target: Target,
) -> None:
    target.content = b"old"
    await write(path)
    assert target.content == b"old"


async def test_the_descriptor_is_closed_at_the_end(path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    async with open_file(str(path)):
        assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (".", errno.EISDIR),
        ("missing/file", errno.ENOENT),
        ("file/below", errno.ENOTDIR),
    ],
)
async def test_what_cannot_be_written_is_an_error_that_names_it(
    path: Path, target: Target, name: str, number: int
) -> None:
    target.content = b"a file"
    wanted = str(path.parent / name)
    with pytest.raises(OSError, match=os.strerror(number)) as caught:
        async with open_file(wanted):
            pass
    assert caught.value.errno == number
    assert caught.value.filename == wanted


async def test_a_device_is_written_to_but_not_cut() -> None:
    await write(Path(os.devnull), b"one", b"two")
    with pytest.raises(OSError, match="No space left"):
        await write(Path("/dev/full"), b"one")


async def test_a_file_always_has_its_reader(path: Path, nursery: trio.Nursery) -> None:
    gone = trio.Event()

    async def look() -> None:
        await file.reader_gone()
        gone.set()

    async with open_file(str(path)) as file:
        nursery.start_soon(look)
        await wait_all_tasks_blocked()
        assert not gone.is_set()
        nursery.cancel_scope.cancel()


async def open_reader(path: Path) -> int:
    return await trio.to_thread.run_sync(os.open, path, os.O_RDONLY)


async def test_a_named_pipe_is_opened_when_its_reader_comes(
    path: Path, nursery: trio.Nursery
) -> None:
    os.mkfifo(path)
    is_written = trio.Event()

    async def send() -> None:
        await write(path, b"one")
        is_written.set()

    nursery.start_soon(send)
    await wait_all_tasks_blocked()
    assert not is_written.is_set()
    with trio.fail_after(60):
        reader = await open_reader(path)
        await is_written.wait()
    assert os.read(reader, 100) == b"one"
    assert os.read(reader, 100) == b""
    os.close(reader)


async def test_the_wait_for_the_reader_of_a_named_pipe_can_be_cancelled(
    path: Path, nursery: trio.Nursery
) -> None:
    os.mkfifo(path)
    with trio.fail_after(60), trio.CancelScope() as scope:
        nursery.start_soon(cancel_when_blocked, scope)
        async with open_file(str(path)):
            pass
    assert scope.cancelled_caught
    os.close(await open_reader(path))  # lets the thread go that was left behind


async def cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_the_reader_of_a_named_pipe_is_noticed_when_it_goes(
    path: Path, nursery: trio.Nursery
) -> None:
    os.mkfifo(path)
    ours = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with trio.fail_after(60):
        async with open_file(str(path)) as file:
            await file.write(b"one")
            os.close(ours)
            await file.reader_gone()
            with pytest.raises(BrokenPipeError):
                await file.write(b"two")
