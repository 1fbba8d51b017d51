"""What came with a folder is not believed: its `.nbsync` says what was synced, and nothing is repeated of it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.cli import main
from nbsync.core.model import Kind, LocalEntry, RemoteEntry
from nbsync.errors import GuardRefusal, NbsyncError
from nbsync.local.journal import Journal, Sent
from nbsync.local.record import RemoteName
from nbsync.notebook import magic
from tests.functional.trap import Trap
from tests.functional.world import World
from tests.old_layout import make_old
from tests.shells import new_shell

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"


@pytest.fixture
def pushed(world: World, trap: Trap, monkeypatch: pytest.MonkeyPatch) -> World:
    """A World whose LOCAL is the current directory and says that it was pushed to, and pulled from, a stranger's."""
    world.write("a", b"mine")
    nbsync.push(world.local, world.remote)
    nbsync.pull(world.remote, world.local)
    book = world.local / ".nbsync" / "syncs.json"
    written = json.loads(book.read_text())
    for sync in written["syncs"]:
        sync.update(endpoint=f"http://{trap.address}")
        sync["options"].update(endpoint_url=f"http://{trap.address}", no_sign_request=True)
    written["file"] = book.stat().st_ino  # what proved a book of before
    book.write_text(json.dumps(written))
    assert book.stat().st_ino == written["file"]
    monkeypatch.chdir(world.local)
    return world


def unrepeated(*words: str, **options: Any) -> None:
    """Neither a pull nor a push is repeated; the refusal offers nobody's address."""
    for verb, form in ((nbsync.push, "push LOCAL REMOTE"), (nbsync.pull, "pull REMOTE [LOCAL]")):
        with pytest.raises(GuardRefusal, match="was not done by you in this directory") as error:
            verb(**options)
        assert error.value.exit_code == 3
        assert str(error.value).endswith(f"Write where it is to go yourself: {form}")
        assert "http" not in str(error.value)
        assert "s3://" not in str(error.value)


def test_a_strangers_book_is_not_repeated(pushed: World, trap: Trap, capsys: pytest.CaptureFixture[str]) -> None:
    pushed.write("b", b"mine too")
    unrepeated()
    unrepeated(dry_run=True)
    unrepeated(background=True)
    with new_shell() as shell:
        magic.load_ipython_extension(shell)
        for line in ("push", "pull", "push --background"):
            with pytest.raises(GuardRefusal):
                shell.run_line_magic("s3sync", line)
    capsys.readouterr()
    for words in (["push"], ["pull", "--json"], ["push", "--delete"]):
        assert main.main(words) == 3
        assert capsys.readouterr().err.count("\n") == 1
    Path("run").write_text("push\n")
    with pytest.raises(GuardRefusal):
        nbsync.run("run")
    assert not trap.met
    assert pushed.keys() == ["a"]


def test_status_shows_what_is_unproved_and_follows_nothing(pushed: World, trap: Trap, tmp_path: Path) -> None:
    (tmp_path / "private").write_bytes(b"x")
    (pushed.local / "link").symlink_to(tmp_path / "private")
    book = pushed.local / ".nbsync" / "syncs.json"
    written = json.loads(book.read_text())
    for sync in written["syncs"]:
        sync["options"]["follow_symlinks"] = sync["direction"] == "push"
    book.write_text(json.dumps({**written, "syncs": [one for one in written["syncs"] if one["direction"] == "push"]}))
    found = nbsync.status()
    assert [(one.remote, one.endpoint, one.proved) for one in found.syncs][:1] == [
        (pushed.remote, f"http://{trap.address}", False)]  # fmt: skip
    assert (found.repeats, "link" in {one.path for one in found.files}) == ([], False)
    assert "unproved: not by you in this directory" in repr(found._repr_mimebundle_())
    assert found.notes == ["not all of this was done by you in this directory: what is unproved is not repeated"]
    assert not trap.met
    nbsync.push(".", pushed.remote)
    assert {one.proved for one in nbsync.status().syncs} == {True}, "what was unproved is forgotten"


@pytest.mark.parametrize("how", ["copied", "moved", "only .nbsync", "another user's", "no secret"])
def test_another_directory_is_not_repeated(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: Callable[[], Any], how: str
) -> None:
    world.write("a", b"mine")
    nbsync.push(world.local, world.remote)
    nbsync.pull(world.remote, world.local)
    target = tmp_path / "other"
    if how == "copied":
        shutil.copytree(world.local, target)
    elif how == "moved":
        world.local.rename(target)
    elif how == "only .nbsync":
        shutil.copytree(world.local / ".nbsync", target / ".nbsync")
    else:
        target = world.local
    monkeypatch.chdir(target)
    if how == "another user's":
        with elsewhere():
            unrepeated()
    elif how == "no secret":
        (tmp_path / "file").write_bytes(b"")
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
        unrepeated()
    else:
        unrepeated()
        if how == "moved":
            target.rename(world.local)
            assert nbsync.push(world.local).ok
    assert world.keys() == ["a"]


def test_the_same_directory_by_another_name(world: World, tmp_path: Path) -> None:
    world.write("a", b"mine")
    nbsync.push(world.local, world.remote)
    (tmp_path / "link").symlink_to(world.local)
    assert nbsync.push(tmp_path / "link").counts["hit"] == 1


def test_a_folder_without_a_secret_is_synced_and_says_what_does_not_work(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / f"nbsync-{os.geteuid()}").write_bytes(b"somebody else's")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    world.write("a", b"mine")
    result = nbsync.push(world.local, world.remote)
    assert result.ok
    told = [note for note in result.notes if "not yours alone" in note]
    assert len(told) == 1
    assert told[0].startswith("this sync cannot be repeated without words, nor unfinished transfers be taken up: ")
    assert not any("secret" in note for note in nbsync.push(world.local, world.remote, dry_run=True).notes)


OWN = ("lock", "state.sqlite3", "state.sqlite3-wal", "state.sqlite3-shm", "state.sqlite3-journal",
       "unfinished.sqlite3", "unfinished.sqlite3-wal", "unfinished.sqlite3-journal", "syncs.json", "undoing", "mounts",
       ".gitignore", "syncs.json.new", "state.sqlite3.new", "stage/clock", "stage/1-2-0123456789abcdef")  # fmt: skip


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("content", [b"", b"gold" * 2000])
def test_no_file_outside_is_written_through_a_hard_link(
    world: World, tmp_path: Path, name: str, content: bytes
) -> None:
    world.put("a", b"1")
    treasure = tmp_path / "treasure"
    treasure.write_bytes(content)
    link = world.local / ".nbsync" / name
    (world.local / ".nbsync" / "stage").mkdir(parents=True)
    link.hardlink_to(treasure)
    told = []
    for verb, words in (
        (nbsync.pull, (world.remote, world.local)), (nbsync.push, (world.local, world.remote)),
        (nbsync.status, (world.local,)), (nbsync.undo, (world.local,)), (nbsync.verify, (world.local, world.remote)),
    ):  # fmt: skip
        try:
            verb(*words)
        except NbsyncError as error:
            told.append(str(error))
    assert all(f"{link} has another name somewhere else (a hard link)" in one for one in told)
    assert treasure.read_bytes() == content


@pytest.mark.parametrize(
    "program",
    [
        f"ALTER TABLE synced RENAME TO s; CREATE VIEW synced AS SELECT s.* FROM s, ({ENDLESS})",
        f"CREATE TRIGGER t AFTER INSERT ON remotes BEGIN DELETE FROM synced WHERE size IN ({ENDLESS}); END",
        f"CREATE TRIGGER t AFTER INSERT ON synced BEGIN DELETE FROM synced WHERE size IN ({ENDLESS}); END",
    ],
)
def test_a_program_in_the_record_is_not_run(world: World, program: str) -> None:
    world.fill_both("a")
    with sqlite3.connect(world.local / ".nbsync" / "state.sqlite3") as db:
        db.executescript(program)
    assert nbsync.status(world.local).exit_code == 1
    for dry_run in (True, False):
        result = nbsync.pull(world.remote, world.local, dry_run=dry_run)
        assert (result["a"].status, result.exit_code) == ("hit", 0)
        assert any(note.startswith("protection: no record") for note in result.notes)


@pytest.mark.parametrize("content", [b"\xff", 5, "etag:x", "x", "etag::0", f"etag:{'1' * 32}-2:1"])
def test_a_content_that_no_nbsync_names_so(world: World, content: object) -> None:
    world.fill_both("a")
    with sqlite3.connect(world.local / ".nbsync" / "state.sqlite3") as db:
        db.execute("UPDATE synced SET content = ?", (content,))
    world.write("a", b"b")  # of the same size: it is read
    assert nbsync.verify(world.local, world.remote)["a"].status == "miss"
    assert nbsync.status(world.local).exit_code == 0
    assert world.run("pull")["a"].status == "miss"
    assert world.trash() == [("a", b"b")]


def forged(world: World, path: str, content: bytes, **more: object) -> None:
    """Let the record say that this object, as it is, and this content here were the same: of no stat, or of the file's.

    Nobody who hands out a folder knows the stats that its files will have; its bytes are known.
    """
    row = {
        "etag": world.head(path)["ETag"].strip(chr(34)),
        "size": len(content),
        "ctime_ns": -1,
        "content": f"md5:{md5(content).hexdigest()}",
    }
    with sqlite3.connect(world.local / ".nbsync" / "state.sqlite3") as db:
        for column, value in (row | more).items():
            db.execute(f"UPDATE synced SET {column} = ? WHERE path = ?", (value, path))


def test_a_strangers_row_makes_no_file_up_to_date(world: World) -> None:
    world.fill_both("a")
    world.put("a", b"theirs")
    world.write("a", b"plants")
    forged(world, "a", b"plants")
    assert nbsync.push(world.local, world.remote, dry_run=True)["a"].status == "planned"
    assert world.run("pull")["a"].status == "miss"
    assert world.read("a") == b"theirs"
    assert world.trash() == [("a", b"plants")]


def test_a_strangers_row_lets_no_file_be_replaced_without_a_copy(world: World) -> None:
    """The stat is right: what is here was an edit, and the row calls it synced."""
    world.fill_both("a")
    world.write("a", b"hours of work")
    at = (world.local / "a").stat()
    forged(world, "a", b"hours of work", mtime_ns=at.st_mtime_ns, ctime_ns=at.st_ctime_ns, inode=at.st_ino)
    world.put("a", b"moved on")
    assert world.run("pull")["a"].status == "miss"
    assert world.trash() == [("a", b"hours of work")]


def test_an_unproved_row_still_protects_what_moved_in_remote(world: World, tmp_path: Path) -> None:
    """Of a folder that was copied: a colleague's edit is not overwritten for want of a proof."""
    world.fill_both("a", "b")
    shutil.copytree(world.local, tmp_path / "copy")
    world.put("a", b"a colleague's")
    (tmp_path / "copy" / "a").write_bytes(b"mine")
    (tmp_path / "copy" / "b").write_bytes(b"mine")
    result = nbsync.push(tmp_path / "copy", world.remote)
    assert {row.path: row.status for row in result} == {"a": "conflict", "b": "miss"}
    again = nbsync.push(tmp_path / "copy", world.remote)
    assert (again["b"].status, again["b"].evidence) == ("hit", "state"), "what was compared is proved from now on"


def test_the_record_of_an_earlier_nbsync_is_taken_over(world: World) -> None:
    """What is as recorded is a hit, and what moved in REMOTE is protected; an edit is never taken for none."""
    world.fill_both("same", "moved", "edited")
    make_old(world.local / ".nbsync")
    world.put("moved", b"a colleague's")
    world.write("moved", b"mine")
    world.write("edited", b"mine")
    result = nbsync.push(world.local, world.remote)
    assert {row.path: (row.status, row.evidence) for row in result if row.path != "edited"} == {
        "same": ("hit", "state"), "moved": ("conflict", "size")}  # fmt: skip
    assert result["edited"].status == "miss"
    assert not any("no record" in note for note in result.notes)
    assert nbsync.push(world.local, world.remote)["edited"].evidence == "state"


def test_what_an_earlier_nbsync_recorded_is_kept_when_it_is_replaced(world: World) -> None:
    world.fill_both("a")
    make_old(world.local / ".nbsync")
    world.put("a", b"moved on")
    assert nbsync.pull(world.remote, world.local)["a"].status == "miss"
    assert world.trash() == [("a", b"a")]


def test_a_strangers_journal_aborts_nothing(world: World, elsewhere: Callable[[], Any]) -> None:
    """It names an upload of somebody else's; nor are its bytes taken for an object's."""
    world.fill_both("a")
    s3, key = world.server.s3, world.prefix + "theirs"
    upload = s3.create_multipart_upload(Bucket=world.bucket, Key=key)["UploadId"]
    state_dir, name = world.local / ".nbsync", RemoteName(world.server.endpoint_url, world.bucket, world.prefix)
    with elsewhere():
        journal = Journal(str(state_dir), name)
        entry = LocalEntry("theirs", Kind.FILE, 1, 2, 3, 4)
        journal.began(journal.intend_upload(entry, key, "", 5), upload)
        journal.begin_download(RemoteEntry("a", "", 1, "e", 0), "1-2-0123456789abcdef", 1)
        journal.unconfirmed_answer([Sent("b", "e" * 32, 1)])
        journal.close()
    (state_dir / "stage").mkdir(exist_ok=True)
    (state_dir / "stage" / "1-2-0123456789abcdef").write_bytes(b"x")
    assert nbsync.status(world.local).unfinished == {"downloads": 0, "uploads": 0}
    world.write("b", b"new")
    assert nbsync.push(world.local, world.remote).ok
    assert [one["UploadId"] for one in s3.list_multipart_uploads(Bucket=world.bucket)["Uploads"]] == [upload]
    assert list((state_dir / "stage").iterdir()) == []
