"""Actions in batches that take about the same time each. Pure."""

from __future__ import annotations

from collections import deque

from nbsync.core.model import Action

FILE_COST = 256 * 1024  # bytes that move in about the time which a file takes by itself
MOST_FILES = 2_000  # in one batch: its outcomes come back together
_LEAST, _MOST = 32 * FILE_COST, 4 << 30
_FIRST = 128 * FILE_COST
_GOAL_SECONDS = 1.5  # for one batch: so often outcomes come back
_GROWTH = 2.0  # at most, from one batch to the next


def cost(action: Action) -> int:
    """What an Action takes, in bytes: those that move, or are read to compare, and a constant for the file itself."""
    compared = action.local.size if action.check and action.local is not None else 0
    return max(action.bytes, compared) + FILE_COST


class Backlog:
    """Actions that wait for a worker, in the order in which they came.

    Attributes:
        cost: of all that wait.
    """

    def __init__(self) -> None:
        self._waiting: deque[Action] = deque()
        self.cost = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, action: Action) -> None:
        """One more."""
        self._waiting.append(action)
        self.cost += cost(action)

    def cut(self, limit: int) -> list[Action]:
        """The next batch: as many as cost no more than `limit`, but at least one; nothing only if nothing waits."""
        batch: list[Action] = []
        total = 0
        while self._waiting and len(batch) < MOST_FILES:
            one = cost(self._waiting[0])
            if batch and total + one > limit:
                break
            batch.append(self._waiting.popleft())
            total += one
        self.cost -= total
        return batch

    def drop(self) -> list[Action]:
        """All that wait: nobody will do them."""
        dropped = list(self._waiting)
        self._waiting.clear()
        self.cost = 0
        return dropped


class Size:
    """How large batches are: found from how long they take.

    Attributes:
        limit: what the next one may cost.
    """

    def __init__(self) -> None:
        self.limit = _FIRST

    def took(self, batch_cost: int, seconds: float) -> None:
        """A batch has ended. A small one tells that more would do only if it was quick."""
        wanted = batch_cost / max(seconds, 0.001) * _GOAL_SECONDS
        if batch_cost < self.limit / 2 and wanted > self.limit:
            return
        self.limit = int(min(max(wanted, self.limit / _GROWTH, _LEAST), self.limit * _GROWTH, _MOST))

    def share(self, waiting: int, workers: int) -> int:
        """What a batch may cost when nothing more comes than what is `waiting`: no worker shall be left without."""
        return min(self.limit, max(-(-waiting // max(workers, 1)), FILE_COST))
