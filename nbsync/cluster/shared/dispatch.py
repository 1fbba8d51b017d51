"""Which Actions are sent next, and in which batch: those of lost workers first, then those that wait. Pure.

Used by the run's thread; `full` and `numbers` may be asked by any.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from nbsync.cluster.shared.batches import Backlog, Size, cost
from nbsync.core.model import Action

TRIES = 3  # of a batch whose workers are lost
_BATCHES_PER_WORKER = 2  # under way: one that it does, and the next
_MOST_WAITING = 20_000  # Actions
_HOLD_SECONDS = 0.05  # that the first Action waits for others to travel with


@dataclass
class Batch:
    """Actions that travel together. `number`: of the last time that it was sent, unique in a run."""

    actions: list[Action]
    number: int = 0
    tries: int = 0
    cost: int = field(init=False)

    def __post_init__(self) -> None:
        self.cost = sum(map(cost, self.actions))

    @property
    def is_repeated(self) -> bool:
        """May a worker that was lost have done some of it?"""
        return self.tries > 1


class Dispatch:
    """The Actions of one phase of a run that have not ended. Times are monotonic seconds.

    Attributes:
        size: how large the next batch is.
    """

    def __init__(self) -> None:
        self.size = Size()
        self._backlog = Backlog()
        self._repeats: deque[Batch] = deque()
        self._under_way: dict[int, Batch] = {}
        self._numbers = 0
        self._waiting_since = 0.0

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the batches under way."""
        return tuple(self._under_way)

    @property
    def is_empty(self) -> bool:
        """Has every Action ended?"""
        return not (self._under_way or self._repeats or self._backlog)

    def full(self, workers: int) -> bool:
        """So much waits that no more had better be added."""
        plenty = self.size.limit * _BATCHES_PER_WORKER * workers
        return len(self._backlog) >= _MOST_WAITING or (len(self._backlog) >= 2 and self._backlog.cost > plenty)

    def add(self, action: Action, now: float) -> None:
        """One more Action."""
        if not self._backlog:
            self._waiting_since = now
        self._backlog.add(action)

    def next(self, workers: int, now: float, *, is_last: bool) -> Batch | None:
        """The batch to send now, which is under way from now on; None if it is not time for one.

        Args:
            workers: how many there are.
            is_last: no Action is to be added any more.
        """
        if len(self._under_way) >= _BATCHES_PER_WORKER * workers:
            return None
        batch = self._repeats.popleft() if self._repeats else self._cut(workers, now, is_last=is_last)
        if batch is not None:
            self._numbers += 1
            batch.number = self._numbers
            batch.tries += 1
            self._under_way[batch.number] = batch
        return batch

    def _cut(self, workers: int, now: float, *, is_last: bool) -> Batch | None:
        """A batch of what waits, if that is enough for a whole one, or a worker has nothing to do."""
        waiting = self._backlog.cost
        idle = len(self._under_way) < workers and now - self._waiting_since > _HOLD_SECONDS
        if not waiting or (waiting < self.size.limit and not is_last and not idle):
            return None
        return Batch(self._backlog.cut(self.size.share(waiting, workers)))

    def ended(self, number: int) -> Batch | None:
        """The batch of this number, which is no longer under way; None if it was not."""
        return self._under_way.pop(number, None)

    def take_back(self, batch: Batch) -> None:
        """No worker has begun this batch: it is sent again, and has lost no try."""
        self._under_way.pop(batch.number, None)
        batch.tries -= 1
        self._repeats.append(batch)

    def repeat(self, batch: Batch, actions: Sequence[Action]) -> bool:
        """Send `actions`, what a lost worker may have left of its batch, again; False if that was tried too often."""
        if batch.tries >= TRIES:
            return False
        self.keep(batch, actions)
        return True

    def keep(self, batch: Batch, actions: Sequence[Action]) -> None:
        """These Actions of a batch have not ended; `drop` finds them, if nothing is sent any more."""
        self._repeats.append(Batch(list(actions), tries=batch.tries))

    def drop(self) -> list[Action]:
        """All Actions that have not ended: nobody does them any more."""
        batches = [*self._under_way.values(), *self._repeats]
        self._under_way.clear()
        self._repeats.clear()
        return [action for batch in batches for action in batch.actions] + self._backlog.drop()
