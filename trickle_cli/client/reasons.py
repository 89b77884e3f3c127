"""Why something failed, in words for a person."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from typing import Final

#: What OpenSSL's words come in: "[SSL: WRONG_VERSION_NUMBER] ... (_ssl.c:1006)".
_WRAPPING: Final = re.compile(r"^\[.*?\] | \(_ssl\.c:\d+\)$")

#: OpenSSL's word for an answer that is not TLS.
_NO_TLS: Final = "wrong version number"


def reason_of(error: BaseException) -> str:
    """The most telling part of `error`: the system's word, if there is one in what
    caused it."""
    system = _system_error(error)
    if isinstance(system, ssl.SSLError | socket.gaierror):
        # Their errno is not the system's.
        return _WRAPPING.sub("", system.strerror or str(system)).lower()
    if system is not None and system.errno is not None and system.errno > 0:
        return os.strerror(system.errno).lower()
    return str(error) or type(error).__name__


def is_refusal(error: BaseException) -> bool:
    """Whether nobody listens where a connection was tried."""
    system = _system_error(error)
    return system is not None and system.errno == errno.ECONNREFUSED


def _system_error(error: BaseException | None) -> OSError | None:
    """The innermost OSError among `error`, what caused it, and members of groups."""
    if error is None:
        return None
    if isinstance(error, BaseExceptionGroup):
        inner = _system_error(error.exceptions[0])
    else:
        inner = _system_error(error.__cause__ or error.__context__)
    if inner is None and isinstance(error, OSError):
        return error
    return inner


def unreachable(where: str, error: BaseException, proxy: object = None) -> str:
    """The message for a server at `where` that cannot be connected to, by `proxy`, if
    one is in between: then that may be what is missing."""
    reason = reason_of(error)
    if proxy is not None:
        return f"cannot reach {where} by the proxy {proxy}: {reason}"
    hint = ""
    if is_refusal(error):
        hint = " — is a server running there? (trickle serve)"
    elif reason == _NO_TLS:
        hint = " — if it does not encrypt, its URL begins with http:"
    return f"cannot reach {where}: {reason}{hint}"
