"""A clock that stands still, and readers that take as much as they are told to."""

from __future__ import annotations

from trickle_cli.relay import Channel, Hub, Limits, Piece, Publication, Reader, Segment


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class TakingReader(Reader):
    """Takes up to `appetite` bytes, all if it is None. `got` is what it took."""

    def __init__(self, appetite: int | None = None) -> None:
        super().__init__()
        self.appetite = appetite
        self.got = b""
        self.wakes = 0
        self.ended = False
        self.released: list[Segment | None] = []
        self.channel: Channel | None = None

    def push(self, piece: Piece) -> bool:
        data = b"".join(piece.chunks)
        taken = len(data) if self.appetite is None else min(self.appetite, len(data))
        self.got += data[:taken]
        if self.appetite is not None:
            self.appetite -= taken
        if taken < len(data):
            self.start_at(piece.index, piece.offset)
            self.move(taken)
            return False
        self.ended = self.ended or piece.ended
        return True

    def advance(self) -> bool:
        self.catch_up()
        return not self.late

    def catch_up(self) -> None:
        """What the owner's task would do, with an appetite without end."""
        self.appetite = None
        segment = self.segment
        assert segment is not None
        while True:
            views, count = self.available(1000)
            if not count:
                break
            self.got += b"".join(views)
            self.move(count)
        if segment.ended:
            self.ended = not segment.cut
            (self.channel or segment).detach(self)
        else:
            segment.go_live(self)

    def wake(self) -> None:
        self.wakes += 1

    def release(self, instead: Segment | None) -> None:
        self.released.append(instead)


class Writer(Publication):
    """A publication that counts its verdicts."""

    def __init__(self, owner: bytes = b"", offset: int = 0) -> None:
        super().__init__(owner, offset)
        self.judgements = 0

    def judged(self) -> None:
        self.judgements += 1


def publish(
    channel: Channel,
    seq: int,
    *,
    reset: bool = False,
    owner: bytes = b"",
    offset: int = 0,
) -> Writer:
    """Open a publication."""
    writer = Writer(owner, offset)
    channel.publish(writer, seq, reset=reset)
    return writer


def write(channel: Channel, seq: int, data: bytes) -> None:
    """Publish a whole segment."""
    publish(channel, seq).write([data] if data else [], end=True)


def attach(channel: Channel, seq: int, appetite: int | None = None) -> TakingReader:
    """A reader of what `seq` means now, caught up."""
    reader = TakingReader(appetite)
    reader.channel = channel
    channel.attach(reader, channel.find(seq))
    if reader.late:
        reader.catch_up()
    return reader


def make_hub(clock: Clock, limits: Limits | None = None, **options: object) -> Hub:
    """A hub on `clock`, whose changefeed exists if it is to have one."""
    hub = Hub(limits=limits, clock=clock, **options)  # type: ignore[arg-type]
    hub.open()
    return hub
