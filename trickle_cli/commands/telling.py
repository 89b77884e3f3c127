"""What commands say of how they get on, those that publish above all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

from trickle_cli.protocol.names import DEFAULT_SERVER

if TYPE_CHECKING:
    import trio

    from trickle_cli.client import ClientConfig, Endpoint, Publisher
    from trickle_cli.display.talk import Talk
    from trickle_cli.display.transfer import TransferView

_ANEW: Final = (
    "the channel has begun anew: another publisher is there, or the server forgot it;"
    " what was sent before is gone from it"
)
#: Seconds between looks at how many readers there are.
_READERS_INTERVAL: Final = 2.0


def tell_segment(talk: Talk, seq: int, size: int, age: float, prefix: str = "") -> None:
    """Say what became of a segment, to those who want to know everything."""
    if talk.is_verbose:
        from trickle_cli.display import formats

        told = f"{formats.size(size)} in {formats.seconds(age)}"
        talk.say(f"{prefix}segment {seq}, {told}")


async def fail_early(publisher: Publisher) -> None:
    """Do not wait for more to publish to say that there is nobody to take it."""
    raise await publisher.failed()


@asynccontextmanager
async def telling(publisher: Publisher, talk: Talk) -> AsyncIterator[None]:
    """Say during the block how `publisher` gets on."""
    import trio

    tell = _Telling(publisher, talk)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(tell.run)
            yield
            nursery.cancel_scope.cancel()
    finally:
        tell.look()


class _Telling:
    """Says what holds the publisher up, when that changes, and what is lost."""

    def __init__(self, publisher: Publisher, talk: Talk) -> None:
        self._publisher = publisher
        self._talk = talk
        self._let_go, self._restarts = publisher.let_go, publisher.restarts
        self._waiting = ""
        self._lost = 0

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Until cancelled."""
        import trio

        task_status.started()
        while True:
            self.look()
            await trio.sleep(0.1)

    def look(self) -> None:
        """Say what is new."""
        from trickle_cli.display import formats

        publisher, talk = self._publisher, self._talk
        if publisher.let_go > self._let_go:
            readers = formats.count(publisher.let_go - self._let_go, "reader")
            talk.warn(f"{readers} took nothing for too long, and will miss something")
            self._let_go = publisher.let_go
        if publisher.restarts > self._restarts:
            talk.warn(_ANEW)
            self._restarts = publisher.restarts
        waiting = publisher.statistics().waiting
        if waiting != self._waiting:
            talk.say(f"{waiting}; waiting" if waiting else "here it is")
            self._waiting = waiting
        for seq in publisher.lost[self._lost :]:
            talk.warn(f"lost segment {seq}: it was broken off, and may be incomplete")
        self._lost = len(publisher.lost)


def announce(endpoint: Endpoint, talk: Talk, *, is_made_up: bool) -> None:
    """Say where to, and how to see it, if nobody else knows."""
    talk.say(f"publishing to {endpoint}")
    if is_made_up:
        server = "" if endpoint.server == DEFAULT_SERVER else f" -s {endpoint.server}"
        talk.say(
            f"the channel's name is made up; see it with:"
            f" trickle sub{server} {endpoint.channel}"
        )


def show(publisher: Publisher, talk: Talk) -> TransferView:
    """Let be seen how far it has got."""
    import trio

    from trickle_cli.display.transfer import TransferView

    channel = publisher.endpoint.channel
    view = TransferView(channel, publisher.statistics, trio.current_time)
    talk.show(view)
    return view


async def count_readers(
    endpoint: Endpoint, config: ClientConfig, view: TransferView
) -> None:
    """Keep true what is shown of the readers, if the server tells."""
    import trio

    from trickle_cli.client import Control
    from trickle_cli.errors import TrickleError

    async with Control(endpoint, config) as control:
        while True:
            try:
                view.readers = (await control.info()).readers
            except TrickleError:
                view.readers = None
            await trio.sleep(_READERS_INTERVAL)


@contextmanager
def summarizing(publisher: Publisher, talk: Talk) -> Iterator[None]:
    """Say at the end of the block what was sent, and if that was not all."""
    import trio

    started = trio.current_time()
    ending = " before it failed"
    try:
        yield
        ending = ""
    except trio.Cancelled:
        ending = " before it was broken off"
        raise
    finally:
        if publisher.has_delivered or not ending:
            _summarize(publisher, talk, trio.current_time() - started, ending)


def _summarize(publisher: Publisher, talk: Talk, duration: float, ending: str) -> None:
    from trickle_cli.display import summaries

    statistics = publisher.statistics()
    ending = ending or summaries.rate(statistics, duration)
    lost = summaries.missing(statistics.lost)
    amount = summaries.amount(statistics, duration)
    more = summaries.fields(statistics, duration)
    talk.say(f"sent {amount}{ending}{lost}", **more)
