"""Keys that are one file on LOCAL's file system (contract rule 12), where case is folded or names are decomposed."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync import SyncResult
from tests.quirks.mounts import quirk
from tests.quirks.store import Store, serving
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
