"""The loads on a server, each from a process of its own: `python -m bench.loads JSON`.

All go in step: the next is sent when everybody has the last, so that no reader falls
behind, and the server does the same work each time, however busy the machine is.
"""

from __future__ import annotations

import json
import sys
import time
from select import EPOLLIN, epoll
from typing import Any, Final

from bench.peers import Reader, Writer, say, wait_to_go

#: Seconds after which nothing more is to come.
_SILENCE: Final = 0.5


class Crowd:
    """The readers of a load, by their descriptors."""

    def __init__(self, readers: list[Reader]) -> None:
        self.readers = {reader.peer.fileno(): reader for reader in readers}
        self._epoll = epoll()
        for number in self.readers:
            self._epoll.register(number, EPOLLIN)

    def take(self, seconds: float = -1) -> list[tuple[Reader, bool]]:
        """Those for whom something came, and whether it ended a segment."""
        ready = [self.readers[number] for number, _ in self._epoll.poll(seconds)]
        return [(reader, reader.take()) for reader in ready]


def attached(
    options: dict[str, Any],
    role: str,
    size: int,
    *,
    first: int = 0,
    skips: bool = False,
) -> list[Reader]:
    """`readers` readers for each of `channels` channels, from segment `first` on."""
    kind, port = options["kind"], options["port"]
    readers = []
    for channel in options["channels"]:
        for _ in range(options["readers"]):
            reader = Reader(kind, port, channel, bare=size, first=first, skips=skips)
            reader.attach(role)
            readers.append(reader)
    return readers


def bulk(options: dict[str, Any]) -> None:
    """Segments of `size` bytes in chunks of `chunk`, to many readers of one channel,
    which has had `before` others."""
    size, chunk = options["size"], options["chunk"]
    (channel,) = options["channels"]
    writer = Writer(options["kind"], options["port"], channel)
    writer.attach("P")
    # The floor's readers are sent everything; ours ask for each segment.
    is_bare = writer.is_bare
    before = 0 if is_bare else options.get("before", 0)
    for _ in range(before):
        writer.whole(b"x" * size)
        writer.answers.wait()
    crowd = Crowd(attached(options, "S" if is_bare else "R", size, first=before))
    data = b"x" * chunk
    wait_to_go()
    for _ in range(options["segments"]):
        ended = 0
        for sent in range(0, size, chunk):
            writer.piece(data, first=sent == 0)
            goal = min(sent + chunk, size - 1)
            behind = {r for r in crowd.readers.values() if r.size < goal}
            while behind and ended < len(crowd.readers):
                for reader, has_ended in crowd.take():
                    ended += has_ended
                    if has_ended or reader.size >= goal:
                        behind.discard(reader)
                    if has_ended and not is_bare:
                        reader.ask()
        writer.end()
        while ended < len(crowd.readers):
            for reader, has_ended in crowd.take():
                ended += has_ended
                if has_ended and not is_bare:
                    reader.ask()
        if not is_bare:
            writer.answers.wait()
    say(done=True)


def exchange(options: dict[str, Any]) -> None:
    """Whole segments of `size` bytes, each asked for by `readers` of each channel, one
    every `interval` seconds, or as fast as they are taken."""
    size, interval = options["size"], options.get("interval", 0.0)
    kind, port = options["kind"], options["port"]
    writers = [Writer(kind, port, channel) for channel in options["channels"]]
    for writer in writers:
        writer.attach("W")
    crowd = Crowd(attached(options, "R", size))
    data = b"x" * size
    wait_to_go()
    delays: list[float] = []
    due = begun = time.monotonic()
    for _ in range(options["segments"]):
        due += interval
        time.sleep(max(0.0, due - time.monotonic()))
        sent = time.monotonic()
        for writer in writers:
            writer.whole(data)
        left = len(crowd.readers)
        while left:
            for reader, has_ended in crowd.take():
                if has_ended:
                    delays.append(time.monotonic() - sent)
                    left -= 1
                    reader.ask()
        for writer in writers:
            writer.answers.wait()
    took = time.monotonic() - begun
    say(delays=sorted(delays) if interval else [], seconds=took)


def freely(options: dict[str, Any]) -> None:
    """Segments of `size` bytes every `interval` seconds, whether they are taken or not:
    a reader that is late may miss some."""
    size, interval, segments = (options[n] for n in ("size", "interval", "segments"))
    (channel,) = options["channels"]
    writer = Writer(options["kind"], options["port"], channel)
    writer.attach("W")
    crowd = Crowd(attached(options, "R", size, skips=True))
    data = b"x" * size
    wait_to_go()
    received, due = 0, time.monotonic()
    for number in range(segments):
        if number:
            writer.answers.wait()
        writer.whole(data)
        due += interval
        received += _taken(crowd, until=due)
    while (more := _taken(crowd, until=time.monotonic() + _SILENCE)) > 0:
        received += more
    say(lost=segments * len(crowd.readers) - received)


def _taken(crowd: Crowd, *, until: float) -> int:
    """How many segments come until then."""
    received = 0
    while (wait := until - time.monotonic()) > 0:
        for reader, has_ended in crowd.take(wait):
            received += has_ended
            if has_ended:
                reader.ask()
    return received


def visits(options: dict[str, Any]) -> None:
    """As many connections as `visits`, each of which gets a segment, and goes: to each
    of `channels` in turn, where there is one, of `size` bytes."""
    kind, port, channels = (options[name] for name in ("kind", "port", "channels"))
    size = options["size"]
    for channel in channels:
        writer = Writer(kind, port, channel)
        writer.attach("W")
        writer.whole(b"x" * size)
        writer.answers.wait()
    wait_to_go()
    for number in range(options["visits"]):
        reader = Reader(kind, port, channels[number % len(channels)], bare=size)
        reader.attach("R")
        while not reader.take():
            pass
        reader.peer.close()
    say(done=True)


def idle(options: dict[str, Any]) -> None:
    """Readers that wait, and nothing comes."""
    writer = Writer(options["kind"], options["port"], options["channels"][0])
    writer.attach("W")
    readers = attached(options, "R", 1)
    wait_to_go()
    say(readers=len(readers))


def ticking(options: dict[str, Any]) -> None:
    """A publisher and a reader on each of many channels, a segment a second each."""
    kind, port, seconds = options["kind"], options["port"], options["seconds"]
    writers = [Writer(kind, port, channel) for channel in options["channels"]]
    for writer in writers:
        writer.attach("W")
    crowd = Crowd(attached(options, "R", options["size"]))
    data = b"x" * options["size"]
    wait_to_go()
    if not seconds:  # memory is all that is asked for
        say(received=0)
        return
    begun, received = time.monotonic(), 0
    step = 1 / len(writers)
    for number in range(seconds * len(writers)):
        writer = writers[number % len(writers)]
        if number >= len(writers):
            writer.answers.wait()
        writer.whole(data)
        wait = 1.0
        while wait > 0:
            wait = begun + number * step - time.monotonic()
            for reader, has_ended in crowd.take(max(wait, 0)):
                received += has_ended
                if has_ended:
                    reader.ask()
    say(received=received, seconds=time.monotonic() - begun)


if __name__ == "__main__":
    _options = json.loads(sys.argv[1])
    {
        "bulk": bulk,
        "exchange": exchange,
        "freely": freely,
        "idle": idle,
        "ticking": ticking,
        "visits": visits,
    }[_options["load"]](_options)
