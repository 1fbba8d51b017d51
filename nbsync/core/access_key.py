"""Access keys: what may be shown of one, and what surrounds one by mistake. Pure."""

from __future__ import annotations

import base64
import binascii
import re
import string

_AROUND = string.whitespace + "\0\u00a0\u200b\u2060\ufeff"  # a byte order mark, too, and what web pages put there
_ORDINARY = re.compile(r"[A-Z0-9]{16,32}")
_AWS = re.compile(r"A[KS]IA[A-Z2-7]{16}")


def masked(access_key: str) -> str:
    """`AKIA…MPLE`; less of one that does not look like an access key: it may be a secret in the wrong place."""
    if _ORDINARY.fullmatch(access_key):
        return f"{access_key[:4]}…{access_key[-4:]}"
    shown = access_key[:2] if len(access_key) >= 8 and access_key[:2].isalnum() and access_key.isascii() else ""
    return f"{shown}…"


def clean(value: str, name: str, *, of_header: bool = True) -> str:
    """A key or token without the blanks, line breaks and byte order mark around it.

    Args:
        value: as it was found.
        name: for the error.
        of_header: it is sent, so that it must be ASCII without blanks; else it only signs.

    Raises:
        ValueError: it is empty, or holds what a key cannot. Its value is not told.
    """
    value = value.strip(_AROUND)
    if not value:
        raise ValueError(f"{name} is empty")
    if not value.isprintable() or (of_header and not re.fullmatch(r"[!-~]+", value)):
        raise ValueError(f"{name} has a blank, a line break or another character in it that no key has")
    return value


def account_of(access_key: str) -> str:
    """The number of the AWS account that a key belongs to, which its name tells; empty if it does not.

    The name of a key that begins with AKIA or ASIA holds the number in base 32, from its fifth letter. AWS has not
    written it down; `aws sts get-access-key-info` tells the same.
    """
    if not _AWS.fullmatch(access_key):
        return ""
    try:
        number = int.from_bytes(base64.b32decode(access_key[4:])[:6], "big")
    except binascii.Error:
        return ""
    return f"{(number & 0x7FFFFFFFFF80) >> 7:012}"
