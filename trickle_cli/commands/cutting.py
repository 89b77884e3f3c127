"""The options that say where what is published is cut into segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from trickle_cli.commands.options import parse_delimiter, parse_size, parse_time

if TYPE_CHECKING:
    from trickle_cli.splitters import Content, Cutter

#: With no option: a segment a second, or every MiB if that comes first.
DEFAULT_SECONDS: Final = 1.0
DEFAULT_SIZE: Final = 1024 * 1024
#: A cut by time alone is made at this size anyway: servers limit segments.
MAX_SIZE: Final = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """What was asked for. `delimiter` is b"" if there is none."""

    delimiter: bytes
    lines: int | None
    gop: bool
    fragment: bool
    repeat_init: bool
    whole: bool
    size: int | None
    seconds: float | None

    @property
    def is_auto(self) -> bool:
        """Whether the content is to decide."""
        is_chosen = self.delimiter or self.gop or self.fragment or self.whole
        return not is_chosen and self.size is None and self.seconds is None

    @property
    def type(self) -> str | None:
        """The MIME type of what can be cut so, if that is one."""
        from trickle_cli.splitters.sniffing import MP4, TRANSPORT_STREAM

        if self.gop:
            return TRANSPORT_STREAM
        return MP4 if self.fragment else None

    def cutter(self, content: Content) -> Cutter:
        """What cuts one input, which is that if it `is_auto`."""
        from trickle_cli.splitters import (
            Delimiter,
            FormatSplitter,
            Fragments,
            Splitter,
            TransportStream,
        )

        if self.is_auto:
            return self._auto(content)
        size, seconds = self.size, self.seconds
        if size is None and seconds is not None:
            size = MAX_SIZE
        if self.gop:
            return FormatSplitter(TransportStream(), size=size, seconds=seconds)
        if self.fragment:
            fragments = Fragments(repeat_init=self.repeat_init)
            return FormatSplitter(fragments, size=size, seconds=seconds)
        boundary = Delimiter(self.delimiter) if self.delimiter else None
        return Splitter(boundary=boundary, every=self.lines, size=size, seconds=seconds)

    def _auto(self, content: Content) -> Cutter:
        from trickle_cli.splitters import (
            FormatSplitter,
            Fragments,
            Kind,
            Splitter,
            TransportStream,
        )

        plain = Splitter(size=DEFAULT_SIZE, seconds=DEFAULT_SECONDS)
        if content.kind is Kind.TRANSPORT_STREAM:
            return FormatSplitter(TransportStream(), otherwise=plain)
        if content.kind is Kind.MP4:
            fragments = Fragments(repeat_init=self.repeat_init)
            return FormatSplitter(fragments, otherwise=plain)
        return plain


def cutting(
    size: Annotated[
        int | None,
        typer.Option(
            metavar="SIZE", parser=parse_size, help="Cut after so many bytes: 64KiB."
        ),
    ] = None,
    time: Annotated[
        float | None,
        typer.Option(metavar="TIME", parser=parse_time, help="Cut after so long: 2s."),
    ] = None,
    newline: Annotated[
        bool,
        typer.Option(
            "--newline",
            help="Cut after each line; with --size or --time, only after a line.",
        ),
    ] = False,
    lines: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Cut after so many lines."),
    ] = None,
    delimiter: Annotated[
        bytes | None,
        typer.Option(
            metavar="BYTES",
            parser=parse_delimiter,
            help=r"As --newline, with other bytes: '\0', '\n\n', '\x1e', 0x0d0a.",
        ),
    ] = None,
    gop: Annotated[
        bool,
        typer.Option(
            "--gop",
            help="Cut MPEG-TS before keyframes, each segment with its tables in front.",
        ),
    ] = False,
    fragment: Annotated[
        bool,
        typer.Option(
            "--fragment",
            help="Cut fragmented MP4 before fragments; the first segment is the init.",
        ),
    ] = False,
    repeat_init: Annotated[
        bool,
        typer.Option(
            "--repeat-init",
            help="With fragments: the init in front of each instead.",
        ),
    ] = False,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="One segment until the end, or for each FILE."),
    ] = False,
) -> Cutting:
    """The group of these options."""
    chosen = {
        "--newline": newline,
        "--lines": lines is not None and not newline,
        "--delimiter": delimiter is not None,
        "--gop": gop,
        "--fragment": fragment,
        "--whole": whole,
    }
    names = [name for name, is_so in chosen.items() if is_so]
    if len(names) > 1:
        raise typer.BadParameter(f"either {names[0]} or {names[1]}")
    has_threshold = size is not None or time is not None
    if whole and has_threshold:
        raise typer.BadParameter("--whole is one segment, whatever --size and --time")
    if repeat_init and not fragment and (names or has_threshold):
        raise typer.BadParameter("--repeat-init is of no use without --fragment")
    by_line = newline or lines is not None
    return Cutting(
        delimiter=b"\n" if by_line else delimiter or b"",
        lines=lines,
        gop=gop,
        fragment=fragment,
        repeat_init=repeat_init,
        whole=whole,
        size=size,
        seconds=time,
    )
