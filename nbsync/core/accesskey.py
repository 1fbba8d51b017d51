"""What may be shown of an access key. Pure."""

from __future__ import annotations

import base64
import binascii
import re

_ORDINARY = re.compile(r"[A-Z0-9]{16,32}")
_AWS = re.compile(r"A[KS]IA[A-Z2-7]{16}")


def masked(access_key: str) -> str:
    """`AKIA…MPLE`; less of one that does not look like an access key: it may be a secret in the wrong place."""
    if _ORDINARY.fullmatch(access_key):
        return f"{access_key[:4]}…{access_key[-4:]}"
    shown = access_key[:2] if len(access_key) >= 8 and access_key[:2].isalnum() and access_key.isascii() else ""
    return f"{shown}…"


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
