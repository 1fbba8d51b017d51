"""The user's own state directory, for what cannot be in LOCAL. Any thread; nothing is made here but by `make`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile

import platformdirs

from nbsync.errors import LocalError

# SQLite's MAX_PATHNAME (os_unix.c) is 512, of the real path; `unfinished.sqlite3`, `-journal` and a slash go off it.
_MOST_BYTES = 485


def user_state_dir() -> str:
    """Where it is.

    In a container the user may have no name and no home, or one (`/`) that cannot be written: then it is among
    the temporary files, and goes with them.

    Raises:
        LocalError: somebody else's folder has the name of that one.
    """
    with contextlib.suppress(RuntimeError):  # no home
        found = platformdirs.user_state_dir("nbsync", appauthor=False)
        if os.path.isabs(found) and _can_be_made(found):
            return found
    found = os.path.join(tempfile.gettempdir(), f"nbsync-{os.geteuid()}")
    try:
        at = os.lstat(found)
    except FileNotFoundError:
        return found
    if not stat.S_ISDIR(at.st_mode) or at.st_uid != os.geteuid() or at.st_mode & 0o022:
        hint = "Set XDG_STATE_HOME to a directory that you alone can write"
        raise LocalError(f"you have no state directory, and {found} is not yours alone", hint)
    return found


def make(folder: str) -> None:
    """Make a folder of it, and those above that are missing, for the user alone whatever the umask.

    Source: XDG Base Directory Specification, "Referencing this specification": missing ones get mode 0700.

    Raises:
        OSError: it cannot be made.
    """
    if not os.path.isdir(folder):
        make(os.path.dirname(folder))
        with contextlib.suppress(FileExistsError):  # somebody was quicker
            os.mkdir(folder, stat.S_IRWXU)


def _can_be_made(folder: str) -> bool:
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    return os.access(folder, os.W_OK | os.X_OK)


def name_of(root: str) -> str:
    """A name for what belongs to the folder `root`, however it is reached."""
    return hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]


def database_folder(place: str) -> str:
    """Where the databases of the state directory at `place` are: elsewhere if SQLite cannot open so long a path."""
    if len(os.fsencode(os.path.realpath(place))) <= _MOST_BYTES:
        return place
    return os.path.join(user_state_dir(), f"long-{name_of(place)}")
