"""Putting back files from the trash; those that they replace go there. One thread, under the state directory's lock.

Every step is a rename or a hard link of a whole file, so that a kill at any moment loses nothing: what has not
been put back is still in the trash. Nothing is reached through a link, on either side.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

from nbsync.core import names
from nbsync.core.model import Evidence, Outcome, Status, Verb
from nbsync.local import trash
from nbsync.local.install import Installer
from nbsync.local.openat import InTheWay, Tree, lstat
from nbsync.local.same_file import is_one_file
from nbsync.local.state_dir import StateDir
from nbsync.local.trash_contents import Item

_LOOKS = 5  # how often a path that changes under us is looked at again


class Restorer:
    """Puts back the items of one run, given in the order of `trashed.items`, but those that were absent first.

    Args:
        state_dir: of LOCAL, locked; its run is the undo's own.
        what: which run it was, in words.
        done: paths that an earlier try has put back.

    Attributes:
        earlier: how many files stay in the trash, because something that stood in their place later is back there.
    """

    def __init__(self, state_dir: StateDir, what: str, done: Iterable[str] = ()) -> None:
        self._room, self._what = state_dir, what
        self.earlier = 0
        self._installer = Installer(state_dir)
        self._made = self._installer.tree.made = []
        self._sources: dict[int, Tree] = {}
        self._put: set[str] = set(done)  # paths put back, ...
        self._above = {above for path in done for above in _parents(path)}  # ... and the folders that they are in
        self._modes: dict[str, os.stat_result] = {}  # of folders that had to be made
        self._emptied: dict[tuple[int, str], Item] = {}

    def do(self, item: Item) -> Outcome | None:
        """Put one item back, or move away what was absent; None where there is nothing to say.

        What goes wrong is a failed outcome; the item is then still in the trash.
        """
        if item.kind == "unread":
            return unread(item, self._room.root)
        try:
            outcome = self._take_away(item) if item.kind == "absent" else self._put_back(item)
        except (OSError, InTheWay) as error:
            why = f"({error}) is in the way" if isinstance(error, InTheWay) else error.strerror or str(error)
            return stays(item.path, why, os.path.join(self._room.root, item.place))
        self._emptied[item.home.fd, f"{item.layer}/{item.inner}".rpartition("/")[0]] = item
        return outcome

    def _take_away(self, item: Item) -> Outcome | None:
        """An undo put something here where nothing was: to the trash with it, whatever it is by now."""
        looking = Tree(self._room.root, make=False)
        try:
            there = lstat(item.path.rpartition("/")[2], looking.folder(item.path.rpartition("/")[0]))
        except (FileNotFoundError, InTheWay):
            there = None
        finally:
            looking.close()
        moved = there is not None and self._installer.to_trash(item.path, movable=lambda mode: not stat.S_ISDIR(mode))
        trash.drop(item)
        if not moved or there is None:
            return None
        self._installer.remove_empty(item.path.rpartition("/")[0])
        reason = f"to the trash (nothing was here before {self._what})"
        return Outcome(item.path, Verb.DELETE_LOCAL, Status.DELETED, reason, Evidence.NONE, there.st_size)

    def _put_back(self, item: Item) -> Outcome | None:
        if self._clashes(item.path):
            self.earlier += item.kind == "file"
            return None
        source = self._source(item)
        name = item.inner.rpartition("/")[2]
        os.stat(name, dir_fd=source, follow_symlinks=False)  # it is there, before anything is made for it
        target = self._target(item)
        there = lstat(own := item.path.rpartition("/")[2], target)
        if there is not None and is_one_file(own, target, name, source):  # the run was stopped before it replaced it
            os.unlink(name, dir_fd=source)
            return Outcome(item.path, Verb.NONE, Status.HIT, "was not replaced in the end", Evidence.NONE)
        if item.kind == "folder" and there is not None and stat.S_ISDIR(there.st_mode):
            os.rmdir(name, dir_fd=source)
            return None
        self._exchange(name, source, item.path)
        self._remember(item.path, was_absent=there is None)
        if item.kind == "folder":
            return None
        reason = f"put back from the trash ({'deleted' if there is None else 'replaced'} by {self._what})"
        return Outcome(item.path, Verb.NONE, Status.MISS, reason, Evidence.NONE, item.size)

    def _clashes(self, path: str) -> bool:
        """Has another layer's item, a later state of the same place, been put back already?"""
        return path in self._put or path in self._above or any(above in self._put for above in _parents(path))

    def _remember(self, path: str, *, was_absent: bool) -> None:
        self._put.add(path)
        self._above.update(_parents(path))
        if was_absent:
            with contextlib.suppress(OSError):  # a full disk: then undoing this undo leaves it here
                self._installer.note_absent(path)

    def _source(self, item: Item) -> int:
        tree = self._sources.get(item.home.fd)
        if tree is None:
            tree = self._sources[item.home.fd] = Tree(item.home.fd, make=False, kept=2)
        return tree.folder(f"{item.layer}/{item.inner}".rpartition("/")[0])

    def _target(self, item: Item) -> int:
        """The open folder that the item belongs into, made if missing; what is in the way goes to the trash."""
        folder = item.path.rpartition("/")[0]
        tree = self._installer.tree
        for _ in range(_LOOKS):
            try:
                fd = tree.folder(folder)
                break
            except InTheWay as what:
                self._installer.to_trash(str(what))
        else:
            fd = tree.folder(folder)
        for made in self._made:
            self._modes.setdefault(made, self._folder_in_trash(item, made))
        self._made.clear()
        return fd

    def _folder_in_trash(self, item: Item, path: str) -> os.stat_result:
        inner = path[len(item.home.prefix) :]
        tree = Tree(item.home.fd, make=False)
        try:
            return os.fstat(tree.folder(f"{item.layer}/{inner}"))
        finally:
            tree.close()

    def _exchange(self, name: str, source: int, path: str) -> None:
        for _ in range(_LOOKS):
            try:
                self._installer.put_back(name, source, path)
                return
            except IsADirectoryError:
                if _holds_own(os.path.join(self._room.root, path)):
                    raise OSError(None, "the folder in its place holds something of nbsync's own") from None
                self._installer.to_trash(path, movable=stat.S_ISDIR)
        raise OSError(None, "something else keeps changing what is in its place")

    def close(self) -> None:
        """Give the folders that were made the modes and times that they had, and remove what is empty in the trash."""
        tree = self._installer.tree
        for path in sorted(self._modes, reverse=True):
            at = self._modes[path]
            with contextlib.suppress(OSError, InTheWay):
                fd = tree.folder(path)
                os.fchmod(fd, stat.S_IMODE(at.st_mode))
                os.utime(fd, ns=(at.st_atime_ns, at.st_mtime_ns))
        for source in self._sources.values():
            source.close()
        for item in sorted(self._emptied.values(), key=lambda item: (item.layer, item.inner), reverse=True):
            trash.drop(item._replace(kind="file"))
        self._installer.close()


def stays(path: str, why: str, place: str) -> Outcome:
    """What could not be put back at `path`, and lies at `place`."""
    message = f"{why}; it stays in the trash: {place}"
    return Outcome(path, Verb.NONE, Status.FAILED, message, Evidence.NONE, error=message, problem="failed")


def unread(item: Item, root: str) -> Outcome:
    """As `stays`, of what could not be looked at; `root` is LOCAL."""
    return stays(item.path or ".", cannot_be_read(item.error), os.path.join(root, item.place))


def cannot_be_read(why: str) -> str:
    """What to do where a part of the trash cannot be read."""
    return f"cannot be read ({why}): make it readable, or wait until it is, and undo again"


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _holds_own(folder: str) -> bool:
    return any(names.is_own(name) for _, folders, files in os.walk(folder) for name in (*folders, *files))
