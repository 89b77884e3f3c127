"""Channels on disk: a log for each, written before anything is told to anybody.

    DIR/lock                        held by the one server that uses the directory
    DIR/channels/NAME/00000001.log  records (see `records`), appended only
    DIR/quarantine/NAME-TIME/       what was damaged, as it was found

`NAME` is the channel's, percent-encoded, or a digest of it if that is too long. A log
is a row of files. Each begins with the state of the channel, so that any of them can go
when the segments in it have left the window. Nothing is ever changed in place: after
`kill -9` a log ends with a record cut off at most, which is dropped, and there its
publisher goes on. What could not be written (a full disk) is cut off again at once.

All segments are in memory, too: the disk is written always, and read at the start.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from trickle_cli.errors import StorageFailed
from trickle_cli.relay.log import Log, Sync, remove_files
from trickle_cli.relay.reading import Reading, StoredSegment
from trickle_cli.relay.records import State

_log = logging.getLogger(__name__)

#: The longest name of a directory that is the channel's own, encoded.
_MAX_NAME: Final = 200


@dataclass
class StoredChannel:
    """A channel as it was found. `log` goes on with it."""

    state: State
    segments: dict[int, StoredSegment]
    closed: bool
    log: Log


class Store:
    """The data directory `path`, which is made if need be, and is ours until `close`.

    A server of several processes locks it once: `lock` is a descriptor of the file that
    is locked (see `lock`), and `is_ours` says of the name of a channel's directory (see
    `directory_of`) whether this process looks after it.

    Raises StorageFailed if it cannot be used, or another server does.
    """

    def __init__(
        self,
        path: str,
        sync: Sync = Sync.NONE,
        *,
        lock: int | None = None,
        is_ours: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.path = Path(path)
        self.sync = sync
        self._is_ours = is_ours
        self._channels = self.path / "channels"
        self._quarantine = self.path / "quarantine"
        self._lock = lock_directory(path) if lock is None else lock

    def close(self) -> None:
        """Let others use the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def create(self, state: State) -> Log:
        """A log for a channel that is new. StorageFailed."""
        log = Log(self._channels / directory_of(state.name), self.sync)
        log.begin(state)
        return log

    def load(self) -> Iterator[StoredChannel]:
        """The channels that are there. What is damaged is moved away and told of in the
        log of the program; what is whole of it is stored again."""
        try:
            directories = sorted(self._channels.iterdir())
        except OSError as error:
            raise StorageFailed(f"{self._channels}: {error.strerror}") from error
        for directory in directories:
            if not self._is_ours(directory.name):
                continue
            found = Reading(directory)
            if found.state is None and not found.damages:
                remove_files(directory)  # it was being made, or removed
                continue
            if found.damages and not self._set_aside(found):
                continue
            if found.state is None:
                continue
            log = Log(directory, self.sync)
            try:
                if found.damages:
                    log.begin(found.state)
                    log.rewrite(found.segments.values(), closed=found.closed)
                else:
                    log.go_on(found)
            except StorageFailed as error:
                _log.error("%s; channel '%s' is not served", error, found.state.name)
                continue
            yield StoredChannel(found.state, found.segments, found.closed, log)

    def _set_aside(self, found: Reading) -> bool:
        """Move what is damaged out of the way. False if that fails."""
        directory = found.directory
        place = self._quarantine / f"{directory.name}-{time.time_ns()}"
        kept = len(found.segments)
        try:
            self._quarantine.mkdir(exist_ok=True)
            directory.rename(place)
        except OSError as error:
            _log.error("%s is damaged and stays unused: %s", directory, error.strerror)
            return False
        name = directory.name if found.state is None else found.state.name
        for damage in found.damages[:_TOLD]:
            _log.error("channel '%s': %s", name, damage)
        lost = ", ".join(map(str, found.lost[:_TOLD]))
        _log.error(
            "channel '%s' was damaged: %d segments are whole%s; the rest is in %s",
            name,
            kept,
            f", lost are {lost}" if lost else "",
            place,
        )
        return True


#: Damages told of at most.
_TOLD: Final = 20


def lock_directory(path: str) -> int:
    """Make the data directory `path`, if need be, and lock it: until the descriptor
    that this returns is closed, and those that were inherited. StorageFailed."""
    lock = -1
    try:
        (Path(path) / "channels").mkdir(parents=True, exist_ok=True)
        lock = os.open(Path(path) / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StorageFailed(f"{path}: another server uses this directory") from None
    except OSError as error:
        raise StorageFailed(f"{path}: {error.strerror}") from error
    return lock


def directory_of(name: str) -> str:
    """What the directory of channel `name` is called."""
    encoded = quote(name, safe="")
    if len(encoded) <= _MAX_NAME:
        return encoded
    return "_" + hashlib.sha256(name.encode()).hexdigest()
