"""`verify`: what to say of each pair, and how sure that is. Pure.

Content decides, never the recorded state. A pair of one size is left to a check; the rest is settled here.
"""

from __future__ import annotations

from collections.abc import Callable

from nbsync.core import names
from nbsync.core.decide import one_name_with
from nbsync.core.evidence import ARCHIVED
from nbsync.core.model import (
    EXCLUDED,
    STRONG,
    UNKNOWN,
    Action,
    Evidence,
    Joined,
    Kind,
    LocalEntry,
    RemoteEntry,
    Status,
    Verb,
)

DIFFERS = "content differs"

_LINK = "a symbolic link (--follow-symlinks looks at what it points to)"
_ODD = {
    Kind.SYMLINK: (_LINK, ""),
    Kind.BROKEN_LINK: ("a broken symbolic link", "broken-link"),
    Kind.SPECIAL: ("not a regular file (FIFO, socket or device)", "special-file"),
}


def look(
    one: Joined, admits: Callable[[str], bool], reaches: Callable[[str], bool] = lambda _folder: True
) -> Action | None:
    """The row of one path, or the check that it needs; None for a path that is out of scope.

    Args:
        one: what both sides have there.
        admits: is a path in scope?
        reaches: may something below a folder be?
    """
    local, remote = one.local, one.remote
    if local is not None and local.kind is Kind.UNREADABLE_FOLDER and not reaches(one.path):
        return None
    if (
        (local is None and remote is None)
        or not admits(one.path)
        or (remote is not None and remote.refused == EXCLUDED)
    ):
        return None
    refusal = (remote.refused if remote is not None else "") or names.refusal(one.path)
    if local is not None and local.kind is not Kind.FILE:
        return _skipped(one, *_odd(local))
    if refusal:
        return _skipped(one, refusal, "unsafe-name")
    if one.clash:
        return _skipped(one, one_name_with(one.clash), "name-clash")
    if remote is not None and one.remote_below:
        reason = "is an object and also the folder of other objects: it cannot be both here"
        return _skipped(one, reason, "name-clash")
    if local is not None:
        return _beside(one, local, remote)
    above = one.local_above
    if above is not None and above.kind is not Kind.FILE:
        return _skipped(one, f"{above.path}, which should be its folder, is {_odd(above)[0]}", "")
    return _row(one, Status.MISS, "missing locally")


def _beside(one: Joined, local: LocalEntry, remote: RemoteEntry | None) -> Action:
    if remote is None:
        return _row(one, Status.MISS, "missing in REMOTE")
    if local.size != remote.size:
        return _row(one, Status.MISS, DIFFERS, Evidence.SIZE)
    return _row(one, Status.PLANNED, DIFFERS)._replace(check=True)


def _odd(local: LocalEntry) -> tuple[str, str]:
    """(what it is, kind of the problem) of a local entry that is no file."""
    return _ODD.get(local.kind) or (local.message or "cannot be read", "unreadable")


def _row(one: Joined, status: Status, reason: str, evidence: Evidence = Evidence.NONE, problem: str = "") -> Action:
    return Action(one.path, Verb.NONE, status, reason, evidence, one.local, one.remote, problem=problem)


def _skipped(one: Joined, reason: str, problem: str) -> Action:
    return _row(one, Status.SKIPPED, reason, problem=problem)


def unknown(remote: RemoteEntry) -> str:
    """The reason of a pair of which nothing can be told from what the service knows of the object."""
    if remote.storage_class in ARCHIVED and not remote.restored:
        return f"no digest to compare with, and archived ({remote.storage_class}): restore it, then --download"
    return "no digest to compare with: --download compares the bytes"


def assurance(status: Status, evidence: Evidence) -> str:
    """How sure a row is: as its evidence, where it says something of the contents."""
    if status not in (Status.HIT, Status.MISS):
        return UNKNOWN
    if evidence is Evidence.NONE:  # missing on one side: nothing is surer
        return STRONG if status is Status.MISS else UNKNOWN
    return evidence.strength
