"""The server: HTTP on one side, the relay on the other.

A `connection` accepted in `listener` is called by the `poller` when it has something
to read. Its requests go to `handlers`; the body of a POST goes by way of its `intake`
into the relay, and comes out of it in the `delivery` of each GET.
"""

from trickle_cli.server.listener import listen
from trickle_cli.server.server import Server, ServerConfig

__all__ = ["Server", "ServerConfig", "listen"]
