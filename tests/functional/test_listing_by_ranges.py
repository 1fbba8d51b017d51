"""Syncs whose listing is by ranges of keys: the limits are made small, so that a few keys are many."""

from __future__ import annotations

from typing import Any

import pytest

from nbsync.core import parallel_listing
from nbsync.errors import ListingError
from nbsync.s3 import listing, prefetch
from tests.functional.world import World

NAMES = [f"{folder}/{n:02d}" for folder in ("a", "b-c", "b") for n in range(20)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of 2 keys, and ranges past 20 of them."""
    real = listing.fetch_page
    for state_dir in (parallel_listing, prefetch):
        monkeypatch.setattr(state_dir, "PAGE", 2)
        monkeypatch.setattr(state_dir, "ALONE", 20)

    def fetch_page(*words: Any, **more: Any) -> prefetch.Page:
        return real(*words, **{"max_keys": 2, **more})

    monkeypatch.setattr(listing, "fetch_page", fetch_page)


def test_a_second_run_sends_no_page_too_many(world: World) -> None:
    for name in NAMES:
        world.put(name, name.encode())
    first = world.run("pull")
    assert first.ok
    assert 30 <= first.requests["list"] <= 30 * 1.25
    again = world.run("pull")
    assert (again.counts["hit"], again.requests["list"], again.requests["get"]) == (60, 30, 0)
    assert world.run("push").requests["list"] == 30


def test_what_is_added_and_deleted_meanwhile_is_seen(world: World) -> None:
    for name in NAMES:
        world.put(name, name.encode())
    assert world.run("pull").ok
    world.remove(*NAMES[10:14], NAMES[-1])
    world.put("a/05x", b"new")
    world.put("z", b"new")
    result = world.run("pull", delete=True)
    assert (result.ok, result.counts["deleted"], result.counts["miss"]) == (True, 5, 2)
    assert sorted(world.files()) == sorted(world.keys())
    settled = world.run("pull")
    assert (settled.counts["hit"], settled.requests["list"]) == (57, 29)


def test_a_listing_that_breaks_off_in_a_later_range_deletes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        world.put(name, name.encode())
    assert world.run("pull").ok
    world.write("mine", b"1")
    before = world.files()
    paged = listing.fetch_page

    def fetch_page(*words: Any, **more: Any) -> prefetch.Page:
        page = paged(*words, **more)
        if any(entry.path == NAMES[35] for entry in page.entries):
            raise ListingError("cut short")
        return page

    monkeypatch.setattr(listing, "fetch_page", fetch_page)
    assert isinstance(world.refused("pull", delete=True), ListingError)
    assert world.files() == before
