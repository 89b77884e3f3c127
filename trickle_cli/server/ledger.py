"""What was asked, and how it was answered: counted, and recorded if that is wanted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from trickle_cli.times import stamp


class Entry:
    """One request, for an access log.

    `peer` who asked · `method`, `target` (its path alone) · `began` when, seconds since
    1970 · `status` of the answer, 0 if there was none · `received` and `sent` bytes of
    the bodies · `first_byte` and `duration` seconds after the request's head until the
    answer began, and until it was over · `whole` whether it came to its end.
    """

    __slots__ = (
        "began",
        "duration",
        "first_byte",
        "method",
        "peer",
        "received",
        "sent",
        "start",
        "status",
        "target",
        "whole",
    )

    def __init__(
        self, peer: str, method: bytes, target: bytes, began: float, start: float
    ) -> None:
        self.peer = peer
        self.method = method.decode("latin-1")
        self.target = target.partition(b"?")[0].decode("utf-8", "replace")
        self.began = began
        self.start = start  # the same, by the clock that durations are taken with
        self.status = 0
        self.received = self.sent = 0
        self.first_byte: float | None = None
        self.duration = 0.0
        self.whole = False

    def answered(self, status: int, now: float) -> None:
        """The answer begins."""
        self.status = status
        if self.first_byte is None:
            self.first_byte = now - self.start

    def line(self) -> str:
        """For a person."""
        about = f"{self.peer} {self.method} {self.target} {self.status or '-'}"
        broken = "" if self.whole else ", broken off"
        return f"{about}, {self.received or self.sent} bytes{broken}"

    def encode(self) -> str:
        """As one line of JSON."""
        fields: dict[str, Any] = {
            "time": stamp(self.began),
            "peer": self.peer,
            "method": self.method,
            "target": self.target,
            "status": self.status,
            "received": self.received,
            "sent": self.sent,
            "first_byte": None
            if self.first_byte is None
            else round(self.first_byte, 6),
            "duration": round(self.duration, 6),
            "whole": self.whole,
        }
        return json.dumps(fields, separators=(",", ":"))


class Ledger:
    """The sums over all requests: `statuses` of the answers, `delivered` bytes of
    segments. `record`, if there is one, gets each `Entry`."""

    __slots__ = ("delivered", "record", "statuses")

    def __init__(self, record: Callable[[Entry], None] | None) -> None:
        self.record = record
        self.statuses: Counter[int] = Counter()
        self.delivered = 0
