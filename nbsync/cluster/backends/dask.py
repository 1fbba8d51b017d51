"""Dask: a scheduler's workers, through a client of ours or of the user's. `distributed` is imported when asked for."""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from nbsync._version import install
from nbsync.cluster.backends import remote_call
from nbsync.cluster.backends.base import Backend, BackendLost, Task, Watch, WorkerLost
from nbsync.cluster.backends.remote_call import short
from nbsync.errors import ClusterError

TIMEOUT_SECONDS = 5.0
_LOST = ("KilledWorker", "NoValidWorkerError")  # by name: they have moved between versions


class DaskBackend(Backend):
    """The workers of one scheduler.

    Args:
        client: a synchronous `distributed.Client`.
        name: as the user wrote it.
        owned: close it in the end.
        among: addresses (with or without `tcp://`), hosts or names of those workers that are meant; None for all.
        more: what else `Client.submit` is given.
    """

    can_pin = True

    def __init__(
        self, client: Any, name: str, *, owned: bool, among: frozenset[str] | None = None, **more: Any
    ) -> None:
        self._client, self.name, self._owned, self._among, self._more = client, name, owned, among, more
        self._addresses: dict[str, str] = {}  # name -> address
        self._watch = Watch(self.workers)

    def workers(self) -> list[str]:
        try:
            addresses = sorted(self._client.nthreads())
            if self._among is not None:
                addresses = self._meant(addresses, self._among)
        except Exception as error:
            raise BackendLost(f"{self.name}: {error}") from None
        self._addresses = {short(address): address for address in addresses}
        return list(self._addresses)

    def _meant(self, addresses: list[str], among: frozenset[str]) -> list[str]:
        try:
            known = self._client.scheduler_info(n_workers=-1)["workers"]
        except TypeError:  # before Dask 2025.4, which tells of five alone if it is not asked for all
            known = self._client.scheduler_info()["workers"]

        def names(address: str) -> set[str]:
            place = short(address)
            return {address, place, place.rpartition(":")[0], str(known.get(address, {}).get("name", address))}

        return [address for address in addresses if names(address) & among]

    def _address(self, worker: str) -> str:
        """
        Raises:
            BackendLost. WorkerLost: it is gone.
        """
        if worker not in self._addresses and worker not in self.workers():
            raise WorkerLost(f"worker {worker} is gone")
        return self._addresses[worker]

    def _send(
        self, task: Task, function: Callable[..., Any], args: tuple[Any, ...], give: Callable[[Any], object]
    ) -> None:
        where = self._pinned(task) if task.worker else self._among_them()
        try:
            future = self._client.submit(function, *args, key=f"nbsync-{uuid.uuid4().hex}", **self._more, **where)
        except Exception as error:
            raise BackendLost(f"{self.name}: {error}") from None
        task.withdraw = future.release  # does not wait for the scheduler
        future.add_done_callback(partial(self._ended, task, give))

    def interrupt(self, function: Callable[..., Any], *args: Any, worker: str) -> None:
        address = self._address(worker)

        def call() -> None:  # in the worker's event loop, whatever its threads do
            with contextlib.suppress(Exception):
                self._client.run(
                    remote_call.Run(), remote_call.pack(function, args), workers=[address], on_error="ignore"
                )

        threading.Thread(target=call, name="nbsync-interrupt", daemon=True).start()  # who knows who answers

    def _pinned(self, task: Task) -> dict[str, Any]:
        address = self._address(task.worker)
        self._watch.add(task)  # Dask would wait for a worker of this name for ever
        return {"workers": [address], "allow_other_workers": False}

    def _among_them(self) -> dict[str, Any]:
        """The worker that Dask takes, if all are meant.

        Naming one that may be gone, with others allowed, is no way: Dask keeps a task that finds no worker at all
        for the named one, and gives it to nobody who comes later.
        """
        return {} if self._among is None else {"workers": sorted(self._among), "allow_other_workers": False}

    def _ended(self, task: Task, give: Callable[[Any], object], future: Any) -> None:
        """In a thread of Dask's. A result lies on its worker until it is fetched, and may be lost with it."""
        try:
            status = future.status
            if status == "finished":
                give(future.result(timeout=TIMEOUT_SECONDS))
            elif status == "error":
                task.fail(self._translated(future.exception(timeout=TIMEOUT_SECONDS)))
            elif self._client.status == "running":  # its result went with its worker, or somebody restarted all
                task.fail(WorkerLost(f"its work is {status}"))
            else:
                task.fail(BackendLost("its scheduler is gone"))
        except Exception as error:  # its result can no longer be fetched
            task.fail(WorkerLost(f"{type(error).__name__}: {error}"))
        finally:
            with contextlib.suppress(Exception):
                future.release()

    def _translated(self, error: BaseException | None) -> BaseException:
        if type(error).__name__ in _LOST:
            self._addresses = {}  # look again who is there
            return WorkerLost("its worker died")
        return error or WorkerLost("it failed")

    def close(self) -> None:
        self._watch.close()
        if self._owned:
            with contextlib.suppress(Exception), _quiet():
                self._client.close(timeout=1)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Dask logs, with a traceback, that a client was closed which looks for its lost scheduler: nbsync reports that."""
    logger = logging.getLogger("distributed.client")

    def is_news(record: logging.LogRecord) -> bool:
        return record.exc_info is None

    logger.addFilter(is_news)
    try:
        yield
    finally:
        logger.removeFilter(is_news)


def connect(address: str, name: str) -> DaskBackend:
    """The backend of a scheduler at `HOST:PORT`.

    Raises:
        ClusterError: Dask is not installed, or nobody answers.
    """
    try:
        import distributed
    except ImportError:
        raise ClusterError(f"--on {name} needs Dask, which is not installed", install("dask")) from None
    try:
        client = distributed.Client(f"tcp://{address}", timeout=TIMEOUT_SECONDS, set_as_default=False)
    except Exception as error:  # OSError, and what its configuration brings
        why = str(error).partition("\n")[0] or type(error).__name__
        hint = "Check host and port, and that the scheduler runs (dask scheduler)"
        raise ClusterError(f"the Dask scheduler {name} does not answer: {why}", hint) from None
    return DaskBackend(client, name, owned=True)


def of_client(client: Any, asked: Mapping[str, Any]) -> DaskBackend:
    """The backend of a client of the user's, `asked` for with what `get_executor` was given.

    Raises:
        ClusterError: it is asynchronous, or closed.
    """
    # Not `client.asynchronous`: that is False in every thread but its loop's, and the loop waits for this run.
    if getattr(client, "_asynchronous", False):
        raise ClusterError("the Dask client of executor= is asynchronous", "Give one made without asynchronous=True")
    if getattr(client, "status", "") != "running":
        raise ClusterError("the Dask client of executor= is closed", "Make a new one: distributed.Client(…)")
    among = asked.get("workers")
    among = [among] if isinstance(among, str) else among
    more = {"resources": asked["resources"]} if asked.get("resources") else {}
    return DaskBackend(client, f"dask://{short(client.scheduler.address)}", owned=False,
                      among=None if among is None else frozenset(map(str, among)), **more)  # fmt: skip
