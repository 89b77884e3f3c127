"""What a command line may go on with: answers for the scripts of `completion`.

The line is read here, and not by click: it is not finished, what is wrong in it does
not matter, and nothing in it is to be done. What may follow is seen from the parameter
that is next: by its metavar (`CHANNEL`, `FILE`), or by what it says itself.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import typer

from trickle_cli.commands.shells import (
    BashLine,
    Item,
    Kind,
    Reply,
    write_fish,
    write_zsh,
)

#: What metavars stand for.
_CHANNELS: Final = frozenset({"CHANNEL", "SRC", "DST", "SOURCE", "TARGET"})
_PATHS: Final = {"FILE": Kind.FILES, "PATH": Kind.FILES, "DIR": Kind.DIRECTORIES}
_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
_NOTHING: Final = Reply(kind=Kind.VALUES)


def answer(app: typer.Typer, shell: str) -> NoReturn:
    """Tell `shell` what the line that it gives may go on with, and leave.

    Whatever happens, there is no complaint: it would stand in the middle of the line
    that somebody is typing.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        text = "\n".join(_answer(app, shell, sys.argv[1:]))
        sys.stdout.buffer.write(text.encode(errors="replace") + b"\n")
        sys.stdout.flush()
    finally:
        os._exit(0)  # not waiting for servers, nor for what Python tidies up


def _answer(app: typer.Typer, shell: str, arguments: list[str]) -> list[str]:
    root = typer.main.get_command(app)
    if shell == "bash":
        line = BashLine.read(*arguments)
        return line.write(complete(root, line.words[1:], line.last))
    *words, last = arguments
    write = {"zsh": write_zsh, "fish": write_fish}[shell]
    return write(complete(root, words, last))


def complete(root: Any, words: list[str], last: str) -> Reply:
    """What `last`, after the other words of a line for `root`, may become."""
    line = Line(root)
    try:
        for word in words:
            line.read(word)
    except NoSuchCommand:
        return _NOTHING
    return line.complete(last)


class NoSuchCommand(Exception):
    """Nobody knows what may follow."""


class Line:
    """A line as far as it goes: the command it has come to, and what that was given."""

    def __init__(self, root: Any) -> None:
        self._enter(root, "trickle", None)

    def _enter(self, command: Any, name: str, parent: Any) -> None:
        """Go on in `command`, whose words come next."""
        self._command = command
        self._context = typer.Context(
            command, info_name=name, parent=parent, **command.context_settings
        )
        parameters = command.get_params(self._context)
        self._options = {
            name: parameter
            for parameter in parameters
            if parameter.param_type_name == "option"
            for name in (*parameter.opts, *parameter.secondary_opts)
        }
        self._arguments = [p for p in parameters if p.param_type_name == "argument"]
        self._given: dict[str, list[str]] = {}  # to options, by their names
        self._taken = 0  # words that are arguments
        self._pending: Any = None  # the option whose value is next
        self._is_literal = False  # after "--"

    def read(self, word: str) -> None:
        """Go on by a word."""
        if self._pending is not None:
            self._give(self._pending, word)
            self._pending = None
        elif self._is_literal or not word.startswith("-") or word == "-":
            self._take(word)
        elif word == "--":
            self._is_literal = True
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            self._meet(self._options.get(name), value if equals else None)
        else:
            self._meet_short(word[1:])

    def _take(self, word: str) -> None:
        if hasattr(self._command, "get_command"):
            command = self._command.get_command(self._context, word)
            if command is None:
                raise NoSuchCommand(word)
            self._enter(command, word, self._context)
        else:
            self._taken += 1

    def _meet(self, option: Any, value: str | None) -> None:
        """An option, and its value if it stands there already."""
        if option is None or option.is_flag:
            self._give(option, "1")
        elif value is None:
            self._pending = option
        else:
            self._give(option, value)

    def _meet_short(self, letters: str) -> None:
        """`-qv`, `-s URL`, `-sURL`."""
        for place, letter in enumerate(letters, 1):
            option = self._options.get(f"-{letter}")
            if option is not None and not option.is_flag:
                self._meet(option, letters[place:] or None)
                return
            self._give(option, "1")

    def _give(self, option: Any, value: str) -> None:
        if option is not None:
            self._given.setdefault(option.name, []).append(value)

    # What may be next.

    def complete(self, last: str) -> Reply:
        """What `last` may become."""
        if self._pending is not None:
            return self._values(self._pending, last)
        if last.startswith("-") and not self._is_literal:
            return self._complete_option(last)
        if hasattr(self._command, "list_commands"):
            return Reply(kind=Kind.COMMANDS, items=list(self._commands()))
        return self._values(self._argument(), last)

    def _complete_option(self, last: str) -> Reply:
        name, equals, value = last.partition("=")
        if not equals:
            items = [
                Item(value=name, help=_in_short(option.help))
                for name, option in self._options.items()
                if option.multiple or option.name not in self._given
            ]
            return Reply(kind=Kind.OPTIONS, items=items)
        option = self._options.get(name)
        reply = self._values(None if option is None else option, value)
        items = [Item(value=f"{name}={i.value}", help=i.help) for i in reply.items]
        return Reply(kind=reply.kind, items=items)

    def _commands(self) -> Iterator[Item]:
        from trickle_cli.commands.table import COMMANDS

        for name in self._command.list_commands(self._context):
            if self._context.parent is None:  # do not import them all
                yield Item(value=name, help=COMMANDS[name].help)
            else:
                command = self._command.get_command(self._context, name)
                yield Item(value=name, help=command.get_short_help_str(200))

    def _argument(self) -> Any:
        """The argument that is next; None if there are enough."""
        left = self._taken
        for argument in self._arguments:
            if argument.nargs == -1 or left < argument.nargs:
                return argument
            left -= argument.nargs
        return None

    def _values(self, parameter: Any, last: str) -> Reply:
        """What there is for `parameter`, which may be None."""
        if parameter is None or getattr(parameter, "is_flag", False):
            return _NOTHING
        names = (parameter.metavar or "").strip("[].…").split("|")
        for name in names:
            if name in _PATHS:
                return Reply(kind=_PATHS[name])
            if name in _CHANNELS:
                return Reply(kind=Kind.CHANNELS, items=self._channels(last))
        words = [
            Item(value=name) for name in names if name.isalpha() and name.islower()
        ]
        words += [
            Item(value=found.value, help=_in_short(found.help))
            for found in parameter.shell_complete(self._context, "")
            if found.type == "plain"
        ]
        return Reply(kind=Kind.VALUES, items=words)

    def _channels(self, last: str) -> list[Item]:
        """Those on the server that the line is for; if it has a URL, as URLs."""
        from trickle_cli.commands.connecting import connecting
        from trickle_cli.commands.listing import list_channels
        from trickle_cli.protocol.names import quote_channel

        typed, *wanted = inspect.signature(connecting).parameters
        options = {option.name: option for option in self._options.values()}
        if not options.keys() >= {*wanted}:
            return []
        values: dict[str, Any] = {n: self._value(options[n]) for n in wanted}
        values[typed] = self._typed(last)
        connect = connecting(**values)
        if "://" in last or last.startswith("unix:"):
            place = last.rpartition("/")[0]
            return [
                Item(value=f"{place}/{quote_channel(item.value)}", help=item.help)
                for item in list_channels(connect, place.removesuffix(":"))
            ]
        items = list_channels(connect, connect.server)
        if not self._is_literal:  # where it would be an option
            items = [item for item in items if not item.value.startswith("-")]
        return items

    def _typed(self, last: str) -> _Typed:
        options = {option.name: option for option in self._options.values()}
        sources = {
            name: _Source(name="ENVIRONMENT")
            for name, option in options.items()
            if os.environ.get(option.envvar or "")
        }
        sources |= dict.fromkeys(self._given, _Source(name="COMMANDLINE"))
        arguments = {argument.name: last for argument in self._arguments}
        return _Typed(command=self._command, params=arguments, sources=sources)

    def _value(self, option: Any) -> Any:
        """What `option` has been given: on the line, by its variable, or by default."""
        given = self._given.get(option.name)
        if given is not None:
            return given if option.multiple else given[-1]
        text = os.environ.get(option.envvar or "")
        if text and option.is_flag:
            return text.lower() in _TRUE
        return text or option.default


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Where a value is from."""

    name: str


@dataclass(frozen=True, kw_only=True)
class _Typed:
    """What `connecting` asks click of a line, of one that is not finished."""

    command: Any
    params: Mapping[str, str]
    sources: Mapping[str, _Source]

    def get_parameter_source(self, name: str) -> _Source | None:
        """As of click's Context."""
        return self.sources.get(name)


def _in_short(text: str | None) -> str:
    """One line of a help."""
    return " ".join((text or "").split())
