"""The connections of a subscriber, and what it has asked for on them.

At the head of a channel two connections take turns: while segment N comes on one, N + 1
is waited for on the other. Behind the head many are asked for at once, on one
connection: as many as are known to exist, up to what the peer copes with (`depth.py`),
and again when half of that has come. They come in order, and what nobody has taken yet
waits in the kernel, which holds the server back when that is full.

On a lossless channel a connection that asks for another segment has taken the one
before, as the server sees it. There, nothing is asked for on a connection before it
has.
"""

from __future__ import annotations

import random
from collections import deque
from functools import partial
from typing import Final, NamedTuple

import trio

from trickle_cli.client.config import ClientConfig
from trickle_cli.client.connection import Connection, connect
from trickle_cli.client.depth import Depth
from trickle_cli.client.endpoint import Endpoint
from trickle_cli.client.undoing import unless_done
from trickle_cli.errors import ConnectionFailed
from trickle_cli.protocol.ranges import ByteRange
from trickle_cli.protocol.requests import Subscribe, encode, encode_around
from trickle_cli.protocol.responses import Answer, decode

#: Seconds after which a request that waits is renewed, by chance within these; and how
#: much longer a server may take to say so.
_RENEWAL: Final = (20, 25)
_RENEWAL_GRACE: Final = 5
#: Seconds in which what has come already can be read.
_READ_GRACE: Final = 1
#: Seconds that a segment which exists may be after the one before it.
_NEXT_GRACE: Final = 10
#: Segments that are asked for at once at first.
_FIRST_DEPTH: Final = 8
#: Connections that are kept for further requests.
_MOST_IDLE: Final = 2


class Asked(NamedTuple):
    """A request for segment `seq`. It is to be answered by the time `until`, or, if it
    `is_behind` another on its connection, soon after that."""

    connection: Connection
    seq: int
    until: float
    is_behind: bool = False


class Requests:
    """Requests to `endpoint`, by a subscriber that calls itself `label`. Close it with
    `aclose`. Its methods raise ConnectionFailed and ProtocolViolation."""

    def __init__(self, endpoint: Endpoint, config: ClientConfig, label: bytes) -> None:
        self._endpoint = endpoint
        self._config = config
        self._label = label
        self._asked: deque[Asked] = deque()  # all on one connection
        self._idle: list[Connection] = []
        self._depth = Depth(_FIRST_DEPTH)
        self._around: dict[int, tuple[bytes, bytes]] = {}

    async def aclose(self) -> None:
        """Close the connections."""
        if self._asked:
            await self.drop(self._asked[0].connection)
        await self.drop_idle()

    @property
    def next_seq(self) -> int | None:
        """The segment that has been asked for first, None if none has."""
        return self._asked[0].seq if self._asked else None

    async def take(self, seq: int) -> Asked:
        """The request for `seq`, which is sent now, unless it has been."""
        if self._asked:
            if self._asked[0].seq == seq:
                return self._asked.popleft()
            await self._forget(None)
        connection = await self._connection()
        await self._send(connection, [seq])
        return self._asked.popleft()

    async def answer_to(self, asked: Asked) -> Answer | None:
        """What the answer begins with; None if it has not begun in time."""
        connection = asked.connection
        if connection.has_more:
            return decode(await connection.response())
        now = trio.current_time()
        until = max(asked.until, now + _READ_GRACE)
        if asked.is_behind:
            until = now + _NEXT_GRACE
        with trio.move_on_at(until):
            return decode(await connection.response())
        if asked.is_behind:
            self._depth.give_up()
        return None

    async def ask_ahead(self, asked: Asked, seq: int, answer: Answer) -> None:
        """Ask for `seq`, and for others after it if they exist, while the segment
        before is read, which `answer` has begun, the one to `asked`. That it cannot be
        done now is no failure."""
        if self._asked and not self._is_still_good(asked.connection, seq, answer):
            await self._forget(asked.connection)
        elif asked.is_behind and answer.seq == asked.seq:
            self._depth.answered(asked.connection.answers)
        limit = 1 if answer.lossless else self._depth.limit
        count = len(self._asked)
        if count > limit // 2:
            return
        first = seq + count
        last = min(answer.latest or 0, seq + limit) - 1
        try:
            if count:
                connection = self._asked[-1].connection
            else:
                last = max(first, last)
                connection = await self._connection()
            if first <= last:
                await self._send(connection, range(first, last + 1))
        except ConnectionFailed:
            pass  # it will be asked for when its turn has come

    def _is_still_good(self, connection: Connection, seq: int, answer: Answer) -> bool:
        """Whether what has been asked for will come, and is what is wanted next."""
        first, last = self._asked[0], self._asked[-1]
        if self._is_asked_on(connection) and not connection.keeps_alive:
            return False
        is_known = answer.latest is None or last.seq < answer.latest
        return first.seq == seq and (is_known or not last.is_behind)

    async def _connection(self) -> Connection:
        if self._idle:
            return self._idle.pop()
        return await connect(self._endpoint, self._config)

    async def _send(self, connection: Connection, seqs: range | list[int]) -> None:
        """Ask for `seqs` on `connection`, behind what has been asked for there."""
        wait = random.randint(*_RENEWAL)  # noqa: S311
        before, after = self._head(wait)
        requests = [b"%b%d%b" % (before, seq, after) for seq in seqs]
        async with unless_done(partial(self.drop, connection)):
            await connection.send(b"".join(requests))
        until = trio.current_time() + wait + _RENEWAL_GRACE
        is_behind = bool(self._asked)
        for seq in seqs:
            self._asked.append(Asked(connection, seq, until, is_behind))
            is_behind = True

    def _head(self, wait: int) -> tuple[bytes, bytes]:
        """A request, before its seq and after."""
        around = self._around.get(wait)
        if around is None:
            wanted = Subscribe(self._endpoint.channel, 0, wait=wait, label=self._label)
            around = self._around[wait] = encode_around(
                wanted,
                host=self._endpoint.authority,
                base_path=self._endpoint.base_path,
                fields=self._config.fields,
            )
        return around

    async def ask_rest(self, seq: int, position: int) -> Connection:
        """A connection of its own on which segment `seq` has been asked for, from the
        byte `position` on."""
        connection = await connect(self._endpoint, self._config)
        rest = ByteRange(position) if position else None
        wanted = Subscribe(self._endpoint.channel, seq, rest, label=self._label)
        request = encode(
            wanted,
            host=self._endpoint.authority,
            base_path=self._endpoint.base_path,
            fields=self._config.fields,
        )
        async with unless_done(connection.aclose):
            await connection.send(request)
        return connection

    # What becomes of connections.

    async def release(self, connection: Connection) -> None:
        """The answer that came on `connection` has ended."""
        if self._is_asked_on(connection):
            return
        if connection.is_reusable and len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            await connection.aclose()

    async def drop(self, connection: Connection) -> None:
        """Close `connection` at once, and with it what has been asked for there."""
        if self._is_asked_on(connection):
            if self._asked[-1].is_behind:
                self._depth.broken(connection.answers)
            self._asked.clear()
        await connection.aclose()

    async def drop_idle(self) -> None:
        """The server that they go to has gone."""
        while self._idle:
            await self._idle.pop().aclose()

    async def _forget(self, present: Connection | None) -> None:
        """What has been asked for is not what is wanted, or will not come. On `present`
        something is read that is: it is closed when that has been."""
        connection = self._asked[0].connection
        if self._asked[-1].is_behind:
            if connection.keeps_alive:
                self._depth.halve()
            else:
                self._depth.broken(connection.answers)
        self._asked.clear()
        if connection is present:
            connection.retire()
        else:
            await connection.aclose()

    def _is_asked_on(self, connection: Connection) -> bool:
        return bool(self._asked) and self._asked[0].connection is connection
