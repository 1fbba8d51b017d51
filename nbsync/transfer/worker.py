"""One Action: first whether it is needed (`resolve`), then done (`carry_out`). Runs in worker threads.

What goes wrong with one file ends in its row; only a full stop (cancel, lost credentials) is raised.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable

from nbsync.core.decide import clashing, if_available
from nbsync.core.evidence import Verdict, untold
from nbsync.core.model import Action, Evidence, Kind, LocalEntry, Outcome, RecordedEntry, Status, Verb
from nbsync.local.digest import FileChanged
from nbsync.local.install import Installer
from nbsync.s3.errors import words
from nbsync.s3.look import etag_now
from nbsync.transfer import pull_actions, push_actions, verify_actions
from nbsync.transfer.context import Activity, Context
from nbsync.transfer.evidence import compare, has_recorded_content
from nbsync.transfer.staged import Doubt
from nbsync.transfer.upload_outcome import FIRST_ATTEMPT, FailedAfterUpload, PriorAttempt
from nbsync.wire.errors import Aborted, WireError

_CHANGED = "changed while it was read: run again when it is quiet"
_LOOKS = 3  # how often a file that changes under us is looked at again


class Worker:
    """Does Actions, one after another, in one thread. `activity` shows which."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.activity = Activity()
        self._own_installer = Installer(ctx.state_dir) if ctx.state_dir is not None else None

    @property
    def installer(self) -> Installer:
        """What puts files into LOCAL; a run that changes something there has a state directory for it."""
        assert self._own_installer is not None
        return self._own_installer

    def perform(self, action: Action, earlier: PriorAttempt = FIRST_ATTEMPT) -> Outcome:
        """Check if it has to be, then do it; in a run that changes nothing, check only.

        `earlier` tells of an attempt that failed, or whose answer was lost.
        """
        return self._ending_in_a_row(action, lambda action: self._perform(action, earlier))

    def resume(self, action: Action, finished: Callable[[Context, Action], Outcome | None]) -> Outcome:
        """As `perform`, of an Action that a lost worker may have done, or be doing; `finished` looks whether it did."""

        def do(action: Action) -> Outcome:
            self.activity.begin(action.path, action.verb, action.bytes)
            return finished(self.ctx, action) or self._perform(action, PriorAttempt(lost=True))

        return self._ending_in_a_row(action, do)

    def settle(self, doubt: Doubt) -> Outcome:
        """Install or refuse a download that was held back, now that no more come."""
        return self._ending_in_a_row(doubt.action, lambda _: pull_actions.settle(self.ctx, doubt, self.installer))

    def verify(self, action: Action) -> Outcome:
        """Only look whether both sides hold the same."""
        return self._ending_in_a_row(action, self._verify)

    def _verify(self, action: Action) -> Outcome:
        outcome = verify_actions.verify(self.ctx, action, self.activity)
        self.ctx.outage.passed()
        return outcome

    def _perform(self, action: Action, earlier: PriorAttempt) -> Outcome:
        action = self.resolve(action)
        if action.verb is Verb.DOWNLOAD and action.namesake and os.path.lexists(self.ctx.local_path(action.path)):
            action = clashing(action)
        if action.verb is Verb.UPLOAD and action.namesake and not self.ctx.dry_run:  # it has got its name meanwhile
            action = action._replace(local=look_again(self.ctx, action.path))
            if action.local is None:
                raise FileChanged
        if action.status is not Status.PLANNED or self.ctx.dry_run:
            return settled(action)
        outcome = self._carry_out(action, earlier)
        self.ctx.outage.passed()
        return outcome

    def _ending_in_a_row(self, action: Action, do: Callable[[Action], Outcome]) -> Outcome:
        started = time.perf_counter()
        try:
            if self.ctx.cancelled():
                raise InterruptedError
            outcome = do(action)
        except FailedAfterUpload as error:
            outcome = self.failed(action, error.__cause__)._replace(record=error.record)
        except Exception as error:
            outcome = self.failed(action, error)
        finally:
            self.activity.end()
        return outcome._replace(seconds=round(time.perf_counter() - started, 6))

    def failed(self, action: Action, error: BaseException | None) -> Outcome:
        """The Outcome of an Action that ends with `error`, which is raised if it ends the run."""
        return _failed(action, *self._what(error))

    def resolve_safely(self, action: Action) -> Action:
        """As `resolve`; what goes wrong with the file ends in the Action."""
        try:
            if self.ctx.cancelled():
                raise InterruptedError
            return self.resolve(action)
        except Exception as error:
            status, message, problem = self._what(error)
        finally:
            self.activity.end()
        return action._replace(status=status, reason=message, problem=problem, check=False)

    def _what(self, error: BaseException | None) -> tuple[Status, str, str]:
        """(status, message, kind of the problem) of a row that ends with `error`; raised if it ends the run."""
        if isinstance(error, InterruptedError | Aborted):
            return Status.CANCELLED, "stopped", ""
        if isinstance(error, FileChanged):
            return Status.FAILED, _CHANGED, "changed"
        if error is None or not isinstance(error, WireError | OSError):
            raise error or AssertionError("a failure without its cause")
        if self.ctx.cancelled():
            return Status.CANCELLED, "stopped", ""
        self.ctx.outage.failed(error)
        return Status.FAILED, words(error), "failed"

    def resolve(self, action: Action) -> Action:
        """The Action after its check: a hit, a conflict, or work without a check left.

        Raises: as evidence.compare.
        """
        if not action.check:
            return action
        local = action.local
        assert local is not None  # an Action with a check has a file
        self.activity.begin(action.path, Verb.NONE, local.size)
        for look in range(_LOOKS):
            try:
                verdict, content = self._compare(action)
                unedited = action.unedited if self._is_unedited(action, verdict) else None
                break
            except FileChanged:
                again = look_again(self.ctx, action.path)
                if look == _LOOKS - 1 or again is None:
                    raise
                action = action._replace(local=again, trash=True)
        if verdict.same:
            return _hit(action, verdict.evidence, content)
        if unedited is not None:
            verb, reason = unedited
            return if_available(action._replace(
                verb=verb, reason=reason, check=False, evidence=verdict.evidence, digest=content, unedited=None,
                conflict_if_different="", copy="", rescue=False, trash=False,
            ))  # fmt: skip
        if action.conflict_if_different and not self._as_recorded(action):
            return action._replace(
                verb=Verb.NONE, status=Status.CONFLICT, reason=action.conflict_if_different, evidence=verdict.evidence,
                check=False, problem="conflict",
            )  # fmt: skip
        return if_available(action._replace(check=False, evidence=verdict.evidence, digest=content))

    def _compare(self, action: Action) -> tuple[Verdict, str]:
        """As compare.compare; sizes are enough to tell that two sides differ, as is that one side has nothing."""
        local, remote = action.local, action.remote
        if local is not None and remote is not None and local.size == remote.size:
            return compare(self.ctx, action)
        return Verdict(False, Evidence.NONE if remote is None else Evidence.SIZE), ""

    def _is_unedited(self, action: Action, verdict: Verdict) -> bool:
        return action.unedited is not None and not verdict.same and has_recorded_content(self.ctx, action)

    def _as_recorded(self, action: Action) -> bool:
        """Is the object the one that was recorded by an ETag that the listing does not tell?"""
        remote, row = action.remote, action.recorded
        if remote is None or row is None or not untold(remote, row):
            return False
        return etag_now(self.ctx.bucket, remote.key) == row.etag

    def _carry_out(self, action: Action, earlier: PriorAttempt) -> Outcome:
        self.activity.begin(action.path, action.verb, action.bytes)
        lost = pull_actions.rescue(self.ctx, action, self.installer, self.activity) if action.rescue else None
        if lost is not None:
            return lost
        if action.verb is Verb.UPLOAD:
            return push_actions.upload(self.ctx, action, self.activity, earlier)
        if action.verb is Verb.DELETE_REMOTE:
            return push_actions.delete_remote(self.ctx, action)
        if action.verb is Verb.DOWNLOAD:
            return pull_actions.download(self.ctx, action, self.installer, self.activity, earlier)
        return pull_actions.delete_local(action, self.installer)

    def close(self) -> None:
        """Let go of what is kept open."""
        if self._own_installer is not None:
            self._own_installer.close()


def settled(action: Action) -> Outcome:
    """The outcome of an Action that needs no work, or whose work is only planned."""
    saved = action.local.size if action.status is Status.HIT and action.local is not None else 0
    error = action.reason if action.problem else None
    planned = action if action.status is Status.PLANNED else None
    return Outcome(
        action.path, action.verb, action.status, action.reason, action.evidence, planned.bytes if planned else 0,
        0.0, error, action.problem, saved, action.record, planned=planned,
    )  # fmt: skip


def _hit(action: Action, evidence: Evidence, content: str) -> Action:
    local, remote = action.local, action.remote
    assert local is not None  # it was compared
    assert remote is not None
    record = RecordedEntry(
        action.path, remote.mark, remote.version_id, local.size, local.mtime_ns, local.ctime_ns, local.inode, content
    )
    return action._replace(
        verb=Verb.NONE, status=Status.HIT, reason="up to date", evidence=evidence, check=False, record=record
    )


def _failed(action: Action, status: Status, message: str, problem: str) -> Outcome:
    return Outcome(action.path, action.verb, status, message, action.evidence, error=message, problem=problem)


def look_again(ctx: Context, path: str) -> LocalEntry | None:
    """The local file as it is now; None if it is gone or no regular file any more."""
    try:
        at = os.stat(ctx.local_path(path), follow_symlinks=ctx.options.follow_symlinks)
    except OSError:
        return None
    if not stat.S_ISREG(at.st_mode):
        return None
    return LocalEntry(path, Kind.FILE, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino)
