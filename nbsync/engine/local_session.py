"""LOCAL's side of one run: when its folder, its state directory with the lock, and its record are opened or made.

A state directory that is there is locked before anything is looked at, so that what another run is doing is never
seen half done. One that is not there is made just before the first change, after the guards have
answered: a run that is refused makes nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable

from nbsync.core.model import Direction, RecordedEntry
from nbsync.engine import notes
from nbsync.engine.notes import NO_RECORD
from nbsync.errors import ConfigError, LocalError
from nbsync.local import database, past_syncs
from nbsync.local.clocks import Clocks
from nbsync.local.journal import Journal, no_journal, unconfirmed
from nbsync.local.past_syncs import PastSync
from nbsync.local.place import find_place
from nbsync.local.record import RemoteName, State, open_state
from nbsync.local.state_dir import TRASH_DAYS, StateDir, local_record
from nbsync.results.sync_result import SyncResult
from nbsync.s3.prefetch import PageBoundaries

_TRASH_DAYS = "NBSYNC_TRASH_DAYS"


def trash_days(asked: float | None = None) -> float:
    """How long the trash is kept, in days: what is asked, what the environment says (NBSYNC_TRASH_DAYS), or a week.

    Raises:
        ConfigError: it says something else than a number.
    """
    if asked is not None:
        return asked
    text = os.environ.get(_TRASH_DAYS, "")
    if not text:
        return TRASH_DAYS
    if not re.fullmatch(r"\d{1,6}(\.\d+)?", text):
        raise ConfigError(f"{_TRASH_DAYS} is a number of days, not {text!r}", "Correct it, or unset it")
    return float(text)


class _RoomTaken(Exception):
    """Another run began in LOCAL while this one looked: what was seen may be stale."""


def in_session(open_session: Callable[[], LocalSession], use: Callable[[LocalSession], None]) -> None:
    """Use LOCAL, from the beginning once more if another run began there before this one changed something.

    Raises:
        LocalError, LockedError: see state_dir.StateDir. Exception: what `use` raises.
    """
    while True:
        with contextlib.closing(open_session()) as session:
            try:
                session.begin()
                use(session)
                return
            except _RoomTaken:
                continue


class LocalSession:
    """One LOCAL during one run; used by the run's own thread.

    Attributes:
        state_dir: None where nothing is written locally (yet).
        is_new: LOCAL was not there when the run began.
        clocks: of the file systems that LOCAL is on, once there is a state directory.

    Args:
        root: LOCAL's absolute path.
        name: LOCAL as the user wrote it.
        changes: False for a plan or dry run: nothing is created.
        wait: sleeps so many seconds, returns True when the run was cancelled.
        on_wait: told who holds the lock, before it is waited for.
        now_ns: the wall clock.
        trash_days: how long the trash is kept; None: see `trash_days`.
        follow_symlinks: files may be anywhere.
    """

    def __init__(
        self,
        root: str,
        name: str,
        direction: Direction,
        *,
        changes: bool,
        wait: Callable[[float], bool],
        on_wait: Callable[[str], None],
        now_ns: Callable[[], int],
        trash_days: float | None = None,
        follow_symlinks: bool = False,
    ) -> None:
        self.root, self._name, self._direction, self._changes = root, name, direction, changes
        self._wait, self._on_wait, self._now_ns = wait, on_wait, now_ns
        self._trash_days, self._follow_symlinks = trash_days, follow_symlinks
        self._made_at = time.monotonic()
        self.clocks: Clocks | None = None
        self.is_new = not os.path.isdir(root)
        self.state_dir: StateDir | None = None
        self._remote: RemoteName | None = None
        self._state: State | None = None
        self._journal: Journal | None = None

    def begin(self) -> None:
        """Take the lock, if there is a state directory to lock.

        Raises:
            LocalError, LockedError: see state_dir.StateDir.
        """
        if self._changes and os.path.isdir(os.path.join(self._place(), "stage")):
            self.state_dir = self._open_room()
            self.clocks = Clocks(self.state_dir, follow_symlinks=self._follow_symlinks)

    def open_record(self, remote: RemoteName) -> State:
        """What was recorded of `remote` here; what is remarkable about it is in its notes.

        Raises:
            LocalError: see open_state.
        """
        path = database.path_in(self._place())
        was_used = self.state_dir is not None and os.path.exists(os.path.join(self._place(), past_syncs.NAME))
        gone = was_used and not os.path.exists(path)  # a run may have ended between its state directory and its record
        self._remote = remote
        self._state = open_state(path, remote, writable=self.state_dir is not None, seed=local_record(self.root))
        if gone:
            self._state.notes.append(f"{NO_RECORD}: the state database is gone, and is begun anew")
        return self._state

    def open_journal(self) -> Journal:
        """What earlier runs with this REMOTE left unfinished here; it keeps nothing without a state directory."""
        assert self._remote is not None  # the record was opened before
        if self._journal is None and self.state_dir is not None:
            self._journal = Journal(self.state_dir.place, self._remote, now_ns=self._now_ns)
        return self._journal or no_journal()

    def unconfirmed(self) -> dict[str, list[RecordedEntry]]:
        """Objects that earlier pushes may have made without hearing of it, by path."""
        assert self._remote is not None  # the record was opened before
        return unconfirmed(self._place(), self._remote, now_ns=self._now_ns())

    def prepare(self) -> State | None:
        """Make LOCAL for a pull, the state directory and the record. Returns the record to write to, if any.

        Raises:
            LocalError, LockedError: it cannot be made. (If another run made the state directory, see in_session.)
        """
        if not self._changes:
            return None
        if self.state_dir is None:
            if self._direction.changes_local:
                self._make_local()
            elif not os.path.isdir(self.root):
                return None  # a push of nothing: see --allow-empty-source
            self.state_dir = self._open_room()
            if not self.state_dir.is_new:
                raise _RoomTaken
            since = self._made_at
            self.clocks = Clocks(self.state_dir, follow_symlinks=self._follow_symlinks, reading_since=since)
            assert self._remote is not None  # the record was opened before
            self.open_record(self._remote)
        return self._state

    def file_time_ns(self) -> int:
        """What a file that is written now has for its ctime, about; ns since the epoch."""
        return self._now_ns() if self.clocks is None else self.clocks.now_ns()

    def purge_trash(self, service_time: float | None) -> list[str]:
        """Remove what has been in the trash for too long; what to say of it.

        How long, the earliest of three clocks tells: this machine's, the file system's, and the service's
        (`service_time`, seconds since the epoch). One that is far ahead must not empty the trash.
        """
        if self.state_dir is None:
            return []
        clocks = [self._now_ns() / 1e9, self.file_time_ns() / 1e9]
        now = min(clocks if service_time is None else [*clocks, service_time])
        days = trash_days(self._trash_days)
        files, size = self.state_dir.purge_trash(now, days)
        return notes.purged(files, size, days)

    def note_page_boundaries(self, page_boundaries: PageBoundaries) -> None:
        """Record where the pages of a complete listing ended, if that is new. An error only costs time later."""
        ends = page_boundaries.worth_noting
        if self._state is not None and page_boundaries.complete and ends != page_boundaries.known:
            with contextlib.suppress(LocalError):
                self._state.note_page_boundaries(ends)

    def note_sync(self, sync: PastSync) -> str:
        """Record the sync in the state directory, if there is one; a note if it cannot be proved later."""
        return self.state_dir.note_sync(sync) if self.state_dir is not None else ""

    def _place(self) -> str:
        """Where the state directory is, or would be: only a run that leaves LOCAL alone may have it elsewhere."""
        return find_place(self.root, elsewhere=not self._direction.changes_local)

    def _make_local(self) -> None:
        try:
            os.makedirs(self.root, exist_ok=True)
        except OSError as error:
            raise LocalError(f"{self._name} cannot be made: {error.strerror}", "Choose another LOCAL") from None
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise LocalError(f"{self._name} cannot be written", "Check its permissions, or choose another LOCAL")

    def _open_room(self) -> StateDir:
        self._trash_days = trash_days(self._trash_days)
        return StateDir(self.root, self._place(), run_name(self._now_ns()), wait=self._wait, on_wait=self._on_wait)

    def close(self) -> None:
        """Give back the lock, the record and the journal."""
        if self._journal is not None:
            self._journal.close()
        if self._state is not None:
            self._state.close()
        if self.state_dir is not None:
            self.state_dir.close()
        self._state = self._journal = self.state_dir = None


def run_name(now_ns: int) -> str:
    """A name for a run that begins now (ns since the epoch): its trash bears it; names sort by time."""
    stamp = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime(now_ns // 10**9))
    return f"{stamp}-{now_ns % 10**9:09d}-{os.getpid()}"


def note_trash(result: SyncResult, state_dir: StateDir, why: str, days: float | None) -> list[str]:
    """Set in `result` how much the run moved to the trash; returns the note on it. For the arguments see trashed."""
    result.trashed, size, *in_all = state_dir.trash_summary()
    if not result.trashed:
        return []
    return notes.trashed((result.trashed, size), (in_all[0], in_all[1]), why, trash_days(days), state_dir.trash)
