"""What is begun and does not come to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def unless_done(undo: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do the block; `undo` if that fails, or is cancelled. It has to shield itself, or
    not to wait."""
    is_done = False
    try:
        yield
        is_done = True
    finally:
        if not is_done:
            await undo()  # noqa: ASYNC102 - it shields itself
