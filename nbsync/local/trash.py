"""The trash: what a run replaced or deleted locally, under the path that it had. Any thread; each has its own Trash.

Layout: `trash/RUN/PATH`. What was at a PATH that the run has trashed already goes to the next layer,
`trash/RUN.2/PATH`, so that below a RUN every name is a real one. `trash/RUN.absent/PATH` is an empty file
that stands for nothing: an undo put something back where nothing was. A mount below LOCAL has a trash of
its own (`MOUNT/.nbsync/trash-ID`, paths relative to the mount), because a rename ends at a file system;
`mounts` in LOCAL's state directory names them.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from errno import EXDEV
from typing import NamedTuple

from nbsync.core import runs
from nbsync.local import rename
from nbsync.local.folder_move import move_folder, moves_piecemeal
from nbsync.local.openat import InTheWay, Tree, lstat, open_folder, remove_all
from nbsync.local.rename import NO_LINKS
from nbsync.local.same_file import is_one_file
from nbsync.local.trash_contents import ABSENT, Home, Item, folders, in_layer, items


class Kept(NamedTuple):
    """Where something lies in the trash: its name in an open folder, which stays open for the caller's next step.

    `linked`: it was not moved here, but is a hard link.
    """

    name: str
    fd: int
    layer: Tree
    folder: str
    linked: bool

    def stat(self) -> os.stat_result:
        """Of what lies there, itself."""
        return os.stat(self.name, dir_fd=self.fd, follow_symlinks=False)

    def give_back(self, name: str, fd: int) -> bool:
        """Move it to `name` in an open folder again. False if something is there by now: then it stays here."""
        try:
            rename.into_nothing(self.name, self.fd, name, fd)
        except FileExistsError:
            return False
        self.layer.remove_empty(self.folder)
        return True

    def take_back(self, name: str, fd: int) -> None:
        """What it was kept for did not happen: of `name`, in an open folder, nothing stays here if it is there.

        Where it was moved, for want of hard links, it goes back.
        """
        with contextlib.suppress(OSError):
            there = lstat(name, fd)
            if there is None:
                self.give_back(name, fd)
            elif self.linked and is_one_file(name, fd, self.name, self.fd):
                os.unlink(self.name, dir_fd=self.fd)
                self.layer.remove_empty(self.folder)


class Trash:
    """One run's trash on one file system; one for each thread.

    Args:
        home: the open folder `trash`; closed with this.
        run: the run's name.
    """

    def __init__(self, home: int, run: str) -> None:
        self._home, self._run = home, run
        self._layers: dict[str, Tree] = {}
        self._holders: list[int] = []

    def take(self, name: str, fd: int, path: str, *, leave: bool = False) -> Kept:
        """Move `name`, in an open folder, here as what was at `path`; links are moved, never followed.

        With `leave`, it also stays where it is, by a hard link; where there are none, it is moved all the same.

        Raises:
            OSError: it could not be moved, and is where it was.
        """
        folder, _, kept = path.rpartition("/")
        number = 0
        while True:
            number += 1
            layer = self._run if number == 1 else f"{self._run}.{number}"
            try:
                activity = self._layer(layer).folder(folder)
                linked = _move(name, fd, kept, activity, leave=leave)
                return Kept(kept, activity, self._layer(layer), folder, linked)
            except (FileExistsError, InTheWay):
                continue
            except OSError:
                self._layer(layer).remove_empty(folder)
                raise

    def was_absent(self, path: str) -> None:
        """Note that nothing was at `path` before this run put something there."""
        folder, _, name = path.rpartition("/")
        activity = self._layer(f"{self._run}.{ABSENT}").folder(folder)
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=activity))

    def keep_mode(self, path: str, mode: int) -> None:
        """Give the folder at `path` here, if there is one, the mode of the one in LOCAL that is removed."""
        tree = Tree(self._home, make=False)
        with contextlib.suppress(OSError, InTheWay):
            os.fchmod(tree.folder(f"{self._run}/{path}"), stat.S_IMODE(mode) | stat.S_IRWXU)
        tree.close()

    def _layer(self, layer: str) -> Tree:
        tree = self._layers.get(layer)
        if tree is None:
            run = open_folder(layer, self._home)
            self._holders.append(run)
            tree = self._layers[layer] = Tree(run, kept=2)
        return tree

    def close(self) -> None:
        """Close what is kept open; a layer to which nothing came goes."""
        for layer, tree in self._layers.items():
            tree.close()
            with contextlib.suppress(OSError):
                os.rmdir(layer, dir_fd=self._home)
        self._layers.clear()
        for fd in [*self._holders, self._home]:
            os.close(fd)
        self._holders.clear()


def _move(name: str, fd: int, kept: str, activity: int, *, leave: bool) -> bool:
    """Returns True if it was linked, and so is where it was, too."""
    if leave:
        try:
            os.link(name, kept, src_dir_fd=fd, dst_dir_fd=activity, follow_symlinks=False)
            return True
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
    try:
        rename.into_nothing(name, fd, kept, activity)
    except OSError as error:
        if error.errno != EXDEV or not moves_piecemeal(name, fd, activity):
            raise
        move_folder(name, fd, kept, activity)
    return False


# ---- all that is in the trash ------------------------------------------------------------------------


def newest_first(homes: Iterable[Home]) -> list[str]:
    """The names of the runs that have a folder in the trash.

    Raises:
        OSError: it cannot be read.
    """
    return runs.newest_first(name.partition(".")[0] for home in homes for name in folders(home.fd))


def summary(homes: Iterable[Home], run: str = "") -> tuple[int, int]:
    """(files, bytes) in the trash: that a run put there, or all. What cannot be read counts as a file."""
    files = size = 0
    for home in homes:
        for one in [run] if run else {name.partition(".")[0] for name in folders(home.fd)}:
            for item in items([home], one):
                files += item.kind in ("file", "unread")
                size += item.size
    return files, size


def purge(homes: Iterable[Home], before: float) -> tuple[int, int]:
    """Remove the runs that were trashed before a time (seconds since the epoch): how many files, and their bytes.

    What cannot be removed stays.
    """
    files = size = 0
    for home in homes:
        for name in folders(home.fd):
            with contextlib.suppress(OSError):
                if os.stat(name, dir_fd=home.fd, follow_symlinks=False).st_mtime < before:
                    held = [] if name.endswith(f".{ABSENT}") else list(in_layer(home, name))
                    remove_all(name, home.fd)
                    if lstat(name, home.fd) is None:
                        files += sum(item.kind == "file" for item in held)
                        size += sum(item.size for item in held)
    return files, size


def drop(item: Item) -> None:
    """Remove what is left of an item that has been dealt with: its note that nothing was there, its empty folders."""
    tree = Tree(item.home.fd, make=False)
    folder, _, name = f"{item.layer}/{item.inner}".rpartition("/")
    with contextlib.suppress(OSError, InTheWay):
        if item.kind == "absent":
            os.unlink(name, dir_fd=tree.folder(folder))
        elif item.kind == "folder":
            os.rmdir(name, dir_fd=tree.folder(folder))
    tree.remove_empty(folder)
