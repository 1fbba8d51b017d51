"""`executor=` with pools of threads and of processes: the rules of the sync hold as on one machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

import nbsync
from nbsync.cluster.backends import dask
from nbsync.cluster.shared import batches, worker
from nbsync.errors import ClusterError, ConfigError, Interrupted, NbsyncError, UsageError
from nbsync.local import lease
from nbsync.wire import transport
from tests.functional.cluster_runs import Grip, kinds, one_version_each, versioned
from tests.functional.world import World

pytestmark = pytest.mark.usefixtures("moto")  # workers are processes


@pytest.fixture(scope="module")
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


@pytest.fixture
def processes(moto: object) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few files each."""
    monkeypatch.setattr(batches, "_FIRST", 4 * batches.FILE_COST)
    monkeypatch.setattr(batches, "_LEAST", 4 * batches.FILE_COST)


def test_a_pull_is_as_planned(world: World, threads: Executor, small_batches: None) -> None:
    for number in range(40):
        world.put(f"d{number % 3}/{number}", b"%d" % number)
    world.put("empty")
    world.put("large", os.urandom(3_000_000))
    result = world.pull(executor=threads)
    assert result.ok
    assert result.counts["miss"] == 42
    assert all(row.worker for row in result)
    assert result.requests["get"] == 42
    assert result.to_dict()["files"][0]["worker"]
    assert "worker" in result.to_pandas().columns
    shown = result._repr_mimebundle_()
    assert all(result.files[0].worker in shown[kind] for kind in shown)


def test_a_push_is_as_planned(world: World, threads: Executor, small_batches: None) -> None:
    for number in range(30):
        world.write(f"d{number % 3}/{number}", b"%d" % number)
    world.write("large", os.urandom(3_000_000))
    assert world.push(executor=threads).counts["miss"] == 31
    world.write("d0/0", b"changed")
    world.unlink("d0/3")
    result = world.push(executor=threads, delete=True)
    assert (result.counts["miss"], result.counts["deleted"]) == (1, 1)


def test_small_files_are_remarkable_no_more_than_without_an_engine(world: World, threads: Executor) -> None:
    world.put("a", b"a")
    assert world.pull(executor=threads).notes == []


def test_without_an_engine_no_row_has_a_worker(world: World) -> None:
    world.put("a")
    result = world.pull()
    assert "worker" not in result.to_dict()["files"][0]
    assert "worker" not in result.to_pandas().columns


def test_what_was_edited_goes_to_the_trash_and_what_is_in_the_way_too(world: World, threads: Executor) -> None:
    world.fill_both("a", "b", "way")
    world.write("a", b"my edit")
    world.put("a", b"theirs")
    world.remove("way")
    world.put("way/inside", b"x")
    world.put("way/more", b"y")
    result = world.pull(executor=threads, delete=True)
    assert result.ok
    assert ("a", b"my edit") in world.trash()
    assert ("way", b"way") in world.trash()
    assert {row.path for row in result if not row.worker} == {"b", "way/inside", "way/more"}
    nbsync.undo(world.local)
    assert world.read("a") == b"my edit"


def test_conflicts_and_failures_are_rows(world: World, threads: Executor) -> None:
    world.fill_both("a", "b")
    world.write("a", b"mine")
    world.put("a", b"theirs")
    world.write("b", b"changed")
    result = world.push(executor=threads)
    assert (result["a"].status, result["b"].status) == ("conflict", "miss")
    assert world.get("a") == b"theirs"


def test_processes_find_their_own_credentials(world: World, processes: Executor) -> None:
    for number in range(20):
        world.put(f"{number}", b"%d" % number)
    result = world.pull(executor=processes)
    assert result.ok
    assert {row.worker.rpartition(":")[2] for row in result} <= {str(pid) for pid in processes._processes}  # type: ignore[attr-defined]


def test_connections_outlive_batches(
    world: World, threads: Executor, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    class Counted(transport.SocketMultiplexer):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            made.append(1)

    monkeypatch.setattr(transport, "SocketMultiplexer", Counted)
    monkeypatch.setattr(batches, "_GROWTH", 1.0)
    for number in range(40):
        world.put(f"{number:02}", b"%d" % number)
    assert world.run("pull", executor=threads).counts["miss"] == 40
    assert len(made) == 1


def test_retry_uses_the_same_executor_and_a_pickle_has_none(world: World, threads: Executor) -> None:
    world.put("a", b"x")
    result = world.pull(executor=threads)
    assert result.call is not None
    assert result.call.executor is threads
    assert pickle.loads(pickle.dumps(result.call)).executor is None
    again = nbsync.pull(local=world.local)  # the last one, repeated
    assert again.call is not None
    assert again.call.executor is None


def test_a_dry_run_makes_nothing(world: World, threads: Executor) -> None:
    world.put("a", b"x")
    result = world.run("pull", executor=threads, dry_run=True)
    assert result.counts["planned"] == 1
    assert not world.local.exists()


def test_a_pool_that_breaks(world: World, processes: ProcessPoolExecutor, small_batches: None) -> None:
    for number in range(60):
        world.put(f"{number:02}", b"x" * 20_000)
    grip = Grip(world, "pull", executor=processes, bandwidth=400_000, jobs=1)
    grip.until_some_is_done()
    os.kill(next(iter(processes._processes)), signal.SIGKILL)
    result = grip.end()
    assert isinstance(result.error, ClusterError)
    assert "lost" in str(result.error)
    assert kinds(result) == {"miss", "cancelled"}
    assert not list((world.local / ".nbsync" / "stage").iterdir())
    done = {row.path for row in result if row.status == "miss"}
    assert all(world.read(path) == b"x" * 20_000 for path in world.files())
    again = world.pull()
    assert again.ok
    assert done <= {row.path for row in again.hits}
    assert not world.trash()


def test_an_interrupt_is_heard_within_a_second(world: World, processes: Executor, small_batches: None) -> None:
    for number in range(40):
        world.put(f"{number:02}", b"x" * 50_000)
    grip = Grip(world, "pull", executor=processes, bandwidth=200_000, jobs=1)
    grip.until_some_is_done()
    started = time.monotonic()
    grip.job.cancel()
    result = grip.end()
    assert time.monotonic() - started < 1.5  # a second, and what a busy machine adds
    assert isinstance(result.error, Interrupted)
    assert kinds(result) == {"miss", "cancelled"}
    assert not list((world.local / ".nbsync" / "stage").iterdir())
    assert world.pull(executor=processes).ok


def test_what_a_lost_worker_had_sent_is_not_sent_again(world: World, threads: Executor) -> None:
    versioned(world)
    for number in range(10):
        world.write(f"{number}", b"%d" % number)
    lossy = Lossy(threads)
    result = world.push(executor=lossy)
    assert lossy.lost
    assert result.counts["miss"] == 10
    assert result.requests["put"] == 0  # those of the lost worker are not known
    one_version_each(world)


def test_what_a_lost_worker_had_fetched_is_not_fetched_again(world: World, threads: Executor) -> None:
    for number in range(10):
        world.put(f"{number}", b"%d" % number)
    result = world.pull(executor=Lossy(threads))
    assert result.counts["miss"] == 10
    assert "had to be done again by other workers: MemoryError: killed" in result.notes[-1]
    assert result.requests["get"] == 0  # those of the lost worker are not known
    assert not world.trash()


def test_what_a_worker_begins_late_that_was_taken_for_lost_is_not_done_twice(
    world: World, threads: Executor, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        world.put(f"{number:02}", b"%d" % number)
    late = Late(threads)
    result = world.pull(executor=late)
    assert late.replies
    assert [reply.outcomes for reply in late.replies] == [[]] * len(late.replies)
    assert (result.counts["miss"], result.requests["get"]) == (12, 12)
    assert not world.trash()


def test_a_worker_that_is_interrupted_is_a_lost_one(world: World, threads: Executor) -> None:
    for number in range(4):
        world.put(f"{number}", b"%d" % number)
    assert world.pull(executor=Lossy(threads, error=KeyboardInterrupt())).counts["miss"] == 4


def test_a_batch_that_is_always_lost_is_given_up(world: World, threads: Executor) -> None:
    world.put("a", b"x")
    result = world.run("pull", executor=Lossy(threads, always=True))
    assert result.error is None
    assert result["a"].status == "failed"
    assert "given up after 3 tries" in str(result["a"].error)


# ---- bad input, before anything moves ------------------------------------------------------------------


class Lossy(Executor):
    """Does what it is told to, and then loses the answer to the first try of each batch, as a worker that dies."""

    def __init__(self, inner: Executor, *, always: bool = False, error: BaseException | None = None) -> None:
        self._inner, self._always, self.lost = inner, always, 0
        self._error = error or MemoryError("killed")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        answer = self._inner.submit(fn, *args, **kwargs)
        called, given = pickle.loads(args[0]) if isinstance(args[0], bytes) else (None, ())
        if called is worker.perform and (self._always or not given[-1]):
            self.lost += 1
            answer.add_done_callback(lambda done: future.set_exception(self._error))
        else:
            answer.add_done_callback(lambda done: future.set_result(done.result()))
        return future


class Late(Executor):
    """Says of the second batch that its worker died, and lets a worker begin it when the next one has been done."""

    def __init__(self, inner: Executor) -> None:
        self._inner, self._held, self._batches = inner, list[Any](), 0
        self.replies: list[worker.Reply] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if isinstance(args[0], bytes) and pickle.loads(args[0])[0] is worker.perform:
            self._batches += 1
            if self._batches == 2:
                self._held.append(args[0])
                future.set_exception(MemoryError("killed"))
                return future
        answer = self._inner.submit(fn, *args, **kwargs)
        answer.add_done_callback(lambda done: self._after(done, future))
        return future

    def _after(self, done: Future[Any], future: Future[Any]) -> None:
        if self._held and self._batches > 2:
            called, given = pickle.loads(self._held.pop())
            self.replies.append(called(*given))
        future.set_result(done.result())


class Elsewhere(Executor):
    """Calls in another Python, which has no package at all."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        code = "import pickle,sys; f,a=pickle.load(sys.stdin.buffer); sys.stdout.buffer.write(pickle.dumps(f(*a)))"
        done = subprocess.run([sys.executable, "-I", "-S", "-c", code], input=pickle.dumps((fn, args)), cwd="/",
                              capture_output=True, check=True)  # fmt: skip
        future: Future[Any] = Future()
        future.set_result(pickle.loads(done.stdout))
        return future


class Older(Executor):
    """Workers with another nbsync."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result("0.0.1")
        return future


def forget_credentials() -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


@pytest.mark.parametrize(("executor", "told"), [(Elsewhere(), "has no nbsync"), (Older(), "has nbsync 0.0.1")])
def test_a_worker_without_this_nbsync(world: World, executor: Executor, told: str) -> None:
    world.put("a", b"x")
    error = world.refused("pull", executor=executor)
    assert isinstance(error, ClusterError)
    assert told in str(error)
    assert "pip install" in str(error)


def test_a_worker_that_does_not_see_local(world: World, threads: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    issue = lease.issue
    monkeypatch.setattr(lease, "issue", lambda stage: issue(str(world.sandbox)))
    world.put("a", b"x")
    error = world_error(world, executor=threads)
    assert "does not see" in str(error)
    assert "--spread each" in str(error)
    assert not world.files()


def test_a_worker_without_credentials(world: World) -> None:
    world.put("a", b"x")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=forget_credentials) as pool:
        error = world_error(world, executor=pool)
    assert not world.files()
    assert isinstance(error, ClusterError)
    assert "no AWS credentials" in str(error)
    assert "worker 1 of ProcessPoolExecutor" in str(error)


def test_a_scheduler_that_does_not_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "TIMEOUT_SECONDS", 0.3)
    world.put("a", b"x")
    error = world.refused("pull", on="dask://127.0.0.1:1")
    assert isinstance(error, ClusterError)
    assert "does not answer" in str(error)


@pytest.mark.parametrize(("on", "module"), [("dask://h:1", "distributed"), ("ipyparallel", "ipyparallel")])
def test_an_engine_that_is_not_installed(world: World, on: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    world.put("a", b"x")
    error = world.refused("pull", on=on)
    assert isinstance(error, ClusterError)
    assert f"nbsync-s3[{on.partition(':')[0]}]" in str(error)


def test_a_profile_in_which_no_cluster_runs(world: World) -> None:
    world.put("a", b"x")
    assert "no IPython profile 'none'" in str(world.refused("pull", on="ipyparallel:none"))


def test_a_pool_that_was_shut_down(world: World) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    world.put("a", b"x")
    assert isinstance(world.refused("pull", executor=pool), ClusterError)


@pytest.mark.parametrize("options", [
    {"spread": "shared"}, {"on": "slurm://x"}, {"on": "dask://host"}, {"executor": 4}, {"executor": print},
    {"on": "dask://h:1", "executor": ThreadPoolExecutor(1)}, {"spread": "wide", "on": "dask://h:1"},
])  # fmt: skip
def test_words_that_make_no_sense(world: World, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        nbsync.pull(world.remote, world.local, **options)
    assert not world.local.exists()


def test_plan_takes_no_engine(world: World, threads: Executor) -> None:
    with pytest.raises(UsageError):
        nbsync.plan("pull", world.remote, world.local, executor=threads)
    with pytest.raises(UsageError):
        nbsync.plan("pull", world.remote, world.local, on="dask://h:1")


def world_error(world: World, **options: Any) -> NbsyncError:
    error = world.run("pull", **options).error
    assert error is not None
    assert not isinstance(error, ConfigError)
    return error
