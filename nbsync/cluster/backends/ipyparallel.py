"""ipyparallel: the engines of a running cluster, through a client of ours or of the user's. Imported when asked for."""

from __future__ import annotations

import contextlib
import glob
import os
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from nbsync._version import install
from nbsync.cluster.backends.base import Backend, BackendLost, Task, Watch, WorkerLost
from nbsync.errors import ClusterError

TIMEOUT_SECONDS = 5.0
_PREFIX = "engine "
_SILENT_LOOKS = 5  # seconds, about, that the controller may keep silent


class IpyparallelBackend(Backend):
    """The engines of one cluster.

    Args:
        client: an `ipyparallel.Client`.
        name: as the user wrote it.
        owned: close it in the end.
        among: the numbers of those engines that are meant; None for all.
    """

    can_pin = True

    def __init__(self, client: Any, name: str, *, owned: bool, among: frozenset[int] | None = None) -> None:
        self._among = among
        self._client, self.name, self._owned = client, name, owned
        self._under_way: Counter[int] = Counter()
        self._tasks: set[Task] = set()
        self._lock = threading.Lock()
        self._asked: Any = None  # the question whether the controller is there
        self._silent = 0
        self._watch = Watch(self._there)

    def workers(self) -> list[str]:
        try:
            return [f"{_PREFIX}{number}" for number in self._ids()]
        except Exception as error:
            raise BackendLost(f"{self.name}: {error}") from None

    def _ids(self) -> list[int]:
        return [number for number in self._client.ids if self._among is None or number in self._among]

    def _there(self) -> list[str]:
        self._look_at_controller()
        return self.workers()

    def _look_at_controller(self) -> None:
        """It does not tell when it goes: ask it, and take too long a silence for its end."""
        if self._asked is None or self._asked.done():
            self._silent = 0
            self._asked = self._client._send(self._client._query_stream, "queue_request",
                                             content={"targets": None, "verbose": False})  # fmt: skip
            return
        self._silent += 1
        if self._silent >= _SILENT_LOOKS:
            with self._lock:
                waiting = list(self._tasks)
            for task in waiting:
                task.fail(BackendLost(f"the controller of {self.name} does not answer any more"))

    def _send(
        self, task: Task, function: Callable[..., Any], args: tuple[Any, ...], give: Callable[[Any], object]
    ) -> None:
        number = self._number(task.worker)
        try:
            result = self._client[number].apply_async(function, *args)
        except Exception as error:
            raise BackendLost(f"{self.name}: {error}") from None
        task.worker = task.worker or f"{_PREFIX}{number}"
        with self._lock:
            self._under_way[number] += 1
            self._tasks.add(task)
        task.withdraw = partial(self._client.abort, result.msg_ids, block=False)
        task.add_done_callback(partial(self._forget, number))
        self._watch.add(task)
        result.add_done_callback(partial(self._ended, task, give))

    def _number(self, name: str) -> int:
        """The engine of this name, or the one with the least of ours."""
        ids = self._ids()
        if name:
            found = [number for number in ids if f"{_PREFIX}{number}" == name]
            if not found:
                raise WorkerLost(f"{name} is gone")
            return int(found[0])
        if not ids:
            raise BackendLost(f"{self.name} has no engine left")
        with self._lock:
            return int(min(ids, key=lambda number: (self._under_way[number], number)))

    def _forget(self, number: int, task: Any) -> None:
        with self._lock:
            self._under_way[number] -= 1
            self._tasks.discard(task)

    def _ended(self, task: Task, give: Callable[[Any], object], result: Any) -> None:
        """In a thread of ipyparallel's."""
        try:
            error = result.exception()
            if error is None:
                give(result.result())
            elif type(error).__name__ in ("EngineError", "TaskAborted") or _says_engine_died(error):
                task.fail(WorkerLost(f"{task.worker} died"))
            else:
                task.fail(error)
        except BaseException as broken:  # cancelled
            task.fail(WorkerLost(f"{type(broken).__name__}: {broken}"))

    def close(self) -> None:
        self._watch.close()
        if self._owned:
            with contextlib.suppress(Exception):
                self._client.close()


def _says_engine_died(error: BaseException) -> bool:
    return getattr(error, "ename", "") == "EngineError"


def connect(profile: str, name: str) -> IpyparallelBackend:
    """The backend of the cluster that runs in an IPython profile.

    Raises:
        ClusterError: ipyparallel is not installed, no cluster runs there, or it does not answer.
    """
    try:
        import ipyparallel
    except ImportError:
        hint = install("ipyparallel")
        raise ClusterError(f"--on {name} needs ipyparallel, which is not installed", hint) from None
    file = _connection_file(profile or "default", name)
    try:
        client = ipyparallel.Client(file, timeout=TIMEOUT_SECONDS)
    except Exception as error:  # OSError, TimeoutError, and what broken files bring
        why = str(error).partition("\n")[0] or type(error).__name__
        hint = "Start it anew: ipcluster start"
        raise ClusterError(f"the controller of {name} does not answer: {why}", hint) from None
    return IpyparallelBackend(client, name, owned=True)


def _connection_file(profile: str, name: str) -> str:
    """The file by which clients find the controller: `ipcluster start` writes it; else the only one that there is."""
    from IPython.core.profiledir import ProfileDir, ProfileDirError
    from IPython.paths import get_ipython_dir

    try:
        find: Any = ProfileDir.find_profile_dir_by_name
        security = find(get_ipython_dir(), profile).security_dir
    except ProfileDirError:
        hint = f"Start one: ipcluster start --profile {profile}"
        raise ClusterError(f"--on {name}: there is no IPython profile {profile!r}", hint) from None
    plain = os.path.join(security, "ipcontroller-client.json")
    if os.path.exists(plain):
        return plain
    others = glob.glob(os.path.join(glob.escape(security), "ipcontroller-*-client.json"))
    if len(others) == 1:
        return others[0]
    if others:
        hint = "In Python, give the one that is meant: executor=client.load_balanced_view().executor"
        raise ClusterError(f"--on {name}: {len(others)} clusters are known in profile {profile!r}", hint)
    hint = f"Start it: ipcluster start --profile {profile}"
    raise ClusterError(f"--on {name}: no cluster runs in the IPython profile {profile!r}", hint)


def of_view(view: Any) -> IpyparallelBackend:
    """The backend of a view of the user's: those engines that are its targets."""
    targets = [view.targets] if isinstance(view.targets, int) else view.targets
    name = f"ipyparallel:{getattr(view.client, 'profile', '') or 'default'}"
    among = None if targets in (None, "all") else frozenset(targets)
    return IpyparallelBackend(view.client, name, owned=False, among=among)
