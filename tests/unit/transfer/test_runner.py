"""The runner, with workers that are fakes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from nbsync.core.model import Action, Evidence, Status, Verb
from nbsync.transfer import runner as module
from nbsync.transfer.concurrency import MAX_WORKERS, Controller
from nbsync.transfer.context import Activity
from nbsync.transfer.runner import Runner


class Hands:
    """A worker that does nothing by itself."""

    def __init__(self) -> None:
        self.activity = Activity()
        self.closed = False

    def close(self) -> None:
        self.closed = True


def action(path: str) -> Action:
    return Action(path, Verb.DOWNLOAD, Status.PLANNED, "", Evidence.NONE)


def runner(do: Callable[[Any, Action], Any], *, jobs: int = 0, make: Callable[[], Any] = Hands) -> Runner[Any]:
    return Runner(make, do, controller=Controller(jobs), cancel=threading.Event(), abort=lambda: None)


@pytest.mark.parametrize("jobs", [0, 1, 3, 50])
def test_everything_is_done_once(jobs: int) -> None:
    made: list[Hands] = []

    def make() -> Hands:
        made.append(Hands())
        return made[-1]

    here = runner(lambda _hands, one: one.path, jobs=jobs, make=make)
    done = []
    for number in range(500):
        here.submit(action(f"{number}"))
        done += here.drain()
    done += here.finish()

    assert sorted(done, key=int) == [f"{number}" for number in range(500)]
    for thread in here._threads:
        thread.join(10)
    assert made
    assert all(hands.closed for hands in made)
    assert len(made) <= (jobs or MAX_WORKERS)


def test_a_system_that_starts_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = threading.Thread.start, []

    def refuse(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    here = runner(lambda _hands, one: one.path, jobs=8)
    for number in range(50):
        here.submit(action(f"{number}"))
    assert len(list(here.finish())) == 50


def test_never_more_at_once_than_jobs() -> None:
    lock, state = threading.Lock(), {"now": 0, "most": 0}
    both = threading.Barrier(2, timeout=20)

    def do(_hands: Any, _one: Action) -> None:
        with lock:
            state["now"] += 1
            state["most"] = max(state["most"], state["now"])
        both.wait()
        with lock:
            state["now"] -= 1

    here = runner(do, jobs=2)
    for number in range(20):
        here.submit(action(f"{number}"))
    assert len(list(here.finish())) == 20
    assert state["most"] == 2


def test_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_LENGTH", 10)
    here = runner(lambda _hands, one: one.path, jobs=2)
    most = 0
    for number in range(200):
        here.submit(action(f"{number}"))
        most = max(most, here._unfinished)
        list(here.drain())
    list(here.finish())
    assert most <= 10


def test_failure_ends_the_run_and_keeps_what_was_done() -> None:
    def do(_hands: Any, one: Action) -> str:
        if one.path == "bad":
            raise ValueError("no credentials")
        return one.path

    here = runner(do, jobs=1)
    for path in ("a", "b", "bad", *"cdefgh"):
        here.submit(action(path))

    assert list(here.finish()) == ["a", "b"]
    assert isinstance(here.failure, ValueError)
    assert here._cancel.is_set()


def test_failure_never_hangs_a_full_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_LENGTH", 5)

    def do(_hands: Any, _one: Action) -> None:
        raise ValueError

    here = runner(do, jobs=2)
    for number in range(50):
        here.submit(action(f"{number}"))
        assert list(here.drain()) == []
    assert list(here.finish()) == []


def test_active_and_bytes() -> None:
    started, go_on = threading.Event(), threading.Event()

    def do(hands: Any, one: Action) -> None:
        hands.activity.begin(one.path, one.verb, 10)
        hands.activity.add(7)
        hands.activity.add(-2)
        started.set()
        go_on.wait(20)
        hands.activity.end()

    here = runner(do, jobs=1)
    here.submit(action("f"))
    started.wait(20)
    assert here.active() == (("f", Verb.DOWNLOAD, 5, 10),)
    go_on.set()
    list(here.finish())
    assert (here.active(), here.bytes_moved()) == ((), 5)


def test_nothing_to_do_starts_no_thread() -> None:
    here = runner(lambda _hands, one: one.path)
    assert list(here.finish()) == []
    assert here._threads == []
