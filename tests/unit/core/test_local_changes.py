"""What has changed in a folder since it was synced: each kind of change, told from entries and rows."""

from __future__ import annotations

import pytest

from nbsync.core.local_changes import Change, by_path, changes
from nbsync.core.model import Kind, LocalEntry, RecordedEntry


def file(path: str, *, size: int = 3, at: int = 5, kind: Kind = Kind.FILE) -> LocalEntry:
    return LocalEntry(path, kind, size, at, at, 1)


def row(path: str, *, size: int = 3, at: int = 5) -> RecordedEntry:
    return RecordedEntry(path, "e", "", size, at, at, 1, "md5:x")


def told(local: list[LocalEntry], rows: list[RecordedEntry], same: bool | None = None) -> dict[str, str]:
    found = changes(by_path(local, rows), admits=lambda path: not path.endswith(".tmp"), same=lambda _e, _r: same)
    return {one.path: one.change.value for one in found}


def test_each_kind() -> None:
    local = [file("a"), file("b", size=4), file("d"), file("e.tmp")]
    rows = [row("a"), row("b"), row("c")]
    assert told(local, rows) == {"a": "unchanged", "b": "modified", "c": "deleted", "d": "added", "e.tmp": "left-out"}


@pytest.mark.parametrize(("same", "change"), [(True, "unchanged"), (False, "modified"), (None, "maybe")])
def test_a_touched_file_is_judged_by_its_content(same: bool | None, change: str) -> None:
    assert told([file("a", at=9)], [row("a")], same) == {"a": change}


def test_a_file_of_another_size_is_never_read() -> None:
    def read(_entry: LocalEntry, _row: RecordedEntry) -> bool:
        raise AssertionError

    found = changes(by_path([file("a", size=9)], [row("a")]), admits=lambda _: True, same=read)
    assert [one.change for one in found] == [Change.MODIFIED]


def test_it_is_enough_to_be_as_one_of_several_remotes_left_it() -> None:
    assert told([file("a", at=7)], [row("a", at=5), row("a", at=7)], False) == {"a": "unchanged"}
    assert told([file("a", at=8)], [row("a", at=5), row("a", at=7)], False) == {"a": "modified"}


def test_below_a_folder_that_cannot_be_looked_into_nothing_is_called_deleted() -> None:
    local = [file("d", kind=Kind.UNREADABLE_FOLDER), file("d-1")]
    assert told(local, [row("d-1"), row("d/x"), row("e")]) == {"d-1": "unchanged", "d/x": "maybe", "e": "deleted"}


def test_what_is_no_file_any_more_is_modified_and_links_are_no_additions() -> None:
    local = [file("a", kind=Kind.SYMLINK), file("b", kind=Kind.SPECIAL), file("c", kind=Kind.UNREADABLE)]
    assert told(local, [row("a"), row("c")]) == {"a": "modified", "c": "maybe"}
