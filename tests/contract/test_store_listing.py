"""A store lists every key faithfully, in order, page by page, and takes and gives every key that it can hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nbsync.core import parallel_listing
from nbsync.core.location import parse_location
from nbsync.core.model import EXCLUDED
from nbsync.core.names import refusal
from nbsync.s3 import listing
from nbsync.s3.bucket import Bucket
from nbsync.s3.listing import Page, PageBoundaries, fetch_page, find_object, list_objects, single_object
from tests.contract.store import Store

LONG = "/".join(["folder-" + "é" * 90] * 5 + ["k" * 250] * 3)[: 1024 - 5 * 90]  # 1,024 bytes, which is S3's limit
# On every server. XML cannot carry some of them as they are: encoding-type=url must.
KEYS = (
    *("a b", " lead", "trail ", "a+b", "a%2Fb", "%41", "a%20b", "per%", "a#b", "a?b", "a&b=c", "a=b;c,d", "quo'te"),
    *('quo"te', "<x>&amp;", "a:b", "a*b", "a|b", "~t", "$x", "@x", "[x]", "{x}", "^x", "`x`", "back\\slash", "...x"),
    *("x.", "-dash", "🌦 emoji", "שלום rtl", "\u202eoverride", "e\u0301", "é", "\uffee", "\xa0x", "tab\tx", "esc\x1bx"),
    *("bell\x07", "cr\rx", "del\x7f", "\x01", "x/y/z", "x/y z/+", LONG),
)
LINE_BREAK = "nl\nx"
# Where "any-key" is declared, and on moto too.
WITHOUT_A_FILE = ("../up", "./x", "/lead", "a/../b", "a//b", "trail/", "s" * 1024)


def holds(store: Store) -> Iterator[str]:
    """The strange keys that this server can hold."""
    yield from KEYS
    if store.server.name != "moto":  # werkzeug's router does not match a line break
        yield LINE_BREAK
    if store.server.can("any-key") or store.server.name == "moto":
        yield from WITHOUT_A_FILE


def test_strange_keys_are_listed_got_and_put_as_they_are(store: Store) -> None:
    assert len(LONG.encode()) == 1024
    keys = sorted(holds(store))
    bucket = store.bucket()
    for key in keys:
        store.put_plainly(key, b"first " + key.encode())
    entries = list(list_objects(bucket, ""))
    assert [entry.key for entry in entries] == keys
    for entry in entries:
        assert (entry.path, entry.refused) == (entry.key, refusal(entry.key) or "")
        assert bucket.request("GET", entry.key).body == b"first " + entry.key.encode()
        bucket.request("PUT", entry.key, body=b"second " + entry.key.encode())
        assert store.body(entry.key) == b"second " + entry.key.encode()
        bucket.request("DELETE", entry.key)
    assert store.keys() == []


def test_keys_that_can_be_no_file_are_refused_with_a_reason(store: Store) -> None:
    refused = {entry: refusal(entry) for entry in holds(store) if refusal(entry)}
    assert "back\\slash" in refused
    for key in refused:
        store.put_plainly(key, b"x")
    assert {entry.key: entry.refused for entry in list_objects(store.bucket(), "")} == refused


def pages(bucket: Bucket, prefix: str, max_keys: int) -> Iterator[Page]:
    """All pages, of at most `max_keys` keys each."""
    page = fetch_page(bucket, prefix, "", max_keys=max_keys)
    yield page
    while page.token:
        page = fetch_page(bucket, prefix, page.token, max_keys=max_keys)
        yield page


@pytest.mark.parametrize("max_keys", [1, 3, 7, 1000])
def test_pages_of_any_size_hold_every_key_once_and_in_order(store: Store, max_keys: int) -> None:
    keys = sorted(["p/a b", "p/a+b", "p/a-b", "p/a/b", "p/a0", "p/a%2Fb", "p/é", "p/\uffee", "p/🌦", "p/z"])
    for key in [*keys, "o", "p0", "pz/x"]:
        store.put_plainly(key, b"x")
    seen = list(pages(store.bucket(), "p/", max_keys))
    assert [entry.key for page in seen for entry in page.entries] == keys
    assert [entry.path for page in seen for entry in page.entries] == [key[2:] for key in keys]
    assert all(len(page.entries) <= max_keys for page in seen)
    assert not seen[-1].token


def test_a_prefix_is_a_folder(store: Store) -> None:
    for key in ("data/1", "data/2/3", "data-x", "data.txt", "data2/4", "dat/5"):
        store.put_plainly(key, b"x")
    prefix = parse_location(f"s3://{store.name}/data").prefix
    assert [entry.path for entry in list_objects(store.bucket(), prefix)] == ["1", "2/3"]


def test_a_prefix_with_strange_characters_is_a_folder_too(store: Store) -> None:
    for key in ("a+b %2F&é/1", "a b %2F&é/2", "a+b /&é/3"):
        store.put_plainly(key, b"x")
    assert store.keys("a+b %2F&é/") == ["a+b %2F&é/1"]


def test_an_empty_bucket_or_prefix_lists_nothing(store: Store) -> None:
    assert store.keys() == []
    store.put_plainly("a/b", b"x")
    assert store.keys("b/") == []


def test_own_keys_and_folder_markers_are_left_out(store: Store) -> None:
    own = [".nbsync/state", "a/.nbsync/x", "a/.NBSYNC/x"]
    for key in [*own, "a/.nbsyncx", "b"]:
        store.put_plainly(key, b"x")
    if store.server.name != "rclone":  # there, a marker is a real directory, which is not listed
        store.put_plainly("a/", b"")
    assert store.keys() == ["a/.nbsyncx", "b"]


def test_what_is_not_admitted_is_marked_excluded(store: Store) -> None:
    for key in ("a.csv", "b.txt"):
        store.put_plainly(key, b"x")
    listed = list_objects(store.bucket(), "", admits=lambda path: path.endswith(".csv"))
    assert {entry.path: entry.refused for entry in listed} == {"a.csv": "", "b.txt": EXCLUDED}


def test_an_entry_says_what_the_object_is(store: Store) -> None:
    entry = store.put("a/b", b"hello")
    listed = store.server.s3.list_objects_v2(Bucket=store.name)["Contents"][0]
    assert (entry.size, entry.etag) == (5, "5d41402abc4b2a76b9719d911017c592")
    assert entry.last_modified_ns // 1000 == round(listed["LastModified"].timestamp() * 1_000_000)
    assert entry.storage_class == listed.get("StorageClass", "")


def test_find_object_finds_that_key_and_no_other(store: Store) -> None:
    for key in ("a/b", "a/b0"):
        store.put_plainly(key, key.encode())
    bucket = store.bucket()
    found = find_object(bucket, "a/b", "a/")
    assert found is not None
    assert (found.path, found.key, found.size) == ("b", "a/b", 3)
    assert find_object(bucket, "a", "") is None
    assert bucket.counts.snapshot() == {"list": 2, "head": 0, "get": 0, "put": 0, "delete": 0, "other": 0}


def test_a_single_object_is_meant_where_nothing_lies_below(store: Store) -> None:
    store.put_plainly("data/a+b é.csv", b"x,y")
    bucket, location = store.bucket(), parse_location(f"{store.name}/data/a+b é.csv")
    assert list(list_objects(bucket, location.prefix)) == []
    one = single_object(bucket, location)
    assert one is not None
    assert (one.path, one.key, one.size) == ("a+b é.csv", "data/a+b é.csv", 3)
    assert bucket.counts.snapshot()["head"] == 1
    assert single_object(bucket, parse_location(f"{store.name}/data/a+b")) is None
    assert single_object(bucket, parse_location(store.name)) is None


@pytest.mark.parametrize("recorded", [False, True])
def test_several_ranges_at_once_give_every_key_once_and_in_order(
    store: Store, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    keys = [f"{folder}/{n:02d} +é" for folder in ("a", "a-b", "b") for n in range(30)]
    for key in keys:
        store.put_plainly(f"p/{key}", b"x")
    monkeypatch.setattr(parallel_listing, "ALONE", 10)
    monkeypatch.setattr(parallel_listing, "PAGE", 2)
    asked: list[str] = []

    def small_page(*words: Any, after: str = "") -> Page:
        asked.append(after)
        return fetch_page(*words, after=after, max_keys=2)

    monkeypatch.setattr(listing, "fetch_page", small_page)
    page_boundaries, bucket = PageBoundaries(), store.bucket()
    page_boundaries.known = sorted(keys)[1::2][:-1] if recorded else []
    listed = [entry.path for entry in list_objects(bucket, "p/", page_boundaries=page_boundaries)]
    assert listed == sorted(keys)
    assert page_boundaries.complete
    known = bucket.can.lists_in_order  # else a range could miss what is listed late
    assert known == (store.server.name != "rclone")
    assert any(asked) == known, "no range was begun, or one where the order is not known"
    assert bucket.can.starts_listings_after == known
    assert len(asked) <= (45 if recorded else 45 * 1.25)
