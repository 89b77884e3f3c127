"""A connection on its way from one worker to another."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import ClassVar

from trickle_cli.server.workers.letters import Letter


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """`host` is its peer; `data` what has come of it that is not answered; `beside` is
    there if it is pumped (see `pump`), and `counts` then says what was sent and has
    reached it; `hops` how many have passed it on; `origin` who was the last."""

    host: str
    data: bytes
    sock: socket.socket
    beside: socket.socket | None
    hops: int
    origin: int = -1
    counts: tuple[int, int] = (0, 0)

    #: Seconds that it may take; a worker that has died is replaced by then.
    PATIENCE: ClassVar = 5.0

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """All that it has."""
        return (self.sock,) if self.beside is None else (self.sock, self.beside)

    def close(self) -> None:
        """End it."""
        for sock in self.sockets:
            sock.close()

    def letter(self, origin: int) -> Letter:
        """To be sent by `origin`."""
        return Letter(
            kind="connection",
            fields={
                "seat": origin,
                "host": self.host,
                "hops": self.hops,
                "counts": self.counts,
            },
            data=self.data,
            descriptors=tuple(sock.fileno() for sock in self.sockets),
        )

    @classmethod
    def of(cls, letter: Letter) -> Parcel:
        """As it was sent."""
        sockets = [socket.socket(fileno=number) for number in letter.descriptors]
        for sock in sockets:
            sock.setblocking(False)
        return cls(
            host=letter.fields["host"],
            data=letter.data,
            sock=sockets[0],
            beside=sockets[1] if len(sockets) > 1 else None,
            hops=letter.fields["hops"],
            origin=letter.fields["seat"],
            counts=tuple(letter.fields.get("counts", (0, 0))),
        )
