"""Options that belong together, and that several commands take.

A group is a function: its parameters are options, and what it makes of them is one
value. A command that `takes` a group has its options, and gets that value.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def takes(
    **groups: Callable[..., Any],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `groups`; it has a parameter named like each."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.name not in groups]
        options = {
            name: inspect.signature(group, eval_str=True).parameters
            for name, group in groups.items()
        }

        @functools.wraps(command)
        def run(**values: Any) -> None:
            for name, group in groups.items():
                taken = {key: values.pop(key) for key in options[name]}
                values[name] = group(**taken)
            command(**values)

        everything = [*own, *(p for group in options.values() for p in group.values())]
        parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in everything]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate
