"""The name that keeps a local version beside REMOTE's."""

from __future__ import annotations

import pytest

from nbsync.core.conflict_copy import conflict_copy

NOW = 1_796_000_000 * 10**9 + 5


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.txt", "a.conflict-20261130-005320.txt"),
        ("dir.d/a.tar.gz", "dir.d/a.tar.conflict-20261130-005320.gz"),
        ("dir.d/Makefile", "dir.d/Makefile.conflict-20261130-005320"),
        (".bashrc", ".bashrc.conflict-20261130-005320"),
        ("a.", "a.conflict-20261130-005320."),
        ("ü" * 126 + ".txt", "ü" * 113 + ".conflict-20261130-005320.txt"),
    ],
)
def test_the_last_suffix_stays_the_last(path: str, name: str) -> None:
    found = conflict_copy(path, NOW, lambda _path: False)
    assert found == name
    assert len(found.encode()) <= 255


def test_a_name_that_is_taken_gets_a_number() -> None:
    taken = {"a.conflict-20261130-005320.txt", "a.conflict-20261130-005320-2.txt"}
    assert conflict_copy("a.txt", NOW, taken.__contains__) == "a.conflict-20261130-005320-3.txt"
