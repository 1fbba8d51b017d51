"""Which file is which object where a file system folds names: a table of groups, each with what comes of it."""

from __future__ import annotations

import pytest

from nbsync.core.model import Direction, Joined, LocalEntry
from nbsync.core.pairing import Group, Rules, histories, pair, renamed
from tests.unit.core.entries import here, row, there

PULL, PUSH = Direction.PULL, Direction.PUSH


def fold(path: str, among: list[LocalEntry]) -> LocalEntry | None:
    return next((entry for entry in among if entry.path.lower() == path.lower()), None)


def tell_apart(_path: str, _among: list[LocalEntry]) -> None:
    return None


def told(one: Joined) -> str:
    """`key=name`, with what is there and what becomes of it."""
    said = one.path + (f"={one.spelled or one.path}" if one.local else "")
    said += " object" if one.remote else ""
    said += f" row:{one.recorded.path}" if one.recorded else ""
    said += f" clash:{one.clash}" if one.clash else ""
    return said + (f" namesake:{one.namesake}" if one.namesake else "")


def group(local: str, remote: str, recorded: str) -> Group:
    return Group(
        [here(path) for path in local.split()],
        [there(path.lstrip("-"), refused="excluded" if path.startswith("-") else "") for path in remote.split()],
        [row(path) for path in recorded.split()],
    )


@pytest.mark.parametrize(
    ("local", "remote", "recorded", "direction", "expected"),
    [
        ("A", "A", "A", PULL, ["A=A object row:A"]),
        ("A", "a", "", PULL, ["a=A object"]),
        ("A", "A a", "A", PUSH, ["A=A object row:A", "a object clash:A"]),
        ("a", "A a", "", PULL, ["a=a object", "A object clash:a"]),
        ("aA", "AA Aa aa", "Aa", PULL, ["Aa=aA object row:Aa", "AA object clash:Aa", "aa object clash:Aa"]),
        ("aA", "AA aa", "", PUSH, ["AA=aA object", "aa object clash:AA"]),
        ("", "A a", "", PULL, ["A object", "a object namesake:A"]),
        ("", "A a", "a", PULL, ["A object namesake:a", "a object row:a"]),
        ("", "A a", "", None, ["A object", "a object clash:A"]),
        ("", "A a", "a", PUSH, ["A object clash:a", "a object row:a"]),
        ("", "-A a", "", PULL, ["-A object", "a object"]),
        ("A", "-A a", "", PULL, ["A=A object", "a object clash:A"]),
        ("A", "-a", "", PULL, ["a=A object"]),
        ("A", "a", "A", PULL, ["a=A object row:A"]),  # renamed in REMOTE
        ("A", "a", "A a", PULL, ["a=A object row:a", "A row:A"]),
        ("A", "", "a", PUSH, ["a=A row:a"]),
        ("A", "", "", PUSH, ["A=A"]),
        ("", "", "A a", PULL, ["A row:A", "a row:a"]),
    ],
)
def test_pairs(local: str, remote: str, recorded: str, direction: Direction | None, expected: list[str]) -> None:
    found = pair(group(local, remote, recorded), Rules(direction, fold))
    assert sorted(map(told, found)) == sorted(one.lstrip("-") for one in expected)


@pytest.mark.parametrize("direction", [PULL, PUSH])
def test_names_that_the_file_system_tells_apart_are_files_of_their_own(direction: Direction) -> None:
    found = list(pair(group("A a", "A a", "a"), Rules(direction, tell_apart)))
    assert sorted(map(told, found)) == ["A=A object", "a=a object row:a"]
    assert [told(one) for one in pair(group("A", "a", "A"), Rules(direction, tell_apart))] == ["A=A row:A", "a object"]


@pytest.mark.parametrize(
    ("spelled", "direction", "expected"),
    [
        ("A", PUSH, ["A object row:A namesake:a", "a=a"]),
        ("A", PULL, ["A=a object row:A"]),  # a push carries it, a pull leaves it alone
        ("a", PUSH, ["A=a object row:A"]),  # it has always been spelled so
        (None, PUSH, ["A=a object row:A"]),  # nobody knows
    ],
)
def test_rename_here(spelled: str | None, direction: Direction, expected: list[str]) -> None:
    found = pair(group("a", "A", "A"), Rules(direction, fold, lambda _key: spelled))
    assert sorted(map(told, found)) == expected


def test_rename_here_of_an_object_that_moved_is_none() -> None:
    moved = group("a", "A", "A")._replace(remote=[there("A")._replace(etag="another")])
    (one,) = pair(moved, Rules(PUSH, fold, lambda _key: "A"))
    assert told(one) == "A=a object row:A"


def test_a_single_object_is_not_another_ones_file() -> None:
    found = pair(group("A", "a", "A"), Rules(PULL, fold, whole=False))
    assert sorted(map(told, found)) == ["A=A row:A", "a object clash:A"]


def test_histories() -> None:
    (one,) = histories(group("A", "", "A a"), Rules(None, fold))
    assert (one.path, [known.path for known in one.rows]) == ("A", ["A", "a"])
    found = list(histories(group("", "", "A a a"), Rules(None, fold)))
    assert [(one.path, len(one.rows)) for one in found] == [("A", 1), ("a", 2)]


@pytest.mark.parametrize(
    ("spelled", "old", "new", "expected"),
    [
        ("A.txt", "A.txt", "a.txt", "a.txt"),
        ("Dir/x", "dir/x", "dir/X", "Dir/X"),
        ("Dir/x", "Dir/x", "dir/x", "dir/x"),
    ],
)
def test_renamed(spelled: str, old: str, new: str, expected: str) -> None:
    assert renamed(spelled, old, new) == expected
