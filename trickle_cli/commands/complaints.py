"""What is said of wrong usage: which option, what stood there, and what may.

The words that typer has for a number or a choice are those of the library that it
parses them with, and change with its versions; a person is told the same of each.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final

import typer

_CHOICE: Final = re.compile(r"(?:Value error, )?'(.*)' is not one of (.*?)\.?")
#: How those begin who could not make a number, or a truth, of a text.
_NO_NUMBER: Final = re.compile(
    r"Input should be .*|.* is not a valid integer\.?|.* is not in the range .*"
)
_NO_TRUTH: Final = re.compile(r"Input should be a valid boolean.*|.*valid boolean\.?")


def complaint(error: Any) -> str:
    """The message of a usage error, in one line."""
    parameter = getattr(error, "param", None)
    hint = getattr(error, "param_hint", None)
    is_missing = type(error).__name__ == "MissingParameter"
    if is_missing or not isinstance(error, typer.BadParameter):
        return _in_one_line(error.format_message()).removesuffix(".")
    message = _in_one_line(error.message)
    if parameter is None:
        return f"{hint}: {message}" if hint else message
    place = _place_of(parameter, error.ctx)
    return f"{place}: {_reworded(message, parameter, error.__cause__)}"


def _in_one_line(text: str) -> str:
    return " ".join(str(text).split())


def _place_of(parameter: Any, context: Any) -> str:
    """What a person has written there: the option's name, or its variable."""
    if parameter.param_type_name == "argument":
        name: str = parameter.metavar or parameter.name.upper()
    else:
        name = max(parameter.opts, key=len)
    variable = _variable_of(parameter, context)
    return f"{name} (from {variable})" if variable else name


def _variable_of(parameter: Any, context: Any) -> str | None:
    """The environment variable that the value has come from, if it has."""
    source = context and context.get_parameter_source(parameter.name)
    if source is None or source.name != "ENVIRONMENT":
        return None
    names = [parameter.envvar] if isinstance(parameter.envvar, str) else []
    names = names or list(parameter.envvar or ())
    return next((name for name in names if os.environ.get(name)), None)


def _reworded(message: str, parameter: Any, cause: Any) -> str:
    if choice := _CHOICE.fullmatch(message):
        given, choices = choice.groups()
        return f"'{given}' is none of {choices.replace(chr(39), '')}"
    given = _given(message, cause)
    if given is None:
        return message
    if _NO_TRUTH.fullmatch(message):
        return f"'{given}' is neither true nor false"
    if _NO_NUMBER.fullmatch(message):
        return f"'{given}' is not {_range_of(parameter)}"
    return message


def _given(message: str, cause: Any) -> str | None:
    """The text that was to be parsed, as far as the error tells."""
    if callable(errors := getattr(cause, "errors", None)):
        return str(errors()[0]["input"])
    match = re.match(r"'?(.*?)'? is not (?:a valid|in the range)", message)
    return match[1] if match else None


def _range_of(parameter: Any) -> str:
    kind = getattr(parameter, "type", None)
    least, most = (
        getattr(parameter, bound, getattr(kind, bound, None))
        for bound in ("min", "max")
    )
    if least is None and most is None:
        return "a whole number"
    if most is None:
        return f"a whole number of {least} or more"
    return f"a number from {least or 0} to {most}"
