"""How many requests may be under way on one connection.

HTTP/1.1 lets a client send a request before the one before it is answered; the answers
come in turn. Over a distance nothing is worth more, but not everybody copes: there are
servers that close after each answer, and proxies that lose what comes too early. So it
is tried: the depth begins small, and grows by one with each answer, which doubles it in
each round trip. It is halved when a connection ends in the middle, and stays at one
when two in a row have ended after their first answer.
"""

from __future__ import annotations

from typing import Final

#: As many as there are ever under way: 5 000 a second at 50 ms there and back. What a
#: server keeps of requests that wait is bounded, too.
MOST: Final = 256

#: Answers on one connection that show that it is used again.
_PROOF: Final = 2
#: Connections in a row that end at once before it is given up.
_STRIKES: Final = 2


class Depth:
    """`limit` is how many there may be now. It begins with `first`."""

    def __init__(self, first: int = 1) -> None:
        self.limit = first
        self._most = MOST
        self._strikes = 0

    def trust(self, first: int) -> None:
        """The server is one that copes, or that mends what does not: begin higher."""
        self.limit = min(max(self.limit, first), self._most)

    def answered(self, count: int) -> None:
        """An answer has come in its turn, the `count`-th on its connection."""
        if count >= _PROOF and self.limit < self._most:
            self.limit += 1

    def broken(self, count: int) -> None:
        """A connection has ended after `count` answers, with several to come."""
        self._strikes = 0 if count >= _PROOF else self._strikes + 1
        self.halve()
        if self._strikes >= _STRIKES:
            self.give_up()

    def halve(self) -> None:
        """What was under way turned out not to be wanted."""
        self.limit = max(1, self.limit // 2)

    def give_up(self) -> None:
        """One at a time from now on."""
        self._most = self.limit = 1
