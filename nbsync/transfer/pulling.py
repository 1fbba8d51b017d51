"""What a pull does to one path: download and install, or move to the trash. Runs in worker threads."""

from __future__ import annotations

import os

from nbsync.core.model import Action, Evidence, Outcome, RecordedEntry, RemoteEntry, Status
from nbsync.storage.install import Installer, InTheWay
from nbsync.storage.listing import find_object
from nbsync.transfer.context import Context, Slot
from nbsync.transfer.download import Staged, fetch
from nbsync.wire.errors import ServiceError

_LOOKS = 3  # how often an object that is replaced under us is looked at again


def download(ctx: Context, action: Action, installer: Installer, slot: Slot) -> Outcome:
    """Fetch, check, give it its time, install. An object replaced since the listing is decided again.

    Raises: as download.fetch.
    """
    remote = action.remote
    assert remote is not None  # a download has an object
    for look in range(_LOOKS):
        try:
            staged = fetch(ctx, remote, slot)
            break
        except ServiceError as error:
            if error.status not in (404, 412) or look == _LOOKS - 1:
                raise
        again = find_object(ctx.bucket, remote.key, ctx.prefix)
        if again is None:
            return Outcome(action.path, action.verb, Status.SKIPPED, "vanished from REMOTE meanwhile", Evidence.NONE)
        remote = again
    outcome = None
    try:
        outcome = _install(ctx, action, remote, staged, installer)
    finally:
        if outcome is None or outcome.status is not Status.MISS:
            os.unlink(staged.path)
    return outcome


def _install(ctx: Context, action: Action, remote: RemoteEntry, staged: Staged, installer: Installer) -> Outcome:
    evidence = action.evidence if staged.verified else Evidence.NONE
    if action.digest and action.digest == staged.content and action.local is not None:
        # The ETag was no digest after all: what arrived is what was here. Its time is left alone.
        record = _record(action.path, remote, staged, os.stat(ctx.local_path(action.path)))
        return Outcome(action.path, action.verb, Status.HIT, "up to date (known only after the download)",
                       evidence, remote.size, record=record)  # fmt: skip
    if action.in_the_way:
        _clear(ctx, action.in_the_way, installer)
    try:
        at = installer.install(staged.path, action.path, action.local, keep_old=action.trash)
    except InTheWay as what:
        return _conflict(action, f"({what}) is in the way: it is not a folder")
    except IsADirectoryError:
        return _conflict(action, "a local folder is in the way")
    record = _record(action.path, remote, staged, at)
    return Outcome(action.path, action.verb, Status.MISS, action.reason, evidence, remote.size, record=record)


def _clear(ctx: Context, way: str, installer: Installer) -> None:
    """Move what stands in the way to the trash, if an earlier download has not done it."""
    path = ctx.local_path(way)
    if os.path.lexists(path):
        installer.to_trash(way)
        installer.close()


def _conflict(action: Action, message: str) -> Outcome:
    return Outcome(
        action.path, action.verb, Status.CONFLICT, message, action.evidence, error=message, problem="conflict"
    )


def _record(path: str, remote: RemoteEntry, staged: Staged, at: os.stat_result) -> RecordedEntry:
    version = staged.headers.get("x-amz-version-id", "")
    return RecordedEntry(
        path, remote.etag, version, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino, staged.content
    )


def delete_local(action: Action, installer: Installer) -> Outcome:
    """Move a file that REMOTE does not have to the trash, unless it changed since it was listed."""
    assert action.local is not None  # there is a file to delete
    if not installer.delete(action.path, action.local):
        return _conflict(action, "changed while the run went on: not deleted")
    return Outcome(action.path, action.verb, Status.DELETED, action.reason, action.evidence, forget=True)
