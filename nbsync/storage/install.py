"""Putting staged files into LOCAL, and moving local files to the trash. Runs in worker threads.

Nothing is ever written through a symbolic link: every folder on the way is opened by itself, without
following links, and the rename happens relative to that open folder (POSIX openat and renameat).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections import OrderedDict
from errno import EEXIST, EXDEV

from nbsync.core.model import LocalEntry
from nbsync.storage.digest import same_stat
from nbsync.storage.folders import FOLDER, NO_FOLDER, lstat, open_folder
from nbsync.storage.room import Room

_KEPT_FOLDERS = 4
_COPY_BYTES = 1 << 20


class InTheWay(Exception):
    """A path that is not a folder stands where a folder must be; its relative path is the argument."""


class Installer:
    """Installs into one LOCAL; one for each worker thread (it keeps a few folders open)."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._folders: OrderedDict[str, int] = OrderedDict()

    def install(self, staged: str, path: str, expected: LocalEntry | None, *, keep_old: bool) -> os.stat_result:
        """Rename `staged` to `path`; returns the installed file's stat.

        What stands there goes to the trash if `keep_old`, or if it is not the `expected` file any more.

        Raises:
            InTheWay: a parent is not a folder. IsADirectoryError: `path` is one. OSError.
        """
        try:
            return self._install(staged, path, expected, keep_old=keep_old)
        except FileNotFoundError:  # a folder that we hold open was removed meanwhile: make it again
            self.close()
            return self._install(staged, path, expected, keep_old=keep_old)

    def _install(self, staged: str, path: str, expected: LocalEntry | None, *, keep_old: bool) -> os.stat_result:
        folder, _, name = path.rpartition("/")
        fd = self._folder(folder)
        old = lstat(name, fd)
        if old is not None:
            if stat.S_ISDIR(old.st_mode):
                raise IsADirectoryError(EEXIST, "a folder is in the way", path)
            if keep_old or expected is None or not same_stat(old, expected):
                self.to_trash(path, leave=True)
            if stat.S_ISREG(old.st_mode):  # a link's mode says nothing
                os.chmod(staged, stat.S_IMODE(old.st_mode))
        try:
            os.replace(staged, name, dst_dir_fd=fd)
        except OSError as error:
            if error.errno != EXDEV:
                raise
            self._install_across(staged, name, fd, folder)
        return os.stat(name, dir_fd=fd, follow_symlinks=False)

    def _install_across(self, staged: str, name: str, fd: int, folder: str) -> None:
        """`name` is on another file system mounted below LOCAL: stage again there, then rename."""
        top = self._mount_top(folder)
        try:
            near = self._room.stage_near(top)
        finally:
            os.close(top)
        again = os.path.basename(staged)
        made = os.open(again, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=near)
        try:
            with open(made, "wb") as there, open(staged, "rb") as here:
                shutil.copyfileobj(here, there, _COPY_BYTES)
                there.flush()
                at = os.fstat(here.fileno())
                os.fchmod(there.fileno(), stat.S_IMODE(at.st_mode))
                os.utime(there.fileno(), ns=(at.st_mtime_ns, at.st_mtime_ns))
            os.replace(again, name, src_dir_fd=near, dst_dir_fd=fd)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(again, dir_fd=near)
            raise
        os.unlink(staged)

    def _mount_top(self, folder: str) -> int:
        """The topmost folder below LOCAL, or LOCAL, open, of the file system that `folder` is on."""
        top = os.open(self._room.root, FOLDER & ~os.O_NOFOLLOW)
        fd = os.dup(top)
        try:
            for name in folder.split("/") if folder else ():
                parent, fd = fd, open_folder(name, fd)
                crossed = os.fstat(parent).st_dev != os.fstat(fd).st_dev
                os.close(parent)
                if crossed:
                    os.close(top)
                    top = os.dup(fd)
        except BaseException:
            os.close(top)
            raise
        finally:
            os.close(fd)
        return top

    def to_trash(self, path: str, *, leave: bool = False) -> None:
        """Move the file or folder at `path` to the trash; with `leave`, it also stays until it is replaced.

        Raises:
            OSError: it could not be kept, so it was not touched.
        """
        kept = os.path.join(self._room.trash, path)
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        if os.path.lexists(kept):
            kept = _free_name(kept)
        folder, _, name = path.rpartition("/")
        fd = self._folder(folder)
        if leave:
            try:
                os.link(name, kept, src_dir_fd=fd, follow_symlinks=False)
                return
            except OSError:  # no hard links here: the name is free for a moment
                pass
        try:
            os.rename(name, kept, src_dir_fd=fd)
        except OSError as error:
            if error.errno != EXDEV:
                raise
            shutil.move(os.path.join(self._room.root, path), kept)

    def delete(self, path: str, expected: LocalEntry) -> bool:
        """Move a file that REMOTE does not have to the trash, and remove the folders this empties.

        Returns False, with nothing done, if the file is not the `expected` one any more.
        """
        folder, _, name = path.rpartition("/")
        old = lstat(name, self._folder(folder))
        if old is None or not same_stat(old, expected):
            return False
        self.to_trash(path)
        self.close()
        while folder:
            try:
                os.rmdir(os.path.join(self._room.root, folder))
            except OSError:  # not empty
                break
            folder = folder.rpartition("/")[0]
        return True

    def _folder(self, path: str) -> int:
        """An open folder at `path` below LOCAL, made if missing, reached without following any link."""
        fd = self._folders.get(path)
        if fd is not None:
            self._folders.move_to_end(path)
            return fd
        fd = os.open(self._room.root, FOLDER & ~os.O_NOFOLLOW)
        at = ""
        for name in path.split("/") if path else ():
            at = f"{at}/{name}" if at else name
            try:
                below = open_folder(name, fd)
            except OSError as error:
                if error.errno in NO_FOLDER:
                    raise InTheWay(at) from None
                raise
            finally:
                os.close(fd)
            fd = below
        self._folders[path] = fd
        if len(self._folders) > _KEPT_FOLDERS:
            os.close(self._folders.popitem(last=False)[1])
        return fd

    def close(self) -> None:
        """Close the folders that are kept open."""
        while self._folders:
            os.close(self._folders.popitem()[1])


def _free_name(path: str) -> str:
    number = 1
    while os.path.lexists(candidate := f"{path}.{number}"):
        number += 1
    return candidate
