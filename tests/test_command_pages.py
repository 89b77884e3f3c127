"""The pages about commands, for browsers and for man, are those of the commands."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands.programs import environment
from trickle_cli.commands.table import COMMANDS, load

ROOT = Path(__file__).parent.parent
FOLDERS = ("docs/commands", "man")


def pages(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text()
        for folder in FOLDERS
        for path in sorted((root / folder).iterdir())
    }


PAGES = pages(ROOT)


def test_they_are_what_scripts_docs_makes(tmp_path: Path) -> None:
    program = [sys.executable, str(ROOT / "scripts/generate_docs.py"), str(tmp_path)]
    subprocess.run(program, env=environment(PYTHONPATH=str(ROOT)), check=True)
    fresh = pages(tmp_path)
    assert fresh.keys() == PAGES.keys(), "run scripts/docs"
    for name, text in fresh.items():
        assert PAGES[name] == text, "run scripts/docs"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_variable_of_a_command_is_told(name: str) -> None:
    command: Any = load(name)
    page = PAGES[f"docs/commands/{name}.md"]
    manual = PAGES[f"man/trickle-{name}.1"].replace("\\-", "-")
    for part in (command, *getattr(command, "commands", {}).values()):
        for parameter in part.params:
            wanted = [*parameter.opts, *parameter.secondary_opts]
            if parameter.param_type_name == "argument":
                metavar = (parameter.metavar or "").removesuffix("...")
                wanted = [metavar] if metavar else []
            for text in (*wanted, *([parameter.envvar] if parameter.envvar else [])):
                assert text in page
                assert text in manual


def test_links_lead_somewhere() -> None:
    for name, text in PAGES.items():
        for target, _, anchor in re.findall(r"\]\(([^)#]+)(#([^)]+))?\)", text):
            linked = (ROOT / name).parent / target
            assert linked.exists(), target
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            assert not anchor or anchor in {
                h.lower().replace(" ", "-") for h in headings
            }


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("man/")])
def test_man_can_show_them(name: str) -> None:
    if shutil.which("groff") is None:
        pytest.skip("there is no groff")
    done = subprocess.run(
        ["groff", "-ww", "-man", "-Tutf8", "-P-cbou", str(ROOT / name)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert PAGES[name].count(".SH") > 3
    lines = done.stdout.splitlines()
    assert not [line for line in lines if re.search(r"\\[f&(e]|^\.", line)]
