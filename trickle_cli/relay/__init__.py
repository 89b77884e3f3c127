"""What a server remembers, with no HTTP and no sockets in it.

A `Hub` holds `Channel`s, a channel holds `Segment`s; a `Publication` is the
writing end of a segment, a `Reader` a reading end. `LocalPublisher` and
`LocalSubscriber` use them from within the same program.

All of it is plain functions between awaits, so no state needs a lock. Bytes move
by `Segment.append`, which hands them to the live readers before it returns; see
`segment`.
"""

from trickle_cli.relay.changefeed import Change, Changefeed
from trickle_cli.relay.channel import Channel
from trickle_cli.relay.flow import Hold
from trickle_cli.relay.hub import Hub, Others
from trickle_cli.relay.limits import Limits, Window
from trickle_cli.relay.local import LocalPublisher, LocalSegment, LocalSubscriber
from trickle_cli.relay.log import Sync
from trickle_cli.relay.publication import Publication, Verdict
from trickle_cli.relay.segment import Piece, Reader, Segment
from trickle_cli.relay.storage import Store, directory_of, lock_directory

__all__ = [
    "Change",
    "Changefeed",
    "Channel",
    "Hold",
    "Hub",
    "Limits",
    "LocalPublisher",
    "LocalSegment",
    "LocalSubscriber",
    "Others",
    "Piece",
    "Publication",
    "Reader",
    "Segment",
    "Store",
    "Sync",
    "Verdict",
    "Window",
    "directory_of",
    "lock_directory",
]
