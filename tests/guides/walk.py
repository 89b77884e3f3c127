"""Goes through the steps of a guide as somebody would who types them in."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Final

import imageio_ffmpeg

from tests.commands.programs import Http, environment, wait_until
from tests.guides.shell import MARK, Shell
from tests.guides.steps import Step, commands, fits, plain

#: Writes that mark, and leaves `$?` as it is.
_NEXT: Final = f"next_one() {{ local s=$?; printf '{MARK}\\n'; return $s; }}\n"
#: What says that a script which goes on has come to where others can go on.
_READY: Final = re.compile(
    r"publishing to|yet; waiting|listening on|recording |reading from"
)
#: What is made quicker: nobody watches the pictures.
_QUICKER: Final = {" -re ": " ", "sleep 1;": "sleep 0.1;", "sleep 1 ": "sleep 0.1 "}


class Walk:
    """Goes through the steps of a section in `folder`. Ports that a guide names are
    those in `ports`; `port` is what the commands take for the usual one."""

    def __init__(self, folder: Path, tools: Path, ports: dict[str, int]) -> None:
        self._folder = folder / "work"
        self._scripts = folder / "scripts"
        for made in (self._folder, self._scripts):
            made.mkdir()
        self._ports = ports
        self._shells: list[Shell] = []
        self._by_name: dict[str, Shell] = {}
        self._waiting: list[Shell] = []
        self._later: dict[str, Step] = {}
        self._env = environment(
            PATH=f"{tools}{os.pathsep}{os.environ['PATH']}",
            HOME=str(folder),
            XDG_CONFIG_HOME=str(folder / "config"),
            PORT=str(ports["2939"]),
            COLUMNS="",
        )
        self._env.pop("COLUMNS")

    def take(self, steps: list[Step]) -> None:
        """All of them, one after the other."""
        for step in steps:
            if step.reason is None:
                self._take(step)
        self._finish()

    def kill(self) -> None:
        for shell in reversed(self._shells):
            shell.kill()

    def _take(self, step: Step) -> None:
        if name := step.value("file: "):
            (self._folder / name).write_text(step.text)
        elif name := step.value("now: "):
            self._run(self._later.pop(name))
        elif names := step.value("makes: "):
            self._finish()
            for name in names.split():
                path = self._folder / name
                wait_until(lambda: path.exists() and path.stat().st_size, path.__str__)  # noqa: B023
        elif wanted := step.value("until: "):
            self._wait_for_segments(wanted)
        elif step.marks == "kill":
            next(s for s in reversed(self._shells) if " serve " in s.script).kill()
        elif step.has("later"):
            self._later[step.terminal] = step
        elif step.language in {"sh", "console"}:
            self._run(step)

    def _run(self, step: Step) -> None:
        if step.language == "sh":
            self._run_script(step)
        elif "$ " not in step.text:
            self._see(step)
        else:
            self._type_in(step)

    def _run_script(self, step: Step) -> None:
        shell = self._start(step, "set -euo pipefail\n" + step.text)
        if step.has("waits"):
            self._waiting.append(shell)
        if step.has("goes on") and not step.has("silent"):
            shell.wait_until(lambda: _READY.search(shell.text) or shell.has_ended)
            assert not shell.has_ended, shell.text
        elif not step.has("goes on"):
            assert shell.ends() == 0, (step.text, shell.text)

    def _type_in(self, step: Step) -> None:
        typed, shown = commands(step.text)
        script = _NEXT + "".join(f"next_one\n{command}\n" for command in typed)
        shell = self._start(step, script)
        if step.has("goes on"):
            shell.shows([self._numbered(line) for lines in shown for line in lines])
            return
        shell.ends()
        outputs = shell.outputs()
        assert len(outputs) == len(typed), shell.text
        for command, wanted, lines in zip(typed, shown, outputs, strict=True):
            seen = "\n".join(map(self._named, lines))
            assert len(lines) == len(wanted), f"{command}\n{seen}"
            for one, line in zip(wanted, map(self._named, lines), strict=True):
                assert fits(one, line), f"{command}\n{plain(one)}\n{plain(line)}"

    def _see(self, step: Step) -> None:
        shell = self._by_name[step.terminal]
        if step.has("Ctrl-C"):
            shell.interrupt()
        shell.shows([self._numbered(line) for line in step.text.splitlines()])
        if step.has("ends"):
            shell.ends()
            assert shell.rest() == [], shell.text

    def _start(self, step: Step, script: str) -> Shell:
        before = self._by_name.get(step.terminal) if step.terminal else None
        if before is not None and not before.has_ended:
            before.interrupt()
            before.ends()
        for slow, quick in _QUICKER.items():
            script = script.replace(slow, quick)
        path = self._scripts / f"{len(self._shells)}.sh"
        path.write_text(self._numbered(script))
        shell = Shell(path, self._folder, self._env)
        self._shells.append(shell)
        self._by_name[step.terminal] = shell
        return shell

    def _wait_for_segments(self, wanted: str) -> None:
        http = Http(f"http://127.0.0.1:{self._ports['2939']}")
        for pair in wanted.split(", "):
            name, count = pair.split()

            def is_there(name: str = name, count: int = int(count)) -> bool:
                status, body, _ = http.ask("GET", f"/{name}")
                return status == 200 and json.loads(body)["head"] >= count

            wait_until(is_there, lambda: wanted)

    def _finish(self) -> None:
        """Wait for those that were to end by now."""
        for shell in self._waiting:
            assert shell.ends() == 0, shell.text
        self._waiting.clear()

    def _numbered(self, text: str) -> str:
        """`text` with the ports that are really used."""
        for shown, port in self._ports.items():
            text = re.sub(rf"\b{shown}\b", str(port), text)
        return text

    def _named(self, text: str) -> str:
        """`text` with the ports as the guides have them."""
        for shown, port in self._ports.items():
            text = re.sub(rf"\b{port}\b", shown, text)
        return text


def make_tools(folder: Path) -> Path:
    """A folder with `ffmpeg`, and a `trickle` that takes $PORT for the usual one."""
    folder.mkdir()
    (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    program = folder / "usual_port.py"
    program.write_text(
        "import os\n"
        "import trickle_cli.protocol.names as names\n"
        "names.DEFAULT_PORT = int(os.environ['PORT'])\n"
        "names.DEFAULT_SERVER = f'http://127.0.0.1:{names.DEFAULT_PORT}'\n"
        "from trickle_cli.start import main\n"
        "main()\n"
    )
    trickle = folder / "trickle"
    trickle.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n')
    trickle.chmod(0o755)
    return folder
