"""What an object is at this moment: by a HEAD or, where none is allowed, by its line in the listing. Any thread."""

from __future__ import annotations

from collections.abc import Mapping

from nbsync.core.parts import bare_etag
from nbsync.s3.bucket import Bucket
from nbsync.s3.listing import find_object
from nbsync.wire.errors import ServiceError


def look_at(bucket: Bucket, key: str, *, checksum: bool = False) -> Mapping[str, str] | None:
    """The headers of a HEAD, names in lower case; None if there is no such object.

    A listing tells the ETag and the length alone, in the same form.

    Args:
        checksum: tell it too, where the service has one.

    Raises:
        ServiceError: 403 if neither is allowed; others as the service says. TransientError.
    """
    asked = {"x-amz-checksum-mode": "ENABLED"} if checksum else {}
    try:
        return bucket.request("HEAD", key, headers=asked).headers
    except ServiceError as error:
        if error.status == 404:
            return None
        if error.status != 403:
            raise
    entry = find_object(bucket, key, "")
    return None if entry is None else {"etag": f'"{entry.etag}"', "content-length": str(entry.size)}


def etag_in(headers: Mapping[str, str]) -> str:
    """The ETag without its quotes; empty where there is none."""
    return bare_etag(headers.get("etag", ""))


def etag_now(bucket: Bucket, key: str) -> str:
    """The object's ETag; empty if there is no such object, or no ETag. Raises: as look_at."""
    return etag_in(look_at(bucket, key) or {})
