"""Requests that are short and answered at once: create, next, end, close.

By httpx, which needs no help with those. What streams goes over `connection`.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from types import TracebackType
from typing import Final, get_type_hints

import httpx
import trio

from trickle_cli.client.config import ClientConfig
from trickle_cli.client.endpoint import Endpoint
from trickle_cli.client.proxy import Proxy, proxy_for
from trickle_cli.client.reasons import unreachable
from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    ConnectionFailed,
    NotAllowed,
    SegmentNotFound,
    UnexpectedStatus,
)
from trickle_cli.protocol.events import Response
from trickle_cli.protocol.names import DEFAULT_TYPE, SEGMENT_MISSING
from trickle_cli.protocol.requests import (
    AskNext,
    Close,
    Create,
    EndSegment,
    Inspect,
    Operation,
    Page,
    ShowChannel,
    Subscribe,
    to_http,
)
from trickle_cli.protocol.responses import Answer, decode, fields_of
from trickle_cli.protocol.sequence import MAX_SEQ, parse_seq
from trickle_cli.statistics import ChannelStatistics

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
    """Where a channel stands: `seq` begins next, and `readers` wait for it. A
    `lossless` one has let go of `let_go` readers that took nothing. "" and None where
    the server does not tell."""

    seq: int
    closed: bool
    epoch: str
    lossless: bool = False
    let_go: int | None = None
    readers: int | None = None


@dataclass(frozen=True, kw_only=True)
class SegmentInfo:
    """What a server tells of segment `seq`: its bytes by now, and whether those are
    all. `is_incomplete`: it has ended before it was whole. `latest` is the head. None
    and "" where the server does not tell."""

    seq: int
    latest: int | None
    size: int | None
    is_complete: bool | None
    is_incomplete: bool
    epoch: str


class Control:
    """Short requests about one channel. Use it as `async with`.

    All methods raise ConnectionFailed when the server cannot be reached,
    NotAllowed for 401 and 403, and UnexpectedStatus for what has no meaning here.
    """

    def __init__(self, endpoint: Endpoint, config: ClientConfig | None = None) -> None:
        self._endpoint = endpoint
        self._config = config = config or ClientConfig()
        self._proxy = proxy_for(endpoint) if config.trust_env else None
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT,
            transport=_transport(endpoint, config, self._proxy),
            trust_env=False,
        )

    async def __aenter__(self) -> Control:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()  # noqa: ASYNC102 - it shields itself

    async def aclose(self) -> None:
        """Drop the connections."""
        with trio.move_on_after(_CLOSE_TIMEOUT, shield=True):
            await self._client.aclose()

    async def create(
        self, type_: str = DEFAULT_TYPE, *, lossless: bool = False
    ) -> bool:
        """Make the channel unless it is there. False if the server does not let
        us, and has none."""
        wanted = Create(self._endpoint.channel, type_, lossless)
        answer, text = await self._ask(wanted)
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
        return Head(
            seq=seq,
            closed=answer.closed,
            epoch=answer.epoch,
            lossless=answer.lossless,
            let_go=answer.let_go,
            readers=answer.readers,
        )

    async def inspect(self, seq: int) -> SegmentInfo:
        """What there is of segment `seq`, which may be relative. ChannelNotFound,
        SegmentNotFound if it has not begun or is not there any more, ChannelClosed."""
        answer, text = await self._ask(Inspect(self._endpoint.channel, seq))
        if answer.status == SEGMENT_MISSING:
            raise SegmentNotFound(seq, answer.latest)
        self._require(answer, text)
        if answer.closed:
            raise ChannelClosed(self._endpoint.channel, where=self._endpoint.server)
        return SegmentInfo(
            seq=seq if answer.seq is None else answer.seq,
            latest=answer.latest,
            size=answer.size,
            is_complete=answer.complete,
            is_incomplete=answer.incomplete,
            epoch=answer.epoch,
        )

    async def info(self) -> ChannelStatistics:
        """What the server tells of the channel. ChannelNotFound."""
        answer, text = await self._ask(ShowChannel(self._endpoint.channel))
        self._require(answer, text)
        return _channel(_parse(text, str(self._endpoint)), str(self._endpoint))

    async def list(self) -> list[ChannelStatistics]:
        """What the server tells of all channels that we may know of."""
        where = self._endpoint.server
        answer, text = await self._ask(Page.CHANNELS)
        if answer.status == 404:
            raise UnexpectedStatus(404, "it has no listing", what=where)
        self._require(answer, text)
        content = _parse(text, where)
        channels = content.get("channels") if isinstance(content, dict) else None
        if not isinstance(channels, list):
            raise UnexpectedStatus(200, "no list of channels", what=where)
        return [_channel(entry, where) for entry in channels]

    async def is_healthy(self) -> bool:
        """Whether the server says that it serves."""
        answer, _ = await self._ask(Page.HEALTH)
        return answer.status == 200

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
            raise NotAllowed(
                f"{self._endpoint.server} does not allow it: {text[:_EXCERPT]}"
            )
        raise UnexpectedStatus(status, text[:_EXCERPT], what=str(self._endpoint))

    async def _ask(self, wanted: Operation) -> tuple[Answer, str]:
        method, path, own_fields = to_http(wanted)
        endpoint = self._endpoint
        url = f"{endpoint.origin}{endpoint.base_path}{path}"
        sent = [*own_fields, *self._config.fields]
        try:
            response = await self._client.request(method, url, headers=sent)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            # The latter two: it is strict about hosts, which no resolver knows either.
            text = unreachable(endpoint.server, error, self._proxy)
            raise ConnectionFailed(text) from error
        response.headers.encoding = "latin-1"  # any bytes are: none is lost, or fails
        head = Response(
            response.status_code, fields_of(response.headers.multi_items()), True, False
        )
        return decode(head), response.text.strip()


def _transport(
    endpoint: Endpoint, config: ClientConfig, proxy: Proxy | None
) -> httpx.AsyncHTTPTransport:
    # To make a context takes longer than all else there is to do.
    tls = endpoint.scheme == "https" and (config.tls or True)
    if endpoint.uds:
        return httpx.AsyncHTTPTransport(uds=endpoint.uds)
    if proxy is None:
        return httpx.AsyncHTTPTransport(verify=tls)
    fields = {"Proxy-Authorization": proxy.authorization.decode()}
    return httpx.AsyncHTTPTransport(
        verify=tls,
        proxy=httpx.Proxy(str(proxy), headers=fields if proxy.authorization else None),
    )


def _parse(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UnexpectedStatus(200, text[:_EXCERPT], what=where) from None


#: A rate may be written without a decimal point.
_KINDS: Final = {**get_type_hints(ChannelStatistics), "rate": float | int}
_REQUIRED: Final = {
    shown.name for shown in fields(ChannelStatistics) if shown.default is MISSING
}


def _channel(content: object, where: str) -> ChannelStatistics:
    """The shape that pages share; what else there may be in it is passed over."""
    if not isinstance(content, dict) or not content.keys() >= _REQUIRED:
        raise UnexpectedStatus(200, "no description of a channel", what=where)
    found = {n: content[n] for n in _KINDS if n in content}
    if not all(isinstance(value, _KINDS[name]) for name, value in found.items()):
        raise UnexpectedStatus(200, "a strange description of a channel", what=where)
    return ChannelStatistics(**found)
