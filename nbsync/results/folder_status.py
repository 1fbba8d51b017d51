"""What `status` gives back: with which REMOTEs a folder was synced, and what has changed in it since."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from nbsync.core.local_changes import Change, Changed
from nbsync.core.model import Problem
from nbsync.errors import SyncProblems
from nbsync.results.answer import Found, no_requests

MAX_PATHS = 1_000  # changed paths that are kept; all are counted


class Synced(NamedTuple):
    """A REMOTE that the folder was synced with, and the last sync of this kind with it.

    Attributes:
        remote: `s3://bucket/prefix/`.
        command: `pull`, `push` or `apply`; empty if only its record is known, of an nbsync before 0.3.
        direction: `pull` or `push`.
        began: when, in UTC (ISO 8601); empty if it is not known.
        finished: it came to its end.
        problems: how many it ended with.
        files: how many files are recorded for this REMOTE.
        words: the options that it was given, as they are typed.
        proved: this user is proved to have done it, in this directory; else it is only what the folder says.
    """

    remote: str
    endpoint: str
    command: str
    direction: str
    began: str
    finished: bool
    problems: int
    files: int
    words: str
    proved: bool = True


class Trash(NamedTuple):
    """What is in the trash: files, bytes, and where it is (empty if there is none)."""

    files: int
    bytes: int
    place: str


class Status(Found):
    """The status of one folder; no request was made for it, and nothing was created.

    Attributes:
        local: the folder, as given.
        syncs: what it was synced with, the latest first; empty for a folder that never was.
        changes: how many files are `unchanged`, `added`, `modified`, `deleted`, or `maybe` changed (touched, and too
            large, or of unknown content, to tell) since they were last synced; `left-out` ones were never synced,
            and the filters of the syncs leave them out. None if there is no record to tell it from.
        files: the first of the changed paths.
        trash: what the trash holds.
        unfinished: large transfers that were begun and not ended, by `downloads` and `uploads`.
        at_work: the run that was at work in the folder meanwhile; empty for none.
        repeats: commands that, without any words, repeat something here: `pull`, `push`.
        problems: a record that cannot be used.
        notes: remarks.
        seconds: that it took.
    """

    command = "status"

    def __init__(self, local: str) -> None:
        self.local = local
        self.syncs: list[Synced] = []
        self.changes: dict[str, int] | None = None
        self.files: list[Changed] = []
        self.trash = Trash(0, 0, "")
        self.unfinished = {"downloads": 0, "uploads": 0}
        self.at_work = ""
        self.repeats: list[str] = []
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.seconds = 0.0

    @property
    def remote(self) -> str:
        """The REMOTE of the latest sync; empty for a folder that was never synced."""
        return self.syncs[0].remote if self.syncs else ""

    @property
    def exit_code(self) -> int:
        """0, for a folder that was never synced too; 1 if what is recorded cannot be used."""
        return 1 if self.problems else 0

    @property
    def changed(self) -> int:
        """How many files are added, modified, deleted or may be modified."""
        known = self.changes or {}
        return sum(known.get(one.value, 0) for one in CHANGES)

    @property
    def files_omitted(self) -> int:
        """How many changed paths are not in `files`."""
        return self.changed - len(self.files)

    def raise_for_problems(self) -> None:
        """Do nothing if what is recorded can be used.

        Raises:
            SyncProblems: it cannot.
        """
        if not self.ok:
            raise SyncProblems(f"status {self.local}: {self.problems[0].message}")

    def to_dict(self) -> dict[str, Any]:
        """The JSON document, in the contract's style."""
        document: dict[str, Any] = {
            "command": self.command, "remote": self.remote, "local": self.local, "ok": self.ok,
            "syncs": [sync._asdict() for sync in self.syncs],
            "changes": None if self.changes is None else dict(self.changes),
            "files": [{"path": one.path, "change": one.change.value, "bytes": one.size} for one in self.files],
            "trash": self.trash._asdict(), "unfinished": dict(self.unfinished), "at_work": self.at_work,
            "repeats": list(self.repeats),
            "requests": no_requests(),
            "seconds": round(self.seconds, 3),
            "problems": [problem._asdict() for problem in self.problems], "notes": list(self.notes),
        }  # fmt: skip
        if self.files_omitted:
            document["files_omitted"] = self.files_omitted
        return document

    def __len__(self) -> int:
        return self.changed

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Changed]:
        return iter(self.files)


CHANGES = (Change.ADDED, Change.MODIFIED, Change.DELETED, Change.MAYBE)
