"""Somebody else is at work in REMOTE between a listing and what follows from it: never a mixture, never overwritten."""

from __future__ import annotations

import pytest

import nbsync
from tests.faults.world import LARGE, SMALL, FaultyWorld, content
from tests.servers.faults import At, Meanwhile, Reset, Stall

MiB = 1024 * 1024
SIZES = pytest.mark.parametrize("size", [SMALL, LARGE], ids=["small", "large"])
OURS, THEIRS = b"ours", b"a colleague's"


@SIZES
def test_replaced_after_the_listing(any_world: FaultyWorld, size: int) -> None:
    world, new = any_world, content(size, "new")
    world.put("f", content(size, "old"))
    world.put("g", b"1")
    world.proxy.on(Meanwhile(after=lambda: world.put("f", new)), "ListObjectsV2")
    result = world.run("pull")
    assert result.ok
    assert world.files() == {"f": new, "g": b"1"}
    world.counted(result)
    world.mended("pull", {"f": new, "g": b"1"})


def test_replaced_while_a_broken_download_is_taken_up(any_world: FaultyWorld) -> None:
    world, new = any_world, content(LARGE, "new")
    world.put("f", content(LARGE, "old"))
    world.proxy.on(Reset(At.ANSWER_BODY, 3 * MiB), "GetObject")
    world.proxy.on(Meanwhile(before=lambda: world.put("f", new)), "GetObject")
    assert world.run("pull").ok
    assert world.files() == {"f": new}
    world.mended("pull", {"f": new})


def test_deleted_after_the_listing(world: FaultyWorld) -> None:
    world.put("f", b"old")
    world.put("g", b"1")
    world.proxy.on(Meanwhile(after=lambda: world.remove("f")), "ListObjectsV2")
    result = world.run("pull")
    assert (result["f"].status, result["g"].status) == ("skipped", "miss")
    assert world.files() == {"g": b"1"}
    world.mended("pull", {"g": b"1"})


@pytest.mark.parametrize("there", [True, False], ids=["replaced", "appeared"])
@SIZES
def test_a_push_keeps_what_came_after_the_listing(any_world: FaultyWorld, size: int, there: bool) -> None:
    world = any_world
    if there:
        world.put("f", b"listed")
    world.write("f", content(size, "ours"))
    operation = "PutObject" if size == SMALL else "CompleteMultipartUpload"
    world.proxy.on(Meanwhile(before=lambda: world.put("f", THEIRS)), operation)
    result = world.run("push")
    needs = "conditional-put" if size == SMALL else "conditional-complete" if there else "conditional-complete-new"
    if world.server.can(needs):
        assert result["f"].status == "conflict"
        assert world.objects() == {"f": THEIRS}
    else:  # best effort, and said so
        assert any("conditional completion" in note for note in result.notes)
    world.tidy(resumable="f")


@SIZES
def test_a_push_keeps_what_came_while_it_ran(any_world: FaultyWorld, size: int) -> None:
    """As far as every server can: the object is looked at last just before the upload is completed."""
    world = any_world
    world.write("f", content(size, "ours"))
    operation = "ListObjectsV2" if size == SMALL else "UploadPart"
    world.proxy.on(Meanwhile(after=lambda: world.put("f", THEIRS)), operation)
    assert world.run("push")["f"].status == "conflict"
    assert world.objects() == {"f": THEIRS}


def test_of_two_writers_one_wins_and_the_other_is_told(any_world: FaultyWorld) -> None:
    world = any_world
    world.write("f", OURS)
    other = world.sandbox / "other"
    other.mkdir()
    (other / "f").write_bytes(THEIRS)
    rule = world.proxy.on(Stall(At.REQUEST_HEAD), "PutObject")
    first = nbsync.push(world.local, world.remote, background=True)
    rule.wait_struck()
    second = nbsync.push(other, world.remote)
    rule.release()
    result = first.wait(30)
    assert (second["f"].status, result["f"].status) == ("miss", "conflict")
    assert world.objects() == {"f": THEIRS}
    assert world.run("push")["f"].status == "miss"  # never synced here: said in its reason
    assert world.objects() == {"f": OURS}


def test_a_delete_keeps_what_changed_after_the_listing(any_world: FaultyWorld) -> None:
    world = any_world
    world.put("f", b"old")
    world.put("g", b"1")
    assert world.run("pull").ok
    world.unlink("f")
    world.proxy.on(Meanwhile(after=lambda: world.put("f", THEIRS)), "ListObjectsV2")
    result = world.run("push", delete=True)
    assert result["f"].status == "conflict"
    assert world.objects() == {"f": THEIRS, "g": b"1"}
