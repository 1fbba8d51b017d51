"""Predicates that refuse a run or its deletes. Pure: each returns the refusal, or None.

The rules are the contract's 6. A guard answers before the first change.
"""

from __future__ import annotations

from typing import NamedTuple

from nbsync.errors import GuardRefusal


class Limits(NamedTuple):
    """What a run may do, set by whoever lets others begin runs.

    Attributes:
        files: the most that it may move; None: no limit.
        bytes: the most that it may move; None: no limit.
        repositories: may it write into `.git` and `.hg` folders? What git and Mercurial read there, they run.
        nothing: may there be nothing under REMOTE? Whoever begins a run that others wrote expects data.
    """

    files: int | None = None
    bytes: int | None = None
    repositories: bool = True
    nothing: bool = True

    @property
    def measured(self) -> bool:
        """Must the whole run be compared with them before it begins?"""
        return self.files is not None or self.bytes is not None


NO_LIMITS = Limits()
_FEW_DELETES = 10  # that need no excuse


def empty_source(direction: str, place: str, seen: int, *, delete: bool, allowed: bool) -> GuardRefusal | None:
    """A --delete from a source with nothing in it (before filters) would empty the destination."""
    if not delete or allowed or seen:
        return None
    what = "has no objects" if direction == "pull" else "has no files"
    return GuardRefusal(
        f"{place} {what}, and --delete would empty the destination", "If that is meant, add --allow-empty-source"
    )


def too_many_deletes(deletes: int, limit: int | None) -> GuardRefusal | None:
    """More deletions than `--max-delete` allows."""
    if limit is None or deletes <= limit:
        return None
    return GuardRefusal(
        f"this run would delete {deletes} files, more than --max-delete {limit}; nothing was changed",
        "Look at it with --dry-run, then raise the limit",
    )


def too_many_of_all(deletes: int, recorded: int, limit: int | None, *, allowed: bool) -> GuardRefusal | None:
    """A two-way sync that would delete more than half of what was synced; the user may allow so many, or any."""
    if allowed or limit is not None or deletes <= _FEW_DELETES or 2 * deletes <= recorded:
        return None
    return GuardRefusal(
        f"this run would delete {deletes:,} of the {recorded:,} files that were synced; nothing was changed",
        f"Look at it with --dry-run; if it is meant, add --max-delete {deletes}",
    )


def empty_side(place: str, what: str, seen: int, recorded: int, *, allowed: bool) -> GuardRefusal | None:
    """A two-way sync with a side that lost all that was synced: it would be lost on the other side, too.

    Args:
        what: that side has: `files` or `objects`.
    """
    if allowed or seen or not recorded:
        return None
    return GuardRefusal(
        f"{place} has no {what}, and {recorded:,} were synced: they would be deleted on the other side, too",
        "Is it mounted, and the right place? If that is meant, add --allow-empty-source",
    )


def no_room(needed_bytes: int, free_bytes: int, place: str) -> GuardRefusal | None:
    """A pull that needs more room than the disk has. Bytes."""
    if needed_bytes <= free_bytes:
        return None
    return GuardRefusal(
        f"{place} has room for {free_bytes:,} bytes, and this pull needs {needed_bytes:,}",
        "Free some room, or pull less (--include/--exclude)",
    )


def no_room_for_files(needed: int, free: int | None, place: str) -> GuardRefusal | None:
    """A pull that needs more files than the file system can hold; `free` is None where that is not counted."""
    if free is None or needed <= free:
        return None
    return GuardRefusal(
        f"{place} has room for {free:,} more files, and this pull needs {needed:,}",
        "Free some room, or pull less (--include/--exclude)",
    )


def too_much(files: int, size: int, limits: Limits) -> GuardRefusal | None:
    """A run that would move more files or bytes than its limits allow; those found so far are enough to know."""
    for count, limit, what in ((files, limits.files, "files"), (size, limits.bytes, "bytes")):
        if limit is not None and count > limit:
            return GuardRefusal(
                f"this run would move more than the {limit:,} {what} that are allowed here; nothing was changed",
                "Choose less (include, exclude), or ask whoever set the limit",
            )
    return None


def nothing_there(what: str, limits: Limits) -> GuardRefusal | None:
    """A run that must find something under REMOTE; `what` says that it did not."""
    if limits.nothing:
        return None
    return GuardRefusal(what, "Check the name of the folder, or ask whoever gave you the link")
