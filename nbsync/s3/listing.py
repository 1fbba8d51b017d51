"""ListObjectsV2: every key below a prefix, in order, faithful to any key. Pages are fetched ahead: s3.prefetch.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html. In a run with --as-of, what
the bucket held then: storage.versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter

from nbsync.core import names
from nbsync.core.location import Location
from nbsync.core.model import EXCLUDED, RemoteEntry
from nbsync.errors import ListingError, OutOfOrder
from nbsync.s3 import named
from nbsync.s3.bucket import Bucket
from nbsync.s3.errors import is_denied
from nbsync.s3.listing_xml import read_document, read_object, read_plain
from nbsync.s3.prefetch import Page, PageBoundaries, pages
from nbsync.s3.sorted_listing import collected, every_page
from nbsync.s3.versions import object_as_of, objects_as_of
from nbsync.s3.xml import Document
from nbsync.wire.errors import ServiceError

__all__ = ["Page", "PageBoundaries", "fetch_page", "find_object", "list_objects", "parse_page", "single_object"]

_ROOT = "ListBucketResult"
_ETAG = attrgetter("etag")


def list_objects(
    bucket: Bucket,
    prefix: str,
    *,
    admits: Callable[[str], bool] | None = None,
    page_boundaries: PageBoundaries | None = None,
) -> Iterator[RemoteEntry]:
    """Every object below `prefix` (a folder: "" or ending in "/"), as entries with relative paths, in key order.

    Our own `.nbsync` keys and empty folder markers are left out. What cannot be a file here has
    `refused` set to the reason, and what `admits` does not admit is `refused` as EXCLUDED. With `page_boundaries` of an
    earlier listing, several ranges of keys can be listed at once without guessing where they begin.

    Raises:
        ServiceError, TransientError: see wire.errors. ListingError: the answer contradicts itself.
        OutOfOrder: it is not in key order, and some entries were given out: list again, it will be sorted then.
        UsageError: --as-of, and the bucket keeps no versions.
    """
    batches: Iterable[Iterable[RemoteEntry]]
    if bucket.as_of_ns is None:
        batches = _in_order(bucket, prefix, page_boundaries or PageBoundaries())
    else:
        batches = [objects_as_of(bucket, prefix, bucket.as_of_ns)]
    for entries in batches:
        for entry in entries:
            path = entry.path
            if not (names.is_folder_marker(path, entry.size) or names.is_own(path)):
                yield _judged(entry, admits)


def _in_order(bucket: Bucket, prefix: str, page_boundaries: PageBoundaries) -> Iterator[list[RemoteEntry]]:
    """Every page of what lies below `prefix`, in key order. Raises: as list_objects."""
    if not bucket.can.lists_out_of_order:
        given = False
        try:
            for entries in pages(
                bucket, lambda token, after: _next_page(bucket, prefix, token, after), page_boundaries
            ):
                given = given or bool(entries)
                yield entries
        except OutOfOrder:
            bucket.can.lists_out_of_order = True
            if given:
                raise
        else:
            return
    for entries in collected(lambda token: _next_page(bucket, prefix, token, "")):
        page_boundaries.whole = True
        yield entries
    page_boundaries.whole = True


def _judged(entry: RemoteEntry, admits: Callable[[str], bool] | None) -> RemoteEntry:
    """The entry, with the reason why it takes no part, if there is one."""
    if admits is not None and not admits(entry.path):
        return entry._replace(refused=EXCLUDED)
    refusal = names.refusal(entry.path)
    return entry._replace(refused=refusal) if refusal else entry


def find_object(bucket: Bucket, key: str, prefix: str, *, certain: bool = False) -> RemoteEntry | None:
    """The object named `key` as LIST gives it now, or None; one request for one key.

    Args:
        certain: it is there; on a server that does not list it as the first that begins so, all those are gone through.
    """
    page = fetch_page(bucket, key, "", max_keys=1, cut=len(prefix))
    found = next((entry for entry in page.entries if entry.key == key), None)
    if found is not None or not page.token or not (certain or bucket.can.lists_out_of_order):
        return found
    listed = every_page(lambda token: fetch_page(bucket, key, token, cut=len(prefix)))
    return next((entry for entries in listed for entry in entries if entry.key == key), None)


def _next_page(bucket: Bucket, prefix: str, token: str, after: str) -> Page:
    """The page that `token` continues, or the first after the path `after`."""
    return fetch_page(bucket, prefix, token, after=prefix + after if after else "")


def fetch_page(
    bucket: Bucket, prefix: str, token: str, *, after: str = "", max_keys: int = 1000, cut: int | None = None
) -> Page:
    """One page: what `token` continues, or what comes after the key `after`.

    Paths are keys without their first `cut` characters (default: the prefix).
    """
    query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", str(max_keys)), ("prefix", prefix)]
    if token:
        query.append(("continuation-token", token))
    elif after:
        query.append(("start-after", after))
    headers = {"x-amz-optional-object-attributes": "RestoreStatus"}
    answer = bucket.request("GET", query=query, headers=headers, kind="list")
    page = parse_page(answer.body, prefix, len(prefix) if cut is None else cut)
    if not all(map(_ETAG, page.entries)):
        bucket.can.lists_without_etags = True
    return page


def parse_page(body: bytes, prefix: str, cut: int) -> Page:
    """A page from the XML of the answer.

    Raises:
        ListingError: not the XML of a listing, keys outside `prefix`, or cut short without a token.
    """
    document, entries = read_plain(body, _ROOT, cut) or _read_objects(body, cut)
    for entry in entries:
        if not entry.key.startswith(prefix):
            raise ListingError(f"the server listed {entry.key!r}, which is not below {prefix!r}")
    token = document.text("NextContinuationToken")
    truncated = document.truncated()
    if truncated and not token:
        raise ListingError("the listing was cut short: the server gave no continuation token")
    return Page(entries, token if truncated else "")


def _read_objects(body: bytes, cut: int) -> tuple[Document, list[RemoteEntry]]:
    document = read_document(body, _ROOT)
    nodes = document.root.iter(f"{document.space}Contents")
    return document, [read_object(document, document.fields(node), cut) for node in nodes]


def single_object(
    bucket: Bucket,
    location: Location,
    *,
    admits: Callable[[str], bool] | None = None,
    denied: ServiceError | None = None,
) -> RemoteEntry | None:
    """The one object that REMOTE names when nothing lies below it: one HEAD, and its LIST entry if it exists.

    Where it may not be listed, the HEAD tells all, and where no HEAD is allowed, a GET does. With --as-of its
    versions are listed instead. Judged as those of `list_objects`; a folder marker is none.

    Args:
        denied: how the listing of REMOTE is. Then an object that may not be read is none.

    Raises:
        ServiceError, TransientError: see wire.errors. ListingError.
    """
    key = location.single_key
    if not key:
        return None
    folder = location.parent().prefix
    try:
        if bucket.as_of_ns is not None:
            entry = object_as_of(bucket, key, folder, bucket.as_of_ns)
        else:
            entry = _named(bucket, key, folder)
    except ServiceError as error:
        if denied is None or not is_denied(error):
            raise
        return None
    if entry is None or names.is_folder_marker(entry.path, entry.size):
        return None
    return _judged(entry, admits)


def _named(bucket: Bucket, key: str, folder: str) -> RemoteEntry | None:
    """The object named `key`: as LIST gives it or, where that is not allowed, as its headers tell of it."""
    headers = named.headers_of(bucket, key)
    if headers is None:
        return None
    try:
        return find_object(bucket, key, folder, certain=True)
    except ServiceError as error:
        if not is_denied(error):
            raise
    return named.entry_of(key, len(folder), headers)
