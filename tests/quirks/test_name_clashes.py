"""Keys that are one file on LOCAL's file system (contract rule 12), where case is folded or names are decomposed."""

from __future__ import annotations

import os
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync import SyncResult
from tests.quirks.mounts import exfat, quirk
from tests.quirks.store import Request, Store, serving
from tests.quirks.world import CREDENTIALS, tree

NFC, NFD = "caf\u00e9", "cafe\u0301"


class Sides:
    """REMOTE as a dictionary, a LOCAL on a mount, and runs that say what they sent."""

    def __init__(self, store: Store, local: Path) -> None:
        self.store, self.local = store, local
        self.settings: dict[str, Any] = {"endpoint_url": store.url}

    def put(self, **objects: bytes) -> None:
        self.fill(objects)

    def fill(self, objects: dict[str, bytes]) -> None:
        for path, body in objects.items():
            self.store.put(f"p/{path}", body)

    def rename(self, old: str, new: str) -> None:
        self.store.keys[f"p/{new}"] = self.store.keys.pop(f"p/{old}")

    def remote(self) -> dict[str, bytes]:
        return {key[2:]: found.body for key, found in self.store.keys.items()}

    def files(self) -> dict[str, bytes]:
        return tree(self.local)

    def spelled(self) -> list[str]:
        """The names as the file system lists them."""
        return sorted(path.relative_to(self.local).as_posix() for path in self.local.rglob("*")
                      if path.is_file() and ".nbsync" not in path.parts)  # fmt: skip

    def run(self, verb: str, **options: Any) -> SyncResult:
        self.store.log.clear()
        sides = [str(self.local), "s3://b/p"]
        result = getattr(nbsync, verb)(*(sides[::-1] if verb == "pull" else sides), **options, **self.settings)
        assert isinstance(result, SyncResult)
        assert result.error is None
        return result

    def begin_with(self, path: str) -> None:
        """Pull one object, so that the folders have its names: of several at once, any may be the first."""
        self.fill({path: b"first"})
        self.run("pull")

    def silent(self, clashes: set[str]) -> None:
        """Each verb reports the clashes and does nothing else."""
        here, there = self.files(), self.remote()
        for verb, options in (("pull", {}), ("push", {}), ("pull", {"delete": True}), ("push", {"delete": True})):
            result = self.run(verb, **options)
            assert (told(result), moved(result)) == (clashes, []), (verb, options)
            assert self.store.sent("GET") + self.store.sent("PUT") + self.store.sent("DELETE") == 0
        assert told(self.run("verify")) == clashes
        assert nbsync.status(str(self.local)).changed == 0
        assert (self.files(), self.remote()) == (here, there)
        assert not (self.local / ".nbsync" / "trash").exists()


def told(result: SyncResult) -> set[str]:
    """The keys that were reported as clashing; nothing else is a problem."""
    assert {problem.kind for problem in result.problems} <= {"name-clash"}
    return {problem.path for problem in result.problems}


def moved(result: SyncResult) -> list[str]:
    return [f"{row.status} {row.path}" for row in result if row.status not in ("hit", "skipped")]


@pytest.fixture(scope="module", params=["ci", "nfd"])
def mount(request: pytest.FixtureRequest) -> Iterator[tuple[str, Path]]:
    with quirk(*request.param.split()) as mounted:
        yield request.param, mounted.path


@pytest.fixture
def sides(mount: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sides]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    local = mount[1] / tmp_path.name / "local"
    local.parent.mkdir()
    with serving() as store:
        yield Sides(store, local)


CASE = [
    (["A.txt", "a.txt"], {"a.txt"}),
    (["A.TXT", "A.txt", "a.txt", "b"], {"A.txt", "a.txt"}),
    (["Dir/x", "dir/y"], set()),
    (["Dir/x", "dir/x"], {"dir/x"}),
    (["Dir/Sub/x", "Dir/sub/y", "dir/sub/z", "dir/w"], set()),
    (["A", "a/b", "a/c"], {"A"}),
    (["a", "A/b"], {"a"}),
]
FORM = [
    ([NFC, NFD], {NFC}),
    ([f"{NFC}/x", f"{NFD}/y", "plain"], set()),
    ([NFC, "r\u00e9sum\u00e9/\u00fc.csv", "\ud55c\uae00", "plain"], set()),
]


@pytest.mark.parametrize("mount", ["ci"], indirect=True)
@pytest.mark.parametrize(("keys", "clashes"), CASE)
def test_keys_that_differ_in_case(sides: Sides, keys: list[str], clashes: set[str]) -> None:
    check(sides, keys, clashes)


@pytest.mark.parametrize(("keys", "clashes"), FORM)
def test_keys_that_differ_in_form(sides: Sides, keys: list[str], clashes: set[str]) -> None:
    check(sides, keys, clashes)


def check(sides: Sides, keys: list[str], clashes: set[str]) -> None:
    """At most one of clashing keys comes, the others are reported, and all that follows is silent."""
    sides.fill({key: key.encode() for key in keys})

    assert told(sides.run("pull")) == clashes

    assert sorted(sides.files().values()) == sorted(key.encode() for key in keys if key not in clashes)
    sides.silent(clashes)


CASE_RENAMES = [("A.txt", "a.txt"), ("Dir/x", "dir/x"), ("Dir/Sub/X", "dir/SUB/x")]
FORM_RENAMES = [(NFC, NFD), (f"{NFD}/x", f"{NFC}/x")]


RENAMES = [("ci", *names) for names in CASE_RENAMES + FORM_RENAMES] + [("nfd", *names) for names in FORM_RENAMES]


@pytest.mark.parametrize(("mount", "old", "new"), RENAMES, indirect=["mount"])
def test_rename_in_remote_is_carried(sides: Sides, mount: tuple[str, Path], old: str, new: str) -> None:
    sides.fill({old: b"content", "other": b"o"})
    sides.run("pull")
    sides.rename(old, new)

    result = sides.run("pull", delete=old.islower())

    assert (told(result), moved(result), sides.store.sent("GET")) == (set(), [], 0)
    assert sides.files()[stored(mount, new)] == b"content"
    sides.silent(set())


@pytest.mark.parametrize("mount", ["ci"], indirect=True)
@pytest.mark.parametrize("verb", ["pull", "push"])
def test_an_edit_before_a_rename_is_carried_is_seen(sides: Sides, verb: str) -> None:
    """Its time was put back: nothing but the ctime tells of it, which the rename moves as well."""
    sides.fill({"A.txt": b"content", "z": b"z"})
    sides.run("pull")
    sides.rename("A.txt", "a.txt")
    sides.fill({"z": b"changed"} if verb == "pull" else {})
    if verb == "push":
        (sides.local / "y").touch()

    def edit(request: Request) -> bool:
        if request.key and request.command == ("GET" if verb == "pull" else "PUT"):
            file = sides.local / "A.txt"
            at = file.stat()
            file.write_bytes(b"edit!!!")
            os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
        return False

    sides.store.hook = edit
    sides.run(verb)
    sides.store.hook = lambda _request: False

    sides.run("push")
    assert b"edit!!!" in sides.remote().values()


@pytest.mark.parametrize("mount", ["ci"], indirect=True)
@pytest.mark.parametrize(("old", "new"), CASE_RENAMES + FORM_RENAMES)
def test_rename_here_is_carried(sides: Sides, old: str, new: str) -> None:
    sides.fill({old: b"content", "other": b"o"})
    sides.run("pull")
    rename(sides.local, old, new)
    assert moved(sides.run("pull")) == []

    planned = sides.run("push", delete=old.islower(), dry_run=True)
    result = sides.run("push", delete=old.islower())

    assert sorted(moved(result)) == [f"deleted {old}", f"miss {new}"]
    assert sorted(moved(planned)) == sorted([f"planned {old}", f"planned {new}"])
    assert sides.remote() == {new: b"content", "other": b"o"}
    sides.silent(set())


def stored(mount: tuple[str, Path], name: str) -> str:
    """As the file system lists a file of this name."""
    return unicodedata.normalize("NFD", name) if "nfd" in mount[0] else name


def rename(root: Path, old: str, new: str) -> None:
    """One segment after the other, from the top."""
    done = root
    for before, after in zip(old.split("/"), new.split("/"), strict=True):
        os.rename(done / before, done / after)
        done /= after


@pytest.mark.parametrize("mount", ["ci"], indirect=True)
class TestOnAFileSystemThatFoldsCase:
    """What people do meanwhile."""

    def test_edits_keep_the_key_of_the_file(self, sides: Sides) -> None:
        sides.begin_with("Dir/x")
        sides.fill({"Dir/x": b"x", "dir/y": b"y"})
        sides.run("pull")
        (sides.local / "dir/Y").write_bytes(b"edited")
        (sides.local / "DIR/new").write_bytes(b"new")
        assert sorted(moved(sides.run("push"))) == ["miss Dir/new", "miss dir/y"]
        assert sides.remote() == {"Dir/x": b"x", "dir/y": b"edited", "Dir/new": b"new"}

        (sides.local / "Dir/y").write_bytes(b"edited once more")
        sides.fill({"dir/y": b"edited there"})
        assert moved(sides.run("pull")) == ["miss dir/y"]
        assert sides.files()["Dir/y"] == b"edited there"
        assert nbsync.undo(str(sides.local)).ok
        assert sides.files()["Dir/y"] == b"edited once more"

    def test_a_file_gone_on_one_side_is_deleted_on_the_other_by_its_key(self, sides: Sides) -> None:
        sides.begin_with("Dir/x")
        sides.fill({"Dir/x": b"x", "dir/y": b"y", "dir/z": b"z"})
        sides.run("pull")
        (sides.local / "Dir/y").unlink()
        assert moved(sides.run("push", delete=True)) == ["deleted dir/y"]
        del sides.store.keys["p/dir/z"]
        assert moved(sides.run("pull", delete=True)) == ["deleted dir/z"]
        assert (sides.spelled(), sorted(sides.remote())) == (["Dir/x"], ["Dir/x"])

    def test_the_one_that_stands_here_is_synced_and_not_the_first(self, sides: Sides) -> None:
        sides.fill({"a.txt": b"lower", "other": b"o"})
        sides.run("pull")
        sides.fill({"A.txt": b"upper"})
        sides.silent({"A.txt"})
        (sides.local / "a.txt").unlink()
        assert moved(sides.run("pull")) == ["miss a.txt"]
        (sides.local / "a.txt").unlink()
        assert moved(sides.run("push", delete=True)) == ["deleted a.txt"]
        assert sides.remote() == {"A.txt": b"upper", "other": b"o"}

    def test_an_object_that_is_gone_leaves_its_file_to_the_trash(self, sides: Sides) -> None:
        sides.fill({"A.txt": b"upper", "a.txt": b"lower"})
        sides.run("pull")
        del sides.store.keys["p/A.txt"]
        assert [problem.kind for problem in sides.run("push", delete=True).problems] == ["conflict"]
        assert moved(sides.run("pull", delete=True)) == ["miss a.txt"]
        assert list(sides.files().values()) == [b"lower"]
        assert nbsync.undo(str(sides.local)).ok
        assert list(sides.files().values()) == [b"upper"]

    @pytest.mark.parametrize("delete", [False, True])
    def test_a_file_that_stands_here_is_not_moved_for_a_folder(self, sides: Sides, delete: bool) -> None:
        sides.fill({"A": b"A"})
        sides.run("pull")
        sides.fill({"a/b": b"b"})
        assert told(sides.run("pull", delete=delete)) == {"a/b"}
        sides.silent({"a/b"})

    @pytest.mark.parametrize("delete", [False, True])
    @pytest.mark.parametrize(("name", "other"), [("a", "A/b"), ("A/b", "a")])
    def test_a_new_file_that_clashes_with_a_folder_or_file(
        self, sides: Sides, name: str, other: str, delete: bool
    ) -> None:
        (sides.local / name).parent.mkdir(parents=True)
        (sides.local / name).write_bytes(b"new")
        sides.fill({other: b"there"})
        result = sides.run("push", delete=delete)
        assert (told(result), moved(result)) == ({other}, [f"miss {name}"])
        assert sides.remote() == {name: b"new", other: b"there"}
        sides.silent({other})

    @pytest.mark.parametrize("delete", [False, True])
    @pytest.mark.parametrize(("old", "new"), [("a", "A"), ("A", "a")])
    def test_rename_here_is_carried_as_one_beside_a_folder(
        self, sides: Sides, old: str, new: str, delete: bool
    ) -> None:
        sides.fill({old: b"content", "z": b"z"})
        sides.run("pull")
        rename(sides.local, old, new)
        sides.fill({"A/b": b"there"})
        result = sides.run("push", delete=delete)
        clashes = {"A/b"} - {f"{new}/b"}
        mirrored = delete and not clashes  # `A/b` is below `A` wherever names are told apart as well
        assert told(result) == clashes
        assert sorted(moved(result)) == sorted([f"deleted {old}", f"miss {new}", *["deleted A/b"][:mirrored]])
        expected = {new: b"content", "z": b"z", **({} if mirrored else {"A/b": b"there"})}
        assert sides.remote() == expected

    def test_one_object_does_not_take_the_place_of_another(self, sides: Sides) -> None:
        sides.fill({"A.txt": b"upper", "a.txt": b"lower"})
        sides.run("pull")
        result = nbsync.pull("s3://b/p/a.txt", str(sides.local), **sides.settings)
        assert told(result) == {"a.txt"}
        sides.silent({"a.txt"})

    def test_what_is_excluded_is_not_replaced(self, sides: Sides) -> None:
        sides.fill({"A.txt": b"upper"})
        sides.run("pull")
        sides.fill({"a.txt": b"lower"})
        for delete in (False, True):
            for verb in ("pull", "push"):
                result = sides.run(verb, delete=delete, exclude=["A.txt"])
                assert (told(result), moved(result)) == ({"a.txt"}, [])
        del sides.store.keys["p/A.txt"]
        assert moved(sides.run("pull", delete=True, exclude=["A.txt"])) == []

    def test_a_plan_says_what_apply_does(self, sides: Sides, tmp_path: Path) -> None:
        sides.fill({"A.txt": b"upper", "a.txt": b"lower", "Dir/x": b"x", "dir/y": b"y"})
        plan = nbsync.plan("pull", "s3://b/p", str(sides.local), save=str(tmp_path / "plan"), **sides.settings)
        assert told(plan) == {"a.txt"}
        assert not sides.local.exists()
        result = nbsync.apply(str(tmp_path / "plan"))
        assert (told(result), len(result.changed)) == (set(), 3)
        sides.silent({"a.txt"})


LETTERS = ["STRASSE", "stra\u00dfe", "stra\u1e9ee", "\u0130", "i\u0307", "\u0131", "I", "\u017f", "S", "K", "\u212a",
           "\ufb01", "fi", "\u03c2", "\u03c3", "soft\u00adhyphen", "softhyphen"]  # fmt: skip


@pytest.mark.parametrize("mount", ["ci", "upper"], indirect=True)
def test_only_the_file_system_says_which_letters_are_one(sides: Sides) -> None:
    check_letters(sides)


@pytest.mark.parametrize("mount", ["upper"], indirect=True)
def test_a_file_is_not_in_the_way_of_a_folder_that_stands_beside_it(sides: Sides) -> None:
    """Their names fold to the same text, but this file system has both."""
    sides.fill({"stra\u1e9ee/x": b"old", "other": b"o"})
    sides.run("pull")
    (sides.local / "strasse").write_bytes(b"here")
    sides.fill({"stra\u1e9ee/x": b"new"})
    for delete in (False, True):
        assert moved(sides.run("pull", delete=delete)) == [["miss stra\u1e9ee/x"], ["deleted strasse"]][delete]
    assert sides.files() == {"other": b"o", "stra\u1e9ee/x": b"new"}


def test_on_exfat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which folds letter by letter, by a table of its own, and has no links."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with exfat() as mounted, serving() as store:
        (mounted / "sides").mkdir()
        check_letters(Sides(store, mounted / "sides" / "local"))


def check_letters(sides: Sides) -> None:
    probe = sides.local.parent / "probe"
    probe.mkdir()
    for letters in LETTERS:
        (probe / letters).touch()
    expected = len(os.listdir(probe))
    sides.fill({letters: letters.encode() for letters in LETTERS})

    clashes = told(sides.run("pull"))

    assert len(sides.files()) == expected == len(LETTERS) - len(clashes)
    sides.silent(clashes)


def test_mount_below_local_that_folds_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    local = tmp_path / "local"
    (local / "m m").mkdir(parents=True)
    with quirk("ci") as mounted, serving() as store:
        subprocess.run(["mount", "--bind", mounted.path, local / "m m"], check=True)
        try:
            sides = Sides(store, local)
            sides.begin_with("m m/Dir/x")
            sides.fill({path: path.encode() for path in ("A", "a", "m m/A", "m m/a", "m m/Dir/x", "m m/dir/y")})
            assert told(sides.run("pull")) == {"m m/a"}
            assert sides.spelled() == ["A", "a", "m m/A", "m m/Dir/x", "m m/Dir/y"]
            sides.silent({"m m/a"})
        finally:
            subprocess.run(["umount", "-l", local / "m m"], check=True)
