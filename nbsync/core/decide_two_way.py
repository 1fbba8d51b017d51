"""(joined entry, options) -> Action in either direction. Pure.

The rules are the contract's "Both ways": what the last sync recorded of a path is the base of both sides. Whether a
file whose stat moved was edited is left to who reads it: see Action.check and Action.unedited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from nbsync.core.decide import conflict, ended, hit, if_available, in_the_way_of, one_name_with, refused_locally, work
from nbsync.core.evidence import Verdict, as_recorded, compare_known, still, untold
from nbsync.core.model import (
    EXCLUDED,
    Action,
    Evidence,
    Joined,
    Kind,
    LocalEntry,
    RecordedEntry,
    RemoteEntry,
    Status,
    Verb,
)

BOTH_CHANGED = "changed here and in REMOTE since the last sync"
NEVER_SYNCED = "differs here and in REMOTE, and was never synced"
_GONE_HERE = "deleted here since the last sync"
_GONE_THERE = "deleted in REMOTE since the last sync (to the trash)"
_CHANGED_HERE = "changed here"
_CHANGED_THERE = "changed in REMOTE"
_EDIT_HERE_WINS = "changed here and deleted in REMOTE: an edit is stronger than a delete"
_EDIT_THERE_WINS = "changed in REMOTE and deleted here: an edit is stronger than a delete"
_TAKEN = {
    "local": "what is here is taken; what was in REMOTE goes to the trash",
    "remote": "what is in REMOTE is taken; what is here goes to the trash",
    "both": "both are kept",
}


class TwoWay(NamedTuple):
    """The options that deciding both ways depends on.

    Attributes:
        on_conflict: `report`, `local`, `remote` or `both`.
        copy_of: the name that a local version gets beside REMOTE's.
        is_proved: did this user record that row? No other is a base: somebody else's could have files deleted.
        admits, reaches, compare, prefix_bytes: as decide.Policy.
    """

    on_conflict: str = "report"
    copy_of: Callable[[str], str] = lambda path: path
    compare: str = "content"
    admits: Callable[[str], bool] = lambda _path: True
    reaches: Callable[[str], bool] = lambda _folder: True
    is_proved: Callable[[RecordedEntry], bool] = lambda _row: True
    prefix_bytes: int = 0


def decide_two_way(one: Joined, policy: TwoWay) -> Action | None:
    """What to do about one path, and why; None for a path that is out of scope or needs nothing said."""
    action, row = _decide(one, policy), one.recorded
    if action is None or row is None or action.status is Status.HIT or policy.is_proved(row):
        return action
    return _decide(one._replace(recorded=None), policy)


def _decide(one: Joined, policy: TwoWay) -> Action | None:
    refused = _out_of_scope(one, policy)
    if refused is not _IN_SCOPE:
        return refused
    local, remote = one.local, one.remote
    if local is not None and remote is not None:
        return _both(one, local, remote, policy)
    if remote is not None:
        return _only_there(one, remote, policy)
    return _only_here(one, local, policy) if local is not None else None


_IN_SCOPE = Action("", Verb.NONE, Status.PLANNED, "", Evidence.NONE)  # a mark, compared by identity


def _out_of_scope(one: Joined, policy: TwoWay) -> Action | None:
    """What is said of a path that cannot take part (None: nothing), or `_IN_SCOPE`."""
    local, remote = one.local, one.remote
    if remote is not None and remote.refused:
        return None if remote.refused == EXCLUDED else ended(one, Status.SKIPPED, remote.refused, "unsafe-name")
    if not policy.admits(one.path) or (one.spelled and not policy.admits(one.spelled)):
        return None
    if one.clash:
        return ended(one, Status.SKIPPED, one_name_with(one.clash), "name-clash")
    if remote is not None and one.remote_below:
        reason = "is an object and also the folder of other objects: it cannot be both here"
        return ended(one, Status.SKIPPED, reason, "name-clash")
    if local is None:
        return _IN_SCOPE
    if local.kind is Kind.UNREADABLE_FOLDER and not policy.reaches(one.path):
        return None
    if local.kind is not Kind.FILE and remote is not None:
        return conflict(one, f"{in_the_way_of(one)[1]} is in the way: move it away")
    return refused_locally(one, policy.prefix_bytes) or _IN_SCOPE


def _both(one: Joined, local: LocalEntry, remote: RemoteEntry, policy: TwoWay) -> Action:
    row = one.recorded
    verdict = compare_known(local, remote, row, policy.compare)
    if verdict.same:
        return hit(one, verdict.evidence)
    asks = verdict.same is None
    if row is None:
        return _end_conflict(one, NEVER_SYNCED, verdict, policy)
    if still(remote, row):
        return work(one, Verb.UPLOAD, _CHANGED_HERE, verdict.evidence)._replace(check=asks)
    if as_recorded(local, row):
        action = work(one, Verb.DOWNLOAD, _CHANGED_THERE, verdict.evidence)._replace(check=asks)
        return action if asks else if_available(action)
    return _end_conflict(one, BOTH_CHANGED, verdict, policy)


def _end_conflict(one: Joined, why: str, verdict: Verdict, policy: TwoWay) -> Action:
    """Both sides may have changed: read them, unless they are known to differ, and end it as the user wants."""
    local, remote, row = one.local, one.remote, one.recorded
    assert local is not None  # both sides have it
    assert remote is not None
    maybe_unedited = row is not None and may_be_unedited(local, row)
    action = work(one, Verb.DOWNLOAD, f"{why}: {_TAKEN.get(policy.on_conflict, '')}", verdict.evidence)
    action = action._replace(
        check=verdict.same is None or maybe_unedited,
        unedited=(Verb.DOWNLOAD, _CHANGED_THERE) if maybe_unedited else None,
    )
    if policy.on_conflict == "remote":
        return _available(action._replace(trash=True))
    if policy.on_conflict == "both":
        return _available(action._replace(copy=policy.copy_of(one.path)))
    if policy.on_conflict == "local":
        return action._replace(verb=Verb.UPLOAD, rescue=True)
    if untold(remote, row):  # if it is found to be as recorded, it is only what is here that changed
        return action._replace(verb=Verb.UPLOAD, reason=_CHANGED_HERE, check=True, conflict_if_different=why)
    if action.check:
        return action._replace(conflict_if_different=why)
    return conflict(one, why, verdict.evidence)


def _available(action: Action) -> Action:
    return action if action.check else if_available(action)


def may_be_unedited(local: LocalEntry, row: RecordedEntry) -> bool:
    """May a file whose stat moved still have the content that was recorded? Only reading it tells."""
    return local.size == row.size and bool(row.content)


def _only_there(one: Joined, remote: RemoteEntry, policy: TwoWay) -> Action | None:
    """LOCAL does not have it."""
    row, above = one.recorded, one.local_above
    if row is not None and still(remote, row):
        if above is not None and (above.kind is not Kind.FILE or not policy.admits(above.path)):
            return None  # what is skipped, unreadable or excluded protects all below it
        if one.namesake and not policy.admits(one.namesake):
            return None  # of a rename, the other half is what makes it safe
        return work(one, Verb.DELETE_REMOTE, f"renamed to {one.namesake}" if one.namesake else _GONE_HERE)
    if untold(remote, row):
        return conflict(one, f"{_GONE_HERE}; whether it changed in REMOTE cannot be told here: not deleted")
    way, what, movable = in_the_way_of(one)
    reason = "new in REMOTE" if row is None else _EDIT_THERE_WINS
    if not way:
        return if_available(work(one, Verb.DOWNLOAD, reason))
    stays = one.below_stays if way == one.path else one.above_stays
    if stays or not movable or not policy.admits(way):
        subject = "is" if way == one.path else f"({way}) is"
        return if_available(conflict(one, f"{what} {subject} in the way: move it away"))
    return if_available(work(one, Verb.DOWNLOAD, f"replaces {what}")._replace(in_the_way=way))


def _only_here(one: Joined, local: LocalEntry, policy: TwoWay) -> Action | None:
    """REMOTE does not have it."""
    row = one.recorded
    if _is_blocked_there(one):
        return None  # the object in the way is the conflict
    if row is None:
        return work(one, Verb.UPLOAD, "new here")
    if not as_recorded(local, row):
        action = work(one, Verb.UPLOAD, _EDIT_HERE_WINS)
        asks = may_be_unedited(local, row)
        return action._replace(check=asks, unedited=(Verb.DELETE_LOCAL, _GONE_THERE) if asks else None)
    if one.remote_above is not None or one.remote_below:
        return None  # what is downloaded in its place moves it to the trash, or protects it
    return work(one, Verb.DELETE_LOCAL, _GONE_THERE)


def _is_blocked_there(one: Joined) -> bool:
    """Would an object of this name stand beside one that LOCAL cannot have together with it?"""
    above = one.remote_above
    return (above is not None and not above.refused and one.above_stays) or (one.remote_below and one.below_stays)


def with_copies(action: Action) -> Iterator[Action]:
    """The Action, once nothing is left to ask of it, and the upload of the copy that it leaves, if it leaves one."""
    yield action
    if action.copy and action.status is Status.PLANNED and action.local is not None:
        local = action.local._replace(path=action.copy)
        reason = f"what was here at {action.path}"
        yield Action(action.copy, Verb.UPLOAD, Status.PLANNED, reason, Evidence.NONE, local, namesake=action.path)
