"""What a run has come to so far: outcomes become rows, counts, problems and records. One thread: the run's own."""

from __future__ import annotations

import time
from collections.abc import Callable

from nbsync.core.model import Outcome, Problem, RecordedEntry, Row, Status
from nbsync.errors import LocalError
from nbsync.result import MAX_HIT_ROWS, SyncResult, VerifyResult
from nbsync.storage.state import State

_FLUSH_ROWS = 2_000
_FLUSH_SECONDS = 1.0
_MAX_PROBLEMS_SHOWN = 5


class Board:
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


class Tally:
    """Takes outcomes in; writes the state in batches.

    Args:
        result: is filled.
        board: is kept up to date.
        now: monotonic seconds.

    Attributes:
        state: where records go; None in a run that changes nothing, or has not begun to.
    """

    def __init__(self, result: SyncResult, board: Board, now: Callable[[], float] = time.monotonic) -> None:
        self._result, self._board, self._now = result, board, now
        self.state: State | None = None
        self._records: list[RecordedEntry] = []
        self._forget: list[str] = []
        self._flushed_at = now()
        self.youngest_ctime_ns = 0
        self.failed = False

    def take(self, outcome: Outcome) -> None:
        """One path has ended."""
        status = outcome.status
        result, board = self._result, self._board
        result.counts[status.value] += 1
        board.counts[status.value] += 1
        board.files_done += status is not Status.CANCELLED
        assurance = result.keep(outcome)
        if outcome.record is not None:
            self._remember(outcome.record)
        elif outcome.forget:
            self.forget(outcome.path)
        if status is Status.HIT:
            result.bytes["saved"] += outcome.saved
            if result.counts["hit"] > MAX_HIT_ROWS:
                result.hits_omitted += 1
                return
        elif status is Status.MISS:
            result.bytes["moved"] += outcome.bytes
        self._row(outcome, assurance)

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

    def _remember(self, record: RecordedEntry) -> None:
        if self.state is None:
            return
        self._records.append(record)
        self.youngest_ctime_ns = max(self.youngest_ctime_ns, record.ctime_ns)
        if len(self._records) >= _FLUSH_ROWS or self._now() - self._flushed_at > _FLUSH_SECONDS:
            self.flush()

    def forget(self, path: str) -> None:
        """What was recorded of `path` no longer holds."""
        self._forget.append(path)

    def begin_again(self, *, changed: bool) -> frozenset[str]:
        """REMOTE is listed anew, so that all will be met again. Returns the paths (printable) that are done for good.

        Args:
            changed: the run changes something, and decides nothing by what is absent: all but hits is done for good.
        """
        self.flush()
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
        self.forget(path)

    def flush(self) -> None:
        """Write what has been taken in to the state.

        A state that cannot be written (a full disk) is said once and given up: files matter more.
        """
        if self.state is not None and (self._records or self._forget):
            try:
                self.state.record(self._records, self._forget)
            except LocalError as error:
                self.state = None
                self._result.notes.append(
                    f"what was synced could not be recorded: {error}; the next run compares again"
                )
            self._records, self._forget = [], []
        self._flushed_at = self._now()


def printable(path: str) -> str:
    """`path` as text that can be encoded: bytes of a name that are not UTF-8 become `\\xNN`."""
    return path if path.isascii() else path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
