"""The user's secret: made once, for this user alone, and what proves nothing without it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs
import pytest

from nbsync.core import names
from nbsync.local import own_secret
from nbsync.local.own_secret import NoSecret


@pytest.fixture
def secret(home: Path) -> Path:
    """Where it is, or will be."""
    return home / "state" / "nbsync" / ".nbsync" / "secret"


def test_what_was_told_is_proved_and_nothing_else(secret: Path) -> None:
    found = own_secret.proof("syncs", "/a", [1, {"x": "é"}])
    assert own_secret.is_proved(found, "syncs", "/a", [1, {"x": "é"}])
    for purpose, *told in (
        ("journal", "/a", [1, {"x": "é"}]), ("syncs", "/b", [1, {"x": "é"}]), ("syncs", "/a", [1, {"x": "e"}]),
        ("syncs", "/a"), ("syncs", "/a", 1, {"x": "é"}), ("syncs", '/a",[1,{"x":"é"}]'),
    ):  # fmt: skip
        assert not own_secret.is_proved(found, str(purpose), *told)
    for other in (None, 5, "", "é", found[:-1], found.upper()):
        assert not own_secret.is_proved(other, "syncs", "/a", [1, {"x": "é"}])
    assert names.is_own(str(secret)), "no push takes it along"


def test_a_long_text_is_proved_piece_by_piece(secret: Path) -> None:
    one, other = own_secret.begin("plan"), own_secret.begin("plan")
    for piece in (b"a", b"bc"):
        one.update(piece)
    other.update(b"abc")
    assert one.digest() == other.digest() != own_secret.begin("plan").digest()


def test_who_only_looks_makes_nothing(secret: Path) -> None:
    assert not own_secret.is_proved("0" * 64, "syncs")
    assert not secret.parent.parent.exists()


def test_it_is_this_users_alone_whatever_the_umask(secret: Path) -> None:
    before = os.umask(0)
    try:
        own_secret.proof("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    assert os.listdir(secret.parent) == ["secret"]
    assert len(secret.read_bytes()) == 32


def test_another_users_secret_proves_nothing(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = own_secret.proof("x")
    secret.unlink()
    assert own_secret.proof("x") != found
    assert not own_secret.is_proved(found, "x")
    mine = own_secret.proof("x")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert not own_secret.is_proved(mine, "x")


def test_a_secret_that_others_may_read_is_none(secret: Path) -> None:
    found = own_secret.proof("x")
    secret.chmod(0o660)  # as Kubernetes leaves it on a volume with an fsGroup
    assert own_secret.is_proved(found, "x")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    for mode in (0o604, 0o606, 0o602):
        secret.chmod(mode)
        assert not own_secret.is_proved(found, "x")
        with pytest.raises(NoSecret, match="not this user's alone"):
            own_secret.proof("x")


@pytest.mark.parametrize("what", ["link", "folder", "pipe", "empty", "short", "long"])
def test_what_is_no_secret_is_not_taken_for_one(secret: Path, what: str, tmp_path: Path) -> None:
    found = own_secret.proof("x")
    kept = secret.read_bytes()
    secret.unlink()
    if what == "link":
        (tmp_path / "s").write_bytes(kept)
        secret.symlink_to(tmp_path / "s")
    elif what == "folder":
        secret.mkdir()
    elif what == "pipe":
        os.mkfifo(secret, 0o600)
    else:
        secret.write_bytes({"empty": b"", "short": kept[:-1], "long": kept + b"x"}[what])
        secret.chmod(0o600)
    assert not own_secret.is_proved(found, "x")
    with pytest.raises(NoSecret):
        own_secret.proof("x")


def test_without_a_place_to_keep_it(secret: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / f"nbsync-{os.geteuid()}").write_bytes(b"somebody else's")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert not own_secret.is_proved("0" * 64, "x")
    with pytest.raises(NoSecret, match="not yours alone"):
        own_secret.proof("x")


def test_a_user_without_a_state_directory_keeps_it_among_the_temporary_files(
    secret: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert own_secret.is_proved(own_secret.proof("x"), "x")
    assert (tmp_path / f"nbsync-{os.geteuid()}" / ".nbsync" / "secret").is_file()


@pytest.mark.parametrize("says", ["~/.local/state/nbsync", RuntimeError("no home")])  # older platformdirs, and newer
def test_without_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str | Exception) -> None:
    def state_dir(*_: object, **__: object) -> str:
        if isinstance(says, Exception):
            raise says
        return says

    monkeypatch.setattr(platformdirs, "user_state_dir", state_dir)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"nbsync-{os.geteuid()}").write_bytes(b"somebody else's")
    assert not own_secret.is_proved("0" * 64, "x")
    with pytest.raises(NoSecret, match="not yours alone"):
        own_secret.proof("x")


def test_many_make_the_same_one_at_once(secret: Path) -> None:
    code = "from nbsync.local import own_secret; print(own_secret.proof('x'))"
    with ThreadPoolExecutor(32) as pool:
        here = [pool.submit(own_secret.proof, "x") for _ in range(64)]
        there = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
        found = {one.result() for one in here} | {one.communicate()[0].strip() for one in there}
    assert len(found) == 1
    assert os.listdir(secret.parent) == ["secret"]
