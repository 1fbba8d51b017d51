"""The process that does one pull, seen from the server. A thread starts it and listens to it."""

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

from nbsync.server.targets import Errand

_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Order(NamedTuple):
    """What the process is told. No credentials: it finds them as the server would.

    Attributes:
        errand: what to do.
        root: the folder that it may not leave.
        cwd: where relative paths of the configuration begin.
    """

    errand: Errand
    root: str
    cwd: str


class Hand:
    """One pull under way. Any thread may stop it.

    Args:
        order: what to do.
        hear: told, in a thread of this hand, each document that the process writes; None when it is gone.
    """

    def __init__(self, order: Order, hear: Callable[[dict[str, Any] | None], None]) -> None:
        self._order, self._hear = order, hear
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
            self._hear(None)

    def _start(self) -> subprocess.Popen[bytes] | None:
        """The process, with its order; None if it was stopped before.

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
                pickle.dump(self._order, process.stdin)
                process.stdin.flush()
            return process

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # a pipe was asked for
        for line in process.stdout:
            with contextlib.suppress(ValueError):  # what a library prints is no document
                document = json.loads(line)
                if isinstance(document, dict):
                    self._hear(document)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a process, and what it has begun."""
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
