"""`--spread each`: a pull into the own LOCAL of every node, each with its own listing, decisions and state.

Runs in a thread of its own, like any run. It begins the nodes' pulls, asks how they go, and adds them up.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from nbsync.cluster.backends.base import Backend, BackendLost, Task, WorkerLost
from nbsync.cluster.backends.connect import answer_of, ask_each, check_call, lost, open_backend, workers_of
from nbsync.cluster.forwarded_options import found_anywhere
from nbsync.cluster.per_node import node_run, totals
from nbsync.cluster.per_node.mount_identity import MountIdentity
from nbsync.cluster.per_node.node import Node
from nbsync.cluster.per_node.node_run import Seen
from nbsync.core.call import Call
from nbsync.core.location import parse_location
from nbsync.engine.run import Run
from nbsync.engine.source import read_list
from nbsync.errors import ClusterError, Interrupted, NbsyncError, UsageError
from nbsync.results.sync_result import SyncResult

ALONE_SECONDS = 20.0  # that a node whose last worker died waits for another: a nanny starts one
_STOP_SECONDS = 0.8  # that the nodes have to tell their end after a cancel
_TICK = 0.02
_INTERVAL = 0.2  # between two questions to a node; more of them are asked less often
_INTERVAL_EACH = 0.005


def each(call: Call, cancel: threading.Event, *, now: Callable[[], float] = time.monotonic) -> Run:
    """The run of one pull by all the nodes of a backend. Call it in the caller's thread: it checks the words.

    Args:
        call: a pull with `--spread each`.
        cancel: set to stop within a second.
        now: monotonic seconds.

    Raises:
        UsageError: the call makes no sense.
    """
    _check(call)
    uri = parse_location(call.remote).uri
    local = call.local or os.path.join(".", parse_location(call.remote).name)
    result = SyncResult(command="pull", remote=uri, local=local, direction="pull", call=call,
                        dry_run=call.options.dry_run)  # fmt: skip
    result.on_workers = True
    work = _Each(call, local, cancel, now)
    run = Run(call, local, result, cancel, work.do, explain=_explain, kept="every file that was finished is kept")
    run.show(work.moving)
    run.asks(lambda: work.endpoint, lambda: work.moving.requests or dict(result.requests))
    return run


def _explain(error: Exception) -> NbsyncError:
    return error if isinstance(error, NbsyncError) else ClusterError(str(error))


class _Each:
    """The nodes' pulls, begun, followed and added up in the run's thread.

    Attributes:
        endpoint: of our own requests, and of every worker's.
        moving: what all nodes move.
    """

    def __init__(self, call: Call, local: str, cancel: threading.Event, now: Callable[[], float]) -> None:
        self._call, self._local, self._cancel, self._now = call, local, cancel, now
        self._location = parse_location(call.remote)
        # As on any machine: --on and what is for this one alone are not passed on.
        self._options = replace(found_anywhere(call.options), on="", spread="", files_from="", log_file="")
        self._only = read_list(call.options.files_from) if call.only is None else call.only
        self.endpoint = ""
        self.moving = totals.Moving()
        self._nodes: list[Node] = []
        self._strangers: set[str] = set()  # workers that have come since, and are of no node
        self._looked_at = now()
        self._surveys: dict[str, Task] = {}  # of workers that came later
        self._pause = threading.Event()  # never set

    def do(self, run: Run) -> None:
        """All of it; what was refused or broke off is in the result's `error`."""
        backend: Backend | None = None
        try:
            backend = open_backend(self._call.options.on, self._call.executor)
            self._run(run, backend)
        except NbsyncError as error:
            run.result.error = error
        except (BackendLost, WorkerLost) as error:
            assert backend is not None  # it was opened
            run.result.error = lost(backend, error)
        finally:
            for one in self._nodes:
                one.give_up(ClusterError("it is not known how it ended: its run stops by itself within minutes"))
            if backend is not None:
                backend.close()
        totals.conclude(run.result, self._nodes)
        totals.show(run.board, self._nodes)

    # ---- what follows runs in the run's thread ----------------------------------------------------

    def _run(self, run: Run, backend: Backend) -> None:
        if not backend.can_pin:
            hint = "Use Dask or ipyparallel, or --spread shared"
            raise UsageError(f"--spread each needs an engine that can send work to a certain worker; {backend.name} "
                             "chooses for itself", hint)  # fmt: skip
        workers = workers_of(backend)
        if self._cancel.is_set():
            raise Interrupted("stopped before it began")
        self._group(run, backend, self._survey(backend, workers))
        run.board.state = "syncing"
        self._follow(run, backend)

    def _survey(self, backend: Backend, workers: list[str]) -> dict[str, MountIdentity]:
        """Where LOCAL is for each worker.

        Raises:
            ClusterError: a worker is not fit for the run, or all are gone.
        """
        endpoint = self.endpoint = node_run.look(os.curdir, self._location, self._options).endpoint
        found: dict[str, MountIdentity] = {}

        def take(name: str, task: Task) -> None:
            seen: Seen = answer_of(backend, name, task, self._cancel.is_set)
            if seen.endpoint != endpoint:
                hint = "Give --endpoint-url and --region, or the same AWS configuration"
                raise ClusterError(f"requests of {name} would go to {seen.endpoint}, and this machine's to {endpoint}",
                                   hint)  # fmt: skip
            found[name] = seen.identity

        ask_each(backend, workers, partial(self._ask_to_look, backend), take)
        return found

    def _ask_to_look(self, backend: Backend, name: str) -> Task:
        return backend.submit(node_run.look, self._local, self._location, self._options, worker=name)

    def _group(self, run: Run, backend: Backend, identities: dict[str, MountIdentity]) -> None:
        """Workers for which LOCAL is one directory are one node."""
        by_place: dict[tuple[object, ...], list[str]] = {}
        for name, identity in identities.items():
            by_place.setdefault((identity.machine, identity.ancestors[0]), []).append(name)
        call, interval = self._call_for(len(by_place)), max(_INTERVAL, _INTERVAL_EACH * len(by_place))
        for names in sorted(by_place.values(), key=lambda names: identities[names[0]].name):
            one = Node(backend, identities[names[0]], call, now=self._now, interval=interval)
            one.workers = names
            self._nodes.append(one)
        if len(self._nodes) == 1 < len(identities):
            one_directory = f"LOCAL is one directory for all {len(identities):,} workers, so one of them pulls"
            run.result.notes.append(f"{one_directory}: --spread shared splits the work among them")

    def _call_for(self, nodes: int) -> Call:
        """What each node is to do: the same, on its own machine, with its share of the bandwidth."""
        options = replace(self._options, bandwidth=-(-self._options.bandwidth // nodes))
        return replace(self._call, local=self._local, options=options, only=self._only, executor=None)

    def _follow(self, run: Run, backend: Backend) -> None:
        """Until every node has ended."""
        stopped_at = None
        while not all(one.ended for one in self._nodes):
            if self._cancel.is_set() and stopped_at is None:
                stopped_at = self._now()
                for one in self._nodes:
                    one.stop()
            if stopped_at is not None and self._now() - stopped_at > _STOP_SECONDS:
                return  # who has not told its end by now is not waited for
            for one in self._nodes:
                run.result.files += one.step()
            self._look_for_others(backend)
            totals.show(run.board, self._nodes)
            self.moving.take(self._nodes)
            self._pause.wait(_TICK)

    def _look_for_others(self, backend: Backend) -> None:
        """Workers that have come since, where a node has none left."""
        alone = [one for one in self._nodes if one.is_alone]
        for one in alone:
            if self._now() - one.lost_at > ALONE_SECONDS:
                one.give_up_alone()
        if alone and self._now() - self._looked_at >= _INTERVAL:
            self._looked_at = self._now()
            ours = {name for one in self._nodes for name in one.workers}
            for name in set(backend.workers()) - ours - self._strangers - self._surveys.keys():
                with contextlib.suppress(WorkerLost):  # gone again
                    self._surveys[name] = self._ask_to_look(backend, name)
        for name, task in list(self._surveys.items()):
            if task.done():
                del self._surveys[name]
                self._join(name, task)

    def _join(self, name: str, task: Task) -> None:
        """A worker that came later is added to its node, if that is one of ours."""
        try:
            seen: Seen = task.result()
        except WorkerLost:
            return
        except Exception:  # it is not fit
            self._strangers.add(name)
            return
        ours = [one for one in self._nodes if seen.identity.is_at(one.identity) and seen.endpoint == self.endpoint]
        for one in ours:
            one.workers.append(name)
        if not ours:
            self._strangers.add(name)


def _check(call: Call) -> None:
    """
    Raises:
        UsageError: this cannot be done by each node for itself.
    """
    check_call(call)
    if "://" in call.local:
        raise UsageError(f"{call.local} is no directory: LOCAL is on the workers' machines")
    if call.command != "pull":
        hint = f"With --spread shared, a {call.command} is split among the workers"
        raise UsageError(f"--spread each is for pull: a {call.command} has one source", hint)
    if call.again:
        raise UsageError("--spread each needs REMOTE: the nodes may have been synced with other ones")
