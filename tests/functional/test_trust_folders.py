"""What came with a folder is not believed: its `.nbsync` says what was synced, and nothing is repeated of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.errors import GuardRefusal
from nbsync.ui import cli, magic
from tests.functional.trap import Trap
from tests.functional.world import World
from tests.shells import new_shell


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
        assert cli.main(words) == 3
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
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    world.write("a", b"mine")
    result = nbsync.push(world.local, world.remote)
    assert result.ok
    told = [note for note in result.notes if "no secret can be kept" in note]
    assert len(told) == 1
    assert told[0].startswith("this sync cannot be repeated without words, nor unfinished transfers be taken up: ")
    assert not any("secret" in note for note in nbsync.push(world.local, world.remote, dry_run=True).notes)
