"""What a run would take, summed up before anything is changed."""

from __future__ import annotations

import os
import sys

from nbsync.core import guard
from nbsync.core.model import DELETES, Action, Status, Verb
from nbsync.errors import GuardRefusal

_RECORD_BYTES = 300  # about what the state takes for a file


class Need:
    """What the Actions that were added would take: room on LOCAL's disk, transfers and deletions.

    Args:
        root: LOCAL's absolute path.
        held_bytes: of what earlier runs left in staging, which are used, or go.
    """

    def __init__(self, root: str, held_bytes: int) -> None:
        self._root = root
        self._sum = self._largest = 0
        self._deletes = 0
        self._moves = self._moved_bytes = 0
        self._ways: set[str] = set()
        place = root
        while not os.path.isdir(place):
            place = os.path.dirname(place)
        disk = os.statvfs(place)
        # Some file systems count neither blocks nor files.
        self.free = disk.f_bavail * disk.f_frsize if disk.f_blocks else sys.maxsize
        self.free += held_bytes
        self._block = disk.f_frsize or 1
        self._free_files = disk.f_favail if disk.f_files else None
        self._files = 0
        self._place = place

    @property
    def bytes(self) -> int:
        """StateDir for what will be there more than now, and for the largest file in staging."""
        return max(0, self._sum) + self._largest

    def fits(self, times: int) -> bool:
        """Is there room for so many times what was added?"""
        files_fit = self._free_files is None or self._files * times <= self._free_files
        return files_fit and self.bytes * times <= self.free

    def add(self, action: Action) -> None:
        """Take one Action into account."""
        if action.status is not Status.PLANNED:
            return
        if action.verb in (Verb.DOWNLOAD, Verb.UPLOAD):
            self._moves += 1
            self._moved_bytes += action.bytes
        if action.verb is Verb.DOWNLOAD:
            goes = self._room_of(action.local.size) if action.local is not None and not action.trash else 0
            self._sum += self._room_of(action.bytes) - goes + _RECORD_BYTES
            self._largest = max(self._largest, goes)
            self._files += action.local is None or action.trash
            if action.in_the_way:
                self._ways.add(action.in_the_way)
        elif action.verb in DELETES:
            self._deletes += 1

    def _room_of(self, size: int) -> int:
        """Bytes that a file takes on the disk: whole blocks."""
        return -(-size // self._block) * self._block

    def too_much(self, limits: guard.Limits) -> GuardRefusal | None:
        """The limit that what was added so far goes beyond, if it does."""
        return guard.too_much(self._moves, self._moved_bytes, limits)

    def no_room(self) -> GuardRefusal | None:
        """The disk is too small, if it is."""
        return guard.no_room(self.bytes, self.free, self._place) or guard.no_room_for_files(
            self._files, self._free_files, self._place
        )

    def deletes_in_all(self) -> int:
        """Files and objects that would be deleted, those in the way of downloads counted one by one."""
        return self._deletes + sum(_files_at(os.path.join(self._root, way)) for way in self._ways)


def _files_at(path: str) -> int:
    if not os.path.isdir(path) or os.path.islink(path):
        return 1
    return sum(len(names) for _, _, names in os.walk(path))
