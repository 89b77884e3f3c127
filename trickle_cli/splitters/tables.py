"""The tables of an MPEG transport stream: which programs there are (PAT), and what
each is made of (PMT). ISO/IEC 13818-1, 2.4.4.

A table is a section, which may begin in one packet and go on in others. The packets of
the last whole PAT and PMTs are kept as they were: copies of them are what a segment
needs in front to be understood by itself.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Final

PAT_PID: Final = 0
#: What is there to tell of the others: the tables of conditional access, networks,
#: services, events and time.
_INFORMATION_PIDS: Final = frozenset({1, 0x10, 0x11, 0x12, 0x13, 0x14})
_PAT_ID: Final = 0
_PMT_ID: Final = 2
_STUFFING: Final = 0xFF
#: Packets that one table may take: a section has 1024 bytes at most.
_MAX_PACKETS: Final = 8
#: Programs that are looked at: a PAT of one section has 253 at most.
_MAX_PROGRAMS: Final = 64
#: A section ends with its CRC, which makes this of the whole. zlib takes the bits of a
#: byte the other way round, and inverts the result.
_RESIDUE: Final = 0xFFFFFFFF
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, kw_only=True)
class ElementaryStream:
    """A part of a program: what kind it is, and the PID of its packets."""

    kind: int
    pid: int


@dataclass(kw_only=True)
class _Assembly:
    """A section that has begun, and the packets that brought it."""

    packets: list[bytes]
    section: bytes = b""


@dataclass(kw_only=True)
class Tables:
    """What is known of a stream. `programs` are the PIDs of their PMTs, in the order of
    the PAT; `streams` what a PMT says, by its PID. `pids` are those of all tables."""

    programs: list[int] = field(default_factory=list)
    streams: dict[int, list[ElementaryStream]] = field(default_factory=dict)
    pids: frozenset[int] = _INFORMATION_PIDS | {PAT_PID}
    _packets: dict[int, list[bytes]] = field(default_factory=dict)
    _open: dict[int, _Assembly] = field(default_factory=dict)

    @property
    def is_within(self) -> bool:
        """Whether a section has begun that is to go on."""
        return bool(self._open)

    def copies(self) -> bytes:
        """The packets of the PAT and all PMTs; nothing before the PAT is known."""
        if PAT_PID not in self._packets:
            return b""
        pids = [PAT_PID, *self.programs]
        return b"".join(p for pid in pids for p in self._packets.get(pid, ()))

    def is_whole(self, pid: int) -> bool:
        """Whether nothing of the table in `pid` is still to come."""
        return pid not in self._open

    def take(self, pid: int, packet: bytes, *, begins: bool) -> None:
        """A packet whose PID is among `pids`."""
        if pid in _INFORMATION_PIDS or not packet[3] & 0x10:
            return
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        assembly = self._open.pop(pid, None)
        if begins and payload:
            start = 1 + payload[0]
            if assembly is not None:  # what is before the new one belongs to the old
                self._add(pid, assembly, packet, payload[1:start])
            assembly, payload = _Assembly(packets=[]), payload[start:]
        if assembly is not None:
            self._add(pid, assembly, packet, payload)

    def _add(
        self, pid: int, assembly: _Assembly, packet: bytes, payload: bytes
    ) -> None:
        assembly.packets.append(packet)
        assembly.section += payload
        section = assembly.section
        while len(section) >= 3 and section[0] != _STUFFING:
            size = 3 + ((section[1] & 0x0F) << 8 | section[2])
            if len(section) < size:
                break
            self._learn(pid, section[:size], assembly.packets)
            section = section[size:]
        else:
            if section[:1] in {b"", b"\xff"}:
                return
        if len(assembly.packets) < _MAX_PACKETS:
            assembly.section = section
            self._open[pid] = assembly

    def _learn(self, pid: int, section: bytes, packets: list[bytes]) -> None:
        is_whole = zlib.crc32(section.translate(_REVERSED)) == _RESIDUE
        if len(section) < 12 or not (is_whole and section[5] & 1):  # 1: it holds now
            return
        if pid == PAT_PID and section[0] == _PAT_ID:
            self._learn_programs(section)
        elif section[0] == _PMT_ID:
            self.streams[pid] = _streams(section)
        else:
            return
        self._packets[pid] = list(packets)

    def _learn_programs(self, section: bytes) -> None:
        entries = [section[at : at + 4] for at in range(8, len(section) - 4, 4)]
        programs = [
            (entry[2] & 0x1F) << 8 | entry[3] for entry in entries if any(entry[:2])
        ]
        self.programs = list(dict.fromkeys(programs))[:_MAX_PROGRAMS]
        self.pids = _INFORMATION_PIDS | {PAT_PID, *self.programs}
        for pid in (self.streams.keys() | self._packets.keys()) - self.pids:
            self.streams.pop(pid, None)
            self._packets.pop(pid, None)
            self._open.pop(pid, None)


def _streams(section: bytes) -> list[ElementaryStream]:
    """What a PMT lists."""
    at = 12 + ((section[10] & 0x0F) << 8 | section[11])
    end = len(section) - 4
    streams = []
    while at + 5 <= end:
        pid = (section[at + 1] & 0x1F) << 8 | section[at + 2]
        streams.append(ElementaryStream(kind=section[at], pid=pid))
        at += 5 + ((section[at + 3] & 0x0F) << 8 | section[at + 4])
    return streams
