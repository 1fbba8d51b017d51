"""(joined entry, direction, options) -> Action with a reason, or None where there is nothing to say. Pure.

The rules are the contract's "Rules of the sync" 2, 3, 6 and 7. Doing is another place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nbsync.core import names
from nbsync.core.evidence import ARCHIVED, as_recorded, compare_known, still, untold
from nbsync.core.model import (
    EXCLUDED,
    Action,
    Direction,
    Evidence,
    Joined,
    Kind,
    LocalEntry,
    RecordedEntry,
    Status,
    Verb,
)


class Policy(NamedTuple):
    """The options that deciding depends on."""

    direction: Direction
    delete: bool = False
    compare: str = "content"
    overwrite_remote: bool = False
    existing: bool = False
    ignore_existing: bool = False
    admits: Callable[[str], bool] = lambda _path: True
    reaches: Callable[[str], bool] = lambda _folder: True  # may something below a folder be admitted?
    prefix_bytes: int = 0  # of REMOTE's prefix: the key's length is that more than the path's
    believed: Callable[[RecordedEntry], RecordedEntry] = lambda row: row  # as much of a row as is proved


def decide(one: Joined, policy: Policy) -> Action | None:
    """What to do about one path, and why; None for a path that is out of scope or needs nothing said.

    What was recorded need not be proved for a file and an object that are as recorded, and left so.
    """
    action, row = _decide(one, policy), one.recorded
    if action is None or row is None or (action.evidence is Evidence.STATE and action.record is None):
        return action
    proved = policy.believed(row)
    return action if proved == row else _decide(one._replace(recorded=proved), policy)


def _decide(one: Joined, policy: Policy) -> Action | None:
    if policy.direction is Direction.PULL:
        return _pull(one, policy) if one.remote is not None else _pull_absent(one, policy)
    return _push(one, policy) if one.local is not None else _push_absent(one, policy)


def ended(one: Joined, status: Status, reason: str, problem: str = "", evidence: Evidence = Evidence.NONE) -> Action:
    """Nothing is done about a path, and that is said."""
    return Action(one.path, Verb.NONE, status, reason, evidence, one.local, one.remote, one.recorded, problem=problem)


def work(one: Joined, verb: Verb, reason: str, evidence: Evidence = Evidence.NONE) -> Action:
    """Something to do about a path."""
    return Action(
        one.path, verb, Status.PLANNED, reason, evidence, one.local, one.remote, one.recorded, namesake=one.namesake
    )  # fmt: skip


def hit(one: Joined, evidence: Evidence) -> Action:
    """Both sides hold the same."""
    action, row = ended(one, Status.HIT, "up to date", evidence=evidence), one.recorded
    # The name changed, and nothing else: what was recorded of the old one holds for the new one.
    return action if row is None or row.path == one.path else action._replace(record=row._replace(path=one.path))


def clashing(action: Action, other: str = "") -> Action:
    """The row that a download becomes when another file, called `other` if that is known, has its name already."""
    reason = one_name_with(other or action.namesake)
    return action._replace(verb=Verb.NONE, status=Status.SKIPPED, reason=reason, problem="name-clash", in_the_way="")


def one_name_with(other: str) -> str:
    """Why a key cannot be a file here, in words that follow it: its name is that of `other`, if that is known."""
    return f"has the same name as {repr(other) if other else 'another'} on this file system: only one can be here"


# ---- pull -------------------------------------------------------------------------------------------


def _pull_absent(one: Joined, policy: Policy) -> Action | None:
    """REMOTE does not have it."""
    local = one.local
    if local is None or not policy.delete or local.kind is not Kind.FILE or not policy.admits(one.path):
        return None
    # An object at a parent's name either takes this whole folder's place (and moves it to the trash
    # then), or is refused or excluded and so protects what has its name and all below.
    # A file whose own name is a folder in REMOTE is moved aside by the downloads below it.
    if one.remote_above is not None or one.remote_below:
        return None
    return work(one, Verb.DELETE_LOCAL, "not in REMOTE (to the trash)")


def _pull(one: Joined, policy: Policy) -> Action | None:
    remote, local = one.remote, one.local
    assert remote is not None  # narrowed by the caller
    if remote.refused == EXCLUDED:
        return None
    if remote.refused:
        return ended(one, Status.SKIPPED, remote.refused, problem="unsafe-name")
    if one.clash:
        return ended(one, Status.SKIPPED, one_name_with(one.clash), problem="name-clash")
    if one.spelled and not policy.admits(one.spelled):
        return None
    if one.remote_below:
        reason = "is an object and also the folder of other objects: it cannot be both here"
        return ended(one, Status.SKIPPED, reason, problem="name-clash")
    if policy.existing if local is None else policy.ignore_existing:
        return None
    blocked = _blocked(one, policy)
    if blocked is not None:
        return if_available(blocked)
    if local is None:
        return if_available(work(one, Verb.DOWNLOAD, "missing locally"))
    verdict = compare_known(local, remote, one.recorded, policy.compare)
    if verdict.same:
        return hit(one, verdict.evidence)
    trash = is_edited(one, local)
    reason = EDITED_HERE if trash else "content differs"
    action = work(one, Verb.DOWNLOAD, reason, verdict.evidence)._replace(check=verdict.same is None, trash=trash)
    return action if action.check else if_available(action)


def if_available(action: Action) -> Action:
    """The Action, skipped if it is the download of an archived object."""
    remote = action.remote
    if action.verb is not Verb.DOWNLOAD or remote is None or remote.storage_class not in ARCHIVED or remote.restored:
        return action
    reason = f"archived ({remote.storage_class}) and not restored: restore it first (aws s3api restore-object)"
    return action._replace(
        verb=Verb.NONE, status=Status.SKIPPED, reason=reason, check=False, problem="archived", in_the_way=""
    )


def is_edited(one: Joined, local: LocalEntry) -> bool:
    """Edited since the last sync with this REMOTE, or never synced with it.

    So is a file that was synced with another key: that object may be gone, and nothing else has its content.
    """
    row = one.recorded
    return row is None or not as_recorded(local, row) or row.path != one.path


def _blocked(one: Joined, policy: Policy) -> Action | None:
    """A conflict, or with --delete a download that first moves a local path out of the way; None: the way is free."""
    way, what, movable = in_the_way_of(one)
    if not way:
        return None
    if not policy.delete or not movable or not policy.admits(way):
        hint = "move it away, or use --delete" if movable and not policy.delete else "move it away"
        subject = "is" if way == one.path else f"({way}) is"
        return ended(one, Status.CONFLICT, f"{what} {subject} in the way: {hint}", problem="conflict")
    return work(one, Verb.DOWNLOAD, f"replaces {what}")._replace(in_the_way=way)


def spare(action: Action, kept: str) -> Action:
    """The conflict that a download becomes when the folder in its way holds `kept`, which is never removed."""
    reason = f"a local folder is in the way and holds {kept}: move it away"
    return action._replace(
        verb=Verb.NONE, status=Status.CONFLICT, reason=reason, evidence=Evidence.NONE, problem="conflict", in_the_way=""
    )


_KIND_WORDS = {
    Kind.FILE: "a local file",
    Kind.SYMLINK: "a symbolic link",
    Kind.BROKEN_LINK: "a broken symbolic link",
    Kind.SPECIAL: "a special file",
    Kind.UNREADABLE: "something unreadable",
    Kind.UNREADABLE_FOLDER: "an unreadable folder",
}


def in_the_way_of(one: Joined) -> tuple[str, str, bool]:
    """(path, what it is, may --delete move it) of what stands where this object's file or folder must go."""
    above, local = one.local_above, one.local
    if above is not None:
        return above.path, _KIND_WORDS[above.kind], above.kind is Kind.FILE
    if local is None:
        return (one.path, "a local folder", True) if one.local_below else ("", "", False)
    # A symbolic link is never written through, and never replaced: its target is the user's business.
    return ("", "", False) if local.kind is Kind.FILE else (one.path, _KIND_WORDS[local.kind], False)


# ---- push -------------------------------------------------------------------------------------------


def _push_absent(one: Joined, policy: Policy) -> Action | None:
    """LOCAL does not have it."""
    remote, above = one.remote, one.local_above
    if remote is None or remote.refused:
        return None
    if one.clash:
        return ended(one, Status.SKIPPED, one_name_with(one.clash), problem="name-clash")
    if not policy.admits(one.namesake) if one.namesake else not policy.delete:
        return None  # of a rename, the other half is what makes it safe
    if above is not None and (above.kind is not Kind.FILE or not policy.admits(above.path)):
        return None  # what is skipped, unreadable or excluded protects all below it
    if one.recorded is not None and not still(remote, one.recorded):
        return conflict(one, "changed in REMOTE since the last sync: not deleted")
    return work(one, Verb.DELETE_REMOTE, f"renamed to {one.namesake}" if one.namesake else "not in LOCAL")


def _push(one: Joined, policy: Policy) -> Action | None:
    local, remote, row = one.local, one.remote, one.recorded
    assert local is not None  # narrowed by the caller
    if not policy.admits(one.path) or (one.spelled and not policy.admits(one.spelled)):
        return None
    if local.kind is Kind.UNREADABLE_FOLDER and not policy.reaches(one.path):
        return None
    refused = refused_locally(one, policy.prefix_bytes)
    if refused is not None:
        return refused
    if remote is None:
        if policy.existing:
            return None
        return work(one, Verb.UPLOAD, "gone from REMOTE" if row is not None else "missing in REMOTE")
    if policy.ignore_existing:
        return None
    verdict = compare_known(local, remote, row, policy.compare)
    if verdict.same:
        return hit(one, verdict.evidence)
    guarded = row is not None and not still(remote, row) and not policy.overwrite_remote
    asks = guarded and untold(remote, row)
    if guarded and verdict.same is False and not asks:
        return conflict(one, CHANGED_IN_REMOTE, verdict.evidence)
    reason = "content differs" if row is not None else NEVER_SYNCED
    action = work(one, Verb.UPLOAD, reason, verdict.evidence)
    return action._replace(
        check=verdict.same is None or asks, conflict_if_different=CHANGED_IN_REMOTE if guarded else ""
    )


EDITED_HERE = "content differs; what is here goes to the trash"
NEVER_SYNCED = "replaces an object never synced here"
CHANGED_IN_REMOTE = "changed in REMOTE since the last sync: pull it, or push with --overwrite-remote"


def conflict(one: Joined, reason: str, evidence: Evidence = Evidence.NONE) -> Action:
    """Nothing is done: each side has what the other would lose."""
    return ended(one, Status.CONFLICT, reason, problem="conflict", evidence=evidence)


def refused_locally(one: Joined, prefix_bytes: int) -> Action | None:
    """The row of what LOCAL has and what cannot become an object; None if it can."""
    local = one.local
    assert local is not None  # narrowed by the caller
    if local.kind is Kind.SYMLINK:
        return ended(one, Status.SKIPPED, "a symbolic link (--follow-symlinks uploads what it points to)")
    if local.kind is Kind.BROKEN_LINK:
        return ended(one, Status.SKIPPED, "a broken symbolic link", problem="broken-link")
    if local.kind is Kind.SPECIAL:
        return ended(one, Status.SKIPPED, "not a regular file (FIFO, socket or device)", problem="special-file")
    if local.kind is not Kind.FILE:
        return ended(one, Status.SKIPPED, local.message or "cannot be read", problem="unreadable")
    refusal = names.refusal(one.path) or names.key_refusal(one.path, prefix_bytes)
    return ended(one, Status.SKIPPED, refusal, problem="unsafe-name") if refusal else None
