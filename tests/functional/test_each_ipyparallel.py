"""`--spread each` on real ipyparallel engines, which stand in directories of their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipyparallel
import pytest

import nbsync
from nbsync import SyncJob
from tests.e2e.helpers import wait_until
from tests.functional.clusters import QUICK_HEART
from tests.functional.world import World
from tests.servers import Server
from tests.servers.latency import LatencyRelay

pytestmark = pytest.mark.usefixtures("moto")  # nodes are processes

FILES = {f"s{number}": os.urandom(60_000) for number in range(8)}
RATE = 120_000  # bytes a second of each connection: half a second a file


@pytest.fixture(scope="module")
def client(moto_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Engines 0 and 1 stand in `a`, engine 2 in `b`."""
    base = tmp_path_factory.mktemp("engines")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**moto_server.env(), "IPYTHONDIR": str(base / "ipython")}.items():
            patch.setenv(name, value)
        cluster = ipyparallel.Cluster(n=3, log_level=50, controller_args=QUICK_HEART)
        connected = cluster.start_and_connect_sync(activate=False)
    try:
        for number, name in enumerate("aab"):
            (base / name).mkdir(exist_ok=True)
            connected[number].apply_sync(os.chdir, str(base / name))
        connected.base = base
        yield connected
    finally:
        connected.close()
        cluster.stop_cluster_sync()


@pytest.fixture
def begin(client: Any, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    for path, content in FILES.items():
        world.put(path, content)

    def begin(local: str, **options: Any) -> SyncJob:
        executor = client.load_balanced_view().executor
        return nbsync.pull(world.remote, local, executor=executor, spread="each", background=True, **options)

    return begin


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_every_node_gets_its_copy_and_a_warm_run_only_lists(begin: Any, client: Any) -> None:
    first, again = begin("data").wait(), begin("data").wait()
    assert (first.ok, first.counts["miss"], len(first.nodes)) == (True, 16, 2)
    assert files_of(client.base / "a" / "data") == files_of(client.base / "b" / "data") == FILES
    assert {row.worker.partition(" ")[0] for row in first.files} == {"engine"}
    assert (again.counts["hit"], {kind: count for kind, count in again.requests.items() if count}) == (16, {"list": 2})


def test_a_killed_engine_is_followed_by_another_one_of_its_node(begin: Any, client: Any, moto: Server) -> None:
    pid = client[0].apply_sync(os.getpid)
    with LatencyRelay(moto.endpoint_url, 0.0, RATE) as relay:
        job = begin("slow", endpoint_url=relay.endpoint_url, jobs=2)
        wait_until("its first row", lambda: job.poll() or "engine 0" in {row.worker for row in job.rows(0)})
        os.kill(pid, signal.SIGKILL)
        result = job.wait()
    assert files_of(client.base / "a" / "slow") == files_of(client.base / "b" / "slow") == FILES
    assert (result.ok, [(node.worker, node.complete) for node in result.nodes]) == (
        True, [("engine 1", True), ("engine 2", True)]
    )  # fmt: skip
    assert any("was begun again by engine 1" in note for note in result.notes)
    assert {row.worker for row in result.files} == {"engine 0", "engine 1", "engine 2"}
