"""Processes that are forked while a sync runs in a thread, as data loaders and process pools fork them."""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.api.job import SyncJob
from nbsync.local.forks import AT_REST
from tests.quirks.store import Request
from tests.quirks.world import CREDENTIALS, World, world

ROOT = Path(__file__).parents[2]
SECONDS = 30


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def here() -> Iterator[World]:
    """A world of some small files."""
    with world() as here:
        for number in range(20):
            here.put(f"d/{number}", b"%d" % number)
        yield here


class Held:
    """Lets the store wait with its answers to GETs of objects until `go` is set."""

    def __init__(self, here: World) -> None:
        self.asked, self.go = threading.Event(), threading.Event()
        here.store.hook = self._hold

    def _hold(self, request: Request) -> bool:
        if request.command == "GET" and request.key:
            self.asked.set()
            self.go.wait(SECONDS)
        return False


@contextmanager
def child(do: Callable[[], Any]) -> Iterator[Callable[[], Any]]:
    """A forked process that does it, and then lives on. Gives a function that waits for what it came to."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            try:
                told = do()
            except BaseException as error:  # it is told below
                told = f"{type(error).__name__}: {error}"
            os.write(write, json.dumps(told).encode() + b"\n")
            signal.pause()
        finally:
            os._exit(1)
    os.close(write)

    def heard() -> Any:
        assert select.select([read], [], [], SECONDS)[0], "the child hangs"
        return json.loads(os.read(read, 1 << 16))

    try:
        yield heard
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read)


def pull(here: World, local: Path, **options: Any) -> Any:
    return nbsync.pull("s3://b/p", local, endpoint_url=here.store.url, **options)


@contextmanager
def going(here: World) -> Iterator[tuple[SyncJob, Held]]:
    """A pull in the background, in the middle of a file."""
    held = Held(here)
    job = pull(here, here.local, background=True)
    try:
        assert held.asked.wait(SECONDS)
        yield job, held
    finally:
        held.go.set()
        job.wait(SECONDS)


def test_a_child_holds_no_lock(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run begins as soon as the first one has ended, while the child lives on."""
    monkeypatch.setattr("nbsync.local.state_dir.LOCK_WAIT_SECONDS", 0.0)
    with going(here) as (job, held), child(lambda: "here") as heard:
        assert heard() == "here"
        held.go.set()
        assert job.wait(SECONDS).ok
        assert pull(here, here.local).counts["hit"] == 20


def test_the_lock_ends_with_the_parent(here: World) -> None:
    """Killed in the middle of its run, it leaves a child that knows nothing of the lock."""
    held = Held(here)
    code = """if True:
        import os, sys, signal, nbsync
        job = nbsync.pull("b/p", sys.argv[1], endpoint_url=sys.argv[2], background=True)
        sys.stdin.readline()
        pid = os.fork()
        if not pid:
            signal.pause()
        print(pid, flush=True)
        os.kill(os.getpid(), 9)"""
    command = [sys.executable, "-c", code, str(here.local), here.store.url]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert held.asked.wait(SECONDS)
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write("\n")
        parent.stdin.flush()
        orphan = int(parent.stdout.readline())
        parent.wait(SECONDS)
    held.go.set()
    try:
        result = pull(here, here.local)
    finally:
        os.kill(orphan, signal.SIGKILL)
    assert result.ok
    assert not [note for note in result.notes if "waited" in note]


def test_a_job_of_the_parents_is_said_to_be(here: World) -> None:
    """It is neither waited for nor stopped in the child, and not in the child's list."""

    def look() -> list[Any]:
        job.cancel()
        result = job.wait(SECONDS)
        return [job.done, result.ok, str(result.error), len(nbsync.jobs()), job.counts["hit"], repr(job)]

    with going(here) as (job, held):
        with child(look) as heard:
            done, ok, error, jobs, _, _ = heard()
        held.go.set()
        assert job.wait(SECONDS).ok
    assert (done, ok, jobs) == (True, False, 0)
    assert f"runs in process {os.getpid()}, from which this process was forked. Wait for it there" in error


def test_a_job_that_has_ended_is_known_in_the_child(here: World) -> None:
    job = pull(here, here.local, background=True)
    assert job.wait(SECONDS).ok
    with child(lambda: [job.done, job.wait(SECONDS).counts["miss"]]) as heard:
        assert heard() == [True, 20]


def test_children_sync_while_the_parent_does(here: World) -> None:
    """Into folders of their own, whatever the parent's thread was at when they were forked."""
    for number in range(8):
        asked = here.store.asked + 3 * number
        job = pull(here, here.top / f"parent-{number}", background=True)
        while here.store.asked < asked and not job.done:
            pass
        with child(lambda n=number: pull(here, here.top / f"child-{n}").counts["miss"]) as heard:
            assert heard() == 20
        assert job.wait(SECONDS).ok


def test_a_child_waits_for_the_parents_folder(here: World) -> None:
    with going(here) as (_, held), child(lambda: pull(here, here.local).counts["hit"]) as heard:
        held.go.set()
        assert heard() == 20


def _pulled(local: str, url: str) -> int:
    return int(nbsync.pull("s3://b/p", local, endpoint_url=url).counts["miss"])


def test_a_pool_of_forked_workers(here: World) -> None:
    with going(here) as (_, held):
        held.go.set()
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            locals_ = [str(here.top / f"worker-{number}") for number in range(4)]
            assert list(pool.map(_pulled, locals_, [here.store.url] * 4, timeout=SECONDS)) == [20] * 4


def test_no_file_is_left_open_to_another_program(here: World) -> None:
    """All that is open while a run goes on is closed when another program takes the child over."""
    code = "import os; print(*[os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') if fd > '2'])"
    with going(here):
        command = [sys.executable, "-c", f"try:\n {code}\nexcept OSError: print('gone')"]
        said = subprocess.run(command, capture_output=True, text=True, close_fds=False, check=True).stdout
    assert str(here.local) not in said


def test_a_fork_waits_until_the_databases_are_at_rest() -> None:
    """A child that drops the parent's connection rolls back what is open in it."""
    forked = threading.Event()

    def fork() -> None:
        pid = os.fork()
        if not pid:
            os._exit(0)
        forked.set()
        os.waitpid(pid, 0)

    with AT_REST:
        thread = threading.Thread(target=fork)
        thread.start()
        assert not forked.wait(0.05)
    thread.join(SECONDS)
    assert forked.is_set()
