"""A channel as its publisher knows it: what is asked of the server, and what it tells.

All of it is short requests, over `Control`, and the heads of those that are not.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import Final

import trio

from trickle_cli.client.config import ClientConfig
from trickle_cli.client.control import Control, Head
from trickle_cli.client.endpoint import Endpoint
from trickle_cli.client.outgoing import Outgoing
from trickle_cli.client.refusals import PASSING, refusal
from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    ConnectionFailed,
    NotAllowed,
    NotLossless,
    SegmentConflict,
    SegmentNotFound,
    TrickleError,
    UnexpectedStatus,
)
from trickle_cli.protocol.requests import Publish, encode_around
from trickle_cli.protocol.responses import Answer
from trickle_cli.protocol.sequence import OLDEST

#: Bytes of the secret by which a server knows us again.
_ID_SIZE: Final = 16
#: Seconds between looks at how many readers wait.
_READERS_PAUSE: Final = 0.1


class Upstream:
    """`epoch` is that of the numbering that we publish in, "" before it is known, and
    `old_epoch` that of one that is to begin anew. `resumes`: whether the server knows
    us again, None before it is known. `is_met`: it has taken a segment. `let_go` and
    `restarts` are as in `Publisher`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        config: ClientConfig,
        *,
        type_: str,
        create: bool,
        lossless: bool,
    ) -> None:
        self.endpoint = endpoint
        self.config = config
        self.epoch = self.old_epoch = ""
        self.resumes: bool | None = None
        self.is_met = False
        self.let_go = self.restarts = 0
        self._type = type_
        self._create = create
        self._lossless = lossless
        self._id = secrets.token_hex(_ID_SIZE).encode()
        self._usual: dict[bool, tuple[bytes, bytes]] = {}
        self._control: Control | None = None

    async def aclose(self) -> None:
        if self._control is not None:
            await self._control.aclose()  # it shields itself

    async def asking(self) -> Control:
        """For questions, once they come up."""
        if self._control is None:
            self._control = Control(self.endpoint, self.config)
        return self._control

    # Where it stands.

    async def enter(self, start: int | None) -> int:
        """Make the channel, if we are to, and look where to begin: at `start`, if that
        is given. Raises NotAllowed, NotLossless."""
        async with Control(self.endpoint, self.config) as control:
            denied = await self._make(control) if self._create else None
            try:
                head = await control.next()
            except ChannelNotFound:
                if denied is not None:
                    raise denied from None
                return start or 0  # the first POST may make it, or else tells us
        self.epoch, self.resumes = head.epoch, bool(head.epoch)
        if start is not None and start < head.seq:
            self.epoch, self.old_epoch = "", head.epoch
        self.require_lossless(is_so=head.lossless)
        self.note_let_go(head.let_go)
        return head.seq if start is None else start

    async def _make(self, control: Control) -> NotAllowed | None:
        """Make the channel, if we may; what is there may be published to anyway."""
        try:
            await control.create(self._type, lossless=self._lossless)
        except NotAllowed as denied:
            return denied
        return None

    async def stand(self) -> Head | None:
        """Where the channel stands. None if the server has forgotten it: then it is
        made again, if we may."""
        control = await self.asking()
        try:
            head = await control.next()
        except ChannelNotFound:
            if self._create:
                await self._make(control)
            return None
        if head.closed:
            raise ChannelClosed(self.endpoint.channel, where=self.endpoint.server)
        self.note_epoch(head.epoch)
        self.require_lossless(is_so=head.lossless)
        self.note_let_go(head.let_go)
        return head

    async def make_again(self) -> None:
        """The server knows the channel no more: it has lost its memory."""
        if await self.stand() is None:
            await (await self.asking()).next()

    async def standing(self, outgoing: Outgoing, head: Head | None) -> int | None:
        """How many bytes of `outgoing` the server has, whose channel stands at `head`.
        None if it cannot be gone on with."""
        if head is None or outgoing.seq >= head.seq:
            return 0
        if not self.resumes:
            return None
        control = await self.asking()
        try:
            info = await control.inspect(outgoing.seq)
        except SegmentNotFound:
            # It was overtaken, and can still be filled, or it is out of the window.
            oldest = await control.inspect(OLDEST)
            return 0 if outgoing.seq > oldest.seq else None
        if info.is_incomplete or info.size is None:
            return None
        if info.is_complete and not (outgoing.ended and info.size >= outgoing.size):
            raise SegmentConflict(outgoing.seq, info.latest or head.seq)
        outgoing.drop_before(info.size)
        return min(info.size, outgoing.size)

    async def acknowledged(self, outgoing: Outgoing) -> int:
        """How many bytes of it the server is known to have."""
        info = await (await self.asking()).inspect(outgoing.seq)
        if not self.epoch and info.epoch != self.old_epoch:
            self.note_epoch(info.epoch)
        is_ours = bool(self.resumes) and info.epoch == self.epoch
        return info.size or 0 if is_ours else 0

    async def has(self, outgoing: Outgoing) -> bool:
        """Whether the server has all of it; if it can tell."""
        if not self.resumes:
            return True
        try:
            info = await (await self.asking()).inspect(outgoing.seq)
        except (ConnectionFailed, SegmentNotFound, UnexpectedStatus):
            return False
        return info.size is None or info.size >= outgoing.size

    async def wait_for_readers(self, count: int) -> None:
        """As `Publisher.wait_for_readers`."""
        control = await self.asking()
        readers = -1
        while readers < count:
            if readers >= 0:
                await trio.sleep(_READERS_PAUSE)
            try:
                head = await control.next()
            except ChannelNotFound:
                head = None  # the first segment makes it
            if head is not None and head.closed:
                raise ChannelClosed(self.endpoint.channel, where=self.endpoint.server)
            if head is not None and head.readers is None:
                text = "it does not tell how many readers wait"
                raise UnexpectedStatus(200, text, what=self.endpoint.server)
            readers = 0 if head is None else head.readers or 0

    # What is told.

    def head_of(self, seq: int, *, offset: int = 0, reset: bool = False) -> bytes:
        """The head of the request for segment `seq`, whose body begins at `offset`."""
        names_us = self.resumes is not False
        if offset or reset:
            around = self._around(names_us, offset=offset, reset=reset)
        elif (known := self._usual.get(names_us)) is not None:
            around = known
        else:
            around = self._usual[names_us] = self._around(names_us)
        return b"%b%d%b" % (around[0], seq, around[1])

    def _around(
        self,
        names_us: bool,  # noqa: FBT001
        *,
        offset: int = 0,
        reset: bool = False,
    ) -> tuple[bytes, bytes]:
        """What there is before and after the seq in such a head."""
        endpoint = self.endpoint
        wanted = Publish(
            endpoint.channel,
            0,
            self._type,
            reset=reset,
            publisher=self._id if names_us else b"",
            offset=offset,
            lossless=self._lossless,
        )
        return encode_around(
            wanted,
            host=endpoint.authority,
            base_path=endpoint.base_path,
            fields=self.config.fields,
        )

    async def end(self, seq: int) -> None:
        """Let nobody wait for the rest of a segment that was given up."""
        with suppress(TrickleError):
            await (await self.asking()).end_segment(seq)

    async def close(self) -> None:
        """Close the channel. Fine if somebody has done it."""
        async with Control(self.endpoint, self.config) as control:
            with suppress(ChannelNotFound):
                if self._lossless:
                    self.note_let_go((await control.next()).let_go)
                await control.close()

    # What is heard.

    def note(self, answer: Answer) -> None:
        """It has taken a segment, and said this."""
        self.note_epoch(answer.epoch)
        self.is_met = True
        self.note_let_go(answer.let_go)

    def note_epoch(self, epoch: str) -> None:
        # Ours, on what it has not taken yet, is no surprise.
        self.restarts += self.is_met and bool(epoch) and epoch != self.epoch
        self.epoch = epoch
        self.resumes = bool(epoch)

    def note_let_go(self, count: int | None) -> None:
        self.let_go = max(self.let_go, count or 0)

    def require_lossless(self, *, is_so: bool) -> None:
        if self._lossless and not is_so:
            raise NotLossless(self.endpoint.channel, where=self.endpoint.server)

    def is_passing(self, answer: Answer) -> bool:
        """Whether it makes sense to ask where the segment stands, and to go on."""
        if answer.status == 404:
            return self.is_met
        return answer.status in PASSING or (answer.status == 409 and self.is_met)

    def refusal(self, answer: Answer, text: str, seq: int, head: int) -> TrickleError:
        """What it means that segment `seq` was not taken, where we are at `head`."""
        return refusal(answer, text, self.endpoint, seq, head=head)
