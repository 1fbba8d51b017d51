"""Objects of servers that give no ETags: known by their size and time, as LIST tells them. Worker threads.

No request can be conditional on that, so that an object is looked at just before it is replaced or deleted. Other
answers than LIST's tell the time less finely, or another.
"""

from __future__ import annotations

from nbsync.core.model import LocalEntry, RemoteEntry
from nbsync.s3.listing import find_object
from nbsync.s3.look import look_at
from nbsync.transfer.context import Context
from nbsync.transfer.headers import is_made_of
from nbsync.transfer.upload_outcome import Stored
from nbsync.wire.errors import ServiceError


def check_unmoved(ctx: Context, remote: RemoteEntry) -> None:
    """Return if the object is the one that was listed.

    Raises:
        ServiceError: 404 if it is gone, 412 if it is another; as the service says. TransientError.
    """
    there = find_object(ctx.bucket, remote.key, ctx.prefix)
    if there is None:
        raise ServiceError(404, "NoSuchKey", "the object is gone")
    if (there.mark, there.size) != (remote.mark, remote.size):
        raise ServiceError(412, "PreconditionFailed", "the object was replaced")


def named(ctx: Context, key: str, local: LocalEntry, stored: Stored) -> Stored:
    """What was stored of `local`, with what later listings will know it by.

    Raises:
        ServiceError: 412 if it was replaced meanwhile; as the service says. TransientError.
    """
    there = find_object(ctx.bucket, key, ctx.prefix)
    after = look_at(ctx.bucket, key)  # that is ours yet: so was what the listing has shown
    ours = after is not None and is_made_of(after, local.size, local.mtime_ns) is not False
    if there is None or there.size != local.size or not ours:
        raise ServiceError(412, "PreconditionFailed", "the object was replaced as soon as it was made")
    return stored._replace(etag=there.etag, modified_ns=there.last_modified_ns)
