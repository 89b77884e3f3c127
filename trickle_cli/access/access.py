"""Who is calling, by what a request says of it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from trickle_cli.access.rights import Caller, Grant
from trickle_cli.access.signed import SigningKey
from trickle_cli.access.tokens import TokenFile, digest_of

#: Signed tokens that have been verified, and are not verified again.
_VERIFIED: Final = 4096
#: What is longer than this is no token.
_MAX_TOKEN: Final = 8192


class Access:
    """Knows callers by a file of tokens, by a key that has signed theirs, or both.

    `clock`: seconds since 1970, to tell what has expired.
    """

    def __init__(
        self,
        tokens: TokenFile | None = None,
        key: SigningKey | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tokens
        self._key = key
        self._clock = clock
        self._anonymous: tuple[Grant, ...] = (
            tokens.anonymous if tokens is not None else ()
        )
        self._nobody = Caller(name="", grants=self._anonymous)
        self._verified: OrderedDict[bytes, Caller] = OrderedDict()

    @property
    def anonymous(self) -> Caller:
        """Who does not say who it is."""
        return self._nobody

    def identify(self, authorization: bytes | None) -> Caller | None:
        """Whose Authorization field this is; None if it is not worth anything.
        Everybody has the rights of the anonymous besides their own."""
        if authorization is None:
            return self._nobody
        scheme, _, token = authorization.strip().partition(b" ")
        token = token.strip()
        if scheme.lower() != b"bearer" or not 0 < len(token) <= _MAX_TOKEN:
            return None
        caller = self._find(token)
        if caller is None or self._is_over(caller):
            return None
        return caller

    def _is_over(self, caller: Caller) -> bool:
        return caller.expires is not None and caller.expires <= self._clock()

    def _find(self, token: bytes) -> Caller | None:
        digest = digest_of(token)
        caller = self._verified.get(digest)
        if caller is not None:
            self._verified.move_to_end(digest)
            return caller
        caller = self._tokens.find(digest) if self._tokens is not None else None
        if caller is None and self._key is not None:
            caller = self._key.verify(token, self._clock())
        if caller is None:
            return None
        caller = Caller(
            name=caller.name,
            grants=caller.grants + self._anonymous,
            expires=caller.expires,
        )
        self._verified[digest] = caller
        if len(self._verified) > _VERIFIED:
            self._verified.popitem(last=False)
        return caller
