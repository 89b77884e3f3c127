"""Who gets in: web pages from elsewhere, and what callers have a right to.

Asked before anything else, so before any body is read and before there is a channel.
What is refused says so without a look at what there is: 401 to those who have not said
who they are, or whose token is not worth anything; 403 to those who have, and may not.
"""

from __future__ import annotations

from typing import Final

from trickle_cli.access import EVERYTHING, Access, Caller, Right
from trickle_cli.protocol.events import Field, Request
from trickle_cli.protocol.names import CHANGEFEED
from trickle_cli.protocol.requests import (
    AskNext,
    Close,
    Create,
    EndSegment,
    Inspect,
    Operation,
    Page,
    Preflight,
    Publish,
    ShowChannel,
    Subscribe,
    has_foreign_origin,
    not_allowed,
)
from trickle_cli.protocol.responses import Answer, problem
from trickle_cli.server.connection import Connection

_CHANGING: Final = frozenset({b"POST", b"DELETE"})
_FOREIGN: Final = problem(403, "a web page of another place may not change anything")
_NO_RIGHT: Final = problem(403, "the token does not allow this")
_NO_TOKEN: Final = problem(401, "a token is needed for this")._replace(
    fields=((b"WWW-Authenticate", b'Bearer realm="trickle"'),)
)
_BAD_TOKEN: Final = problem(401, "the token is not valid, or has expired")._replace(
    fields=((b"WWW-Authenticate", b'Bearer realm="trickle", error="invalid_token"'),)
)
#: What a page from elsewhere may read of an answer, besides its body.
_EXPOSED: Final = (
    b"Lp-Trickle-Seq, Lp-Trickle-Latest, Lp-Trickle-Closed, Lp-Trickle-Epoch,"
    b" Lp-Trickle-Incomplete, Lp-Trickle-Size, Lp-Trickle-Complete,"
    b" Lp-Trickle-Timeout, Content-Range, ETag, Retry-After"
)
_PREFLIGHT: Final = (
    (b"Access-Control-Allow-Methods", b"GET, HEAD, OPTIONS"),
    (
        b"Access-Control-Allow-Headers",
        b"Authorization, Range, Prefer, If-None-Match, If-Range",
    ),
    (b"Access-Control-Max-Age", b"600"),
)


class Gate:
    """Lets requests in. `access` may be exchanged while the server runs."""

    def __init__(self, access: Access | None, cors: tuple[str, ...]) -> None:
        self.access = access
        self._origins = frozenset(origin.encode() for origin in cors)

    def admit(
        self, connection: Connection, request: Request, wanted: Operation
    ) -> Answer | None:
        """None, and `connection` knows its caller; or the answer that refuses."""
        if isinstance(wanted, Publish):
            foreign = wanted.foreign
        else:
            foreign = request.method in _CHANGING and has_foreign_origin(request)
        if foreign:
            return _FOREIGN
        if self._origins:
            connection.extra = self._cors_fields(request)
        if isinstance(wanted, Preflight):
            if not self._origins:
                return not_allowed(request, wanted.allow)
            return Answer(status=204, allow="GET, HEAD, OPTIONS")
        if self.access is None:
            connection.caller = EVERYTHING
            return None
        authorization = request.field(b"authorization")
        caller = self.access.identify(authorization)
        if wanted is Page.HEALTH:
            return None
        if caller is None:
            return _BAD_TOKEN
        connection.caller = caller
        return None if _may(caller, wanted) else refusal(request)

    def is_private(self, channel: str) -> bool:
        """Whether not everybody may read `channel`."""
        access = self.access
        return access is not None and not access.anonymous.may(Right.SUBSCRIBE, channel)

    def _cors_fields(self, request: Request) -> tuple[Field, ...]:
        if request.method in _CHANGING:
            return ()
        origin = request.field(b"origin")
        if b"*" in self._origins:
            allowed = b"*"
        elif origin is not None and origin in self._origins:
            allowed = origin
        else:
            return ((b"Vary", b"Origin"),)
        fields = (
            (b"Vary", b"Origin"),
            (b"Access-Control-Allow-Origin", allowed),
            (b"Access-Control-Expose-Headers", _EXPOSED),
        )
        return fields + _PREFLIGHT if request.method == b"OPTIONS" else fields


def refusal(request: Request) -> Answer:
    """The answer to somebody who is known, or has not said who it is, and may not."""
    anonymous = request.field(b"authorization") is None
    return _NO_TOKEN if anonymous else _NO_RIGHT


def _may(caller: Caller, wanted: Operation) -> bool:
    match wanted:
        case Subscribe(channel=channel):
            return _may_read(caller, channel)
        case Publish(channel=channel) | EndSegment(channel=channel):
            return caller.may(Right.PUBLISH, channel)
        case Inspect(channel=channel) | AskNext(channel=channel):
            # Publishers ask where to begin, and what has arrived.
            may_publish = caller.may(Right.PUBLISH, channel)
            return may_publish or _may_read(caller, channel)
        case Create(channel=channel):
            return caller.may(Right.CREATE, channel)
        case Close(channel=channel):
            return caller.may(Right.CLOSE, channel)
        case ShowChannel(channel=channel):
            may_list = caller.may(Right.LIST, channel)
            return may_list and _may_read(caller, channel)
        case Page.CHANNELS | Page.METRICS:
            return caller.may_somewhere(Right.LIST)
    return False


def _may_read(caller: Caller, channel: str) -> bool:
    if caller.may(Right.SUBSCRIBE, channel):
        return True
    # The changefeed is a listing that goes on.
    return channel == CHANGEFEED and caller.may_somewhere(Right.LIST)
