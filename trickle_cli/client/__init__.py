"""Clients of any Trickle server, ours or not.

`Publisher` and `Subscriber` carry segments over `connection`, which reads while it
writes; `Control` asks for everything that is one short request.
"""

from trickle_cli.client.config import ClientConfig, tls_context
from trickle_cli.client.control import Control, Head, SegmentInfo
from trickle_cli.client.endpoint import Endpoint
from trickle_cli.client.publisher import Publisher, SegmentWriter
from trickle_cli.client.reading import SegmentReader
from trickle_cli.client.subscriber import Subscriber

__all__ = [
    "ClientConfig",
    "Control",
    "Endpoint",
    "Head",
    "Publisher",
    "SegmentInfo",
    "SegmentReader",
    "SegmentWriter",
    "Subscriber",
    "tls_context",
]
