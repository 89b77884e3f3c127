"""One changefeed for all workers: the first publishes it, the others tell it what comes
and goes with them, in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from trickle_cli.server.workers.letters import Letter

#: Changes that may wait to be told. When there are more, all names are told instead.
_MAX_WAITING: Final = 20_000
ADDED: Final = "+"
REMOVED: Final = "-"


class Reporter:
    """Keeps what is to be told. `names` are those of the channels that are open."""

    def __init__(self, seat: int, names: Callable[[], list[str]]) -> None:
        self._seat = seat
        self._names = names
        self._waiting: list[tuple[str, str]] = []
        self._is_behind = False

    def note(self, *, added: Sequence[str] = (), removed: Sequence[str] = ()) -> None:
        """These have come, or gone."""
        self._waiting += [(ADDED, name) for name in added]
        self._waiting += [(REMOVED, name) for name in removed]
        if len(self._waiting) > _MAX_WAITING:
            self.begin_anew()

    def begin_anew(self) -> None:
        """Tell all names next."""
        self._is_behind = True
        self._waiting.clear()

    def letter(self) -> Letter | None:
        """What there is to tell, if anything; from now on it counts as told."""
        content: object = self._waiting
        if self._is_behind:
            content = self._names()
        elif not self._waiting:
            return None
        kind = "open" if self._is_behind else "changes"
        letter = Letter(
            kind=kind,
            fields={"seat": self._seat},
            data=json.dumps(content, ensure_ascii=False).encode(),
        )
        self._is_behind = False
        self._waiting = []
        return letter


class Registry:
    """Who has which channel, for the one that publishes changes, by `announce`."""

    def __init__(self, announce: Callable[..., None]) -> None:
        self._announce = announce
        self._owners: dict[str, int] = {}

    def take_changes(self, seat: int, changes: Iterable[tuple[str, str]]) -> None:
        """The worker there tells what has come and gone, in order."""
        for kind, name in changes:
            if kind == ADDED:
                self._add(seat, [name])
            elif self._owners.get(name) == seat:
                self._remove([name])

    def take_names(self, seat: int, names: Iterable[str]) -> None:
        """The worker there tells all that it has."""
        now = set(names)
        self._remove([n for n, s in self._owners.items() if s == seat and n not in now])
        self._add(seat, sorted(now))

    def lose(self, seat: int) -> None:
        """Nobody sits there any more."""
        self._remove([name for name, owner in self._owners.items() if owner == seat])

    def _add(self, seat: int, names: Sequence[str]) -> None:
        new = [name for name in names if name not in self._owners]
        self._owners.update(dict.fromkeys(names, seat))
        if new:
            self._announce(added=new)

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            del self._owners[name]
        if names:
            self._announce(removed=names)
