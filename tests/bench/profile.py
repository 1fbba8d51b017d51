"""`python -m tests.bench.profile JOB`: where nbsync's CPU goes for each file, function by function, all threads.

One process runs the job through the Python API, first without a profiler (the CPU that it really takes), then with
one that reads each thread's own CPU clock: the profiled figures are larger, and largest for small functions called
often; they say where to look, the first line says what it costs. `python -X importtime -m nbsync --version` shows
what starting costs, which is not in it.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import resource
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from tests.bench import trees
from tests.bench.tools import env_for
from tests.bench.world import Scale, World, roomiest

JOBS = ("pull", "push", "unchanged")


class Row(NamedTuple):
    """One function, or one room of code: calls, and CPU seconds in itself."""

    calls: int
    seconds: float


Profile = dict[tuple[str, int, str], Row]


@contextmanager
def profiled() -> Iterator[list[cProfile.Profile]]:
    """Profiles of this thread and of each thread that starts inside."""
    found: list[cProfile.Profile] = []

    def begin(_frame: FrameType | None = None, _event: str = "", _argument: Any = None) -> None:
        mine = cProfile.Profile(time.thread_time)
        found.append(mine)
        mine.enable()  # in the place of the hook that called this

    threading.setprofile(begin)
    begin()
    try:
        yield found
    finally:
        found[0].disable()
        threading.setprofile(None)


def merged(profiles: list[cProfile.Profile]) -> Profile:
    """What all threads spent, by function."""
    rows: dict[tuple[str, int, str], Row] = defaultdict(lambda: Row(0, 0.0))
    for profile in profiles:
        for function, (_, calls, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
            had = rows[function]
            rows[function] = Row(had.calls + calls, had.seconds + own)
    return dict(rows)


def room(file: str, name: str) -> str:
    """Which part of the code a function belongs to."""
    if file == "~":
        return "built-in: " + name.strip("<>").removeprefix("built-in method ").removeprefix("method ")
    if "/nbsync/" in file and "/tests/" not in file:
        return "nbsync/" + file.rpartition("/nbsync/")[2]
    return "library: " + Path(file).parent.name + "/" + Path(file).name


def report(rows: Profile, files: int, most: int) -> str:
    """Two tables: by room, and by function; microseconds and calls for each file."""
    rooms: dict[str, Row] = defaultdict(lambda: Row(0, 0.0))
    for (file, _, name), row in rows.items():
        had = rooms[room(file, name)]
        rooms[room(file, name)] = Row(had.calls + row.calls, had.seconds + row.seconds)
    functions = {f"{room(file, name)}:{line} {name}": row for (file, line, name), row in rows.items() if file != "~"}
    lines = []
    for title, table in (("room", rooms), ("function (Python only)", functions)):
        lines.append(f"{'us/file':>9} {'calls/file':>11}  {title}")
        for name, row in sorted(table.items(), key=lambda item: -item[1].seconds)[:most]:
            lines.append(f"{row.seconds / files * 1e6:9.1f} {row.calls / files:11.2f}  {name}")
        lines.append("")
    return "\n".join(lines)


def cpu_of(call: Callable[[], Any]) -> tuple[float, float, float]:
    """Wall, user and system seconds of this process for one call."""
    before, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    call()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter() - wall, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime


class Subject:
    """A job that can be done again and again in this process."""

    def __init__(self, world: World, job: str) -> None:
        self._world, self._job = world, job
        self._source = world.small()
        self._bucket = world.bucket_of(self._source)
        self._local = world.folder / "copy-profile"

    def prepare(self) -> Callable[[], Any]:
        """What is to be profiled; what must be so before it has been done."""
        import nbsync

        if self._job == "push":
            trees.remove(self._source / ".nbsync")
            bucket = self._world.server.new_bucket()
            return lambda: nbsync.push(self._source, bucket).raise_for_problems()
        if self._job == "pull":
            trees.remove(self._local)
        return lambda: nbsync.pull(self._bucket, self._local).raise_for_problems()


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m tests.bench.profile", description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    words.add_argument("job", choices=JOBS)
    words.add_argument("--files", type=int, default=10_000)
    words.add_argument("--most", type=int, default=30, help="rows of each table")
    given = words.parse_args()
    if sys.version_info >= (3, 12):
        sys.exit("profile: Python 3.10 or 3.11 is needed; later ones profile one thread at a time")
    with tempfile.TemporaryDirectory(prefix="nbsync-profile-", dir=roomiest(10**9)) as folder:
        world = World(Path(folder), Scale(small_files=given.files))
        try:
            os.environ |= env_for(world.server.endpoint_url)
            subject = Subject(world, given.job)
            subject.prepare()()
            wall, user, system = cpu_of(subject.prepare())
            call = subject.prepare()
            with profiled() as profiles:
                call()
            rows = merged(profiles)
        finally:
            world.close()
    each = 1e6 / given.files
    print(f"{given.job}, {given.files:,} files of 4 KiB, in a process that has done it before: {wall:.2f} s; "
          f"CPU/file {(user + system) * each:.0f} us: {user * each:.0f} user, {system * each:.0f} sys")  # fmt: skip
    print(f"profiled: {sum(row.seconds for row in rows.values()) * each:.0f} us in {len(profiles)} threads\n")
    print(report(rows, given.files, given.most))


if __name__ == "__main__":
    main()
