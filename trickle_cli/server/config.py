"""What a server is told to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from trickle_cli.access import Access
from trickle_cli.errors import BadAddress
from trickle_cli.protocol.http1 import USUAL_LIMITS, HeadLimits
from trickle_cli.relay import Limits, Sync
from trickle_cli.server.hooks import Hook
from trickle_cli.server.ledger import Entry

Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a connection waits for its peer, in seconds.

    `head` for the rest of a request's head, or a TLS handshake · `idle` for the next
    request · `stall` for a peer that takes nothing of what is sent · `discard` for the
    end of a body that was refused · `preconnect` for the first byte of a POST's body,
    while nothing comes to the channel either.
    """

    head: float = 10
    idle: float = 75
    stall: float = 30
    discard: float = 2
    preconnect: float = 10


@dataclass(frozen=True, kw_only=True)
class Peers:
    """How many connections there may be.

    `connections` together, None for as many as there are descriptors · `per_address`
    from one address (of IPv6: one /64), None for no limit; loopback has none ·
    `trusted_proxies` are those whose X-Forwarded-For is believed: what comes through
    them is counted for, and logged as, the client that they name.
    """

    connections: int | None = None
    per_address: int | None = 1000
    trusted_proxies: tuple[Network, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """What a server does. Over HTTP it makes no channel unless it is told to.

    `base_path` the prefix of all paths · `autocreate` a first POST of a segment
    makes its channel · `allow_create` a POST to the channel makes it ·
    `lossless` all channels are, also those made without asking for it · `data_dir` a
    directory for them, from which they come back, None to keep them in memory only ·
    `sync` when that is brought to the disk itself ·
    `changefeed` publish `_changes` · `idle_timeout` seconds without a byte after
    which a channel is closed, looked at every `sweep_interval` seconds ·
    `drain` seconds that readers get at shutdown to take what there is.

    `before_create` and `before_delete` are asked before a channel is made or closed
    over HTTP (see `hooks`) · `access` who may do what; None: everybody everything ·
    `cors` the origins whose web pages may read, "*" for all · `access_log` is called
    with each request when it is over.
    """

    base_path: str = "/"
    autocreate: bool = False
    allow_create: bool = False
    lossless: bool = False
    data_dir: str | None = None
    sync: Sync = Sync.NONE
    changefeed: bool = False
    idle_timeout: float = 300
    sweep_interval: float = 60
    drain: float = 5
    limits: Limits = field(default_factory=Limits)
    head: HeadLimits = USUAL_LIMITS
    patience: Patience = field(default_factory=Patience)
    peers: Peers = field(default_factory=Peers)
    before_create: Hook | None = None
    before_delete: Hook | None = None
    access: Access | None = None
    cors: tuple[str, ...] = ()
    access_log: Callable[[Entry], None] | None = None

    def __post_init__(self) -> None:
        if not (self.base_path.startswith("/") and self.base_path.isascii()):
            raise BadAddress(f"base path {self.base_path!r} does not begin with '/'")
