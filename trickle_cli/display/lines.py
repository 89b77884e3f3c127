"""Lines on standard error."""

from __future__ import annotations

import os
import sys


def print_line(line: str) -> None:
    """A line to standard error; nothing, if nobody listens there any more."""
    if sys.stderr is None:  # it was closed when we began; print would take stdout
        return
    try:
        print(line, file=sys.stderr, flush=True)  # noqa: T201
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
