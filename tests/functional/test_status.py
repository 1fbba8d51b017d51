"""`status`: what a folder was synced with and what has changed since, from no request and without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.cli import main
from nbsync.core.model import Kind, LocalEntry, RemoteEntry
from nbsync.errors import LocalError, SyncProblems, UsageError
from nbsync.local import inspect
from nbsync.local.journal import Journal
from nbsync.local.past_syncs import read
from nbsync.local.record import RemoteName
from nbsync.wire.client import Client
from tests.functional.world import World, opened_below, snapshot


@pytest.fixture(autouse=True)
def _no_request(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Any request that a status makes fails the test."""

    def offline(local: Any = ".", **options: Any) -> nbsync.Status:
        here = threading.get_ident()

        def refuse(*args: Any, **more: Any) -> Any:
            if threading.get_ident() == here:  # a sync may be under way in other threads
                raise AssertionError("a status made a request")
            return ask(*args, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Client, "request", refuse)
            return status(local, **options)

    status, ask = nbsync.status, Client.request
    monkeypatch.setattr(nbsync, "status", offline, raising=False)


def test_what_it_was_synced_with_and_what_changed(world: World) -> None:
    for path in ("same", "touched", "edited", "d/gone"):
        world.put(path, b"1")
    nbsync.pull(world.remote, world.local, exclude=["*.tmp"])
    os.utime(world.local / "touched")
    world.write("edited", b"2")
    world.write("new", b"3")
    world.write("x.tmp")
    world.unlink("d/gone")
    before = snapshot(world.sandbox)

    found = nbsync.status(world.local)

    assert snapshot(world.sandbox) == before
    assert found.changes == {
        "unchanged": 2, "added": 1, "modified": 1, "deleted": 1, "maybe": 0, "left-out": 1}  # fmt: skip
    assert [(one.path, one.change.value) for one in found] == [
        ("d/gone", "deleted"), ("edited", "modified"), ("new", "added")]  # fmt: skip
    sync = found.syncs[0]
    assert (sync.remote, sync.direction, sync.finished, sync.problems, sync.files, sync.words) == (
        world.remote, "pull", True, 0, 4, "--exclude '*.tmp'")  # fmt: skip
    assert (found.ok, found.remote, found.repeats) == (True, world.remote, ["pull"])
    document = found.to_dict()
    assert json.loads(json.dumps(document)) == document
    assert set(document["requests"].values()) == {0}


def test_where_nothing_was_touched_no_file_is_opened(world: World) -> None:
    world.fill_both("a", "b")
    with opened_below(world.local) as opened:
        assert nbsync.status(world.local).changed == 0
    assert opened == []


def test_a_touched_file_that_is_too_large_may_have_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill_both("small", "large file")
    for path in ("small", "large file"):
        os.utime(world.local / path)
    monkeypatch.setattr(inspect.content_reader, "__defaults__", (9,))
    found = nbsync.status(world.local)
    assert found.changes is not None
    assert (found.changes["maybe"], found.changes["unchanged"], found.files[0].path) == (1, 1, "large file")
    assert "1 maybe modified here since the last sync" in repr(found)


def test_several_remotes_and_how_they_ended(world: World, tmp_path: Path) -> None:
    world.put("ok", b"1")
    world.put("a//b", b"cannot be a file")
    assert world.run("pull").exit_code == 1
    other = World(world.server, tmp_path, bucket=world.bucket, prefix="other/")
    assert other.run("push").ok
    plan = nbsync.plan("push", world.local, f"{world.bucket}/third")
    assert plan.apply().ok
    found = nbsync.status(world.local)
    assert [(one.remote, one.command, one.direction, one.problems, one.files) for one in found.syncs] == [
        (f"s3://{world.bucket}/third/", "apply", "push", 0, 1),
        (other.remote, "push", "push", 0, 1),
        (world.remote, "pull", "pull", 1, 1),
    ]
    assert found.repeats == ["pull", "push"]


def test_dry_runs_and_plans_leave_no_mark(world: World) -> None:
    world.fill_both("a")
    nbsync.push(world.local, f"{world.bucket}/q", dry_run=True)
    nbsync.plan("push", world.local, f"{world.bucket}/q")
    nbsync.verify(world.local, world.remote)
    assert [one.command for one in nbsync.status(world.local).syncs] == ["pull"]


def test_a_run_that_was_stopped_is_told(world: World) -> None:
    for number in range(20):
        world.put(str(number), b"x" * 50_000)
    job = nbsync.pull(world.remote, world.local, background=True, bandwidth="200KB/s", jobs=1)
    while not job.done and not (world.local / ".nbsync" / "syncs.json").exists():
        with contextlib.suppress(TimeoutError):  # a loop that only asks takes the interpreter from the run
            job.wait(0.02)
    busy = nbsync.status(world.local)
    job.cancel()
    job.wait()
    assert busy.at_work.startswith("process ")
    assert any("is at work here" in note for note in busy.notes)
    found = nbsync.status(world.local)
    assert (found.syncs[0].finished, found.at_work) == (False, "")
    assert "did not come to its end" in found._repr_mimebundle_()["text/plain"]


def test_unfinished_transfers_are_told_where_they_were_begun(world: World, tmp_path: Path) -> None:
    world.fill_both("f")
    place = world.local / ".nbsync"
    sync = read(str(place)).syncs[0]
    journal = Journal(str(place), RemoteName(sync.endpoint, sync.bucket, sync.prefix))
    journal.begin_download(RemoteEntry("big", "p/big", 100, "e", 1), "1-1-0123456789abcdef", 10)
    journal.intend_upload(LocalEntry("up", Kind.FILE, 1, 1, 1, 1), "p/up", "h", 10)
    journal.close()
    before = snapshot(world.sandbox)
    found = nbsync.status(world.local)
    assert snapshot(world.sandbox) == before
    assert found.unfinished == {"downloads": 1, "uploads": 1}
    shutil.copytree(world.local, tmp_path / "copy")
    assert nbsync.status(tmp_path / "copy").unfinished == {"downloads": 0, "uploads": 0}
    (place / "unfinished.sqlite3").write_bytes(b"no database at all" * 100)
    assert nbsync.status(world.local).notes == ["whether large transfers are unfinished cannot be read now"]


def test_the_trash_is_told(world: World) -> None:
    world.fill_both("f")
    world.write("f", b"mine!")
    world.put("f", b"theirs")
    world.run("pull")
    found = nbsync.status(world.local)
    assert found.trash == (1, 5, str(world.local / ".nbsync" / "trash"))
    assert f"put back by: undo {world.local}" in found._repr_mimebundle_()["text/plain"]


def test_a_folder_that_was_never_synced(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.fill_both("a")
    before = snapshot(world.sandbox)
    found = nbsync.status(world.sandbox)
    assert snapshot(world.sandbox) == before
    assert (found.ok, found.exit_code, found.syncs, found.changes, found.remote) == (True, 0, [], None, "")
    assert found.notes == ["synced folders near it: local"]
    assert main.main(["status", str(world.sandbox)]) == 0
    assert "never synced" in capsys.readouterr().out
    below = world.local / "below"
    below.mkdir()
    assert nbsync.status(below).notes == ["synced folders near it: .."]


def test_no_such_folder(world: World, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="no such directory"):
        nbsync.status(tmp_path / "nowhere")
    with pytest.raises(LocalError, match="is not a directory"):
        nbsync.status(world.sandbox / "beside")
    with pytest.raises(UsageError, match="LOCAL is on this machine"):
        nbsync.status("s3://b/p")
    assert main.main(["status", str(tmp_path / "nowhere")]) == 2


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500, b"SQLite format 3\0" + b"\0" * 4000])
def test_a_damaged_record(world: World, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    world.fill_both("a")
    (world.local / ".nbsync" / "state.sqlite3").write_bytes(content)
    before = snapshot(world.sandbox)
    found = nbsync.status(world.local)
    assert snapshot(world.sandbox) == before
    assert (found.ok, found.exit_code, found.changes, found.remote) == (False, 1, None, world.remote)
    assert found.problems[0].kind == "no-record"
    assert found.repeats == ["pull"]
    with pytest.raises(SyncProblems, match="protection: no record"):
        found.raise_for_problems()
    assert main.main(["status", str(world.local)]) == 1
    assert "what was recorded cannot be used" in capsys.readouterr().out
    assert nbsync.pull(world.remote, world.local).ok
    assert nbsync.status(world.local).ok


def test_a_record_with_rows_from_anywhere(world: World) -> None:
    world.fill_both("a")
    with sqlite3.connect(world.local / ".nbsync" / "state.sqlite3") as db:
        for values in (("../x", 1, "md5:1"), (b"\xff", 1, "md5:1"), ("c", "long", "md5:1"), ("a0", 1, "etag:x")):
            row = (1, values[0], "", "", values[1], 0, 0, 0, values[2])
            db.execute("INSERT INTO synced VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, x'')", row)
    world.write("a0", b"1")
    found = nbsync.status(world.local)
    assert {one.path: one.change.value for one in found} == {"../x": "deleted", "a0": "maybe"}


def test_a_link_to_a_record_is_a_problem(world: World, tmp_path: Path) -> None:
    world.fill_both("a")
    state = world.local / ".nbsync" / "state.sqlite3"
    shutil.move(state, tmp_path / "moved")
    state.symlink_to(tmp_path / "moved")
    assert nbsync.status(world.local).exit_code == 1


def test_a_folder_that_may_only_be_read(read_only: World, tmp_path: Path) -> None:
    world = read_only
    world.write("f", b"1")
    nbsync.push(world.local, world.remote)
    world.write("f", b"22")
    before = snapshot(tmp_path)
    found = nbsync.status(world.local)
    assert snapshot(tmp_path) == before
    assert not (world.local / ".nbsync").exists()
    assert (found.remote, found.repeats, [one.change.value for one in found]) == (world.remote, ["push"], ["modified"])


def test_a_record_of_an_earlier_nbsync(world: World) -> None:
    world.fill_both("a")
    (world.local / ".nbsync" / "syncs.json").unlink()
    found = nbsync.status(world.local)
    assert [(one.remote, one.command, one.began, one.files) for one in found.syncs] == [(world.remote, "", "", 1)]
    assert found.repeats == []
    assert "by an earlier nbsync" in found._repr_mimebundle_()["text/html"]


def test_followed_links_are_not_called_deleted(world: World, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "f").write_bytes(b"1")
    world.write("own")
    (world.local / "link").symlink_to(tmp_path / "elsewhere")
    assert nbsync.push(world.local, world.remote, follow_symlinks=True).counts["miss"] == 2
    assert nbsync.status(world.local).changed == 0
