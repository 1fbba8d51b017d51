"""Results, snapshots and listings to show, and a fake engine that plays them. Nothing here moves a byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbsync.api.background import Background, SyncJobs
from nbsync.api.job import SyncJob
from nbsync.core.call import Call
from nbsync.core.model import Active, Problem, Row, Snapshot, Status, Verb
from nbsync.errors import Interrupted, NbsyncError
from nbsync.results.listing import ListedObject, Listing
from nbsync.results.sync_result import SyncResult

HOSTILE = "<img src=x onerror=alert(1)>'\"&\x1b[31m\u202egpj.exe\r\n[bold]{x}"


def row(path: str, status: str, **more: Any) -> Row:
    """A Row with the usual words for its status."""
    usual = {"hit": ("none", "up to date", "state", 0), "miss": ("download", "missing locally", "none", 4100)}
    action, reason, evidence, size = usual.get(status, ("download", "content differs", "etag-md5", 0))
    values: dict[str, Any] = {"action": action, "reason": reason, "evidence": evidence, "bytes": size,
                              "seconds": 0.1, "error": None, **more}  # fmt: skip
    return Row(path=path, status=status, **values)


def result(*rows: Row, command: str = "pull", **more: Any) -> SyncResult:
    """A SyncResult that holds `rows`, counted."""
    made = SyncResult(command=command, remote=more.pop("remote", "s3://bucket/raw/"), local="data")
    made.files = list(rows)
    for one in rows:
        made.counts[one.status] += 1
        made.bytes["moved"] += one.bytes
    made.requests["list"] = 1
    made.seconds = 0.84
    for name, value in more.items():
        setattr(made, name, value)
    return made


def mixed() -> SyncResult:
    """One of everything."""
    made = result(
        *(row(f"2024/part-{i:04}.parquet", "hit") for i in range(40)),
        row("2025/new.csv", "miss"),
        row("2025/edited.csv", "miss", reason="content differs", evidence="etag-md5", bytes=2_000_000_000),
        row("old.csv", "deleted", action="delete-local", reason="not in the source"),
        row("locked.bin", "failed", error="PermissionError: [Errno 13] Permission denied"),
        row("both.txt", "conflict", action="upload", reason="changed there since the last sync"),
        row("cold.tar", "skipped", action="none", reason="archived in GLACIER: restore it first"),
        problems=[
            Problem("a/../b", "unsafe-name", "the key has a .. segment and would leave LOCAL"),
            Problem("locked.bin", "failed", "PermissionError: [Errno 13] Permission denied"),
            Problem("cold.tar", "archived", "archived in GLACIER: restore it first"),
        ],
        notes=["conditional DELETE is unproven on this server: best effort"],
    )
    made.bytes["saved"] = 41_000_000
    made.requests.update(list=10, get=15)
    return made


def snapshot(**more: Any) -> Snapshot:
    """A run half way."""
    values: dict[str, Any] = {
        "command": "pull", "remote": "s3://bucket/raw/", "local": "data", "state": "syncing",
        "counts": {**{s.value: 0 for s in Status}, "hit": 120, "miss": 11}, "listing_done": True,
        "files_done": 131, "files_total": 260, "bytes_done": 4_500_000, "bytes_total": 9_000_000,
        "rate": 2_100_000.0, "eta_seconds": 2.1, "seconds": 2.2,
        "active": tuple(Active(f"2025/day-{i:02}.parquet", Verb.DOWNLOAD, i * 100_000, 900_000) for i in range(8)),
        "problems": (Problem("a/../b", "unsafe-name", "has a .. segment"),), "requests": {"list": 1},
    }  # fmt: skip
    return Snapshot(**{**values, **more})


def listed(key: str, path: str, size: int, last_modified_ns: int, storage_class: str = "STANDARD") -> ListedObject:
    """One object of a listing."""
    return ListedObject(key, path, size, last_modified_ns, "", storage_class)


def listing(
    *entries: ListedObject, remote: str = "s3://bucket/raw/", notes: Sequence[str] = (),
) -> Listing:  # fmt: skip
    """A listing of these objects."""
    return Listing(remote, list(entries), {}, notes)


def one_listed() -> Listing:
    """A listing of one object."""
    return listing(listed("raw/a.csv", "a.csv", 4100, 1_700_000_000 * 10**9))


class Job:
    """Ticks `snapshots`, then ends in `end`; with `interrupts`, Ctrl-C arrives after the last tick."""

    def __init__(self, end: SyncResult, snapshots: list[Snapshot], *, interrupts: int = 0) -> None:
        self._end = end
        self._snapshots = snapshots
        self._interrupts = interrupts
        self.cancelled = False

    def wait(self, timeout: float | None = None, *, tick: Any = None, interval: float = 0.2) -> SyncResult:
        for one in self._snapshots:
            if tick is not None:
                tick(one)
        if self._interrupts:
            self._interrupts -= 1
            raise KeyboardInterrupt
        return self._end

    def cancel(self) -> None:
        self.cancelled = True
        self._end.error = Interrupted("interrupted")


class Engine:
    """Gives back what it was told to, and remembers the calls."""

    def __init__(self, end: SyncResult | None = None, *, refuse: NbsyncError | None = None,
                 snapshots: list[Snapshot] | None = None, interrupts: int = 0) -> None:  # fmt: skip
        self.calls: list[Call] = []
        self.started: list[Job] = []
        self.background = Background()
        self.end = mixed() if end is None else end
        self.found = one_listed()
        self._refuse = refuse
        self._snapshots = [snapshot()] if snapshots is None else snapshots
        self._interrupts = interrupts

    def prepare(self, call: Call) -> Job:
        self.calls.append(call)
        if self._refuse is not None:
            raise self._refuse
        self.started.append(Job(self.end, self._snapshots, interrupts=self._interrupts))
        return self.started[-1]

    def begin(self, call: Call, after: SyncJob | None = None) -> SyncJob:
        self.calls.append(call)
        return self.background.begin(SyncJob(call, after=after))

    def jobs(self) -> SyncJobs:
        return self.background.jobs()

    def find_job(self, number: str) -> SyncJob:
        return self.background.find(number)

    def answer(self, call: Call) -> Any:
        self.calls.append(call)
        if self._refuse is not None:
            raise self._refuse
        return self.found
