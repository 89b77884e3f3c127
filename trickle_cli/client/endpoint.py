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
#: What may stand in a path as it is, besides what `quote` never touches, and "%"
#: (RFC 3986, 3.3). httpx would encode the rest, and our own connections not.
_PATH_SAFE: Final = "/:@!$&'()*+,;=%"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One channel on one server. `base_path` begins and ends with a slash."""

    scheme: str
    host: str
    port: int
    base_path: str
    channel: str

    @classmethod
    def parse(cls, channel: str, server: str = DEFAULT_SERVER) -> Endpoint:
        """The channel called `channel` on `server`, or, if `channel` is a URL,
        the one that it points at. Raises BadAddress."""
        if "://" in channel:
            server, _, part = channel.rstrip("/").rpartition("/")
            if server.endswith(":/") or not part:
                raise BadAddress(f"{channel!r} names a server but no channel")
            if "?" in part or "#" in part:
                raise BadAddress(
                    f"{channel!r} has parts that the URL of a channel cannot have"
                )
            channel = unquote_channel(part.encode("utf-8", "surrogatepass"))
        scheme, host, port, base_path = _parse_server(server)
        return cls(
            scheme=scheme,
            host=host,
            port=port,
            base_path=base_path,
            channel=check_channel_name(channel),
        )

    @property
    def authority(self) -> str:
        """Host and port, as in a Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def server(self) -> str:
        """The server's URL, base path and all, without a slash at its end."""
        return f"{self.scheme}://{self.authority}{self.base_path}".rstrip("/")

    def __str__(self) -> str:
        """The channel's URL."""
        return f"{self.server}/{quote_channel(self.channel)}"


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
    path = parts.path.strip("/")
    if not path.isascii() or path != quote(path, safe=_PATH_SAFE):
        raise BadAddress(f"{url!r} has a path that must be percent-encoded")
    if not {".", ".."}.isdisjoint(path.split("/")):
        raise BadAddress(f"{url!r} has a path step, '.' or '..', which is not a name")
    base_path = f"/{path}/" if path else "/"
    return parts.scheme, host, port or _PORTS[parts.scheme], base_path
