"""nbsync's own room, `LOCAL/.nbsync`: lock, staging, trash. The run's thread opens it; workers stage and install.

Layout: `state.sqlite3`, `lock`, `stage/`, `trash/RUN/PATH`, and a `.gitignore` that hides all of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable
from typing import IO

from nbsync.errors import LocalError, LockedError, one_line
from nbsync.storage.local import OWN_ROOM

TRASH_DAYS = 7
LOCK_WAIT_SECONDS = 30.0
_LOCK_LOOK_SECONDS = 0.2


class Room:
    """The room of one LOCAL, opened for a run that writes; holds the lock until `close`.

    Args:
        root: LOCAL, which exists.
        place: the room's directory: `root/.nbsync`, or elsewhere when LOCAL cannot be written.
        run: a name for this run, unique among runs; names its trash.
        wait: sleeps so many seconds, returns True when the run was cancelled.
        on_wait: told who holds the lock, before it is waited for.

    Attributes:
        is_new: no run was here before, nor came first while this one waited.

    Raises:
        LocalError: the room cannot be made. LockedError: another run holds it for too long.
    """

    def __init__(self, root: str, place: str, run: str, *, wait: Callable[[float], bool],
                 on_wait: Callable[[str], None] = lambda _owner: None) -> None:  # fmt: skip
        self.root = root
        self.place = place
        self.stage = os.path.join(place, "stage")
        self.trash = os.path.join(place, "trash", run)
        try:
            for ours in (place, self.stage, os.path.dirname(self.trash)):
                if os.path.islink(ours):
                    raise LocalError(f"{ours} is a symbolic link: nbsync does not write through it", "Remove it")
            self.is_new = not os.path.exists(os.path.join(place, ".gitignore"))
            os.makedirs(self.stage, exist_ok=True)
            self._write_gitignore()
            self._lock = self._take_lock(wait, on_wait)
        except OSError as error:
            raise LocalError(f"{place}: {error.strerror}", "Check the folder's permissions and the disk") from None
        self._empty_stage()

    def _take_lock(self, wait: Callable[[float], bool], on_wait: Callable[[str], None]) -> IO[str]:
        """An open file that holds the lock; the system lets go of it when the process ends, however it ends."""
        file = open(os.path.join(self.place, "lock"), "a+")  # noqa: SIM115 (it stays open: it is the lock)
        waited = 0.0
        while not _try_lock(file):
            file.seek(0)
            owner = one_line(file.read(200).strip()) or "unknown"
            if not waited:
                self.is_new = False
                on_wait(owner)
            if waited >= LOCK_WAIT_SECONDS or wait(_LOCK_LOOK_SECONDS):
                file.close()
                hint = "Wait for it to end, or stop it, then run this again"
                raise LockedError(f"{self.root} is in use by another nbsync run ({owner})", hint)
            waited += _LOCK_LOOK_SECONDS
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()}\n")
        file.flush()
        return file

    def _write_gitignore(self) -> None:
        with contextlib.suppress(FileExistsError), open(os.path.join(self.place, ".gitignore"), "x") as file:
            file.write("*\n")

    def _empty_stage(self) -> None:
        """What lies in staging is a killed run's: we hold the lock."""
        for name in os.listdir(self.stage):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.stage, name))

    @property
    def state_path(self) -> str:
        """Where the state database is."""
        return os.path.join(self.place, "state.sqlite3")

    def purge_trash(self, now: float) -> None:
        """Remove what has been in the trash for more than a week. `now` in seconds since the epoch."""
        home = os.path.dirname(self.trash)
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(home):
                path = os.path.join(home, name)
                with contextlib.suppress(OSError):
                    if now - os.stat(path).st_mtime > TRASH_DAYS * 86_400:
                        shutil.rmtree(path)

    def trash_summary(self) -> tuple[int, int]:
        """(files, bytes) that this run put into the trash."""
        files = size = 0
        for parent, _, names in os.walk(self.trash):
            for name in names:
                files += 1
                size += os.lstat(os.path.join(parent, name)).st_size
        return files, size

    def wait_out_tick(self, ctime_ns: int, sleep: Callable[[float], None] = time.sleep) -> None:
        """Return when the file system's clock has passed `ctime_ns` (ns), so that later edits show in a ctime.

        This is git's racy-clean rule, kept from the other end: no racy row is recorded.
        """
        probe = os.path.join(self.stage, "clock")
        with contextlib.suppress(OSError):
            for _ in range(200):
                with open(probe, "w"):
                    os.utime(probe)
                if os.stat(probe).st_ctime_ns > ctime_ns:
                    break
                sleep(0.001)
            os.unlink(probe)

    def close(self) -> None:
        """Give the lock back, and leave no empty folders of ours in staging or trash."""
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(self.trash))
        self._lock.close()


def find_place(root: str) -> str:
    """Where LOCAL's room is: in LOCAL, or in the user's state directory when LOCAL cannot be written."""
    place = os.path.join(root, OWN_ROOM)
    writable = os.access(place, os.W_OK | os.X_OK) if os.path.isdir(place) else os.access(root, os.W_OK | os.X_OK)
    if writable or not os.path.isdir(root):
        return place
    return _user_place(root)


def _user_place(root: str) -> str:
    import hashlib

    import platformdirs

    name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]
    return os.path.join(platformdirs.user_state_dir("nbsync", appauthor=False), name)


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
