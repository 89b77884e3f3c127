"""How many connections there are, from where, and who is behind a proxy."""

from __future__ import annotations

import resource
from collections import Counter
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

from trickle_cli.protocol.events import Request
from trickle_cli.protocol.responses import Answer, problem
from trickle_cli.server.answers import RETRY_AFTER
from trickle_cli.server.config import Peers

Address: TypeAlias = IPv4Address | IPv6Address

#: Of IPv6, whoever has one address has so many bits of them.
_SITE_BITS: Final = 64
#: Descriptors that are left for other things than connections.
_RESERVE: Final = 64

FULL: Final = problem(
    503, "there are too many connections already", retry_after=RETRY_AFTER
)
_CROWDED: Final = problem(
    429, "there are too many connections from your address", retry_after=RETRY_AFTER
)


class Visitor:
    """Who is at the other end of one connection: `name` is an address, or what a proxy
    that we trust says (`is_proxied`); `key` is what it is counted by, if it is;
    `weight` is 0 for a connection that is counted in another process."""

    __slots__ = ("host", "is_proxied", "key", "name", "weight")

    def __init__(
        self, host: str, key: object, *, is_proxied: bool, weight: int
    ) -> None:
        self.weight = weight
        self.host = host
        self.name = host or "local"
        self.key = key
        self.is_proxied = is_proxied


class Addresses:
    """Counts connections. Each is to `enter` and to `leave`, once."""

    def __init__(self, peers: Peers) -> None:
        self._per_address = peers.per_address
        #: How many there may be together.
        self.limit = peers.connections or _descriptors()
        self._proxies = peers.trusted_proxies
        self._counts: Counter[object] = Counter()
        self._total = 0

    def enter(self, host: str, weight: int = 1) -> Visitor:
        """One more, from `host`, an address, or "" where there is none. `weight`: 0 if
        it is counted elsewhere."""
        visitor = Visitor(
            host,
            self._key(host) if weight else None,
            is_proxied=self._is_proxy(host),
            weight=weight,
        )
        self._total += weight
        self._count(visitor.key)
        return visitor

    def leave(self, visitor: Visitor) -> None:
        """One less."""
        self._total -= visitor.weight
        self._discount(visitor.key)

    def refusal(self, visitor: Visitor) -> Answer | None:
        """What to answer if there are too many now that `visitor` has entered."""
        if visitor.weight and self._is_full():
            return FULL
        if self._per_address is not None and visitor.key is not None:
            return _CROWDED if self._of(visitor.key) > self._per_address else None
        return None

    def _is_full(self) -> bool:
        return self._total > self.limit

    def _of(self, key: object) -> int:
        return self._counts[key]

    def attribute(self, visitor: Visitor, request: Request) -> Answer | None:
        """`request` has come through a proxy that we trust: from now on the connection
        counts for the client that the proxy names. What to answer if that has too many.
        """
        client = self._client_of(request, visitor.host)
        visitor.name = client or "local"
        key = self._key(client)
        if key != visitor.key:
            self._discount(visitor.key)
            visitor.key = key
            self._count(key)
        return self.refusal(visitor)

    def _client_of(self, request: Request, host: str) -> str:
        """The last in X-Forwarded-For that is not a proxy that we trust itself."""
        named = [
            part.strip()
            for name, value in request.fields
            if name == b"x-forwarded-for"
            for part in value.decode("latin-1").split(",")
        ]
        for text in reversed(named):
            address = parse_address(text.removeprefix("[").partition("]")[0])
            if address is None:
                break  # whoever wrote that does not know, either
            host = str(address)
            if not self._is_proxy(host):
                break
        return host

    def _is_proxy(self, host: str) -> bool:
        """Whether what `host` says of its clients is believed. What comes through a
        Unix socket comes from this machine, as a proxy in front of it does."""
        if not self._proxies:
            return False
        address = parse_address(host)
        return address is None or any(address in network for network in self._proxies)

    def _key(self, host: str) -> object:
        address = parse_address(host)
        if address is None or address.is_loopback or self._is_proxy(host):
            return None
        if isinstance(address, IPv6Address):
            return int(address) >> (128 - _SITE_BITS)
        return address

    def _count(self, key: object) -> None:
        if key is not None:
            self._counts[key] += 1

    def _discount(self, key: object) -> None:
        if key is not None:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]


def _descriptors() -> int:
    """As many connections as there can be."""
    return max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _RESERVE)


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """The address that `text` writes, without the scope or the mapping of IPv4 that
    IPv6 may put around it; None if it is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
