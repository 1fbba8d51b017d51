"""The clocks of the file systems that one LOCAL is on, by which its rows are judged. One thread: the run's own.

A file system's time is read from a file that is made on it and goes at once: one without a name where there are such,
else one in our staging there. Where neither can be made (a mount that is read-only), it is taken for this machine's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from nbsync.core.clock import COARSE_NS, COARSEST_NS, Stamp, believed, doubted, is_coarse
from nbsync.core.model import RecordedEntry
from nbsync.local.openat import mount_of
from nbsync.local.scan import STATE_DIR
from nbsync.local.state_dir import StateDir

_MOST_FOLDERS = 10_000  # whose file system is remembered
_WAIT_SECONDS = COARSE_NS / 1e9  # for a fine clock to tick, at most
_NAP_SECONDS = 0.001
_PROBE = "clock"
_UNKNOWN = Stamp(0, 0)

Fresh = tuple[RecordedEntry, bool]  # a row, and whether its file was installed by this run


class _Clock:
    """The clock of one file system. `began`: its time, not later than the first reading of the run."""

    def __init__(self, read: Callable[[], Stamp], late_ns: int) -> None:
        self._read = read
        now = read()
        self.ahead_ns = now.ctime_ns - time.time_ns()  # of this machine's
        self.began = Stamp(now.ctime_ns - late_ns, now.mtime_ns - late_ns)

    def now(self) -> Stamp:
        """Its time; the beginning of all times if it cannot be read (any more): then all is doubted."""
        try:
            return self._read()
        except OSError:
            return _UNKNOWN


class Clocks:
    """Judges what a run records.

    Args:
        state_dir: of LOCAL, open.
        follow_symlinks: files may be on any file system, whatever their folder is on.
        reading_since: monotonic seconds from which on the run may have read files; None: it has read none yet.
    """

    def __init__(
        self, state_dir: StateDir, *, follow_symlinks: bool = False, reading_since: float | None = None
    ) -> None:
        self._room, self._follow = state_dir, follow_symlinks
        self._stage = os.stat(state_dir.stage).st_dev
        self._by_device: dict[int, _Clock] = {}
        self._by_folder: dict[str, _Clock] = {}
        late_ns = 0 if reading_since is None else _since_ns(reading_since) + COARSEST_NS
        self._by_device[self._stage] = self._first_of((lambda: _probe(state_dir.stage), lambda: _UNKNOWN), late_ns)
        self._reading_since = time.monotonic() if reading_since is None else reading_since

    def now_ns(self) -> int:
        """The time of LOCAL's own file system, as old as a tick of its clock may be; ns since the epoch."""
        return time.time_ns() + self._by_device[self._stage].ahead_ns

    def judge(self, rows: Iterable[Fresh]) -> tuple[list[RecordedEntry], list[Fresh]]:
        """What can be written: rows that are true, or doubted; and those that can be judged a tick later only."""
        sure, early = [], []
        read: dict[int, Stamp] = {}
        for row, installed in rows:
            clock = self._of(row.path)
            now = read.get(id(clock)) or read.setdefault(id(clock), clock.now())
            verdict = believed(row, installed=installed, began=clock.began, now=now)
            if verdict is None:
                early.append((row, installed))
            else:
                sure.append(row if verdict else doubted(row))
        return sure, early

    def judge_all(self, rows: Iterable[Fresh], sleep: Callable[[float], None] = time.sleep) -> list[RecordedEntry]:
        """As `judge`, at the end of a run: a tick that is short is waited for, and what is left is doubted."""
        sure, early = self.judge(rows)
        fine = [one for one in early if not is_coarse(one[0].ctime_ns)]
        waited = 0.0
        while fine and waited < _WAIT_SECONDS:
            sleep(_NAP_SECONDS)
            waited += _NAP_SECONDS
            more, fine = self.judge(fine)
            sure += more
        return sure + [doubted(row) for row, _ in (*fine, *(one for one in early if is_coarse(one[0].ctime_ns)))]

    def _of(self, path: str) -> _Clock:
        folder = path if self._follow else path.rpartition("/")[0]
        clock = self._by_folder.get(folder)
        if clock is None:
            if len(self._by_folder) >= _MOST_FOLDERS:
                self._by_folder.clear()
            clock = self._by_folder[folder] = self._find(folder)
        return clock

    def _find(self, place: str) -> _Clock:
        """The clock of the file system that `place`, a folder or a file below LOCAL, is on."""
        at = os.path.join(self._room.root, place)
        try:
            device = os.stat(at).st_dev
        except OSError:  # it is gone: its row is no file's
            device = self._stage
        clock = self._by_device.get(device)
        if clock is None:
            late_ns = _since_ns(self._reading_since) + COARSEST_NS
            clock = self._by_device[device] = self._open(place, at, device, late_ns)
        return clock

    def _open(self, place: str, at: str, device: int, late_ns: int) -> _Clock:
        folder = at if os.path.isdir(at) else os.path.dirname(os.path.realpath(at))
        near = place if os.path.isdir(at) else place.rpartition("/")[0]
        ways = (lambda: _unnamed_probe(folder), lambda: _probe(self._stage_near(near, device)))
        try:
            return self._first_of(ways, late_ns)
        except OSError:
            return _Clock(_this_machines, late_ns + COARSEST_NS)

    def _first_of(self, ways: Iterable[Callable[[], Stamp]], late_ns: int) -> _Clock:
        """The clock as it is read in the first of these ways that works.

        Raises:
            OSError: none does.
        """
        for read in ways:
            with suppress(OSError):
                return _Clock(read, late_ns)
        raise OSError("no file can be made there")

    def _stage_near(self, folder: str, device: int) -> int:
        """Our staging on the mount below LOCAL that `folder` is on, open; it stays open with the state directory.

        Raises:
            OSError: there is none, or it is on yet another file system.
        """
        if self._room.place != os.path.join(self._room.root, STATE_DIR):
            raise PermissionError("LOCAL cannot be written")
        _, top = mount_of(self._room.root, folder)
        try:
            stage = self._room.stage_near(top)
        finally:
            os.close(top)
        if os.fstat(stage).st_dev != device:
            raise OSError("staging is elsewhere")
        return stage


def _since_ns(monotonic: float) -> int:
    return int((time.monotonic() - monotonic) * 1e9)


def _probe(stage: str | int) -> Stamp:
    """The time of a file that is made in staging.

    Raises:
        OSError: it cannot be made.
    """
    place = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if isinstance(stage, str) else os.dup(stage)
    try:
        with suppress(FileNotFoundError):
            os.unlink(_PROBE, dir_fd=place)  # a killed run's
        fd = os.open(_PROBE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=place)
        try:
            return _stamp(fd)
        finally:
            os.close(fd)
            os.unlink(_PROBE, dir_fd=place)
    finally:
        os.close(place)


def _unnamed_probe(folder: str) -> Stamp:
    """The same of a file without a name (Linux: O_TMPFILE).

    Raises:
        OSError: this file system has none.
    """
    if not hasattr(os, "O_TMPFILE"):
        raise OSError("no O_TMPFILE")
    fd = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        return _stamp(fd)
    finally:
        os.close(fd)


def _stamp(fd: int) -> Stamp:
    at = os.fstat(fd)
    return Stamp(at.st_ctime_ns, at.st_mtime_ns)


def _this_machines() -> Stamp:
    """This machine's time, in ticks of 2 s: those of the file system are not known."""
    now = time.time_ns()
    return Stamp(now // COARSEST_NS * COARSEST_NS, now)
