"""Everything that trickle raises, in one tree.

    TrickleError
    ├── BadAddress             not a channel's name, or not a URL (also a ValueError)
    ├── BadConfiguration       a file or a setting of no use (also a ValueError)
    ├── BadContent             what is to be published is not what it is said to be
    ├── ProtocolViolation      the peer sent what is not HTTP/1.1 or not Trickle
    ├── ConnectionFailed       the peer cannot be reached, or the connection broke
    ├── UnexpectedStatus       an answer that the contract does not foresee
    ├── ChannelNotFound        no such channel
    ├── SegmentNotFound        the channel is there, the segment is not (470)
    ├── ChannelClosed          the channel has ended (the reference's EOS)
    ├── ChannelVanished        the server has forgotten a channel we were reading
    ├── NotLossless            the channel lets go of what readers have not taken
    ├── NotAllowed             the server does not let us (401, 403)
    ├── SegmentTooLarge        more bytes than one segment may hold (413)
    ├── PayloadTooLarge        more bytes than can be told of in one line
    ├── CommandFailed          a command that was to take a segment did not
    ├── FirstByteTimeout       the first byte of a segment came too late (408)
    ├── LimitReached           a table of the server is full (429, 503)
    ├── StorageFailed          what is to be kept cannot be written to disk (507)
    └── SegmentConflict        a write that does not fit the segment (409)

A library caller tells outcomes apart by class and by the fields named in each
`__init__`; `str(error)` is one line for a person.
"""

from __future__ import annotations


class TrickleError(Exception):
    """The root: `except TrickleError` catches all that this package raises."""


class BadAddress(TrickleError, ValueError):
    """A channel name or URL that cannot be used; raised before anything is sent."""


class BadConfiguration(TrickleError, ValueError):
    """A setting, or a file of tokens, keys or certificates, that cannot be used. The
    message says which and why, and never what is secret in it."""


class BadContent(TrickleError):
    """What is to be cut into segments is not of the format by which to cut it."""


class ProtocolViolation(TrickleError):
    """The peer broke HTTP/1.1 or the Trickle contract.

    `status` is the answer that a server owes for it (RFC 9110 numbers).
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ConnectionFailed(TrickleError):
    """The peer could not be reached, or went away in the middle."""


class UnexpectedStatus(TrickleError):
    """An answer outside the contract: its status `code` and the start of its `body`."""

    def __init__(self, code: int, body: str = "", *, what: str = "") -> None:
        detail = f": {body}" if body else ""
        prefix = f"{what}: " if what else ""
        super().__init__(f"{prefix}the server answered {code}{detail}")
        self.code = code
        self.body = body


class ChannelNotFound(TrickleError):
    """There is no channel of that name."""

    def __init__(self, channel: str, *, where: str = "", hint: str = "") -> None:
        place = f" on {where}" if where else ""
        advice = f" — {hint}" if hint else ""
        super().__init__(f"no channel '{channel}'{place}{advice}")
        self.channel = channel


class SegmentNotFound(TrickleError):
    """The channel exists, its segment `seq` does not; `latest` is the head."""

    def __init__(self, seq: int, latest: int | None) -> None:
        super().__init__(f"no segment {seq} (the head is {latest})")
        self.seq = seq
        self.latest = latest


class ChannelClosed(TrickleError):
    """The channel has ended: there is nothing more, and nothing can be added."""

    def __init__(self, channel: str, *, where: str = "") -> None:
        place = f" on {where}" if where else ""
        super().__init__(f"channel '{channel}'{place} is closed")
        self.channel = channel


class ChannelVanished(TrickleError):
    """A channel that was there is not known any more, and nobody said that it ended:
    the server began anew, or we came back too late."""

    def __init__(self, channel: str, *, where: str = "") -> None:
        place = f" on {where}" if where else ""
        super().__init__(
            f"channel '{channel}'{place} has vanished:"
            " if more was published, it is lost"
        )
        self.channel = channel


class NotLossless(TrickleError):
    """The channel was to be lossless, and is not: it was made otherwise, or the server
    has no such channels."""

    def __init__(self, channel: str, *, where: str = "") -> None:
        place = f" on {where}" if where else ""
        super().__init__(
            f"channel '{channel}'{place} is not lossless: close it and make it anew,"
            " if the server has such channels"
        )
        self.channel = channel


class NotAllowed(TrickleError):
    """The server knows what was asked and does not permit it."""


class SegmentTooLarge(TrickleError):
    """A segment grew past what the server keeps of one (`limit` bytes, if known)."""

    def __init__(self, seq: int, limit: int | None = None) -> None:
        size = f" ({limit} bytes)" if limit is not None else ""
        super().__init__(
            f"segment {seq} is larger than the server allows{size}"
            " — cut it smaller, or raise its --max-segment"
        )
        self.seq = seq
        self.limit = limit


class PayloadTooLarge(TrickleError):
    """Segment `seq` has more than the `limit` bytes that a line about it may have."""

    def __init__(self, seq: int, limit: int) -> None:
        super().__init__(
            f"segment {seq} has more than {limit // 1024**2} MiB, too much for one"
            " line: use --output or --exec"
        )
        self.seq = seq
        self.limit = limit


class CommandFailed(TrickleError):
    """A command for segment `seq` ended with `code`: minus the signal, if by one."""

    def __init__(self, channel: str, seq: int, code: int) -> None:
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        super().__init__(f"the command for segment {seq} of '{channel}' failed: {how}")
        self.seq = seq
        self.code = code


class FirstByteTimeout(TrickleError):
    """The server waited for the first byte of segment `seq` until it had enough, and
    what was sent then crossed its answer. Publish it again."""

    def __init__(self, seq: int, *, where: str = "") -> None:
        place = where or "the server"
        super().__init__(f"{place} waited too long for the first byte of segment {seq}")
        self.seq = seq


class LimitReached(TrickleError):
    """A bounded table is full: the message names it.

    `retryable` tells "later, for everyone" (503) from "you have too many" (429).
    """

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class StorageFailed(TrickleError):
    """The data directory cannot be used, or what is published cannot be written there:
    the disk is full, say. Nothing of it was taken."""


class SegmentConflict(TrickleError):
    """A write to segment `seq` that does not fit what is there: it is over, or somebody
    else's, or has fewer bytes (`size`, if that is known) than were to be before this
    write. `latest` is where to go on."""

    def __init__(
        self, seq: int, latest: int, *, size: int | None = None, reason: str = ""
    ) -> None:
        reason = reason or "is complete already"
        super().__init__(f"segment {seq} {reason}; the head is {latest}")
        self.seq = seq
        self.latest = latest
        self.size = size
