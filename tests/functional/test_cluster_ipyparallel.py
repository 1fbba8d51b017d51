"""`--on ipyparallel` on a real controller with engines in processes of their own, one of which dies on the way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nbsync.cluster.shared import batches
from nbsync.errors import ClusterError
from tests.functional.cluster_runs import Grip, kinds, one_version_each, versioned
from tests.functional.clusters import IpyparallelCluster
from tests.functional.world import World
from tests.servers import Server

pytestmark = pytest.mark.usefixtures("moto")  # workers are processes

ON = "ipyparallel:nbsync-tests"


@pytest.fixture(scope="module")
def cluster(moto_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IpyparallelCluster]:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("ipython")
        patch.setenv("IPYTHONDIR", str(home))
        for name, value in moto_server.env().items():
            patch.setenv(name, value)
        made = IpyparallelCluster(home, 3)
        try:
            yield made
        finally:
            made.stop()


@pytest.fixture(autouse=True)
def _this_profile(cluster: IpyparallelCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", cluster.place)
    monkeypatch.setattr(batches, "_FIRST", 4 * batches.FILE_COST)
    monkeypatch.setattr(batches, "_LEAST", 4 * batches.FILE_COST)


def test_a_pull_is_as_planned(world: World, cluster: IpyparallelCluster) -> None:
    for number in range(30):
        world.put(f"{number:03}", b"%d" % number)
    result = world.pull(on=ON)
    assert {row.worker for row in result} == {"engine 0", "engine 1", "engine 2"}


@pytest.mark.parametrize("view", ["load_balanced_view", "direct_view"])
def test_a_view_s_executor(world: World, cluster: IpyparallelCluster, view: str) -> None:
    for number in range(10):
        world.write(f"{number:03}", b"%d" % number)
    result = world.push(executor=getattr(cluster.client, view)().executor)
    assert {row.worker for row in result} <= {"engine 0", "engine 1", "engine 2"}


def test_only_the_engines_that_the_view_is_for(world: World, cluster: IpyparallelCluster) -> None:
    for number in range(10):
        world.put(f"{number:03}", b"%d" % number)
    assert {row.worker for row in world.pull(executor=cluster.client[1:2].executor)} == {"engine 1"}


def test_an_engine_killed_during_a_push_uploads_nothing_twice(world: World, cluster: IpyparallelCluster) -> None:
    versioned(world)
    for number in range(60):
        world.write(f"{number:03}", b"%03d" % number * 10_000)
    pid = cluster.pid_of(2)
    grip = Grip(world, "push", on=ON, bandwidth=900_000, jobs=1)
    grip.until_some_is_done(4)
    cluster.kill_process(pid)
    result = grip.end()
    assert result.error is None, result.error
    assert kinds(result) == {"miss"}
    assert world.objects() == world.files()
    one_version_each(world)
    world.no_staging_left()
    world.silent("push")


def test_all_engines_killed(world: World, cluster: IpyparallelCluster) -> None:
    """The last test of the module: there are no engines afterwards."""
    for number in range(60):
        world.put(f"{number:03}", b"%03d" % number * 10_000)
    pids = [cluster.pid_of(engine) for engine in cluster.client.ids]
    grip = Grip(world, "pull", on=ON, bandwidth=300_000, jobs=1)
    grip.until_some_is_done()
    for pid in pids:
        cluster.kill_process(pid)
    result = grip.end()
    assert isinstance(result.error, ClusterError)
    assert kinds(result) == {"miss", "cancelled"}
    assert world.pull().ok
    assert not world.trash()
