"""How a command reads its arguments, beyond what typer does.

A number counted from the end (`trickle fetch cam -2`) looks like an option to typer. Of
a command that takes the number of a segment it is an argument, unless an option is
called so, or the option before it takes it as its value.
"""

from __future__ import annotations

import re
from typing import Any, Final

import typer
from typer.core import TyperCommand

_NEGATIVE: Final = re.compile(r"-\d+")
_END_OF_OPTIONS: Final = "--"
#: click's UsageError, wherever typer has it from.
_USAGE_ERROR: Final[Any] = typer.BadParameter.__mro__[1]


class Command(TyperCommand):
    """A command that takes negative numbers, and whose errors say whose they are."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return list(super().parse_args(ctx, self._with_numbers_last(args)))
        except _USAGE_ERROR as error:
            if getattr(error, "ctx", None) is None:
                error.ctx = ctx
            raise

    def _with_numbers_last(self, args: list[str]) -> list[str]:
        """`args` with the negative numbers among its arguments behind the options,
        where nothing is taken for one."""
        if all(getattr(parameter, "metavar", "") != "SEQ" for parameter in self.params):
            return args
        options = [p for p in self.params if p.param_type_name == "option"]
        names = {name for option in options for name in option.opts}
        takers = {
            name
            for option in options
            if not getattr(option, "is_flag", False)
            for name in option.opts
        }
        end = args.index(_END_OF_OPTIONS) if _END_OF_OPTIONS in args else len(args)
        before, numbers = [], []
        for index, arg in enumerate(args[:end]):
            is_value = index > 0 and args[index - 1] in takers
            if _NEGATIVE.fullmatch(arg) and arg not in names and not is_value:
                numbers.append(arg)
            else:
                before.append(arg)
        if not numbers:
            return args
        return [*before, _END_OF_OPTIONS, *numbers, *args[end + 1 :]]
