"""What commands say at their end of what went through, piece by piece."""

from __future__ import annotations

from trickle_cli.display import formats
from trickle_cli.statistics import PublisherStatistics, SubscriberStatistics

Statistics = PublisherStatistics | SubscriberStatistics


def amount(statistics: Statistics, duration: float) -> str:
    """`12 segments, 8.1 MiB in 24.0 s`."""
    return (
        f"{formats.count(statistics.segments, 'segment')},"
        f" {formats.size(statistics.size)} in {formats.seconds(duration)}"
    )


def rate(statistics: Statistics, duration: float) -> str:
    """`, 2.7 Mbit/s`."""
    mean = statistics.size / duration if duration > 0 else 0
    return f", {formats.rate(mean)}"


def fields(statistics: Statistics, duration: float) -> dict[str, object]:
    """The same for programs: sizes in bytes, times in seconds."""
    told = {name: getattr(statistics, name) for name in ("segments", "size", "lost")}
    return {**told, "duration": round(duration, 3)}


def missing(lost: int, incomplete: int = 0) -> str:
    """`; lost 3 segments; 1 incomplete segment`; "" if nothing is."""
    text = f"; lost {formats.count(lost, 'segment')}" if lost else ""
    if incomplete:
        text += f"; {formats.count(incomplete, 'incomplete segment')}"
    return text
