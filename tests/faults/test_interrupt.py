"""Ctrl-C, and `cancel` of a job, wherever a sync may hang: within a second, tidy, and what was done is shown."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest

import nbsync
from nbsync.errors import Interrupted
from nbsync.local.state_dir import StateDir
from tests.e2e.helpers import NBSYNC, environment, opened_by, process, wait_until
from tests.faults.world import LARGE, SMALL, FaultyWorld, content
from tests.servers.faults import At, Stall, slow_down
from tests.servers.proxy import Fault

SECONDS = 2.0  # one is promised; the other is for a busy machine
BIG = 40 * 1024 * 1024  # large for a process, whose thresholds are not those of this one


class Hang(NamedTuple):
    """Where a sync stands still: `fault` at the first `operation` on the large file."""

    direction: str
    operation: str
    fault: Fault
    key: str = "*/z/large"


HANGS = {
    "pull-listing": Hang("pull", "ListObjectsV2", Stall(At.ANSWER_BODY, 50), "*"),
    "push-listing": Hang("push", "ListObjectsV2", Stall(At.REQUEST_HEAD), "*"),
    "pull-get": Hang("pull", "GetObject", Stall(At.ANSWER_BODY, 100_000)),
    "pull-answer": Hang("pull", "GetObject", Stall(At.ANSWER)),
    "push-put": Hang("push", "PutObject", Stall(At.REQUEST_BODY, 1000), "*/a"),
    "push-part": Hang("push", "UploadPart", Stall(At.REQUEST_BODY, 100_000)),
    "push-part-answer": Hang("push", "UploadPart", Stall(At.ANSWER)),
    "push-creation": Hang("push", "CreateMultipartUpload", Stall(At.REQUEST_HEAD)),
    "push-completion": Hang("push", "CompleteMultipartUpload", Stall(At.REQUEST_END)),
    "pull-back-off": Hang("pull", "GetObject", slow_down("19")),
    "push-back-off": Hang("push", "UploadPart", slow_down("19")),
    "pull-listing-back-off": Hang("pull", "ListObjectsV2", slow_down("19"), "*"),
}


@contextmanager
def in_use(world: FaultyWorld) -> Iterator[None]:
    """LOCAL is locked by somebody else."""
    world.local.mkdir(exist_ok=True)
    state_dir = StateDir(str(world.local), str(world.local / ".nbsync"), "other", wait=lambda _seconds: True)
    try:
        yield
    finally:
        state_dir.close()


def prepared(world: FaultyWorld, direction: str, size: int) -> dict[str, bytes]:
    """`a` can be done at once; `z/large` comes after it."""
    files = {"a": content(SMALL, "a"), "z/large": content(size, "z")}
    world.fill_source(direction, files)
    return files


@pytest.mark.parametrize("name", [*HANGS, "lock"])
def test_a_job_is_cancelled(world: FaultyWorld, name: str) -> None:
    hang = HANGS.get(name)
    direction = hang.direction if hang else "pull"
    files = prepared(world, direction, LARGE)
    with ExitStack() as stack:
        if hang:
            rule = world.proxy.on(hang.fault, hang.operation, hang.key)
        else:
            stack.enter_context(in_use(world))
        job = start(world, direction)
        if hang:
            rule.wait_struck()
        else:
            wait_until("waiting for the lock", lambda: job.poll() or job.progress.state == "waiting")
        asked = time.monotonic()
        job.cancel()
        result = job.wait(20)
        took = time.monotonic() - asked

    assert took < SECONDS, f"{took:.2f} s"
    assert isinstance(result.error, Interrupted)
    assert result.exit_code == 130
    assert job.progress.state == "cancelled"
    done = {row.path for row in result if row.status == "miss"}
    assert world.target(direction) == {path: files[path] for path in done}
    world.tidy(resumable="kept" if direction == "pull" else "")
    world.mended(direction, files)


def start(world: FaultyWorld, direction: str) -> nbsync.SyncJob:
    if direction == "pull":
        return nbsync.pull(world.remote, world.local, background=True, jobs=1)
    return nbsync.push(world.local, world.remote, background=True, jobs=1)


@pytest.mark.parametrize("name", ["pull-listing", "pull-get", "push-part", "push-back-off", "lock"])
def test_ctrl_c_in_the_shell(world: FaultyWorld, name: str) -> None:
    hang = HANGS.get(name)
    direction = hang.direction if hang else "push"
    files = prepared(world, direction, BIG)
    words = [world.remote, "local"] if direction == "pull" else ["local", world.remote]
    command = [*NBSYNC, direction, *words, "--jobs", "2"]
    begun = name not in ("pull-listing", "lock")
    with ExitStack() as stack:
        if hang:
            rule = world.proxy.on(hang.fault, hang.operation, hang.key)
        else:
            stack.enter_context(in_use(world))
        running = stack.enter_context(process(command, cwd=world.sandbox, env=environment({}),
                                              stdout=subprocess.PIPE, stderr=subprocess.PIPE))  # fmt: skip
        if hang:
            rule.wait_struck()
        else:
            lock = world.local / ".nbsync" / "lock"
            wait_until("waiting for the lock", lambda: lock in opened_by(running.pid))
        if begun:  # small files have a thread of their own, which may come second
            wait_until("a has arrived", lambda: "a" in world.target(direction))
        asked = time.monotonic()
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=20)
        took = time.monotonic() - asked

    assert running.returncode == 130
    assert took < SECONDS, f"{took:.2f} s"
    assert "stopped by the user" in err
    waited = ["nbsync: waiting for another nbsync run in this folder"] if name == "lock" else []
    assert err.splitlines()[:-1] in ([], waited)
    assert (" a " in out) == begun, out
    assert world.target(direction) == ({"a": files["a"]} if begun else {})
    world.tidy(resumable="kept" if direction == "pull" else "")
    world.mended(direction, files)
