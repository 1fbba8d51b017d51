"""Opening folders and files one step at a time, through no symbolic link (POSIX openat). Any thread.

What lies in LOCAL, nbsync's own room too, may have been unpacked from anywhere: a link in it leads nowhere.
"""

from __future__ import annotations

import contextlib
import os
import stat
from errno import ELOOP, ENOTDIR

from nbsync.errors import LocalError

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NO_FOLDER = (ENOTDIR, ELOOP)  # what opening a link, or a file, as a folder gives


def open_folder(name: str, parent: int | None = None) -> int:
    """An open folder, made if missing; `name` is taken below the open folder `parent`.

    Raises:
        OSError: with an errno of `NO_FOLDER` if a link or a file stands there.
    """
    try:
        return os.open(name, FOLDER, dir_fd=parent)
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
        return os.open(name, FOLDER, dir_fd=parent)


def open_own(path: str, parent: int | None = None) -> int:
    """A folder of nbsync's own, made if missing; below `parent`, which is the one that holds `path`, if given.

    Raises:
        LocalError: a link or a file stands there. OSError.
    """
    try:
        return open_folder(path if parent is None else os.path.basename(path), parent)
    except OSError as error:
        if error.errno not in NO_FOLDER:
            raise
        raise LocalError(f"{path} is {_what(path)}, not a folder: nbsync does not go through it", "Remove it") from None


def open_own_file(path: str, parent: int) -> int:
    """A file of nbsync's own in the open folder `parent`, made if missing, open for reading and writing.

    Raises:
        LocalError: something else than a regular file stands there. OSError.
    """
    name = os.path.basename(path)
    check_file(path, parent)
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=parent)


def check_file(path: str, parent: int) -> None:
    """Refuse what stands at `path`, in the open folder `parent`, if it is there and no regular file.

    Raises:
        LocalError: it is a link, a folder, a pipe.
    """
    at = lstat(os.path.basename(path), parent)
    if at is not None and not stat.S_ISREG(at.st_mode):
        raise LocalError(f"{path} is {_what(path)}, not a file: nbsync does not write to it", "Remove it")


def check_files(folder: str, names: tuple[str, ...]) -> None:
    """As `check_file`, for each of `names` in `folder`, which itself must be no link; nothing is fine.

    Raises:
        LocalError: one is a link, a folder, a pipe. OSError: the folder cannot be read.
    """
    try:
        fd = os.open(folder, FOLDER)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in NO_FOLDER:
            raise
        raise LocalError(
            f"{folder} is {_what(folder)}, not a folder: nbsync does not go through it", "Remove it"
        ) from None
    try:
        for name in names:
            check_file(os.path.join(folder, name), fd)
    finally:
        os.close(fd)


def lstat(name: str, fd: int) -> os.stat_result | None:
    """The stat of `name` itself in the open folder `fd`; None if there is nothing."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def unlink_all(fd: int) -> None:
    """Remove every file in an open folder; what cannot be removed stays."""
    for name in os.listdir(fd):
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=fd)


def _what(path: str) -> str:
    if os.path.islink(path):
        return "a symbolic link"
    return "a folder" if os.path.isdir(path) else "a file" if os.path.isfile(path) else "something special"
