"""What proves a recorded row: this user, this folder, this REMOTE, every word of it; and what is left of it else."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from nbsync.core.clock import is_of_remote_alone, of_remote_alone
from nbsync.core.model import RecordedEntry
from nbsync.local.record import RemoteName, open_state
from nbsync.local.row_proofs import RowProofs

HERE = RemoteName("http://h:1", "bucket", "p/")
ROW = RecordedEntry("dir/f", "etag", "v", 1, 2, 3, 4, "md5:x")


def proofs(path: str = "/l/state", remote: tuple[str, ...] = HERE) -> RowProofs:
    return RowProofs(path, remote, make=True)


@pytest.mark.parametrize("field", RecordedEntry._fields)
def test_every_word_counts(field: str) -> None:
    made = proofs().of(ROW)
    assert proofs().holds(ROW, made)
    value = getattr(ROW, field)
    assert not proofs().holds(ROW._replace(**{field: value + ("0" if isinstance(value, str) else 1)}), made)


def test_no_word_moves_into_another() -> None:
    made = proofs().of(ROW)
    for one in (
        ROW._replace(path="dir/fe", etag="tag"), ROW._replace(etag="etagv", version_id=""),
        ROW._replace(version_id="vmd5:", content="x"), ROW._replace(size=12, mtime_ns=3, ctime_ns=4),
    ):  # fmt: skip
        assert not proofs().holds(one, made)


@pytest.mark.parametrize("other", [("/m/state", HERE), ("/l/state", HERE._replace(prefix="q/"))])
def test_of_another_folder_or_remote_it_proves_nothing(other: tuple[str, RemoteName]) -> None:
    assert not proofs(*other).holds(ROW, proofs().of(ROW))


@pytest.mark.parametrize("proof", [b"", b"\0" * 16, "", None, 5])
def test_what_is_no_proof(proof: object) -> None:
    assert not proofs().holds(ROW, proof)


def test_of_another_user_it_proves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = proofs().of(ROW)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
    assert not RowProofs("/l/state", HERE, make=False).holds(ROW, made)
    assert not os.path.exists(tmp_path / "theirs"), "looking makes no secret"
    assert not proofs().holds(ROW, made)
    assert proofs().of(ROW) != made


def test_names_that_are_no_unicode_are_proved_too() -> None:
    row = ROW._replace(path="\udcff")
    assert proofs().holds(row, proofs().of(row))


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A record with ROW in it."""
    path = tmp_path / "state.sqlite3"
    state = open_state(str(path), HERE, writable=True)
    state.record([ROW])
    state.close()
    return path


def believed(path: Path, *, writable: bool = True) -> RecordedEntry:
    state = open_state(str(path), HERE, writable=writable)
    try:
        (row,) = state.rows()
        found = state.believed(row)
        assert state.row(row.path) == found
        return found
    finally:
        state.close()


@pytest.mark.parametrize("writable", [True, False])
def test_an_own_row_is_believed(record: Path, writable: bool) -> None:
    assert believed(record, writable=writable) == ROW


@pytest.mark.parametrize("change", ["etag = 'now'", "size = 2", "ctime_ns = 9", "content = 'md5:y'", "proof = x'00'"])
@pytest.mark.parametrize("writable", [True, False])
def test_of_an_edited_row_what_remote_had_is_left(record: Path, change: str, writable: bool) -> None:
    with sqlite3.connect(record) as db:
        db.execute(f"UPDATE synced SET {change}")
    found = believed(record, writable=writable)
    assert is_of_remote_alone(found)
    assert (found.path, found.version_id) == (ROW.path, ROW.version_id)


def test_of_a_copy_what_remote_had_is_left(record: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    copy = shutil.copy(record, tmp_path / "copy")
    assert believed(Path(copy)) == of_remote_alone(ROW)
    assert believed(record) == ROW


def test_what_is_recorded_anew_is_proved(record: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    copy = str(shutil.copy(record, tmp_path / "copy"))
    state = open_state(copy, HERE, writable=True)
    state.record([ROW])
    assert state.believed(ROW) == ROW
    state.close()


def test_a_row_that_is_not_the_databases_is_left_alone(record: Path) -> None:
    state = open_state(str(record), HERE, writable=True)
    other, unknown = ROW._replace(etag="made by this run"), ROW._replace(path="elsewhere")
    assert (state.believed(other), state.believed(unknown)) == (other, unknown)
    state.close()


def test_what_is_taken_over_from_locals_own_record_keeps_its_proof(record: Path, tmp_path: Path) -> None:
    with sqlite3.connect(record) as db:
        db.execute("INSERT INTO synced SELECT remote, 'forged', etag, version_id, size, mtime_ns, ctime_ns, inode,"
                   " content, proof FROM synced")  # fmt: skip
    state = open_state(str(tmp_path / "mine.sqlite3"), HERE, writable=True, seed=str(record))
    assert [state.believed(row) for row in state.rows()] == [ROW, of_remote_alone(ROW._replace(path="forged"))]
    state.close()
