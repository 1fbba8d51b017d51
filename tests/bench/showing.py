"""What the live table costs: CPU seconds of a pull in a notebook kernel, shown and with `--quiet`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.bench import trees
from tests.bench.contest import OURS, Bar, Contestant, Count, Outcome, Ratio, hold
from tests.bench.measure import BenchError, Measured, expect
from tests.bench.tools import env_for
from tests.bench.world import World

QUIET = "nbsync --quiet"
_BEGIN = "import json, resource, time; _wall, _cpu = time.perf_counter(), time.process_time()"
_END = """
_figures = {"wall": time.perf_counter() - _wall, "cpu": time.process_time() - _cpu,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6}
r.raise_for_problems()
print(json.dumps(_figures))
"""


class Kernel:
    """A running kernel with nbsync loaded, whose messages are read as a front end does."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        from jupyter_client.manager import start_new_kernel

        self._manager, self._client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=env)
        self.run("%load_ext nbsync")

    def run(self, cell: str) -> list[dict[str, Any]]:
        """What a cell sends, until it is done.

        Raises:
            BenchError: the cell raised.
        """
        request = self._client.execute(cell)
        messages: list[dict[str, Any]] = []
        while True:
            message = self._client.get_iopub_msg(timeout=600)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "error":
                raise BenchError(f"the cell raised {message['content']['ename']}: {message['content']['evalue'][:300]}")
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return messages
            messages.append(message)

    def stop(self) -> None:
        """End the kernel."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


def showing(world: World) -> list[Outcome]:
    """cost of showing: CPU seconds of a pull in a notebook with the live table against --quiet"""
    source = world.small()
    bucket = world.bucket_of(source)
    local = world.folder / "copy-kernel"
    env = env_for(world.server.endpoint_url)
    shown: dict[str, list[int]] = {OURS: [], QUIET: []}
    kernels = {name: Kernel(env, world.folder) for name in shown}

    def pull(name: str, option: str) -> Measured:
        trees.remove(local)
        messages = kernels[name].run(f"{_BEGIN}\nr = %s3sync pull {bucket} {local}{option}\n{_END}")
        types = [message["msg_type"] for message in messages]
        shown[name].append(types.count("display_data") + types.count("update_display_data"))
        said = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
        figures = json.loads(said.strip().rpartition("\n")[2])
        trees.expect_same(source, local, name)
        return Measured(figures["wall"], figures["cpu"], figures["peak_mb"])

    contestants = [Contestant(OURS, lambda: pull(OURS, "")), Contestant(QUIET, lambda: pull(QUIET, " --quiet"))]
    try:
        for one in contestants:
            one.run()
        expect(shown[OURS][-1] > 0 and not any(shown[QUIET]), f"tables shown: {shown}")
        bars: list[Bar] = [
            Ratio(QUIET, 1.1, metric="cpu", what="nbsync / nbsync --quiet, CPU seconds"),
            Count("messages of the live table, at most", lambda: max(shown[OURS]), None),
        ]
        title = f"cost of showing: pull {world.scale.small_files:,} × 4 KiB in a notebook kernel, with the live table"
        outcome = hold(title, contestants, world.scale.rounds, bars, {})
        return [outcome]
    finally:
        for kernel in kernels.values():
            kernel.stop()
        trees.remove(local)
