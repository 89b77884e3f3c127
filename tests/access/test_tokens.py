"""Files of tokens: what they grant, and what is wrong with some of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trickle_cli.access import (
    EVERYTHING,
    Access,
    Caller,
    Grant,
    Right,
    TokenFile,
    digest_of,
    new_token,
)
from trickle_cli.errors import BadConfiguration

CAMERA, VIEWER, GONE = "camera-secret-camera", "viewer-secret-viewer", "gone-" * 5
FILE = f"""
[anonymous]
rights = ["subscribe", "list"]
channels = ["public-*"]

[tokens.camera]
token = "{CAMERA}"
rights = ["publish", "create", "close"]
channels = ["cam-*", "mic"]

[tokens.viewer]
sha256 = "{digest_of(VIEWER.encode()).hex()}"
grants = [
    {{ rights = ["subscribe"], channels = ["*"] }},
    {{ rights = ["list"], channels = ["cam-1"] }},
]

[tokens.gone]
token = "{GONE}"
rights = ["subscribe"]
channels = ["*"]
expires = 2020-01-01T00:00:00Z
"""

Load = Callable[[str], TokenFile]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str) -> TokenFile:
        path = tmp_path / "tokens.toml"
        path.write_text(text)
        return TokenFile.load(str(path))

    return load


@pytest.fixture
def access(load: Load) -> Access:
    return Access(load(FILE))


def caller(access: Access, token: str) -> Caller:
    found = access.identify(b"Bearer " + token.encode())
    assert found is not None
    return found


def test_a_token_allows_what_was_granted_and_nothing_else(access: Access) -> None:
    camera = caller(access, CAMERA)
    assert camera.name == "camera"
    for right in (Right.PUBLISH, Right.CREATE, Right.CLOSE):
        assert camera.may(right, "cam-1")
        assert camera.may(right, "cam-")
        assert camera.may(right, "mic")
        assert not camera.may(right, "cam")
        assert not camera.may(right, "mic2")
        assert not camera.may(right, "a-cam-1")
    assert not camera.may(Right.SUBSCRIBE, "cam-1")
    assert not camera.may(Right.LIST, "cam-1")


def test_several_grants_add_up(access: Access) -> None:
    viewer = caller(access, VIEWER)
    assert viewer.may(Right.SUBSCRIBE, "anything at all\n*[a]")
    assert viewer.may(Right.LIST, "cam-1")
    assert not viewer.may(Right.LIST, "cam-2")
    assert viewer.may_somewhere(Right.LIST)
    assert not viewer.may_somewhere(Right.PUBLISH)


def test_everybody_has_the_rights_of_the_anonymous(access: Access) -> None:
    nobody = access.identify(None)
    assert nobody is not None
    for known in (nobody, caller(access, CAMERA), caller(access, VIEWER)):
        assert known.may(Right.SUBSCRIBE, "public-1")
        assert known.may(Right.LIST, "public-1")
    assert not nobody.may(Right.SUBSCRIBE, "cam-1")
    assert not nobody.may(Right.PUBLISH, "public-1")


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer " + CAMERA.encode()[:-1],
        b"Bearer " + CAMERA.encode() + b"x",
        b"Bearer " + CAMERA.upper().encode(),
        b"Bearer " + digest_of(VIEWER.encode()).hex().encode(),
        b"Bearer " + GONE.encode(),
        b"Basic " + CAMERA.encode(),
        CAMERA.encode(),
        b"Bearer " + b"x" * 100_000,
        b"Bearer \xff\xfe\x00",
    ],
)
def test_what_is_no_token_is_nobody_at_all(
    access: Access, authorization: bytes
) -> None:
    assert access.identify(authorization) is None


def test_a_token_ends_when_it_expires(load: Load) -> None:
    now = 0.0
    access = Access(load(FILE), clock=lambda: now)
    bearer = b"bearer  " + GONE.encode()
    assert access.identify(bearer) is not None
    now = 1577836799.0
    assert access.identify(bearer) is not None
    now = 1577836800.0
    assert access.identify(bearer) is None


def test_a_file_may_grant_to_everybody_and_name_nobody(load: Load) -> None:
    access = Access(load(FILE.partition("[tokens.camera]")[0]))
    everybody = access.identify(None)
    assert everybody is not None
    assert everybody.may(Right.SUBSCRIBE, "public-1")


def test_without_a_file_and_a_key_nobody_may_anything() -> None:
    access = Access()
    nobody = access.identify(None)
    assert nobody is not None
    assert not any(nobody.may(right, "cam") for right in Right)
    assert access.identify(b"Bearer x") is None


def test_where_there_is_no_access_control_everything_is_allowed() -> None:
    assert all(EVERYTHING.may(right, "cam") for right in Right)


def test_new_tokens_differ_and_go_anywhere() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 43 and token.isascii() for token in tokens)


def test_patterns_have_one_special_character() -> None:
    def matches(pattern: str, name: str) -> bool:
        grant = Grant(rights=frozenset({Right.LIST}), channels=(pattern,))
        return Caller(name="", grants=(grant,)).may(Right.LIST, name)

    assert matches("*", "")
    assert matches("a*b*c", "abc")
    assert matches("a*b*c", "axxbyyc")
    assert not matches("a*b*c", "axxbyy")
    assert matches("a.b", "a.b")
    assert not matches("a.b", "axb")
    assert not matches("a?b", "axb")
    assert not matches("[ab]", "a")
    assert matches("*" * 50 + "x", "a" * 200 + "x")
    assert not matches("*a" * 20 + "x", "a" * 200)
    assert not matches("aa*aa", "aaa")
    assert matches("aa*aa", "aaaa")
    assert matches("*ab*ba", "abba")
    assert not matches("*ab*ba", "aba")


WRONG = {
    "not = = toml": "not TOML",
    "token = 'x'": "'token' means nothing here, but anonymous, tokens",
    "anonymous = 1": "anonymous: a table is wanted",
    "tokens = []": "tokens: a table is wanted",
    "[anonymous]\nrights = ['read']\nchannels = ['*']": "no right is called 'read'",
    "[anonymous]\nrights = ['list']": "anonymous: channels is wanted, a list of texts",
    "[anonymous]\nrights = 'list'\nchannels = ['*']": "rights is wanted",
    "[anonymous]\nrights = ['list']\nchannels = [1]": "channels is wanted",
    "[anonymous]\nrights = ['list']\nchannel = ['*']": "'channel' means nothing here",
    "[tokens.a]\nrights = []\nchannels = []": "tokens.a: either token or sha256",
    "[tokens.a]\ntoken = 'short'": "tokens.a: a token has 16 characters at least",
    "[tokens.a]\ntoken = 'with a blank in it'": "characters that cannot be sent",
    "[tokens.a]\nsha256 = 'abc'": "tokens.a: sha256 has 64 hexadecimal digits",
    f"[tokens.a]\nsha256 = '{'x' * 64}'": "sha256 has 64 hexadecimal digits",
    f"[tokens.a]\ntoken = '{CAMERA}'\nsha256 = '{'0' * 64}'": "either token or sha256",
    f"[tokens.a]\ntoken = '{CAMERA}'\ngrants = 1": "a list of tables",
    f"[tokens.a]\ntoken = '{CAMERA}'\ngrants = [1]": "number 1: a table is wanted",
    f"[tokens.a]\ntoken = '{CAMERA}'\ngrants = []\nrights = []": "either grants, or",
    f"[tokens.a]\ntoken = '{CAMERA}'\nrights=[]\nchannels=[]\nexpires='soon'": (
        "expires is a date and time"
    ),
    f"[tokens.a]\ntoken = '{CAMERA}'\nrights=[]\nchannels=[]\n"
    "expires=2027-01-01T00:00:00": "expires needs a time zone",
    f"[tokens.a]\ntoken='{CAMERA}'\nrights=[]\nchannels=[]\n"
    f"[tokens.b]\ntoken='{CAMERA}'\nrights=[]\nchannels=[]": "the same token as tokens",
}


@pytest.mark.parametrize(("text", "reason"), WRONG.items())
def test_a_file_that_is_wrong_says_where_and_keeps_its_secrets(
    load: Load, text: str, reason: str
) -> None:
    with pytest.raises(BadConfiguration) as caught:
        load(text)
    message = str(caught.value)
    assert "tokens.toml: " in message
    assert reason in message
    assert CAMERA not in message
    assert "\n" not in message


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfiguration, match="not a text in UTF-8"):
        TokenFile.load(str(path))
    with pytest.raises(FileNotFoundError):
        TokenFile.load(str(tmp_path / "nothing"))


def test_a_date_is_its_midnight_in_utc(load: Load) -> None:
    text = f"[tokens.a]\ntoken='{CAMERA}'\nrights=[]\nchannels=[]\nexpires=2027-01-01"
    found = load(text).find(digest_of(CAMERA.encode()))
    assert found is not None
    assert found.expires == 1798761600


def test_what_was_verified_is_known_again_but_not_for_ever(load: Load) -> None:
    access = Access(load(FILE))
    first = caller(access, CAMERA)
    assert caller(access, CAMERA) is first
    for number in range(5000):  # none of these is remembered
        access.identify(b"Bearer wrong-%d" % number)
    assert len(access._verified) == 1
