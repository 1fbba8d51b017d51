"""`python -m tests.bench.kills [--rounds 200]`: SIGKILL at a random moment of one sync, over and over.

Each round gives the source fresh content, starts `nbsync` as a process, and kills its whole process group at
a moment drawn from an undisturbed run. Then every file and object must be wholly old or wholly new, the next
run must finish the work and leave no staging and no unfinished upload, and the one after it must be silent.
Prints figures; the exit code is 1 if anything of this did not hold.
"""

from __future__ import annotations

import argparse
import bisect
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.functional.world import World
from tests.servers import Server, moto, rgw
from tests.servers.faults import Changed, begun_now
from tests.servers.proxy import Proxy

MiB = 1024 * 1024
LARGE_BYTES = 40 * MiB  # above both thresholds: of a download in ranges, and of an upload in parts
LAST_WORDS_SECONDS = 0.02  # from the last request until its file is installed and recorded
REMEASURE = 12  # rounds of a kind after which an undisturbed run is measured again
MID, EARLY = "killed in mid-transfer", "killed before the first change"
LATE, TOO_LATE = "killed after the last change", "finished before the kill"
Files = dict[str, bytes]


class Kind(NamedTuple):
    """What a round syncs."""

    direction: str
    large: bool
    delete: bool

    def __str__(self) -> str:
        more = ", --delete" if self.delete else ""
        return f"{self.direction} of {'a large file and a few' if self.large else 'many'} small ones{more}"


KINDS = [
    Kind("pull", False, False),
    Kind("push", False, False),
    Kind("pull", True, True),
    Kind("push", True, True),
    Kind("pull", False, True),
    Kind("push", False, True),
    Kind("pull", True, False),
    Kind("push", True, False),
]


class Violation(Exception):
    """Something that must hold did not."""


class Arena:
    """One World of one kind; its rounds follow each other on the same two sides."""

    def __init__(self, server: Server, base: Path, kind: Kind, chance: random.Random) -> None:
        self.kind, self._chance = kind, chance
        self._world = World(server, base)
        self._proxy = Proxy(server.endpoint_url)
        self._options = {"delete": kind.delete, "endpoint_url": self._proxy.url}  # what is recorded is by endpoint
        self._source: Files = {}
        self._target: Files = {}  # as the last finished run left it
        self._edits: Files = {}  # local edits that the trash must have in the end
        self._rounds = 0
        self._times: list[float] = []  # of the requests of an undisturbed run, in seconds
        self._renew()
        self._finish()

    def round(self) -> str:
        """One kill and what follows; how it hit.

        Raises:
            Violation: see the module.
        """
        if self._rounds % REMEASURE == 0:
            self._measure()
        self._rounds += 1
        before = dict(self._target)
        self._renew()
        what = self._look(before) if self._killed(*self._moment()) else TOO_LATE
        self._finish()
        return what

    def close(self) -> None:
        """End the proxy."""
        self._proxy.stop()

    # ---- the source gets something new --------------------------------------------------------------

    def _renew(self) -> None:
        """Some files change or come, some go; on the target of a pull one has been edited meanwhile.

        The number of transfers is the same each time, so that one run tells when another is in the middle.
        """
        chance = self._chance
        paths = [f"d{number % 4}/f{number:02}" for number in range(8 if self.kind.large else 40)]
        chance.shuffle(paths)
        changed, others = paths[: len(paths) * 5 // 8], paths[len(paths) * 5 // 8 :]
        for path in changed:
            self._change(path, chance.randbytes(chance.randrange(60_000)))
        for path in others[:2]:
            if path in self._source:
                self._change(path, None)
        if self.kind.large:
            self._change("large.bin", chance.randbytes(LARGE_BYTES + chance.randrange(MiB)))
        edited = next((path for path in changed if path in self._target), None)
        if self.kind.direction == "pull" and edited:
            self._target[edited] = self._edits[edited] = chance.randbytes(500)
            self._world.write(edited, self._target[edited])

    def _change(self, path: str, body: bytes | None) -> None:
        pulls = self.kind.direction == "pull"
        if body is None:
            del self._source[path]
            (self._world.remove if pulls else self._world.unlink)(path)
            return
        self._source[path] = body
        if pulls:
            self._world.put(path, body)
        else:
            self._world.write(path, body)

    # ---- the runs -----------------------------------------------------------------------------------

    def _command(self) -> list[str]:
        local, remote = str(self._world.local), self._world.remote
        words = [remote, local] if self.kind.direction == "pull" else [local, remote]
        more = ["--delete"] if self.kind.delete else []
        return [sys.executable, "-m", "nbsync", self.kind.direction, *words, *more, "--json"]

    def _measure(self) -> None:
        """How long a run takes that nobody disturbs, and when in it the work begins."""
        self._renew()
        self._clear()
        done = subprocess.run(self._command(), env=self._environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise Violation(f"an undisturbed run failed: {done.stderr}")
        self._times = sorted(request.at for request in self._proxy.seen)
        self._finish()

    def _moment(self) -> tuple[int, float]:
        """(number of a request, seconds after it): any moment of the work is as likely as any other.

        The requests keep it in step with a run that is slower or faster than the one that was measured.
        """
        first, last = self._times[0], self._times[-1] + LAST_WORDS_SECONDS
        moment = self._chance.uniform(first, last)
        number = bisect.bisect_right(self._times, moment)
        return number, moment - self._times[number - 1]

    def _killed(self, requests: int, seconds: float) -> bool:
        """Start a run and kill it so long after so many requests; False if it had ended by then."""
        self._clear()
        with subprocess.Popen(self._command(), env=self._environment(), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, start_new_session=True) as process:  # fmt: skip
            while len(self._proxy.seen) < requests and process.poll() is None:
                time.sleep(0.0005)
            try:
                process.wait(seconds)
                return False
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        self._proxy.wait_quiet()
        return True

    def _clear(self) -> None:
        self._proxy.clear()
        if self._world.server.name == "moto":
            self._proxy.on(Changed(begun_now), "ListMultipartUploads", times=-1)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "AWS_ENDPOINT_URL": self._proxy.url}

    # ---- what must hold -----------------------------------------------------------------------------

    def _now(self) -> Files:
        return self._world.files() if self.kind.direction == "pull" else self._world.objects()

    def _expected(self) -> Files:
        return self._source if self.kind.delete else {**self._target, **self._source}

    def _look(self, before: Files) -> str:
        """After a kill: everything is wholly old or wholly new. How far the run had come."""
        before = {**before, **{path: self._target[path] for path in self._edits if path in self._target}}
        now, after = self._now(), self._expected()
        for path in sorted(before.keys() | after.keys() | now.keys()):
            allowed = [before.get(path), after.get(path)]
            if now.get(path) not in allowed:
                what = "is gone" if path not in now else f"is torn ({len(now[path]):,} bytes)"
                raise Violation(f"{self.kind}: {path} {what}")
        if now == after:
            return LATE
        return EARLY if now == before and not self._under_way() else MID

    def _under_way(self) -> bool:
        stage = self._world.local / ".nbsync" / "stage"
        return bool(self._uploads() or (stage.is_dir() and any(stage.iterdir())))

    def _uploads(self) -> list[object]:
        found: list[object] = self._world.server.s3.list_multipart_uploads(Bucket=self._world.bucket).get("Uploads", [])
        return found

    def _finish(self) -> None:
        """The next run does the rest and leaves nothing behind; the one after it is silent."""
        world, expected = self._world, self._expected()
        result = world.run(self.kind.direction, **self._options)
        try:
            assert result.ok, f"the next run failed: {result.error or result.problems}"
            assert self._now() == expected, "the next run did not finish the work"
            world.no_staging_left()
            assert not self._uploads(), "an unfinished upload is left behind"
            kept = [body for _, body in world.trash()]
            assert all(edit in kept for edit in self._edits.values()), "a local edit is lost"
            world.silent(self.kind.direction, self._options)
        except AssertionError as error:
            raise Violation(f"{self.kind}: {error}") from error
        self._target, self._edits = dict(expected), {}


def kill(
    server: Server, base: Path, rounds: int, seed: int, say: Callable[[str], None], kinds: Sequence[Kind] = KINDS
) -> Counter[str]:
    """How many rounds hit how.

    Raises:
        Violation: at the first thing that does not hold.
    """
    chance = random.Random(seed)
    arenas: dict[Kind, Arena] = {}
    hits: Counter[str] = Counter()
    try:
        for number in range(rounds):
            kind = kinds[number % len(kinds)]
            if kind not in arenas:
                arenas[kind] = Arena(server, base / str(len(arenas)), kind, chance)
            what = arenas[kind].round()
            hits[what] += 1
            say(f"{number + 1:4}  {kind}: {what}")
    finally:
        for arena in arenas.values():
            arena.close()
    return hits


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m tests.bench.kills", description=__doc__)
    words.add_argument("--rounds", type=int, default=200)
    words.add_argument("--seed", type=int, default=int(time.time()))
    words.add_argument("--server", choices=["moto", "rgw"], default="moto")
    words.add_argument("--verbose", action="store_true", help="a line for each round")
    given = words.parse_args()
    server = moto.start() if given.server == "moto" else rgw.start()
    os.environ.update(server.env())
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="nbsync-kills-") as folder:
            hits = kill(server, Path(folder), given.rounds, given.seed, print if given.verbose else _quietly)
    except Violation as violation:
        print(f"kills: {violation} (--seed {given.seed})")
        return 1
    finally:
        server.stop()
    killed = given.rounds - hits[TOO_LATE]
    print(f"{given.rounds} rounds on {server.name} in {time.monotonic() - started:.0f} s (--seed {given.seed})")
    print(f"{killed} kills, {hits[MID]} of them in mid-transfer")
    for what, count in sorted(hits.items()):
        print(f"  {count:4} {what}")
    print("0 files or objects torn or lost, 0 edits lost, 0 left in staging, 0 uploads left, every next run finished")
    return 0


def _quietly(_line: str) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
