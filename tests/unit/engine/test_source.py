"""Both sides of a run: what a call names, which paths are in scope, and how what was met is judged and counted."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from nbsync.core.call import Call
from nbsync.core.guard import Limits
from nbsync.core.model import Direction, Kind
from nbsync.core.options import Options
from nbsync.engine.source import Scope, Seen, counted, judged, read_list, sides_of
from nbsync.errors import LocalError, NoSuchBucket, UsageError
from nbsync.wire.errors import ServiceError
from tests.unit.core.entries import here, row, there
from tests.unit.engine.sides import joined, sides

STATES = [
    joined(here("a"), there("a"), row("a"), "a"),
    joined(here("b"), path="b"),
    joined(None, there("c"), path="c"),
    joined(here("d", kind=Kind.UNREADABLE_FOLDER), path="d"),
    joined(None, None, row("e"), "e"),
]


@pytest.mark.parametrize(
    ("direction", "in_source", "missing", "unread"),
    [
        (Direction.PULL, 2, {"b", "e", "x"}, ""),  # what LOCAL cannot show is no matter where it is no source
        (Direction.PUSH, 3, {"c", "e", "x"}, "d"),
        (None, 4, {"e", "x"}, "d"),
    ],
)
def test_both_sides_are_counted_as_they_pass(
    direction: Direction | None, in_source: int, missing: set[str], unread: str
) -> None:
    seen = Seen({"a", "b", "c", "e", "x"})
    passed = list(counted(STATES, seen, direction, lambda _folder: True))

    assert passed == STATES
    assert (seen.local, seen.remote, seen.either) == (3, 2, 4)
    assert seen.in_source(direction) == in_source
    assert (seen.missing, seen.unread) == (missing, unread)


def test_an_unreadable_folder_out_of_scope_is_no_matter() -> None:
    seen = Seen()
    list(counted(STATES, seen, Direction.PUSH, lambda _folder: False))
    assert seen.unread == ""


@pytest.mark.parametrize(
    ("filters", "listed", "admitted", "reached", "partial"),
    [
        ((), None, "a.csv d/a.txt", True, False),
        ((("exclude", "*.csv"),), None, "d/a.txt", True, True),
        ((("exclude", "d/*"),), None, "a.csv", False, True),
        ((), frozenset({"a.csv"}), "a.csv", False, True),
        ((("exclude", "*.csv"),), frozenset({"a.csv", "d/a.txt"}), "d/a.txt", True, True),
    ],
)
def test_scope(filters: Any, listed: Any, admitted: str, reached: bool, partial: bool) -> None:
    scope = Scope(Options(filters=filters), listed)

    assert [path for path in ("a.csv", "d/a.txt") if scope.admits(path)] == admitted.split()
    assert (scope.reaches("d"), scope.is_partial) == (reached, partial)


@pytest.mark.parametrize(
    ("direction", "limits", "refused"),
    [
        (Direction.PULL, Limits(), {"long"}),
        (Direction.PULL, Limits(repositories=False), {"long", "r/.git/config"}),
        (Direction.PUSH, Limits(), set()),
    ],
)
def test_entries_that_may_be_no_file_here_are_refused(direction: Direction, limits: Limits, refused: set[str]) -> None:
    these = sides(direction.value, local="/" + "d" * 4_000)
    these = these._replace(call=Call(command="pull", remote="b", limits=limits))
    long = "long" + "g" * 500
    found = judged(iter([there("f"), there(long), there("r/.git/config")]), these, direction)

    assert {one.path[:13].rstrip("g") for one in found if one.refused} == {path.rstrip("g") for path in refused}


def test_what_a_call_names() -> None:
    assert sides_of(Call(command="pull", remote="b/p/data")).local == "./data"
    assert sides_of(Call(command="pull", remote="b", only=frozenset({"f"}))).scope.listed == {"f"}
    with pytest.raises(UsageError, match="LOCAL is on this machine"):
        sides_of(Call(command="push", remote="b", local="s3://b/p"))


def test_local_is_a_folder_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")

    assert sides("pull", str(tmp_path)).check_folder()
    assert not sides("pull", str(tmp_path / "none")).check_folder()
    with pytest.raises(LocalError, match="is not a directory"):
        sides("pull", str(tmp_path / "f")).check_folder()


@pytest.mark.parametrize(("direction", "kind"), [(Direction.PULL, Kind.SYMLINK), (Direction.PUSH, Kind.FILE)])
def test_only_who_copies_from_local_looks_through_its_links(tmp_path: Path, direction: Direction, kind: Kind) -> None:
    (tmp_path / "elsewhere").write_bytes(b"x")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "elsewhere")
    these = sides(direction.value, str(tmp_path / "data"), follow_symlinks=True)

    assert [one.kind for one in these.scan(direction)] == [kind]
    assert list(sides("pull").scan(direction)) == []


def test_a_bucket_that_is_a_folder_here_may_be_swapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for remote, swapped in (("data", True), ("other", False)):
        these = sides_of(Call(command="pull", remote=remote))
        error = these.explain(ServiceError(404, "NoSuchBucket"))
        assert isinstance(error, NoSuchBucket)
        assert ("is it swapped?" in str(error)) is swapped


def test_the_list_of_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "list"
    file.write_bytes(b"\xef\xbb\xbfa\r\n./b\n\n")
    assert read_list("") is None
    assert read_list(str(file)) == {"a", "b"}
    file.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        read_list(str(file))
    with pytest.raises(UsageError, match="No such file"):
        read_list(str(tmp_path / "none"))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(UsageError, match="nothing is piped"):
        read_list("-")
