"""Several channels at once: those that are named, and those whose names fit patterns.

Which there are, the changefeed tells: first those that exist, then each that comes.
What goes wrong with one of several is said, and the others go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

import trio

from trickle_cli.client import ClientConfig, Control, Endpoint, Subscriber
from trickle_cli.commands.changes import follow, goes_on
from trickle_cli.commands.taking import Taking, notice_waiting, present_end
from trickle_cli.commands.telling import count_readers
from trickle_cli.display.talk import Talk
from trickle_cli.display.transfer import TransfersView, TransferView
from trickle_cli.errors import (
    ChannelNotFound,
    NotAllowed,
    TrickleError,
    UnexpectedStatus,
)
from trickle_cli.protocol.names import CHANGEFEED, RESERVED_PREFIX
from trickle_cli.protocol.sequence import NEXT, OLDEST
from trickle_cli.statistics import SubscriberStatistics

#: Channels that are read at once: each takes two connections.
MAX_CHANNELS: Final = 1000

_NO_FEED: Final = "the server runs with --no-changefeed: name the channels instead"


def is_pattern(channel: str) -> bool:
    """Whether `channel` may mean several."""
    return not {*"*?["}.isdisjoint(channel)


class Following:
    """Reads channels from `start` on, and has `taking` take what comes. `wait` for
    those that are not there yet; `until_end` read only what there is by now.

    `error` is the first that one of several has met.
    """

    def __init__(
        self,
        taking: Taking,
        talk: Talk,
        config: ClientConfig,
        *,
        start: int,
        wait: bool,
        until_end: bool,
        retry_for: float,
    ) -> None:
        self.error: TrickleError | None = None
        self.view = TransfersView()
        self._taking = taking
        self._talk = talk
        self._config = config
        self._start = start
        self._wait = wait and not until_end
        self._until_end = until_end
        self._retry_for = retry_for
        # Whether we have heard of them again since they were begun.
        self._following: dict[str, bool] = {}
        # Those that have ended: in which epoch, and the seq after the last.
        self._ended: dict[str, tuple[str, int]] = {}
        self._has_left_out = False
        self._past: list[SubscriberStatistics] = []
        self._present: dict[Subscriber, None] = {}

    def statistics(self) -> list[SubscriberStatistics]:
        """A snapshot of each channel."""
        return [*self._past, *(present.statistics() for present in self._present)]

    async def run(self, endpoints: Sequence[Endpoint]) -> None:
        """Until all channels have ended, or a server stops for whose names there is a
        pattern. Raises what is wrong if there is but one channel."""
        (first, *more) = endpoints
        if not more and not is_pattern(first.channel):
            await self._take(first, self._start, wait=self._wait)
            return
        async with trio.open_nursery() as nursery:
            for endpoint in endpoints:
                if is_pattern(endpoint.channel):
                    nursery.start_soon(self._follow, endpoint)
                else:
                    self._begin(nursery, endpoint, self._start, wait=self._wait)

    def _begin(
        self, nursery: trio.Nursery, endpoint: Endpoint, start: int, *, wait: bool
    ) -> None:
        url = str(endpoint)
        if url in self._following:
            self._following[url] = True
            return
        if len(self._following) >= MAX_CHANNELS:
            if not self._has_left_out:
                text = f"there are more than {MAX_CHANNELS} channels; it is left out"
                self._talk.warn(f"{endpoint.channel}: {text}, as may be others")
            self._has_left_out = True
            return
        self._following[url] = False
        nursery.start_soon(self._one_of_several, endpoint, start, wait)

    async def _one_of_several(self, endpoint: Endpoint, start: int, wait: bool) -> None:
        url = str(endpoint)
        is_wanted = True
        try:
            while is_wanted:
                self._following[url] = False
                await self._once(endpoint, start, wait)
                start, wait = OLDEST, False
                is_wanted = self._following[url]
        finally:
            del self._following[url]

    async def _once(self, endpoint: Endpoint, start: int, wait: bool) -> None:
        try:
            if str(endpoint) in self._ended:
                there = await self._where_to_go_on(endpoint)
                if there is None:
                    return
                start = there
            await self._take(endpoint, start, wait=wait)
        except TrickleError as error:
            self._talk.warn(f"{endpoint.channel}: {error}")
            self.error = self.error or error

    async def _where_to_go_on(self, endpoint: Endpoint) -> int | None:
        """Where to begin with a channel that we have read before: a server that was
        restarted tells again of all that it has. None if there is none any more."""
        epoch, seq = self._ended[str(endpoint)]
        try:
            async with Control(endpoint, self._config) as control:
                head = await control.next()
        except ChannelNotFound:
            return None
        return seq if epoch and head.epoch == epoch else OLDEST

    async def _take(self, endpoint: Endpoint, start: int, *, wait: bool) -> None:
        end = None
        if self._until_end:
            end = await present_end(endpoint, self._config)
            if start >= end or start == NEXT or not end:
                return
        async with Subscriber(
            endpoint,
            start=start,
            wait=wait,
            config=self._config,
            retry_for=self._retry_for,
        ) as subscriber:
            view = TransferView(
                endpoint.channel, subscriber.statistics, trio.current_time
            )
            self.view.add(view)
            self._present[subscriber] = None
            try:
                await self._take_from(subscriber, end, view)
            finally:
                self.view.remove(view)
                del self._present[subscriber]
                self._remember(subscriber)
                self._past = [_sum([*self._past, subscriber.statistics()])]

    def _remember(self, subscriber: Subscriber) -> None:
        """How far we came, for `_where_to_go_on`."""
        if subscriber.next_seq is not None:
            url = str(subscriber.endpoint)
            self._ended.pop(url, None)
            self._ended[url] = subscriber.epoch, subscriber.next_seq
            if len(self._ended) > MAX_CHANNELS:
                del self._ended[next(iter(self._ended))]

    async def _take_from(
        self, subscriber: Subscriber, end: int | None, view: TransferView
    ) -> None:
        channel = subscriber.endpoint.channel
        prefix = f"{channel}: " if self._taking.names_channel else ""
        failure: TrickleError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(notice_waiting, subscriber, self._talk, prefix)
            if self._talk.is_live and not self._taking.names_channel:
                where = (subscriber.endpoint, self._config)
                nursery.start_soon(count_readers, *where, view)
            try:
                await self._taking.run(subscriber, end)
                while channel == CHANGEFEED and end is None:
                    if not await goes_on(subscriber):
                        break
                    await self._taking.run(subscriber)
            except TrickleError as error:
                failure = error  # a nursery would wrap it
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _follow(self, pattern: Endpoint) -> None:
        """Read the channels whose names fit, until the server stops."""
        if self._until_end and (listed := await self._list(pattern)) is not None:
            async with trio.open_nursery() as nursery:
                self._begin_all(nursery, pattern, listed, self._start)
            return
        feed = replace(pattern, channel=CHANGEFEED)
        start = self._start
        async with (
            Subscriber(
                feed, start=OLDEST, config=self._config, retry_for=self._retry_for
            ) as changes,
            trio.open_nursery() as nursery,
        ):
            try:
                async for change in follow(changes):
                    self._begin_all(nursery, pattern, change.added, start)
                    start = OLDEST
                    if self._until_end:
                        break
            except ChannelNotFound as error:
                raise ChannelNotFound(
                    error.channel, where=feed.server, hint=_NO_FEED
                ) from error

    async def _list(self, server: Endpoint) -> list[str] | None:
        """What there is, channels too that are closed and can still be read; None if
        the server does not tell."""
        async with Control(server, self._config) as control:
            try:
                return [channel.name for channel in await control.list()]
            except (NotAllowed, UnexpectedStatus):
                return None

    def _begin_all(
        self,
        nursery: trio.Nursery,
        pattern: Endpoint,
        names: Sequence[str],
        start: int,
    ) -> None:
        for name in names:
            if not name.startswith(RESERVED_PREFIX) and fnmatchcase(
                name, pattern.channel
            ):
                endpoint = replace(pattern, channel=name)
                self._begin(nursery, endpoint, start, wait=False)


def _sum(all_: Sequence[SubscriberStatistics]) -> SubscriberStatistics:
    return replace(
        all_[-1],
        **{
            name: sum(getattr(one, name) for one in all_)
            for name in ("segments", "size", "lost", "incomplete", "reconnects")
        },
        waiting="",
    )


def summed(all_: Sequence[SubscriberStatistics]) -> SubscriberStatistics | None:
    """All of them together; None if there are none."""
    return _sum(all_) if all_ else None
