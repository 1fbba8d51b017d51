"""The multipart verbs that look and clear away: which uploads and parts a service holds, and the end of one.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html, API_ListMultipartUploads.html and
API_AbortMultipartUpload.html. Not every server knows the first two; what it says then is a ServiceError.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from nbsync.core.parts import bare_etag
from nbsync.s3.listing_xml import parse_time_ns
from nbsync.s3.xml import Document, Unreadable, field, read_xml
from nbsync.wire.errors import ServiceError, TransientError
from nbsync.wire.response_reader import Response
from nbsync.wire.server_clock import server_time

_MAX_PAGES = 100


class Send(Protocol):
    """Makes one request: `Bucket.request` or `Client.request`."""

    def __call__(self, method: str, key: str = "", *, query: list[tuple[str, str]], kind: str) -> Response:
        """The answer."""


class Begun(NamedTuple):
    """A multipart upload that the service holds; its time is on the service's clock."""

    upload_id: str
    initiated_ns: int


def text_in(body: bytes, name: str) -> str:
    """The text of the first element of that name in an answer's XML, or empty.

    Raises:
        TransientError: it is no XML.
    """
    return _document(body).first_text(name)


def abort_upload(send: Send, key: str, upload_id: str) -> None:
    """End an upload and drop its parts; one that is gone is fine.

    Raises:
        WireError: it may still be there.
    """
    if not key or not upload_id:  # that would be another request: without a key, it would delete the bucket
        return
    try:
        send("DELETE", key, query=[("uploadId", upload_id)], kind="other")
    except ServiceError as error:
        if error.status != 404:
            raise


def list_parts(send: Send, key: str, upload_id: str) -> dict[int, tuple[str, int]]:
    """What an upload has so far: number -> (ETag, bytes).

    Raises:
        ServiceError: 404 if there is no such upload; others if the server cannot say. TransientError.
    """
    found: dict[int, tuple[str, int]] = {}
    marker = ""
    for _ in range(_MAX_PAGES):
        query = [("uploadId", upload_id), *([("part-number-marker", marker)] if marker else [])]
        document = _document(send("GET", key, query=query, kind="other").body, "ListParts")
        for fields in document.children("Part"):
            number, size = _number(field(fields, "PartNumber")), _number(field(fields, "Size"))
            found[number] = (bare_etag(field(fields, "ETag")), size)
        before, marker = marker, document.text("NextPartNumberMarker").strip()
        if not document.truncated() or marker in ("", before):
            break
    return found


def list_uploads(send: Send, key: str) -> tuple[list[Begun], int]:
    """The unfinished uploads to exactly this key, and how far the service's clock is ahead of ours, in ns.

    Raises:
        ServiceError: the server cannot say. TransientError.
    """
    found: list[Begun] = []
    marker: list[tuple[str, str]] = []
    ahead_ns = 0
    for _ in range(_MAX_PAGES):
        query = [("uploads", ""), ("encoding-type", "url"), ("prefix", key), *marker]
        answer = send("GET", query=query, kind="other")
        told = server_time(answer.headers)
        ahead_ns = int(told * 10**9) - time.time_ns() if told is not None else 0
        document = _document(answer.body, "ListMultipartUploads")
        found += _begun(document, key)
        next_key = document.text("NextKeyMarker").strip()
        more = [("key-marker", document.key(next_key))]
        more.append(("upload-id-marker", document.text("NextUploadIdMarker").strip()))
        if not document.truncated() or not next_key or more == marker:
            break
        marker = more
    return found, ahead_ns


def _begun(document: Document, key: str) -> Iterator[Begun]:
    for fields in document.children("Upload"):
        name = field(fields, "Key")
        if name != key and document.key(name) != key:
            continue
        try:
            yield Begun(fields["UploadId"].text or "", parse_time_ns(field(fields, "Initiated")))
        except (KeyError, ValueError, IndexError):
            raise TransientError("the server's list of uploads has one without an id or a time") from None


def _document(body: bytes, name: str = "") -> Document:
    """The answer's XML; its first element's name begins with `name` (moto ends it otherwise than AWS)."""
    try:
        document = read_xml(body)
    except Unreadable as error:
        raise TransientError(f"the server answered with {error}") from None
    if not document.name.startswith(name):
        raise ServiceError(501, "NotImplemented", f"the server answered with something else than to {name}")
    return document


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise TransientError("the server's list of parts has one without a number or a size")
    return int(text)
