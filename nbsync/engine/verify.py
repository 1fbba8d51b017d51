"""`verify`: is each pair equal? From content alone: no state is opened, and nothing is created."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from nbsync.core import verify as rules
from nbsync.core.call import Call
from nbsync.core.model import Action, Evidence, Outcome, RemoteEntry, Status
from nbsync.engine import notes
from nbsync.engine.names import Names
from nbsync.engine.notes import Notes
from nbsync.engine.run import Run
from nbsync.engine.source import Remote, Seen, Sides, counted, sides_of
from nbsync.engine.status_board import OutcomeCounter
from nbsync.errors import LocalError, OutOfOrder
from nbsync.results.sync_result import VerifyResult
from nbsync.s3.bucket import Bucket
from nbsync.transfer.concurrency import Controller, files_left
from nbsync.transfer.context import Context
from nbsync.transfer.rate_limiter import Limiter
from nbsync.transfer.runner import Runner
from nbsync.transfer.worker import Worker, settled


def verify(call: Call, cancel: threading.Event, *, now_ns: Callable[[], int] = time.time_ns) -> Run:
    """The run of a `verify`. Call it in the caller's thread: it checks the words.

    Args:
        call: the command with its words.
        cancel: set to stop the run within a second.
        now_ns: the wall clock, ns since the epoch.

    Raises:
        UsageError: REMOTE, LOCAL or an option does not make sense.
    """
    sides = sides_of(call)
    controller = Controller(call.options.jobs, files=files_left())
    result = VerifyResult(command="verify", remote=sides.location.uri, local=sides.local, call=call)

    def body(run: Run) -> None:
        if not sides.check_folder():
            raise LocalError(f"{sides.local}: no such directory", "Check LOCAL: verify is `verify LOCAL REMOTE`")
        bucket = run.open_bucket(sides.location, controller.slow_down)
        _Look(run, sides, bucket, controller, now_ns).do()

    return Run(call, sides.local, result, cancel, body, explain=sides.explain)


class _Look:
    """A look at both sides, in the run's thread."""

    def __init__(
        self, run: Run, sides: Sides, bucket: Bucket, controller: Controller, now_ns: Callable[[], int]
    ) -> None:
        self._run, self._sides, self._bucket = run, sides, bucket
        self._controller, self._now_ns = controller, now_ns
        self._tally = OutcomeCounter(run.result, run.board)
        self._seen = Seen()

    def do(self) -> None:
        """All of it, from the first request to the last remark."""
        run, sides, location = self._run, self._sides, self._sides.location
        told = Notes(remote=notes.remote(location))
        admits = sides.scope.admits
        try:
            with closing(Remote(self._bucket, sides, admits)) as remote:
                opened = remote.open(single=True)
                told.remote = notes.remote(location, opened.nothing)
                if opened.only:
                    run.result.remote = location.uri.rstrip("/")
                    admits = lambda path: path == opened.only  # noqa: E731 (what else LOCAL holds is not asked for)
                run.board.state = "verifying"
                ctx = Context(
                    self._bucket, sides.root, run.call.options, opened.prefix, None,
                    Limiter(run.call.options.bandwidth, run.wait), run.cancel, now_ns=self._now_ns,
                    controller=self._controller,
                )  # fmt: skip
                try:
                    self._compare(ctx, opened.entries, admits)
                except OutOfOrder:
                    run.board.files_total = run.board.bytes_total = 0
                    self._tally.begin_again(changed=False)
                    self._compare(ctx, remote.list(), admits)
                finally:
                    self._look_back(told)
        finally:
            run.result.notes = told.told()

    def _compare(self, ctx: Context, entries: Iterator[RemoteEntry], admits: Callable[[str], bool]) -> None:
        """Look at all pairs. Raises: OutOfOrder: begin again."""
        run, sides, counter = self._run, self._sides, self._tally
        runner: Runner[Outcome] = Runner(
            lambda: Worker(ctx), Worker.verify, controller=self._controller, cancel=run.cancel,
            abort=self._bucket.client.abort,
        )  # fmt: skip
        run.show(runner)
        found = Names(sides.root, None, whole=ctx.prefix == sides.location.prefix)
        try:
            self._feed(runner, self._pairs(found, entries, admits))
        finally:
            found.close()
            for outcome in runner.finish():
                counter.take(outcome)
            run.result.bytes["moved"] += runner.bytes_moved()
        if runner.failure is not None:
            raise runner.failure

    def _pairs(self, found: Names, entries: Iterator[RemoteEntry], admits: Callable[[str], bool]) -> Iterator[Action]:
        scope, self._seen = self._sides.scope, Seen(self._sides.scope.listed or ())
        for one in counted(found.join(self._sides.scan(None), entries, ()), self._seen, None, scope.reaches):
            action = rules.look(one, admits, scope.reaches)
            if action is not None:
                yield action
        self._run.board.listing_done = True

    def _feed(self, runner: Runner[Outcome], actions: Iterable[Action]) -> None:
        board = self._run.board
        for action in actions:
            if self._run.cancel.is_set():
                return
            board.files_total += 1
            if not action.check:
                self._tally.take(settled(action))
                continue
            assert action.local is not None  # a check has both sides
            board.bytes_total += action.local.size if self._run.call.options.download else 0
            runner.submit(action)
            for outcome in runner.drain():
                self._tally.take(outcome)

    def _look_back(self, told: Notes) -> None:
        """Note what the rows and the service tell of the run."""
        result, can, board = self._run.result, self._bucket.can, self._run.board
        by_md5 = (Status.MISS.value, Evidence.ETAG_MD5.value)
        doubtful = not can.etags_are_trusted and any((row.status, row.evidence) == by_md5 for row in result.files)
        told.files, told.service = self._tally.met, [*([notes.NO_MD5_ETAG] if doubtful else []), *can.notes()]
        told.filters = notes.filtered(
            self._sides.scope, self._seen, self._seen.in_source(None), complete=board.listing_done,
            nothing_left=not board.files_total and not any(result.counts.values()),
        )  # fmt: skip
