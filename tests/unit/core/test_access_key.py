"""What is shown of an access key."""

from __future__ import annotations

import pytest

from nbsync.core.access_key import account_of, masked


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("AKIAIOSFODNN7EXAMPLE", "AKIA…MPLE"),
        ("ASIAQNZGKIQY56JQ7WML", "ASIA…7WML"),
        ("minioadmin", "mi…"),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJ…"),  # a secret in the place of the key
        ("short", "…"),
        ("", "…"),
        ("\x1b[31mkey-key", "…"),
        ("ключ-ключ", "…"),
    ],
)
def test_little_is_shown(key: str, shown: str) -> None:
    assert masked(key) == shown


@pytest.mark.parametrize(
    ("key", "account"),
    [
        ("ASIAQNZGKIQY56JQ7WML", "029608264753"),
        ("AKIAIOSFODNN7EXAMPLE", "581039954779"),
        ("AKIATEST", ""),
        ("AROAQNZGKIQY56JQ7WML", ""),
        ("AKIA0000000000000000", ""),
        ("", ""),
    ],
)
def test_a_keys_name_tells_its_account(key: str, account: str) -> None:
    assert account_of(key) == account
