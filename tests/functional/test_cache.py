"""LocalObjectCache: brings, finds, removes itself, and never takes anybody's work with it."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbsync
from nbsync.errors import LocalError, UsageError
from tests.servers import Server


@pytest.fixture
def filled(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in moto_server.env().items():
        monkeypatch.setenv(name, value)
    bucket = moto_server.new_bucket()
    for key in ("p/a/b.txt", "p/c.txt", "other.txt"):
        moto_server.s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def test_it_brings_the_objects_and_goes_at_the_end(filled: str) -> None:
    with nbsync.LocalObjectCache(filled, prefix="p") as cache:
        first, second = cache.sync(), cache.sync()
        assert cache.get_path("a/b.txt").read_bytes() == b"p/a/b.txt"
        assert (first.counts["miss"], second.counts["hit"]) == (2, 2)
        place = cache.path
    assert not place.exists()


def test_a_named_folder_goes_too_but_not_one_that_was_there(filled: str, tmp_path: Path) -> None:
    with nbsync.LocalObjectCache(filled, path=tmp_path / "new") as cache:
        cache.sync()
    assert not (tmp_path / "new").exists()

    old = tmp_path / "old"
    old.mkdir()
    (old / "mine.txt").write_text("mine")
    with nbsync.LocalObjectCache(filled, path=old) as cache:
        cache.sync()
    assert (old / "mine.txt").read_text() == "mine"
    assert (old / "other.txt").exists()


@pytest.mark.parametrize("work", ["edit", "new"])
def test_what_is_not_in_remote_is_kept_with_a_warning(filled: str, work: str) -> None:
    cache = nbsync.LocalObjectCache(filled, prefix="p")
    cache.sync()
    path = cache.path / ("c.txt" if work == "edit" else "d.txt")
    path.write_text("mine")

    with pytest.warns(UserWarning, match="was kept"):
        cache.close()
    assert path.read_text() == "mine"


def test_uploaded_work_need_not_be_kept(filled: str, moto_server: Server) -> None:
    with nbsync.LocalObjectCache(filled, prefix="p") as cache:
        cache.sync()
        (cache.path / "c.txt").write_text("mine")
        cache.upload()
        place = cache.path
    assert not place.exists()
    assert moto_server.s3.get_object(Bucket=filled, Key="p/c.txt")["Body"].read() == b"mine"


def test_an_edit_that_a_sync_moved_to_the_trash_is_kept(filled: str, tmp_path: Path) -> None:
    cache = nbsync.LocalObjectCache(filled, "p", tmp_path / "cache")
    cache.sync()
    cache.get_path("c.txt").write_text("an hour of work")
    cache.sync()
    with pytest.warns(UserWarning, match="trash"):
        cache.close()
    kept = [path.read_text() for path in (tmp_path / "cache/.nbsync/trash").glob("*/c.txt")]
    assert kept == ["an hour of work"]


def test_a_relative_folder_is_meant_where_the_cache_began(
    filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the current directory moves on, to where there is a synced folder of that name."""
    begun, later = tmp_path / "begun", tmp_path / "later"
    for folder in (begun, later):
        folder.mkdir()
    nbsync.pull(f"{filled}/p", later / "cache")

    monkeypatch.chdir(begun)
    with nbsync.LocalObjectCache(filled, prefix="p", path="cache") as cache:
        monkeypatch.chdir(later)
        cache.sync()
        assert cache.get_path("c.txt") == begun / "cache/c.txt"
    assert not (begun / "cache").exists()
    assert (later / "cache/c.txt").exists()


def test_home_is_home(filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with nbsync.LocalObjectCache(filled, prefix="p", path="~/cache") as cache:
        cache.sync()
        assert cache.get_path("c.txt").read_bytes() == b"p/c.txt"
        assert cache.path == tmp_path / "cache"
    assert not (tmp_path / "cache").exists()


def test_bad_names_and_places_are_told(filled: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError, match="not a directory"):
        nbsync.LocalObjectCache(filled, path=tmp_path / "file")
    with nbsync.LocalObjectCache(filled) as cache:
        with pytest.raises(UsageError, match=r"\.\."):
            cache.get_path("../etc/passwd")
        with pytest.raises(FileNotFoundError, match="sync"):
            cache.get_path("p/c.txt")
