"""What the owner of a server may have a say in: making a channel, and closing it.

A hook sees the request before anything is done, and before any of its body is read.
It returns to allow it, or raises: `Refused` with the status and the words of the
answer; anything else is a fault of the hook's, and is answered 500. Nothing is made
or closed then. It may be a plain function or an async one; what it awaits holds up
nobody but the peer that asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from trickle_cli.errors import TrickleError
from trickle_cli.protocol.events import Request


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
