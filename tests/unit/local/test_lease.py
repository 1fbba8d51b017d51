"""The permit in staging, and what workers leave there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbsync.core.model import Kind, LocalEntry
from nbsync.local import lease, shared_dir
from nbsync.local.journal import Journal
from nbsync.local.record import RemoteName

REMOTE = RemoteName("http://h:80", "bucket", "p/")
LOCAL = LocalEntry("large", Kind.FILE, 5, 1, 2, 3)


@pytest.fixture
def stage(tmp_path: Path) -> str:
    (tmp_path / "stage").mkdir()
    return str(tmp_path / "stage")


def names(stage: str) -> list[str]:
    return sorted(path.name for path in Path(stage).iterdir())


def test_a_permit_holds_until_it_is_revoked(stage: str) -> None:
    issued = lease.issue(stage)
    assert lease.holds(stage, issued)
    lease.revoke(stage, issued)
    assert not lease.holds(stage, issued)
    lease.revoke(stage, issued)


def test_another_s_file_of_the_same_name_is_no_permit(stage: str, tmp_path: Path) -> None:
    issued = lease.issue(stage)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / issued.name).write_text("0" * 32)
    assert not lease.holds(str(elsewhere), issued)
    (elsewhere / issued.name).unlink()
    (elsewhere / issued.name).symlink_to(Path(stage) / issued.name)
    assert not lease.holds(str(elsewhere), issued)


@pytest.fixture
def hold(stage: str) -> Iterator[Callable[[lease.Lease, int], lease.Claim]]:
    with contextlib.ExitStack() as held:

        def take(issued: lease.Lease, number: int) -> lease.Claim:
            (Path(stage) / issued.batch(number)).touch()  # it is wanted
            made = lease.Claim(stage, issued, number)
            held.callback(made.close)
            return made

        yield take


Take = Callable[[lease.Lease, int], lease.Claim]


def test_a_batch_is_one_worker_s(stage: str, hold: Take) -> None:
    issued = lease.issue(stage)
    first, other = hold(issued, 1), hold(issued, 2)
    assert (first.is_first, first.lasts()) == (True, True)
    second = hold(issued, 1)
    assert (second.is_first, second.lasts(), first.lasts()) == (False, True, False)
    assert (other.is_first, other.lasts()) == (True, True)
    both = [name for number in (1, 2) for name in (issued.batch(number), issued.hold(number))]
    assert names(stage) == sorted([*both, issued.name])


def test_only_who_has_a_batch_tells_of_it(stage: str, hold: Take) -> None:
    issued = lease.issue(stage)
    lost = hold(issued, 1)
    lost.tell({"moved": 123456})
    lost.tell({"moved": 5})
    assert lease.hear_of_batch(stage, issued, 1) == {"moved": 5}
    now = hold(issued, 1)
    lost.tell({"moved": 6})
    assert lease.hear_of_batch(stage, issued, 1) == {}
    now.tell({"moved": 7})
    assert lease.hear_of_batch(stage, issued, 1) == {"moved": 7}


def test_a_batch_that_ended_or_was_lost_is_nobody_s(stage: str, hold: Take) -> None:
    issued = lease.issue(stage)
    held = hold(issued, 1)
    lease.end_batch(stage, issued, 1)
    held.tell({"moved": 6})  # it is not made anew
    assert not held.lasts()
    assert lease.hear_of_batch(stage, issued, 1) == {}
    assert names(stage) == [issued.name]


def test_a_batch_that_is_begun_when_it_was_given_up_is_nobody_s(stage: str) -> None:
    issued = lease.issue(stage)
    lease.begin_batch(stage, issued, 1)
    lease.end_batch(stage, issued, 1)
    late = lease.Claim(stage, issued, 1)
    assert not late.lasts()
    late.close()
    lease.clear(stage, issued)
    assert names(stage) == [issued.name]


def test_a_link_is_no_hold(stage: str, hold: Take, tmp_path: Path) -> None:
    issued = lease.issue(stage)
    held = hold(issued, 1)
    (Path(stage) / issued.hold(1)).rename(tmp_path / "moved")
    (Path(stage) / issued.hold(1)).symlink_to(tmp_path / "moved")
    assert not held.lasts()


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_what_is_half_told_is_nothing(stage: str, content: str) -> None:
    issued = lease.issue(stage)
    (Path(stage) / issued.hold(1)).write_text(content)
    assert lease.hear_of_batch(stage, issued, 1) == {}


def test_clearing_takes_what_is_of_this_permit(stage: str) -> None:
    issued, other = lease.issue(stage), lease.issue(stage)
    kept = [f"{other.staged()}-1", "123-4", issued.name, other.name, f"upload-{issued.id}-00000000-1"]
    for name in [f"{issued.staged()}-1", issued.batch(3), issued.hold(3), *kept[:2], kept[4]]:
        (Path(stage) / name).touch()
    lease.clear(stage, issued)
    assert names(stage) == sorted(kept)


# ---- uploads in parts ----------------------------------------------------------------------------------


def test_an_upload_of_a_worker_that_died_becomes_a_leftover(stage: str, tmp_path: Path) -> None:
    journal = shared_dir.SharedJournal(stage, lease.issue(stage), REMOTE)
    ended = journal.began(journal.intend_upload(LOCAL, "p/done", "", 8), "id-1")
    journal.end_upload(ended)
    upload = journal.intend_upload(LOCAL, "p/large", "", 8)
    assert not journal.keeps(upload)
    journal.began(upload, "id-2")
    journal.intend_upload(LOCAL, "p/asked", "", 8)

    own = Journal(str(tmp_path), REMOTE)
    shared_dir.adopt(stage, own)
    assert sorted((one.key, one.upload_id) for one in own.leftovers()) == [("p/asked", ""), ("p/large", "id-2")]
    assert not lease.notes_in(stage)
    own.close()


def test_a_copied_note_is_nobody_s(stage: str, tmp_path: Path) -> None:
    journal = shared_dir.SharedJournal(stage, lease.issue(stage), REMOTE)
    journal.began(journal.intend_upload(LOCAL, "p/large", "", 8), "id")
    (note,) = lease.notes_in(stage)
    content = (Path(stage) / note).read_bytes()
    (Path(stage) / f"{note}0").write_bytes(content)
    (Path(stage) / note).unlink()

    own = Journal(str(tmp_path), REMOTE)
    shared_dir.adopt(stage, own)
    assert own.leftovers() == []
    assert not lease.notes_in(stage)


def test_a_strangers_note_is_nobody_s(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """He knows his permit, which came with the folder too, and the folder's path."""
    with monkeypatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
        journal = shared_dir.SharedJournal(stage, lease.issue(stage), REMOTE)
        journal.began(journal.intend_upload(LOCAL, "p/large", "", 8), "id")
    own = Journal(str(tmp_path), REMOTE)
    shared_dir.adopt(stage, own)
    assert own.leftovers() == []
    assert not lease.notes_in(stage)


def test_another_remote_s_upload_waits_for_a_run_with_that_one(stage: str, tmp_path: Path) -> None:
    other = RemoteName("http://h:80", "bucket", "q/")
    journal = shared_dir.SharedJournal(stage, lease.issue(stage), other)
    journal.began(journal.intend_upload(LOCAL, "q/large", "", 8), "id")
    own = Journal(str(tmp_path), REMOTE)
    shared_dir.adopt(stage, own)
    assert own.leftovers() == []
    own.close()
    theirs = Journal(str(tmp_path), other)
    assert [one.upload_id for one in theirs.leftovers()] == ["id"]
    theirs.close()
