"""From inputs to a publisher, cut on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from trickle_cli.commands.running import ExitCode, naming
from trickle_cli.errors import BadContent

if TYPE_CHECKING:
    from trickle_cli.client import Publisher, SegmentWriter
    from trickle_cli.commands.inputs import Input
    from trickle_cli.commands.signals import Interruption
    from trickle_cli.outputs import Output
    from trickle_cli.splitters import Cut, Cutter

#: Pieces a second in which a limited rate is sent.
_PACE_STEPS: Final = 20


class Transfer:
    """Carries bytes from inputs to a publisher, and to `tee`, if there is one. What is
    `whole` has a segment even if it is empty. `told` gets the seq and the size of each
    segment that is sent."""

    def __init__(
        self,
        publisher: Publisher,
        interruption: Interruption,
        *,
        rate: int | None,
        tee: Output | None,
        whole: bool,
        told: Callable[[int, int], None] | None = None,
    ) -> None:
        self._told = told
        self._publisher = publisher
        self._interruption = interruption
        self._pace = None if rate is None else Pace(rate)
        self._tee = tee
        self._whole = whole
        self._segment: SegmentWriter | None = None

    async def run(self, source: Input, cutter: Cutter) -> None:
        """Until the end of the input, which an interruption is, too: what has been
        read is sent, or the segment would end in the middle of a chunk."""
        import trio

        try:
            await self._read(source, cutter)
            await self._send(cutter.finish(trio.current_time()))
        except BadContent as error:
            raise BadContent(f"{source.place}: {error}") from error
        if self._segment is not None or self._whole:
            await self._end_segment(b"")

    async def _read(self, source: Input, cutter: Cutter) -> None:
        import trio

        while self._interruption.code is None or source.is_seen:
            data: bytes | None = None
            due = math.inf if cutter.due is None else cutter.due
            with trio.move_on_at(due) as reading:
                self._interruption.cancel = reading.cancel
                data = await source.receive_some()
            await self._send(cutter.feed(data or b"", trio.current_time()))
            if data:
                await self._pass_on(data)
            elif data is not None:
                return

    async def _pass_on(self, data: bytes) -> None:
        """Write to `tee`. Its end is that of the input."""
        import trio

        if self._tee is None:
            return
        with trio.CancelScope() as writing, naming("standard output"):
            self._interruption.cancel = writing.cancel
            try:
                await self._tee.write(data)
            except BrokenPipeError:
                self._interruption.code = ExitCode.BROKEN_PIPE

    async def _send(self, pieces: Iterator[bytes | Cut]) -> None:
        """Send the pieces; the last of a segment goes out together with its end."""
        last = b""
        for piece in pieces:
            if isinstance(piece, bytes):
                await self._write(last)
                last = piece
            else:
                await self._end_segment(last)
                last = b""
        await self._write(last)

    async def _write(self, data: bytes) -> None:
        if data:
            if self._segment is None:
                self._segment = await self._publisher.next()
            if self._pace is not None:
                data = await self._send_evenly(data)
            await self._segment.write(data)

    async def _end_segment(self, last: bytes) -> None:
        if self._segment is None:
            self._segment = await self._publisher.next()
        if self._pace is not None:
            last = await self._send_evenly(last)
        segment, self._segment = self._segment, None
        await segment.close(last)
        if self._told is not None:
            self._told(segment.seq, segment.size)

    async def _send_evenly(self, data: bytes) -> bytes:
        """Send all but the last piece of `data`, and return that when its time is."""
        assert self._pace is not None
        assert self._segment is not None
        while len(data) > self._pace.step:
            await self._pace.wait(self._pace.step)
            await self._segment.write(data[: self._pace.step])
            data = data[self._pace.step :]
        await self._pace.wait(len(data))
        return data


class Pace:
    """Holds back what is sent, to `rate` bytes a second on average. `step` is how many
    of them are best sent at once."""

    def __init__(self, rate: int) -> None:
        self.step = max(1, rate // _PACE_STEPS)
        self._rate = rate
        self._due = -math.inf  # when the next byte may be sent

    async def wait(self, size: int) -> None:
        """Wait until `size` bytes may be sent."""
        import trio

        now = trio.current_time()
        if self._due > now:
            await trio.sleep_until(self._due)
        # Time that was not used is not made up for, but for the sleep's own lateness.
        self._due = max(self._due, now - 1 / _PACE_STEPS) + size / self._rate


async def notice_reader(tee: Output, interruption: Interruption) -> None:
    """When whoever reads `tee` has gone, that is the end of the input."""
    await tee.reader_gone()
    if interruption.code is None:
        interruption.code = ExitCode.BROKEN_PIPE
        interruption.cancel()
