"""What is in the trash comes back as it was, through no link; any tree, any order, and back again."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.model import Outcome
from nbsync.local import rename, trash, trash_contents
from nbsync.local.install import Installer
from nbsync.local.restore import Restorer
from nbsync.local.state_dir import StateDir, homes_of
from tests.unit.local.helpers import staged

OLD_NS = 1_234_567_891_234_567_891
Tree = dict[str, object]


def name(number: int) -> str:
    return f"2026-11-24T20040{number}Z-000000000-1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty LOCAL, with something beside it."""
    root = tmp_path / "local"
    root.mkdir()
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside/f").write_bytes(b"not ours")
    return root


class Local:
    """A LOCAL whose runs are numbered."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._runs = 0

    def state_dir(self) -> StateDir:
        self._runs += 1
        return StateDir(str(self.root), str(self.root / ".nbsync"), name(self._runs), wait=lambda _: True)

    def pull(self, new: dict[str, bytes], gone: list[str] = [], way: list[str] = []) -> None:  # noqa: B006 (only read)
        """A run that trashes and replaces."""
        state_dir = self.state_dir()
        installer = Installer(state_dir)
        for path in way:
            assert installer.to_trash(path)
        for path, content in new.items():
            installer.install(staged(state_dir, content), path, None, keep_old=True)
        for path in gone:
            assert installer.to_trash(path)
            installer.remove_empty(path.rpartition("/")[0])
        installer.close()
        state_dir.close()

    def undo(self) -> list[Outcome]:
        """Puts back the newest run."""
        state_dir = self.state_dir()
        with state_dir.homes() as homes:
            run = next((run for run in trash.newest_first(homes) if list(trash_contents.items(homes, run))), "")
            restorer = Restorer(state_dir, "the run")
            items = sorted(trash_contents.items(homes, run), key=lambda item: item.kind != "absent")
            outcomes = [outcome for outcome in map(restorer.do, items) if outcome is not None]
            restorer.close()
        state_dir.close()
        return outcomes

    def write(self, path: str, content: bytes, mode: int = 0o640) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode)
        os.utime(file, ns=(OLD_NS, OLD_NS))

    def tree(self, *, folders: bool = True) -> Tree:
        """Path -> (mode, mtime, content or target) of all but the room; a folder's time is not looked at."""
        found: Tree = {}
        for path in self.root.rglob("*"):
            inner, at = path.relative_to(self.root).as_posix(), path.lstat()
            if inner.startswith(".nbsync"):
                continue
            if stat.S_ISDIR(at.st_mode):
                if folders:
                    found[inner] = stat.S_IMODE(at.st_mode)
            elif stat.S_ISLNK(at.st_mode):
                found[inner] = os.readlink(path)
            else:
                found[inner] = (stat.S_IMODE(at.st_mode), at.st_mtime_ns, path.read_bytes())
        return found


@pytest.fixture
def local(root: Path) -> Iterator[Local]:
    """LOCAL with a few files; whatever is done, what lies beside it stays."""
    local = Local(root)
    local.write("f", b"mine")
    local.write("d/x", b"x", 0o600)
    local.write("d/sub/y", b"y", 0o755)
    (root / "d/sub").chmod(0o750)
    (root / "d/empty").mkdir()
    (root / "d/link").symlink_to("../f")
    yield local
    assert [path.relative_to(root.parent).as_posix() for path in sorted(root.parent.glob("beside/**/*"))] == [
        "beside/f"
    ]
    assert (root.parent / "beside/f").read_bytes() == b"not ours"


CASES = {
    "replaced": ({"f": b"new"}, [], []),
    "deleted": ({}, ["f"], []),
    "deleted, and its folder with it": ({}, ["d/sub/y"], []),
    "a file for a folder": ({"d": b"new"}, [], ["d"]),
    "a folder for a file": ({"f/deep/a": b"1", "f/b": b"2"}, [], ["f"]),
    "all at once": ({"d": b"new", "f/a": b"1"}, [], ["d", "f"]),
}


@pytest.mark.parametrize("can_exchange", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_undo_and_back(local: Local, case: str, monkeypatch: pytest.MonkeyPatch, can_exchange: bool) -> None:
    """Byte for byte, with mode and time; a second undo undoes the first, a third does it again."""
    if not can_exchange:
        monkeypatch.setattr(rename, "_call", None)
    before = local.tree()
    local.pull(*CASES[case])
    after = local.tree(folders=False)

    for expected in (before, after, before, after):
        outcomes = local.undo()
        assert outcomes
        assert not [outcome for outcome in outcomes if outcome.error]
        assert local.tree(folders=expected is before) == expected


def test_reasons(local: Local) -> None:
    local.pull({"f": b"new"}, ["d/x"])
    told = {outcome.path: (str(outcome.status), outcome.reason, outcome.bytes) for outcome in local.undo()}
    assert told == {
        "d/x": ("miss", "put back from the trash (deleted by the run)", 1),
        "f": ("miss", "put back from the trash (replaced by the run)", 4),
    }
    [(path, status)] = [(o.path, str(o.status)) for o in local.undo() if o.path == "d/x"]
    assert (path, status) == ("d/x", "deleted")


def test_what_was_made_meanwhile_goes_to_the_trash(local: Local, root: Path) -> None:
    local.pull({}, ["f"])
    local.write("f/made", b"later")
    local.undo()
    assert (root / "f").read_bytes() == b"mine"
    assert b"later" in [path.read_bytes() for path in root.glob(".nbsync/trash/**/made")]


def test_the_later_of_two_versions_comes_back(local: Local, root: Path) -> None:
    """A path that was trashed twice in one run: what stood there last, and the other stays in the trash."""
    state_dir = local.state_dir()
    installer = Installer(state_dir)
    installer.install(staged(state_dir, b"1"), "f", None, keep_old=True)
    local.write("f", b"saved during the run")
    installer.install(staged(state_dir, b"2"), "f", None, keep_old=True)
    installer.close()
    state_dir.close()

    assert [str(outcome.status) for outcome in local.undo()] == ["miss"]
    assert (root / "f").read_bytes() == b"saved during the run"
    assert b"mine" in [path.read_bytes() for path in root.glob(".nbsync/trash/*/f")]


def test_a_file_whose_replacement_was_never_done(local: Local, root: Path) -> None:
    """Killed between the hard link and the exchange: it is at both places, and undone by forgetting it."""
    local.pull({"f": b"new"})
    [kept] = root.glob(".nbsync/trash/*/f")
    (root / "f").unlink()
    os.link(kept, root / "f")
    assert [str(outcome.status) for outcome in local.undo()] == ["hit"]
    assert (root / "f").read_bytes() == b"mine"
    assert not list(root.glob(".nbsync/trash/**/f"))


@pytest.mark.parametrize("where", ["home", "run", "folder", "file"])
def test_a_link_in_the_trash_leads_nowhere(local: Local, root: Path, where: str) -> None:
    local.pull({}, ["d/x"])
    beside = root.parent / "beside"
    home = root / ".nbsync/trash"
    target = {"home": home, "run": home / name(1), "folder": home / name(1) / "d", "file": home / name(1) / "d/x"}
    at = target[where]
    shutil.rmtree(at) if at.is_dir() else at.unlink()
    at.symlink_to(beside / "f" if where == "file" else beside)
    if where == "home":
        with homes_of(str(root)) as homes:
            assert homes == []
        at.unlink()
        return
    local.undo()
    if where == "folder":
        assert (root / "d").is_symlink(), "it is put back as what it is"
    elif where == "file":
        assert (root / "d/x").is_symlink()


def test_a_link_in_local_is_not_written_through(local: Local, root: Path) -> None:
    """It stands in the way, so it goes to the trash."""
    local.pull({}, ["d/x"])
    shutil.rmtree(root / "d")
    (root / "d").symlink_to("../beside")
    local.undo()
    assert (root / "d/x").read_bytes() == b"x"
    assert not (root / "d").is_symlink()


def test_nothing_of_our_own_is_put_back(local: Local, root: Path) -> None:
    """A trash unpacked from anywhere may say that it was in our room, or above LOCAL."""
    local.pull({"f": b"new"})
    for path in (".nbsync/lock", "sub/.NBSYNC/stage"):
        hostile = root / ".nbsync/trash" / name(1) / path
        hostile.parent.mkdir(parents=True, exist_ok=True)
        hostile.write_bytes(b"hostile")
    (root / ".nbsync/mounts").write_text('"../beside"\n"/etc"\n"\\u0000"\nnonsense\n"d/link"\n""\n[]\n')

    assert [outcome.path for outcome in local.undo()] == ["f"]
    assert (root / ".nbsync/lock").read_bytes() != b"hostile"


def test_a_folder_with_a_room_in_it_stays(local: Local, root: Path) -> None:
    local.pull({}, ["f"])
    local.write("f/.nbsync/state.sqlite3", b"another LOCAL's")
    [outcome] = local.undo()
    assert str(outcome.status) == "failed"
    assert "stays in the trash" in str(outcome.error)
    assert (root / "f/.nbsync/state.sqlite3").exists()
    assert [path.read_bytes() for path in root.glob(".nbsync/trash/*/f")] == [b"mine"]


def test_disk_full_while_it_is_put_back(local: Local, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local.pull({"f": b"new"}, ["d/x"])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(rename.os, "link", full)
        assert {o.path: str(o.status) for o in local.undo()} == {"f": "failed", "d/x": "miss"}
    assert (root / "f").read_bytes() == b"new"
    assert [path.read_bytes() for path in root.glob(f".nbsync/trash/{name(1)}/f")] == [b"mine"]


PATHS = st.sampled_from(["a", "b", "c/a", "c/b", "c/d/a", "e/f/g/h"])

NEW = st.sampled_from(["a", "a/x", "b", "b/y/z", "c", "c/a", "c/d", "e/f", "n"])


@given(
    before=st.dictionaries(PATHS, st.binary(max_size=3), max_size=6),
    new=st.dictionaries(NEW, st.binary(max_size=3), max_size=5),
    gone=st.sets(PATHS, max_size=4),
)  # fmt: skip
def test_any_tree(before: dict[str, bytes], new: dict[str, bytes], gone: set[str]) -> None:
    """The tree before, for everything that the run trashed; and undoing it again gives the tree after it."""
    with tempfile.TemporaryDirectory() as place:
        local = Local(Path(place))
        for path, content in before.items():
            local.write(path, content)
        tree = local.tree(folders=False)
        taken: dict[str, bytes] = {}
        for path, content in new.items():  # of two that clash, the first
            if not any(path.startswith(f"{other}/") or other.startswith(f"{path}/") for other in taken):
                taken[path] = content
        way = sorted({w for path in taken for w in before if path.startswith(f"{w}/")})
        way += sorted(path for path in taken if (local.root / path).is_dir())
        gone = {path for path in gone & set(before) if path not in taken and not any(
            path == w or path.startswith(f"{w}/") for w in way)}  # fmt: skip
        local.pull(taken, sorted(gone), way)
        after = local.tree(folders=False)
        trashed = [path for path in before if path in taken or path in gone or any(
            path == w or path.startswith(f"{w}/") for w in way)]  # fmt: skip

        local.undo()
        undone = local.tree(folders=False)
        assert {path: undone.get(path) for path in trashed} == {path: tree[path] for path in trashed}
        assert set(undone) <= set(tree) | set(taken)
        if trashed:
            local.undo()
            assert local.tree(folders=False) == after


def test_clock_that_was_put_back(root: Path) -> None:
    """The newest run is the last one, whatever its clock said."""
    local = Local(root)
    local._runs = 8
    for content in (b"1", b"2", b"3", b"4"):
        local.write("f", content)
        local.pull({}, ["f"])
        local._runs = 0
    assert len(os.listdir(root / ".nbsync/trash")) == 4
    local._runs = 0
    local.undo()
    assert (root / "f").read_bytes() == b"4"
