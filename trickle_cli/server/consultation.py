"""Asking a hook, which may take its time, and may fail in ways of its own."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from trickle_cli.protocol.responses import Answer, problem
from trickle_cli.server.connection import Connection
from trickle_cli.server.hooks import Hook, HookRequest, Refused

_log = logging.getLogger(__name__)

#: Seconds that an async hook may take.
HOOK_TIMEOUT: Final = 30
_FAULT: Final = problem(500, "the server could not decide whether to allow this")


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
