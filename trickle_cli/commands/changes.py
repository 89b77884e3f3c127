"""What a segment of the changefeed says."""

from __future__ import annotations

import json


def parse_change(data: bytes) -> tuple[list[str], list[str]]:
    """The names that were added, and those that were removed; of what is no change,
    none."""
    try:
        change = json.loads(data)
    except ValueError:
        change = None
    if not isinstance(change, dict):
        change = {}
    added, removed = (
        [str(name) for name in names] if isinstance(names, list) else []
        for names in (change.get("added"), change.get("removed"))
    )
    return added, removed
