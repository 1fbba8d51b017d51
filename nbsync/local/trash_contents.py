"""What is in the trash of a state directory, looked at: nothing is made or changed here, but the list of mounts.

Whatever lies there may have been planted: it is reached through no link, and nothing special is opened. What cannot
be read is told, so that nobody takes it for nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nbsync.core import names
from nbsync.local.openat import FOLDER, InTheWay, Tree, lstat, open_own_file

TRASH = "trash"
MOUNTS = "mounts"
OWN_BESIDE = names.OWN.upper()  # nbsync's own too: the state directory beside one that is a mount of its own
ABSENT = "absent"
_MOUNTS_BYTES = 1 << 20


class Home(NamedTuple):
    """One folder `trash`, open: LOCAL's own, or that of a mount at `prefix` (with its `/`) below LOCAL.

    `place` is its path relative to LOCAL.
    """

    prefix: str
    fd: int
    place: str


class Homes(list[Home]):
    """All that could be opened, and `unread`: the places, relative to LOCAL, of those that could not, with the reason.

    What is not there is neither.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unread: dict[str, str] = {}

    def close(self) -> None:
        """Close them."""
        for home in self:
            os.close(home.fd)


class Item(NamedTuple):
    """One thing in the trash. `path` is relative to LOCAL, `inner` to the layer. Size in bytes.

    `kind`: `file` (or a link, or special), `folder` (an empty one, or one that may not be looked into), `absent`; or
    `unread`, something of which nothing is known, for the reason in `error`.
    """

    path: str
    home: Home
    layer: str
    inner: str
    kind: str
    size: int
    error: str = ""

    @property
    def place(self) -> str:
        """Where it lies, relative to LOCAL."""
        return os.path.join(self.home.place, self.layer, self.inner)


def open_homes(root: str, state_dir: int, own: str) -> Homes:
    """Every folder `trash` of a state directory; nothing is made, and a link is none. The caller closes them.

    Args:
        root: LOCAL.
        state_dir: its state directory, open.
        own: the name of this LOCAL's trash on a mount.
    """
    homes = Homes()
    place = os.path.join(names.OWN, TRASH)
    try:
        homes.append(Home("", os.open(TRASH, FOLDER, dir_fd=state_dir), place))
    except FileNotFoundError:
        pass
    except OSError as error:
        homes.unread[place] = _why(error)
    try:
        mounts = _mounts(state_dir)
    except OSError as error:
        mounts = []
        homes.unread[os.path.join(names.OWN, MOUNTS)] = _why(error)
    local = Tree(root, make=False)
    for path in mounts:
        for beside in (names.OWN, OWN_BESIDE):
            place = os.path.join(path, beside, own)
            try:
                if beside in os.listdir(local.folder(path)):  # where case is ignored, both would open the same
                    homes.append(Home(f"{path}/" if path else "", os.dup(local.folder(place)), place))
            except (FileNotFoundError, InTheWay):
                pass
            except OSError as error:
                homes.unread[place] = _why(error)
    local.close()
    return homes


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def _mounts(state_dir: int) -> list[str]:
    """The paths in `mounts` that can lie below LOCAL: whoever wrote them.

    Raises:
        OSError: it is there, and cannot be read.
    """
    at = lstat(MOUNTS, state_dir)
    if at is None or not stat.S_ISREG(at.st_mode):  # no run of ours made such a thing
        return []
    with open(os.open(MOUNTS, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=state_dir), "rb") as file:
        found = []
        for line in file.read(_MOUNTS_BYTES).splitlines():
            with contextlib.suppress(ValueError):
                path = json.loads(line)
                if isinstance(path, str) and (not path or not names.refusal(path)) and path not in found:
                    found.append(path)
        return found


def note_mount(place: str, state_dir: int, path: str) -> None:
    """Remember that the mount at `path` has a trash of this state directory's.

    Raises:
        LocalError: `mounts` is no regular file. OSError.
    """
    if path in _mounts(state_dir):
        return
    with open(open_own_file(os.path.join(place, MOUNTS), state_dir), "ab") as file:
        file.seek(0, os.SEEK_END)
        file.write(json.dumps(path).encode() + b"\n")


def items(homes: Iterable[Home], run: str) -> Iterator[Item]:
    """What a run trashed, in path order by layer, the latest layer first; then what it says was absent.

    Raises:
        OSError: it cannot be read. Where that is so of a part, the part is an item.
    """
    for home in homes:
        layers = [name for name in folders(home.fd) if name.partition(".")[0] == run]
        numbers = {name: int(name.partition(".")[2] or 1) for name in layers if name.partition(".")[2].isdecimal()
                   or name == run}  # fmt: skip
        for layer in sorted(numbers, key=lambda name: -numbers[name]):
            yield from in_layer(home, layer)
        if f"{run}.{ABSENT}" in layers:
            for item in in_layer(home, f"{run}.{ABSENT}"):
                yield item._replace(kind="absent" if item.kind == "file" else item.kind, size=0)


def in_layer(home: Home, layer: str) -> Iterator[Item]:
    """What lies in one layer. Nothing with a name of our own: no run puts such a thing here."""
    tree = Tree(home.fd, make=False)
    todo = [""]
    while todo:
        inner = todo.pop()
        below = []
        for item in _in_folder(home, layer, inner, tree):
            if item.kind == "filled":
                below.append(item.inner)
            else:
                yield item
        todo += reversed(below)
    tree.close()


def _in_folder(home: Home, layer: str, inner: str, tree: Tree) -> list[Item]:
    """What lies in one folder; `filled` is the kind of the folders to go into."""
    found = []
    try:
        fd = tree.folder(f"{layer}/{inner}" if inner else layer)
        names_here = sorted(name for name in os.listdir(fd) if not names.is_own(name))
        device = os.fstat(fd).st_dev
    except (FileNotFoundError, InTheWay):  # gone, or put back, meanwhile
        return []
    except OSError as error:
        return [Item(home.prefix + inner, home, layer, inner, "unread", 0, _why(error))]
    for name in names_here:
        path = f"{inner}/{name}" if inner else name
        kind, size, why = _look(name, fd, device)
        if kind:
            found.append(Item(home.prefix + path, home, layer, path, kind, size, why))
    return found


def _look(name: str, fd: int, device: int) -> tuple[str, int, str]:
    """An Item's kind, size and error, of `name` in an open folder of a `device`; no kind if it is gone."""
    try:
        at = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISDIR(at.st_mode):
            return "file", at.st_size, ""
        if at.st_dev != device:
            return "folder", 0, ""
        below = os.open(name, FOLDER, dir_fd=fd)
        try:
            return "filled" if os.listdir(below) else "folder", 0, ""
        finally:
            os.close(below)
    except FileNotFoundError:
        return "", 0, ""
    except PermissionError:
        return "folder", 0, ""  # it goes back as it is
    except OSError as error:
        return "unread", 0, _why(error)


def folders(fd: int) -> list[str]:
    """The names of the folders in an open folder, links to some aside; what cannot be looked at counts as one."""
    found = []
    for name in os.listdir(fd):
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                found.append(name)
        except FileNotFoundError:
            pass
        except OSError:
            found.append(name)
    return found
