"""Passing connections on to other workers."""

from __future__ import annotations

import socket
from collections.abc import Callable

from trickle_cli.server.secure import SecureTransport
from trickle_cli.server.transport import SocketTransport
from trickle_cli.server.workers.moving import MovableConnection
from trickle_cli.server.workers.outbox import Outbox
from trickle_cli.server.workers.parcel import Parcel
from trickle_cli.server.workers.pump import Pump, PumpedTransport, aside


class Passing:
    """Sends connections away from the worker at `seat`, by way of `outbox_of`.

    What is encrypted stays here, and is pumped: `start` is called with the pump, and
    the address of the peer, and counts `pumping` down when it has run. A peer may take
    nothing for `patience` seconds.
    """

    def __init__(
        self,
        seat: int,
        outbox_of: Callable[[int], Outbox | None],
        start: Callable[[Pump, str], None],
        patience: float,
    ) -> None:
        self._seat = seat
        self._outbox_of = outbox_of
        self._start = start
        self._patience = patience
        #: How many are pumped.
        self.pumping = 0

    def pack(self, connection: MovableConnection) -> Parcel:
        """Take a connection out of this process. OSError, and it stays, if there are
        too few descriptors."""
        transport, host, hops = connection.transport, connection.host, connection.hops
        beside: socket.socket | None = None
        counts = 0, 0
        if isinstance(transport, SecureTransport):
            ours, sock = socket.socketpair()
            try:
                ours_beside, beside = aside()
            except OSError:
                ours.close()
                sock.close()
                raise
            data = connection.take_leave()
            stream = transport.release_stream()
            self.pumping += 1
            self._start(Pump(stream, ours, ours_beside, self._patience), host)
        else:
            assert isinstance(transport, SocketTransport)
            data = connection.take_leave()
            sock = transport.release()
            if isinstance(transport, PumpedTransport):
                beside, counts = transport.beside, transport.counts
        return Parcel(
            host=host,
            data=data,
            sock=sock,
            beside=beside,
            hops=hops + 1,
            counts=counts,
        )

    def send(self, parcel: Parcel, seat: int) -> None:
        """To the worker there; it is closed if that cannot be reached."""
        outbox = self._outbox_of(seat)
        if outbox is None:
            parcel.close()
        else:
            letter = parcel.letter(self._seat)
            outbox.post(letter, parcel.sockets, patience=parcel.PATIENCE)
