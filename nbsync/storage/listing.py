"""ListObjectsV2: every key below a prefix, in order, faithful to any key. Pages are fetched ahead in a thread.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html. In a run with --as-of, what
the bucket held then: storage.versions.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from nbsync.core import names
from nbsync.core.location import Location
from nbsync.core.model import EXCLUDED, RemoteEntry
from nbsync.errors import ListingError
from nbsync.storage.listing_xml import read_document, read_object
from nbsync.storage.s3 import Bucket
from nbsync.storage.versions import object_as_of, objects_as_of

_PAGES_AHEAD = 4
_NOTHING = "Nothing was deleted"
_EMPTY_IN_A_ROW = 100  # truncated pages without an object: some servers send a few


class Page(NamedTuple):
    """One answer of ListObjectsV2. `token` continues it; empty on the last page."""

    entries: list[RemoteEntry]
    token: str


def list_objects(bucket: Bucket, prefix: str, *, admits: Callable[[str], bool] | None = None) -> Iterator[RemoteEntry]:
    """Every object below `prefix` (a folder: "" or ending in "/"), as entries with relative paths, in key order.

    Our own `.nbsync` keys and empty folder markers are left out. What cannot be a file here has
    `refused` set to the reason, and what `admits` does not admit is `refused` as EXCLUDED.

    Raises:
        ServiceError, TransientError: see wire.errors. ListingError: the answer contradicts itself.
        UsageError: --as-of, and the bucket keeps no versions.
    """
    pages: Iterable[Iterable[RemoteEntry]] = (
        _pages(bucket, prefix) if bucket.as_of_ns is None else [objects_as_of(bucket, prefix, bucket.as_of_ns)]
    )
    for entries in pages:
        for entry in entries:
            path = entry.path
            if not (names.is_folder_marker(path, entry.size) or names.is_own(path)):
                yield _judged(entry, admits)


def _judged(entry: RemoteEntry, admits: Callable[[str], bool] | None) -> RemoteEntry:
    """The entry, with the reason why it takes no part, if there is one."""
    if admits is not None and not admits(entry.path):
        return entry._replace(refused=EXCLUDED)
    refusal = names.refusal(entry.path)
    return entry._replace(refused=refusal) if refusal else entry


def find_object(bucket: Bucket, key: str, prefix: str) -> RemoteEntry | None:
    """The object named `key` as LIST gives it now, or None; one request for one key."""
    page = fetch_page(bucket, key, "", max_keys=1, cut=len(prefix))
    return next((entry for entry in page.entries if entry.key == key), None)


def fetch_page(bucket: Bucket, prefix: str, token: str, *, max_keys: int = 1000, cut: int | None = None) -> Page:
    """One page; paths are keys without their first `cut` characters (default: the prefix)."""
    query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", str(max_keys)), ("prefix", prefix)]
    if token:
        query.append(("continuation-token", token))
    headers = {"x-amz-optional-object-attributes": "RestoreStatus"}
    answer = bucket.request("GET", query=query, headers=headers, kind="list")
    return parse_page(answer.body, prefix, len(prefix) if cut is None else cut)


def _pages(bucket: Bucket, prefix: str) -> Iterator[list[RemoteEntry]]:
    """Pages, fetched ahead by a thread of ours while the consumer works on the last one."""
    ahead: queue.Queue[Page | BaseException] = queue.Queue(maxsize=_PAGES_AHEAD)
    stop = threading.Event()

    def put(item: Page | BaseException) -> bool:
        while not stop.is_set():
            try:
                ahead.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False

    def fetch() -> None:
        progress = _Progress()
        token = ""
        try:
            while put(progress.checked(fetch_page(bucket, prefix, token), token)) and progress.token:
                token = progress.token
        except BaseException as error:
            put(error)

    threading.Thread(target=fetch, name="nbsync-listing", daemon=True).start()
    try:
        while True:
            item = ahead.get()
            if isinstance(item, BaseException):
                raise item
            yield item.entries
            if not item.token:
                return
    finally:
        stop.set()


class _Progress:
    """Sees to it that a listing gets on: its keys ascend from page to page, and no page leads back."""

    def __init__(self) -> None:
        self.token = ""  # that continues the listing; empty at its end
        self._last = ""
        self._empty = 0

    def checked(self, page: Page, token: str) -> Page:
        """The page that `token` asked for.

        Raises:
            ListingError: it is not what comes next, so that the listing might never end.
        """
        for entry in page.entries:
            if entry.key <= self._last and self._last:
                raise ListingError(f"the listing is out of order: {entry.key!r} came after {self._last!r}", _NOTHING)
            self._last = entry.key
        self._empty = 0 if page.entries else self._empty + 1
        if page.token and (page.token == token or self._empty > _EMPTY_IN_A_ROW):
            raise ListingError("the listing goes round in a circle: the server goes on without a further key", _NOTHING)
        self.token = page.token
        return page


def parse_page(body: bytes, prefix: str, cut: int) -> Page:
    """A page from the XML of the answer.

    Raises:
        ListingError: not the XML of a listing, keys outside `prefix`, or cut short without a token.
    """
    document = read_document(body, "ListBucketResult")
    nodes = document.root.iter(f"{document.space}Contents")
    entries = [read_object(document, document.fields(node), cut) for node in nodes]
    for entry in entries:
        if not entry.key.startswith(prefix):
            raise ListingError(f"the server listed {entry.key!r}, which is not below {prefix!r}")
    token = document.text("NextContinuationToken")
    truncated = document.truncated()
    if truncated and not token:
        raise ListingError("the listing was cut short: the server gave no continuation token")
    return Page(entries, token if truncated else "")


def single_object(
    bucket: Bucket, location: Location, *, admits: Callable[[str], bool] | None = None
) -> RemoteEntry | None:
    """The one object that REMOTE names when nothing lies below it: one HEAD, and its LIST entry if it exists.

    With --as-of its versions are listed instead.

    Judged as those of `list_objects`; a folder marker is none.
    """
    key = location.single_key
    if not key:
        return None
    folder = location.parent().prefix
    if bucket.as_of_ns is not None:
        entry = object_as_of(bucket, key, folder, bucket.as_of_ns)
    else:
        entry = find_object(bucket, key, folder) if bucket.exists(key) else None
    if entry is None or names.is_folder_marker(entry.path, entry.size):
        return None
    return _judged(entry, admits)
