"""Where a channel is: its server, the server's base path, and its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from trickle_cli.errors import BadAddress
from trickle_cli.protocol.names import (
    DEFAULT_SERVER,
    check_channel_name,
    quote_channel,
    unquote_channel,
)

_PORTS: Final = {"http": 80, "https": 443}
_UNIX: Final = "unix:"
#: What a server that listens on a Unix socket is called in a Host field.
_UNIX_HOST: Final = "localhost"
#: What may stand in a path as it is, besides what `quote` never touches, and "%"
#: (RFC 3986, 3.3). httpx would encode the rest, and our own connections not.
_PATH_SAFE: Final = "/:@!$&'()*+,;=%"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One channel on one server. `base_path` begins and ends with a slash.

    `uds` is the path of the Unix socket that the server listens on, if it does; its URL
    is `unix:PATH`, or `unix:PATH:/base/path`.
    """

    scheme: str
    host: str
    port: int
    base_path: str
    channel: str
    uds: str = ""

    @classmethod
    def parse(cls, channel: str, server: str = DEFAULT_SERVER) -> Endpoint:
        """The channel called `channel` on `server`, or, if `channel` is a URL,
        the one that it points at. Raises BadAddress."""
        if channel.startswith(_UNIX) and ":/" not in channel.removeprefix(_UNIX):
            raise BadAddress(f"{channel!r} names no channel: unix:PATH:/CHANNEL does")
        if channel.startswith(_UNIX) or "://" in channel:
            server, _, part = channel.rstrip("/").rpartition("/")
            server = server.removesuffix(":") if server.startswith(_UNIX) else server
            if server.endswith(":/") or not part:
                raise BadAddress(f"{channel!r} names a server but no channel")
            if "?" in part or "#" in part:
                raise BadAddress(
                    f"{channel!r} has parts that the URL of a channel cannot have"
                )
            channel = unquote_channel(part.encode("utf-8", "surrogatepass"))
        check_channel_name(channel)
        if server.startswith(_UNIX):
            return cls._on_unix(server, channel)
        scheme, host, port, base_path = _parse_server(server)
        return cls(
            scheme=scheme, host=host, port=port, base_path=base_path, channel=channel
        )

    @classmethod
    def _on_unix(cls, url: str, channel: str) -> Endpoint:
        rest = url.removeprefix(_UNIX)
        if rest.startswith("///"):
            rest = rest[2:]
        path, _, base = rest.partition(":/")
        if not path or "\0" in path:
            raise BadAddress(f"{url!r} is not the URL of a Unix socket: unix:/run/it")
        return cls(
            scheme="http",
            host=_UNIX_HOST,
            port=_PORTS["http"],
            base_path=_base_path(base, url),
            channel=channel,
            uds=path,
        )

    @property
    def authority(self) -> str:
        """Host and port, as in a Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def server(self) -> str:
        """The server's URL, base path and all, without a slash at its end."""
        if self.uds:
            base = "" if self.base_path == "/" else f":{self.base_path.rstrip('/')}"
            return f"{_UNIX}{self.uds}{base}"
        return f"{self.scheme}://{self.authority}{self.base_path}".rstrip("/")

    def __str__(self) -> str:
        """The channel's URL."""
        colon = ":" if self.uds and self.base_path == "/" else ""
        return f"{self.server}{colon}/{quote_channel(self.channel)}"

    @property
    def origin(self) -> str:
        """The beginning of its URLs in HTTP."""
        return f"{self.scheme}://{self.authority}"


def _parse_server(url: str) -> tuple[str, str, int, str]:
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode()
    except (ValueError, UnicodeError) as error:
        raise BadAddress(f"{url!r} is not a URL: {error}") from None
    if parts.scheme not in _PORTS or not host or port == 0:
        raise BadAddress(
            f"{url!r} is not the URL of a server: it looks like {DEFAULT_SERVER}"
        )
    if parts.query or parts.fragment or parts.username is not None:
        raise BadAddress(f"{url!r} has parts that the URL of a server cannot have")
    base_path = _base_path(parts.path, url)
    return parts.scheme, host, port or _PORTS[parts.scheme], base_path


def _base_path(path: str, url: str) -> str:
    path = path.strip("/")
    if not path.isascii() or path != quote(path, safe=_PATH_SAFE):
        raise BadAddress(f"{url!r} has a path that must be percent-encoded")
    if not {".", ".."}.isdisjoint(path.split("/")):
        raise BadAddress(f"{url!r} has a path step, '.' or '..', which is not a name")
    return f"/{path}/" if path else "/"
