"""Guides in Markdown, typed in: what they show is run in real shells on terminals.

A block of `sh` is a script, which has to succeed. A block of `console` has commands,
which begin with `$`, and what is seen of each. What the page itself does not tell is in
comments, which nobody sees who reads it:

    terminal 2      the block is for a terminal of that name; what goes on there is
                    interrupted first. A block without a `$` is what is seen there next
    goes on         the block does not end by itself: what it shows is waited for
    silent          but it shows nothing
    waits           it does, but not before something else has happened
    later, now: X   begin the block for terminal X not here, but there
    Ctrl-C, ends    interrupt what goes on; it has to end, and what is shown is the last
    kill            kill the server that was started last
    file: NAME      the block is what the file NAME has
    makes: A B      these files are there, or come, and what waited has ended
    until: CHAN N   the channel has N segments, or gets them
    not run: WHY    the block cannot be run here
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_STEP: Final = re.compile(
    r"^<!-- (?P<comment>.*?) -->$"
    r"|^```(?P<language>\w+)\n(?P<text>.*?)^```$"
    r"|^#+ (?P<heading>[^\n]*)$",
    re.MULTILINE | re.DOTALL,
)
_ALONE: Final = ("now: ", "makes: ", "until: ", "kill")
#: What is different each time.
_VARYING: Final = {
    r"\b\d{4}-\d\d-\d\dT[\d:.]+Z": "TIME",
    r"\b\d\d:\d\d:\d\d\b": "CLOCK",
    r"\b[0-9a-f]{16}\b": "EPOCH",
    r"\b[\d.]+ [kMG]?bit/s": "RATE",
    r"\b[\d.]+ [KMG]iB( \(\d+ bytes\))?|\b\d{4,} B\b": "SIZE",
    r"\b[\d./]+ m?s\b": "SPAN",
    r"\b\d+[smhd]\b": "AGE",
    r"(?<=\S) +": " ",
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A block, and what is said of it in a comment; or such a comment alone."""

    marks: str
    language: str = ""
    text: str = ""

    def has(self, mark: str) -> bool:
        return mark in self.marks.split(", ")

    @property
    def reason(self) -> str | None:
        """Why it is not run; None if it is."""
        found = re.fullmatch("not run: (.*)", self.marks)
        return None if found is None else found[1]

    @property
    def terminal(self) -> str:
        found = re.match(r"terminal (\w+)", self.marks)
        return "" if found is None else found[1]

    def value(self, key: str) -> str:
        return self.marks.removeprefix(key) if self.marks.startswith(key) else ""


def sections(text: str) -> dict[str, list[Step]]:
    """The steps of a guide, by the heading of second order above them."""
    found: dict[str, list[Step]] = {"": []}
    heading, marks = "", ""
    for match in _STEP.finditer(text):
        if match["heading"] is not None:
            heading = match["heading"] if match[0].startswith("## ") else heading
            found.setdefault(heading, [])
        elif match["comment"] is None:
            step = Step(marks=marks, language=match["language"], text=match["text"])
            found[heading].append(step)
            marks = ""
        elif match["comment"].startswith(_ALONE):
            found[heading].append(Step(marks=match["comment"]))
        else:
            assert not marks, f"{marks}: of no block"
            marks = match["comment"]
    return {heading: steps for heading, steps in found.items() if steps}


def plain(line: str) -> str:
    """`line` without what is different each time."""
    for pattern, name in _VARYING.items():
        line = re.sub(pattern, name, line)
    return line.rstrip()


def fits(shown: str, line: str) -> bool:
    """Whether `line` is what a guide has `shown`, in which … is anything."""
    pattern = ".*".join(map(re.escape, plain(shown).split("…")))
    return re.fullmatch(pattern, plain(line)) is not None


def commands(text: str) -> tuple[list[str], list[list[str]]]:
    """What is typed in, and what is seen of each."""
    typed: list[str] = []
    shown: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            typed.append(line[2:])
            shown.append([])
        else:
            shown[-1].append(line)
    return typed, shown


def inline_commands(text: str) -> Iterator[str]:
    """The command lines within sentences."""
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`]+)`", outside):
        yield from re.findall(r"(?:^|\| )(trickle [^|;]+)", " ".join(code.split()))
