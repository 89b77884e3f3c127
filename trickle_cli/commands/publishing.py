"""What commands have in common that publish something beside what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from trickle_cli.client import Publisher
    from trickle_cli.display.talk import Talk


async def fail_early(publisher: Publisher) -> None:
    """Do not wait for more to publish to say that there is nobody to take it."""
    raise await publisher.failed()


class Telling:
    """Says what holds a publisher up, when that changes, and what is lost."""

    def __init__(self, publisher: Publisher, talk: Talk) -> None:
        self._publisher = publisher
        self._talk = talk
        self._waiting = ""
        self._lost = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.look()
            await trio.sleep(0.1)

    def look(self) -> None:
        """Say what is new."""
        publisher, talk = self._publisher, self._talk
        waiting = publisher.statistics().waiting
        if waiting != self._waiting:
            talk.say(f"{waiting}; waiting" if waiting else "here it is")
            self._waiting = waiting
        for seq in publisher.lost[self._lost :]:
            talk.say(f"lost segment {seq}: it was broken off, and may be incomplete")
        self._lost = len(publisher.lost)
