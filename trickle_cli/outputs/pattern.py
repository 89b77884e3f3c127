"""Names of files with fields in them: `{channel}/{seq:06d}.ts`.

What is written around the fields is the user's, and taken as it is; what comes in
through them is a server's. So a name that is made never leads out of the folders that
the user has named: nothing that a field brings has a slash in it, and no channel's name
begins with a dot, which would lead upwards, or to a hidden file that means something.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from trickle_cli.errors import BadConfiguration
from trickle_cli.outputs.taken import Segment, parse_form

_FIELDS: Final = {"channel": str, "seq": int, "time": str}
#: So fine that no two segments of a channel begin at the same.
_TIME: Final = "%Y%m%dT%H%M%S.%fZ"


class Pattern:
    """Made from what follows -o. BadConfiguration if that makes no sense."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = parse_form(text, _FIELDS, "--output")
        self._names = {name for _, name, _ in self._parts if name is not None}
        self.path_of(Segment(channel="any", seq=0, type="", started=0, lost=0))

    @property
    def is_plain(self) -> bool:
        """Whether it names one file."""
        return not self._names

    @property
    def is_per_channel(self) -> bool:
        """Whether it names different files for different channels."""
        return "channel" in self._names

    @property
    def is_per_segment(self) -> bool:
        """Whether it names a file for each segment."""
        return bool(self._names & {"seq", "time"})

    def path_of(self, segment: Segment) -> Path:
        """The file for `segment`."""
        try:
            text = "".join(
                literal + ("" if name is None else self._field(segment, name, spec))
                for literal, name, spec in self._parts
            )
        except ValueError as error:
            raise BadConfiguration(f"--output: '{self.text}': {error}") from error
        return Path(text)

    def _field(self, segment: Segment, name: str, spec: str) -> str:
        if name == "seq":
            text = format(segment.seq, spec)
        elif name == "time":
            started = datetime.fromtimestamp(segment.started, UTC)
            text = started.strftime(spec or _TIME)
        else:
            text = format(segment.channel, spec)
            if text.startswith((".", "%")):  # the latter to tell names apart
                text = f"%{ord(text[0]):02X}{text[1:]}"
        return text.replace("/", "%2F").replace("\0", "%00")
