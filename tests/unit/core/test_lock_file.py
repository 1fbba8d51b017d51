"""`nbsync.lock`: equal states give equal bytes, and a line that somebody edited is refused with its number."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.lock_file import Pinned, line_of, read_lock, with_folders
from nbsync.errors import UsageError

A = Pinned("raw", "a/b ü.txt", 3, "900150983cd24fb0d6963f7d28e17f72", "", "ab" * 32)
B = Pinned("raw", "b", 0, "x-2", "v1", "cd" * 32)


def test_a_line_says_what_is_pinned_and_no_more() -> None:
    assert line_of(A) == (
        '{"folder": "raw", "path": "a/b ü.txt", "size": 3, "etag": "900150983cd24fb0d6963f7d28e17f72", '
        f'"sha256": "{"ab" * 32}"}}\n'
    )
    assert json.loads(line_of(B))["version_id"] == "v1"
    assert list(read_lock([line_of(A), line_of(B)], "nbsync.lock")) == [A, B]


@pytest.mark.parametrize(
    "change",
    [{"path": "../a"}, {"path": "/etc/passwd"}, {"path": "a/.nbsync/x"}, {"path": "a//b"}, {"path": ""}, {"path": 3},
     {"sha256": "AB" * 32}, {"sha256": "ab"}, {"sha256": None}, {"size": -1}, {"size": True}, {"size": "3"},
     {"size": 1 << 60}, {"etag": "a\nb"}, {"etag": None}, {"version_id": 3}, {"folder": ["raw"]}, {"more": 1}],
)  # fmt: skip
def test_a_line_that_was_edited_is_refused(change: dict[str, object]) -> None:
    line = json.dumps({**json.loads(line_of(B)), **change})
    with pytest.raises(UsageError, match=r"nbsync\.lock, line 2: "):
        list(read_lock([line_of(A), line], "nbsync.lock"))


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "null", "3", '{"path": "a"}', "[" * 100_000, '"' + "x" * 100_000 + '"']
)
def test_a_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match=r"nbsync\.lock, line 1: "):
        list(read_lock([line], "nbsync.lock"))


@pytest.mark.parametrize("lines", [[B, A], [A, A]])
def test_lines_out_of_order_or_twice_are_refused(lines: list[Pinned]) -> None:
    with pytest.raises(UsageError, match="line 2: is out of order"):
        list(read_lock(map(line_of, lines), "nbsync.lock"))


_NAMES = st.sampled_from(["a", "b", "b/c", "d"])
_LOCKS = st.dictionaries(st.tuples(_NAMES, _NAMES), st.integers(0, 9), max_size=8)


@given(_LOCKS, _LOCKS, st.frozensets(_NAMES))
def test_only_the_folders_that_are_locked_anew_change(
    old: dict[tuple[str, str], int], new: dict[tuple[str, str], int], folders: frozenset[str]
) -> None:
    def pinned(lock: dict[tuple[str, str], int]) -> list[Pinned]:
        return [Pinned(folder, path, size, "", "", "00" * 32) for (folder, path), size in sorted(lock.items())]

    fresh = [one for one in pinned(new) if one.folder in folders]
    found = list(with_folders(pinned(old), fresh, folders))
    assert found == sorted(
        [*fresh, *(one for one in pinned(old) if one.folder not in folders)], key=lambda one: one.order
    )
    assert list(read_lock(map(line_of, found), "x")) == found
