"""The process that does one pull, seen from the server. A thread starts it and reads what it writes."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from nbsync.server.targets import PullRequest

_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class JobSpec(NamedTuple):
    """What the process is to do. No credentials: it finds them as the server would.

    Attributes:
        request: what to do.
        root: the folder that it may not leave.
        cwd: where relative paths of the configuration begin.
    """

    request: PullRequest
    root: str
    cwd: str


class PullProcess:
    """One pull under way. Any thread may stop it.

    Args:
        spec: what to do.
        on_update: called, in a thread of its own, with each document that the process writes, and with None at its end.
    """

    def __init__(self, spec: JobSpec, on_update: Callable[[dict[str, Any] | None], None]) -> None:
        self._spec, self._on_update = spec, on_update
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        threading.Thread(target=self._work, name="nbsync-pull", daemon=True).start()

    def stop(self) -> None:
        """Let it end: what arrived is kept, staging is removed."""
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.stdin is not None:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()

    def kill(self) -> None:
        """End it at once, where it did not end by itself; every file is wholly old or wholly new."""
        with self._lock:
            if self._process is not None:
                _kill_group(self._process)
                self._process = None  # once it was waited for, its number may be another's

    def _work(self) -> None:
        try:
            process = self._start()
            if process is not None:
                with process:
                    self._listen(process)
                    self.kill()  # what it began to get credentials, too
        finally:
            self._on_update(None)

    def _start(self) -> subprocess.Popen[bytes] | None:
        """The process, which has its job spec; None if it was stopped before.

        It runs in the package's own home: what lies in the server's folder cannot stand in for a module.
        """
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                [sys.executable, "-m", "nbsync.server.pull_worker"], cwd=_HOME, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
            self._process = process
            assert process.stdin is not None  # a pipe was asked for
            with contextlib.suppress(OSError):
                pickle.dump(self._spec, process.stdin)
                process.stdin.flush()
            return process

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # a pipe was asked for
        for line in process.stdout:
            with contextlib.suppress(ValueError):  # what a library prints is no document
                document = json.loads(line)
                if isinstance(document, dict):
                    self._on_update(document)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a process, and what it has begun."""
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
