"""Moving a folder where it cannot be renamed although all is on one file system. Worker threads.

overlayfs answers so for a folder of a lower layer, as in a container's image
(https://docs.kernel.org/filesystems/overlayfs.html, "Renaming directories"); its files can be renamed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from errno import EXDEV

from nbsync.local.openat import FOLDER


def moves_piecemeal(name: str, fd: int, to: int) -> bool:
    """Is `name`, in an open folder, a folder on the file system of the open folder `to`?"""
    at = os.stat(name, dir_fd=fd, follow_symlinks=False)
    return stat.S_ISDIR(at.st_mode) and at.st_dev == os.fstat(to).st_dev


def move_folder(name: str, fd: int, new: str, to: int) -> None:
    """Move the folder `name` in an open folder to `new` in another one, where nothing is, one thing after another.

    Raises:
        OSError: it could not be moved, and is where it was with all that was in it.
    """
    os.mkdir(new, 0o700, dir_fd=to)
    source, target = os.open(name, FOLDER, dir_fd=fd), os.open(new, FOLDER, dir_fd=to)
    moved = []
    try:
        for one in os.listdir(source):
            _move(one, source, target)
            moved.append(one)
        os.fchmod(target, stat.S_IMODE(os.fstat(source).st_mode))
        os.rmdir(name, dir_fd=fd)
    except BaseException:
        for one in moved:
            with contextlib.suppress(OSError):
                _move(one, target, source)
        with contextlib.suppress(OSError):
            os.rmdir(new, dir_fd=to)
        raise
    finally:
        os.close(source)
        os.close(target)


def _move(name: str, fd: int, to: int) -> None:
    try:
        os.rename(name, name, src_dir_fd=fd, dst_dir_fd=to)
    except OSError as error:
        if error.errno != EXDEV or not moves_piecemeal(name, fd, to):
            raise
        move_folder(name, fd, name, to)
