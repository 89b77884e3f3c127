"""What a terminal can show: how much, and in which characters."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

#: A terminal that does not know its size is taken to have this one.
USUAL_SIZE: Final = os.terminal_size((80, 24))
#: What Python sets by itself where there is no locale (PEP 538), so that it says
#: nothing of the terminal.
_COERCED: Final = frozenset({"C.UTF-8", "C.utf8", "UTF-8"})
_PLAIN: Final = frozenset({"", "C", "POSIX"})


def size_of(descriptor: int) -> os.terminal_size:
    """The size of the terminal at `descriptor`: shutil asks the one on standard
    output only."""
    try:
        size = os.get_terminal_size(descriptor)
    except OSError:
        return USUAL_SIZE
    return size if all(size) else USUAL_SIZE


def speaks_unicode(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the locale says that more than ASCII can be shown."""
    everything, types = environment.get("LC_ALL", ""), environment.get("LC_CTYPE", "")
    language = environment.get("LANG", "")
    if types in _COERCED and language in _PLAIN:
        types = ""
    locale = (everything or types or language).lower().replace("-", "")
    return "utf8" in locale
