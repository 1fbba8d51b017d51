"""The project's files on the disk, `nbsync.toml` and `nbsync.lock`, and what its user has accepted of it. Any thread.

What is accepted is kept in the user's state directory, a file a folder, named by a proof with the user's secret: so
neither the project nor anybody else's folder can bring it along.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from nbsync.core.lock_file import MAX_LINE, Pinned, line_of, read_lock
from nbsync.core.project import FILE_NAME, LOCK_NAME, Folder, Project, identity, read_project
from nbsync.errors import LocalError, UsageError
from nbsync.local import own_secret, user_state
from nbsync.local.own_secret import NoSecret
from nbsync.local.scan import STATE_DIR

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MOST_BYTES = 1 << 20
_PURPOSE = "project folder"
_ACCEPTED = "accepted"


class FoundProject(NamedTuple):
    """A project and where it is: `root` is the real path of its directory."""

    root: str
    path: str
    project: Project

    def local_of(self, folder: Folder) -> str:
        """The absolute path of a folder's LOCAL."""
        return os.path.normpath(os.path.join(self.root, folder.local))

    @property
    def lock_path(self) -> str:
        """Where its lock is, or would be."""
        return os.path.join(self.root, LOCK_NAME)


def find(start: str) -> str:
    """The path of the project file in the directory `start` or in the nearest one above it; empty if there is none."""
    folder = os.path.realpath(start)
    while True:
        path = os.path.join(folder, FILE_NAME)
        if os.path.isfile(path):
            return path
        above = os.path.dirname(folder)
        if above == folder:
            return ""
        folder = above


def read(path: str) -> FoundProject:
    """The project that a file tells.

    Raises:
        LocalError: the file cannot be read. UsageError: with file and line, what is wrong in it.
    """
    return _checked(_text(path), path)


def add(path: str, name: str, values: Mapping[str, Any]) -> FoundProject:
    """The project with one more folder, once it is written; comments and order of what is there are kept.

    Args:
        path: of the project file, which is made if it is missing.
        name: of the folder.
        values: `remote`, `local`, `way`, `groups` and options, as TOML has them, in the order to write them in.

    Raises:
        UsageError: the name is taken, or the file would not be a project; nothing is written. LocalError: it cannot be.
    """
    import tomlkit  # 20 ms, for who writes a project alone

    text = _text(path) if os.path.lexists(path) else ""
    if text and name in (folder.name for folder in _checked(text, path).project.folders):
        raise UsageError(f"{os.path.basename(path)} has a folder {name!r} already", "Name this one: --name NAME")
    document = tomlkit.parse(text)
    table = tomlkit.table()
    for key, value in values.items():
        table.add(key, value)
    folders = document.setdefault("folder", tomlkit.table(is_super_table=True))
    folders[name] = table
    new = tomlkit.dumps(document)
    found = _checked(new, path)
    _write_whole(path, [new])
    return found


def _checked(text: str, path: str) -> FoundProject:
    name, root = os.path.basename(path), os.path.realpath(os.path.dirname(os.path.abspath(path)))
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{name}: {error}", "It is TOML: https://toml.io") from None
    found = FoundProject(root, os.path.join(root, name), read_project(document, text, name))
    _check_links(found)
    return found


def _text(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise LocalError(f"{path}: no regular file")
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise UsageError(f"{path} is longer than 1 MiB: no project file")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text") from None


def _check_links(found: FoundProject) -> None:
    """No LOCAL leaves the project through a link, nor is it another's by one, or by a name that differs in case.

    Raises:
        UsageError: with the folder's line.
    """
    seen: dict[object, Folder] = {}
    for folder in found.project.folders:
        local = found.local_of(folder)
        real = os.path.realpath(local)
        if real != local and os.path.commonpath([real, found.root]) != found.root:
            raise _wrong(found, folder, f"local {folder.local!r} leaves the project through a link, to {real}")
        if any(part.lower() == ".git" for part in os.path.relpath(real, found.root).split(os.sep)):
            raise _wrong(found, folder, f"local {folder.local!r} is inside of .git")
        with contextlib.suppress(OSError):
            at = os.stat(local)
            other = seen.setdefault((at.st_dev, at.st_ino), folder)
            if other is not folder:
                raise _wrong(found, folder, f"{folder.local} of {folder.name} is {other.local} of {other.name}")


def _wrong(found: FoundProject, folder: Folder, message: str) -> UsageError:
    return UsageError(
        f"{found.project.file}, line {folder.line}: {message}", "Each folder needs a directory of its own"
    )


# ---- what the user has accepted -------------------------------------------------------------------------


def accept(found: FoundProject, folders: Iterable[Folder]) -> None:
    """Remember that this user accepts these folders as they take effect now.

    Raises:
        NoSecret, LocalError: it cannot be remembered.
    """
    for folder in folders:
        path = _accepted_path(own_secret.proof(_PURPOSE, *identity(folder, found.root)))
        try:
            user_state.make(os.path.dirname(path))
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise LocalError(f"{path}: {error.strerror}", "Nothing was accepted") from None


def is_accepted(found: FoundProject, folder: Folder) -> bool:
    """Has this user accepted the folder as it takes effect now? Makes nothing."""
    try:
        proof = own_secret.existing_proof(_PURPOSE, *identity(folder, found.root))
        return bool(proof) and os.path.isfile(_accepted_path(proof))
    except NoSecret:
        return False


def _accepted_path(proof: str) -> str:
    return os.path.join(user_state.user_state_dir(), STATE_DIR, _ACCEPTED, proof)


# ---- the lock -------------------------------------------------------------------------------------------


def locked(found: FoundProject) -> Iterator[Pinned]:
    """What the project's lock pins, in order.

    Raises:
        UsageError: there is no lock; or, with file and line, it says what no lock says. LocalError: it cannot be read.
    """
    name = os.path.basename(found.lock_path)
    try:
        file = open(found.lock_path, encoding="utf-8", newline="\n")  # noqa: SIM115
    except FileNotFoundError:
        raise UsageError(f"there is no {name} in {found.root}", "Write it first: nbsync lock") from None
    except OSError as error:
        raise LocalError(f"{found.lock_path}: {error.strerror}") from None
    with file:
        try:
            yield from read_lock(iter(lambda: file.readline(MAX_LINE + 1), ""), name)
        except UnicodeDecodeError:
            raise UsageError(f"{name} is not UTF-8 text", "Take it back from version control") from None
        except OSError as error:
            raise LocalError(f"{found.lock_path}: {error.strerror}") from None


def write_lock(found: FoundProject, pinned: Iterable[Pinned]) -> None:
    """Write the project's lock.

    Raises:
        LocalError: it cannot be written.
    """
    _write_whole(found.lock_path, map(line_of, pinned))


def _write_whole(path: str, lines: Iterable[str]) -> None:
    """Write a file; what was there before stays until the new one is complete.

    Raises:
        LocalError: it cannot be written.
    """
    folder, name = os.path.split(os.path.abspath(path))
    try:
        fd, new = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
        try:
            with open(fd, "w", encoding="utf-8", newline="") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(fd)
                os.fchmod(fd, stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0o644)
            os.replace(new, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}") from None
