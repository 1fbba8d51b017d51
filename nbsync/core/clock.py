"""May a recorded row be believed, as coarsely as its file system keeps time? Pure.

A row says: a file with this stat has this content. It is true for as long as whoever writes to the file gives it
another stat. A write sets ctime and mtime to the file system's time, cut to whole ticks of its clock: ns to 10 ms on
most; 1 s on ext4 with 128-byte inodes, HFS+, Lustre and some NFS; 2 s on FAT. So if the ctime of a row was over when
its content was known, i.e. less than the file system's time by then, cut in the same way, every later write shows;
if it was not over, a write in what was left of that tick did not. This is git's racy-clean rule
(https://git-scm.com/docs/racy-git). The time to compare with is the file system's own, read from a new file on it:
how long its ticks are does not matter then, nor how far a file server's clock is off from ours.

Some file systems (FAT, exFAT over FUSE, SSHFS) keep no ctime, and show the mtime in its place: what then sets an edited
file's mtime back to the very value that it had is seen by nobody.
"""

from __future__ import annotations

from typing import NamedTuple

from nbsync.core.model import RecordedEntry

# Ticks of this length and above show in the stamps, which are multiples of them; shorter ones are waited out.
COARSE_NS = 100_000_000
COARSEST_NS = 2 * 10**9
NO_TIME = -1  # a ctime that no file has, in ns


class Stamp(NamedTuple):
    """What a file that is made now has for its times, in ns since the epoch."""

    ctime_ns: int
    mtime_ns: int


def is_coarse(ctime_ns: int) -> bool:
    """Is it the stamp of a clock whose ticks are too long to be waited out?"""
    return ctime_ns % COARSE_NS == 0


def believed(row: RecordedEntry, *, installed: bool, began: Stamp, now: Stamp) -> bool | None:
    """Would an edit show, since the content was known? None: from the end of this tick on.

    On a fine clock, whoever read the content has waited for the end of the tick first. On a coarse one that was not
    done, so the tick must have been over before the run began to read. A file that the run has installed was written
    by the run itself: an edit shows in its mtime at once, unless that is of this very time, and in its ctime after
    the tick.

    Args:
        row: as it is to be recorded.
        installed: the file was put there by this run; else it was read.
        began: the file system's time, not later than the run's first reading.
        now: the file system's time.
    """
    if not is_coarse(row.ctime_ns):
        return None if row.ctime_ns >= now.ctime_ns or row.mtime_ns == now.mtime_ns else True
    if began.mtime_ns <= row.mtime_ns <= now.mtime_ns or (not installed and row.ctime_ns >= began.ctime_ns):
        return False
    return None if row.ctime_ns >= now.ctime_ns else True


def doubted(row: RecordedEntry) -> RecordedEntry:
    """The row, so that no file is as recorded: its content is looked at the next time, and known by its digest."""
    return row._replace(ctime_ns=NO_TIME)


def of_remote_alone(row: RecordedEntry) -> RecordedEntry:
    """The row, so that it tells what REMOTE had, and nothing of LOCAL: its file is compared by content, and kept."""
    return row._replace(ctime_ns=NO_TIME, content="")


def is_of_remote_alone(row: RecordedEntry) -> bool:
    """Does the row tell nothing of LOCAL? Then it is no ground to take a file for deleted, or for unchanged."""
    return row.ctime_ns == NO_TIME and not row.content


def is_doubted(row: RecordedEntry) -> bool:
    """Does the row tell of a content only, and of no stat?"""
    return row.ctime_ns == NO_TIME
