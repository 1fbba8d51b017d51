"""How a batch ended, as its task tells: done, lost with its worker, refused, or the end of the run. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import CancelledError
from enum import Enum
from typing import NamedTuple

from nbsync.cluster.backends.base import Backend, BackendLost, Task, WorkerLost
from nbsync.cluster.backends.connect import lost
from nbsync.cluster.shared.worker import Reply
from nbsync.core.model import Action, Outcome, Status
from nbsync.errors import ClusterError, NbsyncError


class End(Enum):
    """What the run does about it."""

    DONE = "done"
    LOST = "lost"  # what remains is done again
    UNFIT = "unfit"  # likewise, and its worker gets nothing more
    FAILED = "failed"  # the run ends


class Ending(NamedTuple):
    """How one batch ended.

    Attributes:
        outcomes: of the Actions that ended, with their worker.
        remaining: the Actions that did not end.
        reply: what the worker answered, if it did.
        worker: its name; empty if it is not known.
        why: of a batch that was lost.
        error: what ends the run, or makes the worker unfit.
        unconfirmed: it is not known whether the worker is still at it.
    """

    end: End
    remaining: Sequence[Action]
    outcomes: Sequence[Outcome] = ()
    reply: Reply | None = None
    worker: str = ""
    why: str = ""
    error: NbsyncError | None = None
    unconfirmed: bool = False


def ending_of(actions: Sequence[Action], task: Task, backend: Backend, checked: Sequence[str]) -> Ending:
    """How the batch of these Actions ended, whose task has ended.

    Args:
        checked: the names of workers that were found fit when the run began.
    """
    try:
        reply: Reply = task.result(0)
    except WorkerLost as error:
        return Ending(End.LOST, actions, why=str(error), unconfirmed=True)
    except (CancelledError, BackendLost) as error:
        return Ending(End.FAILED, actions, error=lost(backend, error), unconfirmed=True)
    except NbsyncError as error:
        if task.worker and backend.can_pin and task.worker not in checked:
            return Ending(End.UNFIT, actions, worker=task.worker, error=error)
        whose = f"{task.worker or 'a worker'} of {backend.name}"
        return Ending(End.FAILED, actions, error=ClusterError(f"{whose}: {error.message}", error.hint))
    except Exception as error:  # of the backend: a worker out of memory, an answer that cannot be read
        return Ending(End.LOST, actions, why=f"{type(error).__name__}: {error}", unconfirmed=True)
    return _of_reply(actions, reply, task.worker or reply.worker)


def _of_reply(actions: Sequence[Action], reply: Reply, worker: str) -> Ending:
    outcomes = [one._replace(worker=worker) for one in reply.outcomes if one.status is not Status.CANCELLED]
    ended = {one.path for one in outcomes}
    remaining = [one for one in actions if one.path not in ended]
    ending = Ending(End.DONE, remaining, outcomes, reply, worker)
    if reply.failure is not None:
        error = reply.failure
        return ending._replace(end=End.FAILED, error=type(error)(f"{worker}: {error.message}", error.hint))
    if remaining:
        return ending._replace(end=End.LOST, why="its worker stopped", unconfirmed=True)
    return ending
