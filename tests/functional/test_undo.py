"""`undo` from every face: what the last sync replaced or deleted here comes back; scenario 17."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from IPython.utils.capture import capture_output

import nbsync
from nbsync.api import functions
from nbsync.cli import main
from nbsync.core.call import Call
from nbsync.core.model import Outcome
from nbsync.engine.sync import sync
from nbsync.engine.undo import undo
from nbsync.errors import LocalError, LockedError, UsageError
from nbsync.local.restore import Restorer
from nbsync.local.state_dir import StateDir
from nbsync.local.trash_contents import Item
from nbsync.notebook import magic
from tests.functional.world import World, snapshot, visible
from tests.shells import new_shell

Face = Callable[[Path], dict[str, Any]]
OLD_NS = 1_500_000_000_123_456_789


@pytest.fixture
def edited(world: World) -> World:
    """A pull replaced an edit, and deleted a file and a folder's last file."""
    world.fill_both("f", "kept", "d/gone", "gone")
    world.write("f", b"an hour of work", mtime_ns=OLD_NS).chmod(0o750)
    world.put("f", b"theirs")
    world.put("new", b"new")
    world.remove("d/gone", "gone")
    world.pull(delete=True)
    return world


def in_python(local: Path) -> dict[str, Any]:
    return nbsync.undo(local).to_dict()


def in_shell(local: Path) -> dict[str, Any]:
    with capture_output() as captured:
        assert main.main(["undo", str(local), "--json"]) == 0
    document: dict[str, Any] = json.loads(captured.stdout)
    return document


def in_notebook(local: Path) -> dict[str, Any]:
    with shell() as ip, capture_output():
        return ip.run_cell(f"%s3sync undo {local}").result.to_dict()  # type: ignore[no-any-return]


@contextmanager
def shell() -> Iterator[Any]:
    """IPython with the extension loaded."""
    with new_shell() as ip:
        magic.load_ipython_extension(ip)
        yield ip
        magic.unload_ipython_extension(ip)


@pytest.mark.parametrize("undo", [in_python, in_shell, in_notebook])
def test_every_face(edited: World, undo: Face) -> None:
    after = edited.files()
    document = undo(edited.local)

    assert edited.files() == {**after, "f": b"an hour of work", "gone": b"gone", "d/gone": b"d/gone"}
    at = (edited.local / "f").stat()
    assert (at.st_mode & 0o7777, at.st_mtime_ns) == (0o750, OLD_NS)
    assert (document["command"], document["remote"], document["local"], document["ok"]) == (
        "undo", "", str(edited.local), True)  # fmt: skip
    assert document["requests"] == {"list": 0, "head": 0, "get": 0, "put": 0, "delete": 0, "other": 0}
    assert (document["counts"]["miss"], document["bytes"]) == (3, {"moved": 0, "saved": 0})
    row = next(row for row in document["files"] if row["path"] == "f")
    assert (row["action"], row["status"], row["evidence"], row["bytes"]) == ("none", "miss", "none", 15)
    assert row["reason"].startswith("put back from the trash (replaced by the run of 20")
    assert any("replaced or removed by this undo" in note for note in document["notes"])


def files(world: World) -> dict[str, object]:
    """Every file with its content, size, time and inode; not the folders, which are made anew."""
    return {path: (world.files()[path], at) for path, at in visible(world.local).items() if path in world.files()}


def test_undo_of_the_undo(edited: World) -> None:
    after = files(edited)
    nbsync.undo(edited.local)
    undone = files(edited)
    result = nbsync.undo(edited.local)
    assert files(edited) == after
    assert {row.path: row.status for row in result} == {"f": "miss", "gone": "deleted", "d/gone": "deleted"}
    nbsync.undo(edited.local)
    assert files(edited) == undone


def test_what_the_next_sync_makes_of_it(edited: World) -> None:
    """A pull sees an edit, and keeps it again; a push sees a change, and no conflict."""
    nbsync.undo(edited.local)
    plan = nbsync.plan("pull", edited.remote, edited.local)
    assert plan["f"].reason == "content differs; what is here goes to the trash"

    result = edited.push()
    assert {row.path: row.status for row in result if row.status != "hit"} == {
        "f": "miss", "gone": "miss", "d/gone": "miss"}  # fmt: skip
    assert edited.get("f") == b"an hour of work"


def test_a_pull_after_it_keeps_it_again(edited: World) -> None:
    nbsync.undo(edited.local)
    edited.pull()
    assert (edited.read("f"), [content for path, content in edited.trash() if path == "f"]) == (
        b"theirs", [b"an hour of work", b"theirs"])  # fmt: skip


def test_dry_run_shows_and_changes_nothing(edited: World) -> None:
    before = snapshot(edited.local)
    result = nbsync.undo(edited.local, dry_run=True)
    assert snapshot(edited.local) == before
    assert {row.path: (row.action, row.status) for row in result} == dict.fromkeys(
        ("f", "gone", "d/gone"), ("none", "planned"))  # fmt: skip
    real = nbsync.undo(edited.local)
    assert [(row.path, row.reason) for row in result] == [(row.path, row.reason) for row in real]
    assert "planned" in repr(result)


def test_a_second_undo_can_be_looked_at(edited: World) -> None:
    nbsync.undo(edited.local)
    actions = {row.path: row.action for row in nbsync.undo(edited.local, dry_run=True)}
    assert actions == {"f": "none", "gone": "delete-local", "d/gone": "delete-local"}


def test_nothing_to_undo(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In the current directory, in which nothing is made; and in a folder that was only pulled into."""
    world.local.mkdir()
    monkeypatch.chdir(world.local)
    assert main.main(["undo"]) == 0
    assert "nothing to undo" in capsys.readouterr().out
    assert os.listdir(world.local) == []
    world.put("f", b"1")
    world.pull()
    assert nbsync.undo().notes == ["nothing to undo: there is nothing in the trash of ."]
    assert world.files() == {"f": b"1"}


def test_no_such_directory(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="no such directory"):
        nbsync.undo(tmp_path / "nope")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalError, match="not a directory"):
        nbsync.undo(tmp_path / "file")
    with pytest.raises(UsageError, match="LOCAL is on this machine"):
        nbsync.undo("s3://bucket/prefix")
    assert main.main(["undo", str(tmp_path / "nope")]) == 2


def test_what_cannot_be_put_back_is_a_failed_row(edited: World) -> None:
    (edited.local / "gone").mkdir()
    (edited.local / "gone/.nbsync").mkdir()

    result = nbsync.undo(edited.local)

    assert (result.exit_code, result["gone"].status, result["f"].status) == (1, "failed", "miss")
    assert "it stays in the trash: " in (result["gone"].error or "")
    assert Path((result["gone"].error or "").rpartition(": ")[2]).read_bytes() == b"gone"

    (edited.local / "gone/.nbsync").rmdir()
    (edited.local / "gone").rmdir()
    again = result.retry()
    assert {row.path: row.status for row in again} == {"gone": "miss"}
    assert edited.read("gone") == b"gone"


def test_a_folder_that_a_file_replaced(world: World) -> None:
    world.fill_both("a/x", "a/y")
    world.remove("a/x", "a/y")
    world.put("a", b"a file now")
    world.pull(delete=True)

    nbsync.undo(world.local)
    assert world.files() == {"a/x": b"a/x", "a/y": b"a/y"}
    nbsync.undo(world.local)
    assert world.files() == {"a": b"a file now"}


def test_two_versions_of_one_run(edited: World) -> None:
    """The plan has one row a path, as the undo; the note says that there is an older one."""
    [run] = (edited.local / ".nbsync/trash").iterdir()
    layer = run.with_name(f"{run.name}.2")
    layer.mkdir()
    (layer / "f").write_bytes(b"saved during the run")
    assert sorted(row.path for row in nbsync.undo(edited.local, dry_run=True)) == ["d/gone", "f", "gone"]

    result = nbsync.undo(edited.local)

    assert edited.read("f") == b"saved during the run"
    assert "1 file stays in the trash: what stood in the place later is back there" in result.notes
    assert (run / "f").read_bytes() == b"an hour of work"


def test_local_that_is_a_link(edited: World) -> None:
    link = edited.sandbox / "link"
    link.symlink_to(edited.local)
    assert nbsync.undo(link).counts["miss"] == 3
    assert edited.read("f") == b"an hour of work"


def test_a_room_that_is_a_link_is_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    world.local.mkdir()
    (world.local / ".nbsync").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LocalError, match="is a symbolic link"):
        nbsync.undo(world.local)
    assert os.listdir(tmp_path / "elsewhere") == []


def test_stopped_on_the_way(edited: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is back is back, the rest is in the trash, and `retry` does it."""
    run = undo(Call(command="undo", remote="", local=str(edited.local)), threading.Event())
    real = Restorer.do

    def do(self: Restorer, item: Item) -> Outcome | None:
        run.stop()
        return real(self, item)

    with monkeypatch.context() as patch:
        patch.setattr(Restorer, "do", do)
        result = run.execute()
    assert (result.exit_code, result.counts["miss"], result.counts["cancelled"]) == (130, 1, 2)
    result.perform = functions.run
    assert result.retry().counts["miss"] == 2
    assert (edited.read("f"), edited.read("gone"), edited.read("d/gone")) == (b"an hour of work", b"gone", b"d/gone")


def test_the_next_undo_goes_on_with_one_that_was_stopped(edited: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the one after it undoes all of it."""
    pulled = edited.files()
    run = undo(Call(command="undo", remote="", local=str(edited.local)), threading.Event())
    real = Restorer.do

    def do(self: Restorer, item: Item) -> Outcome | None:
        run.stop()
        return real(self, item)

    with monkeypatch.context() as patch:
        patch.setattr(Restorer, "do", do)
        assert run.execute().counts["miss"] == 1
    assert nbsync.undo(edited.local, dry_run=True).counts["planned"] == 2
    assert nbsync.undo(edited.local).counts["miss"] == 2
    assert (edited.read("f"), edited.read("gone"), edited.read("d/gone")) == (b"an hour of work", b"gone", b"d/gone")
    assert nbsync.undo(edited.local).ok
    assert edited.files() == pulled


def test_a_file_that_could_not_be_put_back_is_tried_again(edited: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("nbsync.local.rename.exchange", refuse)
        failed = nbsync.undo(edited.local)
    assert (failed["f"].status, failed.counts["failed"], failed.counts["miss"]) == ("failed", 1, 2)
    again = nbsync.undo(edited.local)
    assert (again["f"].status, edited.read("f")) == ("miss", b"an hour of work")
    assert (edited.read("gone"), edited.read("d/gone")) == (b"gone", b"d/gone")


def test_a_sync_that_trashes_something_ends_an_undo_that_was_stopped(
    edited: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = undo(Call(command="undo", remote="", local=str(edited.local)), threading.Event())
    with monkeypatch.context() as patch:
        patch.setattr(Restorer, "do", lambda *_: run.stop())
        run.execute()
    edited.write("kept", b"a later edit")
    edited.run("pull")
    assert {row.path for row in nbsync.undo(edited.local)} == {"kept"}
    assert edited.read("kept") == b"a later edit"


def test_it_takes_the_lock(edited: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbsync.local.state_dir.LOCK_WAIT_SECONDS", 0.0)
    other = StateDir(str(edited.local), str(edited.local / ".nbsync"), "run", wait=lambda _: True)
    before = edited.files()
    with pytest.raises(LockedError):
        nbsync.undo(edited.local)
    other.close()
    assert edited.files() == before


def test_no_s3_library_and_no_request(edited: World) -> None:
    """Nor any setting of AWS: it works without a network."""
    code = f"""if True:
        import sys, nbsync
        result = nbsync.undo({str(edited.local)!r})
        print(result.counts["miss"], {{"boto3", "botocore", "awscrt", "IPython"}} & set(sys.modules))"""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env, cwd=root)
    assert (done.stdout, done.stderr) == ("3 set()\n", "")


@pytest.fixture
def _days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NBSYNC_TRASH_DAYS", "0.5")


@pytest.mark.usefixtures("_days")
def test_how_long_the_trash_is_kept(edited: World, monkeypatch: pytest.MonkeyPatch) -> None:
    [run] = (edited.local / ".nbsync/trash").iterdir()
    then = run.stat().st_mtime - 13 * 3600
    os.utime(run, (then, then))
    edited.write("f", b"another")
    notes = edited.run("pull").notes
    assert any("kept for 0.5 days" in note for note in notes)
    assert "removed from the trash after 0.5 days: 3 local files (25 bytes)" in notes
    assert edited.trash() == [("f", b"another")]
    monkeypatch.setenv("NBSYNC_TRASH_DAYS", "a week")
    assert "NBSYNC_TRASH_DAYS is a number of days" in str(edited.run("pull").error)


def test_a_clock_that_is_far_ahead_does_not_empty_the_trash(edited: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = edited.trash()
    assert sync.__kwdefaults__ is not None
    monkeypatch.setitem(sync.__kwdefaults__, "now_ns", lambda: time.time_ns() + 30 * 86_400 * 10**9)
    edited.write("f", b"another")
    notes = edited.run("pull").notes
    assert sorted([*kept, ("f", b"another")]) == edited.trash()
    assert not any("removed" in note for note in notes)


def test_the_size_of_all_trash_is_shown(edited: World) -> None:
    edited.write("f", b"more")
    [note] = [note for note in edited.run("pull").notes if "trash" in note]
    assert note.startswith("1 local file (4 bytes), replaced by this run, kept for 7 days")
    assert note.endswith("; in the trash by now: 4 local files (29 bytes)")


def test_how_long_the_trash_is_kept_can_be_said(edited: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an option, which goes before the environment; in a notebook also by its configuration."""
    monkeypatch.setenv("NBSYNC_TRASH_DAYS", "0.1")
    [run] = (edited.local / ".nbsync/trash").iterdir()
    then = run.stat().st_mtime - 10 * 86_400
    os.utime(run, (then, then))
    edited.write("f", b"another")
    with shell() as ip, capture_output():
        ip.run_line_magic("config", "S3Sync.trash = 30")
        result = ip.run_line_magic("s3sync", f"pull {edited.remote} {edited.local}")
        assert any("kept for 30 days" in note for note in result.notes)
        assert len(edited.trash()) == 4
        edited.write("f", b"yet another")
        result = ip.run_line_magic("s3sync", f"pull {edited.remote} {edited.local} --trash-days 9.5")
    assert any("kept for 9.5 days" in note for note in result.notes)
    assert sorted(edited.trash()) == [("f", b"another"), ("f", b"yet another")]


def test_the_next_step_puts_it_back(edited: World) -> None:
    edited.write("f", b"mine")
    with shell() as ip, capture_output() as said:
        result = ip.run_line_magic("s3sync", f"pull {edited.remote} {edited.local}")
        (command,) = re.findall(r"next, to put back [^:]*: %s3sync (.*)", said.stdout)
        ip.run_line_magic("s3sync", command)
    assert result.trashed == 1
    assert edited.read("f") == b"mine"
