"""Every command in the guides is run, and does what is shown there."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.commands.programs import Programs
from tests.guides.steps import Step, fits, inline_commands, sections
from tests.guides.walk import Walk, make_tools
from trickle_cli.commands.table import COMMANDS, load

DOCS = Path(__file__).parent.parent / "docs"
GUIDES = {
    name: (DOCS / f"{name}.md").read_text()
    for name in ("tutorial", "recipes", "troubleshooting")
}
#: The name of a guide, and the heading of a chapter in it.
Chapter = tuple[str, str]
TUTORIAL: Chapter = "tutorial", ""
HARDWARE: Chapter = "recipes", "hardware"
#: Chapters, each of which is walked through by itself. The tutorial is one.
CHAPTERS: dict[Chapter, list[Step]] = {
    (name, heading): steps
    for name, text in GUIDES.items()
    for heading, steps in sections(text).items()
    if name != "tutorial"
}
CHAPTERS[TUTORIAL] = [
    step for steps in sections(GUIDES["tutorial"]).values() for step in steps
]
#: Walked through at a time: most of what they do is to wait for processes to start.
AT_ONCE = 3
REASONS = {
    "it installs what the tests run in already",
    "needs a camera",
    "needs a screen",
    "needs systemd",
}
#: What is there in place of cameras and screens.
INSTEAD = {
    r"-f v4l2 .* -i /dev/video0": "-f lavfi -i testsrc2=duration=1",
    r"-f x11grab .* -i :0\.0": "-f lavfi -i testsrc2=duration=1",
    r"ffplay (.*) -$": r"ffmpeg -loglevel error -i - -f null -",
    r"trickle sub cam": "trickle sub --from oldest webcam",
}


@pytest.fixture(scope="module")
def walks(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Chapter, Future[None]]]:
    """What comes of the chapters for which there is a test to be run."""
    tools = make_tools(tmp_path_factory.mktemp("tools") / "bin")
    programs = Programs()
    ports = {
        guide: programs.serve("--autocreate")[1].address[1]
        for guide in ("recipes", "troubleshooting")
    }
    items: list[Any] = request.session.items
    chosen: list[Chapter] = [
        item.callspec.params["chapter"]
        for item in items
        if getattr(item, "originalname", "") == test_a_chapter.__name__
        if item.module is request.module
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            chapter: pool.submit(
                walk,
                CHAPTERS[chapter],
                tmp_path_factory.mktemp("walk"),
                tools,
                free_port() if serves(CHAPTERS[chapter]) else ports[chapter[0]],
            )
            for chapter in chosen
        }
        pool.shutdown(cancel_futures=True)
    programs.kill()


def serves(steps: list[Step]) -> bool:
    """Whether they begin a server on the usual port, one that goes on."""
    pattern = re.compile(r"trickle serve(?!.*--port)")
    return any(step.has("goes on") and pattern.search(step.text) for step in steps)


def walk(steps: list[Step], folder: Path, tools: Path, usual_port: int) -> None:
    ports = {"2939": usual_port, "2940": free_port(), "2941": free_port()}
    walk = Walk(folder, tools, ports)
    try:
        walk.take(steps)
    finally:
        walk.kill()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def unrun() -> list[Step]:
    return [
        step
        for text in GUIDES.values()
        for steps in sections(text).values()
        for step in steps
        if step.reason is not None
    ]


def with_test_pictures() -> Iterator[Step]:
    """What needs a camera or a screen, with something else in its place."""
    for step in unrun():
        text = step.text.replace("\\\n", "").replace("|\n", "|")
        for real, instead in INSTEAD.items():
            text = re.sub(real, instead, text, flags=re.MULTILINE)
        if step.reason in {"needs a camera", "needs a screen"}:
            assert text != step.text
            yield Step(marks="", language="sh", text=text)


CHAPTERS[HARDWARE] = sorted(
    with_test_pictures(), key=lambda step: "trickle sub" in step.text
)


@pytest.mark.parametrize("chapter", sorted(CHAPTERS), ids=": ".join)
def test_a_chapter(chapter: Chapter, walks: dict[Chapter, Future[None]]) -> None:
    steps = CHAPTERS[chapter]
    for tool in ("jq", "openssl"):
        if shutil.which(tool) is None and any(f"{tool} " in s.text for s in steps):
            pytest.skip(f"{tool} is not installed")
    walks[chapter].result()


def test_what_is_not_run_has_a_reason_that_is_known() -> None:
    assert {step.reason for step in unrun()} == REASONS
    assert len(CHAPTERS[HARDWARE]) == 4


@pytest.mark.parametrize(
    "line", sorted({line for text in GUIDES.values() for line in inline_commands(text)})
)
def test_every_command_in_a_sentence_is_one(line: str) -> None:
    _, name, *arguments = shlex.split(line.partition(">")[0].partition(" < ")[0])
    if arguments and name in COMMANDS:
        command: Any = load(name)
        command.make_context(name, arguments)
    else:  # that is only what it is called
        assert name in {"--help", "COMMAND", *COMMANDS}


def test_every_exit_code_has_a_chapter() -> None:
    from trickle_cli.commands.running import ExitCode

    headings = " ".join(sections(GUIDES["troubleshooting"]))
    told = {int(code) for code in re.findall(r"\b\d+\b", headings)}
    assert told == set(ExitCode) - {ExitCode.DONE}


@pytest.mark.parametrize(
    ("shown", "seen"),
    [
        (
            "sent 3 segments, 1.4 MiB in 9.6 s, 1.2 Mbit/s",
            "sent 3 segments, 901.2 KiB in 38 ms, 7 kbit/s",
        ),
        ("cam  video/mp2t  10  28s", "cam    video/mp2t  10  1m"),
        ("added … at …", "added cam at 9"),
        (
            '"started": "2026-01-01T12:00:00.000Z"',
            '"started": "2027-02-03T04:05:06.700Z"',
        ),
    ],
)
def test_what_is_different_each_time_fits(shown: str, seen: str) -> None:
    assert fits(shown, seen)


@pytest.mark.parametrize(
    ("shown", "seen"),
    [
        ("sent 3 segments, 27 B in 2 s", "sent 4 segments, 27 B in 2 s"),
        ("sent 3 segments, 27 B in 2 s", "sent 3 segments, 28 B in 2 s"),
        ("exit code 4", "exit code 3"),
        ("lost segments 0-9", "lost segments 0-8"),
        ("added …", "removed cam"),
    ],
)
def test_what_is_said_does_not(shown: str, seen: str) -> None:
    assert not fits(shown, seen)
