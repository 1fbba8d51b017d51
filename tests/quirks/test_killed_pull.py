"""A killed pull of a large object: the next one fetches what did not come, and hardly more."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import nbsync
from tests.quirks.store import Request
from tests.quirks.world import CREDENTIALS, World, world

ROOT = Path(__file__).parents[2]
MiB = 1 << 20
SIZE = 40 * MiB  # five ranges
SECONDS = 30


class Asked:
    """The ranges that were asked for, in bytes; each answer is broken off after `each` bytes, if that is set."""

    def __init__(self, here: World, each: int = 0) -> None:
        self.bytes, self.each, self.stuck = 0, each, threading.Semaphore(0)
        self._free = threading.Event()
        here.store.hook = self._look

    def _look(self, request: Request) -> bool:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", request.low.get("range", ""))
        if request.command != "GET" or not found:
            return False
        first, last = int(found[1]), int(found[2])
        self.bytes += last + 1 - first
        if not self.each:
            return False
        stored = request.store.keys[request.key]
        request.send_response(206)
        request.send_header("ETag", f'"{stored.etag}"')
        request.send_header("Content-Length", str(last + 1 - first))
        request.send_header("Content-Range", f"bytes {first}-{last}/{SIZE}")
        request.end_headers()
        for at in range(first, first + self.each, 64 * 1024):  # the last piece is noted with the one before it
            request.wfile.write(stored.body[at : min(at + 64 * 1024, first + self.each)])
            threading.Event().wait(0.02)
        self.stuck.release()
        self._free.wait(SECONDS)
        return True

    def let_go(self) -> None:
        """What hangs ends."""
        self._free.set()


def test_what_came_of_each_range_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with world() as here:
        body = os.urandom(SIZE)
        here.put("big", body)
        asked = Asked(here, each=3 * MiB)
        command = [sys.executable, "-m", "nbsync", "pull", "s3://b/p", here.local, "--endpoint-url", here.store.url]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            assert asked.stuck.acquire(timeout=SECONDS)
            assert asked.stuck.acquire(timeout=SECONDS)
            process.kill()
        asked.let_go()
        [staged] = (here.local / ".nbsync/stage").iterdir()
        with contextlib.closing(sqlite3.connect(here.local / ".nbsync/unfinished.sqlite3")) as db:
            noted = int(db.execute("SELECT sum(bytes) FROM came").fetchone()[0])
        came = staged.stat().st_blocks * 512
        assert 4 * MiB < came - 4 * MiB < noted <= came

        asked = Asked(here)
        assert nbsync.pull("s3://b/p", here.local, endpoint_url=here.store.url).ok
        assert asked.bytes == SIZE - noted
        assert here.files() == {"big": body}
