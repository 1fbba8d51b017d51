"""At the end of a run: what earlier runs left unfinished, and nobody took up, is cleared away. The run's thread."""

from __future__ import annotations

from nbsync.errors import NbsyncError
from nbsync.local.journal import Upload
from nbsync.local.shared_dir import adopt
from nbsync.s3.multipart import Send, abort_upload, list_parts, list_uploads
from nbsync.transfer.context import Context
from nbsync.wire.errors import ServiceError, WireError

# An upload whose answer nobody got began within this window around the request (the clocks are compared first).
_EARLY_NS = 5 * 10**9
_LATE_NS = 60 * 10**9


def clear_away(ctx: Context) -> list[str]:
    """Drop partial downloads and abort unfinished uploads that the journal knows of and this run has no use for.

    Returns notes: where something may remain.
    """
    if ctx.state_dir is not None:
        adopt(ctx.state_dir.stage, ctx.journal)
    ctx.journal.drop_downloads()
    left = ctx.journal.leftovers()
    if not left:
        return []
    cleaner = ctx.bucket.cleaner()  # after a stop, the run's own client is closed
    send: Send = cleaner.request if ctx.cancelled() else ctx.bucket.request
    try:
        remain = []
        for number, upload in enumerate(left):
            cleared = _cleared(ctx, send, upload)
            if cleared is None:  # nobody answers: neither will they for the rest
                remain += left[number:]
                break
            remain += [] if cleared else [upload]
    finally:
        cleaner.close()
    if not remain:
        return []
    names = ", ".join(sorted({f"s3://{upload.bucket}/{upload.key}" for upload in remain})[:3])
    more = f" and {len(remain) - 3:,} more" if len(remain) > 3 else ""
    return [f"unfinished parts of an interrupted upload may remain in the bucket: {names}{more}"]


def _cleared(ctx: Context, send: Send, upload: Upload) -> bool | None:
    """Abort an upload; False if it may remain, None if nobody answers: then the next run will ask."""
    here = (upload.endpoint, upload.bucket) == (ctx.bucket.endpoint, ctx.bucket.location.bucket)
    try:
        if here:
            for upload_id in [upload.upload_id] if upload.upload_id else _astray(ctx, send, upload):
                abort_upload(send, upload.key, upload_id)
    except ServiceError as error:
        if not error.may_pass:
            ctx.journal.end_upload(upload)
        return False
    except (WireError, NbsyncError):  # no answer, no credentials
        return None
    ctx.journal.end_upload(upload)
    return here


def _astray(ctx: Context, send: Send, upload: Upload) -> list[str]:
    """The ids of what was begun by a request whose answer nobody got.

    An upload that has a part is somebody's who knows its id; so is one of another time.
    """
    known = ctx.journal.known_ids()
    begun, ahead_ns = list_uploads(send, upload.key)
    first, last = upload.begun_ns + ahead_ns - _EARLY_NS, upload.asked_ns + ahead_ns + _LATE_NS
    found = [one.upload_id for one in begun if first <= one.initiated_ns <= last and one.upload_id not in known]
    return [upload_id for upload_id in found if not list_parts(send, upload.key, upload_id)]
