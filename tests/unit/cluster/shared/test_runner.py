"""The runner on a backend's workers: what is sent when, and what becomes of batches whose workers are lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbsync.cluster.backends.base import BackendLost, Task, WorkerLost
from nbsync.cluster.backends.remote_call import Run
from nbsync.cluster.shared import dispatch
from nbsync.cluster.shared.runner import SharedRunner
from nbsync.cluster.shared.worker import Reply
from nbsync.core.model import Action, Evidence, Outcome, RemoteEntry, Status, Verb
from nbsync.core.options import Options
from nbsync.errors import ClusterError, ConfigError
from nbsync.local import lease
from nbsync.transfer.concurrency import Controller
from nbsync.transfer.runner import Runner
from nbsync.wire.client import RequestCounts
from tests.unit.cluster.held import HeldBackend


class Coordinator:
    """Workers that are fit for everything."""

    def __init__(self, stage: Path, *names: str) -> None:
        self.backend = HeldBackend(*names)
        self.names = list(names)
        self.notes: list[str] = []
        self.unconfirmed = self.revoked = False
        self._spec = SimpleNamespace(place=str(stage.parent), run_lease=lease.Lease("0" * 16, ""))

    def prepare(self, ctx: Any) -> Any:
        return self._spec

    def revoke(self) -> None:
        self.revoked = True


class Scene:
    """A runner, and hands on both of its sides."""

    def __init__(self, tmp_path: Path, *names: str) -> None:
        self.coordinator: Any = Coordinator(tmp_path / "stage", *names)
        self.cancel = threading.Event()
        self.counts = RequestCounts()
        ctx: Any = SimpleNamespace(cancelled=self.cancel.is_set, cancel=self.cancel, options=Options(bandwidth=1000),
                                   bucket=SimpleNamespace(counts=self.counts))  # fmt: skip
        self.here: list[str] = []
        own: Runner[Outcome] = Runner(self._hands, self._do_here, controller=Controller(1), cancel=self.cancel,
                                      abort=lambda: None)  # fmt: skip
        self.now = 0.0
        self.on_sleep: Callable[[float], object] = lambda _seconds: None
        self.runner = SharedRunner(self.coordinator, ctx, own, now=self._tick, sleep=self._pause)
        self.taken = 0

    def _pause(self, seconds: float) -> None:
        self.on_sleep(seconds)

    def _tick(self) -> float:
        self.now += 0.02
        return self.now

    @staticmethod
    def _hands() -> Any:
        return SimpleNamespace(activity=SimpleNamespace(path="", moved=0, kept=0), close=lambda: None)

    def _do_here(self, _worker: Any, action: Action) -> Outcome:
        self.here.append(action.path)
        return outcome(action)

    def submit(self, *paths: str, **more: Any) -> None:
        for path in paths:
            self.runner.submit(action(path, **more))

    def turn(self) -> list[Outcome]:
        self.now += 1.0
        return list(self.runner._step())

    def new(self) -> list[tuple[Task, list[Action], bool]]:
        """Batches that were sent since the last time: (task, Actions, is it done again?)."""
        sent, self.taken = self.coordinator.backend.sent[self.taken :], len(self.coordinator.backend.sent)
        found = []
        self.bandwidths: list[int] = []
        for task, _, (packed,) in sent:
            assert isinstance(packed, bytes)
            _, (_, _, actions, bandwidth, again) = unpack(packed)
            self.bandwidths.append(bandwidth)
            found.append((task, actions, again))
        return found

    def answer(self, task: Task, actions: list[Action], **more: Any) -> None:
        task.give(Reply([outcome(one) for one in actions], {"get": len(actions)}, 1.0, [], "w", **more))


def unpack(packed: bytes) -> Any:
    import pickle

    return pickle.loads(packed)


def action(path: str, size: int = 0, **more: Any) -> Action:
    remote = RemoteEntry(path, path, size, "e", 0)
    return Action(path, Verb.DOWNLOAD, Status.PLANNED, "r", Evidence.NONE, remote=remote)._replace(**more)


def outcome(one: Action, status: Status = Status.MISS) -> Outcome:
    return Outcome(one.path, one.verb, status, one.reason, one.evidence, one.bytes)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    (tmp_path / "stage").mkdir()
    made = Scene(tmp_path, "a", "b")
    yield made
    if made.runner._worker_count is not None:
        made.runner._worker_count.close()


def test_everything_is_done_once_and_bears_its_worker(scene: Scene) -> None:
    paths = [f"{number:04}" for number in range(500)]
    scene.submit(*paths)
    done: list[Outcome] = []
    ending = scene.runner.finish()

    def serve(_seconds: float) -> None:
        for task, actions, _ in scene.new():
            scene.answer(task, actions)

    scene.on_sleep = serve
    done += ending
    assert sorted(one.path for one in done) == paths
    assert {one.worker for one in done} == {"w"}


def test_a_lost_batch_is_done_again_and_given_up_in_the_end(scene: Scene) -> None:
    scene.submit("a")
    for tries in range(dispatch.TRIES):
        scene.turn()
        ((task, actions, again),) = scene.new()
        assert again is (tries > 0)
        assert [one.path for one in actions] == ["a"]
        task.fail(WorkerLost("it died"))
    (failed,) = scene.turn()
    assert (failed.status, failed.problem) == (Status.FAILED, "failed")
    assert "given up after 3 tries: it died" in str(failed.error)
    assert scene.coordinator.unconfirmed
    assert scene.runner.failure is None


def test_what_a_worker_stopped_without_being_asked_is_done_again(scene: Scene) -> None:
    scene.submit("a", "b")
    scene.turn()
    found = scene.new()
    for task, actions, _ in found:
        task.give(Reply([outcome(one, Status.CANCELLED) for one in actions], {}, 1.0, [], "w"))
    assert scene.turn() == []
    assert [again for _, _, again in scene.new()] == [True] * len(found)


def test_a_lost_engine_ends_the_run_and_tells_of_all_that_waited(scene: Scene) -> None:
    scene.submit(*(f"{number:04}" for number in range(1000)))
    scene.turn()
    found = scene.new()
    scene.answer(*found[0][:2])
    found[1][0].fail(BackendLost("the scheduler is gone"))
    scene.turn()
    ended = list(scene.runner.finish())
    assert isinstance(scene.runner.failure, ClusterError)
    assert "fake was lost: the scheduler is gone" in str(scene.runner.failure)
    assert {one.status for one in ended} <= {Status.MISS, Status.CANCELLED}
    assert scene.cancel.is_set()
    assert scene.coordinator.revoked


def test_a_worker_s_own_refusal_ends_the_run_with_its_name(scene: Scene) -> None:
    scene.submit("a")
    scene.turn()
    ((task, _, _),) = scene.new()
    task.worker = "b"
    task.fail(ConfigError("the login has expired", "Log in again"))
    (ended, *_) = [*scene.turn(), *scene.runner.finish()]
    assert ended.status is Status.CANCELLED
    assert str(scene.runner.failure) == "b of fake: the login has expired. Log in again"


def test_a_worker_that_comes_later_and_is_not_fit_gets_nothing_more(scene: Scene) -> None:
    scene.coordinator.backend.names.append("c")
    scene.submit("a", "b", "c")
    scene.turn()
    for task, _, _ in scene.new():
        task.worker = "c"
        task.fail(ConfigError("no credentials found"))
    assert scene.turn() == []
    done = []
    while sent := scene.new():
        assert {task.worker for task, _, _ in sent} <= {"a", "b"}
        for task, actions, again in sent:
            assert not again
            scene.answer(task, actions)
        done += [one.path for one in scene.turn()]
    assert sorted(done) == ["a", "b", "c"]
    assert scene.runner.failure is None
    assert scene.coordinator.notes == ["c came during the run, and was given nothing to do: no credentials found"]


def test_staging_that_cannot_be_written_ends_the_run(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lease, "begin_batch", full)
    scene.submit("a")
    assert [one.status for one in [*scene.turn(), *scene.runner.finish()]] == [Status.CANCELLED]
    assert "No space left on device" in str(scene.runner.failure)


def test_a_worker_that_is_gone_before_it_is_sent_anything_costs_no_try(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.submit("a")
    scene.coordinator.backend.error = WorkerLost("gone")
    for _ in range(5):
        scene.turn()
    scene.coordinator.backend.error = None
    scene.turn()
    ((task, actions, again),) = scene.new()
    assert not again
    scene.answer(task, actions)
    assert [one.path for one in scene.runner.finish()] == ["a"]


def test_nobody_fit_is_left(scene: Scene) -> None:
    scene.coordinator.backend.names[:] = ["c"]
    scene.submit("a")
    scene.turn()
    ((task, _, _),) = scene.new()
    task.worker = "c"
    task.fail(ConfigError("no credentials found"))
    assert [one.status for one in [*scene.turn(), *scene.runner.finish()]] == [Status.CANCELLED]
    assert "only c is left" in str(scene.runner.failure)


def test_what_ended_before_a_failure_counts(scene: Scene) -> None:
    scene.submit("a", "b")
    scene.turn()
    task, actions, _ = scene.new()[0]
    task.give(Reply([outcome(actions[0])], {}, 1.0, [], "w", ConfigError("gone")))
    ended = [*scene.turn(), *scene.runner.finish()]
    assert {one.path: one.status for one in ended} == {"a": Status.MISS, "b": Status.CANCELLED}


def test_an_interrupt_ends_all_of_it(scene: Scene) -> None:
    scene.submit(*(f"{number:04}" for number in range(1000)))
    scene.turn()
    scene.cancel.set()
    ended = list(scene.runner.finish())
    assert len(ended) == 1000
    assert {one.status for one in ended} == {Status.CANCELLED}
    assert scene.coordinator.revoked
    assert scene.runner.failure is None


def test_what_a_worker_stopped_after_an_interrupt_is_told_of_once(scene: Scene) -> None:
    scene.submit("a", "b", "c", "d")
    scene.turn()
    scene.cancel.set()
    for task, actions, _ in scene.new():
        task.give(
            Reply([outcome(actions[0]), *(outcome(one, Status.CANCELLED) for one in actions[1:])], {}, 1, [], "w")
        )
    ended = list(scene.runner.finish())
    assert sorted(one.path for one in ended) == ["a", "b", "c", "d"]


def test_what_a_worker_refused_after_an_interrupt_is_no_failure(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.submit("a", "b", "c")
    scene.turn()
    under_way = scene.new()

    def revoke() -> None:
        for task, _, _ in under_way:
            task.fail(ClusterError("it does not see LOCAL"))  # for there is no permit

    monkeypatch.setattr(scene.coordinator, "revoke", revoke)
    scene.cancel.set()
    ended = list(scene.runner.finish())
    assert {one.error for one in ended} == {"stopped"}
    assert scene.runner.failure is None


def test_what_is_in_the_way_and_deletions_stay_here(scene: Scene) -> None:
    scene.submit("way/a", in_the_way="way")
    scene.submit("gone", verb=Verb.DELETE_LOCAL)
    assert sorted(one.path for one in scene.runner.finish()) == ["gone", "way/a"]
    assert sorted(scene.here) == ["gone", "way/a"]
    assert scene.new() == []


def test_the_bandwidth_is_shared_by_those_who_are_there(scene: Scene) -> None:
    scene.submit(*(f"{number:04}" for number in range(2000)))
    scene.turn()
    first = scene.new()
    assert set(scene.bandwidths) == {500}
    scene.coordinator.backend.names[:] = ["a", "b", "c"]
    scene.runner._worker_count.look()  # type: ignore[union-attr]
    scene.answer(*first[0][:2])
    scene.turn()
    scene.new()
    assert set(scene.bandwidths) == {334}


def test_no_worker_for_long_ends_the_run(scene: Scene) -> None:
    scene.submit("a")
    worker_count: Any = scene.runner._worker_count
    worker_count.nobody_left = lambda: True
    (ended,) = [*scene.turn(), *scene.runner.finish()]
    assert ended.status is Status.CANCELLED
    assert "no workers" in str(scene.runner.failure)


def test_a_run_travels_by_name() -> None:
    assert unpack(__import__("pickle").dumps(Run())).__class__ is Run
