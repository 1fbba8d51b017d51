"""`apply`: does what was planned for a path still hold? Pure.

The path is decided again from what both sides are now. It is done only if they are as they were seen and the
decision is the same. What is the case already (a stopped apply begun again) is a hit; all else is a conflict.
"""

from __future__ import annotations

from nbsync.core.clock import is_coarse
from nbsync.core.decide import if_available
from nbsync.core.model import DELETES, Action, Evidence, Joined, Kind, LocalEntry, RemoteEntry, Status, Verb

_SINCE = "since the plan: plan again"
CHANGED_LOCALLY = f"changed locally {_SINCE}"
CHANGED_IN_REMOTE = f"changed in REMOTE {_SINCE}"


def hold(item: Action, one: Joined, now: Action | None) -> Action:
    """What to do of `item`.

    Args:
        item: as it was planned.
        one: both sides now.
        now: what a run that was not planned would do.
    """
    if now is not None and now.status is Status.HIT and item.verb not in DELETES and _same_source(item, one):
        return now._replace(reason="up to date: done already")
    moved = _moved(item, one)
    if moved:
        return _overtaken(item, one, moved)
    if now is not None and now.unedited is not None and item.verb is now.unedited[0]:
        return now  # what the plan found unedited is read again
    if now is None or now.status is not Status.PLANNED or (now.verb, now.in_the_way) != (item.verb, item.in_the_way):
        why = f" ({now.reason})" if now is not None and now.reason != item.reason else ""
        return now if now is not None and now.status is Status.CONFLICT else conflict(
            item, one, f"is decided otherwise now{why}: plan again")  # fmt: skip
    if now.conflict_if_different:
        return now
    if now.local is None or not is_coarse(now.local.ctime_ns):
        # Both sides are as they were when the contents were compared: that need not be done again.
        now = now._replace(check=False, evidence=item.evidence, digest=item.digest)
    now = now if now.check else if_available(now)
    return now if now.status is Status.PLANNED else conflict(item, one, now.reason)


def _overtaken(item: Action, one: Joined, moved: str) -> Action:
    """A side is not as planned: is it so because the item was done already?"""
    if item.verb in DELETES:
        gone = one.local is None if item.verb is Verb.DELETE_LOCAL else one.remote is None
        return _done(item, one, "deleted already") if gone else conflict(item, one, moved)
    local, remote = one.local, one.remote
    if not _same_source(item, one):
        return conflict(item, one, moved)
    if local is None or remote is None or local.kind is not Kind.FILE or remote.refused or local.size != remote.size:
        return conflict(item, one, moved)
    return _of(item, one)._replace(check=True, conflict_if_different=moved)


def _of(item: Action, one: Joined) -> Action:
    return item._replace(local=one.local, remote=one.remote, recorded=one.recorded, evidence=Evidence.NONE, digest="")


def _done(item: Action, one: Joined, reason: str) -> Action:
    return _of(item, one)._replace(verb=Verb.NONE, status=Status.HIT, reason=reason)


def conflict(item: Action, one: Joined, reason: str) -> Action:
    """The row of an item that is not done."""
    return _of(item, one)._replace(
        verb=Verb.NONE, status=Status.CONFLICT, reason=reason, problem="conflict", in_the_way=""
    )


def _moved(item: Action, one: Joined) -> str:
    """Which side is not as it was seen, in words; empty if both are."""
    here, there = _seen_here(item.local), _seen_here(one.local)
    if here != there:
        return f"{_how(here is None, there is None)} locally {_SINCE}"
    if not _same_object(item.remote, one.remote):
        return f"{_how(item.remote is None, one.remote is None)} in REMOTE {_SINCE}"
    return ""


def _same_source(item: Action, one: Joined) -> bool:
    """Is the source as it was seen? If not, the sides became equal with other content than was planned."""
    if item.verb is Verb.DOWNLOAD:
        return _same_object(item.remote, one.remote)
    return _seen_here(item.local) == _seen_here(one.local)


def _how(was_absent: bool, is_absent: bool) -> str:
    return "appeared" if was_absent else "gone" if is_absent else "changed"


def _seen_here(local: LocalEntry | None) -> tuple[object, ...] | None:
    return None if local is None else (local.kind, local.size, local.mtime_ns, local.ctime_ns, local.inode)


def _same_object(planned: RemoteEntry | None, now: RemoteEntry | None) -> bool:
    """By ETag and version; by the time only where the service gave no ETag."""
    if planned is None or now is None:
        return planned is now
    if planned.version_id and now.version_id and planned.version_id != now.version_id:
        return False
    same = (planned.etag, planned.size) == (now.etag, now.size)
    return same and (bool(planned.etag) or planned.last_modified_ns == now.last_modified_ns)
