"""decide_two_way, as tables: the base, and what each side made of it -> what is done."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.decide_two_way import BOTH_CHANGED, NEVER_SYNCED, TwoWay, decide_two_way
from nbsync.core.model import EXCLUDED, Action, Joined, Kind, LocalEntry, RecordedEntry, RemoteEntry, Status, Verb
from tests.unit.core.entries import here, row, there


def one(local: Any = None, remote: Any = None, recorded: Any = None, **more: Any) -> Joined:
    return Joined("f", local, remote, recorded, **more)


def short(action: Action | None) -> Any:
    """(verb, check, the verb if the file turns out to be unedited, conflict if different), or (status, problem)."""
    if action is None:
        return None
    if action.status is not Status.PLANNED:
        assert action.verb is Verb.NONE
        return action.status.value, action.problem
    unedited = action.unedited[0].value if action.unedited else ""
    return action.verb.value, action.check, unedited, bool(action.conflict_if_different)


edited, longer = here(mtime_ns=101), here(size=2)
changed, larger = there(etag="another"), there(etag="another", size=3)

TABLE: list[tuple[Joined, Any]] = [
    # no row
    (one(here(), None), ("upload", False, "", False)),
    (one(None, there()), ("download", False, "", False)),
    (one(here(), there()), ("download", True, "", True)),
    (one(longer, there()), ("conflict", "conflict")),
    # row, both there
    (one(here(), there(), row()), ("hit", "")),
    (one(edited, there(), row()), ("upload", True, "", False)),
    (one(longer, there(), row()), ("upload", False, "", False)),
    (one(here(), changed, row()), ("download", True, "", False)),
    (one(here(), larger, row()), ("download", False, "", False)),
    (one(edited, changed, row()), ("download", True, "download", True)),
    (one(edited, larger, row()), ("download", True, "download", True)),
    (one(longer, larger, row()), ("conflict", "conflict")),
    (one(longer, changed, row()), ("conflict", "conflict")),
    (one(edited, larger, row(content="")), ("conflict", "conflict")),
    (one(longer, there(etag=""), row()), ("upload", True, "", True)),
    # row, one side gone
    (one(None, there(), row()), ("delete-remote", False, "", False)),
    (one(None, changed, row()), ("download", False, "", False)),
    (one(here(), None, row()), ("delete-local", False, "", False)),
    (one(longer, None, row()), ("upload", False, "", False)),
    (one(edited, None, row()), ("upload", True, "delete-local", False)),
    (one(edited, None, row(content="")), ("upload", False, "", False)),
    (one(None, None, row()), None),
    (one(None, there(etag=""), row()), ("conflict", "conflict")),
    # out of scope, refused, in the way
    (one(here(), there(refused=EXCLUDED), row()), None),
    (one(None, there(refused=EXCLUDED), row()), None),
    (one(None, there(refused="has a .. segment")), ("skipped", "unsafe-name")),
    (one(None, there(), clash="F"), ("skipped", "name-clash")),
    (one(None, there(), remote_below=True), ("skipped", "name-clash")),
    (one(here(kind=Kind.SYMLINK), None, row()), ("skipped", "")),
    (one(here(kind=Kind.SYMLINK), there(), row()), ("conflict", "conflict")),
    (one(here(kind=Kind.SPECIAL), None), ("skipped", "special-file")),
    (one(None, there(storage_class="GLACIER")), ("skipped", "archived")),
    (one(None, there(), local_below=True, below_stays=True), ("conflict", "conflict")),
    (one(None, there(), local_below=True), ("download", False, "", False)),
    (one(None, there(), local_above=here("d"), above_stays=True), ("conflict", "conflict")),
    (one(None, there(), local_above=here("d")), ("download", False, "", False)),
    (one(None, there(), row(), local_above=here("d", kind=Kind.SYMLINK)), None),
    (one(here(), None, row(), remote_above=there("d")), None),
    (one(here(), None, row(), remote_below=True), None),
    (one(here(), None, remote_above=there("d"), above_stays=True), None),
    (one(here(), None, remote_above=there("d")), ("upload", False, "", False)),
    (one(here(), None, remote_above=there("d", refused=EXCLUDED), above_stays=True), ("upload", False, "", False)),
    (one(here(), None, remote_below=True, below_stays=True), None),
]


@pytest.mark.parametrize(("joined", "expected"), TABLE)
def test_what_is_done(joined: Joined, expected: Any) -> None:
    assert short(decide_two_way(joined, TwoWay())) == expected


@pytest.mark.parametrize(
    "joined", [joined for joined, _ in TABLE if joined.remote is None or not joined.remote.refused]
)
def test_what_is_excluded_is_left_alone(joined: Joined) -> None:
    assert decide_two_way(joined, TwoWay(admits=lambda _path: False)) is None


@pytest.mark.parametrize(
    ("joined", "expected"),
    [
        (one(None, there(), row()), ("download", False, "", False)),
        (one(here(), None, row()), ("upload", False, "", False)),
        (one(here(), changed, row()), ("download", True, "", True)),
        (one(here(), there(), row()), ("hit", "")),
    ],
)
def test_a_row_of_somebody_elses_is_no_base(joined: Joined, expected: Any) -> None:
    assert short(decide_two_way(joined, TwoWay(is_proved=lambda _row: False))) == expected


BOTH = one(longer, larger, row())
MAYBE = one(edited, larger, row())
NEW = one(longer, there())


@pytest.mark.parametrize(
    ("joined", "end", "expected"),
    [
        (BOTH, "remote", ("download", False, "", False)),
        (MAYBE, "remote", ("download", True, "download", False)),
        (NEW, "remote", ("download", False, "", False)),
        (BOTH, "local", ("upload", False, "", False)),
        (MAYBE, "local", ("upload", True, "download", False)),
        (BOTH, "both", ("download", False, "", False)),
        (MAYBE, "both", ("download", True, "download", False)),
        (one(here(), changed, row()), "local", ("download", True, "", False)),
        (one(longer, there(), row()), "remote", ("upload", False, "", False)),
    ],
)
def test_how_a_conflict_ends(joined: Joined, end: str, expected: Any) -> None:
    assert short(decide_two_way(joined, TwoWay(on_conflict=end))) == expected


def test_what_the_taken_side_replaces_is_saved() -> None:
    def decided(end: str) -> Action:
        action = decide_two_way(BOTH, TwoWay(on_conflict=end, copy_of=lambda path: path + ".copy"))
        assert action is not None
        return action

    assert (decided("remote").trash, decided("remote").copy, decided("remote").rescue) == (True, "", False)
    assert (decided("both").trash, decided("both").copy) == (False, "f.copy")
    assert decided("local").rescue
    assert decide_two_way(BOTH, TwoWay()).reason == BOTH_CHANGED  # type: ignore[union-attr]
    assert decide_two_way(NEW, TwoWay()).reason == NEVER_SYNCED  # type: ignore[union-attr]


_FILES = st.none() | st.builds(
    lambda size, mtime: here(size=size, mtime_ns=mtime), st.integers(1, 2), st.integers(100, 101)
)
_OBJECTS = st.none() | st.builds(
    lambda size, etag: there(size=size, etag=etag), st.integers(1, 2), st.sampled_from("ab")
)
_ROWS = st.none() | st.builds(lambda etag: row(etag=etag), st.sampled_from("ab"))


@given(_FILES, _OBJECTS, _ROWS, st.sampled_from(["report", "local", "remote", "both"]))
def test_nothing_is_lost_that_only_one_side_has(
    local: LocalEntry | None, remote: RemoteEntry | None, recorded: RecordedEntry | None, end: str
) -> None:
    """Whatever is replaced or deleted is recorded content, or is saved, or the user named the side that wins."""
    action = decide_two_way(one(local, remote, recorded), TwoWay(on_conflict=end))
    if action is None or action.status is not Status.PLANNED:
        return
    edited_here = local is not None and (recorded is None or local.size != recorded.size or local.mtime_ns != 100)
    changed_there = remote is not None and (recorded is None or remote.etag != recorded.etag)
    if action.verb is Verb.DELETE_LOCAL or (action.verb is Verb.DOWNLOAD and local is not None):
        assert not edited_here or action.trash or action.copy or action.conflict_if_different
    if action.verb is Verb.DELETE_REMOTE:
        assert not changed_there
    if action.verb is Verb.UPLOAD and remote is not None:
        assert not changed_there or action.rescue or action.conflict_if_different
