"""`verify`: is each pair equal? From content alone: no state is opened, and nothing is created."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from nbsync.core import verify
from nbsync.core.model import Action, Evidence, Joined, Outcome, RemoteEntry, Status
from nbsync.engine.names import Names
from nbsync.engine.run import BaseRun
from nbsync.engine.status_board import Tally
from nbsync.errors import LocalError, OutOfOrder
from nbsync.local.scan import scan
from nbsync.results.sync_result import SyncResult, VerifyResult
from nbsync.s3.bucket import Bucket
from nbsync.transfer.context import Context
from nbsync.transfer.rate_limiter import Limiter
from nbsync.transfer.runner import Runner
from nbsync.transfer.worker import Worker, settled


class Verify(BaseRun):
    """A look at both sides."""

    direction = None
    _working: Runner[Outcome] | None = None

    @property
    def runner(self) -> Runner[Any] | None:
        """Who works now."""
        return self._working

    def _empty_result(self) -> SyncResult:
        return VerifyResult(command="verify", remote=self.location.uri, local=self.local, call=self.call)

    def _check_local(self) -> None:
        if not self._check_is_folder():
            raise LocalError(f"{self.local}: no such directory", "Check LOCAL: verify is `verify LOCAL REMOTE`")

    def _run(self, bucket: Bucket) -> None:
        prefix, remote = self._remote(bucket, single=True)
        self.board.state = "verifying"
        limiter = Limiter(self.options.bandwidth, self.wait)
        ctx = Context(
            bucket, self.root, self.options, prefix, None, limiter, self.cancel, now_ns=self._now_ns,
            controller=self._controller,
        )  # fmt: skip
        tally = Tally(self.result, self.board)
        try:
            self._look(ctx, remote, tally)
        except OutOfOrder:
            self._seen = self.board.files_total = self.board.bytes_total = 0
            tally.begin_again(changed=False)
            self._look(ctx, self._remote_again(bucket), tally)
        finally:
            self._note(bucket)

    def _look(self, ctx: Context, remote: Iterator[RemoteEntry], tally: Tally) -> None:
        """Look at all pairs. Raises: OutOfOrder: begin again."""
        bucket = ctx.bucket
        runner = self._working = Runner(
            lambda: Worker(ctx),
            Worker.verify,
            controller=self._controller,
            cancel=self.cancel,
            abort=bucket.client.abort,
        )
        found = Names(self.root, None, whole=ctx.prefix == self.location.prefix)
        try:
            self._feed(runner, self._pairs(found, remote), tally)
        finally:
            found.close()
            for outcome in runner.finish():
                tally.take(outcome)
            self.result.bytes["moved"] += runner.bytes_moved()
        if runner.failure is not None:
            raise runner.failure

    def _pairs(self, found: Names, remote: Iterator[RemoteEntry]) -> Iterator[Action]:
        local = scan(self.root, follow_symlinks=self.options.follow_symlinks)
        for one in found.join(local, remote, ()):
            self._count(one)
            action = verify.look(one, self._admits, self._reaches)
            if action is not None:
                yield action
        self.board.listing_done = True

    def _count(self, one: Joined) -> None:
        self._seen += 1
        self._unseen.discard(one.path)

    def _feed(self, runner: Runner[Outcome], actions: Iterable[Action], tally: Tally) -> None:
        for action in actions:
            if self.cancel.is_set():
                return
            self.board.files_total += 1
            if not action.check:
                tally.take(settled(action))
                continue
            assert action.local is not None  # a check has both sides
            self.board.bytes_total += action.local.size if self.options.download else 0
            runner.submit(action)
            for outcome in runner.drain():
                tally.take(outcome)

    def _note(self, bucket: Bucket) -> None:
        notes, rows = self.result.notes, self.result.files
        by_md5 = any(row.status == Status.MISS.value and row.evidence == Evidence.ETAG_MD5.value for row in rows)
        if by_md5 and not bucket.can.etags_are_trusted:
            notes.append("no ETag here was seen to be the MD5 of its content: --download proves what differs")
        notes += bucket.can.notes()
        self._note_filters()
