"""The runner and its tuner, with workers and clocks that are fakes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from nbsync.core.model import Action, Evidence, Status, Verb
from nbsync.transfer import runner as module
from nbsync.transfer.context import Slot
from nbsync.transfer.runner import MAX_WORKERS, START_WORKERS, Gate, Runner, Tuner


class Hands:
    """A worker that does nothing by itself."""

    def __init__(self) -> None:
        self.slot = Slot()
        self.closed = False

    def close(self) -> None:
        self.closed = True


def action(path: str) -> Action:
    return Action(path, Verb.DOWNLOAD, Status.PLANNED, "", Evidence.NONE)


def runner(do: Callable[[Any, Action], Any], *, jobs: int = 0, make: Callable[[], Any] = Hands) -> Runner[Any]:
    return Runner(make, do, jobs=jobs, cancel=threading.Event(), abort=lambda: None)


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
        hands.slot.begin(one.path, one.verb, 10)
        hands.slot.add(7)
        hands.slot.add(-2)
        started.set()
        go_on.wait(20)
        hands.slot.end()

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


class Fakes:
    """A tuner with a clock, a processor and a rate that the test sets."""

    def __init__(self) -> None:
        self.now = self.cpu = 0.0
        self.gate = Gate(START_WORKERS)
        self.tuner = Tuner(self.gate, now=lambda: self.now, cpu=lambda: self.cpu)

    def interval(self, rate: float, *, busy: float = 0.1, waiting: int = 1000) -> int:
        """One interval at `rate` files a second; the limit after it."""
        self.now += 1.0
        self.cpu += busy
        self.tuner.done += int(rate)
        self.tuner.tick(waiting)
        return self.gate.limit


def test_tuner_grows_while_that_helps() -> None:
    fakes = Fakes()
    assert [fakes.interval(rate) for rate in (100, 200, 400, 410, 400)] == [8, 16, 32, 32, 32]


def test_tuner_has_a_ceiling() -> None:
    fakes = Fakes()
    assert max(fakes.interval(100 * 2**n) for n in range(20)) == MAX_WORKERS


def test_tuner_does_not_grow_on_a_busy_processor() -> None:
    fakes = Fakes()
    assert [fakes.interval(rate, busy=0.9) for rate in (100, 200, 400)] == [START_WORKERS] * 3


def test_tuner_does_not_grow_without_work() -> None:
    fakes = Fakes()
    assert [fakes.interval(rate, waiting=0) for rate in (100, 200, 400)] == [START_WORKERS] * 3


def test_tuner_looks_once_an_interval() -> None:
    fakes = Fakes()
    fakes.now += Tuner.INTERVAL_SECONDS / 2
    fakes.tuner.tick(1000)
    assert fakes.gate.limit == START_WORKERS


def test_slow_down_halves_and_stays() -> None:
    fakes = Fakes()
    for rate in (100, 200, 400):
        fakes.interval(rate)
    fakes.tuner.slow_down()
    assert fakes.gate.limit == 16
    assert max(fakes.interval(1000 * 2**n) for n in range(40)) == 16
    for _ in range(10):
        fakes.tuner.slow_down()
    assert fakes.gate.limit == 1


def test_gate_lets_no_more_through() -> None:
    gate, inside, entered = Gate(1), [], threading.Event()

    def enter() -> None:
        with gate:
            inside.append(1)
            entered.set()

    with gate:
        thread = threading.Thread(target=enter, daemon=True)
        thread.start()
        assert not inside
        gate.set(2)
        assert entered.wait(20)
    thread.join(20)
