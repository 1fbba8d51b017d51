"""Questions to buckets and disks, each in a helper thread of its own with a time-out; the pump collects the answers."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from nbsync.core.location import parse_location
from nbsync.core.options import Options
from nbsync.engine.status_board import printable
from nbsync.errors import NbsyncError, RemoteError
from nbsync.report import formats
from nbsync.s3 import browse, folder_page

PATIENCE = 20.0  # seconds until a question is given up, whatever its thread does
MAX_SUGGESTIONS = 50
MAX_NAME = 120
_MAX_ASKED = 8  # at once


class Answer(NamedTuple):
    """What came of a question: a value, or the error in one line."""

    topic: tuple[str, ...]
    value: Any
    error: str


class Lookups:
    """Asks in daemon threads; a newer question on the same topic replaces the older one.

    Args:
        wake: called, in the helper's thread, when an answer has come.
        now: monotonic seconds.
    """

    def __init__(self, wake: Callable[[], None], now: Callable[[], float] = time.monotonic) -> None:
        self._wake, self._now = wake, now
        self._came: queue.SimpleQueue[tuple[int, Any, str]] = queue.SimpleQueue()
        self._asked: dict[int, tuple[tuple[str, ...], float]] = {}
        self._count = 0

    def ask(self, topic: tuple[str, ...], work: Callable[[], Any]) -> None:
        """Have `work` done; its value, or its error, is an answer on `topic`."""
        self._asked = {number: asked for number, asked in self._asked.items() if asked[0] != topic}
        if len(self._asked) >= _MAX_ASKED:
            self._came.put((self._register(topic), None, "too much is asked at once: wait for the answers"))
            return
        threading.Thread(target=self._do, args=(self._register(topic), work), name="nbsync-lookup", daemon=True).start()

    def _register(self, topic: tuple[str, ...]) -> int:
        self._count += 1
        self._asked[self._count] = (topic, self._now())
        return self._count

    def _do(self, number: int, work: Callable[[], Any]) -> None:
        try:
            self._came.put((number, work(), ""))
        except NbsyncError as error:
            self._came.put((number, None, str(error)))
        except Exception as error:
            self._came.put((number, None, str(RemoteError(f"{type(error).__name__}: {error}"))))
        self._wake()

    @property
    def pending(self) -> bool:
        """Is an answer still to come?"""
        return bool(self._asked)

    def answers(self) -> Iterator[Answer]:
        """What has come since the last time, and what will not come any more."""
        while not self._came.empty():
            number, value, error = self._came.get()
            topic, _ = self._asked.pop(number, ((), 0.0))
            if topic:
                yield Answer(topic, value, error)
        late = [number for number, (_, since) in self._asked.items() if self._now() - since > PATIENCE]
        for number in late:
            topic, _ = self._asked.pop(number)
            yield Answer(topic, None, f"no answer within {PATIENCE:g} s")


def level(path: str, token: str, options: Options) -> dict[str, Any]:
    """One level of the tree: the buckets for an empty path, else what lies in the folder `bucket/prefix/`.

    Folders are pairs: the name, and how it is shown; objects too: how one is shown, and its size in words.

    Raises:
        NbsyncError: it cannot be listed.
    """
    if path:
        found = folder_page.list_level(parse_location(path), options, token)
    else:
        found = folder_page.Level([f"{name}/" for name in browse.list_buckets(options)], [], "")
    objects = [[formats.clean(name, MAX_NAME), formats.size(size)] for name, size in found.objects]
    folders = [[printable(name), formats.clean(name, MAX_NAME)] for name in found.folders]
    return {"folders": folders, "objects": objects, "token": found.token, "continues": bool(token)}


def remotes_like(text: str, options: Options) -> list[str]:
    """Buckets and folders that begin as `text` does, as REMOTE is written.

    Raises:
        NbsyncError: they cannot be listed.
    """
    scheme = "s3://" if text.startswith("s3://") else ""
    folder, slash, begun = text.removeprefix("s3://").rpartition("/")
    if slash:
        names = folder_page.list_level(parse_location(f"{folder}/"), options, begins=begun).folders
    else:
        names = [f"{name}/" for name in browse.list_buckets(options) if name.startswith(begun)]
    return [printable(f"{scheme}{folder}{slash}{name}") for name in names[:MAX_SUGGESTIONS]]


def folders_like(text: str) -> list[str]:
    """Local folders that begin as `text` does; hidden ones only if it begins so."""
    parent, slash, begun = text.rpartition("/")
    try:
        with os.scandir(os.path.expanduser(f"{parent}{slash}") or ".") as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []
    names = [name for name in names if slash or not name.startswith("~")]  # ~x would be read as the home of a user x
    fitting = (name for name in names if name.startswith(begun) and (begun or not name.startswith(".")))
    return [printable(f"{parent}{slash}{name}") for name in fitting][:MAX_SUGGESTIONS]
