"""How a client comes to its server, besides where that is."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from typing import Final

from trickle_cli.errors import BadConfiguration
from trickle_cli.protocol.events import Field

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
#: What a client sends by itself, or what would change where a message ends.
_OURS: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "expect", "upgrade"}
)


@dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """What a client sends with each request, and how it connects.

    `token` is a bearer token, "" for none · `headers` other fields, as (name, value) ·
    `tls` what connections to https are made with (`tls_context` makes one); None: the
    certificate authorities that this machine trusts · `trust_env` use the proxies that
    HTTP_PROXY, HTTPS_PROXY and NO_PROXY name.

    Raises BadConfiguration for what cannot be sent.
    """

    token: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    tls: ssl.SSLContext | None = None
    trust_env: bool = True

    def __post_init__(self) -> None:
        if not (self.token.isascii() and self.token.isprintable()) or " " in self.token:
            raise BadConfiguration("the token has characters that cannot be sent")
        for name, value in self.headers:
            if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
                raise BadConfiguration(f"the header {name!r} cannot be sent as it is")
            if name.lower() in _OURS:
                raise BadConfiguration(f"the header {name!r} is not for users to set")

    @property
    def fields(self) -> list[Field]:
        """The fields that go into each request."""
        fields = [(k.encode(), v.strip().encode("latin-1")) for k, v in self.headers]
        if self.token:
            fields.append((b"Authorization", b"Bearer " + self.token.encode()))
        return fields


def tls_context(
    *,
    cacert: str | None = None,
    cert: str | None = None,
    key: str | None = None,
    insecure: bool = False,
) -> ssl.SSLContext:
    """What to make TLS connections with. The server's certificate is verified, by the
    authorities in the file `cacert`, or those of this machine, unless `insecure`.
    `cert` and `key` are files with a certificate of our own to show. All are PEM.

    Raises BadConfiguration with the name of the file, OSError.
    """
    context = ssl.create_default_context()
    try:
        if cacert is not None:
            context = ssl.create_default_context(cafile=cacert)
        if insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if cert is not None:
            context.load_cert_chain(cert, key)
    except ssl.SSLError as error:
        names = " or ".join(name for name in (cacert, cert, key) if name)
        reason = error.reason or "no certificate or key in it"
        raise BadConfiguration(f"{names}: {reason.replace('_', ' ').lower()}") from None
    return context
