"""What each figure may be. All of it stands here; whether it is met, the results say.

A budget is for the ratio to the floor of the same run, or for the value itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.measuring import Figure


@dataclass(frozen=True, kw_only=True)
class Budget:
    """`limit` is the most that is allowed, or the least, if `at_least`; of the ratio to
    the floor, or of the `absolute` value."""

    limit: float
    absolute: bool = False
    at_least: bool = False

    def is_met_by(self, figure: Figure) -> bool:
        seen = figure.value if self.absolute else figure.ratio
        assert seen is not None, figure.name
        return seen >= self.limit if self.at_least else seen <= self.limit

    def told(self, unit: str) -> str:
        sign = "≥" if self.at_least else "≤"
        of = (f" {unit}" if unit else "") if self.absolute else " × floor"
        return f"{sign} {self.limit:,g}{of}"


_GROWTH: Final = Budget(limit=1.05, absolute=True)
_CLIENT: Final = Budget(limit=80, absolute=True)
_TLS: Final = Budget(limit=1.5)
#: Against another server: ahead of it.
_AHEAD: Final = Budget(limit=1)
_DISTANCE: Final = Budget(limit=2000, absolute=True, at_least=True)

BUDGETS: Final = {
    "fanout.1-50": Budget(limit=1.2),
    "fanout.1-1": Budget(limit=1.6),
    "fanout.tls-1-50": _TLS,
    "fanout.tls-1-1": _TLS,
    "fanout.tls-1-500": _TLS,
    "small.1-100": Budget(limit=2.8),
    "small.20x1-1": Budget(limit=2.8),
    "small.visits": Budget(limit=2.8),
    "small.data-dir": Budget(limit=2),
    "latency.p50": Budget(limit=1.5),
    "idle.memory": Budget(limit=5, absolute=True),
    "clients.publish-200B": _CLIENT,
    "clients.subscribe-200B": _CLIENT,
    "clients.publish-bulk": Budget(limit=1.5),
    "clients.subscribe-bulk": Budget(limit=1.5),
    "growth.fanout": _GROWTH,
    "growth.small": _GROWTH,
    "growth.channels": _GROWTH,
    "distance.publish": _DISTANCE,
    "distance.subscribe": _DISTANCE,
    "distance.live": _DISTANCE,
    "commands.help": Budget(limit=1.8),
    "against.fanout-1-50": _AHEAD,
    "against.fanout-1-1": _AHEAD,
    "against.small-1-100": _AHEAD,
    "against.small-20x1-1": _AHEAD,
    "against.small-visits": _AHEAD,
    "against.latency-p50": _AHEAD,
    "against.latency-p99": _AHEAD,
    "against.idle-memory": _AHEAD,
    "against.lost": Budget(limit=0, absolute=True),
}
