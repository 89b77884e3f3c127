"""How much a command says, and how; apart, because its options are needed early."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Progress(enum.Enum):
    """How to show how far it has got."""

    AUTO = "auto"
    LIVE = "live"
    PLAIN = "plain"
    JSON = "json"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How much to say, and how."""

    quiet: bool = False
    verbose: bool = False
    progress: Progress = Progress.AUTO
