"""How shells hand over a line to be completed, and take what it may go on with.

zsh and fish give words, and quote what they put into the line. bash gives the line as
it was typed, and puts in the answer as it is: in place of what follows the last
character that breaks words for readline, which `:` and `=` do, or the quote that is
open. So we read its line by its rules, and quote by them.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass


class Kind(enum.Enum):
    """What sort of things a line may go on with. Shells know files and directories
    themselves."""

    FILES = "files"
    DIRECTORIES = "directories"
    COMMANDS = "commands"
    OPTIONS = "options"
    CHANNELS = "channels"
    VALUES = "values"


@dataclass(frozen=True, kw_only=True)
class Item:
    """A whole word to complete to, and what it is."""

    value: str
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a line may go on with."""

    kind: Kind
    items: Sequence[Item] = ()


@dataclass
class BashLine:
    """A line of bash, read up to the cursor.

    `words` are those before the last, without their quotes, and without redirections ·
    `last` is the one that the cursor is at · `kept`, its beginning, is what readline
    leaves as it is · `quote` is the one that is open · `is_odd` if its quotes are such
    that readline replaces something else · `is_target` if it is a redirection's.
    """

    words: list[str]
    last: str = ""
    kept: str = ""
    quote: str = ""
    is_odd: bool = False
    is_target: bool = False

    @classmethod
    def read(cls, text: str, breaks: str) -> BashLine:
        """Take `text` apart; `breaks` are the characters that break words."""
        line = cls([])
        characters = iter(text)
        for character in characters:
            if line.quote == "'":
                line._add_quoted(character)
            elif character == "\\":
                after = next(characters, "")
                is_plain = line.quote and after not in '$`"\\'
                line.last += f"\\{after}" if is_plain else after
            elif line.quote:
                line._add_quoted(character)
            else:
                line._add(character, breaks)
        return line

    def _add_quoted(self, character: str) -> None:
        if character == self.quote:
            self.quote, self.is_odd = "", True
        else:
            self.last += character

    def _add(self, character: str, breaks: str) -> None:
        if character in "'\"":
            self.quote, self.kept = character, self.last
        elif character in "<>":
            self._end_word(is_kept=not self.last.isdigit())
            self.is_target = True
        elif not character.isspace():
            self.last += character
            if character in breaks:
                self.kept, self.is_odd = self.last, False
        elif self.last or self.is_odd:
            self._end_word(is_kept=not self.is_target)
            self.is_target = False

    def _end_word(self, *, is_kept: bool) -> None:
        if is_kept and (self.last or self.is_odd):
            self.words.append(self.last)
        self.last = self.kept = ""
        self.is_odd = False

    def write(self, reply: Reply) -> list[str]:
        """The lines to answer with."""
        if self.is_target:
            return [Kind.FILES.value]
        found = [
            self._quoted(item.value.removeprefix(self.kept))
            for item in reply.items
            if item.value.startswith(self.last) and not self.is_odd
        ]
        return [reply.kind.value, *found]

    def _quoted(self, text: str) -> str:
        if self.quote == "'":
            return self._closed(text.replace("'", r"'\''"))
        if self.quote:
            text = re.sub(r'([$`"\\])', r"\\\1", text).replace("!", "\"'!'\"")
            return self._closed(text)
        return re.sub(r"([^\w./,:=@%+-])", r"\\\1", text)

    def _closed(self, text: str) -> str:
        """Where `text` ends with a quote, readline does not add the one that closes."""
        return text + self.quote if text.endswith(self.quote) else text


def write_zsh(reply: Reply) -> list[str]:
    """The lines to answer zsh with: for `_describe`, which quotes the values."""
    return [
        reply.kind.value,
        *(
            _escape_colons(item.value) + (f":{item.help}" if item.help else "")
            for item in reply.items
        ),
    ]


def _escape_colons(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")


def write_fish(reply: Reply) -> list[str]:
    """The lines to answer fish with, which quotes the values."""
    return [
        reply.kind.value,
        *(
            f"{item.value}\t{item.help}" if item.help else item.value
            for item in reply.items
        ),
    ]
