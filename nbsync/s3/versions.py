"""ListObjectVersions: what a versioned bucket held at a time (`--as-of`). Runs in the thread that iterates.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from operator import attrgetter
from typing import NamedTuple

from nbsync.core.model import RemoteEntry
from nbsync.core.versions import Version, as_of
from nbsync.errors import ListingError, UsageError
from nbsync.s3.bucket import Bucket
from nbsync.s3.listing_xml import parse_time_ns, read_document, read_object
from nbsync.s3.xml import Document, Fields, Unreadable, field, read_xml
from nbsync.wire.errors import ServiceError

_NOTHING = "Nothing was deleted"
_EMPTY_IN_A_ROW = 100  # truncated pages without a version


class Marker(NamedTuple):
    """What continues a listing: after this version of this key. No key: from the beginning, or at the end."""

    key: str = ""
    version_id: str = ""


class VersionPage(NamedTuple):
    """One answer of ListObjectVersions; `next` has no key on the last page."""

    versions: list[Version]
    next: Marker


def objects_as_of(bucket: Bucket, prefix: str, moment_ns: int) -> Iterator[RemoteEntry]:
    """Every object that lay below `prefix` (a folder) at `moment_ns`, in key order, each with its version.

    Raises:
        UsageError: the bucket never kept versions. ServiceError, TransientError: see wire.errors.
        ListingError: the answer contradicts itself.
    """
    check_versioned(bucket)
    return as_of(_all_versions(bucket, prefix, len(prefix)), moment_ns)


def object_as_of(bucket: Bucket, key: str, prefix: str, moment_ns: int) -> RemoteEntry | None:
    """The object that `key`, which lies below `prefix`, named at `moment_ns`; it may be deleted by now.

    Raises: as objects_as_of.
    """
    return next(as_of(_versions_of(bucket, key, len(prefix)), moment_ns), None)


def check_versioned(bucket: Bucket) -> None:
    """Return if the bucket keeps, or has kept, versions; where that may not be asked, the run's notes say so.

    Raises:
        UsageError: it never did.
    """
    status = versioning_of(bucket)
    if bucket.can.versioning_untold:
        return
    if not status:
        raise UsageError(
            f"{bucket.location.bucket} keeps no versions, so that what it held earlier cannot be had",
            "Leave --as-of out, or enable versioning for the time from now on",
        )
    bucket.can.versioning_suspended = status != "enabled"


def versioning_of(bucket: Bucket) -> str:
    """`enabled`, `suspended`, or empty for a bucket that was never versioned, or whose versioning may not be asked.

    Raises: as ask_versioning.
    """
    status = ask_versioning(bucket)
    bucket.can.versioning_untold = status is None
    return status or ""


def ask_versioning(bucket: Bucket) -> str | None:
    """`enabled`, `suspended`, or empty for a bucket that was never versioned; None if that may not be asked.

    Raises: ServiceError, TransientError: see wire.errors. ListingError: the answer makes no sense.
    """
    try:
        status: str | None = _versioning_status(bucket.request("GET", query=[("versioning", "")], kind="other").body)
    except ServiceError as error:
        if error.status not in (403, 405, 501) or error.refuses_credentials:
            raise
        status = None
    bucket.can.told_versioning(status)
    return status


def learn_conditions(bucket: Bucket) -> None:
    """Before a write: find out whether conditions hold in this bucket. One request in a run, and only if it matters.

    Raises: as ask_versioning.
    """
    if not bucket.can.versions_break_conditions:
        return
    with bucket.learning:
        if bucket.can.versions_break_conditions:
            ask_versioning(bucket)


def _versioning_status(body: bytes) -> str:
    """`enabled`, `suspended`, or empty for a bucket that was never versioned."""
    try:
        return read_xml(body).first_text("Status").lower()
    except Unreadable as error:
        raise ListingError(f"the server told of the bucket's versioning by {error}") from None


def _versions_of(bucket: Bucket, key: str, cut: int) -> Iterator[Version]:
    """The versions of one key. It is the first of all keys that begin with it."""
    for version in _all_versions(bucket, key, cut):
        if version.key != key:
            return
        yield version


def _all_versions(bucket: Bucket, prefix: str, cut: int) -> Iterator[Version]:
    progress, marker = _Progress(), Marker()
    while True:
        page = fetch_versions(bucket, prefix, marker, cut=cut)
        progress.check(page)
        yield from page.versions
        marker = page.next
        if not marker.key:
            return


def fetch_versions(bucket: Bucket, prefix: str, marker: Marker, *, cut: int, max_keys: int = 1000) -> VersionPage:
    """One page; paths are keys without their first `cut` characters."""
    query = [("versions", ""), ("encoding-type", "url"), ("max-keys", str(max_keys)), ("prefix", prefix)]
    if marker.key:
        query.append(("key-marker", marker.key))
    if marker.version_id:
        query.append(("version-id-marker", marker.version_id))
    headers = {"x-amz-optional-object-attributes": "RestoreStatus"}
    answer = bucket.request("GET", query=query, headers=headers, kind="list")
    return parse_versions(answer.body, prefix, cut)


class _Progress:
    """Sees to it that a listing gets on: keys never descend, and no page leads back."""

    def __init__(self) -> None:
        self._last = ""
        self._empty = 0
        self._markers: set[Marker] = set()  # of the key that is being listed

    def check(self, page: VersionPage) -> None:
        """Return if `page` may come next.

        Raises:
            ListingError: it may not, so that the listing might never end.
        """
        for version in page.versions:
            if version.key < self._last:
                raise ListingError(f"the listing is out of order: {version.key!r} came after {self._last!r}", _NOTHING)
            self._last = version.key
        self._empty = 0 if page.versions else self._empty + 1
        if any(known.key != page.next.key for known in self._markers):
            self._markers.clear()
        back = page.next in self._markers or (page.next.key and page.next.key < self._last)
        if page.next.key and (back or self._empty > _EMPTY_IN_A_ROW):
            raise ListingError("the listing goes round in a circle: the server goes on without a further key", _NOTHING)
        self._markers.add(page.next)


def parse_versions(body: bytes, prefix: str, cut: int) -> VersionPage:
    """A page from the XML of the answer; its versions in key order, those of one key as they were listed.

    Raises:
        ListingError: not the XML of such a listing, out of order, keys outside `prefix`, or cut short.
    """
    document = read_document(body, "ListVersionsResult")
    mixed: list[Version] = []
    for node in document.root:
        name = node.tag[len(document.space) :]
        if name not in ("Version", "DeleteMarker"):
            continue
        version = _read_version(document, document.fields(node), cut, deleted=name == "DeleteMarker")
        if not version.key.startswith(prefix):
            raise ListingError(f"the server listed {version.key!r}, which is not below {prefix!r}")
        mixed.append(version)
    following = Marker()
    if document.truncated():
        last = max((version.key for version in mixed), default="")
        following = Marker(_marker_key(document, last), document.text("NextVersionIdMarker"))
        if not following.key:
            raise ListingError("the listing was cut short: the server gave no marker to go on from")
    return VersionPage(mixed if _ascends(mixed) else _merged(mixed), following)


def _marker_key(document: Document, last: str) -> str:
    """The key to go on from. RGW encodes keys, but not this one, which is that of the page's last version."""
    told = document.text("NextKeyMarker")
    return told if told == last else document.key(told)


def _ascends(versions: list[Version]) -> bool:
    return all(one.key <= other.key for one, other in itertools.pairwise(versions))


def _merged(mixed: list[Version]) -> list[Version]:
    """In key order what a server listed apart: first the objects, then the delete markers (moto)."""
    objects = [version for version in mixed if version.entry is not None]
    markers = [version for version in mixed if version.entry is None]
    for versions in (objects, markers):
        if not _ascends(versions):
            raise ListingError("the listing is out of order", _NOTHING)
    return list(heapq.merge(markers, objects, key=attrgetter("key")))


def _read_version(document: Document, fields: Fields, cut: int, *, deleted: bool) -> Version:
    is_latest = field(fields, "IsLatest").strip().lower() == "true"
    if deleted:
        try:
            key = document.key(fields["Key"].text or "")
            return Version(key, parse_time_ns(field(fields, "LastModified")), is_latest, None)
        except (KeyError, ValueError, IndexError):
            raise ListingError("the server's listing has a delete marker without key or time") from None
    entry = read_object(document, fields, cut)._replace(version_id=field(fields, "VersionId"))
    return Version(entry.key, entry.last_modified_ns, is_latest, entry)
