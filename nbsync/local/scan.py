"""The local tree as an ordered stream of entries. Runs in the run's own thread; reads no content."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from nbsync.core import names
from nbsync.core.model import Kind, LocalEntry, RemoteEntry
from nbsync.errors import ConfigError, LocalError

STATE_DIR = ".nbsync"


class _Followed(NamedTuple):
    """Where a folder really is, when links are followed, and the folders in which those stand that led there.

    By name and not by inode number: not every file system has numbers that tell its folders apart.
    """

    real: str
    links: tuple[str, ...] = ()

    def into(self, entry: os.DirEntry[str]) -> _Followed:
        """The folder of this name in it."""
        if entry.is_symlink():
            return _Followed(self.target(entry.name), (*self.links, self.real))
        return self._replace(real=os.path.join(self.real, entry.name))

    def target(self, name: str) -> str:
        """What the link of this name in it leads to."""
        return os.path.realpath(os.path.join(self.real, name))

    def leads_back(self, name: str) -> bool:
        """Does the link of this name lead to a folder that holds the link, or one of those that led here?"""
        above = os.path.join(self.target(name), "")
        return any(os.path.join(folder, "").startswith(above) for folder in (self.real, *self.links))


def absolute_root(local: str | os.PathLike[str]) -> str:
    """LOCAL as it is meant now: `~` is the user's home, and what is relative is below the current directory.

    Raises:
        ConfigError: this process cannot name files as S3 names objects.
    """
    check_encoding(sys.getfilesystemencoding())
    return os.path.abspath(os.path.expanduser(os.fspath(local)))


def check_encoding(of_names: str) -> None:
    """Refuse to work in a process that takes the names of files for text of another encoding than UTF-8.

    Raises:
        ConfigError: it does.
    """
    if of_names != "utf-8":
        hint = "Start it with PYTHONUTF8=1 in its environment, or with a UTF-8 locale"
        raise ConfigError(f"this process reads file names as {of_names}, and S3's are UTF-8", hint)


def scan(root: str, *, follow_symlinks: bool = False) -> Iterator[LocalEntry]:
    """Everything below `root` that is not a directory, and the directories that cannot be read.

    In string order of the whole relative path: a directory stands among its siblings as `name/`,
    so `a-b` comes before `a/b`. Nothing named `.nbsync`, in any case, is shown, at any depth.

    Args:
        root: a directory.
        follow_symlinks: show what links point to; a link to a folder that holds it, in LOCAL or above it, is
            shown as unreadable: all that lies there would come again and again.

    Raises:
        LocalError: `root`, or a directory that could be opened before, cannot be read any more.
    """
    try:
        found = os.scandir(root)
    except OSError as error:
        raise LocalError(f"{root}: {error.strerror}") from None
    place = _Followed(os.path.realpath(root)) if follow_symlinks else None
    # A stack of our own: folders may lie deeper than Python's calls may.
    levels = [(iter(_siblings(found, "", place)), place)]
    while levels:
        siblings, place = levels[-1]
        sibling = next(siblings, None)
        if sibling is None:
            levels.pop()
            continue
        entry, name = sibling
        if isinstance(entry, LocalEntry):
            yield entry
            continue
        try:
            below = os.scandir(entry.path)
        except OSError as error:  # readable a moment ago: the tree is changing under us
            raise LocalError(f"{entry.path}: {error.strerror}", "Nothing was deleted; run it again") from None
        inner = place.into(entry) if place is not None else None
        levels.append((iter(_siblings(below, name, inner)), inner))


def _siblings(found: Any, prefix: str, place: _Followed | None) -> list[tuple[LocalEntry | os.DirEntry[str], str]]:
    """What one folder holds, in order; `found` is what os.scandir gives; `place` if links are followed."""
    with found:
        siblings = [_look(entry, prefix, place) for entry in found if not _is_own(entry.name)]
    siblings.sort(key=_order)
    return siblings


def without_too_long(remote: Iterator[RemoteEntry], root: str) -> Iterator[RemoteEntry]:
    """The entries, with `refused` set on each whose path, below LOCAL's, is longer than the system takes."""
    limit, root_bytes = os.pathconf("/", "PC_PATH_MAX") - 1, len(os.fsencode(root))
    if root_bytes + 1 + names.MAX_KEY_BYTES <= limit:
        return remote
    return (_refused_if_too_long(entry, root_bytes, limit) for entry in remote)


def _refused_if_too_long(entry: RemoteEntry, root_bytes: int, limit: int) -> RemoteEntry:
    refusal = None if entry.refused else names.place_refusal(entry.path, root_bytes, limit)
    return entry._replace(refused=refusal) if refusal else entry


def kept_below(folder: str, path: str, admits: Callable[[str], bool]) -> str:
    """The first thing in `folder` that a pull never removes, in words; empty if all of it are files in scope.

    Args:
        folder: where it is.
        path: its relative path.
        admits: is a relative path in scope?
    """
    device = os.lstat(folder).st_dev
    for place, folders, files in os.walk(folder):
        if os.lstat(place).st_dev != device:
            return f"another file system, mounted at {place}"
        if any(_is_own(name) for name in (*folders, *files)):
            return "something of nbsync's own"
    for entry in scan(folder):
        if entry.kind is not Kind.FILE:
            return f"{path}/{entry.path}, which is no regular file"
        if not admits(f"{path}/{entry.path}"):
            return f"{path}/{entry.path}, which is excluded"
    return ""


def _is_own(name: str) -> bool:
    return name[:1] == "." and name.casefold() == STATE_DIR  # as core.names.is_own


def _order(sibling: tuple[LocalEntry | os.DirEntry[str], str]) -> str:
    return sibling[1]


def _look(entry: os.DirEntry[str], prefix: str, place: _Followed | None) -> tuple[LocalEntry | os.DirEntry[str], str]:
    """An entry with the text it is sorted by; directories to go into stay DirEntries."""
    path = prefix + entry.name
    try:
        if not entry.name.isascii():
            entry.name.encode()
        at = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(at.st_mode):
            return LocalEntry(path, Kind.FILE, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino), path
        if stat.S_ISLNK(at.st_mode):
            return _look_through(entry, path, place)
        if stat.S_ISDIR(at.st_mode):
            return _directory(entry, path)
    except UnicodeEncodeError:
        return _odd(path, Kind.UNREADABLE, "its name is not valid UTF-8"), path
    except OSError as error:
        return _odd(path, Kind.UNREADABLE, f"cannot be read: {error.strerror}"), path
    return _odd(path, Kind.SPECIAL), path


def _directory(entry: os.DirEntry[str], path: str) -> tuple[LocalEntry | os.DirEntry[str], str]:
    if os.access(entry.path, os.R_OK | os.X_OK):
        return entry, path + "/"
    return _odd(path, Kind.UNREADABLE_FOLDER, "the folder cannot be read: permission denied"), path


def _look_through(
    entry: os.DirEntry[str], path: str, place: _Followed | None
) -> tuple[LocalEntry | os.DirEntry[str], str]:
    try:
        at = os.stat(entry.path)
    except OSError:
        return _odd(path, Kind.BROKEN_LINK), path
    if place is None:
        return _odd(path, Kind.SYMLINK), path
    if stat.S_ISDIR(at.st_mode):
        if place.leads_back(entry.name):
            return _odd(path, Kind.UNREADABLE, "a symbolic link to a folder that holds it: it is not followed"), path
        return _directory(entry, path)
    if stat.S_ISREG(at.st_mode):
        return LocalEntry(path, Kind.FILE, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino), path
    return _odd(path, Kind.SPECIAL), path


def _odd(path: str, kind: Kind, message: str = "") -> LocalEntry:
    return LocalEntry(path, kind, 0, 0, 0, 0, message)
