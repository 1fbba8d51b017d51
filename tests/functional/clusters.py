"""Real clusters for the tests: a Dask scheduler with its workers, and ipyparallel's controller with its engines.

All are processes of their own on loopback, with free ports, and end with the module that uses them.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

_START_SECONDS = 60
# ipyparallel's controller takes an engine in at its second heartbeat: every 3 s by default, and 10 missed are its end.
QUICK_HEART = ["--HeartMonitor.period=500", "--HeartMonitor.max_heartmonitor_misses=60"]


class DaskCluster:
    """A scheduler and some workers of one thread each, without nannies: who is killed stays dead."""

    def __init__(self, place: Path, env: dict[str, str]) -> None:
        self._place, self._env = place, {**os.environ, **env, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s"}
        self._processes: list[subprocess.Popen[str]] = []
        command = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self._scheduler, address = self._start(command, r"Scheduler at:\s+tcp://(\S+)")
        self.address = address

    @property
    def on(self) -> str:
        """As `--on` takes it."""
        return f"dask://{self.address}"

    def add_worker(self, **env: str) -> subprocess.Popen[str]:
        """One more, in a process of its own, once it is known to the scheduler."""
        command = ["worker", f"tcp://{self.address}", "--nthreads", "1", "--no-nanny", "--no-dashboard",
                   "--local-directory", str(self._place)]  # fmt: skip
        return self._start(command, r"(Registered to):\s+tcp://", env)[0]

    def _start(
        self, command: list[str], until: str, env: dict[str, str] | None = None
    ) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen([sys.executable, "-m", "dask", *command], cwd=self._place, text=True,
                                   env={**self._env, **(env or {})}, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)  # fmt: skip
        self._processes.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            found = re.search(until, line)
            if found:
                return process, found[1]
        raise AssertionError(f"dask {command[0]} ended")

    def kill_workers(self) -> None:
        """All of them, at once."""
        for process in self._processes[1:]:
            process.kill()

    def kill_scheduler(self) -> None:
        """At once, as when its machine fails."""
        self._scheduler.kill()

    def stop(self) -> None:
        """End all of it."""
        for process in reversed(self._processes):
            process.kill()
        for process in self._processes:
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


class IpyparallelCluster:
    """A controller and some engines, under an IPython profile of their own, in this process's environment."""

    def __init__(self, place: Path, engines: int) -> None:
        import ipyparallel

        self.place = str(place)
        self.cluster: Any = ipyparallel.Cluster(
            n=engines, profile="nbsync-tests", cluster_id="", log_level=40, controller_args=QUICK_HEART
        )
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
            self.client: Any = self.cluster.start_and_connect_sync(n=engines, activate=False)

    def pid_of(self, engine: int) -> int:
        """The process of an engine."""
        return int(self.client[engine].apply_sync(os.getpid))

    def kill_process(self, pid: int) -> None:
        """At once."""
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End all of it."""
        with contextlib.suppress(Exception):
            self.client.close()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
            self.cluster.stop_cluster_sync()
