"""The channels there are, for somebody who has pressed a key and waits for it.

So there is an answer within `PATIENCE`, and nothing about what went wrong. Here are
plain sockets, by `http.client`, because to import trio and our own client takes longer
than all else there is to do.
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any, Final

from trickle_cli.errors import BadAddress

if TYPE_CHECKING:
    import http.client
    import ssl

    from trickle_cli.commands.connecting import Connecting
    from trickle_cli.commands.shells import Item

#: Seconds, for everything: names, connections, TLS, and what the server tells.
PATIENCE: Final = 0.3
#: Bytes that a list may have: some 20 000 channels.
_MOST: Final = 8 * 1024 * 1024
_UNIX: Final = "unix:"


def list_channels(connect: Connecting, server: str) -> list[Item]:
    """The channels on `server`; none if they cannot be had at once."""
    found: list[Item] = []

    def ask() -> None:
        found.extend(_ask(connect, server))

    # A thread, because names are looked up with no regard to anybody's patience.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return found.copy()


def _ask(connect: Connecting, server: str) -> list[Item]:
    import json

    connection, path = _connect(connect, server)
    connection.request("GET", path, headers=_fields(connect))
    with connection.getresponse() as answer:
        if answer.status != 200:
            return []
        told = json.loads(answer.read(_MOST))
    return [_item(entry) for entry in told["channels"] if _can_be_shown(entry["name"])]


def _connect(
    connect: Connecting, server: str
) -> tuple[http.client.HTTPConnection, str]:
    """A connection to `server`, and the path of its list."""
    from http.client import HTTPConnection, HTTPSConnection
    from urllib.parse import urlsplit

    if server.startswith(_UNIX):
        path, _, base = server.removeprefix(_UNIX).partition(":/")
        connection = HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(PATIENCE)
        connection.sock.connect(path[2:] if path.startswith("///") else path)
        return connection, _root(base)
    parts = urlsplit(server)
    assert parts.hostname is not None
    place, root = (parts.hostname, parts.port), _root(parts.path)
    if parts.scheme == "https":
        tls = _tls(connect)
        return HTTPSConnection(*place, timeout=PATIENCE, context=tls), root
    return HTTPConnection(*place, timeout=PATIENCE), root


def _root(base: str) -> str:
    base = base.strip("/")
    return f"/{base}/" if base else "/"


def _tls(connect: Connecting) -> ssl.SSLContext:
    """As `client.tls_context` makes it, which trio would come with."""
    import ssl

    context = ssl.create_default_context(cafile=connect.cacert)
    if connect.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if connect.cert is not None:
        context.load_cert_chain(connect.cert, connect.key)
    return context


def _fields(connect: Connecting) -> dict[str, str]:
    fields = {"Connection": "close"}
    if token := connect.read_token():
        fields["Authorization"] = f"Bearer {token}"
    for text in connect.header:
        name, _, value = text.partition(":")
        fields[name.strip()] = value.strip()
    return fields


def _can_be_shown(name: str) -> bool:
    """Whether it can be a name, and does nothing to a terminal."""
    from trickle_cli.display.formats import clean
    from trickle_cli.protocol.names import check_channel_name

    try:
        return clean(check_channel_name(name)) == name
    except BadAddress:
        return False


def _item(entry: dict[str, Any]) -> Item:
    from trickle_cli.commands.shells import Item
    from trickle_cli.display.formats import clean, count

    closed = ", closed" if entry.get("closed") else ""
    segments = count(int(entry.get("segments", 0)), "segment")
    note = f"{clean(str(entry.get('type', '')))}, {segments}{closed}"
    return Item(value=entry["name"], help=note)
