"""`trickle token`, and what its tokens open."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.commands.programs import Program, Programs

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "key"
    path.write_text(SECRET)
    return str(path)


def made(program: Program) -> str:
    """The token that a command has printed."""
    assert program.ends() == 0, program.err
    (line,) = program.out.decode().splitlines()
    return line


def verified(programs: Programs, *arguments: str, given: str = "") -> dict[str, Any]:
    program = programs.run("token", "verify", *arguments, given=given.encode())
    assert (program.ends(), program.err) == (0, "")
    told: dict[str, Any] = json.loads(program.out)
    return told


def test_a_new_token_and_its_entry_open_a_server(
    programs: Programs, tmp_path: Path
) -> None:
    file = tmp_path / "tokens.toml"
    options = ("--may", "publish,create", "--may", "close", "--on", "cam-*")
    camera = programs.run("token", "new", "camera", *options)
    viewer = programs.run("token", "new", 'a "viewer"', "--expires", "1h")
    file.write_text(camera.err + viewer.err)
    assert made(camera) not in camera.err
    assert made(camera) != made(viewer)

    told = verified(programs, "--tokens", str(file), given=made(camera) + "\n")
    assert told == {
        "name": "camera",
        "expires": None,
        "grants": [{"rights": ["close", "create", "publish"], "channels": ["cam-*"]}],
    }
    told = verified(programs, "--tokens", str(file), given=made(viewer))
    assert told["name"] == 'a "viewer"'
    assert told["grants"] == [{"rights": ["subscribe"], "channels": ["*"]}]
    left = datetime.fromisoformat(told["expires"]) - datetime.now(UTC)
    assert timedelta(minutes=50) < left < timedelta(minutes=61)

    _, http = programs.serve("--autocreate", "--tokens", str(file))
    url = http.url
    publisher = programs.run(
        "pub", "cam-1", "-s", url, given=b"data", TRICKLE_TOKEN=made(camera)
    )
    assert publisher.ends() == 0, publisher.err
    token_file = tmp_path / "token"
    token_file.write_text(made(viewer) + "\n")
    sub = ("sub", "cam-1", "-s", url, "--from", "oldest")
    subscriber = programs.run(*sub, "--token-file", str(token_file))
    assert (subscriber.ends(), subscriber.out) == (0, b"data"), subscriber.err
    for token, reason in (("", "a token is needed"), ("x" * 20, "not valid")):
        refused = (
            programs.run(*sub, TRICKLE_TOKEN=token) if token else programs.run(*sub)
        )
        assert refused.ends() == 5
        assert reason in refused.err
        assert refused.err.count("\n") == 1
    refused = programs.run(*sub, TRICKLE_TOKEN=made(camera))
    assert refused.ends() == 5
    assert "the token does not allow this" in refused.err
    refused = programs.run("pub", "mic", "-s", url, "--token", made(camera), given=b"x")
    assert refused.ends() == 5
    assert made(camera) not in refused.err


def test_who_may_not_close_is_told_what_is_left_open(
    programs: Programs, tmp_path: Path
) -> None:
    camera = programs.run("token", "new", "--may", "publish,create")
    file = tmp_path / "tokens.toml"
    file.write_text(camera.err)
    _, http = programs.serve("--autocreate", "--tokens", str(file))
    pub = ("pub", "cam", "-s", http.url)
    publisher = programs.run(*pub, given=b"data", TRICKLE_TOKEN=made(camera))
    assert publisher.ends() == 5
    assert "all is published, but the channel stays open" in publisher.err
    publisher = programs.run(
        *pub, "--keep-open", given=b"more", TRICKLE_TOKEN=made(camera)
    )
    assert publisher.ends() == 0


def test_a_signed_token_opens_a_server_that_has_the_key(
    programs: Programs, key: str
) -> None:
    sign = ("token", "sign", "--key", key)
    options = ("--name", "camera", "--may", "publish,create,close", "--on", "cam-*")
    token = made(programs.run(*sign, *options, "--expires", "1h"))
    told = verified(programs, "--key", key, given=token)
    assert told["name"] == "camera"
    assert told["grants"][0]["channels"] == ["cam-*"]
    _, http = programs.serve("--autocreate", "--token-key", key)
    status, _, _ = http.ask("POST", "/cam-1/0", b"x", Authorization=f"Bearer {token}")
    assert status == 200
    assert http.ask("GET", "/cam-1/0")[0] == 401
    status, _, _ = http.ask("GET", "/cam-1/0", Authorization=f"Bearer {token}")
    assert status == 403
    stale = made(programs.run(*sign, "--expires", "1ms"))
    assert http.ask("GET", "/cam-1/0", Authorization=f"Bearer {stale}")[0] == 401


WRONG = {
    "token verify --key {key} nonsense": (5, "not signed with this key"),
    "token verify --tokens {tokens} nonsense": (5, "the token is not in"),
    "token verify nonsense": (2, "either --key or --tokens is wanted"),
    "token verify --key {tmp}/nothing x": (1, "nothing: No such file or directory"),
    "token sign --key {tokens}": (2, "a secret has 32 bytes at least"),
    "token sign": (2, "Missing option '--key'"),
    "token sign --key {key} --may read": (2, "no right is called 'read'"),
    "token new --expires soon": (2, "'soon' is not a time"),
    "token old": (2, "No such command 'old'"),
    "serve --tokens {tmp}/nothing": (1, "nothing: No such file or directory"),
    "serve --tokens {key}": (2, "key: not TOML"),
    "serve --token-key {tokens}": (2, "a secret has 32 bytes at least"),
    "serve --key {key}": (2, "--key and --client-ca are of no use without --cert"),
    "serve --cert {key}": (2, "key: "),
    "serve --cert {key} --uds {tmp}/s": (2, "--cert is of no use with --uds"),
    "serve --cors here": (2, "'here' is not an origin"),
    "serve --trusted-proxy here": (2, "'here' is not a network"),
    "serve --uds-mode 9": (2, "'9' are no permissions"),
    "sub cam --key {key}": (2, "--key is of no use without --cert"),
    "sub cam -H nonsense": (2, "a header is written 'Name: value'"),
    "sub cam -H Host:x": (2, "is not for users to set"),
    "sub cam --token-file {tokens}": (2, "there is no token in it"),
    "sub cam --cacert {key}": (2, "key: "),
    "sub cam --cacert {tmp}/nothing": (1, "No such file or directory"),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_input_is_one_clear_line(
    programs: Programs, tmp_path: Path, key: str, line: str
) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text("")
    code, reason = WRONG[line]
    arguments = line.format(key=key, tokens=tokens, tmp=tmp_path).split()
    program = programs.run(*arguments)
    assert program.ends() == code, program.err
    assert reason in program.err
    assert program.err.count("\n") == 1
    assert SECRET not in program.err


def titles(*, of: int) -> str:
    """What others can see of a process."""
    with open(f"/proc/{of}/cmdline", "rb") as file:
        return file.read().replace(b"\0", b" ").decode()


@pytest.mark.parametrize(
    "options", [("--token", "sesame-open-up"), ("-H", "X-Key: sesame-open-up")]
)
def test_a_token_on_the_command_line_is_not_shown_for_long(
    programs: Programs, options: tuple[str, str]
) -> None:
    _, http = programs.serve()
    subscriber = programs.start("sub", "nothing", "-s", http.url, *options)
    subscriber.says("waiting")
    seen = titles(of=subscriber.process.pid)
    assert "sesame" not in seen
    assert "trickle sub nothing" in seen
