"""The server: HTTP on one side, the relay on the other.

A `connection` accepted in `listener` is called by the `poller` when it has something
to read. Its requests go to `handlers`; the body of a POST goes by way of its `intake`
into the relay, and comes out of it in the `delivery` of each GET.
"""

from trickle_cli.protocol.http1 import HeadLimits
from trickle_cli.relay import Limits, Sync, Window
from trickle_cli.server.config import Patience, Peers, ServerConfig
from trickle_cli.server.hooks import HookRequest, Refused
from trickle_cli.server.ledger import Entry
from trickle_cli.server.listener import listen, listen_unix, remove_unix
from trickle_cli.server.server import Server
from trickle_cli.server.tls import server_context

__all__ = [
    "Entry",
    "HeadLimits",
    "HookRequest",
    "Limits",
    "Patience",
    "Peers",
    "Refused",
    "Server",
    "ServerConfig",
    "Sync",
    "Window",
    "listen",
    "listen_unix",
    "remove_unix",
    "server_context",
]
