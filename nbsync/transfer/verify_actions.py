"""What a verify does to one pair: look whether both sides hold the same; nothing is written. Worker threads."""

from __future__ import annotations

import os

from nbsync.core.evidence import ARCHIVED, Verdict
from nbsync.core.model import Action, Evidence, LocalEntry, Outcome, RemoteEntry, Status, Verb
from nbsync.core.parts import bare_etag
from nbsync.core.verify import DIFFERS, unknown
from nbsync.local.digest import FileChanged, same_stat
from nbsync.transfer.context import Activity, Context
from nbsync.transfer.evidence import compare
from nbsync.wire.errors import ServiceError


class _Differs(Exception):
    """The bytes are not the same: the rest need not come."""


def verify(ctx: Context, action: Action, activity: Activity) -> Outcome:
    """The row of a pair of one size: equal, different, or unknown and why.

    Raises: as evidence.compare.
    """
    local, remote = action.local, action.remote
    assert local is not None  # a check has both sides
    assert remote is not None
    activity.begin(action.path, Verb.DOWNLOAD if ctx.options.download else Verb.NONE, local.size)
    archived = remote.storage_class in ARCHIVED and not remote.restored
    try:
        if ctx.options.download and not archived:
            verdict = _by_bytes(ctx, local, remote, activity)
        else:
            verdict, _ = compare(ctx, action)
    except ServiceError as error:
        if error.status not in (404, 412):
            raise
        return _row(action, Status.FAILED, "changed in REMOTE meanwhile: run again when it is quiet", "changed")
    if verdict.same is None:
        return _row(action, Status.SKIPPED, unknown(remote))
    if verdict.same:
        return _row(action, Status.HIT, "equal", evidence=verdict.evidence)
    return _row(action, Status.MISS, DIFFERS, evidence=verdict.evidence)


def _row(action: Action, status: Status, reason: str, problem: str = "", evidence: Evidence = Evidence.NONE) -> Outcome:
    error = reason if problem else None
    return Outcome(action.path, action.verb, status, reason, evidence, error=error, problem=problem)


def _by_bytes(ctx: Context, local: LocalEntry, remote: RemoteEntry, activity: Activity) -> Verdict:
    """Fetch the object that was listed, and hold each piece against the file, which must stay as it was listed."""
    ctx.settle(local)
    fd = os.open(ctx.local_path(local.path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not same_stat(os.fstat(fd), local):
            raise FileChanged
        same = _stream(ctx, remote, activity, fd)
        if not same_stat(os.fstat(fd), local):
            raise FileChanged
    finally:
        os.close(fd)
    return Verdict(same, Evidence.BYTES)


def _stream(ctx: Context, remote: RemoteEntry, activity: Activity, fd: int) -> bool:
    headers = {"if-match": f'"{remote.etag}"'} if remote.etag else {}

    def attempt() -> bool:
        done = 0

        def take(piece: memoryview) -> None:
            nonlocal done
            ctx.limiter.take(len(piece))
            if ctx.cancelled():
                raise InterruptedError
            if os.pread(fd, len(piece), done) != piece:
                raise _Differs
            done += len(piece)
            activity.add(len(piece))

        activity.add(-activity.done)
        try:
            answer = ctx.bucket.client.request("GET", remote.key, query=remote.query, headers=headers, sink=take)
        except _Differs:
            return False
        came = bare_etag(answer.headers.get("etag", ""))
        if remote.etag and came and came != remote.etag:  # a server that ignores If-Match
            raise ServiceError(412, "PreconditionFailed", "the object was replaced", answer.headers)
        return done == remote.size

    return ctx.bucket.retrying(attempt)
