"""Listing versions page by page: what a bucket held at a time, and listings that are not to be believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbsync.core.location import parse_location
from nbsync.errors import ListingError, UsageError
from nbsync.s3 import versions
from nbsync.s3.capabilities import Capabilities
from nbsync.s3.versions import object_as_of, objects_as_of, parse_versions
from nbsync.wire.errors import ServiceError
from nbsync.wire.response_reader import Response

BASE = "2026-11-24T10:00:"
BASE_NS = 1_795_514_400 * 10**9  # BASE
KEYS = ("a", "a b+c%20", "a/b", "ä", "b\n", "z")


class Item(NamedTuple):
    """A version, or a delete marker, at a second after BASE."""

    key: str
    second: int
    deleted: bool
    number: int


Latest = Callable[[Item], bool]


def node(item: Item, latest: bool) -> str:
    name = "DeleteMarker" if item.deleted else "Version"
    size = "" if item.deleted else f"<Size>{item.number}</Size><ETag>&quot;e{item.number}&quot;</ETag>"
    return (
        f"<{name}><Key>{escape(quote_plus(item.key))}</Key><VersionId>v{item.number}</VersionId>"
        f"<IsLatest>{str(latest).lower()}</IsLatest><LastModified>{BASE}{item.second:02}.000Z</LastModified>"
        f"{size}</{name}>"
    )


def as_aws(page: Sequence[Item], latest: Latest) -> str:
    """Everything in one order."""
    return "".join(node(item, latest(item)) for item in page)


def apart(page: Sequence[Item], latest: Latest) -> str:
    """First the objects of the page, then its delete markers, as moto does."""
    return as_aws(sorted(page, key=lambda item: item.deleted), latest)


class FakeBucket:
    """Answers ListObjectVersions from `items`, which are in the order of S3."""

    as_of_ns = None

    def __init__(self, items: Sequence[Item], size: int, *, layout: Any = as_aws, plain_marker: bool = False,
                 versioning: str = "Enabled") -> None:  # fmt: skip
        self.items, self.size, self.layout, self.plain_marker = items, size, layout, plain_marker
        self.versioning = versioning
        self.location = parse_location("s3://bucket/p")
        self.can = Capabilities("127.0.0.1")
        self.lists = 0

    def request(self, method: str, key: str = "", *, query: Any = (), headers: Mapping[str, str] | None = None,
                kind: str = "") -> Response:  # fmt: skip
        asked = dict(query)
        if "versioning" in asked:
            return self._say_versioning()
        assert (method, kind, asked["encoding-type"]) == ("GET", "list", "url")
        self.lists += 1
        begin = self._after(asked.get("key-marker", ""), asked.get("version-id-marker", ""))
        within = [item for item in self.items[begin:] if item.key.startswith(asked["prefix"])]
        page, rest = within[: self.size], within[self.size :]
        return Response(200, {}, self._document(page, rest).encode())

    def _say_versioning(self) -> Response:
        if self.versioning.isdigit():
            raise ServiceError(int(self.versioning), "AccessDenied")
        status = f"<Status>{self.versioning}</Status>" if self.versioning else ""
        return Response(200, {}, f"<VersioningConfiguration>{status}</VersioningConfiguration>".encode())

    def _after(self, key: str, version_id: str) -> int:
        if not key:
            return 0
        place = [n for n, item in enumerate(self.items) if (item.key, f"v{item.number}") == (key, version_id)]
        return place[0] + 1

    def _document(self, page: Sequence[Item], rest: Sequence[Item]) -> str:
        first = {item.key: item.number for item in reversed(self.items)}
        more = ""
        if rest:
            marker = page[-1].key if self.plain_marker else quote_plus(page[-1].key)
            more = (f"<NextKeyMarker>{escape(marker)}</NextKeyMarker>"
                    f"<NextVersionIdMarker>v{page[-1].number}</NextVersionIdMarker>")  # fmt: skip
        items = self.layout(page, lambda item: first[item.key] == item.number)
        return (f'<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>'
                f"<IsTruncated>{str(bool(rest)).lower()}</IsTruncated>{more}{items}</ListVersionsResult>")  # fmt: skip


def bucket_of(*words: Any, **more: Any) -> Any:
    return FakeBucket(*words, **more)


@st.composite
def histories(draw: st.DrawFn) -> list[Item]:
    """Items in the order in which they were stored."""
    steps = draw(st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 2), st.booleans()), max_size=25))
    items, now = [], 0
    for number, (key, later, deleted) in enumerate(steps):
        now += later
        items.append(Item(key, now, deleted, number))
    return items


def listed(items: Sequence[Item]) -> list[Item]:
    return sorted(items, key=lambda item: (item.key, -item.number))


@settings(max_examples=150)
@given(histories(), st.integers(1, 6), st.integers(-1, 55), st.sampled_from([as_aws, apart]), st.booleans())
def test_any_history_in_any_pages(items: list[Item], size: int, second: int, layout: Any, plain_marker: bool) -> None:
    held: dict[str, int] = {}
    for item in items:
        if item.second <= second:
            held.pop(item.key, None)
            if not item.deleted:
                held[item.key] = item.number

    bucket = bucket_of(listed(items), size, layout=layout, plain_marker=plain_marker)
    found = list(objects_as_of(bucket, "", BASE_NS + second * 10**9))

    assert [(entry.path, entry.version_id) for entry in found] == [(key, f"v{held[key]}") for key in sorted(held)]
    assert [(entry.size, entry.etag) for entry in found] == [(held[key], f"e{held[key]}") for key in sorted(held)]
    assert bucket.lists == max(1, -(-len(items) // size))


def test_one_object_among_those_that_begin_with_its_name() -> None:
    items = listed(
        [Item("p/a", 1, False, 0), Item("p/a", 2, True, 1), Item("p/ab", 1, False, 2), Item("p/b", 1, False, 3)]
    )
    bucket = bucket_of(items, 2)
    found = object_as_of(bucket, "p/a", "p/", BASE_NS + 10**9)
    assert found is not None
    assert (found.path, found.version_id, bucket.lists) == ("a", "v0", 2)
    assert object_as_of(bucket, "p/a", "p/", BASE_NS + 2 * 10**9) is None
    assert object_as_of(bucket, "p/a", "p/", BASE_NS) is None


def test_a_bucket_that_was_never_versioned_is_refused() -> None:
    with pytest.raises(UsageError, match=r"bucket keeps no versions.*--as-of"):
        objects_as_of(bucket_of([], 1, versioning=""), "", 0)


@pytest.mark.parametrize(("versioning", "note"), [("403", "may not be asked"), ("501", "may not be asked"),
                                                  ("Suspended", "is suspended"), ("Enabled", None)])  # fmt: skip
def test_what_is_said_of_versioning(versioning: str, note: str | None) -> None:
    bucket = bucket_of([], 1, versioning=versioning)
    assert list(objects_as_of(bucket, "", 0)) == []
    assert [note in said for said in bucket.can.notes()] == ([True] if note else [])


@pytest.mark.parametrize("status", ["404", "500"])
def test_other_answers_about_versioning_are_errors(status: str) -> None:
    with pytest.raises(ServiceError):
        objects_as_of(bucket_of([], 1, versioning=status), "", 0)


# ---- listings that are not to be believed -------------------------------------------------------------


def test_a_server_that_begins_again_is_seen() -> None:
    bucket = bucket_of(listed([Item("a", n, False, n) for n in range(4)]), 2)
    bucket._after = lambda *_: 0
    with pytest.raises(ListingError, match="circle"):
        list(objects_as_of(bucket, "", BASE_NS))


def test_a_server_that_goes_back_among_the_versions_of_a_key_is_seen() -> None:
    bucket = bucket_of(listed([Item("a", n, False, n) for n in range(6)]), 1)
    bucket._after = lambda _key, version_id: 1 if version_id == "v3" else len(bucket.items) - int(version_id[1:] or 6)
    with pytest.raises(ListingError, match="circle"):
        list(objects_as_of(bucket, "", BASE_NS))


def test_keys_that_descend_are_seen() -> None:
    items = [Item("b", 1, False, 0), Item("a", 1, False, 1)]
    for size in (1, 2):
        with pytest.raises(ListingError, match=r"out of order|circle"):
            list(objects_as_of(bucket_of(items, size), "", BASE_NS))


def test_pages_without_end_and_without_a_version_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = iter(range(10_000))
    endless: Any = lambda *_, **__: versions.VersionPage([], versions.Marker(f"k{next(counter):05}"))  # noqa: E731
    monkeypatch.setattr(versions, "fetch_versions", endless)
    with pytest.raises(ListingError, match="circle"):
        list(objects_as_of(bucket_of([], 1), "", BASE_NS))


HEAD = "<ListVersionsResult>"
GOOD = f"<Version><Key>p/a</Key><Size>1</Size><LastModified>{BASE}00.000Z</LastModified></Version>"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "an empty body"),
        ("<ListBucketResult/>", "something else"),
        (f"{HEAD}<IsTruncated>true</IsTruncated>{GOOD}</ListVersionsResult>", "cut short"),
        (f"{HEAD}{GOOD.replace('p/a', 'q/a')}</ListVersionsResult>", "not below"),
        (f"{HEAD}{GOOD.replace('<Size>1</Size>', '')}</ListVersionsResult>", "without key, size or time"),
        (f"{HEAD}<DeleteMarker><Key>p/a</Key></DeleteMarker></ListVersionsResult>", "delete marker without"),
        (f"{HEAD}{GOOD.replace('p/a', 'p/b')}{GOOD}</ListVersionsResult>", "out of order"),
    ],
)
def test_a_page_that_makes_no_sense(document: str, words: str) -> None:
    with pytest.raises(ListingError, match=words):
        parse_versions(document.encode(), "p/", 2)


def test_a_page_without_a_name_space() -> None:
    [version], following = parse_versions(f"{HEAD}{GOOD}</ListVersionsResult>".encode(), "p/", 2)
    assert version.entry is not None
    assert (version.key, version.entry.path, version.last_modified_ns) == ("p/a", "a", BASE_NS)
    assert following.key == ""
