"""Are two names links of one file? Any thread.

A number alone does not tell: on some FUSE and network mounts all files have the same, or new ones that of old ones.
"""

from __future__ import annotations

import os
import stat
from operator import attrgetter

from nbsync.core.hashing import PIECE_BYTES

_LINKED = ("st_nlink", "st_ctime_ns")
_SEEN = ("st_dev", "st_ino", "st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns")
_ALL, _BUT_LINKS = attrgetter(*_SEEN, *_LINKED), attrgetter(*_SEEN)
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def are_links(one: os.stat_result, other: os.stat_result) -> bool:
    """Do two names, both looked at now, say of themselves in all they say that they are links of one file?

    For names that this process has linked a moment ago; what somebody else left wants `is_one_file`.
    """
    return one.st_nlink > 1 and bool(_ALL(one) == _ALL(other))


def is_unwritten(at: os.stat_result, known: os.stat_result) -> bool:
    """Is it the file that was seen, not written to since? A rename, or a link, moves the ctime."""
    return bool(_BUT_LINKS(at) == _BUT_LINKS(known))


def is_one_file(name: str, fd: int | None, other: str, other_fd: int) -> bool:
    """Are `name` in the open folder `fd`, and `other` in `other_fd`, links of one file, or at least of one content?

    Then one of them can go, and nothing is lost. False if there is any doubt.
    """
    try:
        here = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if not are_links(here, os.stat(other, dir_fd=other_fd, follow_symlinks=False)):
            return False
        if stat.S_ISLNK(here.st_mode):
            return os.readlink(name, dir_fd=fd) == os.readlink(other, dir_fd=other_fd)
        return stat.S_ISREG(here.st_mode) and _hold_the_same(name, fd, other, other_fd)
    except OSError:
        return False


def _hold_the_same(name: str, fd: int | None, other: str, other_fd: int) -> bool:
    with open(os.open(name, _OPEN, dir_fd=fd), "rb") as one, open(os.open(other, _OPEN, dir_fd=other_fd), "rb") as two:
        while piece := one.read(PIECE_BYTES):
            if piece != two.read(len(piece)):
                return False
        return not two.read(1)
