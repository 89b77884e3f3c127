"""Lines on standard error."""

from __future__ import annotations

import os
import sys


def print_line(line: str) -> None:
    """A line to standard error; nothing, if nobody listens there any more."""
    if sys.stderr is None:  # it was closed when we began; print would take stdout
        return
    try:
        # With one call: what goes to the same terminal elsewhere must not come between,
        # and with PYTHONUNBUFFERED, print writes the end of a line by itself.
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except OSError:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
