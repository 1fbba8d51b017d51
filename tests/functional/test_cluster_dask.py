"""`--on dask://…` on a real scheduler with workers in processes of their own, some of which die on the way."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsync.cli import main
from nbsync.cluster.shared import batches
from nbsync.errors import ClusterError, Interrupted, NbsyncError
from tests.functional.cluster_runs import Grip, kinds, one_version_each, versioned
from tests.functional.clusters import DaskCluster
from tests.functional.world import World
from tests.servers import Server

pytestmark = pytest.mark.usefixtures("moto")  # workers are processes

MiB = 1 << 20


@pytest.fixture(scope="module")
def cluster(moto_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    made = DaskCluster(tmp_path_factory.mktemp("dask"), moto_server.env())
    try:
        made.add_worker()
        made.add_worker()
        yield made
    finally:
        made.stop()


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_FIRST", 4 * batches.FILE_COST)
    monkeypatch.setattr(batches, "_LEAST", 4 * batches.FILE_COST)


def filled(world: World, count: int, size: int) -> None:
    for number in range(count):
        world.put(f"{number:03}", b"%03d" % number * (size // 3))


def test_a_pull_and_a_push_are_as_planned(world: World, cluster: DaskCluster) -> None:
    filled(world, 30, 300)
    world.put("large", b"l" * (40 * MiB))
    result = world.pull(on=cluster.on)
    assert len({row.worker for row in result}) == 2
    for number in range(30):
        world.write(f"{number:03}", b"changed %d" % number)
    world.write("larger", b"m" * (40 * MiB))
    assert world.push(on=cluster.on, spread="shared").counts["miss"] == 31


def test_the_client_s_executor(world: World, cluster: DaskCluster) -> None:
    import distributed

    filled(world, 10, 300)
    with distributed.Client(f"tcp://{cluster.address}", set_as_default=False) as client:
        result = world.pull(executor=client.get_executor(pure=False))
        assert client.status == "running"
    assert {row.worker for row in result} <= {one.partition("://")[2] for one in client_workers(cluster)}


def test_only_the_workers_that_the_executor_is_for(world: World, cluster: DaskCluster) -> None:
    import distributed

    filled(world, 10, 300)
    with distributed.Client(f"tcp://{cluster.address}", set_as_default=False) as client:
        chosen = sorted(client.nthreads())[1]
        result = world.pull(executor=client.get_executor(pure=False, workers=[chosen]))
    assert {row.worker for row in result} == {chosen.partition("://")[2]}


def test_a_client_that_was_closed(world: World, cluster: DaskCluster) -> None:
    import distributed

    filled(world, 1, 300)
    with distributed.Client(f"tcp://{cluster.address}", set_as_default=False) as client:
        executor = client.get_executor(pure=False)
    error = world.refused("pull", executor=executor)
    assert isinstance(error, ClusterError)
    assert "is closed" in str(error)


def test_an_asynchronous_client_is_refused(world: World, cluster: DaskCluster) -> None:
    """It would wait for its event loop, which waits for the run."""
    import distributed

    filled(world, 1, 300)

    async def pull() -> NbsyncError:
        async with distributed.Client(f"tcp://{cluster.address}", asynchronous=True, set_as_default=False) as client:
            return world.refused("pull", executor=client.get_executor(pure=False))

    assert "is asynchronous" in str(asyncio.run(asyncio.wait_for(pull(), 20)))


def test_a_key_file_is_found_from_where_workers_stand(
    world: World, cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.sandbox)
    Path("key").write_bytes(b"k" * 32)
    world.write("a", b"content")
    result = world.run("push", on=cluster.on, sse_c_key_file="key")
    assert result.counts["miss"] == 1, result.error


def client_workers(cluster: DaskCluster) -> list[str]:
    import distributed

    with distributed.Client(f"tcp://{cluster.address}", set_as_default=False) as client:
        return list(client.nthreads())


def test_on_the_command_line(world: World, cluster: DaskCluster) -> None:
    filled(world, 5, 300)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main.main(["pull", world.remote, str(world.local), "--on", cluster.on, "--json"]) == 0
    document = json.loads(out.getvalue())
    assert {file["worker"] for file in document["files"]} <= {
        one.partition("://")[2] for one in client_workers(cluster)
    }


def test_a_worker_killed_during_a_pull(world: World, cluster: DaskCluster) -> None:
    filled(world, 60, 30_000)
    doomed = cluster.add_worker()
    grip = Grip(world, "pull", on=cluster.on, bandwidth=900_000, jobs=1)
    grip.until_some_is_done(4)
    doomed.kill()
    result = grip.end()
    assert result.error is None, result.error
    assert kinds(result) == {"miss"}
    assert len(result) == 60
    assert world.files() == world.objects()
    world.no_staging_left()
    assert not world.trash()
    world.silent("pull")


def test_a_worker_killed_during_a_push_uploads_nothing_twice(world: World, cluster: DaskCluster) -> None:
    versioned(world)
    for number in range(60):
        world.write(f"{number:03}", b"%03d" % number * 10_000)
    world.write("large", b"l" * (40 * MiB))
    doomed = cluster.add_worker()
    grip = Grip(world, "push", on=cluster.on, bandwidth=20_000_000, jobs=2)
    grip.until_some_is_done(1)
    doomed.kill()
    result = grip.end()
    assert result.error is None, result.error
    assert kinds(result) == {"miss"}
    assert world.objects() == world.files()
    one_version_each(world)
    uploads = world.server.s3.list_multipart_uploads(Bucket=world.bucket).get("Uploads", [])
    assert not uploads
    world.no_staging_left()


def test_an_interrupt(world: World, cluster: DaskCluster) -> None:
    filled(world, 60, 30_000)
    grip = Grip(world, "pull", on=cluster.on, bandwidth=300_000, jobs=1)
    grip.until_some_is_done()
    started = time.monotonic()
    grip.job.cancel()
    result = grip.end()
    assert time.monotonic() - started < 2.0  # a second, and what a busy machine adds
    assert isinstance(result.error, Interrupted)
    assert kinds(result) == {"miss", "cancelled"}
    assert world.pull(on=cluster.on).ok


def test_a_coordinator_that_is_killed(world: World, cluster: DaskCluster) -> None:
    """Its workers stop as soon as the next run is there, which does the rest."""
    filled(world, 60, 30_000)
    command = [sys.executable, "-m", "nbsync", "pull", world.remote, str(world.local), "--on", cluster.on,
               "--bandwidth", "300kB/s", "--jobs", "1", "--quiet"]  # fmt: skip
    coordinator = subprocess.Popen(command)
    while len(world.files() if world.local.exists() else {}) < 2:
        assert coordinator.poll() is None
        time.sleep(0.02)
    coordinator.kill()
    coordinator.wait()
    result = world.run("pull", on=cluster.on)
    assert result.ok
    assert result.counts["hit"] >= 2
    assert world.files() == world.objects()
    assert not world.trash()
    world.no_staging_left()
    world.silent("pull")


def test_a_worker_without_credentials_is_named(world: World, moto_server: Server, cluster: DaskCluster) -> None:
    filled(world, 3, 300)
    poor = cluster.add_worker(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    try:
        result = world.run("pull", on=cluster.on)
    finally:
        poor.kill()
        poor.wait()
    assert isinstance(result.error, ClusterError)
    assert "no AWS credentials" in str(result.error)
    assert f"of {cluster.on}" in str(result.error)
    assert not world.files()


def test_others_go_on_when_all_workers_are_killed(world: World, cluster: DaskCluster) -> None:
    filled(world, 60, 30_000)
    grip = Grip(world, "pull", on=cluster.on, bandwidth=900_000, jobs=1)
    grip.until_some_is_done(4)
    cluster.kill_workers()
    cluster.add_worker()
    result = grip.end()
    assert result.error is None, result.error
    assert kinds(result) == {"miss"}
    assert world.files() == world.objects()
    assert not world.trash()
    world.silent("pull")


def test_a_worker_that_retires_while_it_is_at_work(world: World, cluster: DaskCluster) -> None:
    """As adaptive clusters do it: Dask gives its task to another one, and does not stop it."""
    import distributed

    filled(world, 60, 30_000)
    cluster.add_worker()
    grip = Grip(world, "pull", on=cluster.on, bandwidth=400_000, jobs=1)
    grip.until_some_is_done(4)
    with distributed.Client(f"tcp://{cluster.address}", set_as_default=False) as client:
        client.retire_workers([sorted(client.nthreads())[0]])
    result = grip.end()
    assert result.error is None, result.error
    assert kinds(result) == {"miss"}
    assert world.files() == world.objects()
    assert not world.trash()
    world.no_staging_left()


def test_a_scheduler_that_is_lost(world: World, cluster: DaskCluster) -> None:
    """The last test of the module: the cluster is gone afterwards."""
    filled(world, 60, 30_000)
    grip = Grip(world, "pull", on=cluster.on, bandwidth=300_000, jobs=1)
    grip.until_some_is_done()
    cluster.kill_scheduler()
    result = grip.end()
    assert isinstance(result.error, ClusterError)
    assert "was lost" in str(result.error)
    assert kinds(result) == {"miss", "cancelled"}
    done = {row.path for row in result if row.status == "miss"}
    again = world.pull()
    assert again.ok
    assert done <= {row.path for row in again.hits}
    assert not world.trash()
