"""One object by its name, where a policy allows to read it and perhaps no more than that. Any thread."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nbsync.core.model import RemoteEntry
from nbsync.s3.bucket import Bucket
from nbsync.wire.errors import ServiceError
from nbsync.wire.server_clock import http_time


def headers_of(bucket: Bucket, key: str) -> Mapping[str, str] | None:
    """What a HEAD tells or, where none is allowed, the GET of one byte; None if there is no such object.

    Raises:
        ServiceError: 403 if neither is allowed (AWS says so of a missing object too, to who may not list).
        TransientError.
    """
    for ask in (_head, _first_byte):
        try:
            return ask(bucket, key)
        except ServiceError as error:
            if error.status == 404:
                return None
            if error.status != 403:
                raise
            refused = error
    raise refused


def _head(bucket: Bucket, key: str) -> Mapping[str, str]:
    return bucket.request("HEAD", key).headers


def _first_byte(bucket: Bucket, key: str) -> Mapping[str, str]:
    """The headers of the whole object, by its first byte; an empty one has none to give, and is asked for whole."""

    def drop(_piece: memoryview) -> None:
        """What a server sends that knows no ranges."""

    def get(headers: Mapping[str, str]) -> Mapping[str, str]:
        return bucket.retrying(lambda: bucket.client.request("GET", key, headers=headers, sink=drop)).headers

    try:
        told = get({"range": "bytes=0-0"})
    except ServiceError as error:
        if error.status != 416:
            raise
        return get({})
    whole = re.fullmatch(r"bytes 0-0/(\d+)", told.get("content-range", "").strip())
    return {**told, "content-length": whole[1]} if whole else told


def entry_of(key: str, cut: int, headers: Mapping[str, str]) -> RemoteEntry | None:
    """The object as a listing would have it, but for the fractions of its seconds; None if the headers tell too little.

    Args:
        cut: characters of the key that do not belong to its path.
    """
    size, modified = headers.get("content-length", ""), http_time(headers.get("last-modified", ""))
    if not (size.isascii() and size.isdecimal()) or modified is None:
        return None
    etag = headers.get("etag", "").strip().removeprefix("W/").strip('"')
    restored = "expiry-date" in headers.get("x-amz-restore", "")
    kind = headers.get("x-amz-storage-class", "")
    return RemoteEntry(key[cut:], key, int(size), etag, modified * 10**9, kind, "", restored)
