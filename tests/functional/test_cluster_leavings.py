"""What workers leave when they die, and what those do that come to life again: nothing of it harms LOCAL or REMOTE."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

from nbsync.cluster.shared import batches, worker
from nbsync.core.model import Action, Kind, LocalEntry
from nbsync.errors import Interrupted
from nbsync.local import lease
from nbsync.local.record import RemoteName
from nbsync.local.shared_dir import SharedJournal
from tests.functional.cluster_runs import Grip, kinds
from tests.functional.world import World

pytestmark = pytest.mark.usefixtures("moto")  # workers are processes


@pytest.fixture
def processes(moto: object) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("engine", [True, False])
def test_the_parts_that_a_dead_worker_had_sent_are_aborted(world: World, engine: bool) -> None:
    """Also by a run without an engine, and if the coordinator had died with it."""
    world.fill_both("a")
    stage = str(world.local / ".nbsync" / "stage")
    s3 = world.server.s3
    upload = s3.create_multipart_upload(Bucket=world.bucket, Key="p/large")["UploadId"]
    s3.upload_part(Bucket=world.bucket, Key="p/large", UploadId=upload, PartNumber=1, Body=b"part")
    remote = RemoteName(world.server.endpoint_url, world.bucket, "p/")
    journal = SharedJournal(stage, lease.issue(stage), remote)
    local = LocalEntry("large", Kind.FILE, 5, 1, 2, 3)
    journal.began(journal.intend_upload(local, "p/large", "", 8), upload)

    world.write("b", b"x")
    with ThreadPoolExecutor(1) as pool:
        assert world.run("push", **({"executor": pool} if engine else {})).ok
    assert not s3.list_multipart_uploads(Bucket=world.bucket).get("Uploads")
    world.no_staging_left()


def test_a_worker_that_wakes_after_the_run_touches_nothing(
    world: World, processes: ProcessPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_FIRST", 4 * batches.FILE_COST)
    for number in range(40):
        world.put(f"{number:02}", b"x" * 50_000)
    grip = Grip(world, "pull", executor=processes, bandwidth=200_000, jobs=1)
    grip.until_some_is_done()
    for pid in processes._processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        grip.job.cancel()
        result = grip.end()
        assert isinstance(result.error, Interrupted)
        assert kinds(result) <= {"miss", "cancelled"}
        for number in range(40):
            world.write(f"{number:02}", b"my own edit")
    finally:
        for pid in processes._processes:
            os.kill(pid, signal.SIGCONT)
    processes.shutdown(wait=True)  # what was under way has ended
    assert set(world.files().values()) == {b"my own edit"}
    world.no_staging_left()


def test_a_batch_that_waited_for_its_turn_until_the_run_was_over(
    world: World, moto: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread is the engine's, which wants it back."""
    performed: list[tuple[worker.Session, Sequence[Action]]] = []
    perform = worker.Session.perform

    def noting(session: worker.Session, number: int, actions: Sequence[Action], again: bool) -> Any:
        performed.append((session, actions))
        return perform(session, number, actions, again)

    monkeypatch.setattr(worker.Session, "perform", noting)
    world.put("a", b"x" * (3 << 20))  # nothing for the lane
    with ThreadPoolExecutor(1) as pool:
        assert world.run("pull", executor=pool, jobs=1).ok
    for thread in threading.enumerate():
        if thread.name == "nbsync-shared-worker":
            thread.join(10)
    session, actions = performed[0]
    last: Future[Any] = Future()
    threading.Thread(target=lambda: last.set_result(perform(session, 2, actions, False)), daemon=True).start()
    assert last.result(10) == ([], None)


def test_a_forked_pool(world: World, moto: object) -> None:
    """The default on Linux until Python 3.14: its processes begin in the midst of this one's."""
    for number in range(20):
        world.put(f"{number}", b"%d" % number)
    with ThreadPoolExecutor(1) as threads:  # a session of this process
        assert world.run("pull", executor=threads).ok
    for number in range(20):
        world.write(f"{number}", b"changed %d" % number)
    forked: Executor = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"))
    with forked:
        result = world.push(executor=forked)
    assert result.ok
    assert str(os.getpid()) not in {row.worker.rpartition(":")[2] for row in result}
