"""From a program to an exit code: the command boundary.

Errors become one line on standard error here, and nowhere else. No traceback ever
reaches a user.
"""

from __future__ import annotations

import enum
import errno
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import typer

from trickle_cli.errors import (
    BadAddress,
    BadConfiguration,
    ChannelNotFound,
    ChannelVanished,
    NotAllowed,
    SegmentNotFound,
    TrickleError,
)


class ExitCode(enum.IntEnum):
    """How a command ended, for scripts."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_CHANNEL = 3
    DATA_LOST = 4
    NOT_ALLOWED = 5
    TIMED_OUT = 124
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


_ADVICE: Final = {
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "name a file in it",
    errno.EACCES: "choose another file, or change its permissions",
    errno.EPERM: "choose another file, or change its permissions",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def run(command: str, program: Callable[[], Awaitable[ExitCode]]) -> None:
    """Run `program` in trio, and leave with its exit code, or that of its error.

    What was imported by now is never garbage. The cycle collector would look through it
    again and again, and once more at the end: a fifth of what starting takes.
    """
    import trio

    gc.freeze()
    gc.enable()
    try:
        code = trio.run(program)
    except Exception as raised:  # noqa: BLE001 - the command boundary
        code = _end(f"trickle {command}", first_error(raised))
    raise typer.Exit(int(code))


def _end(command: str, error: BaseException) -> ExitCode:
    """Say what `error` has ended `command`, if anybody wants to know, and how it ends
    therefore."""
    from trickle_cli.display.formats import clean
    from trickle_cli.display.lines import print_line

    code = code_of(error)
    if code is not ExitCode.BROKEN_PIPE:
        print_line(f"{command}: {clean(explain(error))}")
    return code


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Let the OSErrors of the block say where they are from: reading and writing do
    not know, once a file is open."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or place
        raise


def first_error(error: BaseException) -> BaseException:
    """What went wrong first, out of the groups that nurseries make."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def code_of(error: BaseException) -> ExitCode:
    """How a command ends that `error` has ended."""
    match error:
        case BrokenPipeError():
            return ExitCode.BROKEN_PIPE
        case BadAddress() | BadConfiguration():
            return ExitCode.USAGE
        case ChannelNotFound() | SegmentNotFound():
            return ExitCode.NO_CHANNEL
        case ChannelVanished():
            return ExitCode.DATA_LOST
        case NotAllowed():
            return ExitCode.NOT_ALLOWED
    return ExitCode.FAILED


def explain(error: BaseException) -> str:
    """What a person is told of it, in one line."""
    if isinstance(error, TrickleError):
        told = "; ".join([str(error), *getattr(error, "__notes__", ())])
        return told if " — " in told else told + _advice(error.__cause__)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}{_advice(error)}"
    return f"an unexpected {type(error).__name__}: {error} — please report it"


def _advice(error: BaseException | None) -> str:
    """What to do about an error of the system, if that is known."""
    advice = _ADVICE.get(error.errno or 0) if isinstance(error, OSError) else None
    return f" — {advice}" if advice else ""


def main(app: typer.Typer) -> None:
    """Run `app` on the arguments of this process, and exit."""
    # No KeyboardInterrupt anywhere: commands that have something to finish on
    # Ctrl-C listen for it, the others just end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _fill_standard_descriptors()
    usage_error, click_error = _click_errors()
    try:
        code = typer.main.get_command(app).main(
            prog_name="trickle", standalone_mode=False
        )
        sys.stdout.flush()
    except click_error as error:
        code = ExitCode.USAGE if isinstance(error, usage_error) else ExitCode.FAILED
        _print_usage_error(error)
    except Exception as error:  # noqa: BLE001 - of a command's options
        code = _end(_name_of(sys.argv[1:]), error)
    _leave(int(code or 0))


def _name_of(arguments: Sequence[str]) -> str:
    """What the command is called that `arguments` begin with."""
    from trickle_cli.commands.table import COMMANDS

    return (
        f"trickle {arguments[0]}"
        if arguments[:1] and arguments[0] in COMMANDS
        else "trickle"
    )


def _fill_standard_descriptors() -> None:
    """Where a standard descriptor is closed, put one there on which its use fails:
    else a socket of ours would get its number, and what is meant for it."""
    for descriptor, mode in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - it is the process's


def _click_errors() -> tuple[type[Exception], type[Exception]]:
    """click's UsageError and ClickException, wherever typer has them from."""
    usage_error, click_error, *_ = typer.BadParameter.__mro__[1:]
    assert issubclass(usage_error, Exception)
    assert issubclass(click_error, Exception)
    return usage_error, click_error


def _print_usage_error(error: BaseException) -> None:
    from trickle_cli.commands.complaints import complaint
    from trickle_cli.display.formats import clean
    from trickle_cli.display.lines import print_line

    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "trickle"
    line = f"{path}: {clean(complaint(error))} (see {path} --help)"
    if type(error).__name__ == "NoArgsIsHelpError":  # a group of commands, alone
        line = str(error)
    print_line(line)


def _leave(code: int) -> None:
    """Exit; where standard output is broken, without the interpreter's complaint."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
