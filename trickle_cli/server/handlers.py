"""What the server does for each request.

The table of the contract: an operation, what it does to the relay, and which
answers come of it. Those that take time go on as `Intake` or `Delivery`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from trickle_cli.access import Right
from trickle_cli.errors import (
    ChannelClosed,
    ChannelNotFound,
    LimitReached,
    SegmentConflict,
    SegmentNotFound,
    StorageFailed,
    TrickleError,
)
from trickle_cli.protocol.events import Request
from trickle_cli.protocol.names import CHANGEFEED, RESERVED_PREFIX
from trickle_cli.protocol.requests import (
    AskNext,
    Close,
    Create,
    EndSegment,
    Inspect,
    Operation,
    Page,
    Publish,
    ShowChannel,
    Subscribe,
    operation,
    operation_like,
)
from trickle_cli.protocol.responses import CONTINUE, Answer, problem
from trickle_cli.protocol.sequence import NEXT
from trickle_cli.relay import Channel, Hub
from trickle_cli.server.answers import (
    about,
    cache_of,
    conflicting,
    ended,
    etag_of,
    full,
    is_lasting,
    let_go,
    missing,
    not_found,
    not_stored,
)
from trickle_cli.server.changes import ChangesDelivery, sees_all, visible_answer
from trickle_cli.server.config import ServerConfig
from trickle_cli.server.connection import Connection
from trickle_cli.server.consultation import consult
from trickle_cli.server.delivery import Delivery
from trickle_cli.server.gate import Gate, refusal
from trickle_cli.server.hooks import Hook, describe
from trickle_cli.server.intake import Intake, take_whole
from trickle_cli.server.pages import show_channel
from trickle_cli.server.partial import PartialDelivery, part_wanted
from trickle_cli.server.stepwise import StepwiseDelivery


class _Denied(TrickleError):
    """The caller has not the right to make a channel."""


class Handlers:
    """Answers requests about the channels of `hub`.

    `base_path` begins and ends with a slash; `pages` answer with the server's own.
    """

    def __init__(
        self,
        hub: Hub,
        gate: Gate,
        config: ServerConfig,
        *,
        base_path: str,
        pages: Mapping[Page, Callable[[Connection], None]],
    ) -> None:
        self._hub = hub
        self._gate = gate
        self._config = config
        self._base_path = base_path.encode()
        self._pages = pages
        self._patience = config.patience.preconnect

    def begin(self, connection: Connection, request: Request) -> None:
        """Answer `request`, or leave an exchange on `connection` that will."""
        connection.extra = ()
        wanted: Operation | None = None
        like = request.like
        if like is not None and like.meaning is not None:
            wanted = operation_like(request, like.meaning, self._base_path)
        if wanted is None:
            found = operation(request, self._base_path)
            if isinstance(found, Answer):
                connection.answer(found)
                return
            wanted = found
            if like is not None and isinstance(wanted, Publish | Subscribe):
                like.meaning = wanted
        refused = self._gate.admit(connection, request, wanted)
        if refused is not None:
            connection.answer(refused)
            return
        if connection.hold is not None:
            connection.hold.took()
        try:
            if isinstance(wanted, Subscribe):
                self._subscribe(connection, request, wanted)
            elif isinstance(wanted, Publish):
                self._publish(connection, request, wanted)
            elif isinstance(wanted, Page):
                self._pages[wanted](connection)
            elif isinstance(wanted, Inspect):
                self._inspect(connection, wanted)
            elif isinstance(wanted, Create):
                self._create(connection, request, wanted)
            elif isinstance(wanted, Close):
                self._close(connection, request, wanted)
            else:
                connection.answer(self._at_once(wanted))
        except TrickleError as error:
            connection.answer(_answer_for(error, request))

    # Reading.

    def _subscribe(
        self, connection: Connection, request: Request, wanted: Subscribe
    ) -> None:
        channel = self._hub.find(wanted.channel)
        try:
            offset = wanted.range.first if wanted.range is not None else 0
            segment = channel.find(wanted.seq, offset)
        except SegmentNotFound as error:
            connection.answer(missing(error, channel))
        except ChannelClosed:
            connection.answer(ended(channel))
        else:
            kind: type[Delivery] = Delivery
            if channel.name == CHANGEFEED and not sees_all(connection.caller):
                kind = ChangesDelivery
            elif wanted.range is not None and part_wanted(wanted, channel, segment):
                kind = PartialDelivery
            elif channel.flow is not None and not wanted.label:
                kind = StepwiseDelivery
            private = self._gate.is_private(channel.name)
            if channel.flow is not None or connection.hold is not None:
                self._follow(connection, channel, wanted, segment.seq)
            kind(connection, channel, request, wanted, private).start(segment)

    def _follow(
        self, connection: Connection, channel: Channel, wanted: Subscribe, seq: int
    ) -> None:
        """Hold for the caller what there is from `seq` on, if the channel does that."""
        hold, connection.hold = connection.hold, None
        if channel.flow is not None and connection.caller.may(Right.HOLD, channel.name):
            connection.hold = channel.follow(
                hold, connection, wanted.label, seq, is_new=wanted.seq < 0
            )
        elif hold is not None:
            hold.flow.leave(hold, is_taken=hold.is_taken())

    def _inspect(self, connection: Connection, wanted: Inspect) -> None:
        channel = self._hub.find(wanted.channel)
        if channel.recording.wants_flush(ended=True):
            connection.run_errand(partial(self._flush_and_inspect, connection, wanted))
        else:
            self._inspect_now(connection, wanted, channel)

    async def _flush_and_inspect(self, connection: Connection, wanted: Inspect) -> None:
        """What this tells of may be lost to its publisher after that."""
        channel = self._hub.get(wanted.channel)
        try:
            if channel is not None and channel.recording.log is not None:
                await channel.recording.log.flush()
            if not connection.is_closed:
                self._inspect_now(connection, wanted, self._hub.find(wanted.channel))
        except (StorageFailed, ChannelNotFound) as error:
            status = 507 if isinstance(error, StorageFailed) else 404
            connection.answer(problem(status, str(error)))

    def _inspect_now(
        self, connection: Connection, wanted: Inspect, channel: Channel
    ) -> None:
        try:
            segment = channel.look(wanted.seq)
        except SegmentNotFound as error:
            connection.answer(missing(error, channel))
            return
        except ChannelClosed:
            connection.answer(ended(channel))
            return
        answer = about(channel, segment)
        if channel.name == CHANGEFEED and not sees_all(connection.caller):
            answer = visible_answer(channel, segment, connection.caller)
        elif is_lasting(segment, wanted.seq):
            private = self._gate.is_private(channel.name)
            etag, cache = etag_of(channel, segment), cache_of(private=private)
            answer = answer._replace(etag=etag, cache=cache)
        length = answer.size if segment.ended else None
        complete = segment.ended and not segment.incomplete
        connection.describe(answer._replace(complete=complete), length)

    # Writing.

    def _publish(
        self, connection: Connection, request: Request, wanted: Publish
    ) -> None:
        _require_public(wanted.channel)
        if wanted.expect and wanted.expect != "100-continue":
            connection.answer(problem(417, "nothing but 100-continue is met here"))
            return
        channel = self._hub.get(wanted.channel)
        body = request.body
        if channel is not None and not channel.closed:
            if body is None or not take_whole(connection, channel, wanted, body):
                self._start_intake(connection, request, wanted)
        else:
            if channel is not None and not (wanted.seq in {0, NEXT} or wanted.reset):
                raise ChannelNotFound(wanted.channel)
            self._require_creatable(connection, wanted.channel, automatically=True)
            self._consult(
                connection,
                request,
                self._config.before_create,
                (wanted.channel, wanted.type),
                lambda: self._start_intake(connection, request, wanted),
            )

    def _start_intake(
        self, connection: Connection, request: Request, wanted: Publish
    ) -> None:
        """All is permitted: make the channel now if there is none, or, if it is
        closed, at the first body byte. LimitReached."""
        channel = self._hub.get(wanted.channel)
        if channel is None:
            channel = self._make(wanted)
        intake = Intake(connection, wanted, self._make, self._patience)
        intake.start(channel)
        if wanted.expect and (request.has_body or request.body is not None):
            connection.send(CONTINUE)
        if not request.has_body:
            intake.take([request.body] if request.body else [], end=True)

    def _make(self, wanted: Publish | Create) -> Channel:
        name, type_ = wanted.channel, wanted.type
        return self._hub.create(name, type_, lossless=wanted.lossless)

    # Making channels and closing them.

    def _create(self, connection: Connection, request: Request, wanted: Create) -> None:
        def make() -> None:
            channel = self._make(wanted)
            connection.answer(
                Answer(
                    latest=channel.head,
                    epoch=channel.epoch,
                    lossless=channel.lossless,
                )
            )

        _require_public(wanted.channel)
        try:
            self._open_channel(wanted.channel)
        except ChannelNotFound:
            self._require_creatable(connection, wanted.channel, automatically=False)
            about_it = wanted.channel, wanted.type
            hook = self._config.before_create
            self._consult(connection, request, hook, about_it, make)
        else:
            make()

    def _require_creatable(
        self, connection: Connection, name: str, *, automatically: bool
    ) -> None:
        """ChannelNotFound if nobody may make it over HTTP, or not in this way; _Denied
        if the caller may not. What is permanent is everybody's to bring back."""
        if self._hub.is_permanent(name):
            return
        config = self._config
        if not (config.autocreate or (config.allow_create and not automatically)):
            raise ChannelNotFound(name)
        if not connection.caller.may(Right.CREATE, name):
            raise _Denied

    def _close(self, connection: Connection, request: Request, wanted: Close) -> None:
        def close() -> None:
            try:
                self._hub.close(wanted.channel)
            except ChannelNotFound as error:
                text = f"{error}, or it is closed already"
                connection.answer(problem(400, text))
            else:
                connection.answer(Answer())

        _require_public(wanted.channel)
        hook = self._config.before_delete
        self._consult(connection, request, hook, (wanted.channel, ""), close)

    def _consult(
        self,
        connection: Connection,
        request: Request,
        hook: Hook | None,
        about_it: tuple[str, str],
        proceed: Callable[[], None],
    ) -> None:
        """`proceed`, if `hook` has nothing against it."""
        if hook is None:
            proceed()
            return

        def go_on() -> None:
            try:
                proceed()
            except TrickleError as error:
                connection.answer(_answer_for(error, request))

        consult(connection, hook, describe(request, *about_it, connection.peer), go_on)

    # Requests that are answered at once.

    def _at_once(self, wanted: Operation) -> Answer:
        match wanted:
            case AskNext(channel=name):
                return self._next(name)
            case ShowChannel(channel=name):
                return show_channel(self._hub, self._hub.find(name))
            case EndSegment():
                return self._end_segment(wanted)
        raise AssertionError(wanted)

    def _next(self, name: str) -> Answer:
        channel = self._hub.find(name)
        return Answer(
            latest=channel.head,
            closed=channel.closed,
            epoch=channel.epoch,
            lossless=channel.lossless,
            let_go=let_go(channel),
            readers=channel.waiting_readers,
            type="text/plain",
            body=b"%d" % channel.head,
        )

    def _end_segment(self, wanted: EndSegment) -> Answer:
        _require_public(wanted.channel)
        channel = self._open_channel(wanted.channel)
        try:
            segment = channel.end_segment(wanted.seq)
        except SegmentNotFound as error:
            return problem(400, str(error))
        return about(channel, segment)._replace(type="")

    def _open_channel(self, name: str) -> Channel:
        channel = self._hub.find(name)
        if channel.closed:
            raise ChannelNotFound(name)
        return channel


def _answer_for(error: TrickleError, request: Request) -> Answer:
    """The outcomes that several requests have in common."""
    match error:
        case ChannelNotFound():
            return not_found(error.channel)
        case LimitReached():
            return full(error)
        case SegmentConflict():
            return conflicting(error)
        case StorageFailed():
            return not_stored(error)
        case _Denied():
            return refusal(request)
        case _Reserved():
            return _RESERVED
    raise error


class _Reserved(TrickleError):
    """The channel is one of the server's own."""


def _require_public(name: str) -> None:
    if name.startswith(RESERVED_PREFIX):
        raise _Reserved


_RESERVED = problem(403, f"names that begin with '{RESERVED_PREFIX}' are the server's")
