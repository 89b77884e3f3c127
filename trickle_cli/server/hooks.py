"""What the owner of a server may have a say in: making a channel, and closing it.

A hook sees the request before anything is done, and before any of its body is read.
It returns to allow it, or raises: `Refused` with the status and the words of the
answer; anything else is a fault of the hook's, and is answered 500. Nothing is made
or closed then. It may be a plain function or an async one; what it awaits holds up
nobody but the peer that asks.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from trickle_cli.errors import TrickleError
from trickle_cli.protocol.http1 import Request
from trickle_cli.protocol.responses import Answer, problem

if TYPE_CHECKING:
    from trickle_cli.server.connection import Connection

_log = logging.getLogger(__name__)

#: Seconds that an async hook may take.
HOOK_TIMEOUT: Final = 30
_FAULT: Final = problem(500, "the server could not decide whether to allow this")


class Refused(TrickleError):
    """Raised by a hook: the request is answered `status`, 400 to 499, with `message`,
    one line for a person."""

    def __init__(self, status: int, message: str) -> None:
        if not 400 <= status <= 499:
            raise ValueError(f"a refusal has a status from 400 to 499, not {status}")
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class HookRequest:
    """A request that would make a channel, or close one.

    `type` is the MIME type that the channel would have, "" when it is to be closed.
    `method`, `target` and `headers` (names in lower case, the first of each) are the
    request's. `peer` is who asks: an address, or what a trusted proxy says.
    """

    channel: str
    type: str
    method: str
    target: str
    headers: Mapping[str, str]
    peer: str


Hook: TypeAlias = Callable[[HookRequest], Awaitable[None] | None]


def describe(request: Request, channel: str, type_: str, peer: str) -> HookRequest:
    """What a hook gets to see of `request`."""
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in reversed(request.fields)
    }
    return HookRequest(
        channel=channel,
        type=type_,
        method=request.method.decode("latin-1"),
        target=request.target.decode("latin-1"),
        headers=headers,
        peer=peer,
    )


def consult(
    connection: Connection, hook: Hook, about: HookRequest, proceed: Callable[[], None]
) -> None:
    """Ask `hook`, and `proceed`, or answer on `connection` that it refused."""
    try:
        outcome = hook(about)
    except Exception as error:  # noqa: BLE001 - it is not ours
        connection.answer(_answer_for(error))
        return
    if inspect.isawaitable(outcome):
        _Consultation(connection, outcome, proceed).start()
    else:
        proceed()


def _answer_for(error: Exception) -> Answer:
    if isinstance(error, Refused):
        return problem(error.status, str(error))
    _log.error("a hook failed: %s: %s", type(error).__name__, error)
    return _FAULT


class _Consultation:
    """The exchange of a request that waits for its hook."""

    def __init__(
        self,
        connection: Connection,
        outcome: Awaitable[None],
        proceed: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._outcome = outcome
        self._proceed = proceed
        self._scope = trio.CancelScope()

    def start(self) -> None:
        self._connection.exchange = self
        self._connection.run_errand(self._wait)

    async def _wait(self) -> None:
        answer: Answer | None = None
        try:
            with self._scope, trio.fail_after(HOOK_TIMEOUT):
                await self._outcome
        except Exception as error:  # noqa: BLE001 - it is not ours
            answer = _answer_for(error)
        if self._scope.cancelled_caught or self._connection.exchange is not self:
            return
        self._connection.exchange = None
        if answer is not None:
            self._connection.answer(answer)
        else:
            self._proceed()

    def take(self, chunks: list[bytes], *, end: bool) -> None:  # noqa: ARG002
        raise AssertionError("nothing is served while an errand is run")

    def hang_up(self) -> int:
        self._scope.cancel()
        return 0

    def waiting_for(self) -> object:
        return None

    def check(self, now: float) -> None:
        pass
