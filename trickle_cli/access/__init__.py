"""Who may do what: rights on channels, and the tokens that carry them.

`rights` what can be granted · `tokens` a file of tokens · `signed` tokens that carry
their rights in themselves (JWT). `Access` joins them: it knows a caller by what a
request says, and nothing else about requests.
"""

from trickle_cli.access.access import Access
from trickle_cli.access.rights import EVERYTHING, Caller, Grant, Right
from trickle_cli.access.signed import BadToken, SigningKey
from trickle_cli.access.tokens import TokenFile, digest_of, new_token, parse_right

__all__ = [
    "EVERYTHING",
    "Access",
    "BadToken",
    "Caller",
    "Grant",
    "Right",
    "SigningKey",
    "TokenFile",
    "digest_of",
    "new_token",
    "parse_right",
]
