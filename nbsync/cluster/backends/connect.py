"""From what the user gave, `--on` or `executor=`, to a backend whose workers are there and have this nbsync."""

from __future__ import annotations

import contextlib
import pydoc
import re
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

from nbsync._version import __version__, install
from nbsync.cluster.backends.base import Backend, BackendLost, Task, WorkerLost
from nbsync.core.call import Call
from nbsync.errors import ClusterError, Interrupted, NbsyncError, UsageError

PATIENCE_SECONDS = 30.0  # for the first answer of a worker: it may have to import a lot
COMING_SECONDS = 5.0  # for the first worker: the nanny of one that died starts another
_LOOK_SECONDS = 0.1
_DASK = re.compile(r"dask://((?:\[[0-9A-Fa-f:.%]+\]|[^\s/@:\[\]]+):\d{1,5})/?")
_IPYPARALLEL = re.compile(r"ipyparallel(?::([\w.-]+))?")


def check_words(on: str) -> None:
    """Does `--on` name a backend? Looks at the words alone.

    Raises:
        UsageError: it does not.
    """
    if on and not _DASK.fullmatch(on) and not _IPYPARALLEL.fullmatch(on):
        shown = re.sub(r"//[^/]*@", "//…@", on)
        raise UsageError(f"--on {shown} is no engine", "Write dask://HOST:PORT, ipyparallel or ipyparallel:PROFILE")


def check_executor(executor: Any) -> None:
    """Is it what `executor=` takes?

    Raises:
        UsageError: it is not.
    """
    if executor is not None and not isinstance(executor, Executor):
        hint = "Of a Dask client it is client.get_executor(pure=False); of an ipyparallel view, view.executor"
        raise UsageError(f"executor= takes a concurrent.futures.Executor, not {type(executor).__name__}", hint)


def check_call(call: Call) -> bool:
    """Is the call's work for a backend? Looks at its words alone.

    Raises:
        UsageError: they make no sense.
    """
    on, executor = call.options.on, call.executor
    check_words(on)
    check_executor(executor)
    if on and executor is not None:
        raise UsageError("--on and executor= exclude each other")
    if call.options.spread and not on and executor is None:
        raise UsageError("--spread needs an engine", "Give --on, or executor= in Python")
    return bool(on) or executor is not None


def open_backend(on: str, executor: Executor | None) -> Backend:
    """The backend that a checked call names; the caller closes it.

    Raises:
        ClusterError: not installed, or nobody answers.
    """
    if executor is not None:
        return _of_executor(executor)
    dask, ipyparallel = _DASK.fullmatch(on), _IPYPARALLEL.fullmatch(on)
    if dask is not None:
        from nbsync.cluster.backends.dask import connect

        return connect(dask[1], on)
    if ipyparallel is not None:
        from nbsync.cluster.backends import ipyparallel as ipp

        return ipp.connect(ipyparallel[1] or "", on)
    raise UsageError("no engine is named", "Give --on, or executor= in Python")


def _of_executor(executor: Executor) -> Backend:
    """The backend of an executor; where Dask or ipyparallel stands behind it, theirs."""
    kind = f"{type(executor).__module__}.{type(executor).__name__}"
    if kind == "distributed.cfexecutor.ClientExecutor":
        from nbsync.cluster.backends import dask

        return dask.of_client(executor._client, executor._kwargs)  # type: ignore[attr-defined]
    if kind == "ipyparallel.client.view.ViewExecutor":
        from nbsync.cluster.backends import ipyparallel

        return ipyparallel.of_view(executor.view)  # type: ignore[attr-defined]
    from nbsync.cluster.backends.executor import PoolBackend

    return PoolBackend(executor)


def workers_of(backend: Backend) -> list[str]:
    """The backend's workers, each of which has this very nbsync.

    Raises:
        ClusterError: there is none, one has another version or none, or does not answer.
    """
    try:
        names = _names(backend)
        if not names:
            raise ClusterError(
                f"{backend.name} has no workers",
                "Start some first (of Dask, adapt(minimum=1) keeps one; a LocalCluster loses its workers when a cell "
                "of its notebook is interrupted: make a new one)",
            )
    except BackendLost as error:
        raise lost(backend, error) from None
    return ask_each(backend, names, lambda name: backend.ask(pydoc.locate, "nbsync._version.__version__", worker=name),
                    partial(_check_version, backend))  # fmt: skip


def ask_each(
    backend: Backend, names: list[str], ask: Callable[[str], Task], take: Callable[[str, Task], object]
) -> list[str]:
    """Ask each worker, or, where they have one environment, any; those that did not die over it.

    Args:
        ask: sends the question to the worker of this name; to any, if it is empty.
        take: looks at the answer of this worker; what it raises is raised.

    Raises:
        ClusterError: the backend is lost, or every worker died.
    """
    asked: dict[str, Task] = {}
    alive = []
    try:
        for name in names if backend.can_pin else names[:1]:
            with contextlib.suppress(WorkerLost):
                asked[name] = ask(name if backend.can_pin else "")
        for name, task in asked.items():
            with contextlib.suppress(WorkerLost):
                take(name, task)
                alive.append(name)
    except BackendLost as error:
        raise lost(backend, error) from None
    if not alive:
        raise ClusterError(f"the workers of {backend.name} died when they were asked", "Nothing was changed")
    return alive if backend.can_pin else names


def _names(backend: Backend) -> list[str]:
    """The workers that are there, or come within a moment."""
    deadline = time.monotonic() + COMING_SECONDS
    while not (names := backend.workers()) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return names


def answer_of(backend: Backend, name: str, task: Task, cancelled: Callable[[], bool] = lambda: False) -> Any:
    """What the worker of this name has answered, before anything moves.

    Raises:
        ClusterError: it has not answered in time, or raised an error. BackendLost, WorkerLost. Interrupted: cancelled.
    """
    try:
        return _wait_for(task, cancelled)
    except TimeoutError:
        task.cancel()
        hint = "Is it busy or dead? Nothing was changed"
        raise ClusterError(f"{name} of {backend.name} has not answered in {PATIENCE_SECONDS:g} s", hint) from None
    except (BackendLost, WorkerLost, Interrupted):
        raise
    except NbsyncError as error:
        raise ClusterError(f"{name} of {backend.name}: {error.message}", error.hint) from None
    except Exception as error:
        raise ClusterError(f"{name} of {backend.name}: {type(error).__name__}: {error}") from None


def _wait_for(task: Task, cancelled: Callable[[], bool]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return task.result(_LOOK_SECONDS)
        except TimeoutError:
            if task.done() or time.monotonic() > deadline:
                raise
            if cancelled():
                raise Interrupted("stopped by the user") from None


def _check_version(backend: Backend, name: str, task: Task) -> None:
    """The answer to a question that needs no nbsync there.

    Raises: as workers_of. BackendLost, WorkerLost.
    """
    version = answer_of(backend, name, task)
    wanted = f"{install(version=__version__)} there"
    if version is None:
        raise ClusterError(f"{name} of {backend.name} has no nbsync, or one that cannot be imported", wanted)
    if version != __version__:
        raise ClusterError(f"{name} of {backend.name} has nbsync {version}, and this is {__version__}", wanted)


def lost(backend: Backend, error: Exception) -> ClusterError:
    """The error of a run whose backend went away."""
    return ClusterError(f"{backend.name} was lost: {error}", "What was done is recorded; run it again to do the rest")
