"""The pulls of one server: each once, a few at a time, never two in one folder. For the event loop's thread alone.

Each is done by a process of its own (see pull_process.py). Each document that the process writes is an update for
whoever follows the pull.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, Protocol

from nbsync.errors import LockedError
from nbsync.server import documents
from nbsync.server.documents import MAX_ROWS, Document
from nbsync.server.pull_process import JobSpec, PullProcess
from nbsync.server.targets import PullRequest

ENDED = ("done", "cancelled", "failed")
_KEPT = 50  # pulls that have ended
_LOOKS_AT_ONCE = 2  # dry runs; they wait for no pull
_MOST_WAITING = 500
_PATIENCE = 5.0  # seconds that a pull may take to stop


class Worker(Protocol):
    """What does one pull."""

    def stop(self) -> None: ...

    def kill(self) -> None: ...


Start = Callable[[JobSpec, Callable[[Document | None], None]], Worker]


class Pull:
    """One request: waiting for its turn, under way, or ended.

    Attributes:
        id: names it in the API; cannot be guessed.
        worker: the process that does it, once it has begun.
        changed: set when there is something new; then there is another one to wait for.
        rows_seen: rows there were so far.
        is_cancelled: it was told to stop.
    """

    def __init__(self, request: PullRequest) -> None:
        self.id = uuid.uuid4().hex
        self.request = request
        self.worker: Worker | None = None
        self.changed = asyncio.Event()
        self.rows_seen = 0
        self.is_cancelled = False
        self._document = documents.first(self.id, request)
        self._result: Document | None = None
        self._rows: deque[tuple[int, Document]] = deque(maxlen=MAX_ROWS)  # numbered from 1

    @property
    def state(self) -> str:
        """In a word."""
        return str(self._document["state"])

    @property
    def ended(self) -> bool:
        """Will nothing more happen?"""
        return self.state in ENDED

    def brief(self) -> Document:
        """How it goes, or went, without rows."""
        return {**self._document, "rows": [], "rows_omitted": self.rows_seen}

    def document(self, seen: int = 0) -> Document:
        """How it goes, with the newest rows after the first `seen`; at the end, with the rows that matter most."""
        if self.ended:
            return dict(self._document)
        rows = [row for number, row in self._rows if number > seen]
        return {**self._document, "rows": rows, "rows_omitted": self.rows_seen - seen - len(rows)}

    def with_result(self) -> Document:
        """The document, and the contract's result once there is one."""
        return self.document() if self._result is None else {**self.document(), "result": self._result}

    def take(self, update: Document) -> None:
        """What its process, or the manager of it, says of it."""
        update = dict(update)
        if update.pop("ended", False):
            self._result = update.pop("result", None)
            self._rows.clear()
            self.rows_seen = len(update.get("rows", ())) + update.get("rows_omitted", 0)
        else:
            self.rows_seen += update.pop("rows_omitted", 0)  # older than those that it brings
            for row in update.pop("rows", ()):
                self.rows_seen += 1
                self._rows.append((self.rows_seen, row))
        self._document.update(update)
        self.changed.set()
        self.changed = asyncio.Event()


class Pulls:
    """The pulls of a server.

    Args:
        concurrent: how many run at once.
        root: the folder that targets lie in.
        note_activity: told the time while one runs: such a server is not idle.
        start: begins one.
    """

    def __init__(self, *, concurrent: int, root: str, note_activity: Callable[[datetime], object],
                 start: Start = PullProcess) -> None:  # fmt: skip
        self._concurrent, self._root, self._note_activity, self._start = concurrent, root, note_activity, start
        self._cwd = os.getcwd()  # now: it may be deleted later
        self._pulls: dict[str, Pull] = {}

    def all(self) -> list[Pull]:
        """The oldest first; of those that have ended, the last ones."""
        return list(self._pulls.values())

    def find(self, number: str) -> Pull | None:
        """The pull of this id, if there is one."""
        return self._pulls.get(number)

    def ask(self, request: PullRequest) -> Pull:
        """The pull that does `request`: one that is to do the same already, else a new one.

        Raises:
            LockedError: too many wait.
        """
        going = [pull for pull in self._pulls.values() if not pull.ended]
        for pull in going:
            if pull.request.key == request.key and not pull.is_cancelled:
                return pull
        if len(going) >= _MOST_WAITING:
            raise LockedError("too many pulls are waiting on this server", "Try again later")
        pull = Pull(request)
        self._pulls[pull.id] = pull
        self._advance()
        return pull

    def cancel(self, pull: Pull) -> None:
        """Stop it within a second; what has come is kept. One that has ended is left alone."""
        if pull.ended or pull.is_cancelled:
            return
        pull.is_cancelled = True
        if pull.worker is None:
            pull.take({"ended": True, "state": "cancelled", "error": "stopped before it began"})
            self._advance()
            return
        pull.worker.stop()
        asyncio.get_running_loop().call_later(_PATIENCE, self._end, pull)

    def close(self) -> None:
        """Stop them all: the server ends."""
        for pull in self.all():
            pull.is_cancelled = True
            if pull.worker is not None:
                pull.worker.stop()

    def _end(self, pull: Pull) -> None:
        if not pull.ended and pull.worker is not None:
            pull.worker.kill()

    def _advance(self) -> None:
        """Begin what may begin now, in the order in which it was asked for."""
        earlier: list[Pull] = []
        for pull in self.all():
            if pull.ended:
                continue
            if pull.worker is None and not pull.is_cancelled and self._may_begin(pull, earlier):
                self._begin(pull)
            earlier.append(pull)
        ended = [known.id for known in self._pulls.values() if known.ended]
        for number in ended[:-_KEPT]:
            del self._pulls[number]

    def _may_begin(self, pull: Pull, earlier: list[Pull]) -> bool:
        like = [other for other in self.all() if other.request.dry_run == pull.request.dry_run and not other.ended]
        running = sum(other.worker is not None for other in like)
        if pull.request.dry_run:
            return running < _LOOKS_AT_ONCE
        mine = pull.request.call.local
        before = (other for other in earlier if not other.request.dry_run)
        return running < self._concurrent and not any(_overlap(mine, other.request.call.local) for other in before)

    def _begin(self, pull: Pull) -> None:
        loop = asyncio.get_running_loop()

        def on_update(update: Document | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the server has ended
                loop.call_soon_threadsafe(self._updated, pull, update)

        pull.worker = self._start(JobSpec(pull.request, self._root, self._cwd), on_update)
        pull.take({"state": "starting"})
        self._note_activity(datetime.now(timezone.utc))

    def _updated(self, pull: Pull, update: dict[str, Any] | None) -> None:
        self._note_activity(datetime.now(timezone.utc))
        if update is not None:
            pull.take(update)
            return
        if not pull.ended:
            state, error = ("cancelled", "stopped") if pull.is_cancelled else ("failed", "the pull's process broke off")
            pull.take({"ended": True, "state": state, "error": error, "active": []})
        self._advance()


def _overlap(one: str, other: str) -> bool:
    """Is one folder the other, or below it?"""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
