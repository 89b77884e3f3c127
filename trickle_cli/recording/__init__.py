"""Channels kept in a directory: a file for each segment, and an index of them.

`index.jsonl` has a line of JSON for each recording that was made in the directory, and
one for each segment of it, in order:

    {"recording": 1, "channel": …, "type": …, "started": RFC 3339}
    {"seq": 7, "file": "00000007.ts", "size": 512, "epoch": …, "began": 0.25,
     "ended": 1.3, "complete": true, "chunks": [[0.0, 256], [0.04, 256]]}

Times are in seconds: `began` and `ended` since the recording was started, those of the
chunks since their segment began. A segment is written to a file beside its own, which
is renamed when it has ended; its line comes after that. So whatever ends a recording,
each line is of a file that is whole; a last line that is not one is passed over.
"""

from __future__ import annotations

from trickle_cli.recording.index import (
    INDEX,
    Recorded,
    Session,
    open_segment,
    read_index,
)
from trickle_cli.recording.recorder import Recorder

__all__ = ["INDEX", "Recorded", "Recorder", "Session", "open_segment", "read_index"]
