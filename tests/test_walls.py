"""The walls of the house: which part may import which. See docs/architecture.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "trickle_cli"

#: What each part may import of the others, besides itself and `errors`.
ALLOWED = {
    "start": {"__main__"},
    "__main__": {"commands", "version"},
    "commands": {
        "access",
        "client",
        "display",
        "outputs",
        "protocol",
        "recording",
        "server",
        "splitters",
        "statistics",
        "stdio",
        "times",
    },
    "display": {"statistics", "times"},
    "server": {"access", "protocol", "relay", "statistics", "times", "version"},
    "access": set(),
    "client": {"protocol", "statistics"},
    "relay": {"protocol"},
    "outputs": {"stdio", "times"},
    "recording": set(),
    "splitters": set(),
    "protocol": set(),
    "stdio": set(),
    "statistics": set(),
    "errors": set(),
    "times": set(),
    "version": set(),
    # What there is for users, imported when it is asked for.
    "__init__": {
        "access",
        "client",
        "protocol",
        "relay",
        "server",
        "statistics",
        "version",
    },
}

#: Parts that compute and nothing else: no I/O, no clock, no logging.
PURE = {"protocol", "splitters", "errors", "statistics", "times"}
IMPURE = {
    "asyncio",
    "httpx",
    "logging",
    "os",
    "select",
    "socket",
    "sys",
    "time",
    "trio",
}

#: Parts that must not know of each other's world.
FOREIGN = {
    "relay": {"httptools", "httpx", "socket"},
    "server": {"httptools", "httpx"},
    "client": {"httptools"},
}


def modules() -> Iterator[tuple[str, Path]]:
    """Each file, with the part of the house that it is in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).parts[0]
        yield part.removesuffix(".py"), path


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """The modules that a file imports, wherever in it, and whether at its top, which
    imports for a type checker are."""
    tree = ast.parse(path.read_text())
    top = set(map(id, tree.body))
    for part in tree.body:
        if isinstance(part, ast.If) and ast.unparse(part.test) == "TYPE_CHECKING":
            top.update(map(id, part.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield str(node.module), id(node) in top
            for alias in node.names:
                yield f"{node.module}.{alias.name}", id(node) in top


def part_of(module: str) -> str | None:
    """The part of our house that `module` is in, if it is ours."""
    root, _, rest = module.partition(".")
    if root != "trickle_cli":
        return None
    part = rest.partition(".")[0]
    is_part = (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").exists()
    return part if part and is_part else None


@pytest.mark.parametrize("part", ALLOWED)
def test_a_part_imports_only_what_lies_below_it(part: str) -> None:
    for home, path in modules():
        if home == part:
            for module, _ in imports(path):
                other = part_of(module)
                allowed = ALLOWED[part] | {part, "errors", None}
                assert other in allowed, f"{path}: {module}"


def test_every_part_is_in_the_table() -> None:
    assert {part for part, _ in modules()} == set(ALLOWED)


def test_the_table_has_no_cycles() -> None:
    left = dict(ALLOWED)
    while left:
        ready = {part for part, below in left.items() if not below & set(left)}
        assert ready, f"a cycle among {sorted(left)}"
        for part in ready:
            del left[part]


def test_pure_parts_do_no_io() -> None:
    for part, path in modules():
        if part in PURE:
            for module, _ in imports(path):
                assert module.partition(".")[0] not in IMPURE, f"{path}: {module}"


def test_foreign_libraries_stay_behind_their_wall() -> None:
    for part, path in modules():
        for module, _ in imports(path):
            foreign = FOREIGN.get(part, set())
            assert module.partition(".")[0] not in foreign, f"{path}: {module}"


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """Not for a type checker, either; what a function imports is another matter."""
    graph: dict[str, set[str]] = {}
    for _, path in modules():
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        name = name.removesuffix(".__init__")
        graph[name] = {module for module, at_top in imports(path) if at_top}
    for name, found in graph.items():
        graph[name] = (found & set(graph)) - {name}
    while graph:
        ready = {name for name, below in graph.items() if not below & set(graph)}
        assert ready, f"a circle among {sorted(graph)}"
        for name in ready:
            del graph[name]


def test_only_the_three_boundaries_catch_everything() -> None:
    found = set()
    for _, path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "everything"
                if caught in {"Exception", "everything"}:
                    found.add(path.relative_to(PACKAGE).as_posix())
    assert found == {
        "commands/running.py",
        "server/connection.py",
        "server/consultation.py",  # what a hook raises is its owner's
    }
