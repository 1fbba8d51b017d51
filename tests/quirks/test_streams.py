"""Output that cannot be written, a terminal that is closed, signals, and what is left open."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.quirks.store import Request
from tests.quirks.world import CREDENTIALS, World, world

ROOT = Path(__file__).parents[2]
SECONDS = 30


@pytest.fixture
def here() -> Iterator[World]:
    """A world of one object."""
    with world() as here:
        here.put("a", b"1")
        yield here


def begun(*words: object, env: Mapping[str, str] | None = None, options: tuple[str, ...] = (), **more: Any) -> Any:
    """A process of the command line."""
    command = [sys.executable, *options, "-m", "nbsync", *map(str, words)]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **CREDENTIALS, **(env or {})},
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
    )  # fmt: skip


@pytest.mark.parametrize("words", [("ls", "s3://b/p/"), ("pull", "s3://b/p", "LOCAL", "--json"), ("--help",)])
def test_a_full_standard_output(here: World, words: tuple[str, ...]) -> None:
    """Is one line and an exit code; what was to be done is done."""
    given = [here.local if word == "LOCAL" else word for word in words]
    where = () if words == ("--help",) else ("--endpoint-url", here.store.url)
    with open("/dev/full", "wb") as full, begun(*given, *where, stdout=full) as process:
        said = process.stderr.read().decode()
    assert process.returncode == 2
    assert said == "nbsync: standard output cannot be written: No space left on device\n"
    assert here.files() == ({"a": b"1"} if "pull" in words else {})


@pytest.mark.parametrize("words", [("ls", "s3://b/p/"), ("ls", "s3://b/none"), ("pul",)])
def test_a_full_standard_error_changes_no_exit_code(here: World, words: tuple[str, ...]) -> None:
    with begun(*words, *(("--endpoint-url", here.store.url) if words[0] == "ls" else ())) as process:
        process.communicate()
    with open("/dev/full", "wb") as full:
        again = begun(*words, *(("--endpoint-url", here.store.url) if words[0] == "ls" else ()), stderr=full)
        again.communicate()
    assert again.returncode == process.returncode


class Held:
    """Lets the store wait with its answer to a GET of an object until `go` is set."""

    def __init__(self, here: World) -> None:
        self.asked, self.go = threading.Event(), threading.Event()
        here.store.hook = self._hold

    def _hold(self, request: Request) -> bool:
        if request.command == "GET" and request.key:
            self.asked.set()
            self.go.wait(SECONDS)
        return False


def test_a_terminal_that_is_closed_stops_the_run(here: World) -> None:
    """As Ctrl-C does, though nothing can be said any more, and though both terminal and shell hang up."""
    held = Held(here)
    own, end = pty.openpty()
    process = begun(
        "pull", "s3://b/p", here.local, "--endpoint-url", here.store.url,
        stdin=end, stdout=end, stderr=end, start_new_session=True,
    )  # fmt: skip
    os.close(end)
    assert held.asked.wait(SECONDS)
    process.send_signal(signal.SIGHUP)
    os.close(own)
    process.send_signal(signal.SIGHUP)
    assert process.wait(SECONDS) == 130
    held.go.set()
    assert list((here.local / ".nbsync/stage").iterdir()) == []


def test_nohup_lets_it_go_on(here: World) -> None:
    held = Held(here)
    process = begun(
        "pull", "s3://b/p", here.local, "--endpoint-url", here.store.url,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    assert held.asked.wait(SECONDS)
    process.send_signal(signal.SIGHUP)
    held.go.set()
    process.communicate()
    assert process.returncode == 0
    assert here.files() == {"a": b"1"}


@pytest.mark.parametrize("verb", ["plan", "doctor"])
def test_nothing_is_left_open(here: World, verb: str) -> None:
    words = ["plan", "pull", "s3://b/p", here.local] if verb == "plan" else ["doctor", "s3://b/p"]
    options = ("-X", "dev", "-W", "error")
    with begun(*words, "--endpoint-url", here.store.url, options=options) as process:
        said = process.stderr.read().decode()
    assert (process.returncode, said) == (0, "")
