"""A file of tokens, in TOML:

    [anonymous]                       # what everybody may do, without a token, too
    rights = ["subscribe", "list"]
    channels = ["public-*"]

    [tokens.camera]
    sha256 = "..."                    # of the token; or: token = "..."
    rights = ["publish", "create", "close"]
    channels = ["cam-*"]
    expires = 2027-01-01T00:00:00Z

Instead of `rights` and `channels`, `grants` may hold several tables of the two. Of a
token nothing is kept but its SHA-256: what a caller sends is hashed before it is
looked up, so that how long that takes tells nothing about the tokens there are.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from trickle_cli.access.rights import Caller, Grant, Right
from trickle_cli.errors import BadConfiguration

#: Tokens of less than so many characters can be guessed.
MIN_TOKEN: Final = 16
_DIGEST_DIGITS: Final = 64
_TOP: Final = frozenset({"anonymous", "tokens"})
_RIGHTS: Final = {right.value: right for right in Right}


class TokenFile:
    """What a file of tokens says. `anonymous` are everybody's grants."""

    def __init__(
        self, anonymous: tuple[Grant, ...], callers: dict[bytes, Caller]
    ) -> None:
        self.anonymous = anonymous
        self._callers = callers

    @classmethod
    def load(cls, path: str) -> TokenFile:
        """Read the file at `path`. Raises BadConfiguration, OSError."""
        try:
            content = tomllib.loads(Path(path).read_bytes().decode())
        except UnicodeDecodeError:
            raise BadConfiguration(f"{path}: not a text in UTF-8") from None
        except tomllib.TOMLDecodeError as error:
            raise BadConfiguration(f"{path}: not TOML: {error}") from None
        try:
            return cls._read(content)
        except BadConfiguration as error:
            raise BadConfiguration(f"{path}: {error}") from None

    @classmethod
    def _read(cls, content: dict[str, Any]) -> TokenFile:
        _only(content, _TOP, "the file")
        anonymous = _table(content.get("anonymous", {}), "anonymous")
        _only(anonymous, _GRANTING, "anonymous")
        callers: dict[bytes, Caller] = {}
        for name, entry in _table(content.get("tokens", {}), "tokens").items():
            where = f"tokens.{name}"
            table = _table(entry, where)
            _only(table, _GRANTING | {"token", "sha256", "expires"}, where)
            digest = _digest(table, where)
            if digest in callers:
                other = callers[digest].name
                raise BadConfiguration(f"{where}: the same token as tokens.{other}")
            callers[digest] = Caller(
                name=name,
                grants=parse_grants(table, where),
                expires=_expires(table.get("expires"), where),
            )
        grants = parse_grants(anonymous, "anonymous") if anonymous else ()
        return cls(grants, callers)

    def find(self, digest: bytes) -> Caller | None:
        """Whose token has this SHA-256; None if nobody's."""
        for known, caller in self._callers.items():
            if hmac.compare_digest(known, digest):
                return caller
        return None

    def __len__(self) -> int:
        return len(self._callers)


def new_token() -> str:
    """A token that nobody can guess: 256 bits, in letters that go anywhere."""
    return secrets.token_urlsafe(32)


def digest_of(token: bytes) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token).digest()


_GRANTING: Final = frozenset({"rights", "channels", "grants"})


def parse_grants(table: dict[str, Any], where: str) -> tuple[Grant, ...]:
    """The grants in `table`: `rights` and `channels`, or `grants`. BadConfiguration."""
    if "grants" not in table:
        return (_grant(table, where),)
    if "rights" in table or "channels" in table:
        raise BadConfiguration(f"{where}: either grants, or rights and channels")
    grants = table["grants"]
    if not isinstance(grants, list):
        raise BadConfiguration(f"{where}.grants: a list of tables is wanted")
    parsed = []
    for number, entry in enumerate(grants, 1):
        place = f"{where}.grants, number {number}"
        _only(_table(entry, place), frozenset({"rights", "channels"}), place)
        parsed.append(_grant(entry, place))
    return tuple(parsed)


def _grant(table: dict[str, Any], where: str) -> Grant:
    rights = [parse_right(text, where) for text in _texts(table, "rights", where)]
    channels = _texts(table, "channels", where)
    return Grant(rights=frozenset(rights), channels=tuple(channels))


def parse_right(text: str, where: str) -> Right:
    """The right called `text`. BadConfiguration."""
    try:
        return _RIGHTS[text]
    except KeyError:
        known = ", ".join(_RIGHTS)
        what = f"{where}: no right is called {text!r}, but {known}"
        raise BadConfiguration(what) from None


def _texts(table: dict[str, Any], key: str, where: str) -> list[str]:
    values = table.get(key)
    if not isinstance(values, list) or not all(
        isinstance(value, str) and value for value in values
    ):
        raise BadConfiguration(f"{where}: {key} is wanted, a list of texts")
    return values


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadConfiguration(f"{where}: a table is wanted")
    return value


def _only(table: dict[str, Any], known: frozenset[str], where: str) -> None:
    for key in table:
        if key not in known:
            names = ", ".join(sorted(known))
            raise BadConfiguration(f"{where}: {key!r} means nothing here, but {names}")


def _digest(table: dict[str, Any], where: str) -> bytes:
    token, sha256 = table.get("token"), table.get("sha256")
    if (token is None) == (sha256 is None):
        raise BadConfiguration(f"{where}: either token or sha256 is wanted")
    if token is not None:
        if not isinstance(token, str) or len(token) < MIN_TOKEN:
            raise BadConfiguration(
                f"{where}: a token has {MIN_TOKEN} characters at least:"
                " `trickle token new` makes one"
            )
        if not (token.isascii() and token.isprintable() and " " not in token):
            what = f"{where}: the token has characters that cannot be sent"
            raise BadConfiguration(what)
        return digest_of(token.encode())
    if isinstance(sha256, str) and len(sha256) == _DIGEST_DIGITS:
        try:
            return bytes.fromhex(sha256)
        except ValueError:
            pass
    raise BadConfiguration(f"{where}: sha256 has {_DIGEST_DIGITS} hexadecimal digits")


def _expires(value: object, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            what = f"{where}: expires needs a time zone: {value.isoformat()}Z"
            raise BadConfiguration(what)
        return value.timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    raise BadConfiguration(f"{where}: expires is a date and time: 2027-01-01T00:00:00Z")
