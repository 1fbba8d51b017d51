"""Does an item of a plan still hold?"""

from __future__ import annotations

from typing import Any

import pytest

from nbsync.core.model import Action, Evidence, Joined, Kind, LocalEntry, RemoteEntry, Status, Verb
from nbsync.core.recheck import hold
from tests.unit.core.entries import ETAG, here, there


def item(verb: Verb, local: LocalEntry | None, remote: RemoteEntry | None, **more: Any) -> Action:
    return Action("f", verb, Status.PLANNED, "why", Evidence.ETAG_MD5, local, remote, digest="md5:x")._replace(**more)


def now(one: Action, **more: Any) -> Action:
    """What is decided now, before anything was read."""
    return one._replace(evidence=Evidence.NONE, digest="", **more)


def joined(local: LocalEntry | None, remote: RemoteEntry | None) -> Joined:
    return Joined("f", local, remote, None)


def test_what_is_as_planned_is_done_without_another_look() -> None:
    planned = item(Verb.DOWNLOAD, here(), there(key=""))
    held = hold(planned, joined(here(), there()), now(planned, remote=there(), check=True, trash=True))
    assert (held.verb, held.status, held.check, held.trash) == (Verb.DOWNLOAD, Status.PLANNED, False, True)
    assert (held.evidence, held.digest, held.remote) == (Evidence.ETAG_MD5, "md5:x", there())


def test_a_check_that_may_end_in_a_conflict_is_made() -> None:
    planned = item(Verb.UPLOAD, here(), there())
    held = hold(planned, joined(here(), there()), now(planned, check=True, conflict_if_different="theirs"))
    assert (held.check, held.conflict_if_different) == (True, "theirs")


@pytest.mark.parametrize(
    ("local", "remote", "why"),
    [
        (here(mtime_ns=1), there(), "changed locally"),
        (here(ctime_ns=1), there(), "changed locally"),
        (here(inode=1), there(), "changed locally"),
        (here(kind=Kind.SYMLINK), there(), "changed locally"),
        (None, there(), "gone locally"),
        (here(), there(etag="other"), "changed in REMOTE"),
        (here(), there(size=7), "changed in REMOTE"),
        (here(), None, "gone in REMOTE"),
    ],
)
def test_a_side_that_moved_is_a_conflict_unless_both_prove_equal(
    local: LocalEntry | None, remote: RemoteEntry | None, why: str
) -> None:
    planned = item(Verb.DOWNLOAD, here(), there())
    held = hold(planned, joined(local, remote), now(planned, local=local, remote=remote))
    both = local is not None and remote == there() and local.size == remote.size and local.kind is Kind.FILE
    assert held.check == both
    assert why in (held.conflict_if_different if both else held.reason)
    assert held.status is (Status.PLANNED if both else Status.CONFLICT)


def test_time_is_no_change_where_there_is_an_etag() -> None:
    planned = item(Verb.DELETE_REMOTE, None, there(last_modified_ns=1))
    assert hold(planned, joined(None, there()), now(planned)).status is Status.PLANNED
    bare = item(Verb.DELETE_REMOTE, None, there(etag="", last_modified_ns=1))
    assert hold(bare, joined(None, there(etag="")), now(bare)).status is Status.CONFLICT


def test_versions_count_where_both_tell_them() -> None:
    planned = item(Verb.DELETE_REMOTE, None, there(version_id="1"))
    assert hold(planned, joined(None, there()), now(planned)).status is Status.PLANNED
    assert hold(planned, joined(None, there(version_id="2")), now(planned)).status is Status.CONFLICT


def test_deleted_already_is_a_hit_and_a_source_that_came_back_a_conflict() -> None:
    local, remote = item(Verb.DELETE_LOCAL, here(), None), item(Verb.DELETE_REMOTE, None, there())
    for planned in (local, remote):
        held = hold(planned, joined(None, None), None)
        assert (held.status, held.reason, held.problem) == (Status.HIT, "deleted already", "")
        both = joined(here(), there())
        hit = now(planned, verb=Verb.NONE, status=Status.HIT)
        assert hold(planned, both, hit).status is Status.CONFLICT


@pytest.mark.parametrize(
    "more",
    [
        {"verb": Verb.UPLOAD},
        {"in_the_way": "f"},
        {"status": Status.SKIPPED, "verb": Verb.NONE, "reason": "a symbolic link"},
        None,
    ],
)
def test_another_decision_is_a_conflict(more: dict[str, Any] | None) -> None:
    planned = item(Verb.DOWNLOAD, None, there())
    held = hold(planned, joined(None, there()), None if more is None else now(planned, **more))
    assert (held.status, held.problem) == (Status.CONFLICT, "conflict")
    assert "decided otherwise" in held.reason
    assert more is None or "reason" not in more or more["reason"] in held.reason


def test_what_was_archived_since_is_a_conflict() -> None:
    planned = item(Verb.DOWNLOAD, here(), there(etag=ETAG))
    frozen = there(etag=ETAG, storage_class="GLACIER")
    held = hold(planned, joined(here(), frozen), now(planned, remote=frozen, check=True))
    assert held.status is Status.CONFLICT
    assert "archived" in held.reason


def test_done_already_is_a_hit() -> None:
    planned = item(Verb.DOWNLOAD, None, there())
    held = hold(planned, joined(here(), there()), now(planned, verb=Verb.NONE, status=Status.HIT, local=here()))
    assert (held.status, held.reason) == (Status.HIT, "up to date: done already")
