"""decide, as tables: what is known of a path -> what is done."""

from __future__ import annotations

from typing import Any

import pytest

from nbsync.core.clock import of_remote_alone
from nbsync.core.decide import CHANGED_IN_REMOTE, NEVER_SYNCED, Policy, decide, if_available, spare
from nbsync.core.model import EXCLUDED, Direction, Evidence, Joined, Kind, Status, Verb
from tests.unit.core.entries import here, row, there


def one(local: Any = None, remote: Any = None, recorded: Any = None, **more: Any) -> Joined:
    return Joined("f", local, remote, recorded, **more)


def pull(joined: Joined, **more: Any) -> tuple[Any, ...] | None:
    return short(joined, Policy(Direction.PULL, **more))


def push(joined: Joined, **more: Any) -> tuple[Any, ...] | None:
    return short(joined, Policy(Direction.PUSH, **more))


def short(joined: Joined, policy: Policy) -> tuple[Any, ...] | None:
    """(verb, status, reason, check), or (status, problem) of what is settled, or None."""
    action = decide(joined, policy)
    if action is None:
        return None
    if action.status is Status.PLANNED:
        return action.verb.value, action.reason, action.check
    assert action.verb is Verb.NONE
    return action.status.value, action.problem


moved = row(etag="another")
edited = here(mtime_ns=101)
longer = here(size=2)
TRASHED = "content differs; what is here goes to the trash"

PULL: list[tuple[Joined, dict[str, Any], Any]] = [
    (one(None, there()), {}, ("download", "missing locally", False)),
    (one(None, there(), row()), {}, ("download", "missing locally", False)),
    (one(None, there()), {"existing": True}, None),
    (one(here(), there()), {}, ("download", TRASHED, True)),
    (one(here(), there(), row()), {}, ("hit", "")),
    (one(edited, there(), row()), {}, ("download", TRASHED, True)),
    (one(here(), there(), moved), {}, ("download", "content differs", True)),
    (one(longer, there(), row()), {}, ("download", TRASHED, False)),
    (one(longer, there()), {"ignore_existing": True}, None),
    (one(longer, there()), {"existing": True}, ("download", TRASHED, False)),
    (one(here(), None), {}, None),
    (one(here(), None), {"delete": True}, ("delete-local", "not in REMOTE (to the trash)", False)),
    (one(here(), None), {"delete": True, "admits": lambda _: False}, None),
    (one(here(kind=Kind.SYMLINK), None), {"delete": True}, None),
    (one(here(), None, remote_above=there("d", refused=EXCLUDED)), {"delete": True}, None),
    (one(here(), None, remote_below=True), {"delete": True}, None),
    (one(None, None, row()), {"delete": True}, None),
    (one(here(), there(refused=EXCLUDED)), {"delete": True}, None),
    (one(here(), there(refused="has a .. segment")), {"delete": True}, ("skipped", "unsafe-name")),
    (one(None, there(), remote_below=True), {}, ("skipped", "name-clash")),
    (one(None, there(storage_class="GLACIER")), {}, ("skipped", "archived")),
    (one(None, there(storage_class="GLACIER", restored=True)), {}, ("download", "missing locally", False)),
    (one(None, there(storage_class="GLACIER_IR")), {}, ("download", "missing locally", False)),
    (one(here(), there(storage_class="GLACIER"), row()), {}, ("hit", "")),
    (one(here(), there(storage_class="GLACIER")), {}, ("download", TRASHED, True)),
    (one(longer, there(storage_class="GLACIER")), {}, ("skipped", "archived")),
    (one(None, there(), local_below=True), {}, ("conflict", "conflict")),
    (one(None, there(), local_below=True), {"delete": True}, ("download", "replaces a local folder", False)),
    (one(None, there(), local_above=here("d")), {}, ("conflict", "conflict")),
    (one(None, there(), local_above=here("d")), {"delete": True}, ("download", "replaces a local file", False)),
    (one(None, there(), local_above=here("d")), {"delete": True, "admits": lambda p: p != "d"},
     ("conflict", "conflict")),
    (one(None, there(), local_above=here("d", kind=Kind.SYMLINK)), {"delete": True}, ("conflict", "conflict")),
    (one(here(kind=Kind.SPECIAL), there()), {"delete": True}, ("conflict", "conflict")),
    (one(here(kind=Kind.SYMLINK), there()), {"delete": True}, ("conflict", "conflict")),
    (one(here(kind=Kind.UNREADABLE_FOLDER), there()), {"delete": True}, ("conflict", "conflict")),
]  # fmt: skip


@pytest.mark.parametrize(("joined", "policy", "expected"), PULL)
def test_pull(joined: Joined, policy: dict[str, Any], expected: Any) -> None:
    assert pull(joined, **policy) == expected


PUSH: list[tuple[Joined, dict[str, Any], Any]] = [
    (one(here(), None), {}, ("upload", "missing in REMOTE", False)),
    (one(here(), None), {"existing": True}, None),
    (one(here(), None), {"admits": lambda _: False}, None),
    (one(here(), None, row()), {}, ("upload", "gone from REMOTE", False)),
    (one(here(), there()), {}, ("upload", NEVER_SYNCED, True)),
    (one(longer, there()), {}, ("upload", NEVER_SYNCED, False)),
    (one(longer, there()), {"ignore_existing": True}, None),
    (one(here(), there(), row()), {}, ("hit", "")),
    (one(edited, there(), row()), {}, ("upload", "content differs", True)),
    (one(longer, there(), row()), {}, ("upload", "content differs", False)),
    (one(here(), there(), moved), {}, ("upload", "content differs", True)),
    (one(longer, there(), moved), {}, ("conflict", "conflict")),
    (one(longer, there(), moved), {"overwrite_remote": True}, ("upload", "content differs", False)),
    (one(None, there()), {}, None),
    (one(None, there()), {"delete": True}, ("delete-remote", "not in LOCAL", False)),
    (one(None, there(), row()), {"delete": True}, ("delete-remote", "not in LOCAL", False)),
    (one(None, there(), moved), {"delete": True}, ("conflict", "conflict")),
    (one(None, there(refused=EXCLUDED)), {"delete": True}, None),
    (one(None, there(refused="has a .. segment")), {"delete": True}, None),
    (one(None, there(), local_above=here("d")), {"delete": True}, ("delete-remote", "not in LOCAL", False)),
    (one(None, there(), local_above=here("d")), {"delete": True, "admits": lambda _: False}, None),
    *[(one(None, there(), local_above=here("d", kind=kind)), {"delete": True}, None)
      for kind in Kind if kind is not Kind.FILE],
    (one(here(kind=Kind.SYMLINK), there()), {"delete": True}, ("skipped", "")),
    (one(here(kind=Kind.BROKEN_LINK), there()), {"delete": True}, ("skipped", "broken-link")),
    (one(here(kind=Kind.SPECIAL), there()), {"delete": True}, ("skipped", "special-file")),
    (one(here(kind=Kind.UNREADABLE), there()), {"delete": True}, ("skipped", "unreadable")),
    (one(here(kind=Kind.UNREADABLE_FOLDER), None), {}, ("skipped", "unreadable")),
    (Joined("a\\b", here("a\\b"), None, None), {}, ("skipped", "unsafe-name")),
]  # fmt: skip


@pytest.mark.parametrize(("joined", "policy", "expected"), PUSH)
def test_push(joined: Joined, policy: dict[str, Any], expected: Any) -> None:
    assert push(joined, **policy) == expected


@pytest.mark.parametrize(
    ("recorded", "trashed"), [(None, True), (row(), False), (moved, False), (row(ctime_ns=1), True)]
)
def test_pull_trashes_what_was_edited_or_never_synced(recorded: Any, trashed: bool) -> None:
    action = decide(one(longer._replace(size=1), there(size=9), recorded), Policy(Direction.PULL))
    assert action is not None
    assert action.trash is trashed


@pytest.mark.parametrize(("recorded", "overwrite", "guarded"), [
    (moved, False, True), (moved, True, False), (row(), False, False), (None, False, False)])  # fmt: skip
def test_push_of_what_moved_is_a_conflict_once_compared(recorded: Any, overwrite: bool, guarded: bool) -> None:
    action = decide(one(edited, there(), recorded), Policy(Direction.PUSH, overwrite_remote=overwrite))
    assert action is not None
    assert (action.check, bool(action.conflict_if_different)) == (True, guarded)


def test_conflict_says_what_to_do() -> None:
    action = decide(one(longer, there(), moved), Policy(Direction.PUSH))
    assert action is not None
    assert (action.reason, action.evidence) == (CHANGED_IN_REMOTE, Evidence.SIZE)


def test_what_is_in_the_way_is_named() -> None:
    above = decide(one(None, there(), local_above=here("d")), Policy(Direction.PULL, delete=True))
    below = decide(one(None, there(), local_below=True), Policy(Direction.PULL, delete=True))
    assert above is not None
    assert below is not None
    assert (above.in_the_way, below.in_the_way) == ("d", "f")
    spared = spare(below, "f/x, which is excluded")
    assert (spared.verb, spared.status, spared.in_the_way, spared.problem) == (
        Verb.NONE,
        Status.CONFLICT,
        "",
        "conflict",
    )


def test_archived_objects_hold_back_downloads_only() -> None:
    frozen = there(storage_class="DEEP_ARCHIVE")
    download = decide(one(here(), frozen), Policy(Direction.PULL))
    upload = decide(one(here(), frozen), Policy(Direction.PUSH))
    assert download is not None
    assert upload is not None
    assert if_available(download).status is Status.SKIPPED
    assert if_available(upload) is upload


UNPROVED: list[tuple[Any, Joined, Any]] = [  # what is done for the sake of a row that is not proved
    (pull, one(here(), there(), row()), ("hit", "")),  # nothing: it is as recorded, and left so
    (pull, one(here(), there(), moved), ("download", TRASHED, True)),
    (pull, one(edited, there(), row()), ("download", TRASHED, True)),
    (pull, one(None, there(), row()), ("download", "missing locally", False)),
    (push, one(here(), there(), row()), ("hit", "")),
    (push, one(edited, there(), row()), ("upload", "content differs", True)),
    (push, one(longer, there(), moved), ("conflict", "conflict")),  # it still protects
    (push, one(None, there(), moved), ("conflict", "conflict")),
]


@pytest.mark.parametrize(("direction", "joined", "expected"), UNPROVED)
def test_a_row_that_is_not_proved_is_no_reason_to_lose_anything(direction: Any, joined: Joined, expected: Any) -> None:
    assert direction(joined, believed=of_remote_alone, delete=True) == expected


def test_a_new_name_is_recorded_only_of_a_proved_row() -> None:
    joined = one(here(), there(), row("g"))
    kept = decide(joined, Policy(Direction.PUSH))
    assert kept is not None
    assert kept.record == row()
    unproved = decide(joined, Policy(Direction.PUSH, believed=of_remote_alone))
    assert unproved is not None
    assert (unproved.record, unproved.check) == (None, True)
