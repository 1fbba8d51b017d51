"""`--spread shared`: a runner whose Actions are done by an engine's workers, all of which see LOCAL.

The same face as `transfer.runner.Runner`. The run's thread submits and drains; batches end in threads of the engine's.
What touches more than its own path (something in the way, deletions) is done here, by workers of this process.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nbsync.cluster.backends.base import EngineLost, Task, WorkerLost
from nbsync.cluster.backends.connect import lost
from nbsync.cluster.shared import worker as guest
from nbsync.cluster.shared.batch_progress import Beats
from nbsync.cluster.shared.batches import Backlog, Size, cost
from nbsync.cluster.shared.coordinator import Crew
from nbsync.cluster.shared.worker import Reply, Ticket
from nbsync.cluster.shared.worker_count import Census
from nbsync.core.model import Action, Active, Outcome, Status, Verb
from nbsync.errors import ClusterError, LocalError, NbsyncError
from nbsync.local import lease as permits
from nbsync.s3.versions import learn_conditions
from nbsync.transfer.context import Context
from nbsync.transfer.runner import Runner

TRIES = 3  # of a batch whose workers are lost
_EACH = 2  # batches under way a worker: one that it does, and the next
_MOST_WAITING = 20_000  # Actions
_LOOK_SECONDS = 0.01
_HOLD_SECONDS = 0.05  # that the first Action waits for others to travel with
_HERE = (Verb.DELETE_LOCAL, Verb.DELETE_REMOTE)


@dataclass
class Batch:
    """Actions that travel together."""

    actions: list[Action]
    number: int = 0
    tries: int = 0
    cost: int = field(init=False)

    def __post_init__(self) -> None:
        self.cost = sum(map(cost, self.actions))


class SharedRunner:
    """Runs the Actions of one phase of a run on the crew.

    Attributes:
        failure: what ended the run.

    Args:
        crew: the workers; enlisted at the first Action that is theirs.
        ctx: the run's.
        own: does what stays on this machine.
        now: monotonic seconds.
    """

    def __init__(
        self, crew: Crew, ctx: Context, own: Runner[Outcome], *, now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._crew, self._ctx, self._own, self._now = crew, ctx, own, now
        self._ticket: Ticket | None = None
        self._backlog, self._size = Backlog(), Size()
        self._again: deque[Batch] = deque()  # what lost workers had
        self._under_way: dict[int, Batch] = {}
        self._tasks: dict[int, Task] = {}
        self._ended_tasks: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._done: deque[Outcome] = deque()
        self._numbers = 0
        self._lost: list[str] = []  # why, of each batch that is done again
        self._unfit: set[str] = set()  # workers that came later
        self._waiting_since = 0.0
        self._finishing = self._stopped = False
        self._census: Census | None = None
        self._beats: Beats | None = None
        self._moved = 0  # bytes, by batches that have ended
        self.failure: BaseException | None = None

    # ---- the face of a runner -----------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """So much waits that the owner had better take what ended before it submits more."""
        plenty = self._size.limit * _EACH * self._workers
        return len(self._backlog) >= _MOST_WAITING or (len(self._backlog) >= 2 and self._backlog.cost > plenty)

    def submit(self, action: Action) -> None:
        """Queue an Action; does not wait, but for the check of the workers at the first one.

        Raises:
            ClusterError: a worker is not fit for the run.
        """
        if action.verb in _HERE:
            self._own.submit(action)
            return
        if self._ticket is None:
            if action.verb is Verb.UPLOAD:
                learn_conditions(self._ctx.bucket)
            self._ticket = self._crew.enlist(self._ctx)
            self._census = Census(self._crew.engine, len(self._crew.names))
            self._beats = Beats(self._ticket)
        if action.in_the_way:
            self._own.submit(action)
        else:
            if not self._backlog:
                self._waiting_since = self._now()
            self._backlog.add(action)

    def drain(self) -> Iterator[Outcome]:
        """What has ended since the last call; waits only while the runner is full."""
        yield from self._turn()
        while self.full and self.failure is None and not self._stopped:
            time.sleep(_LOOK_SECONDS)
            yield from self._turn()

    def finish(self) -> Iterator[Outcome]:
        """What is still to end, as it ends."""
        self._finishing = True
        try:
            yield from self._turn()
            while self._under_way or self._again or self._backlog:
                time.sleep(_LOOK_SECONDS)
                yield from self._turn()
            yield from self._own.finish()
            self.failure = self.failure or self._own.failure
        finally:
            if self._census is not None:
                self._census.close()
            self._note_lost()

    def _note_lost(self) -> None:
        if self._lost:
            batches = "1 batch" if len(self._lost) == 1 else f"{len(self._lost):,} batches"
            self._crew.notes.append(f"{batches} of files had to be done again by other workers: {self._lost[0]}")
            self._lost = []

    def active(self) -> tuple[Active, ...]:
        """What is on its way now, as workers have told. Any thread may ask."""
        told = self._beats.active(tuple(self._under_way)) if self._beats is not None else ()
        return (*told, *self._own.active())

    def bytes_moved(self) -> int:
        """Bytes that have moved so far, as far as is known. Any thread may ask."""
        on_the_way = self._beats.moved(tuple(self._under_way)) if self._beats is not None else 0
        return self._moved + on_the_way + self._own.bytes_moved()

    # ---- one turn: take what ended, send what waits -------------------------------------------------

    @property
    def _workers(self) -> int:
        return self._census.count if self._census is not None else 1

    @property
    def _bandwidth(self) -> int:
        """A worker's share of --bandwidth, bytes a second; 0: no limit."""
        return -(-self._ctx.options.bandwidth // self._workers)

    def _turn(self) -> Iterator[Outcome]:
        self._take_ended()
        yield from self._own.drain()
        if self._own.failure is not None:
            self._fail(self._own.failure)
        if self._census is not None and self._census.nobody_left():
            self._fail(ClusterError(f"{self._crew.engine.name} has had no workers for a while",
                                    "What was done is recorded; run it again when they are back"))  # fmt: skip
        if self._ctx.cancelled() and not self._stopped:
            self._stop()
        if not self._stopped:
            self._send_some()
        while self._done:
            yield self._done.popleft()

    def _send_some(self) -> None:
        while self.failure is None and len(self._under_way) < _EACH * self._workers:
            batch = self._again.popleft() if self._again else self._next()
            if batch is None or not self._send(batch):
                return

    def _next(self) -> Batch | None:
        """The next batch, if it is time for it: enough waits for a whole one, or a worker has nothing to do."""
        waiting = self._backlog.cost
        if not waiting:
            return None
        idle = len(self._under_way) < self._workers and self._now() - self._waiting_since > _HOLD_SECONDS
        if waiting < self._size.limit and not self._finishing and not idle:
            return None
        return Batch(self._backlog.cut(self._size.share(waiting, self._workers)))

    def _send(self, batch: Batch) -> bool:
        """False if that cannot be now."""
        assert self._ticket is not None  # there is something to send
        assert self._beats is not None
        self._numbers += 1
        number = batch.number = self._numbers
        batch.tries += 1
        try:
            self._beats.begin(number)
            task = self._crew.engine.submit(
                guest.perform, self._ticket, number, batch.actions, self._bandwidth, batch.tries > 1,
                worker=self._choice(),
            )  # fmt: skip
        except (WorkerLost, EngineLost, OSError) as error:
            self._not_sent(batch, error)
            return False
        self._under_way[number], self._tasks[number] = batch, task
        task.add_done_callback(partial(self._task_ended, number))
        return True

    def _not_sent(self, batch: Batch, error: Exception) -> None:
        batch.tries -= 1
        self._beats_end(batch)
        self._again.append(batch)
        if isinstance(error, EngineLost):
            self._lose_engine(error)
        elif isinstance(error, OSError):
            assert self._ticket is not None  # it was to be sent
            hint = "What was done is recorded; make room, and run it again"
            self._fail(LocalError(f"{self._ticket.place} cannot be written: {error.strerror}", hint))

    def _choice(self) -> str:
        """Who is to do the next batch: whoever the engine takes, as long as nobody there is unfit.

        Raises:
            EngineLost, WorkerLost: nobody can.
        """
        if not self._unfit:
            return ""
        at_work = Counter(task.worker for task in self._tasks.values())
        fit = [name for name in self._crew.engine.workers() if name not in self._unfit]
        if not fit:
            raise EngineLost(f"only {', '.join(sorted(self._unfit))} is left, which cannot work here")
        return min(fit, key=lambda name: at_work[name])

    def _task_ended(self, number: int, task: Any) -> None:
        """In whichever thread."""
        self._ended_tasks.put((number, task))

    def _take_ended(self) -> None:
        while True:
            try:
                number, task = self._ended_tasks.get_nowait()
            except queue.Empty:
                return
            batch = self._under_way.pop(number, None)
            self._tasks.pop(number, None)
            if batch is not None:
                self._take(batch, task)

    def _take(self, batch: Batch, task: Task) -> None:
        """One batch has ended, somehow."""
        try:
            reply: Reply = task.result(0)
        except WorkerLost as error:
            self._lose(batch, str(error))
        except (CancelledError, EngineLost) as error:
            self._again.append(batch)
            self._crew.unheard = True
            self._lose_engine(error)
        except NbsyncError as error:
            self._again.append(batch)
            if task.worker and self._crew.engine.can_pin and task.worker not in self._crew.names:
                batch.tries -= 1
                self._beats_end(batch)
                self._shun(task.worker, error)
            else:
                self._fail(ClusterError(f"{self._name(task)}: {error.message}", error.hint))
        except Exception as error:  # of the engine: a worker out of memory, an answer that cannot be read
            self._lose(batch, f"{type(error).__name__}: {error}")
        else:
            self._take_reply(batch, reply, task.worker or reply.worker)

    def _take_reply(self, batch: Batch, reply: Reply, worker: str) -> None:
        self._beats_end(batch)
        for kind, count in reply.requests.items():
            self._ctx.bucket.counts.add(kind, count)
        self._crew.notes += [note for note in reply.notes if note not in self._crew.notes]
        ended = [one for one in reply.outcomes if one.status is not Status.CANCELLED]
        self._moved += sum(one.bytes for one in ended)
        self._done.extend(one._replace(worker=worker) for one in ended)
        left = guest.not_done(batch.actions, ended)
        if reply.failure is not None:
            self._again.append(Batch(left))
            error = reply.failure
            self._fail(type(error)(f"{worker}: {error.message}", error.hint))
        elif left:
            self._lose(Batch(left, tries=batch.tries), "its worker stopped")
        elif not self._stopped:
            self._size.took(batch.cost, reply.seconds)

    def _lose(self, batch: Batch, why: str) -> None:
        """A worker is lost, and with it what it did: another one does it again, and finds what is done."""
        self._beats_end(batch)
        self._crew.unheard = True
        if self._stopped or self.failure is not None:
            self._again.append(batch)
        elif batch.tries < TRIES:
            self._again.append(batch)
            self._lost.append(why)
        else:
            message = f"given up after {batch.tries} tries: {why}"
            self._end_all(batch.actions, Status.FAILED, message, "failed")

    def _shun(self, worker: str, why: NbsyncError) -> None:
        """A worker that came during the run is not fit for it; those that were there before were checked."""
        if worker not in self._unfit:
            self._unfit.add(worker)
            self._crew.notes.append(f"{worker} came during the run, and was given nothing to do: {why.message}")

    def _beats_end(self, batch: Batch) -> None:
        if self._beats is not None:
            self._beats.end(batch.number)

    def _name(self, task: Task) -> str:
        return f"{task.worker or 'a worker'} of {self._crew.engine.name}"

    # ---- the end before the end ---------------------------------------------------------------------

    def _fail(self, error: BaseException) -> None:
        """The run ends; what is under way is told of as cancelled.

        What is said after the stop is no reason: who begins a batch then finds no permit, and takes that for a
        LOCAL that it does not see.
        """
        if not self._stopped:
            self.failure = self.failure or error
        self._ctx.cancel.set()

    def _lose_engine(self, error: Exception) -> None:
        self._fail(lost(self._crew.engine, error))

    def _stop(self) -> None:
        """Let workers stop, hear what they still have to say, and end the rest as cancelled."""
        self._stopped = True
        self._crew.revoke()
        deadline = self._now() + permits.SEEN_SECONDS
        while self._under_way and self._now() < deadline:
            time.sleep(_LOOK_SECONDS)
            self._take_ended()
        self._crew.unheard = self._crew.unheard or bool(self._under_way)
        left, tasks = [*self._under_way.values(), *self._again], list(self._tasks.values())
        self._under_way.clear()  # what they say from now on is not heard
        self._tasks.clear()
        self._again.clear()
        # An engine that is gone may keep who cancels waiting.
        threading.Thread(target=lambda: [task.cancel() for task in tasks], name="nbsync-cancel", daemon=True).start()
        message = "stopped" if self.failure is None else str(self.failure)
        for batch in left:
            self._end_all(batch.actions, Status.CANCELLED, message, "")
        self._end_all(self._backlog.drop(), Status.CANCELLED, message, "")

    def _end_all(self, actions: list[Action], status: Status, message: str, problem: str) -> None:
        self._done.extend(
            Outcome(one.path, one.verb, status, message, one.evidence, error=message, problem=problem)
            for one in actions
        )
