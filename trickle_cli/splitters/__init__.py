"""Where a stream of bytes is cut into segments. Pure: clocks are passed in.

Two things decide. A *boundary* says where a cut may be; a *threshold* (a size, a
time) says when one is due. Without a boundary any byte will do; without a threshold
every boundary is a cut.

There are two kinds of boundaries. What can be searched for, as the end of a line, is a
`Boundary` for a `Splitter`. What must be understood, as video, is a `Format` for a
`FormatSplitter`: it reads the stream, and marks the places. A new one is one file.
"""

from trickle_cli.splitters.cut import CUT, Cut, Cutter
from trickle_cli.splitters.delimiter import NEWLINE, Boundary, Delimiter
from trickle_cli.splitters.fragments import Fragments
from trickle_cli.splitters.marking import Format, FormatSplitter
from trickle_cli.splitters.sniffing import Content, Kind, sniff
from trickle_cli.splitters.splitter import Splitter
from trickle_cli.splitters.transport import TransportStream

__all__ = [
    "CUT",
    "NEWLINE",
    "Boundary",
    "Content",
    "Cut",
    "Cutter",
    "Delimiter",
    "Format",
    "FormatSplitter",
    "Fragments",
    "Kind",
    "Splitter",
    "TransportStream",
    "sniff",
]
