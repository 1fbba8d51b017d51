"""`plan --save` and `apply`: what was planned is done as planned, and what is no longer so is a conflict."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.cli import main
from nbsync.core import recheck
from nbsync.errors import GuardRefusal, NbsyncError, SyncProblems, UsageError
from nbsync.transfer.worker import Worker
from tests.functional.memory_world import MemoryWorld
from tests.functional.world import World, predict, tree
from tests.servers.memory import Answer, MemoryS3, Request, Send


def fill(world: World) -> None:
    """Something to do of each kind, in either direction."""
    world.fill_both("same", "changed", "gone-here", "gone-there", "deep/er")
    world.put("changed", b"theirs")
    world.unlink("gone-here")
    world.remove("gone-there")
    world.write("new-here", b"n")
    world.put("new-there", b"n")


def saved(world: World, direction: str, tmp_path: Path, **options: Any) -> Path:
    """A plan in a file."""
    path = tmp_path / "plan.jsonl"
    world.plan(direction, **options).save(path)
    return path


def rows(result: nbsync.SyncResult) -> dict[str, tuple[str, str]]:
    return {row.path: (row.status, row.reason) for row in result}


@pytest.mark.parametrize("direction", ["pull", "push"])
@pytest.mark.parametrize("delete", [False, True])
@pytest.mark.parametrize("way", ["file", "memory", "shell"])
def test_a_plan_that_is_applied_is_what_it_said(
    world: World, tmp_path: Path, direction: str, delete: bool, way: str
) -> None:
    fill(world)
    options = {"delete": delete, "overwrite_remote": True} if direction == "push" else {"delete": delete}
    plan = world.plan(direction, **options)
    expected = predict(plan, tree(world.local), world.objects())
    path = tmp_path / "plan.jsonl"
    plan.save(path)

    if way == "shell":
        assert main.main(["apply", str(path), "--quiet"]) == 0
    else:
        result = nbsync.apply(path) if way == "file" else plan.apply()
        assert (result.exit_code, result.command, result.direction) == (0, "apply", direction)
        assert {row.path for row in result} == {row.path for row in plan.changed}
        by_path = {row.path: row for row in plan}
        assert all((row.action, row.reason) == by_path[row.path][1:4:2] for row in result)

    assert (tree(world.local), world.objects()) == expected
    world.silent(direction, options)


def test_the_file_says_what_it_is_and_holds_no_credentials(world: World, tmp_path: Path) -> None:
    fill(world)
    path = saved(world, "pull", tmp_path, delete=True, exclude="*.tmp", jobs=3)
    header, *items = map(json.loads, path.read_text().splitlines())
    assert (header["kind"], header["format"], header["direction"]) == ("nbsync-plan", 1, "pull")
    assert (header["remote"], header["bucket"], header["prefix"]) == (world.remote, world.bucket, world.prefix)
    assert (header["local"], header["endpoint"], header["region"]) == (
        str(world.local), world.server.endpoint_url, "us-east-1")  # fmt: skip
    assert header["options"] == {"filters": [["exclude", "*.tmp"]], "delete": True, "jobs": 3}
    assert header["items"] == len(items) == 5
    by_path = {item["path"]: item for item in items}
    at = (world.local / "changed").stat()
    assert by_path["changed"]["local"] == {
        "size": at.st_size, "mtime_ns": at.st_mtime_ns, "ctime_ns": at.st_ctime_ns, "inode": at.st_ino}  # fmt: skip
    assert by_path["changed"]["remote"]["etag"] == world.head("changed")["ETag"].strip('"')
    assert by_path["new-here"]["remote"] is None
    secrets = [value for name, value in world.server.env().items() if "SECRET" in name or "TOKEN" in name]
    assert secrets
    assert not any(secret in path.read_text() for secret in secrets)
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".half")]


STALE: list[tuple[str, str, Callable[[World], object], str]] = [
    ("pull", "new-there", lambda w: w.put("new-there", b"again"), "changed in REMOTE"),
    ("pull", "new-there", lambda w: w.remove("new-there"), "gone in REMOTE"),
    ("pull", "new-there", lambda w: w.write("new-there", b"mine"), "appeared locally"),
    ("pull", "new-there", lambda w: w.write("new-there/mine", b"mine"), "is decided otherwise now"),
    ("pull", "changed", lambda w: w.write("changed", b"mine"), "changed locally"),
    ("pull", "changed", lambda w: w.unlink("changed"), "gone locally"),
    ("pull", "gone-there", lambda w: w.write("gone-there", b"mine"), "changed locally"),
    ("pull", "gone-there", lambda w: w.put("gone-there", b"gone-there"), "appeared in REMOTE"),
    ("push", "new-here", lambda w: w.write("new-here", b"again"), "changed locally"),
    ("push", "new-here", lambda w: w.unlink("new-here"), "gone locally"),
    ("push", "new-here", lambda w: w.put("new-here", b"x"), "appeared in REMOTE"),
    ("push", "changed", lambda w: w.put("changed", b"others"), "changed in REMOTE"),
    ("push", "changed", lambda w: w.remove("changed"), "gone in REMOTE"),
    ("push", "gone-here", lambda w: w.put("gone-here", b"others"), "changed in REMOTE"),
    ("push", "gone-here", lambda w: w.write("gone-here", b"gone-here"), "appeared locally"),
]


@pytest.mark.parametrize(
    ("direction", "path", "meddle", "why"), STALE, ids=[f"{way} {path}: {why}" for way, path, _, why in STALE]
)
def test_what_is_no_longer_as_planned_is_a_conflict_and_the_rest_is_done(
    world: World, tmp_path: Path, direction: str, path: str, meddle: Callable[[World], object], why: str
) -> None:
    fill(world)
    options = {"delete": True, "overwrite_remote": True} if direction == "push" else {"delete": True}
    file = saved(world, direction, tmp_path, **options)
    meddle(world)
    plan_paths = {json.loads(line)["path"] for line in file.read_text().splitlines()[1:]}
    here, there = world.files().get(path), world.objects().get(path)

    shown = nbsync.apply(file, dry_run=True)
    result = nbsync.apply(file)

    status, reason = rows(result)[path]
    assert status == "conflict"
    assert why in reason
    assert (world.files().get(path), world.objects().get(path)) == (here, there)
    assert rows(shown)[path] == (status, reason)
    assert [problem.kind for problem in result.problems] == ["conflict"]
    assert result.exit_code == shown.exit_code == 1
    assert {row.path for row in result} == plan_paths
    assert {row.status for row in result if row.path != path} <= {"miss", "deleted"}
    assert {row.status for row in shown if row.path != path} <= {"planned"}
    with pytest.raises(SyncProblems):
        nbsync.apply(file, strict=True)


DURING: list[tuple[str, str, str, Callable[[World], object], str]] = [
    ("pull", "GET", "new-there", lambda w: w.put("new-there", b"again"), recheck.CHANGED_IN_REMOTE),
    ("pull", "GET", "new-there", lambda w: w.remove("new-there"), recheck.CHANGED_IN_REMOTE),
    ("pull", "GET", "new-there", lambda w: w.write("new-there", b"mine"), recheck.CHANGED_LOCALLY),
    ("pull", "GET", "changed", lambda w: w.write("changed", b"mine"), recheck.CHANGED_LOCALLY),
    ("push", "PUT", "new-here", lambda w: w.put("new-here", b"x"), recheck.CHANGED_IN_REMOTE),
    ("push", "PUT", "changed", lambda w: w.put("changed", b"others"), recheck.CHANGED_IN_REMOTE),
    ("push", "DELETE", "gone-here", lambda w: w.put("gone-here", b"others"), recheck.CHANGED_IN_REMOTE),
]


@pytest.mark.parametrize(("direction", "method", "path", "meddle", "why"), DURING)
def test_what_changes_while_the_plan_is_applied_is_a_conflict(
    world: World, memory: MemoryS3, tmp_path: Path, direction: str, method: str, path: str,
    meddle: Callable[[World], object], why: str,
) -> None:  # fmt: skip
    fill(world)
    options = {"delete": True, "overwrite_remote": True} if direction == "push" else {"delete": True}
    file = saved(world, direction, tmp_path, **options)
    done: list[object] = []

    def hook(request: Request, send: Send) -> Answer:
        verb = "HEAD" if method == "DELETE" else method
        if request.method == verb and request.key == world.prefix + path and not done:
            done.append(meddle(world))
        return send(request)

    memory.hook(hook)
    result = nbsync.apply(file)

    assert done
    assert rows(result)[path] == ("conflict", why)
    assert result.exit_code == 1
    assert all(row.status in ("miss", "deleted") for row in result if row.path != path)
    world.no_staging_left()
    assert result.counts["conflict"] == 1


def test_a_file_that_is_edited_while_it_is_sent_is_a_conflict(world: World, memory: MemoryS3, tmp_path: Path) -> None:
    world.write("f", b"one")
    file = saved(world, "push", tmp_path)

    def hook(request: Request, send: Send) -> Answer:
        answer = send(request)
        if request.method == "PUT":
            world.write("f", b"two")
        return answer

    with memory.hooked(hook):
        result = nbsync.apply(file)
    assert rows(result)["f"] == ("conflict", recheck.CHANGED_LOCALLY)
    assert world.run("push")["f"].reason == "content differs", "the object is known as ours"
    assert world.get("f") == b"two"


@pytest.mark.parametrize("direction", ["pull", "push"])
@pytest.mark.parametrize("recorded", [True, False])
def test_applied_again_what_is_done_is_a_hit(world: World, tmp_path: Path, direction: str, recorded: bool) -> None:
    """As after a kill: some items are done and, killed early enough, not recorded."""
    fill(world)
    options = {"delete": True, "overwrite_remote": True} if direction == "push" else {"delete": True}
    file = saved(world, direction, tmp_path, **options)
    before = (world.local / ".nbsync" / "state.sqlite3").read_bytes()
    assert nbsync.apply(file).ok
    if not recorded:
        (world.local / ".nbsync" / "state.sqlite3").write_bytes(before)
    left = "new-there" if direction == "pull" else "new-here"
    (world.unlink if direction == "pull" else world.remove)(left)

    again = nbsync.apply(file)

    assert rows(again)[left][0] == "miss"
    assert {row.status for row in again if row.path != left} == {"hit"}
    assert "deleted already" in {row.reason for row in again}
    assert again.ok
    world.silent(direction, options)


def test_guards_hold(world: World, tmp_path: Path) -> None:
    world.fill_both("a", "b")
    world.remove("a", "b")
    world.put("c", b"1")
    file = saved(world, "pull", tmp_path, delete=True, max_delete=2)
    text = file.read_text()
    file.write_text(text.replace('"max_delete":2', '"max_delete":1'))
    with pytest.raises(GuardRefusal, match="max-delete"):
        nbsync.apply(file)
    assert set(world.files()) == {"a", "b"}
    file.write_text(text)
    world.remove("c")
    with pytest.raises(GuardRefusal, match="allow-empty-source"):
        nbsync.apply(file)
    assert set(world.files()) == {"a", "b"}


def test_nothing_beside_the_plan_is_done(world: World, tmp_path: Path) -> None:
    world.fill_both("kept")
    world.put("new", b"1")
    file = saved(world, "pull", tmp_path, delete=True)
    world.put("later", b"2")
    world.remove("kept")
    result = nbsync.apply(file)
    assert rows(result) == {"new": ("miss", "missing locally")}
    assert set(world.files()) == {"kept", "new"}


def test_a_folder_in_the_way_goes_as_planned(world: World, tmp_path: Path) -> None:
    world.write("a/x", b"mine")
    world.put("a", b"1")
    file = saved(world, "pull", tmp_path, delete=True)
    assert rows(nbsync.apply(file)) == {"a": ("miss", "replaces a local folder")}
    assert world.files() == {"a": b"1"}
    assert world.trash() == [("a/x", b"mine")]


def test_a_plan_of_listed_files_and_of_a_single_object(world: World, tmp_path: Path) -> None:
    for name in ("a", "b", "d/one", "d/two"):
        world.put(name, b"1")
    (tmp_path / "list").write_text("a\n")
    file = saved(world, "pull", tmp_path, files_from=tmp_path / "list")
    (tmp_path / "list").unlink()
    assert rows(nbsync.apply(file)) == {"a": ("miss", "missing locally")}
    nbsync.plan("pull", world.remote + "d/one", world.local).save(file)
    assert rows(nbsync.apply(file)) == {"one": ("miss", "missing locally")}
    assert set(world.files()) == {"a", "one"}


@pytest.mark.usefixtures("moto")
def test_a_plan_goes_elsewhere_only_if_asked(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("a", b"1")
    file = saved(world, "pull", tmp_path)
    other = world.server.endpoint_url.replace("127.0.0.1", "localhost")
    monkeypatch.setenv("AWS_ENDPOINT_URL", other)
    with pytest.raises(UsageError, match="the plan was made for"):
        nbsync.apply(file)
    assert not world.local.exists()
    assert nbsync.apply(file, endpoint_url=other).counts["miss"] == 1
    world.unlink("a")
    nbsync.plan("pull", world.remote, world.local, endpoint_url=other).save(file)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert nbsync.apply(file).counts["miss"] == 1, "the plan says where"


def test_retry_of_an_apply_is_of_its_items(world: World, memory: MemoryS3) -> None:
    for name in ("good", "bad"):
        world.put(name, b"x")
    plan = world.plan("pull")

    def hook(request: Request, send: Send) -> Answer:
        if request.method == "GET" and request.key.endswith("bad"):
            raise OSError(5, "not now")
        return send(request)

    with memory.hooked(hook):
        first = plan.apply(retries=0)
    world.put("new", b"x")
    assert rows(first.retry()) == {"bad": ("miss", "missing locally")}
    assert set(world.files()) == {"good", "bad"}


def test_a_plan_is_saved_whole_or_not_at_all(world: World, tmp_path: Path) -> None:
    world.put("a", b"1")
    older = tmp_path / "plan.jsonl"
    nbsync.plan("pull", world.remote, world.local, save=older)
    world.put("b", b"2")
    before = older.read_text()
    (tmp_path / "thesis").write_text("no plan")
    for bad in (tmp_path / "none" / "f", tmp_path, "/dev/null", tmp_path / "thesis"):
        with pytest.raises(NbsyncError, match="--save"):
            nbsync.plan("pull", world.remote, world.local, save=bad)
    with pytest.raises(NbsyncError):
        nbsync.plan("pull", "no-such-bucket-here", world.local, save=older)
    assert (older.read_text(), (tmp_path / "thesis").read_text()) == (before, "no plan")
    nbsync.plan("pull", world.remote, world.local, save=older)
    assert nbsync.apply(older).ok
    assert set(world.files()) == {"a", "b"}


def test_what_needs_no_reading_is_saved_in_the_order_of_the_paths(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several workers would end in any order."""
    monkeypatch.setattr(Worker, "perform", lambda *_: pytest.fail("a worker was asked"))
    for number in range(200):
        world.put(f"{number:03}", b"1")
    _, *items = saved(world, "pull", tmp_path).read_text().splitlines()
    assert [json.loads(item)["path"] for item in items] == [f"{number:03}" for number in range(200)]


def test_a_hostile_or_damaged_file_does_nothing(world: World, tmp_path: Path) -> None:
    for name in ("a", "b"):
        world.put(name, b"1")
    file = saved(world, "pull", tmp_path)
    header, first, second = file.read_text().splitlines()
    for lines, told in (
        ([header, first, second.replace('"b"', '"../b"')], r"line 3: has a path that would leave LOCAL"),
        ([header, first[:-5], second], r"line 2: is not the JSON of a plan"),
        ([header, first], r"has 1 items, and its first line says 2"),
        ([header, first, first], r"names a path twice"),
        ([header.replace('"format":1', '"format":2'), first, second], r"line 1: was written by a newer nbsync"),
        ([header.replace('"options":{}', '"options":{"logfile":"x"}'), first, second], r"'logfile' is no option"),
        ([header.replace('"options":{}', '"options":{"jobs":"many"}'), first, second], r"line 1: --jobs takes"),
        ([header.replace('"options":{}', '"options":{"metadata":[[]]}'), first, second], r"line 1"),
        ([], r"line 1: is not"),
    ):  # fmt: skip
        file.write_text("\n".join(lines) + "\n")
        with pytest.raises(UsageError, match=told):
            nbsync.apply(file)
        assert main.main(["apply", str(file), "--quiet"]) == 2
    file.write_bytes(header.encode() + b"\n" + first.encode().replace(b'"a"', b'"\xff"') + b"\n")
    with pytest.raises(UsageError, match="line 2"):
        nbsync.apply(file)
    with pytest.raises(NbsyncError, match="No such file"):
        nbsync.apply(tmp_path / "none")
    assert not world.local.exists()


def test_a_note_tells_what_the_plan_left_out(world: World, tmp_path: Path) -> None:
    world.put("../x", b"1")
    world.put("a", b"1")
    result = nbsync.apply(saved(world, "pull", tmp_path))
    assert result.exit_code == 0
    assert "not part of the plan, which said why: 1 skipped" in result.notes


def test_a_plan_as_of_a_time_is_applied_as_of_it(world: MemoryWorld, tmp_path: Path) -> None:
    world.held.versioning = "Enabled"
    world.put("a", b"then")
    moment = datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    world.held.keys[world.prefix + "a"][-1].modified = moment.timestamp()
    file = tmp_path / "plan.jsonl"
    plan = nbsync.plan("pull", world.remote, world.local, as_of=moment)
    plan.save(file)
    header, item = map(json.loads, file.read_text().splitlines())
    assert header["options"]["as_of"] == moment.strftime("%Y-%m-%dT%H:%M:%S.999999999Z")
    assert item["remote"]["version_id"] == world.head("a")["VersionId"]
    world.remove("a")

    assert rows(nbsync.apply(file)) == {"a": ("miss", "missing locally")}
    assert world.read("a") == b"then"
    assert nbsync.verify(world.local, world.remote, as_of=moment)["a"].status == "hit"
    assert nbsync.verify(world.local, world.remote, as_of=moment, download=True)["a"].evidence == "bytes"
    assert nbsync.verify(world.local, world.remote)["a"].reason == "missing in REMOTE"


def test_the_customers_key_is_in_no_plan(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"k" * 32)
    monkeypatch.chdir(tmp_path)
    world.put("a", b"1")
    file = tmp_path / "plan.jsonl"
    nbsync.plan("pull", world.remote, world.local, sse_c_key_file="key").save(file)
    assert json.loads(file.read_text().splitlines()[0])["options"] == {"sse_c_key_file": str(tmp_path / "key")}
    assert "kkkk" not in file.read_text()
