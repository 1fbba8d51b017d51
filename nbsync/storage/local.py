"""The local tree as an ordered stream of entries. Runs in the run's own thread; reads no content."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Any

from nbsync.core.model import Kind, LocalEntry
from nbsync.errors import ConfigError, LocalError

OWN_ROOM = ".nbsync"


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
        follow_symlinks: show what links point to; a link back to a parent is shown as unreadable.

    Raises:
        LocalError: `root`, or a directory that could be opened before, cannot be read any more.
    """
    try:
        at = os.stat(root)
        names = os.scandir(root)
    except OSError as error:
        raise LocalError(f"{root}: {error.strerror}") from None
    parents = ((at.st_dev, at.st_ino),) if follow_symlinks else ()
    # A stack of our own: folders may lie deeper than Python's calls may.
    levels = [(iter(_siblings(names, "", parents, follow_symlinks)), parents)]
    while levels:
        siblings, parents = levels[-1]
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
            more = (*parents, _identity(entry)) if follow_symlinks else parents
        except OSError as error:  # readable a moment ago: the tree is changing under us
            raise LocalError(f"{entry.path}: {error.strerror}", "Nothing was deleted; run it again") from None
        levels.append((iter(_siblings(below, name, more, follow_symlinks)), more))


def _siblings(
    names: Any, prefix: str, parents: tuple[tuple[int, int], ...], follow: bool
) -> list[tuple[LocalEntry | os.DirEntry[str], str]]:
    """What one folder holds, in order; `names` is what os.scandir gives."""
    with names:
        siblings = [_look(entry, prefix, parents, follow) for entry in names if not _is_own(entry.name)]
    siblings.sort(key=_order)
    return siblings


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
    return name[:1] == "." and name.casefold() == OWN_ROOM  # as core.names.is_own


def _order(sibling: tuple[LocalEntry | os.DirEntry[str], str]) -> str:
    return sibling[1]


def _identity(entry: os.DirEntry[str]) -> tuple[int, int]:
    at = entry.stat()
    return at.st_dev, at.st_ino


def _look(
    entry: os.DirEntry[str], prefix: str, parents: tuple[tuple[int, int], ...], follow: bool
) -> tuple[LocalEntry | os.DirEntry[str], str]:
    """An entry with the text it is sorted by; directories to go into stay DirEntries."""
    path = prefix + entry.name
    try:
        if not entry.name.isascii():
            entry.name.encode()
        at = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(at.st_mode):
            return LocalEntry(path, Kind.FILE, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino), path
        if stat.S_ISLNK(at.st_mode):
            return _look_through(entry, path, parents, follow)
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
    entry: os.DirEntry[str], path: str, parents: tuple[tuple[int, int], ...], follow: bool
) -> tuple[LocalEntry | os.DirEntry[str], str]:
    try:
        at = os.stat(entry.path)
    except OSError:
        return _odd(path, Kind.BROKEN_LINK), path
    if not follow:
        return _odd(path, Kind.SYMLINK), path
    if stat.S_ISDIR(at.st_mode):
        if (at.st_dev, at.st_ino) in parents:
            return _odd(path, Kind.UNREADABLE, "a symbolic link to one of its own parents"), path
        return _directory(entry, path)
    if stat.S_ISREG(at.st_mode):
        return LocalEntry(path, Kind.FILE, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino), path
    return _odd(path, Kind.SPECIAL), path


def _odd(path: str, kind: Kind, message: str = "") -> LocalEntry:
    return LocalEntry(path, kind, 0, 0, 0, 0, message)
