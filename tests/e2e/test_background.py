"""Background syncs in a real kernel: tables that live on between cells, few messages, waiting, stopping, restarting."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

import nbclient
import nbformat
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from tests.e2e.helpers import code_cells, environment, fill, shared, staged, tree, wait_until
from tests.e2e.kernels import Message, started_kernel, take
from tests.e2e.test_kernel import sent_at
from tests.e2e.valve import Valve
from tests.servers import Server

FILES, SIZE = 5, 400_000


class Kernel:
    """A running kernel with nbsync loaded, and all that it sent, with the time of arrival."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self._client = manager, client
        self.sent: list[Message] = []
        self.run("%load_ext nbsync")

    def start(self, source: str) -> str:
        """Send a cell; its number."""
        number: str = self._client.execute(source)
        return number

    def run(self, source: str) -> list[Message]:
        """What the cell itself sent until it was done."""
        return self.finish(self.start(source))

    def finish(self, cell: str) -> list[Message]:
        """Wait until the cell is done; what it sent."""
        self.listen(lambda: any(_is_idle(message, cell) for message in self.sent))
        mine: list[Message] = []
        for message in self.sent:
            about_the_cell = message["msg_type"] in ("status", "execute_input")
            if message["parent_header"].get("msg_id") == cell and not about_the_cell:
                take(mine, message)
        return mine

    def listen(self, enough: Callable[[], object], seconds: float = 40.0) -> None:
        """Take in what comes until there is enough of it."""
        until = time.monotonic() + seconds
        while not enough():
            assert time.monotonic() < until, [text(message) for message in self.tables()[-3:]]
            try:
                message = self._client.get_iopub_msg(timeout=0.05)
            except Empty:
                continue
            self.sent.append(message)

    def tables(self) -> list[Message]:
        """All displays and updates so far."""
        return [message for message in self.sent if message["msg_type"] in ("display_data", "update_display_data")]

    def says(self, words: str) -> Callable[[], bool]:
        """Does the newest table say it?"""
        return lambda: bool(self.tables()) and words in text(self.tables()[-1])


def _is_idle(message: Message, cell: str) -> bool:
    done = message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
    return done and message["parent_header"].get("msg_id") == cell


def text(message: Message) -> str:
    shown: str = message["content"]["data"]["text/plain"]
    return shown


def of_type(messages: list[Message], kind: str) -> list[Message]:
    """Those of one `msg_type`."""
    return [message for message in messages if message["msg_type"] == kind]


def displays(messages: list[Message]) -> set[str]:
    return {message["content"]["transient"]["display_id"] for message in messages}


def busiest_second(messages: list[Message]) -> int:
    """By the sender's clock: on a busy machine, what was sent in good time comes in a heap."""
    sent = [sent_at(message) for message in messages]
    return max(sum(start <= moment < start + 1 for moment in sent) for start in sent)


@contextmanager
def ready_kernel(folder: Path, env: Mapping[str, str]) -> Iterator[Kernel]:
    """A kernel that works in `folder`."""
    with started_kernel(folder, env) as (manager, client):
        yield Kernel(manager, client)


@pytest.fixture(scope="module")
def kernels(moto_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Kernel]]:
    with shared(lambda: ready_kernel(tmp_path_factory.mktemp("kernel"), moto_server.env())) as get:
        yield get


@pytest.fixture
def kernel(kernels: Callable[..., Kernel], request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """Nothing of an earlier test is under way in it."""
    running = kernels(request)
    running.sent.clear()
    yield running
    running.run("import nbsync\nfor job in nbsync.jobs(): job.cancel()\nfor job in nbsync.jobs(): job.result")


@pytest.fixture
def pull(moto_server: Server, store: str, valve: Valve, tmp_path: Path) -> str:
    """A pull that stands still, half done, until the valve is opened; LOCAL and options may follow."""
    fill(moto_server, store, {f"raw/{n}": os.urandom(SIZE) for n in range(FILES)})
    valve.let_through(100_000)
    return f"%s3sync pull {store}/raw --endpoint-url {valve.url} --background {tmp_path}"


def test_the_cell_is_done_and_its_table_lives_on(kernel: Kernel, pull: str, valve: Valve) -> None:
    began = time.monotonic()
    mine = kernel.run(f"job = {pull}/data")
    assert time.monotonic() - began < 5, "the cell waits for nobody"
    assert mine[0]["msg_type"] == "display_data"
    assert "background sync" in text(mine[0])
    kernel.listen(lambda: len(kernel.tables()) >= 15)
    assert any(f"of {FILES} files" in text(message) for message in kernel.tables())
    answers = kernel.run("1 + 1")
    assert [text(message) for message in of_type(answers, "execute_result")] == ["2"]
    valve.open()
    kernel.listen(kernel.says(f"{FILES} miss"))
    tables = kernel.tables()
    assert len(displays(tables)) == 1
    assert busiest_second(tables) <= 10
    assert max(len(message["content"]["data"]["text/html"]) for message in tables) < 20_000
    count = len(tables)
    for _ in range(3):
        kernel.run("job.result.ok")
    assert len(kernel.tables()) == count + 1, "once more at the end of a cell, and nothing after it"


def test_three_at_once_send_no_more(kernel: Kernel, pull: str, valve: Valve) -> None:
    for name in "abc":
        kernel.run(f"{name} = {pull}/{name}")
        time.sleep(1)  # each cell shows a table of its own: what is measured is what follows
    kernel.sent.clear()
    kernel.listen(lambda: len(kernel.tables()) >= 25)
    assert len(displays(kernel.tables())) == 3, "each gets its turn"
    valve.open()
    kernel.listen(lambda: sum(f"{FILES} miss" in text(message) for message in kernel.tables()) == 3)
    assert busiest_second(kernel.tables()) <= 10


def test_jobs_and_cancel(kernel: Kernel, pull: str, tmp_path: Path) -> None:
    kernel.run(f"job = {pull}/data -o again")
    kernel.listen(kernel.says(f"of {FILES} files"))
    before = displays(kernel.tables())
    # The live table of the first cell moves meanwhile: its updates count as this cell's.
    overview, table = of_type(kernel.run("all = %s3sync jobs"), "display_data")
    assert re.search(r"pull s3://.*syncing", text(overview))
    assert displays([table]) == before, "its live table, in this cell too"
    began = time.monotonic()
    said = kernel.run("x = %s3sync cancel {again.id}")
    took = time.monotonic() - began
    assert took < 2.5, f"{took:.1f} s"  # one is promised; the other is for a busy machine
    printed = "".join(message["content"]["text"] for message in of_type(said, "stream"))
    assert "was stopped" in printed
    assert "interrupted" in text(kernel.tables()[-1])
    assert staged(tmp_path) == []
    (error,) = of_type(kernel.run("%s3sync cancel 999"), "error")
    assert error["content"]["traceback"] == [
        "nbsync: there is no background sync '999'. jobs lists those that there are"
    ]


def test_waiting_keeps_the_table_alive_and_an_interrupt_stops_the_waiting(
    kernel: Kernel, pull: str, valve: Valve, tmp_path: Path
) -> None:
    kernel.run(f"job = {pull}/data")
    kernel.listen(kernel.says(f"of {FILES} files"))
    count = len(kernel.tables())
    cell = kernel.start("job.wait()")
    kernel.listen(lambda: len(kernel.tables()) >= count + 5)
    kernel.manager.interrupt_kernel()
    (error,) = of_type(kernel.finish(cell), "error")
    assert error["content"]["ename"] == "KeyboardInterrupt"
    assert [text(message) for message in of_type(kernel.run("job.done"), "execute_result")] == ["False"]
    valve.open()
    kernel.run("r = job.wait()")
    assert f"{FILES} miss" in text(kernel.tables()[-1])
    assert len(tree(tmp_path / "data")) == FILES


def test_await_keeps_the_table_alive(kernel: Kernel, pull: str, valve: Valve) -> None:
    kernel.run(f"job = {pull}/data")
    kernel.listen(kernel.says(f"of {FILES} files"))
    count = len(kernel.tables())
    cell = kernel.start("r = await job\nr.counts['miss']")
    kernel.listen(lambda: len(kernel.tables()) >= count + 5)
    valve.open()
    said = kernel.finish(cell)
    assert [text(message) for message in of_type(said, "execute_result")] == [str(FILES)]
    assert f"{FILES} miss" in text(kernel.tables()[-1])
    assert busiest_second(kernel.tables()) <= 10


def test_interrupting_an_await_leaves_the_job(kernel: Kernel, pull: str) -> None:
    kernel.run(f"job = {pull}/data")
    cell = kernel.start("await job")
    kernel.listen(kernel.says(f"of {FILES} files"))
    kernel.manager.interrupt_kernel()
    assert [message["msg_type"] for message in kernel.finish(cell) if message["msg_type"] == "error"] == ["error"]
    said = kernel.run("job.done")
    assert [text(message) for message in of_type(said, "execute_result")] == ["False"]


def test_a_job_from_python_moves_by_itself_and_can_be_shown(kernel: Kernel, pull: str, valve: Valve) -> None:
    found = re.search(r"pull (\S+) .*--endpoint-url (\S+) --background (\S+)", pull)
    assert found
    remote, url, folder = found.groups()
    kernel.run(
        f"import nbsync\njob = nbsync.pull({remote!r}, {folder!r} + '/p', endpoint_url={url!r}, background=True)"
    )
    assert kernel.tables() == []
    kernel.run("%s3sync jobs")
    kernel.listen(kernel.says(f"of {FILES} files"))
    valve.open()
    kernel.listen(kernel.says(f"{FILES} miss"))


def test_a_restart_hangs_on_nothing(moto_server: Server, pull: str, tmp_path: Path) -> None:
    """Once in some hundred times ipykernel waits 10 s for its own streams as it ends ("IOStream.flush timed out")."""
    assert any(seconds_to_end(moto_server, f"{pull}/{attempt}", tmp_path) < 5 for attempt in range(2))


def seconds_to_end(server: Server, pull: str, folder: Path) -> float:
    """How long a kernel takes to end in which a pull is under way."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=environment(server.env()))
    try:
        kernel = Kernel(manager, client)
        kernel.run(f"job = {pull}")
        kernel.listen(kernel.says(f"of {FILES} files"))
        began = time.monotonic()
        client.shutdown()
        wait_until("the kernel has ended", lambda: not manager.is_alive())
        return time.monotonic() - began
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run_notebook(folder: Path, *sources: str) -> list[Any]:
    """The code cells of a notebook that nbclient has run."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3", resources={
        "metadata": {"path": str(folder)}})  # fmt: skip
    return code_cells(client.execute())


AWAITS = "import asyncio\nwhile not job.done: await asyncio.sleep(0.05)"
COMPUTES = "import time\nwhile not job.done: time.sleep(0.05)"


def end_of_a_background_sync(folder: Path, server: Server, bucket: str, waiting: str) -> tuple[Any, Any]:
    """The cell that began a sync and the one that waited for it so, as nbclient saves them."""
    fill(server, bucket, {f"raw/{n}": bytes(4) for n in range(3)})
    line = f"job = %s3sync pull {bucket}/raw data --background --bandwidth 10B/s"
    _, begun, waited, *_ = run_notebook(folder, "%load_ext nbsync", line, waiting)
    return begun, waited


@pytest.mark.parametrize("waiting", ["job.wait();", "r = await job", AWAITS, COMPUTES])
def test_nbclient_saves_the_end_into_the_first_cell(
    waiting: str, moto_server: Server, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto_server.env().items():
        monkeypatch.setenv(name, value)
    begun, waited = end_of_a_background_sync(tmp_path, moto_server, store, waiting)
    (output,) = begun["outputs"]
    assert "3 miss" in output["data"]["text/plain"]
    assert waited["outputs"] == []
