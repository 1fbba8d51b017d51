"""The Python API: pull, push, plan, ls, undo. The faces call `start` and `listing`, which these wrap."""

from __future__ import annotations

import os
import threading
from typing import Any, Literal, overload

from nbsync.core.filters import Filters
from nbsync.core.location import parse_location
from nbsync.engine.job import SyncJob
from nbsync.errors import NbsyncError, UsageError
from nbsync.listing import ListedObject, Listing
from nbsync.options import Call, Options, build_options
from nbsync.result import SyncResult
from nbsync.storage.listing import list_objects, single_object
from nbsync.storage.s3 import Bucket
from nbsync.storage.s3_errors import translate
from nbsync.wire.errors import WireError

PathLike = str | os.PathLike[str]


@overload
def pull(
    remote: str, local: PathLike | None = ..., *, background: Literal[False] = ..., **options: Any
) -> SyncResult: ...
@overload
def pull(remote: str, local: PathLike | None = ..., *, background: Literal[True], **options: Any) -> SyncJob: ...
def pull(
    remote: str, local: PathLike | None = None, *, background: bool = False, **options: Any
) -> SyncResult | SyncJob:
    """Make LOCAL hold what REMOTE holds; only what differs travels.

    Args:
        remote: `s3://bucket/prefix` or `bucket/prefix`; the keys under `prefix/`.
        local: a directory; default `./` + the last name in `remote`.
        background: return a SyncJob at once.
        **options: every option of `nbsync pull` by its name with underscores; see `nbsync.options.Options`.

    Returns:
        The result. Failures of single files are rows in it, see `SyncResult.raise_for_problems`.

    Raises:
        NbsyncError: wrong arguments, or the run was refused or could not go on; see nbsync.errors.
    """
    call = Call(command="pull", direction="pull", remote=_text(remote, "remote"), local=_local(local),
                options=build_options("pull", options))  # fmt: skip
    return _start(call, background)


@overload
def push(local: PathLike, remote: str, *, background: Literal[False] = ..., **options: Any) -> SyncResult: ...
@overload
def push(local: PathLike, remote: str, *, background: Literal[True], **options: Any) -> SyncJob: ...
def push(local: PathLike, remote: str, *, background: bool = False, **options: Any) -> SyncResult | SyncJob:
    """Make REMOTE hold what LOCAL holds; only what differs travels. Arguments and errors as `pull`."""
    call = Call(command="push", direction="push", remote=_text(remote, "remote"), local=_local(local),
                options=build_options("push", options))  # fmt: skip
    return _start(call, background)


def plan(direction: str, source: PathLike, target: PathLike | None = None, **options: Any) -> SyncResult:
    """Decide and show, change nothing: `plan("pull", remote, local)` or `plan("push", local, remote)`.

    Returns:
        The result with rows of status `planned`.

    Raises: as `pull`.
    """
    if direction not in ("pull", "push") or (direction == "push" and target is None):
        raise UsageError('plan takes ("pull", remote, [local]) or ("push", local, remote)')
    remote, local = (source, target) if direction == "pull" else (target, source)
    call = Call(command="plan", direction=direction, remote=_text(remote, "remote"), local=_local(local),
                options=build_options(direction, options))  # fmt: skip
    return run(call)


def ls(remote: str, **options: Any) -> Listing:
    """The objects under REMOTE: keys, sizes, times.

    Raises: as `pull`.
    """
    return listing(Call(command="ls", remote=_text(remote, "remote"), options=build_options("ls", options)))


def undo(local: PathLike = ".", **options: Any) -> SyncResult:
    """Put back what the last sync replaced or deleted in LOCAL; what that replaces goes to the trash in turn.

    Args:
        local: the directory that was synced.
        **options: `dry_run` and those of the faces.

    Returns:
        The result; what could not be put back is a failed row, and stays in the trash.

    Raises: as `pull`; never for a reason of the service, which is not asked.
    """
    call = Call(command="undo", direction="undo", remote="", local=_local(local),
                options=build_options("undo", options))  # fmt: skip
    return run(call)


def start(call: Call) -> SyncJob:
    """Begin a pull, push, plan or undo.

    Raises:
        UsageError: the call makes no sense.
    """
    return SyncJob(call)


def run(call: Call) -> SyncResult:
    """Do a pull, push, plan or undo, and wait for it.

    Raises: as `pull`.
    """
    result = _start(call, background=False)
    assert isinstance(result, SyncResult)  # not in the background
    return result


def _start(call: Call, background: bool) -> SyncResult | SyncJob:
    from nbsync.ui import rowlog

    log_file = call.options.log_file
    if log_file and background:
        raise UsageError("--log-file is written at the end of a run that is waited for, not of a background job")
    if log_file:
        rowlog.check(log_file)
    job = start(call)
    if background:
        return job
    try:
        result = job.wait()
    except KeyboardInterrupt:
        job.cancel()
        job.wait()
        raise
    if log_file:
        rowlog.write(log_file, result)
    if result.error is not None:
        raise result.error
    if call.options.strict:
        result.raise_for_problems()
    return result


def listing(call: Call) -> Listing:
    """What `ls` shows.

    Raises:
        NbsyncError: no such bucket, no access, no answer, wrong words.
    """
    location = parse_location(call.remote)
    filters = Filters(call.options.filters)
    bucket = Bucket(location, call.options, wait=threading.Event().wait)
    try:
        found = list(list_objects(bucket, location.prefix))
        if not found:
            one = single_object(bucket, location)
            found = [one] if one is not None else []
    except (NbsyncError, WireError, OSError) as error:
        raise translate(error, location.uri) from None
    finally:
        bucket.client.close()
    entries = [
        ListedObject(e.key, e.path, e.size, e.last_modified_ns, e.etag, e.storage_class)
        for e in found
        if filters.admits(e.path)
    ]
    return Listing(location.uri, entries, bucket.counts.snapshot(), bucket.can.notes())


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} is text like 's3://bucket/prefix', not {type(value).__name__}")
    return value


def _local(value: PathLike | None) -> str:
    if value is None:
        return ""
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else ""
    if not isinstance(path, str) or not path:
        raise UsageError("local is the path of a directory")
    return path


__all__ = ["Options", "listing", "ls", "plan", "pull", "push", "start", "undo"]
