"""Tokens that carry their rights in themselves, signed with a key (JWT, RFC 7519).

Besides `sub`, `iat`, `nbf` and `exp`, which are as in the RFC, they have `grants`: a
list of objects with `rights` and `channels`, as in a file of tokens. By joserfc.

The key decides on the algorithm, never the token: one that says it is signed by
another way than that of the key is not looked at.
"""

from __future__ import annotations

import json
import math
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from trickle_cli.access.rights import Caller, Grant
from trickle_cli.access.tokens import parse_grants
from trickle_cli.errors import BadConfiguration

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

    _Key: TypeAlias = OctKey | RSAKey | ECKey | OKPKey

#: A secret of less than so many bytes can be guessed (RFC 7518, 3.2).
MIN_SECRET: Final = 32
_MIN_RSA_BITS: Final = 2048
#: By type of key, and its curve. The first signs, all of them are verified.
_ALGORITHMS: Final = {
    ("oct", ""): ("HS256",),
    ("RSA", ""): ("RS256", "PS256"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("Ed25519", "EdDSA"),
}
_PEM: Final = re.compile(rb"-----BEGIN ([A-Z ]*)-----")


class BadToken(BadConfiguration):
    """A signed token that is not worth anything; the message says why."""


class SigningKey:
    """Signs tokens, and tells those it has signed. Made by `load`."""

    def __init__(self, key: _Key, algorithms: tuple[str, ...]) -> None:
        self._key = key
        self._algorithms = algorithms

    @classmethod
    def load(cls, path: str) -> SigningKey:
        """From the file at `path`: a secret of 32 bytes or more as text, or an RSA,
        EC or Ed25519 key as PEM or JWK. A public one is enough to verify.

        Raises BadConfiguration, OSError.
        """
        from joserfc.errors import JoseError

        content = Path(path).read_bytes().strip()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of keys that we refuse ourselves
                key = _import(content)
            algorithms = _algorithms(key)
        except BadConfiguration as error:
            raise BadConfiguration(f"{path}: {error}") from None
        except (JoseError, ValueError, TypeError) as error:
            raise BadConfiguration(f"{path}: not a key: {error}") from None
        return cls(key, algorithms)

    def sign(
        self,
        grants: tuple[Grant, ...],
        *,
        name: str = "",
        now: float,
        expires: float | None,
    ) -> str:
        """A token with `grants`, from `now` until `expires` (both in seconds since
        1970; None: for ever). `name` says whose it is."""
        from joserfc import jwt

        if not self._key.is_private:
            raise BadConfiguration("a public key verifies tokens, but cannot sign them")
        claims: dict[str, Any] = {"iat": int(now)}
        if name:
            claims["sub"] = name
        if expires is not None:
            claims["exp"] = int(expires)
        claims["grants"] = [
            {
                "rights": sorted(right.value for right in grant.rights),
                "channels": list(grant.channels),
            }
            for grant in grants
        ]
        algorithm = self._algorithms[0]
        return jwt.encode({"alg": algorithm}, claims, self._key, [algorithm])

    def verify(self, token: bytes, now: float) -> Caller | None:
        """Who holds `token`; None if it is not worth anything at `now`."""
        try:
            return self.read(token, now)
        except BadToken:
            return None

    def read(self, token: bytes, now: float) -> Caller:
        """`verify`, but raises BadToken with the reason."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of EdDSA, an old name for Ed25519
                claims = jwt.decode(token, self._key, list(self._algorithms)).claims
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise BadToken(f"not signed with this key: {error}") from None
        return _caller(claims, now)


def _import(content: bytes) -> _Key:
    from joserfc.jwk import OctKey, import_key

    if content.startswith(b"{"):
        return import_key(json.loads(content))
    pem = _PEM.search(content)
    if pem is None:
        if len(content) < MIN_SECRET:
            raise BadConfiguration(
                f"a secret has {MIN_SECRET} bytes at least:"
                " `trickle token new` makes one"
            )
        return OctKey.import_key(content)
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    native: object
    if b"PRIVATE" in pem[1]:
        native = serialization.load_pem_private_key(content, None)
    else:
        native = serialization.load_pem_public_key(content)
    match native:
        case rsa.RSAPrivateKey() | rsa.RSAPublicKey():
            return RSAKey.import_key(content)
        case ec.EllipticCurvePrivateKey() | ec.EllipticCurvePublicKey():
            return ECKey.import_key(content)
        case ed25519.Ed25519PrivateKey() | ed25519.Ed25519PublicKey():
            return OKPKey.import_key(content)
    raise BadConfiguration("a key of this kind is of no use: RSA, EC or Ed25519 is")


def _algorithms(key: _Key) -> tuple[str, ...]:
    curve = str(getattr(key, "curve_name", ""))
    algorithms = _ALGORITHMS.get((key.key_type, curve))
    if algorithms is None:
        raise BadConfiguration(f"a key of type {key.key_type} {curve} is of no use")
    size = getattr(key.raw_value, "key_size", _MIN_RSA_BITS)
    if key.key_type == "RSA" and size < _MIN_RSA_BITS:
        raise BadConfiguration(f"an RSA key has {_MIN_RSA_BITS} bits at least")
    if key.key_type == "oct" and len(bytes(key.raw_value)) < MIN_SECRET:  # type: ignore[arg-type]
        raise BadConfiguration(f"a secret has {MIN_SECRET} bytes at least")
    return algorithms


def _caller(claims: dict[str, Any], now: float) -> Caller:
    times = {key: claims.get(key) for key in ("exp", "nbf")}
    for key, value in times.items():
        if value is not None and not _is_time(value):
            raise BadToken(f"its {key} is not a time")
    expires, begins = times["exp"], times["nbf"]
    if expires is not None and expires <= now:
        raise BadToken("it has expired")
    if begins is not None and begins > now:
        raise BadToken("its time has not come yet")
    try:
        grants = parse_grants({"grants": claims.get("grants")}, "the token")
    except BadConfiguration as error:
        raise BadToken(str(error)) from None
    name = claims.get("sub")
    return Caller(
        name=name if isinstance(name, str) else "", grants=grants, expires=expires
    )


def _is_time(value: object) -> bool:
    return type(value) in {int, float} and math.isfinite(value)  # type: ignore[arg-type]
