"""The server: HTTP on one side, the relay on the other.

A connection accepted in `listener` is served by one task in `connection`, which
reads requests and calls `handlers`; the bytes of a POST go from there into the
relay, and come out of it in the `delivery` of each GET.
"""

from trickle_cli.server.listener import listen
from trickle_cli.server.server import Server, ServerConfig

__all__ = ["Server", "ServerConfig", "listen"]
