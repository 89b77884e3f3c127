"""Requests that are short and answered at once: create, next, end, close.

By httpx, which needs no help with those. What streams goes over `connection`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Final

import httpx
import trio

from trickle_cli.client.endpoint import Endpoint
from trickle_cli.client.reasons import unreachable
from trickle_cli.errors import (
    ChannelNotFound,
    ConnectionFailed,
    NotAllowed,
    UnexpectedStatus,
)
from trickle_cli.protocol.http1 import Response
from trickle_cli.protocol.names import DEFAULT_TYPE, SEGMENT_MISSING
from trickle_cli.protocol.requests import (
    AskNext,
    Close,
    Create,
    EndSegment,
    Operation,
    Subscribe,
    to_http,
)
from trickle_cli.protocol.responses import Answer, decode, fields_of
from trickle_cli.protocol.sequence import MAX_SEQ, parse_seq

#: Seconds that one of these requests may take.
TIMEOUT: Final = 10
#: Seconds that closing the connections may take.
_CLOSE_TIMEOUT: Final = 1
#: Bytes of an answer's text that are shown to a person.
_EXCERPT: Final = 200
#: So far ahead that no channel has it: the answer tells the head.
_FAR_AHEAD: Final = MAX_SEQ // 2


@dataclass(frozen=True, kw_only=True)
class Head:
    """Where a channel stands: `seq` begins next. `epoch` is "" where the server
    does not tell."""

    seq: int
    closed: bool
    epoch: str


class Control:
    """Short requests about one channel. Use it as `async with`.

    All methods raise ConnectionFailed when the server cannot be reached,
    NotAllowed for 401 and 403, and UnexpectedStatus for what has no meaning here.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        # The data plane knows no proxies, so this must not find any either.
        self._client = httpx.AsyncClient(timeout=TIMEOUT, trust_env=False)

    async def __aenter__(self) -> Control:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with trio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            await self._client.__aexit__(exc_type, exc, traceback)

    async def create(self, type_: str = DEFAULT_TYPE) -> bool:
        """Make the channel unless it is there. False if the server does not let
        us, and has none."""
        answer, text = await self._ask(Create(self._endpoint.channel, type_))
        if answer.status in {404, 405}:
            return False
        self._require(answer, text)
        return True

    async def next(self) -> Head:
        """The head. ChannelNotFound."""
        answer, text = await self._ask(AskNext(self._endpoint.channel))
        if answer.status == 400:  # an older server, which knows numbers only
            answer, text = await self._ask(
                Subscribe(self._endpoint.channel, _FAR_AHEAD)
            )
            if answer.status == SEGMENT_MISSING:
                answer = answer._replace(status=200)
        self._require(answer, text)
        seq = answer.latest if answer.latest is not None else parse_seq(text.encode())
        if seq is None:
            raise UnexpectedStatus(200, text, what="asked for the head")
        return Head(seq=seq, closed=answer.closed, epoch=answer.epoch)

    async def end_segment(self, seq: int) -> None:
        """End a segment that will not be written further."""
        self._require(*await self._ask(EndSegment(self._endpoint.channel, seq)))

    async def close(self) -> None:
        """End the channel. ChannelNotFound if there is none, or none any more."""
        answer, text = await self._ask(Close(self._endpoint.channel))
        if answer.status == 400:
            raise ChannelNotFound(self._endpoint.channel, where=self._endpoint.server)
        self._require(answer, text)

    def _require(self, answer: Answer, text: str) -> None:
        status = answer.status
        if status == 200:
            return
        if status == 404:
            raise ChannelNotFound(self._endpoint.channel, where=self._endpoint.server)
        if status in {401, 403}:
            raise NotAllowed(f"{self._endpoint.server} does not allow it: {text}")
        raise UnexpectedStatus(status, text, what=str(self._endpoint))

    async def _ask(self, wanted: Operation) -> tuple[Answer, str]:
        method, path, fields = to_http(wanted)
        endpoint = self._endpoint
        url = f"{endpoint.scheme}://{endpoint.authority}{endpoint.base_path}{path}"
        try:
            response = await self._client.request(method, url, headers=fields)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            # The latter two: it is strict about hosts, which no resolver knows either.
            raise ConnectionFailed(unreachable(endpoint.server, error)) from error
        response.headers.encoding = "latin-1"  # any bytes are: none is lost, or fails
        head = Response(
            response.status_code, fields_of(response.headers.multi_items()), True, False
        )
        return decode(head), response.text[:_EXCERPT].strip()
