"""`sync`: each side gets what the other changed; what both changed is a conflict that people can end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync import SyncResult
from nbsync.errors import GuardRefusal, UsageError
from tests.functional.world import World

OLD, HERE, THERE = b"as it was synced", b"as edited here!!", b"edited in REMOTE"  # of one size: content decides
LONGER = b"a longer version"


def sync(world: World, **options: Any) -> SyncResult:
    return nbsync.sync(world.local, world.remote, **options)


def rows(result: SyncResult) -> dict[str, tuple[str, str]]:
    return {row.path: (row.action, row.status) for row in result.files if row.status != "hit"}


def both(world: World) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Files and objects, by path."""
    files = {
        str(path.relative_to(world.local)): path.read_bytes() for path in world.local.rglob("*")
        if path.is_file() and ".nbsync" not in path.parts
    }  # fmt: skip
    return files, {key: world.get(key) for key in list(world.keys())}


@pytest.fixture
def synced(world: World) -> World:
    """Both sides hold f and g, and more; all is recorded."""
    for name in ("f", "g", *(f"more/{n}" for n in range(3))):
        world.put(name, OLD)
    result = sync(world)
    assert result.ok
    assert result.counts["miss"] == 5
    return world


def write(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def put(world: World, name: str, content: bytes | None) -> None:
    if content is None:
        world.remove(name)
    else:
        world.put(name, content)


@pytest.mark.parametrize(
    ("here", "there", "row", "end"),
    [
        (OLD, OLD, None, (OLD, OLD)),
        (HERE, OLD, ("upload", "miss"), (HERE, HERE)),
        (OLD, THERE, ("download", "miss"), (THERE, THERE)),
        (HERE, HERE, None, (HERE, HERE)),
        (HERE, THERE, ("none", "conflict"), (HERE, THERE)),
        (None, OLD, ("delete-remote", "deleted"), (None, None)),
        (OLD, None, ("delete-local", "deleted"), (None, None)),
        (None, THERE, ("download", "miss"), (THERE, THERE)),
        (HERE, None, ("upload", "miss"), (HERE, HERE)),
        (None, None, None, (None, None)),
    ],
)
def test_what_each_side_changed_goes_to_the_other(
    synced: World, here: bytes | None, there: bytes | None, row: Any, end: tuple[bytes | None, bytes | None]
) -> None:
    if here != OLD:
        write(synced.local / "f", here)
    if there != OLD:
        put(synced, "f", there)
    before = both(synced)
    planned = sync(synced, dry_run=True)
    assert both(synced) == before
    result = sync(synced)
    wanted = {"f": row} if row else {}
    assert rows(result) == wanted
    shown = {
        path: (action, "planned" if status in ("miss", "deleted") else status)
        for path, (action, status) in wanted.items()
    }
    assert rows(planned) == shown
    assert result.exit_code == planned.exit_code == (1 if row == ("none", "conflict") else 0)
    files, objects = both(synced)
    assert (files.get("f"), objects.get("f")) == end
    again = sync(synced)
    assert rows(again) == ({"f": row} if row == ("none", "conflict") else {})
    assert again.requests["put"] == again.requests["delete"] == 0


def test_a_second_sync_costs_one_list(synced: World) -> None:
    again = sync(synced)
    assert f"sync {synced.local} ↔ s3://" in str(again)
    assert again.counts["hit"] == 5
    assert {name: count for name, count in again.requests.items() if count} == {"list": 1}


def test_a_file_that_was_only_touched_was_not_edited(synced: World) -> None:
    os.utime(synced.local / "f", ns=(5, 5))
    os.utime(synced.local / "g", ns=(5, 5))
    synced.put("f", THERE)
    synced.remove("g")
    assert rows(sync(synced)) == {"f": ("download", "miss"), "g": ("delete-local", "deleted")}
    assert both(synced)[0]["f"] == THERE


def test_a_first_sync_deletes_nothing(world: World) -> None:
    write(world.local / "here", HERE)
    write(world.local / "same", OLD)
    write(world.local / "differs", HERE)
    for name, content in (("there", THERE), ("same", OLD), ("differs", THERE)):
        world.put(name, content)
    result = sync(world)
    assert rows(result) == {
        "here": ("upload", "miss"), "there": ("download", "miss"), "differs": ("none", "conflict"),
    }  # fmt: skip
    assert result.exit_code == 1


def conflict(world: World) -> None:
    write(world.local / "f", HERE)
    world.put("f", THERE)


def test_a_side_is_taken_and_the_other_is_kept_in_the_trash(synced: World) -> None:
    conflict(synced)
    result = sync(synced, on_conflict="remote")
    assert rows(result) == {"f": ("download", "miss")}
    assert [both(synced)[side]["f"] for side in (0, 1)] == [THERE, THERE]
    assert HERE in trash(synced)
    conflict(synced)
    synced.put("f", LONGER)
    assert rows(sync(synced, on_conflict="local")) == {"f": ("upload", "miss")}
    assert [both(synced)[side]["f"] for side in (0, 1)] == [HERE, HERE]
    assert LONGER in trash(synced)
    assert sync(synced).counts["hit"] == 5


def trash(world: World) -> list[bytes]:
    return [path.read_bytes() for path in (world.local / ".nbsync" / "trash").rglob("*") if path.is_file()]


def test_both_are_kept_on_both_sides(synced: World) -> None:
    conflict(synced)
    planned = sync(synced, on_conflict="both", dry_run=True)
    result = sync(synced, on_conflict="both")
    assert result.exit_code == 0
    files, objects = both(synced)
    assert files == objects
    (copy,) = set(files) - {"f", "g", "more/0", "more/1", "more/2"}
    assert copy.startswith("f.conflict-")
    assert (files["f"], files[copy]) == (THERE, HERE)
    assert rows(result) == {"f": ("download", "miss"), copy: ("upload", "miss")}
    assert sorted(row.action for row in planned.files if row.status == "planned") == ["download", "upload"]
    assert sync(synced).counts["hit"] == 6


@pytest.mark.parametrize("lost", ["local", "remote"])
def test_a_side_that_lost_everything_is_refused(synced: World, lost: str) -> None:
    for name in list(both(synced)[0]):
        if lost == "local":
            (synced.local / name).unlink()
        else:
            synced.remove(name)
    before = both(synced)
    with pytest.raises(GuardRefusal, match="5 were synced"):
        sync(synced)
    assert both(synced) == before
    sync(synced, allow_empty_source=True)
    assert both(synced) == ({}, {})


def test_more_deletes_than_half_are_refused(world: World) -> None:
    for n in range(30):
        world.put(f"{n:02}", OLD)
    sync(world)
    for n in range(16):
        if n % 2:
            (world.local / f"{n:02}").unlink()
        else:
            world.remove(f"{n:02}")
    before = both(world)
    with pytest.raises(GuardRefusal, match="16 of the 30"):
        sync(world)
    with pytest.raises(GuardRefusal, match="--max-delete 15"):
        sync(world, max_delete=15)
    assert both(world) == before
    assert sync(world, max_delete=16).counts["deleted"] == 16


def test_filters_hold_on_both_sides(synced: World) -> None:
    write(synced.local / "f", HERE)
    synced.put("g", THERE)
    (synced.local / "more/0").unlink()
    synced.remove("more/1")
    assert rows(sync(synced, exclude=["f", "g", "more/*"])) == {}
    assert set(rows(sync(synced, exclude=["more/*"]))) == {"f", "g"}


IN_THE_WAY: list[tuple[Callable[[World], None], dict[str, tuple[str, str]]]] = [
    (lambda world: (world.remove("f"), world.put("f/x", THERE)), {"f/x": ("download", "miss")}),
    (
        lambda world: (write(world.local / "f", HERE), world.remove("f"), world.put("f/x", THERE)),
        {"f/x": ("none", "conflict")},
    ),
    (
        lambda world: (world.remove("more/0", "more/1", "more/2"), world.put("more", THERE)),
        {"more": ("download", "miss")},
    ),
    (
        lambda world: (
            write(world.local / "more/1", HERE), world.remove("more/0", "more/1", "more/2"), world.put("more", THERE),
        ),
        {"more": ("none", "conflict")},
    ),
    (
        lambda world: (write(world.local / "f", None), write(world.local / "f/x", HERE)),
        {"f": ("delete-remote", "deleted"), "f/x": ("upload", "miss")},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), IN_THE_WAY)
def test_what_is_in_the_way(
    synced: World, change: Callable[[World], None], expected: dict[str, tuple[str, str]]
) -> None:
    change(synced)
    before = both(synced)
    found = sync(synced)
    assert rows(found) == expected
    if found.exit_code:
        assert both(synced) == before
    else:
        assert both(synced)[0] == both(synced)[1]
        assert rows(sync(synced)) == {}


def test_a_saved_plan_is_done(synced: World, tmp_path: Path) -> None:
    write(synced.local / "f", HERE)
    put(synced, "g", THERE)
    write(synced.local / "n", b"new")
    write(synced.local / "more/0", None)
    os.utime(synced.local / "more/1")  # touched, and gone there
    put(synced, "more/1", None)
    plan = nbsync.plan("sync", synced.local, synced.remote)
    plan.save(tmp_path / "plan.jsonl")
    done = nbsync.apply(tmp_path / "plan.jsonl")
    assert done.ok
    assert set(rows(done)) == set(rows(plan)) == {"f", "g", "n", "more/0", "more/1"}
    files, objects = both(synced)
    assert files == objects == {"f": HERE, "g": THERE, "n": b"new", "more/2": OLD}


@pytest.mark.parametrize("side", ["local", "remote", "both"])
def test_a_saved_plan_ends_conflicts_as_it_says(synced: World, tmp_path: Path, side: str) -> None:
    write(synced.local / "f", HERE)
    put(synced, "f", THERE)
    nbsync.plan("sync", synced.local, synced.remote, on_conflict=side).save(tmp_path / "plan.jsonl")
    done = nbsync.apply(tmp_path / "plan.jsonl")
    assert done.ok
    files, objects = both(synced)
    assert files == objects
    assert {HERE, THERE} <= {*files.values(), *(content for _, content in synced.trash())}
    assert len(files) == (6 if side == "both" else 5)


def test_the_one_object_that_was_synced_is_meant_when_it_is_gone(synced: World) -> None:
    local = synced.local.parent / "one"
    write(local / "other", b"nobody's business")
    remote = f"{synced.remote.rstrip('/')}/f"
    assert rows(nbsync.sync(local, remote)) == {"f": ("download", "miss")}
    synced.remove("f")
    with pytest.raises(GuardRefusal, match="has no objects"):
        nbsync.sync(local, remote)
    result = nbsync.sync(local, remote, allow_empty_source=True)
    assert rows(result) == {"f": ("delete-local", "deleted")}
    assert [path.name for path in local.iterdir() if path.name != ".nbsync"] == ["other"]
    assert "f" not in both(synced)[1]


def test_an_edit_while_its_object_is_fetched_is_a_conflict(synced: World, memory: Any) -> None:
    put(synced, "f", THERE)

    def edited(request: Any, send: Any) -> Any:
        answer = send(request)
        if request.method == "GET" and "list-type" not in str(request):
            write(synced.local / "f", HERE)
        return answer

    with memory.hooked(edited):
        result = sync(synced)
    assert rows(result) == {"f": ("download", "conflict")}
    files, objects = both(synced)
    assert (files["f"], objects["f"]) == (HERE, THERE)


def test_a_sync_is_remembered(synced: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(synced.local)
    status = nbsync.status(synced.local)
    assert f"synced both ways with s3://{synced.bucket}/{synced.prefix}" in status._repr_mimebundle_()["text/plain"]
    with pytest.raises(UsageError, match=f"the last sync was: sync s3://{synced.bucket}/"):
        nbsync.push()
