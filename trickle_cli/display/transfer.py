"""How far a publisher or a subscriber has got: what `pub` and `sub` show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from trickle_cli.display import formats
from trickle_cli.display.meter import Meter
from trickle_cli.statistics import PublisherStatistics, SubscriberStatistics

if TYPE_CHECKING:
    from rich.console import RenderableType


class TransferView:
    """One channel, of which `statistics` is a snapshot by `clock` (seconds). `readers`
    is how many read it, if that is known."""

    def __init__(
        self,
        channel: str,
        statistics: Callable[[], PublisherStatistics | SubscriberStatistics],
        clock: Callable[[], float],
    ) -> None:
        self._channel = channel
        self._statistics = statistics
        self._clock = clock
        self._meter = Meter(clock())
        self.readers: int | None = None

    def _look(self) -> PublisherStatistics | SubscriberStatistics:
        statistics = self._statistics()
        self._meter.look(statistics.size, self._clock())
        return statistics

    def render(self) -> RenderableType:
        """For a terminal."""
        from trickle_cli.display.picture import Picture

        return Picture(self._channel, self._look(), self._meter, self.readers)

    def line(self) -> str:
        """In one line of text."""
        statistics = self._look()
        if statistics.seq is None:
            return f"{self._channel}: nothing yet"
        lost = f", lost {statistics.lost}" if statistics.lost else ""
        now = f"seq {statistics.seq}, {formats.rate(self._meter.rate)}"
        return f"{self._channel}: {now}, {self._sum(statistics)}{lost}"

    def _sum(self, statistics: PublisherStatistics | SubscriberStatistics) -> str:
        segments = formats.count(statistics.segments, "segment")
        size, mean = formats.size(statistics.size), formats.rate(self._meter.mean)
        return f"{segments}, {size}, mean {mean}"

    def record(self) -> Mapping[str, object]:
        """As an object of JSON: rates are in bytes a second."""
        statistics = self._look()
        return {
            "channel": self._channel,
            **asdict(statistics),
            "segment_age": round(statistics.segment_age, 3),
            "readers": self.readers,
            "rate": round(self._meter.rate),
            "mean_rate": round(self._meter.mean),
        }


#: Channels that are shown at most.
_ROWS = 10


class TransfersView:
    """Any number of channels."""

    def __init__(self) -> None:
        self._views: dict[TransferView, None] = {}

    def add(self, view: TransferView) -> None:
        """One more."""
        self._views[view] = None

    def remove(self, view: TransferView) -> None:
        """One less."""
        del self._views[view]

    def render(self) -> RenderableType:
        """For a terminal."""
        from rich.console import Group
        from rich.text import Text

        shown = [view.render() for view in list(self._views)[:_ROWS]]
        hidden = len(self._views) - len(shown)
        if hidden:
            shown.append(Text(f"and {hidden} more", "dim"))
        return Group(*shown)

    def line(self) -> str:
        """In one line of text."""
        return "; ".join(view.line() for view in list(self._views)[:_ROWS])

    def record(self) -> Mapping[str, object]:
        """As an object of JSON."""
        return {"channels": [view.record() for view in self._views]}
