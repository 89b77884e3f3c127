"""Proxies that the environment names: HTTP_PROXY, HTTPS_PROXY, NO_PROXY.

Segments go through a tunnel (CONNECT), because a proxy that understood the requests
might hold back what is to trickle through.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import trio

from trickle_cli.client.endpoint import Endpoint
from trickle_cli.errors import BadConfiguration, ConnectionFailed
from trickle_cli.protocol.events import Malformed, Response
from trickle_cli.protocol.http1 import ResponseParser

_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A proxy; `authorization` is what it is to be told, b"" for nothing."""

    scheme: str
    host: str
    port: int
    authorization: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        """Its URL, without what nobody is to see."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def proxy_for(endpoint: Endpoint) -> Proxy | None:
    """The proxy that the environment names for `endpoint`, if any.
    BadConfiguration."""
    if endpoint.uds:
        return None
    proxies = getproxies_environment()
    url = proxies.get(endpoint.scheme) or proxies.get("all")
    if not url or proxy_bypass(endpoint.host, proxies):
        return None
    return _parse(url if "://" in url else f"http://{url}", endpoint.scheme)


def _parse(url: str, scheme: str) -> Proxy:
    variable = f"{scheme.upper()}_PROXY"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadConfiguration(f"{variable} is not a URL: {error}") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise BadConfiguration(f"{variable} is not the URL of an HTTP proxy")
    authorization = b""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + base64.b64encode(pair.encode())
    return Proxy(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        authorization=authorization,
    )


async def tunnel(stream: trio.abc.Stream, proxy: Proxy, endpoint: Endpoint) -> None:
    """Have `proxy`, at the other end of `stream`, connect it to `endpoint`."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    target = f"{host}:{endpoint.port}".encode("ascii")
    lines = [b"CONNECT %b HTTP/1.1" % target, b"Host: " + target]
    if proxy.authorization:
        lines.append(b"Proxy-Authorization: " + proxy.authorization)
    await stream.send_all(b"\r\n".join(lines) + b"\r\n\r\n")
    parser = ResponseParser()
    events: list[object] = []
    try:
        while not events:  # a server does not speak first: nothing follows the head
            data = await stream.receive_some(4096)
            if not data:
                raise ConnectionFailed(f"the proxy {proxy} closed the connection")
            events += parser.feed(data)
    finally:
        parser.close()
    answer = events[0]
    if isinstance(answer, Malformed):
        raise ConnectionFailed(f"the proxy {proxy} does not speak HTTP")
    if not isinstance(answer, Response) or not 200 <= answer.status < 300:
        status = getattr(answer, "status", "?")
        advice = " (it wants a name and a password)" if status == 407 else ""
        raise ConnectionFailed(
            f"the proxy {proxy} does not connect to {endpoint.authority}:"
            f" it answered {status}{advice}"
        )
