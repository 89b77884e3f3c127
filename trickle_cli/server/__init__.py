"""The server: HTTP on one side, the relay on the other.

A `connection` accepted in `listener` is called by the `poller` when it has something
to read. Its requests go to `handlers`; the body of a POST goes by way of its `intake`
into the relay, and comes out of it in the `delivery` of each GET.
"""

from trickle_cli.server.config import Patience, Peers, ServerConfig
from trickle_cli.server.hooks import HookRequest, Refused
from trickle_cli.server.ledger import Entry
from trickle_cli.server.listener import listen
from trickle_cli.server.server import Server

__all__ = [
    "Entry",
    "HookRequest",
    "Patience",
    "Peers",
    "Refused",
    "Server",
    "ServerConfig",
    "listen",
]
