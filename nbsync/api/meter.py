"""How fast a run goes, and how it stands at one moment, read from its status board. Any thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from nbsync.core.model import Snapshot
from nbsync.engine.ports import Run

_RATE_SECONDS = 5.0  # the rate is that of the last seconds


class Meter:
    """Measures one run.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._marks: deque[tuple[float, int]] = deque([(now(), 0)])

    def look(self, run: Run, since: float) -> Snapshot:
        """The state of `run`, which began at the moment `since`."""
        board, runner, now = run.board, run.runner, self._now()
        moved = runner.bytes_moved() if runner is not None else 0
        rate = self._rate(now, moved)
        remaining = board.bytes_total - moved
        eta = remaining / rate if board.listing_done and rate > 0 and remaining > 0 else None
        return Snapshot(
            command=run.call.command, remote=run.result.remote, local=run.local, state=board.state,
            counts=dict(board.counts), listing_done=board.listing_done, files_done=board.files_done,
            files_total=board.files_total, bytes_done=moved, bytes_total=board.bytes_total, rate=rate,
            eta_seconds=eta, seconds=now - since, active=runner.active() if runner is not None else (),
            problems=board.problems, requests=run.requests(), direction=run.call.direction,
        )  # fmt: skip

    def _rate(self, now: float, moved: int) -> float:
        """Bytes a second."""
        self._marks.append((now, moved))
        while len(self._marks) > 2 and now - self._marks[0][0] > _RATE_SECONDS:
            self._marks.popleft()
        then, before = self._marks[0]
        elapsed = now - then
        return max(0.0, (moved - before) / elapsed) if elapsed > 0 else 0.0
