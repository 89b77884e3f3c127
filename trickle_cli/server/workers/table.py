"""Memory that all processes of a server share: what each of them has, in its own row.

Only who has a row writes to it, in whole words, so there are no locks; sums over all
rows are as good as simultaneous. Connections by address are counted in sketches (one
"count-min" for each row): two counters for an address, by a hash that nobody outside
knows, of which the lower is the better guess, and never too low.
"""

from __future__ import annotations

import mmap
import os
from hashlib import blake2b
from typing import Final

from trickle_cli.server.ledger import Ledger

#: Words of a row.
_GRANTED: Final = 0
_LARGEST: Final = 1
_CONNECTIONS: Final = 2
_CHANNELS: Final = 3
_DRAINING: Final = 4
_DELIVERED: Final = 5
_BEATS: Final = 6
_STATUSES: Final = 8  # and on, a word for each status from 100 on
_FIRST_STATUS: Final = 100
_LAST_STATUS: Final = 599
_WORDS: Final = _STATUSES + _LAST_STATUS - _FIRST_STATUS + 1
#: Counters for addresses, in each of two lines; pages of them that nobody touches cost
#: nothing.
_WIDTH: Final = 1 << 16
_LINES: Final = 2


def _size(rows: int) -> int:
    return (rows + 1) * _WORDS * 8 + rows * _LINES * _WIDTH * 4


class Table:
    """The rows. `descriptor` is what other processes open it by; `secret` is for the
    hash."""

    def __init__(self, descriptor: int, rows: int, secret: bytes) -> None:
        self.descriptor = descriptor
        self.rows = rows
        self._secret = secret
        self._map = mmap.mmap(descriptor, _size(rows))
        view = memoryview(self._map)
        words = (rows + 1) * _WORDS * 8
        self._words = view[:words].cast("q")
        self._counters = view[words:].cast("I")

    @classmethod
    def make(cls, rows: int) -> Table:
        """A new one, all zeros."""
        descriptor = os.memfd_create("trickle-table", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, _size(rows))
        return cls(descriptor, rows, os.urandom(16))

    @property
    def secret(self) -> bytes:
        """What the hash depends on."""
        return self._secret

    def clear(self, row: int) -> None:
        """Whoever had that row has gone. What was counted remains, in one row more."""
        for word in range(_WORDS):
            if word == _DELIVERED or word >= _STATUSES:
                self._words[self.rows * _WORDS + word] += self.get(row, word)
            self.set(row, word, 0)
        start = row * _LINES * _WIDTH
        empty = memoryview(bytes(_WIDTH * 4)).cast("I")
        for line in range(_LINES):
            first = start + line * _WIDTH
            self._counters[first : first + _WIDTH] = empty

    def row(self, number: int) -> Row:
        """For who has that row."""
        return Row(self, number)

    def sum_of(self, word: int) -> int:
        """Over all rows."""
        return sum(self._words[word::_WORDS])

    def get(self, row: int, word: int) -> int:
        """One word of one row."""
        return self._words[row * _WORDS + word]

    def set(self, row: int, word: int, value: int) -> None:
        """Set one word."""
        self._words[row * _WORDS + word] = value

    def places_of(self, key: object) -> tuple[int, int]:
        """The counters of `key`, within a row's lines."""
        digest = blake2b(repr(key).encode(), digest_size=4, key=self._secret).digest()
        first, second = digest[:2], digest[2:]
        return int.from_bytes(first), _WIDTH + int.from_bytes(second)

    def add(self, row: int, key: object, amount: int) -> None:
        """Count `key` in that row."""
        for place in self.places_of(key):
            index = row * _LINES * _WIDTH + place
            self._counters[index] = max(0, self._counters[index] + amount)

    def count_of(self, key: object) -> int:
        """How often `key` has been counted in all rows, or a little more."""
        step = _LINES * _WIDTH
        return min(sum(self._counters[p::step]) for p in self.places_of(key))


class Row:
    """One process's row."""

    def __init__(self, table: Table, number: int) -> None:
        self.table = table
        self.number = number

    def tell_ledger(self, ledger: Ledger) -> None:
        """So much was answered."""
        self.table.set(self.number, _DELIVERED, ledger.delivered)
        for status, count in ledger.statuses.items():
            if _FIRST_STATUS <= status <= _LAST_STATUS:
                word = _STATUSES + status - _FIRST_STATUS
                self.table.set(self.number, word, count)

    def delivered(self) -> int:
        """Bytes of segments, by all that ever were."""
        return self.table.sum_of(_DELIVERED)

    def statuses(self) -> dict[int, int]:
        """Answers of all that ever were, by their statuses."""
        sums = {
            status: self.table.sum_of(_STATUSES + status - _FIRST_STATUS)
            for status in range(_FIRST_STATUS, _LAST_STATUS + 1)
        }
        return {status: count for status, count in sums.items() if count}

    def tell_memory(self, granted: int) -> None:
        """So many bytes are used, or may be at any time."""
        self.table.set(self.number, _GRANTED, granted)

    def tell_largest(self, largest: int) -> None:
        """So many by the largest channel."""
        self.table.set(self.number, _LARGEST, largest)

    def memory_of_others(self) -> int:
        """That of all others."""
        own = self.table.get(self.number, _GRANTED)
        return self.table.sum_of(_GRANTED) - own

    def hoarder(self) -> int:
        """The row of who has the largest channel."""
        sizes = [self.table.get(row, _LARGEST) for row in range(self.table.rows)]
        return max(range(self.table.rows), key=sizes.__getitem__)

    def tell_connections(self, count: int) -> None:
        """So many are open."""
        self.table.set(self.number, _CONNECTIONS, count)

    def connections(self) -> int:
        """Those of all."""
        return self.table.sum_of(_CONNECTIONS)

    def tell_channels(self, channels: int, draining: int) -> None:
        """So many are there, of which so many are closed."""
        self.table.set(self.number, _CHANNELS, channels)
        self.table.set(self.number, _DRAINING, draining)

    def channels(self) -> tuple[int, int]:
        """Those of all."""
        return self.table.sum_of(_CHANNELS), self.table.sum_of(_DRAINING)

    def drainer(self) -> int | None:
        """The row of somebody with channels that are closed."""
        for row in range(self.table.rows):
            if self.table.get(row, _DRAINING):
                return row
        return None

    def beat(self) -> None:
        """Whoever has this row is alive: its tasks have their turns."""
        beats = self.table.get(self.number, _BEATS)
        self.table.set(self.number, _BEATS, beats + 1)

    def beats(self) -> int:
        """How often it has said so."""
        return self.table.get(self.number, _BEATS)

    def enter(self, key: object) -> None:
        """One more connection of `key`."""
        self.table.add(self.number, key, 1)

    def leave(self, key: object) -> None:
        """One less."""
        self.table.add(self.number, key, -1)

    def connections_of(self, key: object) -> int:
        """Those of `key`, in all processes."""
        return self.table.count_of(key)
