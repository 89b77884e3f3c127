"""What a channel tells its log. Without one, nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from trickle_cli.errors import StorageFailed
from trickle_cli.relay.log import Log, Sync
from trickle_cli.relay.records import State
from trickle_cli.relay.segment import Segment, Stage


class Recording:
    """`state` tells that of the channel. Everything is written before it is done; a
    method that raises StorageFailed has written nothing."""

    def __init__(self, state: Callable[[], State]) -> None:
        self.log: Log | None = None
        self._state = state

    def data(
        self,
        segment: Segment,
        chunks: Sequence[bytes],
        owner: bytes,
        *,
        last: bool,
        incomplete: bool = False,
    ) -> None:
        """What comes to `segment`. StorageFailed."""
        log = self.log
        if log is None:
            return
        is_first = segment.stage is Stage.WAITING
        if log.is_full():
            log.begin(self._state())
        if is_first and owner.hex() != log.owner:
            log.state(replace(self._state(), owner=owner.hex()))
        log.data(
            segment.seq,
            chunks,
            segment.size,
            first=is_first,
            last=last,
            incomplete=incomplete,
        )
        if is_first:
            segment.file = log.file

    def restart(
        self,
        seq: int,
        chunks: Sequence[bytes],
        owner: bytes,
        epoch: str,
        *,
        last: bool,
        incomplete: bool,
    ) -> None:
        """That the numbering begins anew at `seq`, in `epoch`, with `chunks`.
        StorageFailed."""
        if self.log is not None:
            state = replace(self._state(), epoch=epoch, head=seq, owner=owner.hex())
            self.log.restart(state, chunks, last=last, incomplete=incomplete)

    def end(self, segment: Segment, owner: bytes, *, incomplete: bool) -> None:
        """That `segment` has ended. If that fails, a server that begins anew finds it
        open."""
        with suppress(StorageFailed):
            self.data(segment, (), owner, last=True, incomplete=incomplete)

    def close(self) -> None:
        """That the channel has ended."""
        if self.log is not None:
            with suppress(StorageFailed):
                self.log.close_channel()

    def forget(self, segment: Segment) -> None:
        """That `segment` is not held any more."""
        if self.log is not None:
            self.log.forget(segment.file)

    def remove(self) -> None:
        """All of it."""
        if self.log is not None:
            self.log.remove()

    def wants_flush(self, *, ended: bool) -> bool:
        """Whether what was written has to be brought to the disk itself before it may
        be acknowledged; `ended` if that is a whole segment."""
        log = self.log
        if log is None or not log.is_dirty:
            return False
        return log.sync is Sync.ALWAYS or (ended and log.sync is Sync.SEGMENT)
