"""MPEG transport streams (ISO/IEC 13818-1), cut before keyframes.

Each packet belongs to a PID. Tables say which PID is the video (the first there is),
and its packets where decoding can begin. A segment needs the tables in front. Where
they stand directly before a keyframe anyway, the cut is made before them, and the
segments are the stream, byte for byte; else copies of the last ones are put there.

Few packets matter: those in which something begins. So the others are passed over in
one search of a string of flags, and what is between marks is passed on in one piece.
Held back are a packet that is not whole, and tables, until it is known what follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from trickle_cli.errors import BadContent
from trickle_cli.splitters.marking import Mark, Place
from trickle_cli.splitters.packets import PACKET, Packets
from trickle_cli.splitters.pictures import AUDIO, KEYS, Clock, is_key, ticks
from trickle_cli.splitters.tables import PAT_PID, ElementaryStream, Tables

#: Bytes of tables that are held back.
_MAX_RUN: Final = 64 * PACKET
#: Seconds of a segment where there is only sound.
_AUDIO_SECONDS: Final = 1.0
_NULL_PID: Final = 0x1FFF
#: The second byte of a packet: whether something begins in it.
_BEGINS: Final = bytes((byte >> 6) & 1 for byte in range(256))

_NO_STREAM: Final = (
    "this is no MPEG-TS, which --gop cuts — leave --gop out, or convert it"
    " (ffmpeg … -f mpegts -)"
)


class TransportStream:
    """Reads one stream. BadContent if it is not made of packets."""

    def __init__(self) -> None:
        self._packets = Packets()
        self._tables = Tables()
        self._held = b""  # tables, and what may stand between them
        self._run: set[int] | None = None  # which of them begin there; None: no tables
        self._main: ElementaryStream | None = None  # the video, or the sound
        self._needed = {PAT_PID}  # the tables that a segment cannot do without
        self._is_begun = False  # there was a keyframe
        self._clock = Clock()

    def feed(self, data: bytes) -> Iterator[bytes | Mark]:
        """`data` with marks, but for what must be held back. BadContent."""
        return self._read(self._packets.take(data))

    def finish(self) -> Iterator[bytes | Mark]:
        """What was held back. BadContent, if there were no packets."""
        yield from self._read(self._packets.finish())
        if self._packets.rest:
            raise BadContent(_NO_STREAM)
        if self._held:
            yield self.rest()

    def rest(self) -> bytes:
        """What was held back."""
        data = self._held + self._packets.rest
        self._held, self._packets.rest = b"", b""
        return data

    def _read(self, parts: Iterator[tuple[bytes, bool]]) -> Iterator[bytes | Mark]:
        try:
            for part, is_packets in parts:
                if is_packets:
                    yield from self._walk(part)
                else:
                    yield self._held + part
                    self._held, self._run = b"", None
        except BadContent:
            raise BadContent(_NO_STREAM) from None

    def _walk(self, part: bytes) -> Iterator[bytes | Mark]:
        """Go through packets, the first of which follow what is held back."""
        data = self._held + part
        begins = data[1::PACKET].translate(_BEGINS)
        index = len(self._held) // PACKET
        passed = run = 0  # until where it is passed on; where the tables begin
        while index < len(begins):
            if self._run is None and not self._tables.is_within:
                index = begins.find(1, index)
                if index < 0:
                    break
            at, is_first = index * PACKET, begins[index] == 1
            packet = data[at : at + PACKET]
            pid = (packet[1] & 0x1F) << 8 | packet[2]
            if pid in self._tables.pids:
                if self._run is None:
                    self._run, run = set(), at
                self._take_table(self._run, pid, packet, begins=is_first)
            elif self._run is None or not _is_nothing(pid, packet):
                if is_first and (mark := self._mark(pid, packet)) is not None:
                    place = at if self._run is None else run
                    if place > passed:
                        yield data[passed:place]
                        passed = place
                    yield mark
                self._run = None
            if self._run is not None and at + PACKET - run >= _MAX_RUN:
                self._run = None
            index += 1
        end = len(data) if self._run is None else run
        if end > passed:
            yield data[passed:end]
        self._held = data[end:]

    def _take_table(
        self, run: set[int], pid: int, packet: bytes, *, begins: bool
    ) -> None:
        self._tables.take(pid, packet, begins=begins)
        if begins:
            run.add(pid)
        self._choose()

    def _choose(self) -> None:
        """Find the video, or else, once all programs are known, the sound, or whatever
        there is."""
        tables = self._tables
        known = [(p, s) for p in tables.programs for s in tables.streams.get(p, ())]
        chosen = next(((p, s) for p, s in known if s.kind in KEYS), None)
        if chosen is None and known and len(tables.streams) == len(tables.programs):
            chosen = next(((p, s) for p, s in known if s.kind in AUDIO), known[0])
        if chosen is not None:
            program, self._main = chosen
            self._needed = {PAT_PID, program}

    def _mark(self, pid: int, packet: bytes) -> Mark | None:
        """What there is to say of the place before `packet`, in which something
        begins."""
        main = self._main
        prefix = b"" if self._has_tables() else self._tables.copies()
        if main is None or pid != main.pid:
            return Mark(place=Place.BAD, prefix=prefix)
        is_video = main.kind in KEYS
        if is_video and not is_key(packet, main.kind):
            return Mark(place=Place.BAD, prefix=prefix)
        place = Place.GOOD if self._is_begun else Place.BEGINNING
        self._is_begun = True
        return Mark(
            place=place,
            prefix=prefix,
            time=self._clock.read(ticks(packet)),
            seconds=None if is_video else _AUDIO_SECONDS,
        )

    def _has_tables(self) -> bool:
        """Whether the tables that are needed stand whole where the mark will be."""
        run = self._run
        return (
            run is not None
            and self._needed <= run
            and all(map(self._tables.is_whole, self._needed))
        )


def _is_nothing(pid: int, packet: bytes) -> bool:
    """Whether that may stand between tables and what they are for: stuffing, or a
    packet without content, as for a clock."""
    return pid == _NULL_PID or not packet[3] & 0x10
