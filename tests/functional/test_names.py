"""Names that cannot be files, clashes, folder markers and nbsync's own state directory: scenario 15."""

from __future__ import annotations

import os
from typing import Any

import pytest

from nbsync.errors import LocalError
from tests.functional.world import World

UNSAFE = ["../x", "/etc/x", "a//b", "a/./b", "./c", "d/../e", "C:\\x", "C:/x", "back\\slash", "s" * 300,
          "t/" + "u" * 256, "..", "d/.."]  # fmt: skip


@pytest.fixture
def unsafe(world: World) -> list[str]:
    """Unsafe keys in the bucket, beside `ok`."""
    for key in UNSAFE:
        world.put(key, b"evil")
    world.put("ok", b"1")
    return UNSAFE


def test_unsafe_keys_are_reported_and_the_rest_goes_on(world: World, unsafe: list[str]) -> None:
    result = world.run("pull")

    assert {row.path: row.status for row in result} == {**dict.fromkeys(unsafe, "skipped"), "ok": "miss"}
    assert {problem.path for problem in result.problems if problem.kind == "unsafe-name"} == set(unsafe)
    assert (result.exit_code, world.files()) == (1, {"ok": b"1"})
    assert sorted(os.listdir(world.sandbox)) == ["beside", "local"]
    assert result.requests["get"] == 1


def test_unsafe_keys_are_not_deleted_by_a_push(world: World, unsafe: list[str]) -> None:
    world.write("ok", b"1")

    assert world.run("push", delete=True).ok
    assert sorted(world.keys()) == sorted([*unsafe, "ok"])


def test_excluded_unsafe_keys_are_no_problem(world: World, unsafe: list[str]) -> None:
    assert world.run("pull", filters=[("exclude", "*"), ("include", "ok")]).ok


def test_nul_in_a_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbsync.s3 import listing

    real = listing.fetch_page

    def fetch_page(*words: Any, **more: Any) -> listing.Page:
        page = real(*words, **more)
        return page._replace(entries=[entry._replace(path="a\0b", key="p/a\0b") for entry in page.entries])

    monkeypatch.setattr(listing, "fetch_page", fetch_page)
    world.put("x", b"1")

    assert world.run("pull")["a\0b"].status == "skipped"


def test_file_beside_a_folder_of_its_name(world: World) -> None:
    world.put("a", b"file")
    world.put("a/b", b"below")
    world.put("a-b", b"between")

    result = world.pull()

    assert {row.path: row.status for row in result} == {"a": "skipped", "a/b": "miss", "a-b": "miss"}
    assert ([problem.kind for problem in result.problems], result.exit_code) == (["name-clash"], 1)


def test_folder_markers(world: World) -> None:
    world.put("", b"")
    world.put("empty/")
    world.put("full/", b"content")
    world.put("full/x", b"1")
    world.write("empty/mine", b"1")

    result = world.run("pull", delete=True)

    assert [(problem.path, problem.kind) for problem in result.problems] == [("full/", "unsafe-name")]
    assert world.files() == {"full/x": b"1"}
    assert world.run("push", delete=True).counts["deleted"] == 0
    assert world.keys() == ["", "empty/", "full/", "full/x"]


OWN = [".nbsync/x", "sub/.nbsync/state.sqlite3", "sub/.NBSYNC/x", ".Nbsync", "deep/er/.nbSync/y", ".nb\u017fync/z"]


def test_own_room_is_never_synced(world: World) -> None:
    for path in OWN:
        world.put(path, b"theirs")
        world.write(f"from local/{path}", b"ours")
    world.put("ok", b"1")
    world.put(".nbsync2", b"2")
    world.put("x.nbsync", b"3")
    ours = [path for path in world.files() if path.startswith("from local")]
    assert not ours, "the checker does not see them"

    assert sorted(row.path for row in world.pull(delete=True)) == [".nbsync2", "ok", "x.nbsync"]
    assert sorted(row.path for row in world.push(delete=True)) == [".nbsync2", "ok", "x.nbsync"]
    assert sorted(world.keys()) == sorted([*OWN, ".nbsync2", "ok", "x.nbsync"])
    for path in OWN:
        assert world.read(f"from local/{path}") == b"ours"


@pytest.mark.parametrize("part", ["", "stage", "trash"])
def test_room_that_is_a_link_is_not_written_through(world: World, part: str) -> None:
    elsewhere = world.sandbox / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_bytes(b"1")
    world.put("f", b"1")
    state_dir = world.local / ".nbsync"
    (state_dir if part else world.local).mkdir(parents=True)
    (state_dir / part if part else state_dir).symlink_to(elsewhere)

    assert isinstance(world.refused("pull"), LocalError)
    assert os.listdir(elsewhere) == ["precious"]


@pytest.mark.parametrize("name", ["back\\slash", "n" * 200 + "\\"])
def test_local_names_that_are_no_keys_everywhere(world: World, name: str) -> None:
    world.write(name, b"1")
    world.write("ok", b"1")

    result = world.push()

    assert [(p.path, p.kind) for p in result.problems] == [(name, "unsafe-name")]
    assert world.keys() == ["ok"]


def test_newline_in_a_local_name(world: World) -> None:
    """moto answers 404 for such keys; the row fails and the rest goes on."""
    world.write("line\nbreak", b"1")
    world.write("ok", b"1")

    result = world.run("push")

    assert result["ok"].status == "miss"
    assert all("\n" not in str(problem.message) for problem in result.problems)
