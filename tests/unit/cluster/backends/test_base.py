"""Engines: what comes back through them, and what does not."""

from __future__ import annotations

import operator
import threading
from concurrent.futures import BrokenExecutor, CancelledError, ThreadPoolExecutor
from typing import Any

import pytest

from nbsync.cluster.backends import connect
from nbsync.cluster.backends.base import BackendLost, Task, Watch, WorkerLost
from nbsync.cluster.backends.connect import ask_each, check_call, check_words, open_backend, workers_of
from nbsync.cluster.backends.executor import PoolBackend
from nbsync.cluster.shared.worker_count import WorkerCount
from nbsync.core.call import Call
from nbsync.core.options import Options
from nbsync.errors import ClusterError, ConfigError, UsageError
from tests.unit.cluster.held import Held, HeldBackend


def refuse(why: str) -> None:
    raise ConfigError(why, "do this")


class Stubborn(Exception):
    """Cannot travel."""

    def __init__(self) -> None:
        super().__init__(threading.Lock())


def stubborn() -> None:
    raise Stubborn


def a_lock() -> Any:
    return threading.Lock()


def test_values_and_errors_come_back_as_they_are() -> None:
    with ThreadPoolExecutor(1) as pool:
        backend = PoolBackend(pool)
        task = backend.submit(operator.add, 2, 3)
        assert task.result(10) == 5
        assert ":" in task.worker
        refused = backend.submit(refuse, "no").exception(10)
    assert isinstance(refused, ConfigError)
    assert (refused.message, refused.hint) == ("no", "do this")


@pytest.mark.parametrize("function", [stubborn, a_lock])
def test_what_cannot_travel_back_is_told_in_words(function: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        error = PoolBackend(pool).submit(function).exception(10)
    assert isinstance(error, RuntimeError | TypeError)
    assert "lock" in str(error).lower() or "Stubborn" in str(error)


def test_what_cannot_travel_there_is_an_error_at_once() -> None:
    with pytest.raises(Exception, match=r"lambda|pickle"):
        PoolBackend(Held()).submit(lambda: 0)


def test_a_task_that_is_cancelled_hears_no_more() -> None:
    held = Held()
    task = PoolBackend(held).submit(operator.add, 2, 3)
    assert task.cancel()
    assert held.calls[0].cancelled()
    with pytest.raises(CancelledError):
        task.result(0)
    task.give(4)
    task.fail(ValueError())


def test_a_broken_pool_and_one_that_is_shut_down_are_lost() -> None:
    held = Held()
    backend = PoolBackend(held)
    broken, dropped = backend.submit(operator.add, 1, 1), backend.submit(operator.add, 1, 1)
    held.calls[0].set_exception(BrokenExecutor("a process died"))
    held.calls[1].cancel()
    held.calls[1].set_running_or_notify_cancel()
    assert isinstance(broken.exception(0), BackendLost)
    assert isinstance(dropped.exception(0), BackendLost)
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(BackendLost):
        PoolBackend(pool).submit(operator.add, 1, 1)


def test_a_worker_that_is_gone_is_seen() -> None:
    there = ["a", "b"]
    watch = Watch(lambda: there)
    watch.SECONDS = 3600
    tasks = [Task("a"), Task("b")]
    for task in tasks:
        watch.add(task)
    watch.look()
    there.remove("b")
    watch.look()
    watch.close()
    assert not tasks[0].done()
    assert isinstance(tasks[1].exception(0), WorkerLost)


def test_a_census_is_patient() -> None:
    now = [0.0]
    backend = HeldBackend("a", "b")
    worker_count = WorkerCount(backend, 1, now=lambda: now[0])
    worker_count.look()
    assert worker_count.count == 2
    backend.names = []
    now[0] = 20.0
    worker_count.look()
    assert (worker_count.count, worker_count.nobody_left()) == (2, False)
    backend.error = BackendLost("gone")
    now[0] = 40.0
    worker_count.look()
    assert worker_count.nobody_left()
    worker_count.close()


# ---- words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "on", ["", "dask://h:8786", "dask://10.0.0.1:1/", "dask://[::1]:8786", "ipyparallel", "ipyparallel:my-profile"]
)
def test_words_for_engines(on: str) -> None:
    check_words(on)


@pytest.mark.parametrize("on", [
    "dask", "dask://", "dask://h", "dask://u:secret@h:1", "dask://h:port", "dask://h:1/x", "tcp://h:1", "ray://h:1",
    "ipyparallel:", "ipyparallel:../x", "dask://h:1 ",
])  # fmt: skip
def test_words_for_no_engine(on: str) -> None:
    with pytest.raises(UsageError) as error:
        check_words(on)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(("call", "is_for_engine"), [
    (Call(command="pull"), False), (Call(command="pull", options=Options(on="ipyparallel")), True),
    (Call(command="pull", executor=Held()), True),
])  # fmt: skip
def test_calls_for_engines(call: Call, is_for_engine: bool) -> None:
    assert check_call(call) is is_for_engine


# ---- who is there --------------------------------------------------------------------------------------


def test_an_engine_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "COMING_SECONDS", 0.0)
    with pytest.raises(ClusterError, match="no workers"):
        workers_of(HeldBackend())


def test_workers_that_come_again_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([[], [], ["a"]])
    backend = HeldBackend()
    monkeypatch.setattr(backend, "workers", lambda: next(looks))
    monkeypatch.setattr(connect, "PATIENCE_SECONDS", 0.01)
    with pytest.raises(ClusterError, match="a of fake has not answered"):
        workers_of(backend)


def test_every_worker_is_asked_for_its_version() -> None:
    held = Held()
    assert open_backend("", held).workers()
    with ThreadPoolExecutor(2) as pool:  # all in this process, which does one batch at a time
        assert workers_of(PoolBackend(pool)) == ["worker 1"]


def test_a_worker_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "PATIENCE_SECONDS", 0.01)
    with pytest.raises(ClusterError, match="a of fake has not answered"):
        workers_of(HeldBackend("a", "b"))


@pytest.mark.parametrize(("dead", "alive"), [("a", ["b"]), ("b", ["a"]), ("ab", [])])
def test_a_worker_that_dies_while_it_is_asked(dead: str, alive: list[str]) -> None:
    def ask(name: str) -> Task:
        if name in dead:
            raise WorkerLost(f"{name} is gone")
        return Task(name)

    taken: list[str] = []
    backend = HeldBackend("a", "b")
    if alive:
        assert ask_each(backend, ["a", "b"], ask, lambda name, _task: taken.append(name)) == alive == taken
    else:
        with pytest.raises(ClusterError, match="the workers of fake died"):
            ask_each(backend, ["a", "b"], ask, lambda name, _task: taken.append(name))


def test_a_worker_whose_answer_is_lost_is_left_out() -> None:
    def take(name: str, _task: Task) -> None:
        if name == "a":
            raise WorkerLost("gone")

    assert ask_each(HeldBackend("a", "b"), ["a", "b"], Task, take) == ["b"]


def test_an_engine_that_goes_while_it_is_asked() -> None:
    backend = HeldBackend("a")
    backend.error = BackendLost("no answer")
    with pytest.raises(ClusterError, match="fake was lost: no answer"):
        workers_of(backend)
