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

from nbsync.cluster.backends.base import Engine, EngineLost, Task, WorkerLost
from nbsync.cluster.backends.connect import answer_of, ask_each, check_call, lost, open_engine, workers_of
from nbsync.cluster.forwarded_options import found_anywhere
from nbsync.cluster.per_node import node_run, totals
from nbsync.cluster.per_node.node import Node
from nbsync.cluster.per_node.node_run import Seen
from nbsync.cluster.per_node.site import Site
from nbsync.core.location import parse_location
from nbsync.core.options import Call
from nbsync.engine.source import read_list
from nbsync.engine.status_board import Board
from nbsync.errors import ClusterError, Interrupted, NbsyncError, UsageError
from nbsync.results.sync_result import SyncResult

ALONE_SECONDS = 20.0  # that a node whose last worker died waits for another: a nanny starts one
_STOP_SECONDS = 0.8  # that the nodes have to tell their end after a cancel
_TICK = 0.02
_INTERVAL = 0.2  # between two questions to a node; more of them are asked less often
_INTERVAL_EACH = 0.005


class Each:
    """One pull by all the nodes of an engine. Make it in the caller's thread, `execute` it in its own.

    Args:
        call: a pull with `--spread each`.
        cancel: set to stop within a second.
        now: monotonic seconds.

    Raises:
        UsageError: the call makes no sense.
    """

    def __init__(self, call: Call, cancel: threading.Event, *, now: Callable[[], float] = time.monotonic) -> None:
        _check(call)
        self.call = call
        location = self._location = parse_location(call.remote)
        self.local = call.local or os.path.join(".", location.name)
        # As on any machine: --on and what is for this one alone are not passed on.
        self._options = replace(found_anywhere(call.options), on="", spread="", files_from="", log_file="")
        self._endpoint = ""  # of our own requests, and of every worker's
        self.board = Board()
        self.result = SyncResult(command="pull", remote=location.uri, local=self.local, direction="pull", call=call,
                                 dry_run=call.options.dry_run)  # fmt: skip
        self.result.on_workers = True
        self.runner = totals.Moving()
        self._cancel, self._now = cancel, now
        self._stopped = False
        self._only = read_list(call.options.files_from) if call.only is None else call.only
        self._nodes: list[Node] = []
        self._strangers: set[str] = set()  # workers that have come since, and are of no node
        self._looked_at = now()
        self._surveys: dict[str, Task] = {}  # of workers that came later
        self._pause = threading.Event()  # never set

    @property
    def endpoint(self) -> str:
        """The service's address, once it is known."""
        return self._endpoint

    def execute(self) -> SyncResult:
        """Do it; what was refused or broke off is in the result's `error`."""
        started = self._now()
        result = self.result
        engine: Engine | None = None
        try:
            engine = open_engine(self.call.options.on, self.call.executor)
            self._run(engine)
        except NbsyncError as error:
            result.error = error
        except (EngineLost, WorkerLost) as error:
            assert engine is not None  # it was opened
            result.error = lost(engine, error)
        finally:
            for one in self._nodes:
                one.give_up(ClusterError("it is not known how it ended: its run stops by itself within minutes"))
            if engine is not None:
                engine.close()
        totals.conclude(result, self._nodes)
        if self._stopped:
            result.error = Interrupted("stopped by the user; every file that was finished is kept",
                                       "Run it again to do the rest")  # fmt: skip
        totals.show(self.board, self._nodes)
        result.seconds = self._now() - started
        self.board.state = "cancelled" if self._stopped else "failed" if result.error else "done"
        return result

    def stop(self) -> None:
        """From any thread: let every node stop."""
        self._stopped = True
        self._cancel.set()

    def abandon(self) -> None:
        """Not waited for any more: nothing was begun."""
        self.result.error = Interrupted("stopped by the user before anything was begun")
        self.board.state = "cancelled"

    def requests(self) -> dict[str, int]:
        """Requests so far, of all nodes. Any thread may ask."""
        return self.runner.requests or dict(self.result.requests)

    # ---- what follows runs in the run's thread ----------------------------------------------------

    def _run(self, engine: Engine) -> None:
        if not engine.can_pin:
            hint = "Use Dask or ipyparallel, or --spread shared"
            raise UsageError(f"--spread each needs an engine that can send work to a certain worker; {engine.name} "
                             "chooses for itself", hint)  # fmt: skip
        workers = workers_of(engine)
        if self._cancel.is_set():
            raise Interrupted("stopped before it began")
        self._group(engine, self._survey(engine, workers))
        self.board.state = "syncing"
        self._follow(engine)

    def _survey(self, engine: Engine, workers: list[str]) -> dict[str, Site]:
        """Where LOCAL is for each worker.

        Raises:
            ClusterError: a worker is not fit for the run, or all are gone.
        """
        endpoint = self._endpoint = node_run.look(os.curdir, self._location, self._options).endpoint
        found: dict[str, Site] = {}

        def take(name: str, task: Task) -> None:
            seen: Seen = answer_of(engine, name, task, self._cancel.is_set)
            if seen.endpoint != endpoint:
                hint = "Give --endpoint-url and --region, or the same AWS configuration"
                raise ClusterError(f"requests of {name} would go to {seen.endpoint}, and this machine's to {endpoint}",
                                   hint)  # fmt: skip
            found[name] = seen.site

        ask_each(engine, workers, partial(self._ask_to_look, engine), take)
        return found

    def _ask_to_look(self, engine: Engine, name: str) -> Task:
        return engine.submit(node_run.look, self.local, self._location, self._options, worker=name)

    def _group(self, engine: Engine, sites: dict[str, Site]) -> None:
        """Workers for which LOCAL is one directory are one node."""
        by_place: dict[tuple[object, ...], list[str]] = {}
        for name, site in sites.items():
            by_place.setdefault((site.machine, site.spots[0]), []).append(name)
        call, interval = self._call_for(len(by_place)), max(_INTERVAL, _INTERVAL_EACH * len(by_place))
        for names in sorted(by_place.values(), key=lambda names: sites[names[0]].name):
            one = Node(engine, sites[names[0]], call, now=self._now, interval=interval)
            one.workers = names
            self._nodes.append(one)
        if len(self._nodes) == 1 < len(sites):
            self.result.notes.append(f"LOCAL is one directory for all {len(sites):,} workers, so one of them pulls: "
                                     "--spread shared splits the work among them")  # fmt: skip

    def _call_for(self, nodes: int) -> Call:
        """What each node is to do: the same, on its own machine, with its share of the bandwidth."""
        options = replace(self._options, bandwidth=-(-self._options.bandwidth // nodes))
        return replace(self.call, local=self.local, options=options, only=self._only, executor=None)

    def _follow(self, engine: Engine) -> None:
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
                self.result.files += one.step()
            self._look_for_others(engine)
            totals.show(self.board, self._nodes)
            self.runner.take(self._nodes)
            self._pause.wait(_TICK)

    def _look_for_others(self, engine: Engine) -> None:
        """Workers that have come since, where a node has none left."""
        alone = [one for one in self._nodes if one.is_alone]
        for one in alone:
            if self._now() - one.lost_at > ALONE_SECONDS:
                one.give_up_alone()
        if alone and self._now() - self._looked_at >= _INTERVAL:
            self._looked_at = self._now()
            ours = {name for one in self._nodes for name in one.workers}
            for name in set(engine.workers()) - ours - self._strangers - self._surveys.keys():
                with contextlib.suppress(WorkerLost):  # gone again
                    self._surveys[name] = self._ask_to_look(engine, name)
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
        ours = [one for one in self._nodes if seen.site.is_at(one.site) and seen.endpoint == self._endpoint]
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
