"""The pull of one node, in the process of one of its workers: begun, reported and stopped by short calls.

The run has a thread of its own, as on any machine, and records in this node's LOCAL. Nobody waits here: a worker
stays free for others. A run that nobody asks for any more (the kernel that began it is gone) stops by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from nbsync.cluster.per_node.mount_identity import MountIdentity, find_mount_identity
from nbsync.core.call import Call
from nbsync.core.location import Location
from nbsync.core.model import Active, Problem, Row
from nbsync.core.options import Options
from nbsync.errors import ClusterError, NbsyncError
from nbsync.s3.bucket import Bucket

PATIENCE_SECONDS = 300.0
ROWS = 5_000  # in one answer
_LOOK_SECONDS = 1.0
_GLANCE_SECONDS = 0.03  # what a node that has nothing to do takes, about


class Seen(NamedTuple):
    """Where a worker would write, and to which endpoint its requests would go."""

    identity: MountIdentity
    endpoint: str


class End(NamedTuple):
    """The end of a run, beside its rows and counts. `remote`: as it was understood."""

    remote: str
    error: NbsyncError | None
    problems: list[Problem]
    notes: list[str]
    bytes: dict[str, int]
    hits_omitted: int
    trashed: int


class Report(NamedTuple):
    """The run at one moment.

    `rows`: those after the ones that were seen; `end`: only with the last of them; `resumed`: it was begun before.
    """

    state: str
    counts: dict[str, int]
    listing_done: bool
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    active: tuple[Active, ...]
    problems: tuple[Problem, ...]
    requests: dict[str, int]
    rows: list[Row]
    end: End | None
    resumed: bool = False


class NodeRun:
    """One pull under way. Any thread may call `report` and `stop`.

    Args:
        call: a pull, for this machine alone.
        now: monotonic seconds.
    """

    def __init__(self, call: Call, now: Callable[[], float] = time.monotonic) -> None:
        from nbsync.engine.sync import sync

        self._now = now
        self._asked_at = now()
        self._was_forsaken = False
        self._run = sync(call, threading.Event())
        self._rows = self._run.result.files  # grows as they come; the run puts a sorted copy in its place
        self.ended = threading.Event()
        for work in (self._work, self._watch):
            threading.Thread(target=work, name="nbsync-node", daemon=True).start()

    def _work(self) -> None:
        try:
            self._run.execute()
        except BaseException as error:
            self._run.result.error = NbsyncError(f"internal error: {type(error).__name__}: {error}")
            self._run.board.state = "failed"
        finally:
            self.ended.set()

    def _watch(self) -> None:
        while not self.ended.wait(_LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Stop if nobody has asked for so long that nobody will."""
        if self.is_forsaken:
            self._was_forsaken = True
            self._run.stop()

    @property
    def is_forsaken(self) -> bool:
        """Has nobody asked for long?"""
        return self._now() - self._asked_at > PATIENCE_SECONDS

    def stop(self) -> None:
        """Stop within a second; what was done is kept."""
        self._run.stop()

    def keep(self) -> None:
        """Take note that the coordinator is there, and waits until it can ask."""
        self._asked_at = self._now()

    def report(self, seen: int) -> Report:
        """The run at this moment, with rows from number `seen`."""
        self.keep()
        ended = self.ended.is_set()  # before anything is read: then all of it is final
        run, board, runner = self._run, self._run.board, self._run.runner
        rows = self._rows[seen : seen + ROWS]
        is_last = ended and seen + len(rows) == len(self._rows)
        return Report(
            board.state, dict(board.counts), board.listing_done, board.files_done, board.files_total,
            runner.bytes_moved() if runner is not None else 0, board.bytes_total,
            runner.active() if runner is not None else (), board.problems, run.requests(), rows,
            self._end() if is_last else None,
        )  # fmt: skip

    def _end(self) -> End:
        result, error = self._run.result, self._run.result.error
        if self._was_forsaken:
            error = ClusterError(f"stopped, since nobody had asked for it in {PATIENCE_SECONDS / 60:g} minutes",
                                 "Is the worker busy with something else? Run it again to do the rest")  # fmt: skip
        return End(result.remote, error, result.problems, result.notes, dict(result.bytes),
                   result.hits_omitted, result.trashed)  # fmt: skip


_RUNS: dict[str, NodeRun] = {}
_LOCK = threading.Lock()


def look(local: str, location: Location, options: Options) -> Seen:
    """Where this worker would write and ask. Nothing is created, and no request is sent.

    Raises:
        NbsyncError: it has no credentials, profile or key file for that. OSError: it has no directories at all.
    """
    bucket = Bucket(location, options, wait=threading.Event().wait)
    bucket.client.close()
    return Seen(find_mount_identity(local), bucket.endpoint)


def begin(job_id: str, call: Call) -> Report:
    """The report of the run with this id, with rows from the first; the run is begun, if it does not go on here.

    Raises:
        NbsyncError: the call makes no sense here.
    """
    with _LOCK:
        for old in [name for name, run in _RUNS.items() if run.ended.is_set() and run.is_forsaken]:
            del _RUNS[old]
        run = _RUNS.get(job_id)
        resumed = run is not None
        if run is None:
            run = _RUNS[job_id] = NodeRun(call)
    run.ended.wait(_GLANCE_SECONDS)
    return _report_of(job_id, run, 0)._replace(resumed=resumed)


def ask(job_id: str, seen: int) -> Report | None:
    """The report of the run; None if this process does not know it, since another one began it."""
    with _LOCK:
        run = _RUNS.get(job_id)
    return _report_of(job_id, run, seen) if run is not None else None


def _report_of(job_id: str, run: NodeRun, seen: int) -> Report:
    """The report of a run, which is forgotten once its end is reported."""
    report = run.report(seen)
    if report.end is not None:
        with _LOCK:
            _RUNS.pop(job_id, None)
    return report


def keep(job_id: str) -> None:
    """Let the run go on, if there is one, although the coordinator cannot ask for a report."""
    with _LOCK:
        run = _RUNS.get(job_id)
    if run is not None:
        run.keep()


def stop(job_id: str) -> None:
    """Stop the run, if there is one; its end is asked for as ever."""
    with _LOCK:
        run = _RUNS.get(job_id)
    if run is not None:
        run.stop()
