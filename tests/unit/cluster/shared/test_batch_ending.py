"""How a batch ended: a table of what its task may end with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nbsync.cluster.backends.base import BackendLost, Task, WorkerLost
from nbsync.cluster.shared.batch_ending import End, ending_of
from nbsync.cluster.shared.worker import Reply
from nbsync.core.model import Action, Evidence, Outcome, Status, Verb
from nbsync.errors import ClusterError, ConfigError
from tests.unit.cluster.held import HeldBackend

A, B = (Action(path, Verb.UPLOAD, Status.PLANNED, "r", Evidence.NONE) for path in "ab")


def outcome(action: Action, status: Status = Status.MISS) -> Outcome:
    return Outcome(action.path, action.verb, status, "r", action.evidence, 1)


def replies(*outcomes: Outcome, failure: ConfigError | None = None) -> Callable[[Task], object]:
    return lambda task: task.give(Reply(list(outcomes), {"put": 1}, 1.0, [], "host:1", failure))


def fails(error: Exception) -> Callable[[Task], object]:
    return lambda task: task.fail(error)


BOTH, ONE = (outcome(A), outcome(B, Status.FAILED)), (outcome(A), outcome(B, Status.CANCELLED))


@pytest.mark.parametrize(("how", "worker", "end", "remaining", "told", "unconfirmed"), [
    (replies(*BOTH), "", End.DONE, "", "", False),
    (replies(*ONE), "", End.LOST, "b", "its worker stopped", True),
    (replies(outcome(A)), "", End.LOST, "b", "its worker stopped", True),
    (replies(outcome(A), failure=ConfigError("no login")), "", End.FAILED, "b", "host:1: no login", False),
    (replies(outcome(A), failure=ConfigError("no login")), "new", End.FAILED, "b", "new: no login", False),
    (fails(WorkerLost("it died")), "old", End.LOST, "ab", "it died", True),
    (fails(MemoryError("much")), "old", End.LOST, "ab", "MemoryError: much", True),
    (fails(BackendLost("no scheduler")), "", End.FAILED, "ab", "fake was lost: no scheduler", True),
    (Task.cancel, "", End.FAILED, "ab", "fake was lost", True),
    (fails(ConfigError("no login")), "old", End.FAILED, "ab", "old of fake: no login", False),
    (fails(ConfigError("no login")), "", End.FAILED, "ab", "a worker of fake: no login", False),
    (fails(ConfigError("no login")), "new", End.UNFIT, "ab", "no login", False),
])  # fmt: skip
def test_how_it_ended(
    how: Callable[[Task], object], worker: str, end: End, remaining: str, told: str, unconfirmed: bool
) -> None:
    task = Task(worker)
    how(task)
    found = ending_of([A, B], task, HeldBackend("old", "new"), ["old"])
    assert (found.end, "".join(one.path for one in found.remaining)) == (end, remaining)
    assert told in (found.why or str(found.error or ""))
    assert found.unconfirmed is unconfirmed
    assert {one.worker for one in found.outcomes} <= {worker or "host:1"}


def test_an_engine_that_chooses_for_itself_has_no_newcomers() -> None:
    backend, task = HeldBackend("old"), Task("new")
    backend.can_pin = False
    task.fail(ClusterError("not fit"))
    assert ending_of([A], task, backend, ["old"]).end is End.FAILED
