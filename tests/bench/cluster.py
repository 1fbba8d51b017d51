"""Past one machine: how a pull scales with Dask workers, and what an object and a byte cost coordinator and workers.

Each connection has a rate, as a distant service gives it, and each worker so many connections: then more workers
are more bandwidth, on one machine as on many. What is measured of costs is what tests/bench/model.py reckons with.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from nbsync.core.model import Evidence, Outcome, Status, Verb
from nbsync.engine.status_board import OutcomeCounter, StatusBoard
from nbsync.results.sync_result import SyncResult
from tests.bench import contest, trees
from tests.bench.contest import Contestant, Verdict, hold, paired_ratio
from tests.bench.measure import Measured, measure
from tests.bench.model import COSTS, UNITS, Costs, Fleet, worker_rate
from tests.bench.tools import NBSYNC, env_for
from tests.bench.world import World
from tests.servers.latency import LatencyRelay

WORKERS = (1, 2, 4)
RATE = 4e6  # bytes a second of each connection
CONNECTIONS = 4  # of each worker
FILE_BYTES = 1 << 20
_ROWS = 20_000


class Used(NamedTuple):
    """Seconds of one run: wall, and CPU; MB of the coordinator."""

    wall: float
    coordinator: float
    workers: float
    peak_mb: float = 0.0


Pairs = Sequence[Sequence[Used]]  # of a run over few objects, and one over many


class Dask:
    """A running scheduler with so many workers."""

    def __init__(self, workers: int, env: dict[str, str]) -> None:
        command = [sys.executable, "-m", "tests.bench.programs.dask_cluster", str(workers)]
        self._process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL, text=True)  # fmt: skip
        self.on = f"dask://{self._said()['address']}"

    def _said(self):  # type: ignore[no-untyped-def]
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def worker_seconds(self) -> float:
        """CPU seconds of all workers, so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._said()["workers"])

    def stop(self) -> None:
        """End it."""
        self._process.communicate()


@contextmanager
def dask(workers: int, env: dict[str, str]) -> Iterator[Dask]:
    """A scheduler with so many workers, for a while."""
    made = Dask(workers, env)
    try:
        yield made
    finally:
        made.stop()


def scaling(world: World) -> list[contest.Outcome]:
    """pull on 1, 2 and 4 Dask workers behind a rate of each connection"""
    files = max(16, world.scale.large_bytes // 8 // FILE_BYTES)
    named = [(f"{number:04}.bin", FILE_BYTES) for number in range(files)]
    source = world.tree("spread", lambda folder: trees.make(folder, named))
    bucket = world.bucket_of(source)
    local = world.folder / "copy-spread"
    with LatencyRelay(world.server.endpoint_url, 0.0, RATE) as relay:
        env = env_for(relay.endpoint_url)
        clusters = {count: Dask(count, env) for count in WORKERS}
        try:

            def run(count: int) -> Measured:
                trees.remove(local)
                words = ["pull", bucket, str(local), "--on", clusters[count].on, "--jobs", str(CONNECTIONS)]
                one, _ = measure([*NBSYNC, *words], env)
                trees.expect_same(source, local, f"{count} workers")
                return one

            contestants = [Contestant(name_of(count), lambda count=count: run(count)) for count in WORKERS]
            for one in contestants:
                one.run()
            title = (f"pull {files:,} × {FILE_BYTES >> 20} MiB on Dask workers, {CONNECTIONS} connections each, "
                     f"{RATE / 1e6:g} MB/s a connection")  # fmt: skip
            outcome = hold(title, contestants, world.scale.rounds, [], {})
            outcome.verdicts += [*speedups(outcome.runs), *beside_the_model(outcome.runs, files)]
        finally:
            for cluster in clusters.values():
                cluster.stop()
            trees.remove(local)
    return [outcome]


def name_of(count: int) -> str:
    """How a cluster is called in the table."""
    return "1 worker" if count == 1 else f"{count} workers"


def speedups(runs: contest.Runs) -> list[Verdict]:
    """How many times as fast more workers are than one; for information."""
    one, *more = WORKERS
    walls = {count: [run.wall for run in runs[name_of(count)]] for count in WORKERS}
    return [Verdict(f"{name_of(count)}, times as fast as one", paired_ratio(walls[one], walls[count]), None)
            for count in more]  # fmt: skip


def beside_the_model(runs: contest.Runs, files: int) -> list[Verdict]:
    """How much longer the runs took than the model says, which knows nothing of starting; for information."""
    fleet = Fleet(1, math.inf, CONNECTIONS, math.inf, RATE, 0.0)
    rate, _ = worker_rate(COSTS, fleet, FILE_BYTES)
    return [
        Verdict(f"{name_of(count)}, wall / the model's", median([run.wall for run in runs[name_of(count)]])
                / (files / (rate * count)), None)
        for count in WORKERS
    ]  # fmt: skip


def costs(world: World) -> list[contest.Outcome]:
    """what an object and a byte cost on workers: CPU of coordinator and workers"""
    many, few = world.scale.small_files, world.scale.small_files // 10
    trees_of = {count: world.tree(f"cost-{count}", lambda folder, n=count: trees.make_small(folder, n))
                for count in (few, many)}  # fmt: skip
    env = env_for(world.server.endpoint_url)
    with dask(2, env) as cluster:
        meter = Meter(world, cluster, env)
        meter.pull(trees_of[few])  # whoever measures has warmed up
        cold = [[meter.pull(trees_of[count]) for count in (few, many)] for _ in range(world.scale.rounds)]
        warm = [[meter.again(trees_of[count]) for count in (few, many)] for _ in range(world.scale.rounds)]
        nodes = [[meter.pull(trees_of[count], "--spread", "each") for count in (few, many)]
                 for _ in range(world.scale.rounds)]  # fmt: skip
        large = [meter.pull(world.large()) for _ in range(world.scale.rounds)]
    meter.clean()
    found = derive(many - few, cold, warm, nodes, large, world.scale.large_bytes)
    verdicts = [Verdict(f"{name}, {UNITS[name][0]}", value / UNITS[name][1], None)
                for name, value in found._asdict().items()]  # fmt: skip
    runs = {name: [Measured(one[1].wall, one[1].coordinator + one[1].workers, one[1].peak_mb) for one in kind]
            for name, kind in (("cold", cold), ("nothing changed", warm), ("each", nodes))}  # fmt: skip
    return [contest.Outcome(f"CPU of pulls of {many:,} × 4 KiB on 2 Dask workers", runs, verdicts)]


class Meter:
    """Pulls on a cluster, and what CPU they took."""

    def __init__(self, world: World, cluster: Dask, env: dict[str, str]) -> None:
        self._world, self._cluster, self._env = world, cluster, env
        self._local = world.folder / "copy-cost"

    def pull(self, source: Path, *more: str) -> Used:
        """A cold pull."""
        trees.remove(self._local)
        found = self._run(source, *more)
        trees.expect_same(source, self._local, "a pull on workers")
        return found

    def again(self, source: Path) -> Used:
        """A pull that changes nothing."""
        self.pull(source)
        return self._run(source)

    def _run(self, source: Path, *more: str) -> Used:
        words = ["pull", self._world.bucket_of(source), str(self._local), "--on", self._cluster.on, *more]
        before = self._cluster.worker_seconds()
        one, _ = measure([*NBSYNC, *words], self._env)
        return Used(one.wall, one.cpu, self._cluster.worker_seconds() - before, one.peak_mb)

    def clean(self) -> None:
        """Make room."""
        trees.remove(self._local)


def derive(objects: int, cold: Pairs, warm: Pairs, nodes: Pairs,
           large: Sequence[Used], large_bytes: int) -> Costs:  # fmt: skip
    """What one object and one byte cost: medians of differences, in which what a run costs by itself is gone.

    Args:
        objects: how many more the second run of each pair has than the first.
        cold, warm, nodes: pairs of runs.
        large: runs of one object of `large_bytes`.
    """

    def each(pairs: Pairs, who: str) -> float:
        return max(0.0, median([getattr(more, who) - getattr(less, who) for less, more in pairs]) / objects)

    return Costs(
        coordinator_object=each(cold, "coordinator"),
        coordinator_hit=each(warm, "coordinator"),
        worker_object=each(cold, "workers"),
        worker_byte=median([one.workers for one in large]) / large_bytes,
        relay_object=each(nodes, "coordinator"),
        row_bytes=row_bytes(),
    )


def row_bytes() -> float:
    """What the coordinator keeps in memory of a file that a worker has moved."""
    tally = OutcomeCounter(SyncResult(command="pull", remote="s3://b/p/", local="data"), StatusBoard())
    tracemalloc.start()
    try:
        for number in range(_ROWS):
            tally.take(Outcome(f"d{number // 1000:04}/f{number:07}.bin", Verb.DOWNLOAD, Status.MISS, "missing locally",
                               Evidence.NONE, 4096, number / 1e6, worker="10.0.0.1:40000"))  # fmt: skip
        return tracemalloc.get_traced_memory()[0] / _ROWS
    finally:
        tracemalloc.stop()
