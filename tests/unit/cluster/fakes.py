"""A backend of scripted workers: what each answers when a node's pull is begun, asked for and stopped."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import nbsync
from nbsync.cluster.backends.base import Backend, BackendLost, Task, WorkerLost
from nbsync.cluster.per_node import node_run
from nbsync.cluster.per_node.mount_identity import Ancestor, MountIdentity
from nbsync.cluster.per_node.node_run import End, Report, Seen
from nbsync.core.call import Call
from nbsync.core.model import Active, Row, Status
from nbsync.errors import NbsyncError

DEAD = object()  # in a script: the worker dies now
SILENT = object()  # it does not answer any more
ENGINE_DEAD = object()


def identity(inode: int, machine: str = "m") -> MountIdentity:
    """A node's LOCAL."""
    return MountIdentity(
        machine, (Ancestor(1, inode, ""), Ancestor(1, 2, f"d{inode}")), f"host{inode}", f"/d{inode}/data"
    )


def row(path: str, status: str = "miss", size: int = 10) -> Row:
    """A row as a worker tells it."""
    return Row(path, "download", status, "why", "none", size if status == "miss" else 0, 0.0, None)


def report(*rows: Row, ended: bool = False, error: NbsyncError | None = None, total: int = 0, **more: Any) -> Report:
    """What a worker answers; counts are those of all rows so far, which `more` may give."""
    counts = {status.value: 0 for status in Status}
    for one in rows:
        counts[one.status] += 1
    counts |= more.pop("counts", {})
    moved = sum(one.bytes for one in rows)
    end = End("s3://b/p/", error, more.pop("problems", []), more.pop("notes", []), {"moved": moved, "saved": 0}, 0, 0)
    given = {"state": "done" if ended else "syncing", "counts": counts, "listing_done": True,
             "files_done": sum(counts.values()), "files_total": total or len(rows), "bytes_done": moved,
             "bytes_total": 10 * (total or len(rows)), "active": (), "problems": (), "requests": {"list": 1, "get": 2},
             "rows": list(rows), "end": end if ended else None}  # fmt: skip
    return Report(**{**given, **more})


@dataclass
class FakeWorker:
    """One worker. `answers`: to begin and ask, in turn; the last one again and again."""

    identity: MountIdentity
    answers: list[Any]
    begun: list[Call] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    stopped: int = 0
    on_stop: Report | None = None
    endpoint: str = "http://localhost:80"

    def answer(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if function is node_run.look:
            return Seen(self.identity, self.endpoint)
        if function is node_run.stop:
            self.stopped += 1
            if self.on_stop is not None:
                self.answers = [self.on_stop]
            return None
        if function is node_run.begin:
            self.begun.append(args[1])
        else:
            self.asked.append(args[1])
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class FakeBackend(Backend):
    """Scripted workers; those in `later` are there once another has died."""

    can_pin = True
    name = "fake://backend"

    def __init__(self, **workers: FakeWorker) -> None:
        self.there = workers
        self.later: dict[str, FakeWorker] = {}
        self.closed = False

    def workers(self) -> list[str]:
        return list(self.there)

    def _send(
        self, task: Task, function: Callable[..., Any], args: tuple[Any, ...], give: Callable[[Any], object]
    ) -> None:
        if function is not None and args[0].__class__ is not bytes:
            give(nbsync.__version__)
            return
        worker = self.there.get(task.worker)
        if worker is None:
            raise WorkerLost(f"worker {task.worker} is gone")
        called, given = pickle.loads(args[0])
        value = worker.answer(called, given)
        if value is DEAD:
            del self.there[task.worker]
            self.there |= self.later
            task.fail(WorkerLost(f"worker {task.worker} is gone"))
        elif value is ENGINE_DEAD:
            task.fail(BackendLost("no heartbeat"))
        elif isinstance(value, Exception):
            task.fail(value)
        elif value is not SILENT:
            task.give(value)

    def close(self) -> None:
        self.closed = True


def active(path: str) -> Active:
    from nbsync.core.model import Verb

    return Active(path, Verb.DOWNLOAD, 1, 10)


def paths(rows: list[Row]) -> Iterator[tuple[str, str, str]]:
    """(path, status, worker) of rows."""
    return ((one.path, one.status, one.worker) for one in rows)
