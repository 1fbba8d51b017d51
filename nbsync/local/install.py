"""Putting staged files into LOCAL, and moving local files to the trash. Runs in worker threads.

Nothing is ever written through a symbolic link: every folder on the way is opened by itself, without
following links, and the rename happens relative to that open folder (POSIX openat and renameat).

Nothing is overwritten either: a staged file is renamed into nothing, or changes places with what stands
there, and then the file that was there is looked at. An editor that saves between our look and our rename finds its
file in the trash. (Where a file system cannot exchange names, that moment remains: see `rename`.)

What a rename promises holds when the process dies at any moment, not when the power fails: nothing is
flushed to the disk, as in rsync, rclone and aws-cli. After a power failure a file system may show files of
the last seconds cut short or empty; they are not as recorded, so the next run compares and mends them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from errno import EEXIST, EXDEV
from typing import NamedTuple

from nbsync.core import names
from nbsync.core.model import LocalEntry
from nbsync.local import attributes, rename
from nbsync.local.attributes import Manner
from nbsync.local.digest import same_stat
from nbsync.local.openat import FOLDER, InTheWay, Tree, lstat, mount_of
from nbsync.local.same_file import are_links, is_unwritten
from nbsync.local.state_dir import StateDir
from nbsync.local.trash import Kept, Trash

_LOOKS = 5  # how often a path that changes under us is looked at again
_COPY_BYTES = 1 << 20


class Twin(Exception):
    """This file system takes the path for another file\'s name, which is the argument, if it is known."""


class Installed(NamedTuple):
    """A file in its place: its stat, and a note for the user if it could not be given all that belongs there."""

    at: os.stat_result
    note: str


class Installer:
    """Installs into one LOCAL; one for each worker thread (it keeps a few folders open)."""

    def __init__(self, state_dir: StateDir) -> None:
        self._room = state_dir
        self.tree = Tree(state_dir.root)
        self._trashes: dict[str, Trash] = {}  # by the mount's path; LOCAL's own under ""
        self._staging: Manner | None = None  # what it hands down
        self._folder: tuple[str, Manner] | None = None  # the last one that something went into, and what it does

    def install(self, staged: str, path: str, expected: LocalEntry | None, *, keep_old: bool) -> Installed:
        """Rename `staged` to `path`.

        It gets what a file gets that is made there, or what the file has whose place it takes: see `attributes`.
        What stands there goes to the trash if `keep_old`, or if it is not the `expected` file any more.

        Raises:
            InTheWay: a parent is not a folder. IsADirectoryError: `path` is one.
            Twin: a file whose name differs in case or accents' form is there. OSError.
        """
        try:
            return self._install(staged, path, expected, keep_old=keep_old)
        except FileNotFoundError:  # a folder that we hold open was removed meanwhile: make it again
            self.close()
            return self._install(staged, path, expected, keep_old=keep_old)

    def _install(self, staged: str, path: str, expected: LocalEntry | None, *, keep_old: bool) -> Installed:
        folder, _, name = path.rpartition("/")
        fd = self.tree.folder(folder)
        try:
            if (keep_old or expected is not None) and self._is_elsewhere(fd):
                raise OSError(EXDEV, "another file system", path)  # said before anything is kept in the trash
            if self._staging is None:
                self._staging = _manner_at(self._room.stage)
            # `staged` is absolute: below no open folder.
            note = self._put(staged, fd, path, fd, expected, keep_old=keep_old, made_in=self._staging)
        except OSError as error:
            if error.errno != EXDEV:
                raise
            note = self._install_across(staged, path, fd, expected, keep_old=keep_old)
        return Installed(os.stat(name, dir_fd=fd, follow_symlinks=False), note)

    def _is_elsewhere(self, fd: int) -> bool:
        """Is the open folder on another file system than staging?"""
        return os.fstat(fd).st_dev != os.stat(self._room.stage).st_dev

    def put_back(self, name: str, at: int, path: str) -> None:
        """Rename `name`, in the open folder `at`, to `path`; what stands there goes to the trash.

        Raises: as `install`.
        """
        self._put(name, at, path, self.tree.folder(path.rpartition("/")[0]), None, keep_old=True)

    def _put(self, source: str, at: int, path: str, fd: int, expected: LocalEntry | None, *, keep_old: bool,
             made_in: Manner | None = None) -> str:  # fmt: skip
        """Rename `source` in the open folder `at` to `path`, whose folder is `fd`; see `install`.

        `made_in`: what staging handed down to `source`; None for what an undo brings back, which keeps what it has.
        """
        name = path.rpartition("/")[2]
        may_be_there = expected is not None
        for _ in range(_LOOKS):
            if not may_be_there:
                note = self._as_new(source, at, path, fd, made_in)
                try:
                    rename.into_nothing(source, at, name, fd)
                    return note
                except FileExistsError:
                    if made_in is not None:
                        _refuse_twin(name, fd)
            old = lstat(name, fd)
            may_be_there = old is not None
            if old is None:
                continue
            if stat.S_ISDIR(old.st_mode):
                raise IsADirectoryError(EEXIST, "a folder is in the way", path)
            if stat.S_ISREG(old.st_mode):  # a link's mode says nothing
                note = self._as_old(source, at, path, fd, made_in, old)
            else:
                note = self._as_new(source, at, path, fd, made_in)
            keep = keep_old or expected is None or not same_stat(old, expected)
            if self._replace(source, at, path, fd, old, keep=keep):
                return note
            may_be_there = False
        raise FileExistsError(EEXIST, "something else keeps changing it", path)

    def _as_new(self, source: str, at: int, path: str, fd: int, made_in: Manner | None) -> str:
        if made_in is None or made_in == (goes_to := self._manner(path, fd)):
            return ""
        return attributes.as_new(source, at, made_in, goes_to)

    def _as_old(self, source: str, at: int, path: str, fd: int, made_in: Manner | None, old: os.stat_result) -> str:
        if made_in is None:
            return ""
        acl = bool(made_in.acl or self._manner(path, fd).acl)
        return attributes.as_old(source, at, old, path.rpartition("/")[2], fd, may_have_acl=acl)

    def _manner(self, path: str, fd: int) -> Manner:
        """What the folder of `path`, open as `fd`, hands down."""
        folder = path.rpartition("/")[0]
        if self._folder is None or self._folder[0] != folder:
            self._folder = folder, attributes.manner_of(fd)
        return self._folder[1]

    def _replace(self, source: str, at: int, path: str, fd: int, old: os.stat_result, *, keep: bool) -> bool:
        """As `_exchange`; the `old` file is kept in the trash first if it has to be, and only if it is replaced."""
        if not keep:
            return self._exchange(source, at, path, fd, lambda out: is_unwritten(out, old))
        name = path.rpartition("/")[2]
        kept = self._keep(name, fd, path, leave=True)
        try:
            return self._exchange(source, at, path, fd, lambda out: are_links(out, kept.stat()))
        except OSError:
            kept.take_back(name, fd)
            raise

    def _exchange(self, source: str, at: int, path: str, fd: int, expected: Callable[[os.stat_result], bool]) -> bool:
        """Let `source` take the place of what is at `path`, which goes if it is as `expected`, told its stat.

        Anything else that stands there goes to the trash. Returns False if nothing is there any more.
        """
        name = path.rpartition("/")[2]
        try:
            rename.exchange(source, at, name, fd)
        except FileNotFoundError:
            return False
        except rename.Unsupported:
            if lstat(name, fd) is None:
                return False
            os.rename(source, name, src_dir_fd=at, dst_dir_fd=fd)
            return True
        try:
            known = expected(os.stat(source, dir_fd=at, follow_symlinks=False))
        except OSError:
            known = False
        if known:
            os.unlink(source, dir_fd=at)
        else:  # it was saved anew between our look and the exchange
            self._keep_or_give_back(source, at, path, fd)
        return True

    def _keep_or_give_back(self, source: str, at: int, path: str, fd: int) -> None:
        """Move the file that an exchange took out to the trash, or, if that fails, to its place again.

        Raises:
            OSError: it could not be kept, so all is as before the exchange.
        """
        try:
            self._keep(source, at, path)
        except BaseException:
            rename.exchange(source, at, path.rpartition("/")[2], fd)
            raise

    def _install_across(self, staged: str, path: str, fd: int, expected: LocalEntry | None, *, keep_old: bool) -> str:
        """`path` is on another file system mounted below LOCAL: stage again there, then rename."""
        _, top = mount_of(self._room.root, path.rpartition("/")[0])
        try:
            near = self._room.stage_near(top)
        finally:
            os.close(top)
        again = os.path.basename(staged)
        made = os.open(again, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=near)
        try:
            with open(made, "wb") as there, open(staged, "rb") as here:
                shutil.copyfileobj(here, there, _COPY_BYTES)
                there.flush()
                attributes.set_time(there.fileno(), os.fstat(here.fileno()).st_mtime_ns)
            made_in = attributes.manner_of(near)
            note = self._put(again, near, path, fd, expected, keep_old=keep_old, made_in=made_in)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(again, dir_fd=near)
            raise
        os.unlink(staged)
        return note

    # ---- to the trash -------------------------------------------------------------------------------

    def to_trash(self, path: str, *, movable: Callable[[int], bool] = lambda _mode: True) -> bool:
        """Move the file or folder at `path` to the trash; False, with nothing done, if it is not there or `movable`.

        Args:
            path: below LOCAL.
            movable: told the mode (`stat.S_ISREG` and others), before and again after the move.

        Raises:
            OSError: it could not be kept, so it was not touched. InTheWay.
        """
        folder, _, name = path.rpartition("/")
        fd = self.tree.folder(folder)
        old = lstat(name, fd)
        if old is None or not movable(old.st_mode):
            return False
        try:
            kept = self._keep(name, fd, path)
        except FileNotFoundError:
            return False
        if not movable(kept.stat().st_mode):
            return not kept.give_back(name, fd)
        self.tree.close()
        return True

    def set_aside(self, path: str, copy: str) -> None:
        """Give the file at `path` the name `copy`, in the same folder, where nothing has it.

        Raises:
            FileExistsError: something has it. OSError, InTheWay.
        """
        folder, _, name = path.rpartition("/")
        fd = self.tree.folder(folder)
        rename.into_nothing(name, fd, copy.rpartition("/")[2], fd)

    def into_trash(self, staged: str, path: str) -> None:
        """Move a staged file to the trash, as what was at `path`.

        Raises:
            OSError: it could not be kept. InTheWay: a parent is not a folder.
        """
        self._keep(staged, self.tree.folder(path.rpartition("/")[0]), path)

    def delete(self, path: str, expected: LocalEntry) -> bool:
        """Move a file that REMOTE does not have to the trash, and remove the folders this empties.

        Returns False if it is not the `expected` file any more, which then is where it was.
        """
        folder, _, name = path.rpartition("/")
        fd = self.tree.folder(folder)
        old = lstat(name, fd)
        if old is None or not same_stat(old, expected):
            return False
        try:
            kept = self._keep(name, fd, path)
        except FileNotFoundError:
            return False
        if not is_unwritten(kept.stat(), old):  # it was saved anew between our look and the move
            kept.give_back(name, fd)
            return False
        self.remove_empty(folder)
        return True

    def remove_empty(self, folder: str) -> None:
        """Remove a folder that is empty, and its parents that this empties, but remember their modes in the trash."""
        self.tree.close()
        while folder:
            parent, _, name = folder.rpartition("/")
            try:
                fd = self.tree.folder(parent)
                at = os.stat(name, dir_fd=fd, follow_symlinks=False)
                os.rmdir(name, dir_fd=fd)
            except (OSError, InTheWay):  # not empty
                break
            if "" in self._trashes:
                self._trashes[""].keep_mode(folder, at.st_mode)
            folder = parent
        self.tree.close()

    def note_absent(self, path: str) -> None:
        """Remember in this run's trash that nothing was at `path` before it.

        Raises:
            OSError: it cannot be noted.
        """
        self._trash("").was_absent(path)

    def _keep(self, name: str, fd: int, path: str, *, leave: bool = False) -> Kept:
        """Move `name`, in an open folder, to the trash of its file system, as what was at `path`. See Trash.take."""
        try:
            return self._trash("").take(name, fd, path, leave=leave)
        except OSError as error:
            if error.errno != EXDEV:
                raise
        prefix, top = mount_of(self._room.root, path.rpartition("/")[0])
        try:
            trash = self._trash(prefix or ".", top)
        finally:
            os.close(top)
        return trash.take(name, fd, path[len(prefix) + 1 :] if prefix else path, leave=leave)

    def _trash(self, mount: str, top: int | None = None) -> Trash:
        trash = self._trashes.get(mount)
        if trash is None:
            home = self._room.trash_home() if top is None else self._room.trash_near("" if mount == "." else mount, top)
            trash = self._trashes[mount] = Trash(home, self._room.run)
        return trash

    def close(self) -> None:
        """Close the folders that are kept open."""
        self.tree.close()
        self._folder = None
        while self._trashes:
            self._trashes.popitem()[1].close()


def _manner_at(folder: str) -> Manner:
    fd = os.open(folder, FOLDER)
    try:
        return attributes.manner_of(fd)
    finally:
        os.close(fd)


def _refuse_twin(name: str, fd: int) -> None:
    """Something unexpected is at `name`: is that its own name?

    Raises:
        Twin: it has another, which the file system takes for the same.
    """
    found = os.listdir(fd)
    if name not in found and lstat(name, fd) is not None:
        key = names.twin_key(name)
        raise Twin(next((other for other in found if names.twin_key(other) == key), ""))
