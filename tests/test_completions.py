"""Completion, in the shells that are there, as somebody at a terminal has it."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from tests.commands.conftest import common as common, nowhere as nowhere
from tests.commands.programs import PATIENCE, TRICKLE, Http, Programs, environment
from trickle_cli.commands.listing import PATIENCE as LISTING_PATIENCE
from trickle_cli.commands.table import COMMANDS as TABLE

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "completions"

#: Names that mean something to shells, or to readline, and beginnings to type.
ODD = {
    "with space": ("wi", "with\\ ", "'with s", '"with s'),
    "it's": ("it", "it\\'", '"it', "'it"),
    'say "x"': ("sa", 'say\\ \\"', "'say ", '"say '),
    "a:b:c": ("a:", "a:b", "a:b:", "a\\:b", "'a:b"),
    "a=b": ("a=", "'a="),
    "pay $HOME": ("pa", "pay\\ \\$", "'pay $", '"pay'),
    "b`id`": ("b", "'b`", '"b'),
    "c\\d": ("c\\\\", '"c\\\\'),
    "café": ("caf", "'caf"),
    "x&y;z|": ("x", "x\\&", "'x&y;"),
    "h!ot": ("h", '"h', "'h!"),
    "star*?": ("st", '"st'),
    "~tilde": ("\\~", "'~t"),
    "#hash": ("\\#", "'#"),
    "{a,b}": ("\\{a", "'{a,"),
    "[q]": ("\\[", "'[q"),
    "<in>": ("\\<", "'<i"),
    "%1 (x)": ("%1", "'%1 ("),
}


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """In which `trickle` completes as ours does, and else notes what it was given; and
    a home without anybody's habits, where no file is taken for a completion."""
    command = tmp_path / "bin" / "trickle"
    command.parent.mkdir()
    command.write_text(
        f"""#!/bin/sh
[ -z "$_TRICKLE_COMPLETE" ] || exec {shlex.join(TRICKLE)} "$@"
printf '%s\\0' "$@" > "$HOME/given"
echo "it r"an
"""
    )
    command.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    return environment(
        PATH=path, HOME=str(home), SCRIPTS=str(SCRIPTS), TERM="xterm", COLUMNS="200"
    )


@pytest.fixture(scope="module")
def odd() -> Iterator[Http]:
    """A server with oddly named channels, and a plain one."""
    programs = Programs()
    http = programs.serve(*(f"--channel={n}=" for n in ("plain", *ODD) if "=" not in n))
    http[1].make("a%3Db")
    yield http[1]
    programs.kill()


def test_the_scripts_are_what_the_command_makes_of_itself(tmp_path: Path) -> None:
    script = str(ROOT / "scripts" / "completions")
    subprocess.run([script, str(tmp_path), *TRICKLE], check=True, timeout=PATIENCE)
    fresh, committed = (
        {path.name: path.read_text() for path in folder.iterdir()}
        for folder in (tmp_path, SCRIPTS)
    )
    assert fresh == committed


def test_it_asks_for_the_shell_and_guesses_which(env: dict[str, str]) -> None:
    for shell, told in {
        "/bin/zsh": "trickle completion zsh\n",
        "/bin/ksh": "trickle completion bash, zsh or fish\n",
    }.items():
        done = subprocess.run(
            [*TRICKLE, "completion"],
            env=env | {"SHELL": shell},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.endswith(told)
        assert done.stderr.count("\n") == 1


# What shells are answered.


def ask(shell: str, *words: str, **env: str) -> list[str]:
    """What there is to go on with, after what sort it is."""
    done = subprocess.run(
        [*TRICKLE, *words],
        env=environment(**env, _TRICKLE_COMPLETE=shell),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


BREAKS = " \t\n\"'@><=;|&(:"
COMMANDS = ["commands", *TABLE]
LINES = {
    "trickle ": COMMANDS,
    "trickle w": ["commands", *(name for name in TABLE if name.startswith("w"))],
    "trickle x": ["commands"],
    "trickle x ": ["values"],
    "trickle --vers": ["options", "--version"],
    "trickle sub --fr": ["options", "--from"],
    "trickle sub --from oldest --fr": ["options"],
    "trickle sub -H a:b --hea": ["options", "--header"],
    "trickle sub --on-gap ": ["values", "skip", "fail"],
    "trickle sub --on-gap=f": ["values", "fail"],
    "trickle sub -q --on-gap s": ["values", "skip"],
    "trickle sub --from o": ["values", "oldest"],
    "trickle sub --retry-for ": ["values"],
    "trickle sub --output ": ["files"],
    "trickle sub -qo ": ["files"],
    "trickle sub --token-file=": ["files"],
    "trickle sub cam > ": ["files"],
    "trickle sub cam 2> log --fr": ["options", "--from"],
    "trickle info cam ": ["values"],
    "trickle sub cam ": ["channels"],
    "trickle pub cam ": ["files"],
    "trickle serve --data-dir ": ["directories"],
    "trickle serve --port ": ["values"],
    "trickle serve --no-c": ["options", "--no-create", "--no-changefeed"],
    "trickle token ": ["commands", "new", "sign", "verify"],
    "trickle token new --m": ["options", "--may"],
    "trickle completion ": ["values", "bash", "zsh", "fish"],
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_goes_on_with_what_may_follow(line: str) -> None:
    assert set(ask("bash", line, BREAKS)) == set(LINES[line])
    if not any(character in line for character in "<>"):
        *words, last = line.split(" ")[1:]
        sort, *items = ask("fish", *words, last)
        assert sort == LINES[line][0]
        values = {item.partition("\t")[0].rpartition("=")[2] for item in items}
        assert set(LINES[line][1:]) <= values


def test_each_shell_is_told_what_things_are() -> None:
    assert "sub\tReceive a channel." in ask("fish", "")
    assert "sub:Receive a channel." in ask("zsh", "")


# The names of channels.


def test_names_come_from_the_server_that_the_line_is_for(
    odd: Http, nowhere: str
) -> None:
    line = ("sub", "-s", odd.url, "")
    sort, *items = ask("fish", *line, TRICKLE_SERVER=nowhere)
    assert sort == "channels"
    assert {item.partition("\t")[0] for item in items} >= {"plain", *ODD}
    assert "plain\tapplication/octet-stream, 0 segments" in items
    assert ask("fish", "watch", "", TRICKLE_SERVER=odd.url) == [sort, *items]
    assert ask("fish", "pub", f"--server={odd.url}", "") == [sort, *items]
    assert ask("fish", "pub", "--token", "a", "") == ["channels"]  # of nowhere


def test_a_url_goes_on_with_the_names_on_its_server(odd: Http) -> None:
    _, *items = ask("fish", "sub", f"{odd.url}/pl")
    urls = {item.partition("\t")[0] for item in items}
    assert {f"{odd.url}/plain", f"{odd.url}/with%20space"} <= urls


def test_a_name_that_looks_like_an_option_comes_after_two_dashes(
    common: Http,
) -> None:
    common.make("-dashed")
    line = ("sub", "-s", common.url)
    dashed = "-dashed\ttext/plain, 0 segments"
    assert dashed not in ask("fish", *line, "")
    assert dashed in ask("fish", *line, "--", "")


def test_names_come_over_unix_sockets_tls_and_with_tokens(tmp_path: Path) -> None:
    programs = Programs()
    try:
        path = str(tmp_path / "sock")
        programs.start(
            "serve", "--uds", path, "--channel", "near", "--no-changefeed"
        ).says("listening")
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "it.pem")
        made = programs.run("token", "new", "--may", "list,subscribe")
        (tmp_path / "tokens").write_text(made.err)
        secure = programs.start(
            *("serve", "--port", "0", "--cert", str(tmp_path / "it.pem")),
            *("--tokens", str(tmp_path / "tokens"), "--channel", "secret"),
        )
        url = secure.says("listening on").rpartition(" ")[2]
        near = ask("fish", "sub", "-s", f"unix:{path}", "")
        assert near[-1:] == ["near\tapplication/octet-stream, 0 segments"]
        line = ("sub", "-s", url, "--cacert", str(tmp_path / "ca.pem"))
        assert ask("fish", *line, "") == ["channels"]
        known = ask("fish", *line, "", TRICKLE_TOKEN=made.out.decode().strip())
        assert known[-1:] == ["secret\tapplication/octet-stream, 0 segments"]
    finally:
        programs.kill()


def test_contexts_are_names_and_servers_to_ask(tmp_path: Path) -> None:
    programs = Programs()
    try:
        _, near = programs.serve("--channel", "near", "--no-changefeed")
        _, far = programs.serve("--channel", "far", "--no-changefeed")
        home = {"XDG_CONFIG_HOME": str(tmp_path)}
        for name, http in (("one", near), ("two", far)):
            added = ("context", "add", name, "--server", http.url)
            assert programs.start(*added, **home).ends() == 0

        def answer(*words: str) -> list[str]:
            return [line.partition("\t")[0] for line in ask("fish", *words, **home)[1:]]

        assert answer("context", "use", "") == ["one", "two"]
        assert answer("sub", "--context", "") == ["one", "two"]
        assert answer("sub", "") == ["near"]
        assert answer("sub", "--context", "two", "") == ["far"]
        assert answer("sub", "-s", far.url, "") == ["far"]
    finally:
        programs.kill()


def test_names_come_from_the_server_of_a_context_and_no_other_gets_its_token(
    tmp_path: Path,
) -> None:
    (tmp_path / "trickle").mkdir()
    heard: list[bytes] = []
    said = listing('{"channels": [{"name": "here"}]}')
    with answering(said, heard) as url, answering(said, heard) as other:
        mine = {"server": url, "token": "secret"}
        content = {"current": "mine", "contexts": {"mine": mine}}
        (tmp_path / "trickle" / "contexts.json").write_text(json.dumps(content))
        home = {"XDG_CONFIG_HOME": str(tmp_path)}
        for words in (["sub", ""], ["sub", f"{url}/"], ["ls", "-s", url, ""]):
            ask("fish", *words, **home)
        assert len(heard) == 2  # a pattern is no channel
        assert all(b"Bearer secret" in request for request in heard)
        heard.clear()
        for words in (["sub", f"{other}/"], ["sub", "-s", other, ""]):
            assert ask("fish", *words, **home)[1:]
        assert len(heard) == 2
        assert not any(b"secret" in request for request in heard)


@contextmanager
def answering(said: bytes, heard: list[bytes] | None = None) -> Iterator[str]:
    """The URL of a server that says `said`, whatever it is asked, and no more. What it
    is asked is in `heard`."""
    heard = [] if heard is None else heard
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    held.append(listener.accept()[0])
                    heard.append(held[-1].recv(65536))
                    held[-1].sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
    for connection in held:
        connection.close()


def listing(text: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


ANSWERS = {
    "nothing": b"",
    "half an answer": listing('{"channels": [{"name": "half"}]}')[:-1],
    "no answer": b"SSH-2.0-OpenSSH_9.2\r\n",
    "no list": listing("<html>"),
    "another list": listing("[1, 2]"),
    "not found": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS)
def test_a_server_that_does_not_tell_is_passed_over_in_silence(said: bytes) -> None:
    with answering(said) as url:
        for shell in ("zsh", "fish"):
            assert ask(shell, "sub", "-s", url, "") == ["channels"]
        assert ask("bash", f"trickle sub -s {url} ", BREAKS) == ["channels"]


def test_nobody_waits_for_names_longer_than_promised(nowhere: str) -> None:
    """At best, of several times: what else runs here may hold us up."""

    def spend(url: str) -> float:
        began = time.monotonic()
        assert ask("fish", "sub", "-s", url, "") == ["channels"]
        return time.monotonic() - began

    with answering(b"HTTP/1.1 200 OK\r\n") as url:
        took = [(spend(url), spend(nowhere)) for _ in range(7)]  # in the same noise
        with_it, without = map(min, zip(*took, strict=True))
        more = with_it - without
    assert 0.5 <= more / LISTING_PATIENCE <= 1.3


def test_names_that_could_command_a_terminal_are_passed_over() -> None:
    names = ["good", "bad\n", "\x1b[2J", "\u202egood", "a/b", "", ".."]
    text = json.dumps({"channels": [{"name": name} for name in names]})
    with answering(listing(text)) as url:
        _, *items = ask("fish", "sub", "-s", url, "")
        assert [item.partition("\t")[0] for item in items] == ["good"]


@pytest.mark.parametrize(
    "url", ["nonsense", "http://", "unix:/nowhere", "https://[", ""]
)
def test_an_address_that_leads_nowhere_is_passed_over_in_silence(url: str) -> None:
    assert ask("fish", "sub", "-s", url, "") == ["channels"]
    assert ask("fish", "sub", "--key", "a", "-s", url, "") in ([], ["channels"])


# In the shells.


class Shell:
    """An interactive one, for the person in front of the terminal."""

    def __init__(self, descriptor: int, home: Path) -> None:
        self._descriptor = descriptor
        self._given = home / "given"
        self._said = b""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def says(self, text: str) -> str:
        """Wait for `text`; what it said from there back to what was waited for."""
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self._said:
            left = max(0, deadline - time.monotonic())
            ready, _, _ = select.select([self._descriptor], [], [], left)
            assert ready, self._said
            self._said += os.read(self._descriptor, 4096)
        before, _, self._said = self._said.partition(text.encode())
        return before.decode(errors="replace")

    def runs(self, line: str) -> list[str]:
        """What `trickle` is given if `line` is typed, with tabs in it."""
        self.type(f"{line}\r")
        self.says("it ran")
        *words, _ = self._given.read_text().split("\0")
        return words

    def gets(self, wanted: list[str], line: str) -> bool:
        """As `runs`, for a line with channels: where much else runs, a server may not
        answer in time, and Tab does nothing; so who wants them presses it again."""
        return any(self.runs(line) == wanted for _ in range(5))


STARTS = {
    "bash": (
        ("bash", "--rcfile", ".bashrc", "-i"),
        ".bashrc",
        "PS1='> '; source $SCRIPTS/trickle.bash",
    ),
    "zsh": (
        ("zsh", "-d", "-i"),
        ".zshrc",
        "PS1='> '; fpath=($SCRIPTS $fpath); autoload -Uz compinit; compinit -u -D",
    ),
    "fish": (
        ("fish", "-i"),
        ".config/fish/config.fish",
        "function fish_prompt; echo '> '; end; set fish_greeting\n"
        "set fish_complete_path $SCRIPTS $fish_complete_path",
    ),
}


@contextmanager
def terminal(shell: str, env: dict[str, str]) -> Iterator[Shell]:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    command, path, setup = STARTS[shell]
    home = Path(env["HOME"])
    (home / path).parent.mkdir(parents=True, exist_ok=True)
    (home / path).write_text(f"{setup}\n")
    child, descriptor = pty.fork()
    if child == 0:
        os.chdir(home)
        os.execvpe(command[0], command, env)
    try:
        person = Shell(descriptor, home)
        person.says("> ")
        yield person
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(descriptor)


@pytest.fixture(params=STARTS)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_shell_completes_commands_options_and_values(
    shell: str, env: dict[str, str]
) -> None:
    (Path(env["HOME"]) / "a file.ts").touch()
    (Path(env["HOME"]) / "folder").mkdir()
    with terminal(shell, env) as person:
        assert person.runs("trickle wat\t") == ["watch"]
        assert person.runs("trickle tok\tver\t--to\tx") == [
            *("token", "verify", "--tokens", "x")
        ]
        assert person.runs("trickle sub --fr\told\t") == ["sub", "--from", "oldest"]
        assert person.runs("trickle sub --from=old\t") == ["sub", "--from=oldest"]
        assert person.runs("trickle sub --output a\tb") == [
            *("sub", "--output", "a file.ts", "b")
        ]
        assert person.runs("trickle sub --output=a\tb") == [
            *("sub", "--output=a file.ts", "b")
        ]
        assert person.runs("trickle serve --data-dir f\t")[-1].strip("/") == "folder"
        assert person.runs("A=b trickle wat\t-q 2> /dev/nul\t") == ["watch", "-q"]
        assert person.runs("trickle serve --port f\t") == ["serve", "--port", "f"]


def test_a_shell_lists_channels(shell: str, env: dict[str, str], odd: Http) -> None:
    with terminal(shell, env) as person:
        person.type(f"trickle sub -s {odd.url} \t\t")
        person.says("plain")


@pytest.mark.parametrize("channel", ["cam", "http:", "'"])
def test_a_shell_goes_on_as_before_where_no_server_answers(
    channel: str, shell: str, env: dict[str, str], nowhere: str
) -> None:
    with answering(b"") as url, terminal(shell, env) as person:
        for server in (url, nowhere):
            begun = f"trickle sub -s {server} {channel}"
            end = channel if channel == "'" else ""
            wanted = ["sub", "-s", server, channel.strip("'") + "more"]
            assert person.runs(f"{begun}\tmore{end}") == wanted


def test_a_shell_quotes_names(shell: str, env: dict[str, str], odd: Http) -> None:
    with terminal(shell, env) as person:
        for name, beginnings in ODD.items():
            for begun in beginnings:
                wanted = ["sub", "-s", odd.url, name]
                assert person.gets(wanted, f"trickle sub -s {odd.url} {begun}\t")
