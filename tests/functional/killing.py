"""A sync in a forked process that SIGKILL ends at a chosen moment: the nth request, or the nth change to files."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

from tests.functional.plain_store import PlainStore

# Python's audit events of what changes files, and of opening them.
CHANGES = ("open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.utime", "os.truncate", "os.chmod")
_PATIENCE_SECONDS = 5.0
_left = -1  # events until this process kills itself; negative: never


def _count(event: str, _arguments: object) -> None:
    global _left  # noqa: PLW0603
    if _left < 0 or event not in CHANGES:
        return
    _left -= 1
    if _left < 0:
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(_count)  # cannot be taken away again: it does nothing before it is armed


def kill_at_request(store: PlainStore, number: int, sync: Callable[[], object]) -> bool:
    """Run `sync` in a child, killed when the store has been at work for the nth time; was it killed?"""
    child: list[int] = []
    left = number

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0 and child:
            os.kill(child[0], signal.SIGKILL)

    store.on_request = count
    try:
        child.append(_fork(sync, -1))
        return _ended(child[0])
    finally:
        store.settle()
        store.on_request = lambda: None


def kill_at_change(store: PlainStore, number: int, sync: Callable[[], object]) -> bool:
    """Run `sync` in a child that kills itself at its nth change to files; was it killed?"""
    killed = _ended(_fork(sync, number))
    store.settle()
    return killed


def _fork(sync: Callable[[], object], left: int) -> int:
    global _left  # noqa: PLW0603
    child = os.fork()
    if child:
        return child
    try:
        _left = left
        sync()
    finally:
        os._exit(0)


def _ended(child: int) -> bool:
    """Wait for the child. One that hangs, for a lock that was held at the fork, is killed: a moment like others."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.WIFSIGNALED(status)
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            until = float("inf")
        time.sleep(0.002)
