"""The multipart verbs that look and clear away: which uploads and parts a service holds, and the end of one.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html, API_ListMultipartUploads.html and
API_AbortMultipartUpload.html. Not every server knows the first two; what it says then is a ServiceError.
"""

from __future__ import annotations

import time
from calendar import timegm
from collections.abc import Iterator
from email.utils import parsedate_tz
from typing import NamedTuple, Protocol
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from nbsync.s3.listing_xml import parse_time_ns
from nbsync.s3.xml import Unreadable, read_xml
from nbsync.wire.errors import ServiceError, TransientError
from nbsync.wire.response_reader import Response

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
    return next((node.text or "" for node in _root(body).iter() if _tag(node) == name), "")


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
        root = _root(send("GET", key, query=query, kind="other").body, "ListParts")
        for node in _all(root, "Part"):
            fields = {_tag(child): child.text or "" for child in node}
            number, size = _number(fields.get("PartNumber", "")), _number(fields.get("Size", ""))
            found[number] = (fields.get("ETag", "").strip().strip('"'), size)
        before, marker = marker, _field(root, "NextPartNumberMarker")
        if _field(root, "IsTruncated").lower() != "true" or marker in ("", before):
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
        ahead_ns = _ahead_ns(answer.headers.get("date", ""))
        root = _root(answer.body, "ListMultipartUploads")
        encoded = _field(root, "EncodingType") == "url"
        found += _begun(root, key, encoded=encoded)
        next_key = _field(root, "NextKeyMarker")
        more = [("key-marker", unquote_plus(next_key) if encoded else next_key)]
        more.append(("upload-id-marker", _field(root, "NextUploadIdMarker")))
        if _field(root, "IsTruncated").lower() != "true" or not next_key or more == marker:
            break
        marker = more
    return found, ahead_ns


def _begun(root: ElementTree.Element, key: str, *, encoded: bool) -> Iterator[Begun]:
    for node in _all(root, "Upload"):
        fields = {_tag(child): child.text or "" for child in node}
        name = fields.get("Key", "")
        if name != key and not (encoded and unquote_plus(name) == key):
            continue
        try:
            yield Begun(fields["UploadId"], parse_time_ns(fields["Initiated"]))
        except (KeyError, ValueError, IndexError):
            raise TransientError("the server's list of uploads has one without an id or a time") from None


def _ahead_ns(date: str) -> int:
    then = parsedate_tz(date)
    return (timegm((*then[:6], 0, 0, 0)) - (then[9] or 0)) * 10**9 - time.time_ns() if then else 0


def _root(body: bytes, name: str = "") -> ElementTree.Element:
    """The answer's XML; its first element's name begins with `name` (moto ends it otherwise than AWS)."""
    try:
        root = read_xml(body)
    except Unreadable as error:
        raise TransientError(f"the server answered with {error}") from None
    if not _tag(root).startswith(name):
        raise ServiceError(501, "NotImplemented", f"the server answered with something else than to {name}")
    return root


def _tag(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]


def _all(root: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (node for node in root if _tag(node) == name)


def _field(root: ElementTree.Element, name: str) -> str:
    return next((node.text or "" for node in _all(root, name)), "").strip()


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise TransientError("the server's list of parts has one without a number or a size")
    return int(text)
