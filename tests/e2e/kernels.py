"""Real kernels, started and ended for a test, and what they send."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from tests.e2e.helpers import environment

Message = dict[str, Any]


@contextmanager
def started_kernel(folder: Path, env: Mapping[str, str]) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    """A kernel that works in `folder`; `env` is added to its environment."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=environment(env))
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def take(messages: list[Message], message: Message) -> None:
    """Add `message` to `messages`: printed text that follows on text of the same stream becomes one message with it.

    A kernel sends what is printed when its buffer's time is up: how many messages that makes is an accident.
    """
    last = messages[-1] if messages else None
    if last and _stream(message) and _stream(last) == _stream(message):
        content = {**last["content"], "text": last["content"]["text"] + message["content"]["text"]}
        messages[-1] = {**message, "content": content}
    else:
        messages.append(message)


def _stream(message: Message) -> str:
    """`stdout` or `stderr`; empty for what was not printed."""
    return str(message["content"]["name"]) if message["msg_type"] == "stream" else ""
