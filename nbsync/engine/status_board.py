"""What a run has come to so far: outcomes become rows, counts, problems and records. One thread: the run's own."""

from __future__ import annotations

from nbsync.core import verify
from nbsync.core.model import Outcome, Problem, Row, Status, Verb
from nbsync.core.names import printable
from nbsync.engine.recorder import Recorder
from nbsync.results.sync_result import MAX_HIT_ROWS, SyncPlan, SyncResult, VerifyResult

_MAX_PROBLEMS_SHOWN = 5


class StatusBoard:
    """What a display may read of a run at any time, from any thread: plain values, written by the run alone."""

    def __init__(self) -> None:
        self.state = "starting"
        self.answered = False  # REMOTE has given its first answer
        self.counts: dict[str, int] = {status.value: 0 for status in Status}
        self.listing_done = False
        self.files_done = 0  # without those that were cancelled
        self.files_total = 0
        self.bytes_total = 0
        self.problems: tuple[Problem, ...] = ()


class OutcomeCounter:
    """Takes outcomes in.

    Args:
        result: is filled.
        board: is kept up to date.

    Attributes:
        recorder: where records go; it stays closed in a run that changes nothing.
        failed: a file has failed, or turned out wrong.
        met: what single files met that holds for all, each said once.
    """

    def __init__(self, result: SyncResult, board: StatusBoard) -> None:
        self._result, self._board = result, board
        self.recorder = Recorder()
        self.failed = False
        self.met: list[str] = []

    def take(self, outcome: Outcome) -> None:
        """One path has ended."""
        status = outcome.status
        result, board = self._result, self._board
        result.counts[status.value] += 1
        board.counts[status.value] += 1
        board.files_done += status is not Status.CANCELLED
        if outcome.note and outcome.note not in self.met:
            self.met.append(outcome.note)
        if outcome.planned is not None and isinstance(result, SyncPlan):
            result.add(outcome.planned)
        assurance = self._assurance(outcome)
        if outcome.record is not None:
            installed = outcome.verb is Verb.DOWNLOAD and status is Status.MISS
            self.recorder.remember(outcome.record, installed=installed)
        elif outcome.forget:
            self.recorder.forget(outcome.path)
        if status is Status.HIT:
            result.bytes["saved"] += outcome.saved
            if result.counts["hit"] > MAX_HIT_ROWS:
                result.hits_omitted += 1
                return
        elif status is Status.MISS:
            result.bytes["moved"] += outcome.bytes
        self._row(outcome, assurance)

    def _assurance(self, outcome: Outcome) -> str:
        if not isinstance(self._result, VerifyResult):
            return ""
        assurance = verify.assurance(outcome.status, outcome.evidence)
        self._result.assurance[assurance] += 1
        return assurance

    def _row(self, outcome: Outcome, assurance: str) -> None:
        path = printable(outcome.path)
        self._result.files.append(
            Row(path, outcome.verb.value, outcome.status.value, outcome.reason, outcome.evidence.value,
                outcome.bytes, outcome.seconds, outcome.error, assurance, outcome.worker)
        )  # fmt: skip
        self._result.on_workers = self._result.on_workers or bool(outcome.worker)
        self.failed = self.failed or outcome.status is Status.FAILED
        if outcome.problem:
            self._result.problems.append(Problem(path, outcome.problem, outcome.error or outcome.reason))
            self._board.problems = tuple(self._result.problems[-_MAX_PROBLEMS_SHOWN:])

    def begin_again(self, *, changed: bool) -> frozenset[str]:
        """REMOTE is listed anew, so that all will be met again. Returns the paths (printable) that are done for good.

        Args:
            changed: the run changes something, and decides nothing by what is absent: all but hits is done for good.
        """
        self.recorder.finish()
        result, board = self._result, self._board
        result.files = [row for row in result.files if changed and row.status != Status.HIT.value]
        result.problems = result.problems if changed else []
        result.bytes["saved"] = result.hits_omitted = 0
        for status in result.counts:
            result.counts[status] = board.counts[status] = sum(row.status == status for row in result.files)
        if isinstance(result, VerifyResult):
            result.assurance = dict.fromkeys(result.assurance, 0)
        board.files_done, board.problems = len(result.files), tuple(result.problems[-_MAX_PROBLEMS_SHOWN:])
        return frozenset(row.path for row in result.files)

    def disown(self, path: str, message: str) -> None:
        """What was kept at `path` turned out wrong: a problem, and nothing is remembered of it."""
        self.failed = True
        self._result.problems.append(Problem(printable(path), "failed", message))
        self.recorder.forget(path)
