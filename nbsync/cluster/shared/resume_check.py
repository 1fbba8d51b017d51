"""Whether a worker that was lost has done an Action. Runs in worker threads.

The contents tell: a download whose file equals the object already is not fetched again, and an upload whose object
equals the file already is not sent again.
"""

from __future__ import annotations

from nbsync.core.model import Action, LocalEntry, Outcome, RecordedEntry, RemoteEntry, Status, Verb
from nbsync.s3.listing import find_object
from nbsync.transfer.context import Context
from nbsync.transfer.evidence import compare
from nbsync.transfer.worker import look_again


def done_before(ctx: Context, action: Action) -> Outcome | None:
    """The Outcome of an Action that was done before; None if it was not, as far as can be told.

    Raises: as evidence.compare.
    """
    found = _downloaded(ctx, action) if action.verb is Verb.DOWNLOAD else _uploaded(ctx, action)
    if found is None:
        return None
    local, remote = found
    if local.size != remote.size:
        return None
    looked = action._replace(local=local, remote=remote, recorded=None, check=True)
    verdict, content = compare(ctx, looked)
    if not verdict.same:
        return None
    record = RecordedEntry(
        action.path, remote.mark, remote.version_id, local.size, local.mtime_ns, local.ctime_ns, local.inode, content
    )
    return Outcome(action.path, action.verb, Status.MISS, action.reason, action.evidence, action.bytes, record=record)


def _downloaded(ctx: Context, action: Action) -> tuple[LocalEntry, RemoteEntry] | None:
    """Both sides, if the file is not the one that was decided on any more."""
    local = look_again(ctx, action.path)
    if local is None or action.remote is None or local == action.local:
        return None
    return local, action.remote


def _uploaded(ctx: Context, action: Action) -> tuple[LocalEntry, RemoteEntry] | None:
    """Both sides, if the object is not the one that was decided on any more."""
    if action.verb is not Verb.UPLOAD or action.local is None or look_again(ctx, action.path) != action.local:
        return None
    remote = find_object(ctx.bucket, ctx.prefix + action.path, ctx.prefix)
    if remote is None or (action.remote is not None and remote.mark == action.remote.mark):
        return None
    return action.local, remote
