"""The file of contexts: servers that have a name, with what it takes to come to them.

It holds tokens, so it is its owner's alone (0600, in a folder 0700). It is replaced as
a whole, beside and by renaming: whoever reads it sees one state or the next, and a
crash leaves one of them. Whoever changes it holds the folder's lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from trickle_cli.errors import BadConfiguration

_OTHERS_READ: Final = stat.S_IRGRP | stat.S_IROTH
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, kw_only=True)
class Context:
    """A server, and what it takes to come to it: as the options of the same names."""

    server: str
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    cacert: str | None = None
    cert: str | None = None
    key: str | None = None
    insecure: bool = False


@dataclass(frozen=True, kw_only=True)
class Contexts:
    """All of the file: contexts by name, and the name of the current one, if any is."""

    current: str | None = None
    named: Mapping[str, Context] = field(default_factory=dict)

    def get(self, name: str) -> Context:
        """The context called `name`. BadConfiguration."""
        if name not in self.named:
            hint = f"there are: {', '.join(self.named)}" if self.named else "none is"
            raise BadConfiguration(f"no context is called '{name}' — {hint}")
        return self.named[name]

    def with_one(self, name: str, context: Context) -> Contexts:
        """These, and `context`; the first there is becomes the current one."""
        named = {**self.named, name: context}
        return replace(self, named=named, current=self.current if self.named else name)

    def without(self, name: str) -> Contexts:
        """These without the one called `name`. BadConfiguration."""
        self.get(name)
        named = {key: value for key, value in self.named.items() if key != name}
        return Contexts(
            current=None if self.current == name else self.current, named=named
        )


def path_of_contexts() -> Path:
    """Where the file is, whether or not there is one (XDG Base Directory)."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".config"
    return base / "trickle" / "contexts.json"


def load() -> Contexts:
    """What is in the file; nothing, if there is none. BadConfiguration, OSError."""
    path = path_of_contexts()
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except FileNotFoundError:
        return Contexts()
    if mode & _OTHERS_WRITE:
        raise BadConfiguration(
            f"{path}: others can write to it, and send you elsewhere — chmod 600 {path}"
        )
    try:
        return _parse(json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadConfiguration(
            f"{path} is damaged ({error}) — mend it, or remove it and add its contexts"
            " again"
        ) from None


def is_readable_by_others() -> bool:
    """Whether others could read the tokens in the file."""
    with suppress(OSError):
        return bool(path_of_contexts().stat().st_mode & _OTHERS_READ)
    return False


@contextmanager
def changing() -> Iterator[list[Contexts]]:
    """A list with what is in the file, which is to have what is last in the list when
    the block ends. BadConfiguration, OSError."""
    folder = path_of_contexts().parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        states = [load()]
        yield states
        if len(states) > 1:
            _store(states[-1])
            os.fsync(lock)
    finally:
        os.close(lock)


def _store(contexts: Contexts) -> None:
    path = path_of_contexts()
    named = {name: _without_nothing(c) for name, c in contexts.named.items()}
    text = json.dumps({"current": contexts.current, "contexts": named}, indent=2)
    beside = path.with_suffix(f".{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(beside, flags, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(descriptor)
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def _without_nothing(context: Context) -> dict[str, Any]:
    return {key: value for key, value in asdict(context).items() if value}


def _parse(content: Any) -> Contexts:
    """ValueError, TypeError or KeyError for what is not ours."""
    contexts = content["contexts"]
    if not isinstance(contexts, dict):
        raise TypeError("its contexts have no names")
    named = {name: _parse_one(one) for name, one in contexts.items()}
    current = content.get("current")
    if current is not None and current not in named:
        raise ValueError("its current context is missing")
    return Contexts(current=current, named=named)


def _parse_one(content: Any) -> Context:
    context = Context(**content)
    for name, value in asdict(context).items():
        kind = bool if name == "insecure" else str
        is_left_out = value is None and name != "server"
        if not (isinstance(value, kind) or is_left_out):
            raise ValueError(f"{name} is of no use")
    return context


def names() -> list[str]:
    """What they are called, for somebody who has pressed a key: none if that cannot be
    told."""
    try:
        return sorted(load().named)
    except (BadConfiguration, OSError):
        return []
