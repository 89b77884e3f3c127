"""Binary content is kept away from terminals, which it would command."""

from __future__ import annotations

import os

from trickle_cli.errors import BadConfiguration

#: Bytes that are looked at.
_LOOK = 1024
#: Controls that texts have: bell to carriage return, and escape.
_OF_TEXTS = {*range(7, 14), 27}


def refuse_binary(type_: str, data: bytes) -> None:
    """BadConfiguration if standard output is a terminal, and `data`, which content of
    the MIME type `type_` begins with, is not text."""
    if os.isatty(1) and is_binary(data):
        raise BadConfiguration(
            f"this is no text ({type_ or 'of no type'}), and not for a terminal:"
            " redirect it, or use --output FILE, or --force"
        )


def is_binary(data: bytes) -> bool:
    """Whether `data` is not text in UTF-8."""
    looked_at = data[:_LOOK]
    try:
        looked_at.decode()
    except UnicodeDecodeError as error:
        if error.start < len(looked_at) - 3:  # a character that is cut off is none
            return True
    return any(byte < 32 and byte not in _OF_TEXTS for byte in looked_at)
