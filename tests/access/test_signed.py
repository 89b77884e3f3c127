"""Signed tokens, by every kind of key, and those that are not worth anything."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from joserfc import jwt
from joserfc.jwk import OctKey

from trickle_cli.access import (
    Access,
    BadToken,
    Grant,
    Right,
    SigningKey,
    new_token,
)
from trickle_cli.errors import BadConfiguration

GRANTS = (Grant(rights=frozenset({Right.PUBLISH, Right.LIST}), channels=("cam-*",)),)
NOW = 1_800_000_000.0
SECRET = "0123456789abcdef0123456789abcdef"
KINDS: dict[str, Callable[[], Any]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
}


def private_pem(key: Any) -> bytes:
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a private and a public key of each kind, and a secret."""
    folder = tmp_path_factory.mktemp("keys")
    (folder / "secret").write_text(SECRET + "\n")
    for name, generate in KINDS.items():
        key = generate()
        (folder / name).write_bytes(private_pem(key))
        (folder / f"{name}.pub").write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM,
                serialization.PublicFormat.SubjectPublicKeyInfo,
            )
        )
    return folder


@pytest.fixture
def secret(keys: Path) -> SigningKey:
    return SigningKey.load(str(keys / "secret"))


def forge(claims: dict[str, Any], header: dict[str, Any] | None = None) -> bytes:
    """A token with any claims at all, truly signed with the secret."""
    key = OctKey.import_key(SECRET)
    return jwt.encode(header or {"alg": "HS256"}, claims, key).encode()


def encoded(data: bytes) -> bytes:
    """As a part of a token."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def shown(claims: dict[str, Any]) -> dict[str, Any]:
    """Claims that are all right but for what a test is about."""
    return {"grants": [{"rights": ["list"], "channels": ["*"]}], **claims}


@pytest.mark.parametrize("kind", ["secret", *KINDS])
def test_what_a_key_signs_it_verifies(keys: Path, kind: str) -> None:
    key = SigningKey.load(str(keys / kind))
    token = key.sign(GRANTS, name="camera", now=NOW, expires=NOW + 60)
    caller = key.verify(token.encode(), NOW + 59)
    assert caller is not None
    assert (caller.name, caller.grants, caller.expires) == ("camera", GRANTS, NOW + 60)
    assert key.verify(token.encode(), NOW + 60) is None
    assert key.verify(token.encode()[:-5] + b"aaaaa", NOW) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_public_key_verifies_and_cannot_sign(keys: Path, kind: str) -> None:
    private = SigningKey.load(str(keys / kind))
    public = SigningKey.load(str(keys / f"{kind}.pub"))
    token = private.sign(GRANTS, now=NOW, expires=None).encode()
    caller = public.verify(token, NOW + 1e9)
    assert caller is not None
    assert caller.expires is None
    with pytest.raises(BadConfiguration, match="a public key verifies"):
        public.sign(GRANTS, now=NOW, expires=None)


def test_a_key_may_be_a_jwk(keys: Path, tmp_path: Path, secret: SigningKey) -> None:
    path = tmp_path / "key.json"
    encoded = base64.urlsafe_b64encode(SECRET.encode()).rstrip(b"=").decode()
    path.write_text(json.dumps({"kty": "oct", "k": encoded}))
    token = SigningKey.load(str(path)).sign(GRANTS, now=NOW, expires=None)
    assert secret.verify(token.encode(), NOW) is not None


def test_keys_do_not_verify_the_tokens_of_others(keys: Path) -> None:
    known = {name: SigningKey.load(str(keys / name)) for name in ("secret", *KINDS)}
    for name, signer in known.items():
        token = signer.sign(GRANTS, now=NOW, expires=None).encode()
        for other, verifier in known.items():
            assert (verifier.verify(token, NOW) is not None) == (name == other)


def test_the_token_does_not_choose_how_it_is_verified(keys: Path) -> None:
    """The public key, which everybody knows, is not taken for a secret."""
    public = SigningKey.load(str(keys / "rsa.pub"))
    body = encoded(json.dumps(shown({})).encode())
    signed = encoded(b'{"alg":"HS256"}') + b"." + body
    for text in ((keys / "rsa.pub").read_bytes(), b""):
        for secret in (text, text.strip()):
            mac = hmac.digest(secret, signed, "sha256")
            assert public.verify(signed + b"." + encoded(mac), NOW) is None
    for head in (b'{"alg":"none"}', b'{"alg":""}', b"{}"):
        for key in (public, SigningKey.load(str(keys / "secret"))):
            assert key.verify(encoded(head) + b"." + body + b".", NOW) is None


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "expired": (shown({"exp": NOW}), "it has expired"),
    "not yet": (shown({"nbf": NOW + 1}), "its time has not come yet"),
    "no time": (shown({"exp": "tomorrow"}), "its exp is not a time"),
    "true": (shown({"exp": True}), "its exp is not a time"),
    "never": (shown({"exp": float("nan")}), "its exp is not a time"),
    "no grants": ({}, "the token.grants: a list of tables is wanted"),
    "odd grants": ({"grants": [1]}, "a table is wanted"),
    "odd rights": (
        {"grants": [{"rights": ["all"], "channels": ["*"]}]},
        "no right is called 'all'",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_token_that_is_not_worth_anything_says_why(
    secret: SigningKey, case: str
) -> None:
    claims, reason = WRONG[case]
    with pytest.raises(BadToken, match=reason):
        secret.read(forge(claims), NOW)


@pytest.mark.parametrize(
    "token", [b"", b".", b"a.b.c", b"x" * 5000, b"\xff.\xfe.\xfd", b"e30.e30.e30"]
)
def test_anything_else_is_not_signed_with_the_key(
    secret: SigningKey, token: bytes
) -> None:
    with pytest.raises(BadToken, match="not signed with this key"):
        secret.read(token, NOW)


def test_a_token_without_a_name_or_an_end_is_good(secret: SigningKey) -> None:
    caller = secret.read(forge(shown({"sub": 5, "nbf": NOW - 1})), NOW)
    assert (caller.name, caller.expires) == ("", None)


BAD_KEYS = {
    b"": "a secret has 32 bytes at least",
    b"short": "a secret has 32 bytes at least",
    b"{": "not a key",
    b'{"kty": "oct", "k": "c2hvcnQ"}': "a secret has 32 bytes at least",
    b'{"kty": "what"}': "not a key",
    b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----": "not a key",
    b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----": "not a key",
}


@pytest.mark.parametrize(("content", "reason"), BAD_KEYS.items())
def test_a_key_that_is_of_no_use_says_why(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(BadConfiguration, match=reason) as caught:
        SigningKey.load(str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "generate",
    [ed448.Ed448PrivateKey.generate, lambda: rsa.generate_private_key(65537, 1024)],
    ids=["Ed448", "RSA of 1024 bits"],
)
def test_keys_of_other_kinds_and_small_ones_are_refused(
    tmp_path: Path, generate: Callable[[], Any]
) -> None:
    path = tmp_path / "key"
    path.write_bytes(private_pem(generate()))
    with pytest.raises(BadConfiguration, match="no use|2048 bits"):
        SigningKey.load(str(path))


def test_a_new_token_does_as_a_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(new_token())
    key = SigningKey.load(str(tmp_path / "key"))
    assert key.verify(key.sign(GRANTS, now=NOW, expires=None).encode(), NOW)


def test_access_knows_signed_callers_and_for_how_long(secret: SigningKey) -> None:
    now = NOW
    access = Access(key=secret, clock=lambda: now)
    bearer = b"Bearer " + secret.sign(GRANTS, now=now, expires=now + 60).encode()
    caller = access.identify(bearer)
    assert caller is not None
    assert caller.may(Right.PUBLISH, "cam-1")
    assert access.identify(bearer) is caller  # it is not verified again
    now += 60
    assert access.identify(bearer) is None
