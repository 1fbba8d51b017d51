"""A cell with `--on` that is interrupted. Jupyter signals all that the kernel began: the workers of its cluster too."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.helpers import fill, shared
from tests.e2e.kernels import Message
from tests.e2e.test_kernel import Kernel, ready_kernel, text, types
from tests.e2e.valve import Valve
from tests.functional.clusters import QUICK_HEART
from tests.servers import Server

FILES = {f"raw/{number:02}": os.urandom(400_000) for number in range(12)}
BEGIN = f"""
import logging
from distributed import LocalCluster
from ipyparallel import Cluster
options = dict(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL)
cluster = LocalCluster(**options)
engines = Cluster(n=2, log_level=logging.CRITICAL, controller_args={QUICK_HEART})
engines.start_and_connect_sync(activate=False).close()
dask, ipyparallel = cluster.scheduler_address.replace("tcp", "dask"), "ipyparallel"
"""
AGAIN = """
cluster.close()
cluster = LocalCluster(**options)
dask = cluster.scheduler_address.replace("tcp", "dask")
"""  # Dask's workers end when they are interrupted, and nothing starts them again; ipyparallel's engines go on
END = "cluster.close(); engines.stop_cluster_sync()"


@contextmanager
def kernel_with_clusters(folder: Path, env: Mapping[str, str]) -> Iterator[Kernel]:
    """A kernel in `folder`, which began two workers each of Dask's and ipyparallel's."""
    with ready_kernel(folder, {**env, "IPYTHONDIR": str(folder / "ipython")}) as kernel:
        assert "error" not in types(kernel.run(BEGIN))
        yield kernel
        kernel.run(END)


@pytest.fixture(scope="module")
def kernels(moto_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Kernel]]:
    with shared(lambda: kernel_with_clusters(tmp_path_factory.mktemp("kernel"), moto_server.env())) as get:
        yield get


@pytest.fixture
def kernel(kernels: Callable[..., Kernel], request: pytest.FixtureRequest) -> Kernel:
    return kernels(request)


@pytest.mark.parametrize(("engine", "spread"), [("dask", "shared"), ("ipyparallel", "shared"), ("ipyparallel", "each")])
def test_an_interrupted_cell_leaves_whole_files_and_the_rest_to_the_next_run(
    kernel: Kernel, moto_server: Server, store: str, valve: Valve, tmp_path: Path, engine: str, spread: str
) -> None:
    fill(moto_server, store, FILES)
    valve.let_through(1_000_000)
    local = tmp_path / "data"
    pull = f"r = %s3sync pull {store}/raw {local} --endpoint-url {valve.url} --on {{{engine}}} --spread {spread}"
    pressed: list[float] = []

    def interrupt_once(messages: list[Message]) -> None:
        if not pressed and list(local.glob("[0-9]*")):
            pressed.append(time.monotonic())
            kernel.manager.interrupt_kernel()

    messages = kernel.run(pull, interrupt_once)
    took = messages[-1]["arrived"] - pressed[0]
    assert took < 2, f"{took:.1f} s"  # one is promised; the other is for a busy machine
    assert messages[-1]["content"]["ename"] == "Interrupted"
    assert len(messages[-1]["content"]["traceback"]) == 1
    assert "interrupted" in text(messages[-2])
    assert "does not see" not in text(messages[-2])
    kept = {f"raw/{path.name}": path.read_bytes() for path in local.glob("[0-9]*")}
    assert kept.items() <= FILES.items()

    valve.open()
    if engine == "dask":
        assert "error" not in types(kernel.run(AGAIN))
    messages = kernel.run(pull)
    assert f"{12 - len(kept)} miss · {len(kept)} hit" in text(messages[-1])
    assert {f"raw/{path.name}": path.read_bytes() for path in local.glob("[0-9]*")} == FILES
    assert list((local / ".nbsync" / "stage").iterdir()) == []
