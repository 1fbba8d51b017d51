"""The trash: what a run replaced or deleted locally, under the path that it had. Any thread; each has its own Trash.

Layout: `trash/RUN/PATH`. What was at a PATH that the run has trashed already goes to the next layer,
`trash/RUN.2/PATH`, so that below a RUN every name is a real one. `trash/RUN.absent/PATH` is an empty file
that stands for nothing: an undo put something back where nothing was. A mount below LOCAL has a trash of
its own (`MOUNT/.nbsync/trash-ID`, paths relative to the mount), because a rename ends at a file system;
`mounts` in LOCAL's room names them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from errno import EXDEV
from typing import NamedTuple

from nbsync.core import names
from nbsync.storage import rename
from nbsync.storage.folder_move import move_folder, moves_piecemeal
from nbsync.storage.folders import FOLDER, InTheWay, Tree, lstat, open_folder, open_own_file, remove_all
from nbsync.storage.rename import NO_LINKS

TRASH = "trash"
MOUNTS = "mounts"
OWN_BESIDE = names.OWN.upper()  # nbsync's own too: the room beside one that is a mount of its own
_ABSENT = "absent"
_RUN = re.compile(r"(\d{4}-\d\d-\d\dT\d{6}Z-\d{9}-\d+)(?:\+(\d{6}))?")
_MOUNTS_BYTES = 1 << 20


class Kept(NamedTuple):
    """Where something lies in the trash: its name in an open folder, which stays open for the caller's next step."""

    name: str
    fd: int
    layer: Tree
    folder: str

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
            elif os.path.samestat(there, self.stat()):
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
                slot = self._layer(layer).folder(folder)
                _move(name, fd, kept, slot, leave=leave)
                return Kept(kept, slot, self._layer(layer), folder)
            except (FileExistsError, InTheWay):
                continue
            except OSError:
                self._layer(layer).remove_empty(folder)
                raise

    def was_absent(self, path: str) -> None:
        """Note that nothing was at `path` before this run put something there."""
        folder, _, name = path.rpartition("/")
        slot = self._layer(f"{self._run}.{_ABSENT}").folder(folder)
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=slot))

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


def _move(name: str, fd: int, kept: str, slot: int, *, leave: bool) -> None:
    if leave:
        try:
            os.link(name, kept, src_dir_fd=fd, dst_dir_fd=slot, follow_symlinks=False)
            return
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
    try:
        rename.into_nothing(name, fd, kept, slot)
    except OSError as error:
        if error.errno != EXDEV or not moves_piecemeal(name, fd, slot):
            raise
        move_folder(name, fd, kept, slot)


# ---- all that is in the trash ------------------------------------------------------------------------


class Home(NamedTuple):
    """One folder `trash`, open: LOCAL's own, or that of a mount at `prefix` (with its `/`) below LOCAL."""

    prefix: str
    fd: int


class Item(NamedTuple):
    """One thing in the trash. `path` is relative to LOCAL, `inner` to the layer. Size in bytes.

    `kind`: `file` (or a link, or special), `folder` (an empty one, or one that cannot be looked into), `absent`.
    """

    path: str
    home: Home
    layer: str
    inner: str
    kind: str
    size: int


def open_homes(root: str, room: int, own: str) -> list[Home]:
    """Every folder `trash` that belongs to a room; nothing is made, and what is a link is none. The caller closes them.

    Args:
        root: LOCAL.
        room: its room, open.
        own: the name of this LOCAL's trash on a mount.
    """
    homes = []
    with contextlib.suppress(OSError):
        homes.append(Home("", os.open(TRASH, FOLDER, dir_fd=room)))
    local = Tree(root, make=False)
    for path in _mounts(room):
        prefix = f"{path}/" if path else ""
        for room_there in (names.OWN, OWN_BESIDE):
            with contextlib.suppress(OSError, InTheWay):
                homes.append(Home(prefix, os.dup(local.folder(f"{prefix}{room_there}/{own}"))))
                break
    local.close()
    return homes


def _mounts(room: int) -> list[str]:
    """The paths in `mounts` that can lie below LOCAL: whoever wrote them."""
    with contextlib.suppress(OSError), open(os.open(MOUNTS, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=room), "rb") as file:
        found = []
        for line in file.read(_MOUNTS_BYTES).splitlines():
            with contextlib.suppress(ValueError):
                path = json.loads(line)
                if isinstance(path, str) and (not path or not names.refusal(path)) and path not in found:
                    found.append(path)
        return found
    return []


def note_mount(place: str, room: int, path: str) -> None:
    """Remember that the mount at `path` has a trash of this room's.

    Raises:
        LocalError: `mounts` is no regular file. OSError.
    """
    if path in _mounts(room):
        return
    with open(open_own_file(os.path.join(place, MOUNTS), room), "ab") as file:
        file.seek(0, os.SEEK_END)
        file.write(json.dumps(path).encode() + b"\n")


def newest_first(homes: Iterable[Home]) -> list[str]:
    """The names of the runs that have a folder in the trash."""
    found = {stem for home in homes for name in _folders(home.fd) if _RUN.fullmatch(stem := name.partition(".")[0])}
    return sorted(found, reverse=True)


def is_run(name: str) -> bool:
    """Has it the form of a run's name?"""
    return _RUN.fullmatch(name) is not None


def later_than(run: str, others: Iterable[str]) -> str:
    """`run`, or, if the clock was put back, a name that still sorts after the `others`."""
    newest = max(others, default="")
    if run > newest:
        return run
    found = _RUN.fullmatch(newest)
    assert found is not None  # newest_first gives no other names
    return f"{found[1]}+{int(found[2] or 0) + 1:06d}"


def items(homes: Iterable[Home], run: str) -> Iterator[Item]:
    """What a run trashed, in path order by layer, the latest layer first; then what it says was absent."""
    for home in homes:
        layers = [name for name in _folders(home.fd) if name.partition(".")[0] == run]
        numbers = {name: int(name.partition(".")[2] or 1) for name in layers if name.partition(".")[2].isdecimal()
                   or name == run}  # fmt: skip
        for layer in sorted(numbers, key=lambda name: -numbers[name]):
            yield from _below(home, layer)
        if f"{run}.{_ABSENT}" in layers:
            for item in _below(home, f"{run}.{_ABSENT}"):
                yield item._replace(kind="absent" if item.kind == "file" else item.kind, size=0)


def _below(home: Home, layer: str) -> Iterator[Item]:
    """What lies in one layer. Nothing with a name of our own: no run puts such a thing here."""
    tree = Tree(home.fd, make=False)
    todo = [""]
    while todo:
        inner = todo.pop()
        folders = []
        with contextlib.suppress(OSError, InTheWay):  # changed under us: what is left stays in the trash
            fd = tree.folder(f"{layer}/{inner}" if inner else layer)
            for name in sorted(os.listdir(fd)):
                path = f"{inner}/{name}" if inner else name
                at = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if names.is_own(name):
                    continue
                if stat.S_ISDIR(at.st_mode) and not _is_leaf(name, fd, at):
                    folders.append(path)
                else:
                    kind, size = ("folder", 0) if stat.S_ISDIR(at.st_mode) else ("file", at.st_size)
                    yield Item(home.prefix + path, home, layer, path, kind, size)
        todo += reversed(folders)
    tree.close()


def _is_leaf(name: str, fd: int, at: os.stat_result) -> bool:
    """Is this folder empty, another file system, or one that may not be looked into?"""
    if at.st_dev != os.fstat(fd).st_dev:
        return True
    try:
        below = os.open(name, FOLDER, dir_fd=fd)
    except OSError:
        return True
    try:
        return not os.listdir(below)
    finally:
        os.close(below)


def _folders(fd: int) -> list[str]:
    """The names of the folders in an open folder, links to some aside."""
    found = []
    for name in os.listdir(fd):
        with contextlib.suppress(OSError):
            if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                found.append(name)
    return found


def summary(homes: Iterable[Home], run: str = "") -> tuple[int, int]:
    """(files, bytes) in the trash: that a run put there, or all."""
    files = size = 0
    for home in homes:
        runs = [run] if run else {name.partition(".")[0] for name in _folders(home.fd)}
        for one in runs:
            for item in items([home], one):
                files += item.kind == "file"
                size += item.size
    return files, size


def purge(homes: Iterable[Home], before: float) -> None:
    """Remove the runs that were trashed before a time (seconds since the epoch); what cannot be removed stays."""
    for home in homes:
        for name in _folders(home.fd):
            with contextlib.suppress(OSError):
                if os.stat(name, dir_fd=home.fd, follow_symlinks=False).st_mtime < before:
                    remove_all(name, home.fd)


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
