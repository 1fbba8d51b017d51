"""Opening folders and files one step at a time, through no symbolic link (POSIX openat). Any thread.

What lies in LOCAL, nbsync's own state directory too, may have been unpacked from anywhere: a link in it leads nowhere.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import OrderedDict
from collections.abc import Callable
from errno import ELOOP, ENOTDIR
from shlex import quote

from nbsync.errors import LocalError

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NO_FOLDER = (ENOTDIR, ELOOP)  # what opening a link, or a file, as a folder gives


class InTheWay(Exception):
    """A path that is not a folder stands where a folder must be; its relative path is the argument."""


class Tree:
    """The folders below one root, by relative path, reached through no link. One thread's: it keeps a few open.

    Args:
        root: a path, itself allowed to be a link; or an open folder that stays open.
        make: make the folders that are missing.
        kept: how many to keep open.

    Attributes:
        made: set to a list, it gets the relative paths of the folders that are made.
    """

    def __init__(self, root: str | int, *, make: bool = True, kept: int = 4) -> None:
        self._root, self._make, self._kept = root, make, kept
        self._open: OrderedDict[str, int] = OrderedDict()
        self.made: list[str] | None = None

    def folder(self, path: str) -> int:
        """The open folder at `path`; empty for the root. It stays open for this call's caller, not for long.

        Raises:
            InTheWay: something else than a folder is there, or at one of its parents. OSError.
        """
        fd = self._open.get(path)
        if fd is not None:
            self._open.move_to_end(path)
            return fd
        fd = os.dup(self._root) if isinstance(self._root, int) else os.open(self._root, FOLDER & ~os.O_NOFOLLOW)
        at = ""
        for name in path.split("/") if path else ():
            at = f"{at}/{name}" if at else name
            try:
                below = self._below(name, fd, at)
            except OSError as error:
                if error.errno in NO_FOLDER:
                    raise InTheWay(at) from None
                raise
            finally:
                os.close(fd)
            fd = below
        self._open[path] = fd
        if len(self._open) > self._kept:
            os.close(self._open.popitem(last=False)[1])
        return fd

    def _below(self, name: str, fd: int, at: str) -> int:
        try:
            return os.open(name, FOLDER, dir_fd=fd)
        except FileNotFoundError:
            if not self._make:
                raise
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=fd)
            if self.made is not None:
                self.made.append(at)
        return os.open(name, FOLDER, dir_fd=fd)

    def remove_empty(self, path: str) -> None:
        """Remove the folder at `path` if it is empty, and the parents that this empties; never the root."""
        self.close()
        with contextlib.suppress(OSError, InTheWay):
            while path:
                parent, _, name = path.rpartition("/")
                os.rmdir(name, dir_fd=self.folder(parent))
                path = parent
        self.close()

    def close(self) -> None:
        """Let go of the folders that are kept open."""
        while self._open:
            os.close(self._open.popitem()[1])


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


def mount_of(root: str, folder: str) -> tuple[str, int]:
    """The topmost folder below LOCAL, or LOCAL, of the file system that `folder` is on: its path, and open."""
    top, prefix, at = os.open(root, FOLDER & ~os.O_NOFOLLOW), "", ""
    fd = os.dup(top)
    try:
        for name in folder.split("/") if folder else ():
            at = f"{at}/{name}" if at else name
            parent, fd = fd, open_folder(name, fd)
            crossed = os.fstat(parent).st_dev != os.fstat(fd).st_dev
            os.close(parent)
            if crossed:
                os.close(top)
                top, prefix = os.dup(fd), at
    except BaseException:
        os.close(top)
        raise
    finally:
        os.close(fd)
    return prefix, top


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
        LocalError: something else than a regular file stands there, or a hard link. OSError.
    """
    name = os.path.basename(path)
    check_file(path, parent)
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=parent)


def check_file(path: str, parent: int) -> None:
    """Refuse what stands at `path`, in the open folder `parent`, if it is there and no regular file of its own.

    Raises:
        LocalError: it is a link, a folder, a pipe, or has another name somewhere else.
    """
    at = lstat(os.path.basename(path), parent)
    if at is not None and not stat.S_ISREG(at.st_mode):
        raise LocalError(f"{path} is {_what(path)}, not a file: nbsync does not write to it", "Remove it")
    if at is not None and at.st_nlink > 1:
        message = f"{path} has another name somewhere else (a hard link), which would be written too"
        raise LocalError(message, f"Remove it, or put a copy in its place: cp {quote(path)} x && mv x {quote(path)}")


def check_files(folder: str, names: tuple[str, ...]) -> None:
    """As `check_file`, for each of `names` in `folder`, which itself must be no link; nothing is fine.

    Raises:
        LocalError: one is a link, a folder, a pipe, or has another name somewhere else. OSError: the folder cannot be
            read.
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


def unlink_all(fd: int, keep: Callable[[str], bool] = lambda _name: False) -> None:
    """Remove every file in an open folder but those to `keep`, told by name; what cannot be removed stays."""
    for name in os.listdir(fd):
        if not keep(name):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=fd)


def remove_all(name: str, parent: int) -> None:
    """Remove `name` in an open folder, and all in it, if it is a folder. What cannot be removed stays.

    No link is followed, and nothing on another file system (a mount in the folder) is touched.
    """
    device = os.fstat(parent).st_dev
    levels = [(os.dup(parent), [name], "")]  # a stack of our own: folders may lie deeper than Python's calls may
    while levels:
        fd, names, own = levels[-1]
        if names:
            below = _removed(names.pop(), fd, device)
            if below is not None:
                levels.append(below)
            continue
        levels.pop()
        os.close(fd)
        if own:
            with contextlib.suppress(OSError):
                os.rmdir(own, dir_fd=levels[-1][0])


def _removed(name: str, fd: int, device: int) -> tuple[int, list[str], str] | None:
    """Remove `name`; if it is a folder, what there is to remove in it first."""
    with contextlib.suppress(OSError):
        at = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISDIR(at.st_mode):
            os.unlink(name, dir_fd=fd)
        elif at.st_dev == device:
            below = open_to_change(name, fd, at)
            return below, os.listdir(below), name
    return None


def open_to_change(name: str, fd: int, at: os.stat_result) -> int:
    """The folder `name` in an open folder, open; its owner may change what is in it from now on.

    Raises:
        OSError: it is another user's, or no folder any more.
    """
    if at.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.chmod(name, stat.S_IMODE(at.st_mode) | stat.S_IRWXU, dir_fd=fd)
    return os.open(name, FOLDER, dir_fd=fd)


def _what(path: str) -> str:
    if os.path.islink(path):
        return "a symbolic link"
    return "a folder" if os.path.isdir(path) else "a file" if os.path.isfile(path) else "something special"
