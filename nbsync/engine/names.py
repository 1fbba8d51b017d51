"""The three-way join of a run: by path, or, where LOCAL's file system folds names, by what they mean there.

Used by the run's own thread. On a file system that tells all names apart, it costs nothing but the question.
"""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from nbsync.core.join import join, nested
from nbsync.core.local_changes import History, by_path
from nbsync.core.model import Direction, Joined, LocalEntry, RecordedEntry, RemoteEntry
from nbsync.core.pairing import Rules, histories, pair, renamed
from nbsync.engine.recorder import Recorder
from nbsync.local.folding import decomposes, file_named, folding_of
from nbsync.local.name_groups import Groups
from nbsync.local.openat import InTheWay, Tree


class Names:
    """What LOCAL's files are called in REMOTE, in one run.

    Args:
        root: LOCAL.
        direction: None for a look at both sides.
        whole: REMOTE is listed as a whole, and is no single object.
    """

    def __init__(self, root: str, direction: Direction | None, *, whole: bool = True) -> None:
        self._root, self._direction, self._whole = root, direction, whole
        self._fold = folding_of(root)
        self._groups: Groups | None = None
        self._moved: list[tuple[str, str, str]] = []  # renamed in REMOTE: (the file's name, old key, new key)
        self._kept: dict[str, str] = {}  # renamed here, which only a push carries: key -> name when it was recorded

    def join(
        self, local: Iterable[LocalEntry], remote: Iterable[RemoteEntry], recorded: Iterable[RecordedEntry],
        spelled: Callable[[str], str | None] = lambda _key: None,
    ) -> Iterator[Joined]:  # fmt: skip
        """Every file and key once; see join.join and pairing.

        Args:
            spelled: see Rules.

        Raises:
            ListingError. LocalError: there is no room for the names.
        """
        self._moved, self._kept = [], {}  # it may be joined once more: a listing may prove to be unsorted
        if self._fold is None:
            return join(local, remote, recorded)
        paired = self._paired(local, remote, recorded, spelled)
        return nested(paired, self._fold, pushed=self._direction is not None and self._direction.changes_remote)

    def _paired(
        self, local: Iterable[LocalEntry], remote: Iterable[RemoteEntry], recorded: Iterable[RecordedEntry],
        spelled: Callable[[str], str | None],
    ) -> Iterator[Joined]:  # fmt: skip
        self.close()
        assert self._fold is not None  # else the paths are joined as they are
        self._groups = Groups(self._fold)
        self._groups.add(local, remote, recorded)
        rules = self._rules(spelled)
        for _, group in self._groups:
            for one in pair(group, rules):
                self._note(one, spelled)
                yield one

    def _note(self, one: Joined, spelled: Callable[[str], str | None]) -> None:
        row, name = one.recorded, one.spelled or one.path
        if one.local is None or row is None:
            return
        before = spelled(row.path)
        if row.path != one.path:
            if name in (before, row.path):
                self._moved.append((name, row.path, one.path))
        elif before not in (None, name):
            self._kept[row.path] = before or ""

    @property
    def folding(self) -> bool:
        """May LOCAL's file system take two names for one file?"""
        return self._fold is not None

    def histories(self, local: Iterable[LocalEntry], rows: Iterable[RecordedEntry]) -> Iterator[History]:
        """As local_changes.by_path.

        Raises:
            LocalError: there is no room for the names.
        """
        if self._fold is None:
            yield from by_path(local, rows)
            return
        self.close()
        assert self._fold is not None  # else the paths are joined as they are
        self._groups = Groups(self._fold)
        self._groups.add(local, (), rows, several=True)
        for _, group in self._groups:
            yield from histories(group, self._rules(lambda _key: None))

    def _rules(self, spelled: Callable[[str], str | None]) -> Rules:
        return Rules(self._direction, lambda path, among: file_named(self._root, path, among), spelled, self._whole)

    def settle(self, recorder: Recorder, local: Iterable[LocalEntry], *, carry: bool) -> None:
        """At the end of a run: give files the names that their keys got, and record how each is spelled now.

        Args:
            recorder: of the run; all of the run has been written.
            local: the folder, as it is now.
            carry: the run changes LOCAL.

        Raises:
            LocalError.
        """
        state = recorder.state
        if state is None:
            return
        decomposed = bool(self._moved) and decomposes(self._root)
        for name, old, new in self._moved:
            row = state.row(new)
            if row is not None:
                if carry:
                    target = renamed(name, old, new)
                    as_recorded = self._ctime_of(row) == row.ctime_ns
                    self._carry(unicodedata.normalize("NFD", target) if decomposed else target, name, old)
                    if as_recorded:
                        self._record_moved(recorder, row)
                recorder.forget(old)
        recorder.finish()
        if state.names_are_settled:
            return
        after = Names(self._root, None)
        try:
            found = after.join(local, (), state.rows())
            state.note_spelled(
                (one.path, self._kept.get(one.path, one.spelled or one.path)) for one in found
                if one.recorded is not None and (one.spelled or one.path in self._kept)
            )  # fmt: skip
        finally:
            after.close()

    def _record_moved(self, recorder: Recorder, row: RecordedEntry) -> None:
        """Record a file that was as recorded until we renamed it, if nothing but its ctime moved: that is no edit."""
        ctime_ns = self._ctime_of(row)
        if ctime_ns is not None:
            recorder.remember(row._replace(ctime_ns=ctime_ns), installed=False)

    def _ctime_of(self, row: RecordedEntry) -> int | None:
        """The ctime (ns) of the file that was recorded; None if it is gone, or anything else of it has moved."""
        with contextlib.suppress(OSError):
            at = os.lstat(os.path.join(self._root, row.path))
            if (at.st_size, at.st_mtime_ns, at.st_ino) == (row.size, row.mtime_ns, row.inode):
                return at.st_ctime_ns
        return None

    def _carry(self, target: str, name: str, old: str) -> None:
        """Rename a file, and the folders above it from which no other key has its name; what fails stays as it is."""
        groups = self._groups
        assert groups is not None  # it was paired
        tree, done = Tree(self._root, make=False), ""
        segments = list(zip(name.split("/"), target.split("/"), old.split("/"), strict=True))
        with contextlib.suppress(OSError, InTheWay):
            for depth, (here, wanted, _) in enumerate(segments, 1):
                above = "/".join(part for _, _, part in segments[:depth])
                if here != wanted and (depth == len(segments) or not groups.has_object_below(above)):
                    fd = tree.folder(done)
                    if here in os.listdir(fd):
                        os.rename(here, wanted, src_dir_fd=fd, dst_dir_fd=fd)
                done = f"{done}/{wanted}" if done else wanted
        tree.close()

    def close(self) -> None:
        """Drop what was set aside."""
        if self._groups is not None:
            self._groups.close()
            self._groups = None
