"""`--spread each` on real Dask workers: a copy a node, warm runs, killed workers, cancels, nodes that cannot."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync import SyncJob, SyncResult
from nbsync.errors import Interrupted
from tests.e2e.helpers import wait_until
from tests.functional.dask_nodes import DaskNodes
from tests.functional.world import World
from tests.servers import Server
from tests.servers.latency import LatencyRelay

FILES = {f"d{number % 3}/f{number}": os.urandom(1_000 + number) for number in range(25)}
SLOW = {f"s{number}": os.urandom(60_000) for number in range(8)}
RATE = 120_000  # bytes a second of each connection: half a second a file


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nodes")


@pytest.fixture(scope="module")
def nodes(moto_server: Server, base: Path) -> Iterator[DaskNodes]:
    """Two nodes: a, which has two workers, and b, which has one."""
    made = DaskNodes(base, moto_server.env())
    try:
        for name in ("a1", "a2", "b1"):
            made.start(name, base / name[0])
        made.wait(3)
        yield made
    finally:
        made.stop()


@pytest.fixture
def pull(nodes: DaskNodes, base: Path, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Pulls into the LOCAL `data` of each node; afterwards nothing of it is left."""
    nodes.wait(3)
    monkeypatch.chdir(tmp_path)

    def pull(**options: Any) -> SyncResult:
        return start(**options).wait()

    def start(**options: Any) -> SyncJob:
        return nbsync.pull(world.remote, "data", on=nodes.on, spread="each", background=True, **options)

    pull.start = start  # type: ignore[attr-defined]
    yield pull
    assert not (tmp_path / "data").exists(), "something was written where the run was begun"
    for name in "ab":
        shutil.rmtree(base / name / "data", ignore_errors=True)


@pytest.fixture
def slow(moto: Server) -> Iterator[str]:
    """An endpoint whose connections are slow."""
    with LatencyRelay(moto.endpoint_url, 0.0, RATE) as relay:
        yield relay.endpoint_url


def fill(world: World, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        world.put(path, content)


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and ".nbsync" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def expect_clean(folder: Path) -> None:
    """No staged file is left."""
    assert [path for path in (folder / ".nbsync" / "stage").rglob("*") if path.is_file()] == []


def test_every_node_gets_its_copy_and_a_warm_run_only_lists(pull: Any, world: World, base: Path) -> None:
    fill(world, FILES)
    first = pull()
    assert files_of(base / "a" / "data") == files_of(base / "b" / "data") == FILES
    assert (first.ok, first.counts["miss"], first.requests["get"]) == (True, 50, 50)
    assert first.bytes["moved"] == 2 * sum(map(len, FILES.values()))
    assert [node.complete for node in first.nodes] == [True, True]
    assert len({row.worker for row in first.files}) == 2  # of the three: two share one LOCAL
    assert "worker" in first.to_pandas()

    again = pull()
    assert (again.counts["hit"], again.bytes["moved"]) == (50, 0)
    assert {kind: count for kind, count in again.requests.items() if count} == {"list": 2}

    (base / "a" / "data" / "d1" / "f1").write_bytes(b"edited on one node")
    world.put("new", b"1")
    third = pull()
    assert [(row.path, row.status) for row in third.files if row.status != "hit"] == [
        ("d1/f1", "miss"), ("new", "miss"), ("new", "miss")
    ]  # fmt: skip
    assert any("trash" in note and f"{base}/a/data" in note for note in third.notes)
    assert files_of(base / "a" / "data") == {**FILES, "new": b"1"}


def test_a_dry_run_makes_nothing(pull: Any, world: World, base: Path) -> None:
    fill(world, FILES)
    planned = pull(dry_run=True)
    assert planned.counts["planned"] == 50
    assert not (base / "a" / "data").exists()


def until_moving(job: SyncJob, files: int) -> None:
    wait_until("files that have moved", lambda: job.poll() or job.progress.counts["miss"] >= files)
    assert not job.done


def until_begun(job: SyncJob, names: dict[str, str], *wanted: str) -> list[str]:
    """Those of the wanted workers that have told of a file, once one has."""

    def told() -> list[str]:
        job.poll()
        return [name for name in wanted if names[name] in {row.worker for row in job.rows(0)}]

    return wait_until("its first row", told)


def test_a_killed_worker_is_followed_by_another_one_of_its_node(
    pull: Any, world: World, base: Path, nodes: DaskNodes, slow: str
) -> None:
    fill(world, SLOW)
    names = nodes.names()
    job = pull.start(endpoint_url=slow, jobs=2)
    (killed,) = until_begun(job, names, "a1", "a2")
    nodes.kill(killed)
    result = job.wait()
    assert files_of(base / "a" / "data") == files_of(base / "b" / "data") == SLOW
    assert result.ok
    assert len({(row.path, row.worker) for row in result.files}) == len(result.files)
    earlier = {row.path for row in result.files if row.worker == names[killed]}
    assert len(earlier) >= 1  # what it had moved is listed, beside what the other one found
    assert result.counts["miss"] + result.counts["hit"] == len(result.files) == 16 + len(earlier)
    assert any(f"{names[killed]} is gone: the pull of" in note for note in result.notes)
    expect_clean(base / "a" / "data")


def test_a_killed_worker_that_was_alone_is_followed_by_the_one_that_its_nanny_starts(
    pull: Any, world: World, base: Path, nodes: DaskNodes, slow: str
) -> None:
    fill(world, SLOW)
    job = pull.start(endpoint_url=slow, jobs=2)
    until_begun(job, nodes.names(), "b1")
    nodes.kill("b1")
    result = job.wait()
    assert files_of(base / "a" / "data") == files_of(base / "b" / "data") == SLOW
    assert (result.ok, [node.complete for node in result.nodes]) == (True, [True, True])
    expect_clean(base / "b" / "data")


def test_a_cancel_stops_every_node_and_the_next_run_does_the_rest(
    pull: Any, world: World, base: Path, slow: str
) -> None:
    fill(world, SLOW)
    job = pull.start(endpoint_url=slow, jobs=1)
    until_moving(job, 2)
    job.cancel()
    result = job.wait(timeout=3)
    assert isinstance(result.error, Interrupted)
    done = sum(row.status == "miss" for row in result.files)
    assert 2 <= done < 16
    for name in "ab":
        kept = files_of(base / name / "data")
        assert kept.items() <= SLOW.items()
        expect_clean(base / name / "data")
    rest = pull()
    assert rest.ok
    assert files_of(base / "a" / "data") == files_of(base / "b" / "data") == SLOW
    assert rest.counts["hit"] >= done


def test_a_cancel_reaches_a_node_whose_workers_are_busy_with_something_else(
    pull: Any, world: World, base: Path, nodes: DaskNodes, slow: str, tmp_path: Path
) -> None:
    fill(world, {f"s{number:02}": os.urandom(60_000) for number in range(40)})  # for 20 s
    job = pull.start(endpoint_url=slow, jobs=1)
    until_moving(job, 2)
    busy, go_on = tmp_path / "busy", tmp_path / "go-on"
    wait = f"touch {busy}-$$; while [ ! -e {go_on} ]; do sleep 0.05; done"
    client = nodes.client
    theirs = [client.submit(subprocess.run, ["sh", "-c", wait], workers=[one], pure=False) for one in client.nthreads()]
    try:
        wait_until("all are busy", lambda: len(list(tmp_path.glob("busy-*"))) == 3)
        job.cancel()
        assert isinstance(job.wait(timeout=3).error, Interrupted)
        for name in "ab":
            local = base / name / "data"
            wait_until("its run has ended", partial(is_free, local))
            assert len(files_of(local)) < 40
    finally:
        go_on.touch()
        client.gather(theirs)


def is_free(local: Path) -> bool:
    """Does no run hold its lock?"""
    with open(local / ".nbsync" / "lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def third(nodes: DaskNodes, base: Path) -> Iterator[Callable[..., Path]]:
    """Start one more worker, alone on its node."""
    folder = base / "c"
    started: list[str] = []

    def start(**options: Any) -> Path:
        folder.mkdir(exist_ok=True)
        started.append("c1")
        nodes.start("c1", folder, nanny=False, **options)
        nodes.wait(4)
        return folder

    yield start
    nodes.end("c1")


def expect_others(result: SyncResult, base: Path, files: dict[str, bytes], *, says: str) -> None:
    assert result.exit_code == 1
    assert sorted((node.complete, Path(node.local).parent.name) for node in result.nodes) == [
        (False, "c"), (True, "a"), (True, "b")
    ]  # fmt: skip
    (told,) = [problem.message for problem in result.problems if f"{base}/c/data" in problem.path]
    assert says in told
    assert files_of(base / "a" / "data") == files_of(base / "b" / "data") == files


def test_a_node_that_may_not_write(pull: Any, world: World, base: Path, third: Any) -> None:
    fill(world, FILES)
    (base / "c").mkdir()
    (base / "c").chmod(0o555)
    try:
        third(bound=True)
        expect_others(pull(), base, FILES, says="ermi")
    finally:
        (base / "c").chmod(0o755)


def test_a_node_without_room(pull: Any, world: World, base: Path, third: Any) -> None:
    place = base / "c"
    place.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system can be mounted by root only, and not in every container")
    try:
        fill(world, SLOW)
        third()
        expect_others(pull(), base, SLOW, says="room")
        assert files_of(place / "data") == {}
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_node_whose_last_worker_is_lost_is_told_of(
    pull: Any, world: World, base: Path, nodes: DaskNodes, slow: str, third: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbsync.cluster.per_node.coordinator.ALONE_SECONDS", 0.2)
    fill(world, SLOW)
    third()
    names = nodes.names()
    job = pull.start(endpoint_url=slow, jobs=2)
    until_begun(job, names, "c1")
    nodes.kill("c1")
    result = job.wait()
    expect_others(result, base, SLOW, says="no other worker is there for this node")
    assert files_of(base / "c" / "data").items() <= SLOW.items()
    assert {row.path for row in result.files if row.worker == names["c1"]} <= set(files_of(base / "c" / "data"))
