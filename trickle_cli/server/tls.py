"""What a server encrypts its connections with."""

from __future__ import annotations

import ssl

from trickle_cli.errors import BadConfiguration


def server_context(
    cert: str, key: str | None = None, *, client_ca: str | None = None
) -> ssl.SSLContext:
    """A context with the certificate (and its chain) in the file `cert`, whose key is
    in `key`, or in the same file. With `client_ca`, clients must show a certificate
    that one of the authorities in that file has signed. All are PEM.

    Raises BadConfiguration with the name of the file, OSError.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        names = cert if key is None else f"{cert} and {key}"
        raise BadConfiguration(f"{names}: {_reason(error)}") from None
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except ssl.SSLError as error:
            raise BadConfiguration(f"{client_ca}: {_reason(error)}") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_password() -> str:
    """OpenSSL would ask on the terminal."""
    return ""


def _reason(error: ssl.SSLError) -> str:
    reason = (error.reason or "not a certificate and its key in PEM").lower()
    return reason.replace("_", " ")
