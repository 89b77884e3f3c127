"""A file that is there whole, or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO


def is_replaceable(path: str) -> bool:
    """Whether another file can take the place of what is at `path`: of a device or a
    pipe, none is to."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True


@contextmanager
def written_beside(path: str) -> Iterator[IO[bytes]]:
    """A file beside `path`, which takes its place when the block ends. If that fails,
    what was there stays as it was. Raises OSError, with `path` as its file."""
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(beside, flags, 0o666)
    except OSError as error:
        error.filename = path
        raise
    with ExitStack() as undo:
        undo.callback(_remove, beside)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            with suppress(FileNotFoundError):
                os.chmod(descriptor, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(beside, target)
        undo.pop_all()


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
