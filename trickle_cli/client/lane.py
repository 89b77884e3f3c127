"""One of a publisher's two connections, and what is under way on it."""

from __future__ import annotations

from trickle_cli.client.connection import Connection
from trickle_cli.client.outgoing import Outgoing


class Lane:
    """A connection, and the request on it.

    `seq` is None when it is free. `owed` is a head that is to go out with the
    first bytes of the body. `outgoing` is the segment, once some of it was sent.
    `waits` is since when (trio's clock) the server knows of a request that has not
    begun. `is_mending`: the connection broke within the segment, and another is on the
    way, on which `Publisher._mend` sends.
    """

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.seq: int | None = None
        self.owed = b""
        self.outgoing: Outgoing | None = None
        self.is_opening = False
        self.is_mending = False
        self.waits: float | None = None

    def free(self) -> None:
        """There is no request on it any more."""
        self.seq = None
        self.owed = b""
        self.outgoing = None
        self.is_mending = False
        self.waits = None
