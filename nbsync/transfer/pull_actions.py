"""What a pull does to one path: download and install, or move to the trash. Runs in worker threads."""

from __future__ import annotations

import contextlib
import os
import stat

from nbsync.core.clock import doubted
from nbsync.core.conflict_copy import conflict_copy
from nbsync.core.decide import one_name_with
from nbsync.core.model import Action, Evidence, Outcome, RecordedEntry, RemoteEntry, Status
from nbsync.core.recheck import CHANGED_IN_REMOTE, CHANGED_LOCALLY
from nbsync.local.digest import same_stat
from nbsync.local.install import Installer, Twin
from nbsync.local.openat import InTheWay
from nbsync.s3.listing import find_object
from nbsync.transfer.context import Activity, Context
from nbsync.transfer.download import fetch, is_as_staged, mtime_ns
from nbsync.transfer.evidence import Corrupted
from nbsync.transfer.staged import Doubt, Staged
from nbsync.transfer.upload_outcome import FIRST_ATTEMPT, PriorAttempt
from nbsync.wire.errors import ServiceError

TIMES_NOT_KEPT = (
    "this file system does not keep the times that files are given:"
    " programs that go by times (aws s3 sync, rclone) take what came for changed"
)
CHANGED_MEANWHILE = "changed here while the run went on: run again to decide"
CHANGED_IN_REMOTE_MEANWHILE = "changed in REMOTE while the run went on: run again to decide"
VANISHED = "was deleted in REMOTE after it was listed: there is nothing to download"
_LOOKS = 3  # how often an object that is replaced under us is looked at again
_COARSE_NS = 2 * 10**9  # the coarsest times that file systems keep: FAT's


def download(
    ctx: Context, action: Action, installer: Installer, activity: Activity, earlier: PriorAttempt = FIRST_ATTEMPT
) -> Outcome:
    """Fetch, check, give it its time, install. An object replaced since the listing is decided again.

    Raises: as download.fetch.
    """
    remote = action.remote
    assert remote is not None  # a download has an object
    for look in range(_LOOKS):
        try:
            staged = fetch(ctx, remote, activity, FIRST_ATTEMPT if look else earlier)
            break
        except ServiceError as error:
            if error.status not in (404, 412):
                raise
            if ctx.as_planned:
                return _conflict(action, CHANGED_IN_REMOTE)
            if look == _LOOKS - 1:
                raise
        # A version stays what it is; it can only be gone.
        again = find_object(ctx.bucket, remote.key, ctx.prefix) if not remote.version_id else None
        if again is None:
            return Outcome(action.path, action.verb, Status.SKIPPED, VANISHED, Evidence.NONE)
        remote = again
    if not staged.doubtful or (action.digest and action.digest == staged.content):
        return install(ctx, action, remote, staged, installer)
    doubt = Doubt(action, remote, staged)
    if ctx.hold(doubt):
        return Outcome(action.path, action.verb, action.status, action.reason, action.evidence, doubtful=True)
    return settle(ctx, doubt, installer)


def settle(ctx: Context, doubt: Doubt, installer: Installer) -> Outcome:
    """Install a doubtful download, unless ETags here have been seen to be MD5s: then it is the content that is wrong.

    Raises:
        Corrupted: it is. OSError: as install.
    """
    if not ctx.bucket.can.saw_other_etag():
        with contextlib.suppress(OSError):
            os.unlink(doubt.staged.path)
        raise Corrupted("what arrived, three times alike, does not have the object's MD5, as others here have")
    return install(ctx, doubt.action, doubt.remote, doubt.staged, installer)


def install(ctx: Context, action: Action, remote: RemoteEntry, staged: Staged, installer: Installer) -> Outcome:
    """Put what was staged into its place, unless it is what was there; nothing of it stays in staging.

    Raises:
        OSError: it could not be put there.
    """
    outcome = None
    try:
        outcome = _install(ctx, action, remote, staged, installer)
    finally:
        if outcome is None or outcome.status is not Status.MISS:
            with contextlib.suppress(FileNotFoundError):  # it was installed, and then something failed
                os.unlink(staged.path)
    return outcome


def _install(ctx: Context, action: Action, remote: RemoteEntry, staged: Staged, installer: Installer) -> Outcome:
    evidence = staged.evidence(action.evidence)
    here = _unchanged(ctx, action) if action.digest and action.digest == staged.content else None
    if here is not None:
        # The ETag was no digest after all: what arrived is what was here. Its time is left alone.
        record = _record(action.path, remote, staged, here)
        return Outcome(action.path, action.verb, Status.HIT, "up to date (known only after the download)",
                       evidence, remote.size, record=record)  # fmt: skip
    if ctx.as_planned and not action.in_the_way and not _as_seen(ctx, action):
        return _conflict(action, CHANGED_LOCALLY)
    if ctx.both_ways and not action.in_the_way and not _as_seen(ctx, action):
        return _conflict(action, CHANGED_MEANWHILE)
    try:
        if action.in_the_way:
            _clear(ctx, action, installer)
        if not ctx.permission.lasts():
            raise InterruptedError
        if action.copy:
            installer.set_aside(action.path, action.copy)
            action = action._replace(local=None)
        at, note = installer.install(staged.path, action.path, action.local, keep_old=action.trash)
    except InTheWay as what:
        return _conflict(action, f"({what}) is in the way: it is not a folder")
    except IsADirectoryError:
        return _conflict(action, "a local folder is in the way")
    except Twin as twin:
        reason = one_name_with(str(twin))
        return Outcome(action.path, action.verb, Status.SKIPPED, reason, evidence, error=reason, problem="name-clash")
    if abs(at.st_mtime_ns - mtime_ns(ctx, remote, staged.headers)) > _COARSE_NS:
        note = TIMES_NOT_KEPT
    record = _record(action.path, remote, staged, at)
    if not is_as_staged(ctx, remote, staged, at):  # an editor was quicker than our look at what we had put there
        record = doubted(record)
    return Outcome(action.path, action.verb, Status.MISS, action.reason, evidence, remote.size, record=record,
                   note=note, doubtful=staged.doubtful)  # fmt: skip


def rescue(ctx: Context, action: Action, installer: Installer, activity: Activity) -> Outcome | None:
    """Fetch an object that is to be replaced, and keep it in LOCAL's trash; a conflict if it is not that any more.

    Raises: as download.fetch; then it is not to be replaced.
    """
    remote = action.remote
    assert remote is not None  # what is not there is not replaced
    try:
        staged = fetch(ctx, remote, activity)
    except ServiceError as error:
        if error.status not in (404, 412):
            raise
        return _conflict(action, CHANGED_IN_REMOTE_MEANWHILE)
    installer.into_trash(staged.path, conflict_copy(action.path, ctx.now_ns(), lambda _path: False, word="remote"))
    return None


def _unchanged(ctx: Context, action: Action) -> os.stat_result | None:
    """The local file's stat if it still is the file whose content was compared."""
    try:
        at = os.lstat(ctx.local_path(action.path))
    except FileNotFoundError:
        return None
    return at if action.local is not None and same_stat(at, action.local) else None


def _as_seen(ctx: Context, action: Action) -> bool:
    """Is what stands at the path what stood there when the plan was held against it?"""
    return _unchanged(ctx, action) is not None if action.local is not None else not os.path.lexists(
        ctx.local_path(action.path))  # fmt: skip


def _clear(ctx: Context, action: Action, installer: Installer) -> None:
    """Move what stands in the way to the trash, if an earlier download has not done it.

    That is the folder at the file's own path, or the file at a parent's. One worker at a time: the next
    one finds the new folder there.
    """
    way = action.in_the_way
    movable = stat.S_ISDIR if way == action.path else stat.S_ISREG
    with ctx.clearing:
        installer.to_trash(way, movable=movable)


def _conflict(action: Action, message: str) -> Outcome:
    return Outcome(
        action.path, action.verb, Status.CONFLICT, message, action.evidence, error=message, problem="conflict"
    )


def _record(path: str, remote: RemoteEntry, staged: Staged, at: os.stat_result) -> RecordedEntry:
    version = staged.headers.get("x-amz-version-id", "")
    return RecordedEntry(
        path, remote.mark, version, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino, staged.content
    )


def delete_local(action: Action, installer: Installer) -> Outcome:
    """Move a file that REMOTE does not have to the trash, unless it changed since it was listed."""
    assert action.local is not None  # there is a file to delete
    try:
        done = installer.delete(action.path, action.local)
    except InTheWay as what:  # since the scan: nothing is deleted through a link
        return _conflict(action, f"({what}) is no folder any more: not deleted")
    if not done:
        return _conflict(action, "changed while the run went on: not deleted")
    return Outcome(action.path, action.verb, Status.DELETED, action.reason, action.evidence, forget=True)
