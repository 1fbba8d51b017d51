"""Dask's futures as Tasks: what each of their ends means."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import pytest

from nbsync.cluster.backends.base import BackendLost, WorkerLost
from nbsync.cluster.backends.dask import DaskBackend


class KilledWorker(Exception):
    """As distributed's: known by its name."""


class Future:
    """Ends when the test says how."""

    def __init__(self) -> None:
        self.status, self.value, self.error = "pending", None, None
        self.released = False

    def add_done_callback(self, call: Callable[[Any], None]) -> None:
        self.call = call

    def end(self, status: str, value: Any = None, error: Any = None) -> None:
        self.status, self.value, self.error = status, value, error
        self.call(self)

    def result(self, timeout: float) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value

    def exception(self, timeout: float) -> Any:
        return self.error

    def release(self) -> None:
        self.released = True


class Client:
    """Two workers."""

    def __init__(self) -> None:
        self.status = "running"
        self.there = {"tcp://10.0.0.1:1": 1, "tcp://10.0.0.2:1": 1}
        self.submitted: list[dict[str, Any]] = []
        self.futures: list[Future] = []
        self.interrupted: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def scheduler_info(self, n_workers: int = 5) -> dict[str, Any]:
        return {"workers": {address: {"name": number} for number, address in enumerate(self.nthreads())}}

    def nthreads(self) -> dict[str, int]:
        return self.there

    def run(self, call: Any, packed: bytes, *, workers: list[str], on_error: str) -> None:
        self.interrupted.put(workers)

    def submit(self, function: Any, *args: Any, **where: Any) -> Future:
        self.submitted.append(where)
        self.futures.append(Future())
        return self.futures[-1]


@pytest.mark.parametrize(("client", "status", "given", "expected"), [
    ("running", "finished", {"value": 5}, None),
    ("running", "finished", {"value": OSError("its worker is gone")}, WorkerLost),
    ("running", "lost", {}, WorkerLost),
    ("running", "cancelled", {}, WorkerLost),
    ("connecting", "cancelled", {}, BackendLost),
    ("closed", "cancelled", {}, BackendLost),
    ("running", "error", {"error": KilledWorker()}, WorkerLost),
    ("running", "error", {"error": ValueError("of the function")}, ValueError),
])  # fmt: skip
def test_ends(client: str, status: str, given: dict[str, Any], expected: type[Exception] | None) -> None:
    there = Client()
    task = DaskBackend(there, "dask://h:1", owned=False).ask(int)
    there.status = client
    there.futures[0].end(status, **given)
    if expected is None:
        assert task.result(0) == given["value"]
    else:
        assert isinstance(task.exception(0), expected)
    assert there.futures[0].released


def test_dask_says_who_does_what_anybody_may_do() -> None:
    there = Client()
    DaskBackend(there, "dask://h:1", owned=False).ask(int)
    assert not there.submitted[0].keys() & {"workers", "allow_other_workers"}


def test_what_is_for_one_worker_goes_nowhere_else() -> None:
    there = Client()
    backend = DaskBackend(there, "dask://h:1", owned=False)
    backend.ask(int, worker="10.0.0.2:1")
    assert there.submitted[0]["workers"] == ["tcp://10.0.0.2:1"]
    assert not there.submitted[0]["allow_other_workers"]
    with pytest.raises(WorkerLost):
        backend.ask(int, worker="10.0.0.3:1")
    backend.close()


@pytest.mark.parametrize("name", ["10.0.0.2", "10.0.0.2:1", "tcp://10.0.0.2:1", "1"])
def test_workers_are_meant_by_address_host_or_name(name: str) -> None:
    assert DaskBackend(Client(), "dask://h:1", owned=False, among=frozenset({name})).workers() == ["10.0.0.2:1"]


def test_only_those_that_are_meant() -> None:
    there = Client()
    backend = DaskBackend(there, "dask://h:1", owned=False, among=frozenset({"10.0.0.2"}), resources={"GPU": 1})
    assert backend.workers() == ["10.0.0.2:1"]
    backend.ask(int)
    assert there.submitted[0]["workers"] == ["10.0.0.2"]
    assert there.submitted[0]["resources"] == {"GPU": 1}
    assert not there.submitted[0]["allow_other_workers"]


def test_an_interrupt_finds_a_worker_whose_address_was_forgotten() -> None:
    there = Client()
    backend = DaskBackend(there, "dask://h:1", owned=False)
    backend.interrupt(int, worker="10.0.0.2:1")
    assert there.interrupted.get(timeout=5) == ["tcp://10.0.0.2:1"]
    with pytest.raises(WorkerLost):
        backend.interrupt(int, worker="10.0.0.3:1")
