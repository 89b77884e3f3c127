"""The hub: all channels of a server by name, and the clock that drives them.

A closed channel stays for a while, so that its readers can take what it holds
("drains"); a new channel of the same name replaces it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import trio

from trickle_cli.errors import ChannelNotFound, LimitReached, StorageFailed
from trickle_cli.protocol.names import (
    CHANGEFEED,
    CHANGEFEED_TYPE,
    DEFAULT_TYPE,
    RESERVED_PREFIX,
    check_channel_name,
)
from trickle_cli.relay.changefeed import CHANGEFEED_WINDOW, Changefeed
from trickle_cli.relay.channel import Channel
from trickle_cli.relay.limits import Limits, Window
from trickle_cli.relay.memory import Memory
from trickle_cli.relay.storage import Store, StoredChannel

#: Seconds between looks at what has become due. Skips and resumes are seconds
#: long, so they are late by little; an idle server wakes four times a second.
TICK = 0.25
#: Seconds between samples of what channels got.
_SAMPLE_INTERVAL = 1.0
#: When memory is full, such a part of it is made free at once, in so many steps.
_RELIEF = 64
_RELIEF_STEPS = 8


class Others(Protocol):
    """The hubs of the other processes of one server, whose limits are for all."""

    def announce(
        self, *, added: Sequence[str] = (), removed: Sequence[str] = ()
    ) -> None:
        """These channels of ours have come, or gone."""

    def forgot(self, name: str) -> None:
        """Nothing is left of our channel of this name, which is closed."""

    def count(self, channels: int, draining: int) -> tuple[int, int]:
        """We have so many channels, of which so many drain. Returns those of all."""

    def make_room(self) -> None:
        """Have somebody forget a channel that drains."""


class Hub:
    """Channels, made and closed by name.

    `run` must be running for anything that depends on time to happen.

    Args:
        autocreate: a `LocalPublisher` that writes makes its channel.
        lossless: all channels are, also those that are made without asking for it.
        changefeed: publish the changes to `_changes`.
        idle_timeout: seconds without a byte after which a channel is closed.
        sweep_interval: seconds between looks for idle channels.
        limits: bounds of all tables.
        store: where the channels are on disk, too; `open` brings back what is there.
        others: what is done in other processes, if there are any.
        clock: seconds, monotonic; the default must be called inside trio.

    `memory` counts what all channels hold together.
    """

    def __init__(
        self,
        *,
        autocreate: bool = False,
        lossless: bool = False,
        changefeed: bool = False,
        idle_timeout: float = 300,
        sweep_interval: float = 60,
        limits: Limits | None = None,
        store: Store | None = None,
        others: Others | None = None,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self.autocreate = autocreate
        self.lossless = lossless
        self.idle_timeout = idle_timeout
        self.sweep_interval = sweep_interval
        self.limits = limits or Limits()
        self.store = store
        self._others = others
        self._clock = clock
        self._channels: dict[str, Channel] = {}
        self._draining: dict[str, float] = {}  # closed ones: until when
        self._permanent: set[str] = set()
        self._restless: set[Channel] = set()
        self.memory = Memory(self.limits.memory, self._relieve)
        self._changefeed: Changefeed | None = None
        self._wants_changefeed = changefeed
        self._is_loaded = False
        self._swept = 0.0
        self._sampled = 0.0

    def __iter__(self) -> Iterator[Channel]:
        """The channels that are not closed."""
        return (channel for channel in self.all() if not channel.closed)

    def now(self) -> float:
        """By the hub's clock."""
        return self._clock()

    def all(self) -> list[Channel]:
        """The channels, those that drain among them."""
        return list(self._channels.values())

    def __len__(self) -> int:
        return len(self._channels) - len(self._draining)

    # By name.

    def find(self, name: str) -> Channel:
        """The channel called `name`, closed or not; ChannelNotFound if none is."""
        try:
            return self._channels[name]
        except KeyError:
            raise ChannelNotFound(name) from None

    def get(self, name: str) -> Channel | None:
        """The channel called `name`, closed or not, if there is one."""
        return self._channels.get(name)

    def is_permanent(self, name: str) -> bool:
        """Whether `name` was given to `create` as one that is always to be had."""
        return name in self._permanent

    def create(
        self,
        name: str,
        type_: str = DEFAULT_TYPE,
        *,
        permanent: bool = False,
        lossless: bool = False,
    ) -> Channel:
        """Make the channel, unless it is there and open; its MIME type, and whether it
        is lossless, are fixed by this. A `permanent` one is never closed for being
        idle.

        Raises BadAddress for what cannot be a name, LimitReached, StorageFailed.
        """
        check_channel_name(name)
        if permanent:
            self._permanent.add(name)
        channel = self._channels.get(name)
        if channel is not None and not channel.closed:
            return channel
        if channel is not None:
            self._forget(channel)
        self._make_room()
        channel = self._new(
            name,
            type_ or DEFAULT_TYPE,
            self.limits.window,
            lossless=lossless or self.lossless,
        )
        if self.store is not None:
            try:
                channel.recording.log = self.store.create(channel.state)
            except StorageFailed:
                self._forget(channel)
                raise
        self.announce(added=[name])
        self._tell_of(added=[name])
        return channel

    def announce(
        self, *, added: Sequence[str] = (), removed: Sequence[str] = ()
    ) -> None:
        """Publish in the changefeed, if there is one here, what has come and gone."""
        if self._changefeed is not None:
            self._changefeed.announce(added=added, removed=removed)

    def _tell_of(
        self, *, added: Sequence[str] = (), removed: Sequence[str] = ()
    ) -> None:
        if self._others is not None:
            self._others.announce(added=added, removed=removed)
            self._others.count(len(self._channels), len(self._draining))

    def _new(
        self, name: str, type_: str, window: Window, *, lossless: bool = False
    ) -> Channel:
        channel = self._channels[name] = Channel(
            name,
            type_,
            limits=self.limits,
            window=window,
            clock=self._clock,
            restless=self._restless,
            memory=self.memory,
            lossless=lossless,
        )
        return channel

    def _make_room(self) -> None:
        channels, draining = len(self._channels), len(self._draining)
        if self._others is not None:
            channels, draining = self._others.count(channels, draining)
        if channels < self.limits.channels or self.forget_one():
            return
        if self._others is not None and channels - draining < self.limits.channels:
            self._others.make_room()
            return
        raise LimitReached(
            f"there are {self.limits.channels} channels already", retryable=True
        )

    def forget_one(self) -> bool:
        """Forget a channel that drains; False if none does."""
        for name in self._draining:
            self._forget(self._channels[name])
            return True
        return False

    def _relieve(self) -> None:
        """There is too much."""
        memory = self.memory
        self.shed(memory.used - (memory.limit - memory.limit // _RELIEF))

    def shed(self, amount: int) -> None:
        """Let those channels that hold most let go of their oldest, `amount` bytes of
        memory together."""
        memory = self.memory
        goal = memory.used - amount
        step = amount // _RELIEF_STEPS + 1
        while memory.used > goal:
            # Most often the first of these is enough.
            largest = sorted(self._channels.values(), key=lambda c: -c.memory)
            if not any(channel.shed(step) for channel in largest):
                return  # all of it is held for readers: publishers are held back

    def close(self, name: str) -> None:
        """Close the channel; it drains from now on. ChannelNotFound if there is
        none, or if it is closed already."""
        channel = self.find(name)
        if channel.closed:
            raise ChannelNotFound(name)
        self._close(channel)
        self.announce(removed=[name])
        self._tell_of(removed=[name])

    def _close(self, channel: Channel) -> None:
        channel.close()
        self._draining[channel.name] = self._clock() + self.limits.linger

    def _forget(self, channel: Channel) -> None:
        channel.drop()
        del self._channels[channel.name]
        self._draining.pop(channel.name, None)
        if self._others is not None:
            self._others.count(len(self._channels), len(self._draining))
            self._others.forgot(channel.name)

    # Time.

    def open(self) -> None:
        """Make the changefeed, if one is wanted. `run` does it."""
        if self._wants_changefeed and self._changefeed is None:
            channel = self._new(CHANGEFEED, CHANGEFEED_TYPE, CHANGEFEED_WINDOW)
            self._changefeed = Changefeed(channel)
            self._changefeed.announce(added=[CHANGEFEED])
        if self.store is not None and not self._is_loaded:
            self._is_loaded = True
            for stored in self.store.load():
                self._restore(stored)

    def _restore(self, stored: StoredChannel) -> None:
        """Bring back a channel as it was found."""
        state = stored.state
        window = self.limits.window
        channel = self._new(state.name, state.type, window, lossless=state.lossless)
        channel.restore(stored)
        if self.memory.used > self.memory.limit:
            self.memory.relieve()
        if stored.closed:
            self._close(channel)
        else:
            self.announce(added=[state.name])
            self._tell_of(added=[state.name])

    async def run(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Drive what depends on time, until cancelled."""
        self.open()
        self._swept = self._clock()
        task_status.started()
        while True:
            await trio.sleep(min(TICK, self.sweep_interval))
            self.tick()

    def tick(self) -> None:
        """Do all that is due by now."""
        now = self._clock()
        for channel in list(self._restless):
            channel.tick(now)
        for name, until in list(self._draining.items()):
            if now < until:
                continue
            channel = self._channels[name]
            # A slow reader comes for the next segment when it has seen to the last.
            is_read = channel.readers or channel.is_held
            visited = now if is_read else channel.visited
            if now < visited + self.limits.linger:
                del self._draining[name]
                self._draining[name] = visited + self.limits.linger
            else:
                self._forget(channel)
        if now - self._sampled >= _SAMPLE_INTERVAL:
            self._sampled = now
            for channel in self._channels.values():
                channel.sample(now)
        if now - self._swept >= self.sweep_interval:
            self._swept = now
            self.sweep()

    def sweep(self) -> None:
        """Close the idle channels, and evict what has become too old."""
        now = self._clock()
        for channel in list(self._channels.values()):
            if channel.recording.log is not None:
                channel.recording.log.rest()
            if channel.closed:
                continue
            channel.expire(now)
            if channel.flow is not None and channel.flow.waiting:
                continue  # it is idle because we hold its publisher back
            if (
                now - channel.written > self.idle_timeout
                and not channel.name.startswith(RESERVED_PREFIX)
                and not self.is_permanent(channel.name)
            ):
                self.close(channel.name)

    def shut_down(self) -> None:
        """Close every channel; the changefeed tells, and goes last. What was being
        published is incomplete. Where channels are on disk they stay as they are, to
        come back."""
        if self.store is not None:
            for channel in self.all():
                if channel.recording.log is not None:
                    channel.recording.log.close()
            return
        closing = [c for c in self if c.name != CHANGEFEED]
        for channel in closing:
            channel.break_off_open()
            self._close(channel)
        if closing:
            names = [channel.name for channel in closing]
            self.announce(removed=names)
            self._tell_of(removed=names)
        self.end_changefeed()

    def end_changefeed(self) -> None:
        """Tell no more of channels; whoever reads of them sees an end."""
        if self._changefeed is not None and not self._changefeed.channel.closed:
            self._close(self._changefeed.channel)

    def keep_no_more(self) -> None:
        """Let channels that were permanent end as others do."""
        self._permanent.clear()
