"""What a run sends to a front end, seen on the kernel's own channel: one display, few updates, a clean interrupt."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.e2e.helpers import fill, shared, wait_until
from tests.e2e.kernels import Message, started_kernel, take
from tests.e2e.valve import Valve
from tests.servers import Server

UPDATE = "update_display_data"


class Kernel:
    """A running kernel with nbsync loaded."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self._client = client
        assert [m["msg_type"] for m in self.run("%load_ext nbsync")] == []

    def run(self, source: str, seen: Callable[[list[Message]], None] = lambda messages: None) -> list[Message]:
        """What the cell sends to the front end, each message with its time of arrival; `seen` is called after each.

        Text of one stream is one message, however often the kernel flushed.
        """
        request = self._client.execute(source)
        messages: list[Message] = []
        while True:
            message = self._client.get_iopub_msg(timeout=40)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return messages
            if message["msg_type"] not in ("status", "execute_input"):
                take(messages, {**message, "arrived": time.monotonic()})
                seen(messages)

    def complete(self, source: str) -> list[str]:
        """What the cell becomes with each of the matches when Tab is pressed at its end."""
        answer = self._client.complete(source, len(source), reply=True, timeout=40)["content"]
        start, end = answer["cursor_start"], answer["cursor_end"]
        return [source[:start] + match + source[end:] for match in answer["matches"]]


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
def kernel(kernels: Callable[..., Kernel], request: pytest.FixtureRequest) -> Kernel:
    return kernels(request)


@pytest.fixture
def slow_pull(moto_server: Server, store: str, valve: Valve, tmp_path: Path) -> str:
    """A pull that stands still until the valve is opened."""
    fill(moto_server, store, {f"raw/{n}": os.urandom(400_000) for n in range(5)})
    valve.let_through(100_000)
    return f"r = %s3sync pull {store}/raw {tmp_path}/data --endpoint-url {valve.url}"


def types(messages: list[Message]) -> list[str]:
    return [message["msg_type"] for message in messages]


def sent_at(message: Message) -> float:
    """By the kernel's clock. The date is parsed already only where python-dateutil is installed."""
    return datetime.fromisoformat(str(message["header"]["date"]).replace("Z", "+00:00")).timestamp()


def text(message: Message) -> str:
    shown: str = message["content"]["data"]["text/plain"]
    return shown


def test_updates_are_few_and_go_to_one_display(kernel: Kernel, slow_pull: str, valve: Valve) -> None:
    def open_after_a_while(messages: list[Message]) -> None:
        if types(messages).count(UPDATE) == 15:
            valve.open()

    messages = kernel.run(slow_pull, open_after_a_while)
    assert types(messages)[0] == "display_data"
    assert set(types(messages)[1:]) == {UPDATE}
    assert len({message["content"]["transient"]["display_id"] for message in messages}) == 1
    sent = [sent_at(message) for message in messages]  # what is late may come in a heap
    busiest = max(sum(start <= moment < start + 1 for moment in sent) for start in sent)
    assert busiest <= 10, f"{busiest} messages within a second"
    assert any("of 5 files" in text(message) for message in messages[:15])  # the listing may take a moment
    assert "5 miss" in text(messages[-1])
    assert set(messages[-1]["content"]["data"]) == {"text/html", "text/plain"}


def test_a_quick_run_is_one_message_or_two(kernel: Kernel, moto_server: Server, store: str, tmp_path: Path) -> None:
    fill(moto_server, store, {"raw/a": b"a"})
    messages = kernel.run(f"%s3sync pull {store}/raw {tmp_path}/data")
    check_few(messages)
    assert "1 miss" in text(messages[-1])


def check_few(messages: list[Message]) -> None:
    """One display, and one update, or ten for each second that a busy machine took."""
    assert types(messages)[0] == "display_data"
    assert set(types(messages)[1:]) <= {UPDATE}
    assert len(messages) <= 2 + 10 * int(sent_at(messages[-1]) - sent_at(messages[0]))


def test_an_interrupt_ends_in_the_table_and_one_line(kernel: Kernel, slow_pull: str) -> None:
    pressed: list[float] = []

    def interrupt_once(messages: list[Message]) -> None:
        if not pressed:
            pressed.append(time.monotonic())
            kernel.manager.interrupt_kernel()

    messages = kernel.run(slow_pull, interrupt_once)
    took = messages[-1]["arrived"] - pressed[0]
    assert took < 2, f"{took:.1f} s"  # one is promised; the other is for a busy machine
    assert types(messages)[-1] == "error"
    assert len(messages[-1]["content"]["traceback"]) == 1
    assert messages[-1]["content"]["traceback"][0].startswith("nbsync: ")
    assert messages[-1]["content"]["ename"] == "Interrupted"
    assert "interrupted" in text(messages[-2])
    (after,) = kernel.run("1 + 1")
    assert text(after) == "2"


def test_the_value_is_the_table_in_a_later_cell(
    kernel: Kernel, moto_server: Server, store: str, tmp_path: Path
) -> None:
    fill(moto_server, store, {"raw/a": b"a"})
    assert kernel.run(f"r = %s3sync pull {store}/raw {tmp_path}/data;") == []
    (shown,) = kernel.run("r")
    assert shown["msg_type"] == "execute_result"
    assert set(shown["content"]["data"]) == {"text/html", "text/plain"}
    assert "1 miss" in text(shown)


def test_tab_is_answered(kernel: Kernel, moto_server: Server, store: str) -> None:
    check_tab(kernel, moto_server, store)


def check_tab(kernel: Kernel, moto_server: Server, store: str) -> None:
    """Commands, values and keys are offered where they belong; offline there is nothing, and no output."""
    fill(moto_server, store, {"raw/my data.csv": b"a", "raw/a-b:c=d.csv": b"b"})
    assert kernel.complete("r = %s3sync pul") == ["r = %s3sync pull"]
    assert kernel.complete("%%s3sync --jobs 3\nls b --addressing-style=p") == [
        "%%s3sync --jobs 3\nls b --addressing-style=path"
    ]
    start = f"%s3sync pull s3://{store}/raw/"
    assert wait_until("the keys are offered", lambda: kernel.complete(start)) == [
        f"{start}a-b:c=d.csv", f"%s3sync pull 's3://{store}/raw/my data.csv'"
    ]  # fmt: skip
    assert kernel.complete(f"{start}a-b:c=") == [f"{start}a-b:c=d.csv"]
    assert wait_until("the buckets are offered", lambda: kernel.complete(f"%s3sync pull {store[:9]}"))
    offline = f"%s3sync --endpoint-url http://127.0.0.1:9 pull {store}/"
    assert kernel.complete(offline) == []
    assert kernel.run("pass") == []
