"""Reading and writing descriptors: pipes, sockets, terminals and files, real ones."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import socket
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Literal

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trickle_cli.stdio import (
    LARGE_READ_SIZE,
    READ_SIZE,
    Sink,
    open_sink,
    open_source,
)

LARGE = bytes(range(256)) * 4096


@dataclass
class Link:
    """Two descriptors: what is written to one is read from the other."""

    reader: int
    writer: int
    close_reader: Callable[[], None]
    close_writer: Callable[[], None]


def opened(file: int | Path, mode: Literal["rb", "wb"]) -> FileIO:
    return open(file, mode, buffering=0)


@contextmanager
def pipe_link() -> Iterator[Link]:
    reader, writer = os.pipe()
    with opened(reader, "rb") as r, opened(writer, "wb") as w:
        yield Link(reader, writer, r.close, w.close)


@contextmanager
def named_pipe_link(path: Path) -> Iterator[Link]:
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    with opened(reader, "rb") as r, opened(path, "wb") as w:
        yield Link(reader, w.fileno(), r.close, w.close)


@contextmanager
def socket_link() -> Iterator[Link]:
    reader, writer = socket.socketpair()
    writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, READ_SIZE)
    with reader, writer:
        yield Link(reader.fileno(), writer.fileno(), reader.close, writer.close)


@contextmanager
def terminal_link(*, to_program: bool) -> Iterator[Link]:
    """What a person types, or what a person sees."""
    person, program = pty.openpty()
    tty.setraw(program)
    reader, writer = (program, person) if to_program else (person, program)
    with opened(reader, "rb") as r, opened(writer, "wb") as w:
        yield Link(reader, writer, r.close, w.close)


@contextmanager
def any_link(kind: str, path: Path, *, to_program: bool) -> Iterator[Link]:
    with ExitStack() as stack:
        match kind:
            case "pipe":
                link = pipe_link()
            case "named pipe":
                link = named_pipe_link(path / "pipe")
            case "socket":
                link = socket_link()
            case _:
                link = terminal_link(to_program=to_program)
        yield stack.enter_context(link)


KINDS = ["pipe", "named pipe", "socket", "terminal"]
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
async def to_us(kind: str, tmp_path: Path) -> AsyncIterator[Link]:
    """A link of this kind, for us to read from."""
    with any_link(kind, tmp_path, to_program=True) as link, trio.fail_after(60):
        yield link


@pytest.fixture
async def from_us(kind: str, tmp_path: Path) -> AsyncIterator[Link]:
    """A link of this kind, for us to write to."""
    with any_link(kind, tmp_path, to_program=False) as link, trio.fail_after(60):
        yield link


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


# Sources.


@every_kind
async def test_bytes_are_received_as_they_are_written(to_us: Link) -> None:
    async with open_source(to_us.reader) as source:
        os.write(to_us.writer, b"one")
        assert await source.receive_some() == b"one"
        os.write(to_us.writer, b"two\n")
        assert await source.receive_some() == b"two\n"


@every_kind
async def test_a_source_waits_for_bytes(to_us: Link, nursery: trio.Nursery) -> None:
    received = trio.Event()

    async def receive() -> None:
        assert await source.receive_some() == b"here"
        received.set()

    async with open_source(to_us.reader) as source:
        nursery.start_soon(receive)
        await wait_all_tasks_blocked()
        assert not received.is_set()
        os.write(to_us.writer, b"here")
        await received.wait()


@every_kind
async def test_a_wait_that_is_cancelled_loses_nothing(
    to_us: Link, nursery: trio.Nursery
) -> None:
    received = b""

    async def receive(scope: trio.CancelScope) -> None:
        nonlocal received
        with scope:
            received += await source.receive_some()

    sent = [b"%d " % number for number in range(100)]
    async with open_source(to_us.reader) as source:
        for number, data in enumerate(sent):
            scope = trio.CancelScope()
            nursery.start_soon(receive, scope)
            if number % 2:
                await wait_all_tasks_blocked()
            os.write(to_us.writer, data)
            scope.cancel()
            await wait_all_tasks_blocked()
        while len(received) < len(b"".join(sent)):
            received += await source.receive_some()
    assert received == b"".join(sent)


@every_kind
async def test_a_source_that_is_left_leaves_the_descriptor_as_it_was(
    to_us: Link,
) -> None:
    before = descriptors()
    async with open_source(to_us.reader) as source:
        os.write(to_us.writer, b"one")
        assert await source.receive_some() == b"one"
        assert os.get_blocking(to_us.reader)
        with trio.CancelScope() as scope:
            scope.cancel()
            await source.receive_some()
    assert os.get_blocking(to_us.reader)
    assert descriptors() == before


@every_kind
async def test_the_end_is_empty_and_stays(to_us: Link) -> None:
    async with open_source(to_us.reader) as source:
        os.write(to_us.writer, b"last")
        assert await source.receive_some() == b"last"
        to_us.close_writer()
        assert await source.receive_some() == b""
        assert await source.receive_some() == b""


@pytest.mark.parametrize("kind", ["terminal"])
async def test_a_terminal_that_somebody_made_non_blocking_is_waited_for(
    to_us: Link, nursery: trio.Nursery
) -> None:
    os.set_blocking(to_us.reader, False)
    results_in, results = trio.open_memory_channel[bytes](0)

    async def receive() -> None:
        for _ in range(2):
            await results_in.send(await source.receive_some())

    async with open_source(to_us.reader) as source:
        nursery.start_soon(receive)
        for typed in b"one", b"two":
            await wait_all_tasks_blocked(0.01)
            os.write(to_us.writer, typed)
            assert await results.receive() == typed


async def test_ctrl_d_ends_a_terminal() -> None:
    person, side = pty.openpty()
    # A read that another test abandoned may be about to begin, with a number that is
    # used again by now.
    program = fcntl.fcntl(side, fcntl.F_DUPFD, 500)
    with opened(person, "wb"), opened(side, "rb"), opened(program, "rb"):
        async with open_source(program) as source:
            os.write(person, b"a line\n\x04")
            assert await source.receive_some() == b"a line\n"
            assert await source.receive_some() == b""
            assert await source.receive_some() == b""


@pytest.mark.parametrize("kind", ["pipe", "named pipe", "socket"])
async def test_an_input_larger_than_a_read_arrives_whole(
    to_us: Link, nursery: trio.Nursery
) -> None:
    def write() -> None:
        with memoryview(LARGE) as view:
            sent = 0
            while sent < len(view):
                sent += os.write(to_us.writer, view[sent:])
        to_us.close_writer()

    nursery.start_soon(trio.to_thread.run_sync, write)
    received = []
    async with open_source(to_us.reader) as source:
        while data := await source.receive_some():
            assert len(data) <= READ_SIZE
            received.append(data)
    assert b"".join(received) == LARGE


async def test_a_file_is_read_from_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"skip" + LARGE)
    received = []
    with opened(tmp_path / "file", "rb") as file:
        file.seek(4)
        async with open_source(file.fileno()) as source:
            while data := await source.receive_some():
                received.append(data)
    assert b"".join(received) == LARGE


@pytest.mark.parametrize("takes", [0.0, 0.08])
async def test_more_of_a_file_is_read_at_once_where_it_is_taken_quickly(
    takes: float, tmp_path: Path
) -> None:
    count = 4 if not takes else 1
    (tmp_path / "file").write_bytes(LARGE * count)
    sizes = []
    with opened(tmp_path / "file", "rb") as file:
        async with open_source(file.fileno()) as source:
            while data := await source.receive_some():
                sizes.append(len(data))
                await trio.sleep(takes)
    assert sum(sizes) == len(LARGE) * count
    # It begins with two, of which nothing is known.
    assert max(sizes[2:]) == (READ_SIZE if takes else LARGE_READ_SIZE)


async def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        async with open_source(directory) as source:
            with pytest.raises(IsADirectoryError):
                await source.receive_some()
    finally:
        os.close(directory)


async def test_a_closed_descriptor_cannot_be_opened() -> None:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        async with open_source(descriptor):
            pass
    with pytest.raises(OSError, match="Bad file descriptor"):
        async with open_sink(descriptor):
            pass


# Sinks.


@every_kind
async def test_what_is_sent_is_with_the_reader_at_once(from_us: Link) -> None:
    async with open_sink(from_us.writer) as sink:
        await sink.send_all(b"one")
        assert os.read(from_us.reader, 100) == b"one"
        await sink.send_all(b"two")
        assert os.read(from_us.reader, 100) == b"two"


@every_kind
async def test_a_large_write_waits_for_a_slow_reader(
    from_us: Link, nursery: trio.Nursery
) -> None:
    sent = trio.Event()

    async def send() -> None:
        await sink.send_all(LARGE)
        sent.set()

    async with open_sink(from_us.writer) as sink:
        nursery.start_soon(send)
        received = b""
        while len(received) < len(LARGE):
            await wait_all_tasks_blocked()
            left = len(LARGE) - len(received)
            if left > len(LARGE) // 2:  # more than any of them takes on its own
                assert not sent.is_set()
            received += await trio.to_thread.run_sync(os.read, from_us.reader, left)
        await sent.wait()
    assert received == LARGE


@pytest.mark.parametrize("kind", ["terminal"])
async def test_a_large_write_waits_for_a_terminal_that_somebody_made_non_blocking(
    from_us: Link, nursery: trio.Nursery
) -> None:
    os.set_blocking(from_us.writer, False)
    async with open_sink(from_us.writer) as sink:
        nursery.start_soon(sink.send_all, LARGE)
        received = b""
        while len(received) < len(LARGE):
            received += await trio.to_thread.run_sync(
                os.read, from_us.reader, READ_SIZE
            )
    assert received == LARGE


@pytest.mark.parametrize("kind", ["pipe", "named pipe", "socket"])
async def test_a_reader_that_has_gone_breaks_the_pipe(from_us: Link) -> None:
    async with open_sink(from_us.writer) as sink:
        await sink.send_all(b"one")
        from_us.close_reader()
        for _ in range(2):
            with pytest.raises(BrokenPipeError):
                await sink.send_all(b"two")


@pytest.mark.parametrize("kind", ["pipe", "named pipe", "socket"])
async def test_a_reader_that_goes_in_the_middle_breaks_the_pipe(
    from_us: Link, nursery: trio.Nursery
) -> None:
    broken = trio.Event()

    async def send() -> None:
        with pytest.raises(OSError, match=r"Broken pipe|Connection reset by peer"):
            await sink.send_all(LARGE)
        broken.set()

    async with open_sink(from_us.writer) as sink:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert not broken.is_set()
        from_us.close_reader()
        await broken.wait()


@pytest.mark.parametrize("kind", ["pipe", "named pipe", "socket"])
async def test_a_reader_that_was_never_there_breaks_the_pipe(from_us: Link) -> None:
    from_us.close_reader()
    async with open_sink(from_us.writer) as sink:
        with pytest.raises(BrokenPipeError):
            await sink.send_all(b"one")


@every_kind
async def test_a_write_that_is_stuck_can_be_cancelled(
    from_us: Link, nursery: trio.Nursery
) -> None:
    cancelled = trio.Event()

    async def send(scope: trio.CancelScope) -> None:
        with scope:
            await sink.send_all(LARGE)
        assert scope.cancelled_caught
        cancelled.set()

    async with open_sink(from_us.writer) as sink:
        scope = trio.CancelScope()
        nursery.start_soon(send, scope)
        await wait_all_tasks_blocked()
        scope.cancel()
        await cancelled.wait()
    from_us.close_reader()


@pytest.mark.parametrize("kind", ["pipe", "named pipe", "socket"])
async def test_what_is_full_or_empty_does_not_block_others_who_hold_it(
    from_us: Link, nursery: trio.Nursery
) -> None:
    async with open_sink(from_us.writer) as sink, open_source(from_us.reader) as source:
        nursery.start_soon(sink.send_all, LARGE)
        await wait_all_tasks_blocked()  # it is full, and that holds up nobody else
        assert os.get_blocking(from_us.writer)
        left = len(LARGE)
        while left:
            left -= len(await source.receive_some())


@every_kind
async def test_a_sink_that_is_left_leaves_the_descriptor_as_it_was(
    from_us: Link,
) -> None:
    before = descriptors()
    async with open_sink(from_us.writer) as sink:
        await sink.send_all(b"one")
        assert os.get_blocking(from_us.writer)
    assert os.get_blocking(from_us.writer)
    assert descriptors() == before
    os.write(from_us.writer, b" two")
    received = b""
    while len(received) < len(b"one two"):
        received += os.read(from_us.reader, 100)
    assert received == b"one two"


@pytest.mark.parametrize("kind", ["pipe"])
async def test_the_reader_sees_the_end_when_the_caller_closes(from_us: Link) -> None:
    async with open_sink(from_us.writer) as sink:
        await sink.send_all(b"all")
    from_us.close_writer()
    assert os.read(from_us.reader, 100) == b"all"
    assert os.read(from_us.reader, 100) == b""


# Whether the reader is there.


class Lookout:
    """Notes that a sink's reader has gone."""

    def __init__(self) -> None:
        self.gone = trio.Event()

    async def run(self, sink: Sink) -> None:
        await sink.reader_gone()
        self.gone.set()


pipes = pytest.mark.parametrize("kind", ["pipe", "named pipe"])


@pipes
async def test_a_reader_that_goes_is_noticed_while_nothing_is_sent(
    from_us: Link, nursery: trio.Nursery
) -> None:
    lookout = Lookout()
    async with open_sink(from_us.writer) as sink:
        nursery.start_soon(lookout.run, sink)
        await wait_all_tasks_blocked()
        assert not lookout.gone.is_set()
        from_us.close_reader()
        await lookout.gone.wait()


@pipes
async def test_a_reader_that_reads_is_there(
    from_us: Link, nursery: trio.Nursery
) -> None:
    lookout = Lookout()
    async with open_sink(from_us.writer) as sink:
        nursery.start_soon(lookout.run, sink)
        await sink.send_all(b"one")
        await wait_all_tasks_blocked()
        os.read(from_us.reader, 100)
        await wait_all_tasks_blocked()
        assert not lookout.gone.is_set()
        nursery.cancel_scope.cancel()


@pipes
async def test_a_reader_that_goes_is_noticed_while_the_pipe_is_full(
    from_us: Link, nursery: trio.Nursery
) -> None:
    async def send() -> None:
        with pytest.raises(BrokenPipeError):
            await sink.send_all(LARGE)

    lookout = Lookout()
    async with open_sink(from_us.writer) as sink:
        nursery.start_soon(lookout.run, sink)
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert not lookout.gone.is_set()
        from_us.close_reader()
        await lookout.gone.wait()
        await wait_all_tasks_blocked()


@pipes
async def test_a_reader_that_had_gone_before_is_noticed(from_us: Link) -> None:
    from_us.close_reader()
    async with open_sink(from_us.writer) as sink:
        await sink.reader_gone()


@pytest.mark.parametrize("kind", ["socket", "terminal"])
async def test_where_it_cannot_be_told_the_reader_is_taken_to_be_there(
    from_us: Link, nursery: trio.Nursery
) -> None:
    lookout = Lookout()
    async with open_sink(from_us.writer) as sink:
        nursery.start_soon(lookout.run, sink)
        await wait_all_tasks_blocked()
        from_us.close_reader()
        await wait_all_tasks_blocked()
        assert not lookout.gone.is_set()
        nursery.cancel_scope.cancel()


# Files.


async def test_a_file_has_what_was_sent_when_sending_returns(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with opened(path, "wb") as file:
        async with open_sink(file.fileno()) as sink:
            assert sink.is_file
            await sink.send_all(b"one")
            assert path.read_bytes() == b"one"
            await sink.send_all(LARGE)
            assert path.read_bytes() == b"one" + LARGE


async def test_a_file_always_has_its_reader(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    lookout = Lookout()
    with opened(tmp_path / "file", "wb") as file:
        async with open_sink(file.fileno()) as sink:
            nursery.start_soon(lookout.run, sink)
            await wait_all_tasks_blocked()
            assert not lookout.gone.is_set()
            nursery.cancel_scope.cancel()


@every_kind
async def test_what_is_no_file_is_not_taken_for_one(from_us: Link) -> None:
    async with open_sink(from_us.writer) as sink:
        assert not sink.is_file


async def test_a_device_that_is_full_is_an_error() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        async with open_sink(full) as sink:
            with pytest.raises(OSError, match="No space left") as caught:
                await sink.send_all(b"one")
        assert caught.value.errno == errno.ENOSPC
    finally:
        os.close(full)


async def test_a_file_that_is_not_open_for_writing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with opened(tmp_path / "file", "rb") as file:
        async with open_sink(file.fileno()) as sink:
            with pytest.raises(OSError, match="Bad file descriptor"):
                await sink.send_all(b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
