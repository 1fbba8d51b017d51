"""Real kernels, started and ended for a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from tests.e2e.helpers import environment


@contextmanager
def started_kernel(folder: Path, env: Mapping[str, str]) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    """A kernel that works in `folder`; `env` is added to its environment."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=environment(env))
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
