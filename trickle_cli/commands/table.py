"""The commands there are, each imported when it is called, or asked about.

`trickle --help` shows only what stands here, and is quick because of that.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperGroup

from trickle_cli.commands.arguments import Command


class Entry(NamedTuple):
    """A command: the function `function`, or the group of commands, in the module of
    this folder called `module`, and what it does, in a few words."""

    module: str
    function: str
    help: str


COMMANDS: Final[Mapping[str, Entry]] = {
    "serve": Entry("serve", "serve", "Run a server."),
    "pub": Entry("pub", "pub", "Publish standard input."),
    "sub": Entry("sub", "sub", "Receive a channel."),
    "watch": Entry("watch", "watch", "See what happens."),
    "ls": Entry("ls", "ls", "List the channels."),
    "info": Entry("info", "info", "See all of a channel."),
    "create": Entry("create", "create", "Make channels."),
    "close": Entry("close", "close", "Close a channel."),
    "next": Entry("next", "next_", "Ask for the next number."),
    "fetch": Entry("fetch", "fetch", "Get one segment."),
    "mirror": Entry("mirror", "mirror", "Copy a channel as it comes."),
    "record": Entry("record", "record", "Keep a channel in a directory."),
    "replay": Entry("replay", "replay", "Publish what was recorded."),
    "ping": Entry("ping", "ping", "Measure how far it is."),
    "bench": Entry("bench", "bench", "Measure a server."),
    "context": Entry("context", "context", "Name servers."),
    "token": Entry("token", "token", "Make tokens."),
    "completion": Entry("completion", "completion", "Teach a shell to complete."),
}


def load(name: str) -> Any:
    """The command `name`, as click has it."""
    entry = COMMANDS[name]
    module = import_module(f"trickle_cli.commands.{entry.module}")
    target = getattr(module, entry.function)
    if isinstance(target, typer.Typer):
        parent = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
        parent.add_typer(target, name=name, epilog=module.EPILOG, help=module.HELP)
        group: Any = typer.main.get_group(parent)
        command = group.commands[name]
    else:
        alone = typer.Typer(
            rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False
        )
        alone.command(name, cls=Command, epilog=module.EPILOG)(target)
        command = typer.main.get_command(alone)
    command.short_help = entry.help
    return command


class CommandGroup(TyperGroup):
    """Imports a command when it is wanted."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: dict[str, Any] = dict.fromkeys(COMMANDS)  # as far as loaded

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        if self.commands[cmd_name] is None:
            self.commands[cmd_name] = load(cmd_name)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, e.help) for name, e in COMMANDS.items()])
