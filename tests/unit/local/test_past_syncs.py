"""The book of past syncs: what is written is read again, and what others wrote is not believed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from nbsync.local import past_syncs
from nbsync.local.past_syncs import Book, PastSync


def past(command: str = "pull", remote: str = "s3://b/p/", began_ns: int = 1, **more: Any) -> PastSync:
    direction = more.pop("direction", command)
    options = more.pop("options", {"delete": True, "filters": [["exclude", "*.tmp"]]})
    return PastSync(command, direction, remote, "http://e", "b", "p/", "us-east-1", began_ns, 0, 0, options)


def note(state_dir: Path, *some: PastSync) -> None:
    fd = os.open(state_dir, os.O_RDONLY)
    try:
        for one in some:
            past_syncs.note(str(state_dir), fd, one)
    finally:
        os.close(fd)


def test_the_newest_stands_first_and_each_kind_once(tmp_path: Path) -> None:
    note(tmp_path, past(began_ns=1), past("push", began_ns=3), past(began_ns=2), past(remote="s3://c/", began_ns=1))
    book = past_syncs.read(str(tmp_path))
    assert [(one.command, one.remote, one.began_ns) for one in book.syncs] == [
        ("push", "s3://b/p/", 3), ("pull", "s3://b/p/", 2), ("pull", "s3://c/", 1)]  # fmt: skip
    assert book.ours
    assert book.syncs[0].options == {"delete": True, "filters": [["exclude", "*.tmp"]]}


def test_a_copy_is_read_but_not_ours(tmp_path: Path) -> None:
    state_dir, copy = tmp_path / "room", tmp_path / "copy"
    state_dir.mkdir()
    note(state_dir, past())
    shutil.copytree(state_dir, copy)
    assert past_syncs.read(str(copy)) == Book(past_syncs.read(str(state_dir)).syncs, False)
    note(copy, past("push", remote="s3://mine/"))
    book = past_syncs.read(str(copy))
    assert [one.remote for one in book.syncs] == ["s3://mine/"], "what came with the copy must not become ours"
    assert book.ours


def test_another_users_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note(tmp_path, past())
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert not past_syncs.read(str(tmp_path)).ours


@pytest.mark.parametrize(
    "item",
    [
        None,
        {},
        {**past()._asdict(), "command": "rm"},
        {**past()._asdict(), "direction": "push"},
        {**past()._asdict(), "remote": 5},
        {**past()._asdict(), "remote": "--delete"},
        {**past()._asdict(), "options": {"timeout": 10**400}},
        {**past()._asdict(), "began_ns": "1"},
        {**past()._asdict(), "began_ns": -1},
        {**past()._asdict(), "began_ns": 1 << 70},
        {**past()._asdict(), "options": []},
        {**past()._asdict(), "options": {"nope": 1}},
        {**past()._asdict(), "options": {"delete": "yes"}},
        {**past()._asdict(), "options": {"filters": [["only", "x"]]}},
        {**past()._asdict(), "options": {"metadata": [5]}},
    ],
)
def test_what_makes_no_sense_is_passed_over(tmp_path: Path, item: object) -> None:
    (tmp_path / past_syncs.NAME).write_text(json.dumps({"format": 1, "file": 0, "syncs": [item, past()._asdict()]}))
    assert [one.remote for one in past_syncs.read(str(tmp_path)).syncs] == ["s3://b/p/"]


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"format": 2, "syncs": []}', '{"format": 1}', "\xff"])
def test_no_book(tmp_path: Path, text: str) -> None:
    (tmp_path / past_syncs.NAME).write_bytes(text.encode("latin-1"))
    assert past_syncs.read(str(tmp_path)) == Book([], False)
    note(tmp_path, past())
    assert past_syncs.read(str(tmp_path)).ours


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    elsewhere, state_dir = tmp_path / "elsewhere", tmp_path / "room"
    elsewhere.mkdir()
    note(elsewhere, past())
    state_dir.mkdir()
    (state_dir / past_syncs.NAME).symlink_to(elsewhere / past_syncs.NAME)
    assert past_syncs.read(str(state_dir)).syncs == []
    before = (elsewhere / past_syncs.NAME).read_bytes()
    note(state_dir, past("push"))
    assert (elsewhere / past_syncs.NAME).read_bytes() == before
    (state_dir / past_syncs.NAME).unlink()
    os.mkfifo(state_dir / past_syncs.NAME)
    assert past_syncs.read(str(state_dir)).syncs == []
    (tmp_path / "link").symlink_to(elsewhere)
    assert past_syncs.read(str(tmp_path / "link")).syncs == []
    assert past_syncs.read(str(tmp_path / "nowhere")).syncs == []


def test_what_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / past_syncs.NAME).mkdir()
    (tmp_path / past_syncs.NAME / "x").touch()
    note(tmp_path, past())
    assert past_syncs.read(str(tmp_path)) == Book([], False)
    assert os.listdir(tmp_path) == [past_syncs.NAME]


def test_only_so_many_are_remembered(tmp_path: Path) -> None:
    note(tmp_path, *(past(remote=f"s3://b{number}/", began_ns=number) for number in range(30)))
    found = past_syncs.read(str(tmp_path)).syncs
    assert (len(found), found[0].remote) == (20, "s3://b29/")
    long = {"filters": [["exclude", "x" * 900_000]]}
    note(
        tmp_path,
        past(remote="s3://long/", options=long, began_ns=40),
        past(remote="s3://l/", options=long, began_ns=41),
    )
    assert [one.remote for one in past_syncs.read(str(tmp_path)).syncs] == ["s3://l/"]


def test_nobody_else_may_write_into_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        note(tmp_path, past())
    finally:
        os.umask(before)
    assert (tmp_path / past_syncs.NAME).stat().st_mode & 0o022 == 0
