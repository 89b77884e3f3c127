"""What the server does for each of the six requests.

The table of the contract: an operation, what it does to the relay, and which
answers come of it. Those that take time go on as `Intake` or `Delivery`.
"""

from __future__ import annotations

from dataclasses import dataclass

from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    LimitReached,
    SegmentNotFound,
)
from trickle_cli.protocol.http1 import Request
from trickle_cli.protocol.names import RESERVED_PREFIX
from trickle_cli.protocol.requests import (
    AskNext,
    Close,
    Create,
    EndSegment,
    Publish,
    Subscribe,
    operation,
)
from trickle_cli.protocol.responses import CONTINUE, Answer, problem
from trickle_cli.protocol.sequence import NEXT
from trickle_cli.relay import Channel, Hub
from trickle_cli.server.answers import ended, full, missing, not_found
from trickle_cli.server.connection import Connection
from trickle_cli.server.delivery import Delivery
from trickle_cli.server.intake import Intake


@dataclass(frozen=True, kw_only=True)
class Creation:
    """Who may make channels over HTTP. Those that are permanent, everyone.

    `automatic`: a first POST of a segment makes the channel. `explicit`: a POST
    to the channel itself does.
    """

    automatic: bool = False
    explicit: bool = False


class Handlers:
    """Answers requests about the channels of `hub`.

    `base_path` begins and ends with a slash.
    """

    def __init__(self, hub: Hub, *, base_path: str, creation: Creation) -> None:
        self._hub = hub
        self._base_path = base_path.encode()
        self._creation = creation

    def begin(self, connection: Connection, request: Request) -> None:
        """Answer `request`, or leave an exchange on `connection` that will."""
        wanted = operation(request, self._base_path)
        try:
            if isinstance(wanted, Subscribe):
                self._subscribe(connection, request, wanted)
            elif isinstance(wanted, Publish):
                self._publish(connection, wanted)
            elif isinstance(wanted, Answer):
                connection.answer(wanted)
            else:
                connection.answer(self._at_once(wanted))
        except ChannelNotFound as error:
            connection.answer(not_found(error.channel))
        except LimitReached as error:
            connection.answer(full(error))

    def _subscribe(
        self, connection: Connection, request: Request, wanted: Subscribe
    ) -> None:
        channel = self._hub.find(wanted.channel)
        try:
            segment = channel.find(wanted.seq)
        except SegmentNotFound as error:
            connection.answer(missing(error, channel))
        except ChannelClosed:
            connection.answer(ended(channel))
        else:
            Delivery(connection, channel, request).start(segment)

    def _publish(self, connection: Connection, wanted: Publish) -> None:
        if wanted.channel.startswith(RESERVED_PREFIX):
            connection.answer(_RESERVED)
            return
        if wanted.expect and wanted.expect != "100-continue":
            connection.answer(problem(417, "nothing but 100-continue is met here"))
            return
        channel = self._channel_to_publish(wanted)
        Intake(connection, wanted, self._make).start(channel)
        if wanted.expect:
            connection.send(CONTINUE)

    def _make(self, wanted: Publish | Create) -> Channel:
        return self._hub.create(wanted.channel, wanted.type)

    def _channel_to_publish(self, wanted: Publish) -> Channel:
        """The channel, made if that is allowed; closed, if the first body byte may
        replace it. ChannelNotFound, LimitReached."""
        try:
            channel = self._hub.find(wanted.channel)
        except ChannelNotFound:
            if not self._may_create(wanted.channel, automatically=True):
                raise
            return self._make(wanted)
        if channel.closed:
            starts_over = wanted.seq in {0, NEXT} or wanted.reset
            if not (starts_over and self._may_create(channel.name, automatically=True)):
                raise ChannelNotFound(wanted.channel)
        return channel

    def _may_create(self, name: str, *, automatically: bool) -> bool:
        creation = self._creation
        return (
            creation.automatic
            or (creation.explicit and not automatically)
            or self._hub.is_permanent(name)
        )

    # Requests that are answered at once.

    def _at_once(self, wanted: Create | AskNext | EndSegment | Close) -> Answer:
        if isinstance(wanted, AskNext):
            return self._next(wanted)
        if wanted.channel.startswith(RESERVED_PREFIX):
            return _RESERVED
        if isinstance(wanted, Create):
            return self._create(wanted)
        if isinstance(wanted, EndSegment):
            return self._end_segment(wanted)
        return self._close(wanted)

    def _create(self, wanted: Create) -> Answer:
        try:
            channel = self._open_channel(wanted.channel)
        except ChannelNotFound:
            if not self._may_create(wanted.channel, automatically=False):
                raise
            channel = self._make(wanted)
        return Answer(latest=channel.head, epoch=channel.epoch)

    def _next(self, wanted: AskNext) -> Answer:
        channel = self._hub.find(wanted.channel)
        return Answer(
            latest=channel.head,
            closed=channel.closed,
            epoch=channel.epoch,
            type="text/plain",
            body=b"%d" % channel.head,
        )

    def _end_segment(self, wanted: EndSegment) -> Answer:
        channel = self._open_channel(wanted.channel)
        try:
            channel.end_segment(wanted.seq)
        except SegmentNotFound as error:
            return problem(400, str(error))
        return Answer(seq=wanted.seq, latest=channel.head, epoch=channel.epoch)

    def _close(self, wanted: Close) -> Answer:
        try:
            self._hub.close(wanted.channel)
        except ChannelNotFound as error:
            return problem(400, f"{error}, or it is closed already")
        return Answer()

    def _open_channel(self, name: str) -> Channel:
        channel = self._hub.find(name)
        if channel.closed:
            raise ChannelNotFound(name)
        return channel


_RESERVED = problem(403, f"names that begin with '{RESERVED_PREFIX}' are the server's")
