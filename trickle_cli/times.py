"""Times as everybody can read them."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(when: float | datetime) -> str:
    """Seconds since 1970, or a time with its zone, as RFC 3339 has it, in UTC:
    `2026-01-02T03:04:05.678Z`."""
    if not isinstance(when, datetime):
        when = datetime.fromtimestamp(when, UTC)
    text = when.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
