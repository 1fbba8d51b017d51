"""Dask workers as nodes: a scheduler in this process, and worker processes that stand in directories of their own."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import distributed

from tests.e2e.helpers import ROOT, wait_until

QUIET = {"DASK_LOGGING__DISTRIBUTED": "critical", "PYTHONPATH": str(ROOT)}


class DaskNodes:
    """A scheduler with workers of one thread. A relative LOCAL is another one in each of their directories.

    Args:
        base: for what Dask itself writes.
        env: that of the workers.
    """

    def __init__(self, base: Path, env: Mapping[str, str]) -> None:
        self._base, self._env = base, {**os.environ, **QUIET, **env}
        self._cluster = distributed.LocalCluster(n_workers=0, processes=True, dashboard_address=None, silence_logs=50)
        self.client = distributed.Client(self._cluster, set_as_default=False)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def on(self) -> str:
        """What `--on` takes."""
        return f"dask://{self._cluster.scheduler_address.removeprefix('tcp://')}"

    def start(self, name: str, folder: Path, *, nanny: bool = True, bound: bool = False) -> None:
        """Start a worker in `folder`; with a `nanny` another one takes its place when it dies.

        Args:
            bound: it is bound by the modes of files, whoever runs the tests.
        """
        folder.mkdir(exist_ok=True)
        scratch = self._base / f"scratch-{name}"
        scratch.mkdir(mode=0o777, exist_ok=True)
        command = [sys.executable, "-m", "distributed.cli.dask_worker", self._cluster.scheduler_address, "--name", name,
                   "--nthreads", "1", "--no-dashboard", "--nanny" if nanny else "--no-nanny",
                   "--local-directory", str(scratch)]  # fmt: skip
        self._processes[name] = subprocess.Popen(
            command, cwd=folder, env=self._env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            preexec_fn=_without_capabilities if bound else None,  # noqa: PLW1509
        )  # fmt: skip

    def wait(self, count: int) -> None:
        """Until just so many workers are there."""
        wait_until(f"{count} workers", lambda: len(self.names()) == count)

    def pids(self) -> dict[str, int]:
        """The process of each worker, by the name that it was started with."""
        found = self.client.run(os.getpid)
        return {name: found[f"tcp://{address}"] for name, address in self.names().items()}

    def names(self) -> dict[str, str]:
        """What nbsync calls each worker, by the name that it was started with."""
        workers: dict[str, Any] = self.client.scheduler_info(n_workers=-1)["workers"]
        return {info["name"]: address.removeprefix("tcp://") for address, info in workers.items()}

    def kill(self, name: str) -> None:
        """SIGKILL for the worker, not for its nanny."""
        pid = self.pids()[name]
        os.kill(pid, signal.SIGKILL)
        wait_until(
            "the worker's end",
            lambda: not Path(f"/proc/{pid}").exists() or "(zombie)" in Path(f"/proc/{pid}/status").read_text(),
        )

    def end(self, name: str) -> None:
        """End a worker, and its nanny if it has one."""
        process = self._processes.pop(name)
        process.terminate()
        process.wait(timeout=20)

    def stop(self) -> None:
        """End it all."""
        for name in list(self._processes):
            self.end(name)
        self.client.close()
        self._cluster.close()


def _without_capabilities() -> None:
    """In the child: root is bound by modes as anybody is (capabilities(7); those of its threads and children too)."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):  # programs that it starts shall get none back
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")
