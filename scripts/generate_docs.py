"""Write the pages about commands from the commands themselves: docs/commands/*.md for
a browser, man/*.1 for man. The argument is the folder that both lie in.

What is told is what `--help` tells; to change a page, change the command.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from trickle_cli.__main__ import app
from trickle_cli.commands.connecting import connecting
from trickle_cli.commands.limiting import limiting
from trickle_cli.commands.securing import securing
from trickle_cli.commands.talking import talking

#: Options that several commands take, under headings of their own.
GROUPS = {
    "The server": frozenset(inspect.signature(connecting).parameters),
    "Limits": frozenset(inspect.signature(limiting).parameters),
    "Access": frozenset(inspect.signature(securing).parameters),
    "What it tells": frozenset(inspect.signature(talking).parameters),
}
#: What is to be typed, in a text: a quoted word, an option, a word with signs in it.
CODE = re.compile(
    r"""(?<!\S)(\(?)
    (?: '(?P<quoted>[^\s']+)'
      | (?P<plain>-{1,2}[A-Za-z][\w-]* | [^\s'"]*[*_<>{}|$][^\s'"]*?))
    (?=[).,;:]*(?:\s|$))""",
    re.VERBOSE,
)
#: How typer writes ranges, and how we do.
RANGES = {
    r"(-?[\d.]+)<=x<=(-?[\d.]+)": r"\1 to \2",
    r"x>=0": "",
    r"x>=(-?[\d.]+)": r"at least \1",
    r"x<=(-?[\d.]+)": r"at most \1",
}
NOTE = "made by scripts/docs from what the command says of itself"


@dataclass(frozen=True, kw_only=True)
class Row:
    """An argument or an option, as it is written, and what there is to say of it."""

    name: str
    written: str
    help: str
    default: str = ""
    variable: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What there is to say of a command."""

    path: str
    summary: str
    usage: str
    paragraphs: list[str]
    arguments: list[Row]
    options: dict[str, list[Row]]
    examples: list[tuple[str, str]]  # what it does, and how
    commands: list[Page]


# Reading.


def read(command: Any, parent: Any, name: str) -> Page:
    """The page of `command`."""
    settings = command.context_settings
    context = typer.Context(command, info_name=name, parent=parent, **settings)
    parameters = [
        p for p in command.get_params(context) if not getattr(p, "hidden", False)
    ]
    arguments = [
        read_argument(parameter, context)
        for parameter in parameters
        if parameter.param_type_name == "argument"
    ]
    options = [
        read_row(parameter, context)
        for parameter in parameters
        if parameter.param_type_name == "option"
        and (parameter.name != "help" or parent is None)
    ]
    is_group = hasattr(command, "list_commands")
    pieces = ["[OPTIONS]"] if options else []
    pieces += ["COMMAND"] if is_group else [row.written for row in arguments]
    names = command.list_commands(context) if is_group else []
    commands = [read(command.get_command(context, n), context, n) for n in names]
    told = {example for page in commands for example in page.examples}
    return Page(
        path=context.command_path,
        summary=command.get_short_help_str(200),
        usage=" ".join([context.command_path, *pieces]),
        paragraphs=[" ".join(p.split()) for p in (command.help or "").split("\n\n")],
        arguments=arguments,
        options=sort_options(options),
        examples=[e for e in read_examples(command.epilog or "") if e not in told],
        commands=commands,
    )


def read_row(parameter: Any, context: Any) -> Row:
    written, text = parameter.get_help_record(context)
    text, _, extra = text.removesuffix("]").partition("  [")
    told = {"default": "", "env var": ""}
    notes = []
    for part in extra.split("; ") if extra else []:
        key, colon, value = part.partition(": ")
        if colon and key in told:
            told[key] = value
        else:
            for range_, words in RANGES.items():
                part = re.sub(f"^{range_}$", words, part)
            notes += [f"{part.capitalize()}."] if part else []
    return Row(
        name=parameter.name,
        written=re.sub(r"<(.*\|.*)>", r"\1", written),  # a choice
        help=" ".join([text, *notes]),
        default=told["default"],
        variable=told["env var"],
    )


def read_argument(parameter: Any, context: Any) -> Row:
    row = read_row(parameter, context)
    choice = row.written.split()[-1]
    name = choice if "|" in choice else parameter.metavar or parameter.name.upper()
    name = name.removesuffix("...") + ("…" if parameter.nargs == -1 else "")
    is_needed = parameter.required and not row.variable
    return Row(
        name=row.name,
        written=name if is_needed else f"[{name}]",
        help=row.help,
        default=row.default,
        variable=row.variable,
    )


def sort_options(rows: list[Row]) -> dict[str, list[Row]]:
    """Under headings: the command's own first."""
    names = {row.name for row in rows}
    groups = {head: group for head, group in GROUPS.items() if group <= names}
    shared = frozenset().union(*groups.values())
    found = {"Options": [row for row in rows if row.name not in shared]}
    for head, group in groups.items():
        found[head] = [row for row in rows if row.name in group]
    return {head: rows for head, rows in found.items() if rows}


def read_examples(epilog: str) -> Iterator[tuple[str, str]]:
    """Captions, and the indented lines below each."""
    caption, code = "", []
    for line in epilog.replace("\b", "").strip().splitlines():
        if line.startswith(" "):
            code.append(line.strip())
            continue
        if code:
            yield caption, "\n".join(code)
            caption, code = "", []
        line = re.sub(r"^Examples?,? *", "", line.strip())
        caption = f"{caption} {line[:1].upper()}{line[1:]}".strip()
    if code:
        yield caption, "\n".join(code)


def read_codes(page: Page) -> list[tuple[str, str]]:
    """The exit codes, which the help of all has in a sentence."""
    (text,) = (p for p in page.paragraphs if p.startswith("Exit codes: "))
    return re.findall(r"(\d+) ([^,.]+)", text)


# Markdown.


def markdown(text: str) -> str:
    return CODE.sub(r"\1`\g<quoted>\g<plain>`", text).replace("|", r"\|")


def code(text: str) -> str:
    return f"`{text}`".replace("|", r"\|") if text else ""


def markdown_table(heads: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Without the columns that nothing is in."""
    used = [i for i in range(len(heads)) if i == 0 or any(row[i] for row in rows)]
    for cells in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(cells[i] for i in used)} |"
    yield ""


def markdown_rows(head: str, rows: list[Row]) -> Iterator[str]:
    yield from markdown_table(
        [head, "", "default", "variable"],
        [
            [
                code(row.written),
                markdown(row.help),
                code(row.default),
                code(row.variable),
            ]
            for row in rows
        ],
    )


def markdown_body(page: Page, level: str) -> Iterator[str]:
    """All that is below the heading of `page`; headings in it are `level`."""
    yield from ("```", page.usage, "```", "")
    for paragraph in page.paragraphs:
        yield from (markdown(paragraph), "")
    if page.arguments:
        yield from (f"{level} Arguments", "")
        yield from markdown_rows("argument", page.arguments)
    for head, rows in page.options.items():
        yield from (f"{level} {head}", "")
        yield from markdown_rows("option", rows)
    for number, (caption, text) in enumerate(page.examples):
        yield from (f"{level} Example", "") if number == 0 else ()
        yield from (markdown(caption), "", "```sh", text, "```", "")


def markdown_page(page: Page) -> Iterator[str]:
    yield from (f"<!-- {NOTE} -->", "", f"# {page.path}", "")
    yield from markdown_body(page, "##")
    for command in page.commands:
        yield from (f"## {command.path}", "")
        yield from markdown_body(command, "###")
    yield "[All commands](README.md) · [exit codes](README.md#exit-codes)"


def markdown_index(root: Page) -> Iterator[str]:
    yield from (f"<!-- {NOTE} -->", "", "# Commands", "")
    yield from ("```", root.usage, "```", "")
    yield from (markdown(root.paragraphs[0]), "")
    rows = [
        [f"[{page.path}]({page.path.split()[-1]}.md)", markdown(page.summary)]
        for page in root.commands
    ]
    yield from markdown_table(["command", ""], rows)
    yield from markdown_rows("option", root.options["Options"])
    for caption, text in root.examples:
        yield from (markdown(caption), "", "```sh", text, "```", "")
    yield from ("## Exit codes", "")
    yield from markdown_table(["code", ""], [list(row) for row in read_codes(root)])
    yield from ("## Variables", "")
    yield "An option or an argument on the line goes before its variable."
    yield ""
    yield from markdown_table(["variable", "for", "of"], list(variables(root)))


def variables(root: Page) -> Iterator[list[str]]:
    """Each, with what it stands for and the commands that heed it."""
    found: dict[tuple[str, str], list[str]] = {}
    for page in root.commands:
        for part in (page, *page.commands):
            rows = [*part.arguments, *(r for o in part.options.values() for r in o)]
            for row in rows:
                names = re.findall(r"--[\w-]+", row.written) or [
                    row.written.strip("[]")
                ]
                found.setdefault((row.variable, names[0]), []).append(part.path)
    for (variable, name), paths in sorted(found.items()):
        if variable:
            short = ", ".join(path.removeprefix("trickle ") for path in paths)
            yield [code(variable), code(name), short]


# Manual pages.


def roff(text: str, *, literal: bool = False) -> str:
    """`text`, so that it is printed as it is."""
    text = text.replace("\\", "\\e")
    if literal:
        signs = {"-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}
        text = "".join(signs.get(character, character) for character in text)
    text = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in text)
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def roff_text(text: str) -> str:
    """`text` with what is to be typed in bold."""
    found, end = [], 0
    for match in CODE.finditer(text):
        found.append(roff(text[end : match.start()] + match[1]))
        word = match["quoted"] or match["plain"]
        found.append(f"\\fB{roff(word, literal=True)}\\fR")
        end = match.end()
    found.append(roff(text[end:]))
    return re.sub(r"^(?=[.'])", r"\\&", "".join(found))


def roff_rows(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        yield from (".TP", f".B {roff(row.written, literal=True)}", roff_text(row.help))
        extra = [f"Default: {row.default}."] if row.default else []
        extra += [f"Variable: {row.variable}."] if row.variable else []
        if extra:
            yield from (".br", roff(" ".join(extra), literal=True))


def roff_body(page: Page, section: str) -> Iterator[str]:
    """All of `page` below its name; `section` begins a part of it."""
    for number, paragraph in enumerate(page.paragraphs):
        yield from (".PP",) if number else ()
        yield roff_text(paragraph)
    if page.arguments:
        yield f'{section} "Arguments"'
        yield from roff_rows(page.arguments)
    for head, rows in page.options.items():
        yield f'{section} "{head}"'
        yield from roff_rows(rows)
    for number, (caption, text) in enumerate(page.examples):
        yield from (f'{section} "Example"',) if number == 0 else (".PP",)
        yield from (roff_text(caption), ".PP", ".nf", ".RS 4")
        yield from (roff(text, literal=True), ".RE", ".fi")


def roff_head(page: Page, name: str) -> Iterator[str]:
    summary = page.summary.removesuffix(".")
    yield f'.\\" {NOTE}'
    yield f'.TH {roff(name.upper(), literal=True)} 1 "" "trickle" "User Commands"'
    yield ".SH NAME"
    yield f"{roff(name, literal=True)} \\- {roff(summary[:1].lower() + summary[1:])}"
    yield from (".SH SYNOPSIS", f".B {roff(page.usage, literal=True)}")
    yield ".SH DESCRIPTION"


def roff_page(page: Page) -> Iterator[str]:
    yield from roff_head(page, page.path.replace(" ", "-"))
    body = list(roff_body(page, ".SH"))
    yield from (line.upper() if line.startswith(".SH") else line for line in body)
    for command in page.commands:
        yield f'.SH "{command.path.upper()}"'
        yield from (f".B {roff(command.usage, literal=True)}", ".PP")
        yield from roff_body(command, ".SS")
    yield from (".SH EXIT STATUS", "See trickle(1).")
    yield from (".SH SEE ALSO", "trickle(1)")


def roff_index(root: Page) -> Iterator[str]:
    yield from roff_head(root, root.path)
    yield roff_text(root.paragraphs[0])
    yield ".SH COMMANDS"
    for page in root.commands:
        name = roff(page.path.replace(" ", "-"), literal=True)
        yield from (".TP", f".BR {name} (1)", roff_text(page.summary))
    yield ".SH OPTIONS"
    yield from roff_rows(root.options["Options"])
    for caption, text in root.examples:
        yield from (".SH EXAMPLE", roff_text(caption), ".PP", ".nf", ".RS 4")
        yield from (roff(text, literal=True), ".RE", ".fi")
    yield ".SH EXIT STATUS"
    for number, meaning in read_codes(root):
        yield from (".TP", f".B {number}", roff(meaning))


# Writing.


def write(folder: Path, pages: dict[str, Iterator[str]]) -> None:
    """`pages` into `folder`, and nothing else of their kind."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in pages:
            path.unlink()
    for name, lines in pages.items():
        (folder / name).write_text("\n".join(lines).strip() + "\n")


def main(folder: Path) -> None:
    root = read(typer.main.get_command(app), None, "trickle")
    documents = {"README.md": markdown_index(root)}
    manuals = {"trickle.1": roff_index(root)}
    for page in root.commands:
        name = page.path.split()[-1]
        documents[f"{name}.md"] = markdown_page(page)
        manuals[f"trickle-{name}.1"] = roff_page(page)
    write(folder / "docs" / "commands", documents)
    write(folder / "man", manuals)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
