"""`--spread shared`: a runner whose Actions are done by a backend's workers, all of which see LOCAL.

It has the methods of `transfer.runner.Runner`. The run's thread submits and drains; batches end in the backend's
threads. What touches more than its own path (something in the way, deletions) is done by this process.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from nbsync.cluster.backends.base import BackendLost, Task, WorkerLost
from nbsync.cluster.backends.connect import lost
from nbsync.cluster.shared.batch_ending import End, Ending, ending_of
from nbsync.cluster.shared.batch_progress import BatchProgress
from nbsync.cluster.shared.coordinator import Coordinator
from nbsync.cluster.shared.dispatch import Batch, Dispatch
from nbsync.cluster.shared.worker import JobSpec, perform
from nbsync.cluster.shared.worker_count import WorkerCount
from nbsync.core.model import Action, Active, Outcome, Status, Verb
from nbsync.errors import ClusterError, LocalError, NbsyncError
from nbsync.local import lease
from nbsync.s3.versions import learn_conditions
from nbsync.transfer.context import Context
from nbsync.transfer.runner import Runner

_LOOK_SECONDS = 0.01
_HERE = (Verb.DELETE_LOCAL, Verb.DELETE_REMOTE)


class SharedRunner:
    """Runs the Actions of one phase of a run on the workers of a backend.

    Attributes:
        failure: what ended the run.

    Args:
        coordinator: knows the workers; they are checked at the first Action that is for them.
        ctx: the context of the run.
        own: the runner for what stays on this machine.
        now: monotonic seconds.
        sleep: waits so many seconds.
    """

    def __init__(
        self, coordinator: Coordinator, ctx: Context, own: Runner[Outcome], *,
        now: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep,
    ) -> None:  # fmt: skip
        self._coordinator, self._ctx, self._own, self._now, self._sleep = coordinator, ctx, own, now, sleep
        self._dispatch = Dispatch()
        self._spec: JobSpec | None = None
        self._worker_count: WorkerCount | None = None
        self._progress: BatchProgress | None = None
        self._tasks: dict[int, Task] = {}  # of the batches under way
        self._ended_tasks: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._done: deque[Outcome] = deque()
        self._moved = 0  # bytes, by batches that have ended
        self._lost: list[str] = []  # why, of each batch that is done again
        self._unfit: set[str] = set()  # workers that came later
        self._finishing = self._stopped = False
        self.failure: BaseException | None = None

    # ---- the methods of a runner -----------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """So much waits that the owner had better take what ended before it submits more."""
        return self._dispatch.full(self._workers)

    def submit(self, action: Action) -> None:
        """Queue an Action; does not wait, but for the check of the workers at the first one.

        Raises:
            ClusterError: a worker is not fit for the run.
        """
        if action.verb in _HERE:
            self._own.submit(action)
            return
        if self._spec is None:
            if action.verb is Verb.UPLOAD:
                learn_conditions(self._ctx.bucket)
            self._spec = self._coordinator.prepare(self._ctx)
            self._worker_count = WorkerCount(self._coordinator.backend, len(self._coordinator.names))
            self._progress = BatchProgress(self._spec)
        if action.in_the_way:
            self._own.submit(action)
        else:
            self._dispatch.add(action, self._now())

    def drain(self) -> Iterator[Outcome]:
        """What has ended since the last call; waits only while the runner is full."""
        yield from self._step()
        while self.full and self.failure is None and not self._stopped:
            self._sleep(_LOOK_SECONDS)
            yield from self._step()

    def finish(self) -> Iterator[Outcome]:
        """What is still to end, as it ends."""
        self._finishing = True
        try:
            yield from self._step()
            while not self._dispatch.is_empty:
                self._sleep(_LOOK_SECONDS)
                yield from self._step()
            yield from self._own.finish()
            self.failure = self.failure or self._own.failure
        finally:
            if self._worker_count is not None:
                self._worker_count.close()
            self._note_lost()

    def _note_lost(self) -> None:
        if self._lost:
            batches = "1 batch" if len(self._lost) == 1 else f"{len(self._lost):,} batches"
            self._coordinator.notes.append(f"{batches} of files had to be done again by other workers: {self._lost[0]}")
            self._lost = []

    def active(self) -> tuple[Active, ...]:
        """What is on its way now, as workers have noted. Any thread may ask."""
        elsewhere = self._progress.active(self._dispatch.numbers) if self._progress is not None else ()
        return (*elsewhere, *self._own.active())

    def bytes_moved(self) -> int:
        """Bytes that have moved so far, as far as is known. Any thread may ask."""
        on_the_way = self._progress.moved(self._dispatch.numbers) if self._progress is not None else 0
        return self._moved + on_the_way + self._own.bytes_moved()

    # ---- one turn: take what ended, send what waits -------------------------------------------------

    @property
    def _workers(self) -> int:
        return self._worker_count.count if self._worker_count is not None else 1

    @property
    def _bandwidth(self) -> int:
        """A worker's share of --bandwidth, bytes a second; 0: no limit."""
        return -(-self._ctx.options.bandwidth // self._workers)

    def _step(self) -> Iterator[Outcome]:
        self._take_ended()
        yield from self._own.drain()
        if self._own.failure is not None:
            self._fail(self._own.failure)
        if self._worker_count is not None and self._worker_count.nobody_left():
            self._fail(ClusterError(f"{self._coordinator.backend.name} has had no workers for a while",
                                    "What was done is recorded; run it again when they are back"))  # fmt: skip
        if self._ctx.cancelled() and not self._stopped:
            self._stop()
        while self._may_send and self._send_next():
            pass
        while self._done:
            yield self._done.popleft()

    @property
    def _may_send(self) -> bool:
        return not self._stopped and self.failure is None

    def _send_next(self) -> bool:
        """Send one more batch; False if it is not time for that, or it cannot be now."""
        batch = self._dispatch.next(self._workers, self._now(), is_last=self._finishing)
        if batch is None:
            return False
        assert self._spec is not None  # there is something to send
        assert self._progress is not None
        try:
            self._progress.begin(batch.number)
            task = self._coordinator.backend.submit(
                perform, self._spec, batch.number, batch.actions, self._bandwidth, batch.is_repeated,
                worker=self._choice(),
            )  # fmt: skip
        except (WorkerLost, BackendLost, OSError) as error:
            self._progress.end(batch.number)
            self._dispatch.take_back(batch)
            self._not_sent(error)
            return False
        self._tasks[batch.number] = task
        task.add_done_callback(partial(self._task_ended, batch.number))
        return True

    def _not_sent(self, error: Exception) -> None:
        if isinstance(error, BackendLost):
            self._fail(lost(self._coordinator.backend, error))
        elif isinstance(error, OSError):
            assert self._spec is not None  # it was to be sent
            hint = "What was done is recorded; make room, and run it again"
            self._fail(LocalError(f"{self._spec.place} cannot be written: {error.strerror}", hint))

    def _choice(self) -> str:
        """The worker for the next batch; empty, so that the backend chooses, as long as no worker is unfit.

        Raises:
            BackendLost: no worker is fit.
        """
        if not self._unfit:
            return ""
        at_work = Counter(task.worker for task in self._tasks.values())
        fit = [name for name in self._coordinator.backend.workers() if name not in self._unfit]
        if not fit:
            raise BackendLost(f"only {', '.join(sorted(self._unfit))} is left, which cannot work here")
        return min(fit, key=lambda name: at_work[name])

    def _task_ended(self, number: int, task: Any) -> None:
        """Any thread."""
        self._ended_tasks.put((number, task))

    def _take_ended(self) -> None:
        while True:
            try:
                number, task = self._ended_tasks.get_nowait()
            except queue.Empty:
                return
            batch = self._dispatch.ended(number)
            self._tasks.pop(number, None)
            if batch is not None:
                self._take(batch, ending_of(batch.actions, task, self._coordinator.backend, self._coordinator.names))

    def _take(self, batch: Batch, ending: Ending) -> None:
        """Do what the ending of a batch asks for."""
        assert self._progress is not None  # it was sent
        self._progress.end(batch.number)
        self._coordinator.unconfirmed = self._coordinator.unconfirmed or ending.unconfirmed
        self._count(ending)
        if ending.end is End.DONE:
            assert ending.reply is not None  # that is how it is known
            self._dispatch.size.took(batch.cost, ending.reply.seconds)
        elif ending.end is End.LOST:
            self._lose(batch, ending)
        elif ending.end is End.UNFIT:
            assert ending.error is not None
            self._dispatch.take_back(batch)
            self._exclude(ending.worker, ending.error)
        else:
            assert ending.error is not None
            self._dispatch.keep(batch, ending.remaining)
            self._fail(ending.error)

    def _count(self, ending: Ending) -> None:
        if ending.reply is not None:
            for kind, count in ending.reply.requests.items():
                self._ctx.bucket.counts.add(kind, count)
            self._coordinator.notes += [note for note in ending.reply.notes if note not in self._coordinator.notes]
        self._moved += sum(one.bytes for one in ending.outcomes)
        self._done += ending.outcomes

    def _lose(self, batch: Batch, ending: Ending) -> None:
        """Let another worker do what remains; it finds what the lost one has done."""
        if not self._may_send:
            self._dispatch.keep(batch, ending.remaining)
        elif self._dispatch.repeat(batch, ending.remaining):
            self._lost.append(ending.why)
        else:
            message = f"given up after {batch.tries} tries: {ending.why}"
            self._end_all(ending.remaining, Status.FAILED, message, "failed")

    def _exclude(self, worker: str, why: NbsyncError) -> None:
        """Give nothing more to a worker that came during the run and is not fit for it."""
        if worker not in self._unfit:
            self._unfit.add(worker)
            self._coordinator.notes.append(f"{worker} came during the run, and was given nothing to do: {why.message}")

    # ---- the run ends early ---------------------------------------------------------------------

    def _fail(self, error: BaseException) -> None:
        """End the run; what is under way is reported as cancelled.

        Errors that come after the stop do not count: a worker that begins a batch then finds no lease, and takes
        that for a LOCAL that it does not see.
        """
        if not self._stopped:
            self.failure = self.failure or error
        self._ctx.cancel.set()

    def _stop(self) -> None:
        """Stop the workers, take the replies that still come in time, and end all other Actions as cancelled."""
        self._stopped = True
        self._coordinator.revoke()
        deadline = self._now() + lease.SEEN_SECONDS
        while self._tasks and self._now() < deadline:
            self._sleep(_LOOK_SECONDS)
            self._take_ended()
        self._coordinator.unconfirmed = self._coordinator.unconfirmed or bool(self._tasks)
        tasks = list(self._tasks.values())
        self._tasks.clear()
        # A backend that is gone may keep the thread waiting that cancels.
        threading.Thread(target=lambda: [task.cancel() for task in tasks], name="nbsync-cancel", daemon=True).start()
        message = "stopped" if self.failure is None else str(self.failure)
        self._end_all(self._dispatch.drop(), Status.CANCELLED, message, "")  # later replies find no batch

    def _end_all(self, actions: Sequence[Action], status: Status, message: str, problem: str) -> None:
        self._done.extend(
            Outcome(one.path, one.verb, status, message, one.evidence, error=message, problem=problem)
            for one in actions
        )
