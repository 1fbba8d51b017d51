"""Deletes and the guards before them: scenarios 13 and 14."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

from nbsync.errors import GuardRefusal, ListingError, LocalError
from nbsync.local import scan
from nbsync.s3 import listing
from tests.functional.world import World


def test_without_delete_nothing_is_deleted(world: World) -> None:
    world.fill_both("a", "b")
    world.unlink("a")
    world.remove("b")

    assert world.push().counts["deleted"] == 0
    assert world.pull().counts["deleted"] == 0
    assert sorted(world.files()) == ["a", "b"]


def test_pull_delete_moves_to_the_trash(world: World) -> None:
    world.fill_both("keep", "deep/er/gone", "deep/stays")
    world.remove("deep/er/gone")
    world.write("mine", b"never synced")

    result = world.pull(delete=True)

    assert {row.path: (row.action, row.status, row.reason) for row in result if row.status != "hit"} == {
        "deep/er/gone": ("delete-local", "deleted", "not in REMOTE (to the trash)"),
        "mine": ("delete-local", "deleted", "not in REMOTE (to the trash)"),
    }
    assert world.trash() == [("deep/er/gone", b"deep/er/gone"), ("mine", b"never synced")]
    assert not (world.local / "deep" / "er").exists(), "an emptied folder is removed"
    assert any("2 local files" in note for note in result.notes)


def test_push_delete(world: World) -> None:
    world.fill_both("a", "b/c", "b/d")
    world.put("stranger", b"not recorded")
    shutil.rmtree(world.local / "b")

    result = world.push(delete=True)

    assert sorted((row.path, row.action, row.status) for row in result if row.status != "hit") == [
        (path, "delete-remote", "deleted") for path in ("b/c", "b/d", "stranger")]  # fmt: skip
    assert world.keys() == ["a"]
    assert result.requests["delete"] == 3


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_max_delete(world: World, direction: str) -> None:
    world.fill_both(*"abcdefg")
    world.put("new", b"would travel")
    world.write("also new", b"would travel")
    for name in "abcdef":
        world.remove(name) if direction == "pull" else world.unlink(name)
    extra = 1  # what is new on the destination is to be deleted as well

    error = world.refused(direction, delete=True, max_delete=5 + extra)
    assert isinstance(error, GuardRefusal)
    assert error.exit_code == 3
    plan = world.run(direction, delete=True, max_delete=5 + extra, dry_run=True)
    assert isinstance(plan.error, GuardRefusal)
    assert plan.counts["planned"] == 8, "a refused plan can still be looked at"

    done = world.pull if direction == "pull" else world.push
    assert done(delete=True, max_delete=6 + extra).counts["deleted"] == 7


def test_max_delete_counts_what_stands_in_the_way(world: World) -> None:
    world.put("dir", b"a file")
    for number in range(3):
        world.write(f"dir/{number}", b"x")

    assert isinstance(world.refused("pull", delete=True, max_delete=2), GuardRefusal)
    assert world.pull(delete=True, max_delete=3).ok


def test_empty_source_of_a_pull(world: World) -> None:
    world.put("folder/")  # a folder marker is no object
    world.write("a", b"1")

    error = world.refused("pull", delete=True)
    assert isinstance(error, GuardRefusal)
    assert "--allow-empty-source" in str(error)

    assert world.pull(delete=True, allow_empty_source=True).counts["deleted"] == 1
    assert world.files() == {}


def test_refused_pull_leaves_no_new_local(world: World) -> None:
    world.local = world.sandbox / "new" / "local"

    world.refused("pull", delete=True)

    assert not (world.sandbox / "new").exists()


def test_empty_source_of_a_push(world: World) -> None:
    """An unmounted disk is an empty folder."""
    world.put("a", b"1")
    (world.local / "sub").mkdir(parents=True)

    assert isinstance(world.refused("push", delete=True), GuardRefusal)
    assert world.push(delete=True, allow_empty_source=True).counts["deleted"] == 1
    assert world.keys() == []


def test_missing_source_of_a_push(world: World) -> None:
    world.put("a", b"1")

    assert isinstance(world.refused("push", delete=True), LocalError)
    assert isinstance(world.refused("push", allow_empty_source=True), LocalError)
    result = world.run("push", delete=True, allow_empty_source=True)

    assert (result.ok, world.keys(), world.local.exists()) == (True, [], False)


def test_source_is_judged_empty_before_filters(world: World) -> None:
    world.put("a.txt", b"1")
    world.write("b.csv", b"2")

    result = world.pull(delete=True, filters=[("exclude", "*.txt")])

    assert (result.counts["deleted"], world.files()) == (1, {})


def test_listing_that_fails_on_page_3(world: World, fill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(world, 2500)
    for name in ("00001", "mine", "zz"):
        world.write(name, b"")
    pages = []

    def fetch_page(bucket: Any, prefix: str, token: str, **more: Any) -> listing.Page:
        pages.append(token)
        if len(pages) % 3 == 0:
            raise ListingError("cut short")
        return real(bucket, prefix, token, **more)

    real = listing.fetch_page
    monkeypatch.setattr(listing, "fetch_page", fetch_page)

    assert isinstance(world.refused("pull", delete=True), ListingError)
    assert isinstance(world.refused("push", delete=True), ListingError)
    assert sorted(world.files()) == ["00001", "mine", "zz"]


@pytest.mark.parametrize("direction", ["pull", "push"])
@pytest.mark.parametrize("change", ["out of order", "repeated"])
def test_listing_out_of_order(world: World, monkeypatch: pytest.MonkeyPatch, direction: str, change: str) -> None:
    world.fill_both("a", "b", "c")
    world.write("z", b"mine")

    def fetch_page(*words: Any, **more: Any) -> listing.Page:
        page = real(*words, **more)
        entries = page.entries[::-1] if change == "out of order" else page.entries[:1] + page.entries
        return page._replace(entries=entries)

    real = listing.fetch_page
    monkeypatch.setattr(listing, "fetch_page", fetch_page)

    result = world.run(direction, delete=True)

    assert result.counts["hit"] == 3
    assert (result["z"].status, len(result)) == ("deleted" if direction == "pull" else "miss", 4)
    assert any("key order" in note for note in result.notes)


def test_unreadable_folder_protects_all_of_remote(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the one question that the scan asks is answered for it."""
    world.fill_both("locked/a", "locked/b", "other", "gone")
    world.unlink("gone")
    world.write("new", b"1")
    allowed = os.access
    monkeypatch.setattr(scan.os, "access", lambda p, mode: not str(p).endswith("/locked") and allowed(p, mode))

    result = world.push(delete=True)

    assert result.exit_code == 1
    assert [(p.path, p.kind) for p in result.problems] == [("locked", "unreadable")]
    assert (result["gone"].status, result["gone"].action) == ("cancelled", "delete-remote")
    assert "locked could not be read" in result["gone"].reason
    assert sorted(world.keys()) == ["gone", "locked/a", "locked/b", "new", "other"]


@pytest.mark.usefixtures("by_workers")
def test_failed_transfer_cancels_the_deletes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill_both("a", "b")
    world.remove("b")
    world.put("new", b"1")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nbsync.transfer.pull_actions.fetch", fail)
    result = world.run("pull", delete=True)

    assert (result["new"].status, result["new"].error) == ("failed", "No space left on device")
    assert (result["b"].status, result["b"].reason) == ("cancelled", "not deleted: a transfer failed")
    assert (sorted(world.files()), result.exit_code) == (["a", "b"], 1)


def test_a_folder_marker_with_content_protects_what_lies_under_it(world: World) -> None:
    world.put("dir/", b"not empty")
    world.put("keep", b"k")
    world.write("dir/f.txt", b"mine")
    result = world.pull(delete=True)

    assert result["dir/"].status == "skipped"
    assert world.read("dir/f.txt") == b"mine"


def test_existing_leaves_a_folder_alone_that_an_object_would_replace(world: World) -> None:
    world.put("x", b"object")
    world.write("x/mine.txt", b"mine")
    result = world.pull(existing=True, delete=True)

    assert len(result) == 0
    assert world.read("x/mine.txt") == b"mine"
