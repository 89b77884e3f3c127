"""The changefeed: the channel `_changes`, which tells of channels.

Each of its segments is one compact JSON object without a newline,
`{"added":["name"]}` or `{"removed":["name"]}`, and the first says that the
changefeed itself was added. It is written by the hub only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from trickle_cli.relay.channel import Channel
from trickle_cli.relay.limits import Window
from trickle_cli.relay.publication import Publication
from trickle_cli.relay.segment import wake_all

#: Changes are small and rare: keep a thousand, however old they are.
CHANGEFEED_WINDOW: Final = Window(seconds=float("inf"), floor=1000)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One segment of the changefeed: the names that came and those that went."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """As JSON; an empty list is left out."""
        lists = {"added": self.added, "removed": self.removed}
        body = {key: names for key, names in lists.items() if names}
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


class Changefeed:
    """Writes changes to `channel`."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def announce(
        self, *, added: Sequence[str] = (), removed: Sequence[str] = ()
    ) -> None:
        """Publish one change. Says nothing once the changefeed is closed."""
        if self.channel.closed:
            return
        change = Change(added=tuple(added), removed=tuple(removed))
        publication = Publication()
        self.channel.publish(publication, self.channel.head)
        wake_all(publication.write([change.encode()], end=True))
