"""nbsync's state directory, `LOCAL/.nbsync`: lock, staging, trash. The run's thread opens it; workers install.

Layout: `state.sqlite3`, `syncs.json`, `unfinished.sqlite3`, `lock`, `stage/`, `trash/RUN/PATH` (see `trash`), a
`.gitignore` that hides all of it, and an empty file by which `folding` tells how the file system takes names.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from errno import EINVAL, ENOLCK, ENOSYS, ENOTSUP, EOPNOTSUPP, EXDEV

from nbsync.core.runs import later_than
from nbsync.errors import LocalError, LockedError, one_line
from nbsync.local import database, journal, lease, past_syncs, trash, trash_contents, undo_note, user_state
from nbsync.local.folding import PROBE
from nbsync.local.forks import Flock
from nbsync.local.openat import FOLDER, NO_FOLDER, lstat, open_folder, open_own, open_own_file, unlink_all
from nbsync.local.place import LOCK, may_write
from nbsync.local.scan import STATE_DIR
from nbsync.local.unsynced import changed_since_sync
from nbsync.local.user_state import name_of

TRASH_DAYS = 7
LOCK_WAIT_SECONDS = 30.0
_LOCK_LOOK_SECONDS = 0.2
_GITIGNORE = ".gitignore"


class StateDir:
    """The state directory of one LOCAL, opened for a run that writes; holds the lock until `close`.

    Args:
        root: LOCAL, which exists.
        place: the state directory's path: `root/.nbsync`, or elsewhere when LOCAL cannot be written.
        run: a name for this run, unique among runs; names its trash.
        wait: sleeps so many seconds, returns True when the run was cancelled.
        on_wait: told who holds the lock, before it is waited for.

    Attributes:
        is_new: no run was here before, nor came first while this one waited.
        guests: the lease of workers on other machines, if there are some; see `run_lease`.
        run: the run's name: as given, or one that sorts after those in the trash, if the clock was put back.

    Raises:
        LocalError: the state directory cannot be made. LockedError: another run holds it for too long.
    """

    def __init__(self, root: str, place: str, run: str, *, wait: Callable[[float], bool],
                 on_wait: Callable[[str], None] = lambda _owner: None) -> None:  # fmt: skip
        self.root = root
        self.place = place
        self.stage = os.path.join(place, "stage")
        self._trash_home = os.path.join(place, trash_contents.TRASH)
        self._near: dict[tuple[int, int], int] = {}  # staging on mounts below LOCAL: (device, inode) -> open folder
        self._nearing = threading.Lock()
        self.guests: lease.Lease | None = None
        try:
            with contextlib.ExitStack() as opened:
                fd = self._fd = self._open()
                opened.callback(os.close, fd)
                self.is_new = lstat(_GITIGNORE, fd) is None
                os.close(open_own(self.stage, fd))
                write_gitignore(fd)
                write_probe(fd)
                self._lock = Flock(lambda: open_own_file(os.path.join(place, LOCK), fd))
                opened.callback(self._lock.close)
                self._take_lock(wait, on_wait)
                if self._empty_stage(fd):
                    wait(lease.SEEN_SECONDS)
                user_state.make(user_state.database_folder(place))
                with self.homes() as homes:
                    self.run = later_than(run, trash.newest_first(homes))
                opened.pop_all()
            self.trash = os.path.join(self._trash_home, self.run)
        except OSError as error:
            raise LocalError(f"{place}: {error.strerror}", "Check the folder's permissions and the disk") from None

    def _open(self) -> int:
        """The state directory, open, in which nothing of ours is a link or not to be written."""
        user_state.make(os.path.dirname(self.place))
        fd = open_own(self.place)
        try:
            if lstat("trash", fd) is not None:
                os.close(open_own(self._trash_home, fd))
            if not may_write(self.place):
                hint = "Give yourself write permission on it and all in it, or choose another LOCAL"
                raise LocalError(f"{self.place} cannot be written: another user made it, or it is read-only", hint)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _take_lock(self, wait: Callable[[float], bool], on_wait: Callable[[str], None]) -> None:
        """The system lets go of it when the process ends, however it ends."""
        lock, waited = self._lock, 0.0
        while not _try_lock(lock, os.path.join(self.place, LOCK)):
            owner = _owner(lock.fd)
            if not waited:
                self.is_new = False
                on_wait(owner)
            if waited >= LOCK_WAIT_SECONDS or wait(_LOCK_LOOK_SECONDS):
                hint = "Wait for it to end, or stop it, then run this again"
                raise LockedError(f"{self.root} is in use by another nbsync run ({owner})", hint)
            waited += _LOCK_LOOK_SECONDS
        os.ftruncate(lock.fd, 0)
        os.pwrite(lock.fd, f"process {os.getpid()}\n".encode(), 0)

    def _empty_stage(self, fd: int) -> bool:
        """What lies in staging is a killed run's: we hold the lock. What can be taken up stays.

        Returns True if workers of such a run, on other machines, may be at work until they see that it is over.
        """
        stage = open_own(self.stage, fd)
        try:
            had_guests = bool(lease.issued_in(self.stage))
            taken_up = journal.staged_names(self.place)
            unlink_all(stage, lambda name: name in taken_up or lease.is_note(name))
        finally:
            os.close(stage)
        return had_guests

    def stage_near(self, top: int) -> int:
        """Staging, as an open folder, on a file system mounted below LOCAL; `top` is its topmost folder, open.

        It is in nbsync's state directory there, under a name of this LOCAL's own: whoever syncs the mount by itself
        holds another lock. What a killed run left in it goes at the first call. Any worker may ask.

        Raises:
            OSError: it cannot be made, or there is a link in the way.
        """
        at = os.fstat(top)
        with self._nearing:
            found = self._near.get((at.st_dev, at.st_ino))
            if found is None:
                found = self._near[at.st_dev, at.st_ino] = self._open_near(top)
            return found

    def _open_near(self, top: int) -> int:
        stage = open_stage_on_mount(top, self.root)
        guests = self.guests
        unlink_all(stage, lambda name: guests is not None and guests.is_staged(name))
        return stage

    def trash_home(self) -> int:
        """The folder `trash`, open, made if missing.

        Raises:
            LocalError: a link or a file is in its place. OSError.
        """
        return open_own(self._trash_home, self._fd)

    def trash_near(self, prefix: str, top: int) -> int:
        """As `trash_home`, on the file system mounted at `prefix` below LOCAL, whose topmost folder is open as `top`.

        Raises: as `stage_near`; LocalError.
        """
        with self._nearing:
            trash_contents.note_mount(self.place, self._fd, prefix)
            return _open_on_mount(top, _trash_on_mounts(self.root))

    @contextlib.contextmanager
    def homes(self) -> Iterator[trash_contents.Homes]:
        """All trash of this state directory, that on mounts below LOCAL too."""
        found = trash_contents.open_homes(self.root, self._fd, _trash_on_mounts(self.root))
        try:
            yield found
        finally:
            found.close()

    def undo_left(self, homes: list[trash_contents.Home]) -> undo_note.Undoing | None:
        """The undo that was begun here and is not done; `run` is that undo's from now on. See undo_note.left."""
        found = undo_note.left(self._fd, homes)
        if found is not None:
            self.run, self.trash = found.by, os.path.join(self._trash_home, found.by)
        return found

    def begin_undo(self, run: str) -> None:
        """Note that `run` is being put back.

        Raises: as undo_note.begin.
        """
        undo_note.begin(self.place, self._fd, undo_note.Undoing(run, self.run))

    def end_undo(self) -> None:
        """All of it is back."""
        undo_note.end(self._fd)

    def note_sync(self, sync: past_syncs.PastSync) -> str:
        """Remember that this is, or was, done here; see syncs.note."""
        return past_syncs.note(self.place, self._fd, sync)

    def purge_trash(self, now: float, days: float = TRASH_DAYS) -> tuple[int, int]:
        """Remove what has been in the trash for more than so many days: how many files, and their bytes.

        `now` in seconds since the epoch.
        """
        with self.homes() as homes:
            return trash.purge(homes, now - days * 86_400)

    def trash_summary(self) -> tuple[int, int, int, int]:
        """(files, bytes) that this run put into the trash, and (files, bytes) of all in it; only zeros if none."""
        with self.homes() as homes:
            files, size = trash.summary(homes, self.run)
            return (files, size, *trash.summary(homes)) if files else (0, 0, 0, 0)

    def close(self) -> None:
        """Give the lock back, and leave no empty folders of ours in staging or trash."""
        with contextlib.suppress(OSError):
            os.rmdir(self._trash_home)
        os.close(self._fd)
        while self._near:
            os.close(self._near.popitem()[1])
        self._lock.close()


def owner_now(place: str) -> str:
    """The run at work in the state directory at `place`, in words; empty if none is. Holds no lock afterwards."""
    path = os.path.join(place, LOCK)
    try:
        lock = Flock(lambda: os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return ""
    try:
        return "" if lock.try_shared() else _owner(lock.fd)
    except OSError:
        return ""
    finally:
        lock.close()


@contextlib.contextmanager
def homes_of(root: str) -> Iterator[trash_contents.Homes]:
    """The trash of a LOCAL, to be looked at: nothing is made or locked. Empty where there is none."""
    found = trash_contents.Homes()
    try:
        fd = os.open(os.path.join(root, STATE_DIR), FOLDER)
    except FileNotFoundError:
        pass
    except OSError as error:
        found.unread[STATE_DIR] = error.strerror or str(error)
    else:
        try:
            found = trash_contents.open_homes(root, fd, _trash_on_mounts(root))
        finally:
            os.close(fd)
    try:
        yield found
    finally:
        found.close()


def undo_left_of(root: str, homes: list[trash_contents.Home]) -> undo_note.Undoing | None:
    """The undo in a LOCAL that is not done; nothing is made or locked."""
    try:
        fd = os.open(os.path.join(root, STATE_DIR), FOLDER)
    except OSError:
        return None
    try:
        return undo_note.left(fd, homes)
    finally:
        os.close(fd)


def local_record(root: str) -> str:
    """Where LOCAL's own state database is, if it has one."""
    return database.path_in(os.path.join(root, STATE_DIR))


def holds_work(root: str) -> bool:
    """Does LOCAL hold anything of the user's: a file that no REMOTE was seen to have, or something in the trash?

    What cannot be looked at counts as the user's.
    """
    with homes_of(root) as homes:
        on_mounts = homes.unread or trash.summary([home for home in homes if home.prefix])[0]
    own = _holds_files(os.path.join(root, STATE_DIR, trash_contents.TRASH))
    return own or bool(on_mounts) or changed_since_sync(root, local_record(root))


def write_gitignore(fd: int) -> None:
    """Hide an open state directory from git."""
    with contextlib.suppress(FileExistsError):
        made = os.open(_GITIGNORE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=fd)
        with open(made, "w") as file:
            file.write("*\n")


def write_probe(fd: int) -> None:
    """Make the file in an open state directory by which `folding` tells how this file system takes names."""
    with contextlib.suppress(OSError, UnicodeEncodeError):
        os.close(os.open(PROBE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=fd))


def _holds_files(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(not entry.is_dir(follow_symlinks=False) or _holds_files(entry.path) for entry in entries)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def open_stage_on_mount(top: int, root: str) -> int:
    """Staging of the LOCAL at `root` on a mount below it, as an open folder, made if missing. See stage_near."""
    return _open_on_mount(top, f"stage-{name_of(root)}")


def _open_on_mount(top: int, name: str) -> int:
    """A folder of this name in the state directory of nbsync on a mount, whose topmost folder is open as `top`.

    Raises:
        OSError: it cannot be made, or there is a link in the way.
    """
    try:
        state_dir = _room_on_mount(top)
        try:
            write_gitignore(state_dir)
            return open_folder(name, state_dir)
        finally:
            os.close(state_dir)
    except OSError as error:
        if error.errno not in NO_FOLDER:
            raise
        raise OSError(error.errno, f"{STATE_DIR} on this mount, or what is in it, is no folder: remove it") from None


def _room_on_mount(top: int) -> int:
    """nbsync's state directory on an open folder's file system: beside the usual one if that is a mount of its own."""
    device = os.fstat(top).st_dev
    for name in (STATE_DIR, trash_contents.OWN_BESIDE):
        state_dir = open_folder(name, top)
        if os.fstat(state_dir).st_dev == device:
            return state_dir
        os.close(state_dir)
    raise OSError(EXDEV, f"{STATE_DIR} is a mount of its own, and {trash_contents.OWN_BESIDE} is the same: unmount it")


def _trash_on_mounts(root: str) -> str:
    return f"trash-{name_of(root)}"


def _owner(fd: int) -> str:
    """The holder of the lock, in words, as its open file says."""
    return one_line(os.pread(fd, 200, 0).decode("utf-8", "replace").strip()) or "unknown"


def _try_lock(lock: Flock, path: str) -> bool:
    try:
        return lock.try_exclusive()
    except OSError as error:
        if error.errno not in (ENOLCK, ENOSYS, ENOTSUP, EOPNOTSUPP, EINVAL):
            raise
        hint = "Two runs at once could not be told apart. Mount it with locks (flock), or choose another LOCAL"
        raise LocalError(f"{path}: this file system has no locks ({error.strerror})", hint) from None
