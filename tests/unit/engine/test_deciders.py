"""Deciders, as tables: the state of one path x the options -> what is done, and why. No service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbsync.core.clock import of_remote_alone
from nbsync.core.decide import CHANGED_IN_REMOTE, EDITED_HERE, NEVER_SYNCED
from nbsync.core.model import Direction, Joined, Kind, RecordedEntry
from nbsync.engine.deciders import AsPlanned, Decider, Fresh, OneWay
from nbsync.engine.source import Seen
from nbsync.errors import GuardRefusal
from tests.unit.core.entries import here, row, there
from tests.unit.engine.sides import Items, joined, shown, sides

NEW, OTHER = {"etag": "another"}, {"size": 2}
EDITED = here(mtime_ns=101, size=2)


class Recorded:
    """A record of which nothing is left of rows that are not `proved`."""

    def __init__(self, *, proved: bool) -> None:
        self._proved = proved

    def believed(self, row: RecordedEntry) -> RecordedEntry:
        return row if self._proved else of_remote_alone(row)


BELIEVED = Recorded(proved=True)


def fresh(direction: str, **more: Any) -> Fresh:
    these = sides(direction, **more)
    decider = Fresh(these, these.scope.admits, OneWay(these))
    decider.begin("", BELIEVED)
    return decider


def as_planned(direction: str, *items: Any, **more: Any) -> AsPlanned:
    decider = AsPlanned(Items(*items), fresh(direction, **more))
    decider.begin("", BELIEVED)
    return decider


@pytest.mark.parametrize(
    ("state", "options", "expected"),
    [
        # recorded, object, file: the contract's table of a push
        (joined(here()), {}, ("upload", "planned", "missing in REMOTE")),
        (joined(here(), there(**OTHER)), {}, ("upload", "planned", NEVER_SYNCED)),
        (joined(EDITED, there(), row()), {}, ("upload", "planned", "content differs")),
        (joined(here(), there(), row()), {}, ("none", "hit", "up to date")),
        (joined(EDITED, there(size=3, **NEW), row()), {}, ("none", "conflict", CHANGED_IN_REMOTE)),
        (joined(EDITED, there(size=3, **NEW), row()), {"overwrite_remote": True},
         ("upload", "planned", "content differs")),
        (joined(here(), None, row()), {}, ("upload", "planned", "gone from REMOTE")),
        (joined(None, there(), row()), {}, None),
        (joined(None, there(), row()), {"delete": True}, ("delete-remote", "planned", "not in LOCAL")),
        (joined(None, there()), {"delete": True}, ("delete-remote", "planned", "not in LOCAL")),
        (joined(None, there(**NEW), row()), {"delete": True},
         ("none", "conflict", "changed in REMOTE since the last sync: not deleted")),
        (joined(None, None, row()), {"delete": True}, None),
        (joined(here()), {"filters": (("exclude", "f"),)}, None),
        (joined(None, there()), {"filters": (("exclude", "f"),), "delete": True}, None),
    ],
)  # fmt: skip
def test_a_push(state: Joined, options: dict[str, Any], expected: Any) -> None:
    if options.get("filters") and state.remote is not None:
        state = state._replace(remote=state.remote._replace(refused="excluded"))  # as the listing has it
    assert shown(fresh("push", **options).decide(state)) == expected


@pytest.mark.parametrize(
    ("state", "options", "expected"),
    [
        (joined(None, there()), {}, ("download", "planned", "missing locally")),
        (joined(here(), there(), row()), {}, ("none", "hit", "up to date")),
        (joined(here(), there(**NEW, **OTHER), row()), {}, ("download", "planned", "content differs")),
        (joined(EDITED, there(), row()), {}, ("download", "planned", EDITED_HERE)),
        (joined(here(**OTHER), there()), {}, ("download", "planned", EDITED_HERE)),
        (joined(here(), None, row()), {}, None),
        (joined(here(), None, row()), {"delete": True}, ("delete-local", "planned", "not in REMOTE (to the trash)")),
        (joined(None, None, row()), {"delete": True}, None),
        (joined(here(), None, row()), {"delete": True, "filters": (("exclude", "f"),)}, None),
        (joined(None, there(refused="names a parent")), {}, ("none", "skipped", "names a parent")),
        (joined(here(kind=Kind.SYMLINK), there()), {"delete": True},
         ("none", "conflict", "a symbolic link is in the way: move it away")),
    ],
)  # fmt: skip
def test_a_pull(state: Joined, options: dict[str, Any], expected: Any) -> None:
    assert shown(fresh("pull", **options).decide(state)) == expected


@pytest.mark.parametrize(
    ("stands", "delete", "expected"),
    [
        ("", False, ("download", "planned", "missing locally")),
        ("folder", False, ("none", "conflict", "a local folder is in the way: move it away, or use --delete")),
        ("folder", True, ("download", "planned", "replaces a local folder")),
        ("kept", True,
         ("none", "conflict", "a local folder is in the way and holds f/x, which is excluded: move it away")),
        ("file", True, ("none", "skipped", "has the same name as another on this file system: only one can be here")),
    ],
)  # fmt: skip
def test_what_stands_there_unseen_by_the_scan_is_looked_at(
    tmp_path: Path, stands: str, delete: bool, expected: Any
) -> None:
    if stands in ("folder", "kept"):
        (tmp_path / "f").mkdir()
    if stands == "kept":
        (tmp_path / "f" / "x").write_bytes(b"x")
    if stands == "file":
        (tmp_path / "f").write_bytes(b"x")
    decider = fresh("pull", local=str(tmp_path), delete=delete, filters=(("exclude", "f/x"),))

    assert shown(decider.decide(joined(None, there()))) == expected


PLANNED_PULL = fresh("pull").decide(joined(None, there()))
PLANNED_PUSH = fresh("push").decide(joined(EDITED, there(), row()))
PLANNED_DELETE = fresh("pull", delete=True).decide(joined(here(), None, row()))


@pytest.mark.parametrize(
    ("decider", "state", "expected"),
    [
        (as_planned("pull", PLANNED_PULL), joined(None, there()), ("download", "planned", "missing locally")),
        (as_planned("pull", PLANNED_PULL), joined(None, there(**NEW)),
         ("none", "conflict", "changed in REMOTE since the plan: plan again")),
        (as_planned("pull", PLANNED_PULL), joined(here(**OTHER), there()),
         ("none", "conflict", "appeared locally since the plan: plan again")),
        (as_planned("pull", PLANNED_PULL), joined(here(), there(), row()), ("none", "hit", "up to date: done already")),
        (as_planned("pull"), joined(None, there()), None),  # it is no part of the plan
        (as_planned("push", PLANNED_PUSH), joined(EDITED, there(), row()), ("upload", "planned", "content differs")),
        (as_planned("push", PLANNED_PUSH), joined(EDITED, None, row()),
         ("none", "conflict", "gone in REMOTE since the plan: plan again")),
        (as_planned("pull", PLANNED_DELETE, delete=True), joined(here(), None, row()),
         ("delete-local", "planned", "not in REMOTE (to the trash)")),
        (as_planned("pull", PLANNED_DELETE, delete=True), joined(here(), there(), row()),
         ("none", "conflict", "appeared in REMOTE since the plan: plan again")),
    ],
)  # fmt: skip
def test_a_plan_s_item_is_held_against_both_sides(decider: Decider, state: Joined, expected: Any) -> None:
    assert shown(decider.decide(state)) == expected


def test_items_whose_path_nobody_has_any_more_come_last_and_again_when_all_begins_anew() -> None:
    decider = as_planned("pull", PLANNED_DELETE, PLANNED_PULL and PLANNED_PULL._replace(path="g"), delete=True)
    decider.decide(joined(None, there("g"), path="g"))

    assert [shown(action) for action in decider.rest()] == [("none", "hit", "deleted already")]
    decider.begin("", BELIEVED)
    assert len(list(decider.rest())) == 2


def test_of_a_single_object_nothing_else_takes_part_until_it_begins_anew() -> None:
    decider = fresh("pull", delete=True)
    decider.begin("f", BELIEVED)
    assert decider.forgets("f")
    assert not decider.forgets("g")
    assert decider.decide(joined(here("g"), None, row("g"), path="g")) is None
    decider.begin("", BELIEVED)
    assert decider.forgets("g")


@pytest.mark.parametrize(
    ("direction", "seen", "deletes", "options", "refused"),
    [
        ("pull", {"local": 3, "remote": 0}, 3, {"delete": True}, "has no objects, and --delete would empty"),
        ("push", {"local": 0, "remote": 3}, 3, {"delete": True}, "has no files, and --delete would empty"),
        ("pull", {"local": 3, "remote": 0}, 3, {"delete": True, "allow_empty_source": True}, ""),
        ("pull", {"local": 3, "remote": 0}, 0, {}, ""),
        ("pull", {"local": 3, "remote": 1}, 2, {"delete": True, "max_delete": 1}, "would delete 2 files"),
        ("pull", {"local": 3, "remote": 1}, 1, {"delete": True, "max_delete": 1}, ""),
    ],
)  # fmt: skip
def test_the_guards(direction: str, seen: dict[str, int], deletes: int, options: dict[str, Any], refused: str) -> None:
    refusal = fresh(direction, **options).refusal(Seen(**seen), deletes)

    assert refused in str(refusal or "")
    assert isinstance(refusal, GuardRefusal) is bool(refused)


def test_what_a_sync_asks_of_its_decider() -> None:
    pull, plan = fresh("pull"), as_planned("push", delete=True)

    assert (pull.direction, pull.as_planned, pull.may_delete) == (Direction.PULL, False, False)
    assert (plan.direction, plan.as_planned, plan.may_delete) == (Direction.PUSH, True, True)
    assert [way for way in Direction if way.changes_local] == [Direction.PULL, Direction.BOTH]
    assert [way for way in Direction if way.changes_remote] == [Direction.PUSH, Direction.BOTH]


def test_what_is_not_proved_is_no_reason_to_replace_a_file_without_a_copy() -> None:
    state = joined(here(), there(**NEW, **OTHER), row())
    for proved, reason in ((True, "content differs"), (False, EDITED_HERE)):
        decider = fresh("pull")
        decider.begin("", Recorded(proved=proved))
        assert shown(decider.decide(state)) == ("download", "planned", reason)


def test_a_plan_forgets_nothing() -> None:
    assert fresh("pull").forgets("f")
    assert not as_planned("pull").forgets("f")
