"""What stands in the way of a download, what cannot be pushed, and the trash: scenarios 11, 16 and 17."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.functional.world import World


def test_file_in_the_way_of_a_folder(world: World) -> None:
    for number in range(12):
        world.put(f"a/{number}", b"%d" % number)
    world.write("a", b"local file")

    result = world.pull()
    assert (result.counts["conflict"], world.files(), result.exit_code) == (12, {"a": b"local file"}, 1)

    assert world.pull(delete=True, jobs=8).counts["miss"] == 12
    assert world.trash() == [("a", b"local file")]
    assert len(world.files()) == 12


def test_folder_in_the_way_of_a_file(world: World) -> None:
    world.put("a", b"remote file")
    world.write("a/x", b"1")
    world.write("a/deep/y", b"2")

    result = world.pull()
    assert (result["a"].status, "in the way" in result["a"].reason) == ("conflict", True)

    assert world.pull(delete=True)["a"].reason == "replaces a local folder"
    assert world.files() == {"a": b"remote file"}
    assert world.trash() == [("a/deep/y", b"2"), ("a/x", b"1")]


def test_empty_folder_in_the_way_of_a_file(world: World) -> None:
    world.put("a", b"remote file")
    (world.local / "a" / "empty").mkdir(parents=True)

    assert world.pull()["a"].status == "conflict"
    assert world.pull(delete=True)["a"].status == "miss"
    assert world.files() == {"a": b"remote file"}


def put_own(world: World) -> None:
    world.write("a/b/.NBsync/state", b"another LOCAL's")


def put_excluded(world: World) -> None:
    world.write("a/b/keep.me", b"excluded")


def put_link(world: World) -> None:
    (world.local / "a" / "link").symlink_to(world.sandbox / "beside")


def put_fifo(world: World) -> None:
    os.mkfifo(world.local / "a" / "fifo")


def put_only_own(world: World) -> None:
    world.unlink("a/x")
    world.write("a/.nbsync/state", b"another LOCAL's")


@pytest.mark.parametrize("make", [put_own, put_excluded, put_link, put_fifo, put_only_own])
def test_folder_that_holds_more_than_files_is_never_removed(world: World, make: Any) -> None:
    world.put("a", b"remote file")
    world.put("b", b"the rest goes on")
    world.write("a/x", b"1")
    make(world)

    result = world.pull(delete=True, exclude="*.me")

    assert (result["a"].status, result["b"].status) == ("conflict", "miss")
    assert (world.local / "a").is_dir()
    assert world.trash() == []


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_file_becomes_a_folder_and_back(world: World, direction: str) -> None:
    world.fill_both("a", "other")
    done = world.pull if direction == "pull" else world.push

    def change(gone: str, new: str) -> None:
        if direction == "pull":
            world.remove(gone)
            world.put(new, new.encode())
        else:
            world.unlink(gone)
            if gone == "a/b":
                (world.local / "a").rmdir()
            world.write(new, new.encode())

    for gone, new in (("a", "a/b"), ("a/b", "a")):
        change(gone, new)
        assert done(delete=True).ok
        expected = {new: new.encode(), "other": b"other"}
        assert (world.files(), world.objects()) == (expected, expected)


def test_links_are_never_written_through(world: World) -> None:
    outside = world.sandbox / "outside"
    outside.mkdir()
    (outside / "f").write_bytes(b"not ours")
    world.local.mkdir()
    (world.local / "dir").symlink_to(outside)
    (world.local / "file").symlink_to(outside / "f")
    (world.local / "broken").symlink_to(outside / "new")
    for key in ("dir/f", "dir/g", "file", "broken", "ok"):
        world.put(key, b"remote")

    result = world.pull(delete=True)

    assert {row.path: row.status for row in result} == {
        "dir/f": "conflict", "dir/g": "conflict", "file": "conflict", "broken": "conflict", "ok": "miss"}  # fmt: skip
    assert os.listdir(outside) == ["f"]


def test_special_files_are_in_the_way(world: World) -> None:
    world.local.mkdir()
    os.mkfifo(world.local / "fifo")
    world.put("fifo", b"1")

    assert world.pull(delete=True)["fifo"].status == "conflict"


def test_odd_files_are_reported_and_their_counterparts_protected(world: World, tmp_path: Path) -> None:
    names = ("link", "linked folder/x", "fifo", "socket", "broken")
    for name in names:
        world.put(name, b"protected")
    world.write("ok", b"1")
    (world.local / "link").symlink_to("ok")
    (world.local / "linked folder").symlink_to(tmp_path)
    (world.local / "broken").symlink_to("nowhere")
    os.mkfifo(world.local / "fifo")
    undecodable = os.fsdecode(b"bad-\xff")
    (world.local / undecodable).write_bytes(b"")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(world.local / "socket"))

    result = world.push(delete=True)

    assert {row.path: row.status for row in result} == {
        "ok": "miss", "link": "skipped", "linked folder": "skipped", "broken": "skipped", "fifo": "skipped",
        "socket": "skipped", "bad-\\xff": "skipped"}  # fmt: skip
    assert {(problem.path, problem.kind) for problem in result.problems} == {
        ("broken", "broken-link"), ("fifo", "special-file"), ("socket", "special-file"),
        ("bad-\\xff", "unreadable")}  # fmt: skip
    assert result.exit_code == 1
    assert sorted(world.keys()) == sorted([*names, "ok"])


def test_a_mere_link_is_no_problem(world: World) -> None:
    world.write("ok", b"1")
    (world.local / "link").symlink_to("ok")

    result = world.push()

    assert (result.exit_code, result["link"].status) == (0, "skipped")


def test_follow_symlinks(world: World, tmp_path: Path) -> None:
    target = tmp_path / "target"
    (target / "sub").mkdir(parents=True)
    (target / "sub" / "f").write_bytes(b"linked content")
    world.write("real/x", b"1")
    (world.local / "link").symlink_to(target / "sub" / "f")
    (world.local / "folder").symlink_to(target)
    (world.local / "real" / "loop").symlink_to("..")
    (world.local / "broken").symlink_to("nowhere")

    result = world.run("push", follow_symlinks=True)

    assert world.objects() == {"link": b"linked content", "folder/sub/f": b"linked content", "real/x": b"1"}
    assert {(problem.path, problem.kind) for problem in result.problems} == {
        ("broken", "broken-link"), ("real/loop", "unreadable")}  # fmt: skip
    world.silent("push", {"follow_symlinks": True})
    (target / "sub" / "f").write_bytes(b"changed content")
    assert world.run("push", follow_symlinks=True).counts["miss"] == 2


def test_replaced_edit_is_in_the_trash(world: World) -> None:
    world.fill_both("edited", "untouched", "deep/edited")
    world.write("edited", b"my work")
    world.write("deep/edited", b"my other work")
    for name in ("edited", "untouched", "deep/edited"):
        world.put(name, b"new in remote")

    world.pull()

    assert world.trash() == [("deep/edited", b"my other work"), ("edited", b"my work")]


def test_edit_that_remote_did_not_touch_is_replaced_too(world: World) -> None:
    world.fill_both("f")
    world.write("f", b"my work")

    assert world.pull()["f"].status == "miss"
    assert (world.read("f"), world.trash()) == (b"f", [("f", b"my work")])


def test_each_run_has_its_own_trash(world: World) -> None:
    for number in range(3):
        world.put("f", b"remote %d" % number)
        world.write("f", b"local %d" % number)
        notes = world.pull().notes
        assert any(note.startswith("1 local file (") for note in notes)
    assert [content for _, content in world.trash()] == [b"local 0", b"local 1", b"local 2"]
    assert len(os.listdir(world.local / ".nbsync" / "trash")) == 3


def test_trash_is_emptied_after_a_week(world: World) -> None:
    world.put("f", b"remote")
    world.write("f", b"local")
    world.pull()
    run = next((world.local / ".nbsync" / "trash").iterdir())

    for days, left in ((6.9, 1), (7.1, 0)):
        then = run.stat().st_mtime - days * 86_400
        os.utime(run, (then, then))
        world.pull()
        assert len(world.trash()) == left
        if left:
            os.utime(run)


def test_permissions_of_a_replaced_file_stay(world: World) -> None:
    world.write("f", b"local").chmod(0o750)
    world.put("f", b"remote")

    world.pull()

    assert (world.local / "f").stat().st_mode & 0o777 == 0o750
