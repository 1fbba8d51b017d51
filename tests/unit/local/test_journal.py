"""The journal of unfinished transfers: what the next run finds in it, and that nothing wrong with it ends a run."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from nbsync.core.model import Kind, LocalEntry, RemoteEntry
from nbsync.local import journal as module
from nbsync.local.journal import KEPT_DAYS, Journal, Sent, Upload, no_journal, staged_names, unconfirmed
from nbsync.local.record import RemoteName
from nbsync.local.state_dir import StateDir

HERE, THERE = RemoteName("http://h", "b", "p/"), RemoteName("http://h", "b", "q/")
OBJECT = RemoteEntry("a/b", "p/a/b", 100, "e" * 32, 0)
FILE = LocalEntry("a/b", Kind.FILE, 100, 1, 2, 2**64 - 1)
NAME = "12-0-0123456789abcdef"
DAY_NS = 86_400 * 10**9


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A room."""
    (tmp_path / "stage").mkdir()
    return tmp_path


def opened(place: Path, remote: RemoteName = HERE, now_ns: int = DAY_NS) -> Journal:
    return Journal(str(place), remote, now_ns=lambda: now_ns)


def partial(place: Path, remote: RemoteName = HERE, *, name: str = NAME, size: int = 100, now_ns: int = DAY_NS) -> None:
    """What a killed run leaves: ranges 1 and 3 of an object, and a part of the second, in a file of its size."""
    (place / "stage" / name).write_bytes(bytes(size))
    journal = opened(place, remote, now_ns)
    download = journal.begin_download(OBJECT, name, 10)
    for came in ({1: 10, 2: 2}, {3: 10, 2: 7}, {3: 4}):
        journal.arrived(download, came)
    journal.close()


def sent(place: Path, remote: RemoteName = HERE, *, now_ns: int = DAY_NS) -> None:
    """What a killed run leaves of an upload: its id, and part 2."""
    journal = opened(place, remote, now_ns)
    upload = journal.began(journal.intend_upload(FILE, "p/a/b", "headers", 10), "id")
    journal.sent(upload, 2, "etag", b"md5")
    journal.close()


def test_nothing_is_made_where_nothing_is_begun(place: Path) -> None:
    journal = opened(place)
    assert journal.take_up(OBJECT) is None
    assert journal.unfinished_upload(FILE, "p/a/b", "headers", 10) is None
    assert (journal.leftovers(), journal.known_ids(), journal.held_bytes()) == ([], set(), 0)
    journal.drop_downloads()
    journal.close()
    assert os.listdir(place) == ["stage"]


def test_a_journal_without_a_place_keeps_nothing() -> None:
    journal = no_journal()
    download = journal.begin_download(OBJECT, NAME, 10)
    journal.arrived(download, {1: 10})
    upload = journal.began(journal.intend_upload(FILE, "k", "h", 10), "id")
    assert (download.id, upload.id, upload.upload_id, journal.keeps(upload)) == (0, 0, "id", False)
    journal.close()


def test_what_ended_leaves_no_file(place: Path) -> None:
    journal = opened(place)
    journal.end_download(journal.begin_download(OBJECT, NAME, 10))
    journal.end_upload(journal.intend_upload(FILE, "k", "h", 10))
    assert (place / "unfinished.sqlite3").exists()
    journal.close()
    assert os.listdir(place) == ["stage"]


# ---- downloads --------------------------------------------------------------------------------------


def test_a_partial_download_is_taken_up_once(place: Path) -> None:
    partial(place)
    journal = opened(place)
    found = journal.take_up(OBJECT)
    assert found is not None
    assert (found.staged, found.range_bytes, found.came) == (NAME, 10, {1: 10, 2: 7, 3: 10})
    assert journal.take_up(OBJECT) is None
    journal.drop_downloads()
    assert os.listdir(place / "stage") == [NAME], "what was taken up is in use"
    journal.restart(found)
    journal.close()
    again = opened(place).take_up(OBJECT)
    assert again is not None
    assert again.came == {}


@pytest.mark.parametrize(
    "other",
    [
        OBJECT._replace(etag="f" * 32),
        OBJECT._replace(version_id="v2"),
        OBJECT._replace(size=99),
        OBJECT._replace(path="a/c"),
        OBJECT._replace(etag=""),
    ],
)
def test_another_object_is_not_taken_up(place: Path, other: RemoteEntry) -> None:
    partial(place)
    journal = opened(place)
    assert journal.take_up(other) is None
    assert opened(place, THERE).take_up(OBJECT) is None
    journal.drop_downloads()
    assert os.listdir(place / "stage") == []
    journal.close()


def test_a_file_that_is_not_as_it_was_left_is_not_taken_up(place: Path, tmp_path: Path) -> None:
    file = place / "stage" / NAME
    partial(place, size=50)
    assert opened(place).take_up(OBJECT) is None
    file.write_bytes(bytes(100))
    os.link(file, tmp_path / "twin")
    assert opened(place).take_up(OBJECT) is None
    file.unlink()
    assert opened(place).take_up(OBJECT) is None
    file.symlink_to(tmp_path / "twin")
    assert opened(place).take_up(OBJECT) is None


@pytest.mark.parametrize("name", ["../precious", "precious", "/etc/passwd", "..", "12-0-0123456789abcdef\n"])
def test_a_name_that_is_not_ours_is_never_touched(place: Path, name: str) -> None:
    """LOCAL may have been unpacked from anywhere, its room too."""
    (place / "precious").write_bytes(bytes(100))
    (place / "stage/precious").write_bytes(bytes(100))
    journal = opened(place)
    journal.begin_download(OBJECT, name, 10)
    journal.close()
    journal = opened(place)
    assert staged_names(str(place)) == frozenset()
    assert journal.take_up(OBJECT) is None
    assert journal.held_bytes() == 0
    journal.drop_downloads()
    journal.close()
    assert (place / "precious").exists()
    assert (place / "stage/precious").exists()


def test_others_stay_for_a_week(place: Path) -> None:
    partial(place)
    sent(place)
    for days, left in ((KEPT_DAYS, 1), (KEPT_DAYS + 1, 0)):
        journal = opened(place, THERE, DAY_NS * (days + 1))
        journal.drop_downloads()
        assert (len(os.listdir(place / "stage")), len(journal.leftovers())) == (left, 1 - left)
        journal.close()


def test_the_room_keeps_what_the_journal_knows(tmp_path: Path) -> None:
    def state_dir() -> StateDir:
        return StateDir(str(tmp_path), str(tmp_path / ".nbsync"), "run", wait=lambda _: True)

    state_dir().close()
    partial(tmp_path / ".nbsync")
    (tmp_path / ".nbsync/stage/12-1").write_bytes(b"half")
    state_dir().close()
    assert os.listdir(tmp_path / ".nbsync/stage") == [NAME]
    assert opened(tmp_path / ".nbsync").held_bytes() > 0


# ---- uploads ----------------------------------------------------------------------------------------


def test_an_upload_is_taken_up_by_the_same_file(place: Path) -> None:
    sent(place)
    journal = opened(place)
    found = journal.unfinished_upload(FILE, "p/a/b", "headers", 10)
    assert found == Upload(1, "http://h", "b", "p/a/b", "id", DAY_NS, DAY_NS, {2: ("etag", b"md5")})
    assert journal.keeps(found)
    assert journal.leftovers() == []
    journal.release(found)
    assert journal.leftovers() == [found]
    journal.end_upload(found)
    assert journal.leftovers() == []
    journal.close()


@pytest.mark.parametrize("field", ["size", "mtime_ns", "ctime_ns", "inode"])
def test_another_file_does_not_take_it_up(place: Path, field: str) -> None:
    sent(place)
    journal = opened(place)
    assert journal.unfinished_upload(FILE._replace(**{field: 7}), "p/a/b", "headers", 10) is None
    assert [upload.upload_id for upload in journal.leftovers()] == ["id"]
    journal.close()


def test_another_key_headers_or_parts_do_not_take_it_up(place: Path) -> None:
    sent(place)
    journal = opened(place)
    for what in (("p/a/c", "headers", 10), ("p/a/b", "others", 10), ("p/a/b", "headers", 11)):
        assert journal.unfinished_upload(FILE, *what) is None
    journal.close()


def test_an_intention_is_left_where_its_answer_never_came(place: Path) -> None:
    now = [DAY_NS]
    journal = Journal(str(place), HERE, now_ns=lambda: now[0])
    upload = journal.intend_upload(FILE, "p/k", "h", 10)
    now[0] += 5
    journal.asked_again(upload)
    journal.began(upload, "id")
    (twin,) = journal.leftovers()
    assert (twin.key, twin.upload_id, twin.begun_ns, twin.asked_ns) == ("p/k", "", DAY_NS, DAY_NS + 5)
    journal.end_upload(upload)
    journal.close()
    assert [one.upload_id for one in opened(place).leftovers()] == [""]


# ---- what somebody else wrote ------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "p/", "q/theirs"])
def test_an_upload_outside_its_remote_is_forgotten(place: Path, key: str) -> None:
    journal = Journal(str(place), HERE)
    journal.began(journal.intend_upload(FILE, key, "h", 10), "id")
    journal.close()
    assert opened(place).leftovers() == []


@pytest.mark.parametrize("column", ["staged", "range_bytes", "begun_ns"])
def test_a_row_of_odd_types_is_forgotten(place: Path, column: str) -> None:
    journal = Journal(str(place), HERE)
    journal.begin_download(OBJECT, NAME, 10)
    journal.close()
    with contextlib.closing(sqlite3.connect(place / "unfinished.sqlite3")) as db, db:
        db.execute(f"UPDATE downloads SET {column} = x'00ff'")
    assert staged_names(str(place)) == frozenset()
    assert opened(place).take_up(OBJECT) is None


def test_a_copy_says_nothing_of_its_own(place: Path) -> None:
    journal = Journal(str(place), HERE)
    journal.began(journal.intend_upload(FILE, "p/a", "h", 10), "id")
    journal.close()
    copy = place.parent / "copy"
    shutil.copytree(place, copy)
    assert opened(copy).leftovers() == []
    assert [one.upload_id for one in opened(place).leftovers()] == ["id"]


# ---- small uploads that nobody heard of -----------------------------------------------------------------


UNHEARD = Sent("a/b", "0" * 32, 3)


def test_what_was_not_heard_is_known_until_it_was_looked_at(place: Path) -> None:
    opened(place, THERE).unconfirmed_answer([UNHEARD])
    opened(place, now_ns=2 * DAY_NS).unconfirmed_answer([UNHEARD, UNHEARD._replace(md5="1" * 32)])
    assert [one.etag for one in unconfirmed(str(place), HERE, now_ns=2 * DAY_NS)["a/b"]] == ["0" * 32, "1" * 32]
    assert unconfirmed(str(place), HERE, now_ns=(KEPT_DAYS + 2) * DAY_NS + 1) == {}
    journal = opened(place)
    journal.forget_unconfirmed()
    journal.close()
    assert unconfirmed(str(place), HERE, now_ns=2 * DAY_NS) == {}
    assert list(unconfirmed(str(place), THERE, now_ns=2 * DAY_NS)) == ["a/b"]
    journal = opened(place, now_ns=(KEPT_DAYS + 2) * DAY_NS)
    journal.forget_unconfirmed()
    journal.close()
    assert os.listdir(place) == ["stage"]


def test_a_copy_or_a_damaged_file_says_nothing_of_what_was_not_heard(place: Path) -> None:
    assert unconfirmed(str(place), HERE, now_ns=2 * DAY_NS) == {}
    journal = opened(place)
    journal.unconfirmed_answer([UNHEARD])
    journal.close()
    copy = place.parent / "a copy?"
    shutil.copytree(place, copy)
    assert unconfirmed(str(copy), HERE, now_ns=2 * DAY_NS) == {}
    (copy / "unfinished.sqlite3").write_bytes(b"no database" * 100)
    assert unconfirmed(str(copy), HERE, now_ns=2 * DAY_NS) == {}
    assert list(unconfirmed(str(place), HERE, now_ns=2 * DAY_NS)) == ["a/b"]


# ---- faults -----------------------------------------------------------------------------------------


def test_a_damaged_journal_is_begun_anew(place: Path) -> None:
    (place / "unfinished.sqlite3").write_bytes(b"no database" * 100)
    assert staged_names(str(place)) == frozenset()
    partial(place)
    assert staged_names(str(place)) == {NAME}


def test_another_programs_tables_are_begun_anew(place: Path) -> None:
    with sqlite3.connect(place / "unfinished.sqlite3") as db:
        db.execute("CREATE TABLE uploads (something)")
    db.close()
    sent(place)
    assert len(opened(place).leftovers()) == 1


def test_a_journal_is_not_reached_through_a_link(place: Path, tmp_path: Path) -> None:
    (place / "unfinished.sqlite3").symlink_to(tmp_path / "elsewhere")
    journal = opened(place)
    assert journal.begin_download(OBJECT, NAME, 10).id == 0
    assert staged_names(str(place)) == frozenset()
    journal.close()
    assert not (tmp_path / "elsewhere").exists()


def test_a_journal_that_cannot_be_written_is_none(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    journal = opened(place)
    upload = journal.began(journal.intend_upload(FILE, "k", "h", 10), "id")
    monkeypatch.setattr(module, "_insert", full)
    download = journal.begin_download(OBJECT, NAME, 10)
    journal.arrived(download, {1: 10})
    assert (download.id, journal.keeps(upload), journal.leftovers()) == (0, False, [])
    journal.close()


@pytest.mark.parametrize("range_bytes", [0, -1, 101])
def test_ranges_that_cannot_be_are_not_taken_up(place: Path, range_bytes: int) -> None:
    (place / "stage" / NAME).write_bytes(bytes(100))
    journal = opened(place)
    journal.begin_download(OBJECT, NAME, range_bytes)
    journal.close()
    assert opened(place).take_up(OBJECT) is None


def test_a_thread_that_is_late_begins_no_other_journal(place: Path) -> None:
    journal = opened(place)
    download = journal.begin_download(OBJECT, NAME, 10)
    journal.end_download(download)
    journal.close()
    assert journal.begin_download(OBJECT, NAME, 10).id == 0
    assert os.listdir(place) == ["stage"]
