"""What the options do: push headers, compare modes, limits, archived objects, the lock."""

from __future__ import annotations

import fcntl
import os
import threading
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

import nbsync
from nbsync.errors import AccessDenied, GuardRefusal, LockedError, NoSuchBucket, SyncProblems, UsageError
from nbsync.local import state_dir
from nbsync.transfer.rate_limiter import Limiter
from tests.functional.world import World

HEADERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"ContentType": "text/csv"}),
    ({"content_type": "x/y"}, {"ContentType": "x/y"}),
    ({"content_encoding": "gzip"}, {"ContentEncoding": "gzip"}),
    ({"content_disposition": "attachment"}, {"ContentDisposition": "attachment"}),
    ({"content_language": "de"}, {"ContentLanguage": "de"}),
    ({"cache_control": "max-age=3600"}, {"CacheControl": "max-age=3600"}),
    ({"expires": "Wed, 21 Oct 2026 07:28:00 GMT"}, {"Expires": datetime(2026, 10, 21, 7, 28, tzinfo=timezone.utc)}),
    ({"storage_class": "STANDARD_IA"}, {"StorageClass": "STANDARD_IA"}),
    ({"sse": "AES256"}, {"ServerSideEncryption": "AES256"}),
    ({"sse": "aws:kms", "sse_kms_key_id": "my-key"}, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "my-key"}),
]


@pytest.mark.parametrize(("options", "told"), HEADERS, ids=lambda value: next(iter(value), "guessed"))
def test_push_headers(world: World, options: dict[str, Any], told: dict[str, Any]) -> None:
    world.write("f.csv", b"1,2")

    world.push(**options)

    head = world.head("f.csv")
    assert {name: head[name] for name in told} == told


def test_metadata_and_tags(world: World) -> None:
    world.write("f", b"1")

    world.push(metadata={"Who": "me"}, tag=[("team", "a b"), ("x", "1=2+3@/")])

    assert world.head("f")["Metadata"].keys() == {"who", "mtime"}
    tags = world.server.s3.get_object_tagging(Bucket=world.bucket, Key="p/f")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "a b", "x": "1=2+3@/"}


def test_acl(world: World) -> None:
    world.write("f", b"1")
    world.push(acl="public-read")

    grants = world.server.s3.get_object_acl(Bucket=world.bucket, Key="p/f")["Grants"]
    assert "READ" in {grant["Permission"] for grant in grants}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.csv", "text/csv"), ("a.json", "application/json"), ("a.tar.gz", "application/gzip"),
     ("a.unknown-ending", "application/octet-stream"), ("README", "application/octet-stream"),
     ("a.html", "text/html"), ("A.PNG", "image/png")],
)  # fmt: skip
def test_content_type_is_guessed(world: World, name: str, kind: str) -> None:
    world.write(name, b"1")
    world.push()
    assert world.head(name)["ContentType"] == kind


def test_a_hit_is_not_touched_for_a_header(world: World) -> None:
    world.write("f", b"1")
    world.push(content_type="x/old")

    assert world.push(content_type="x/new")["f"].status == "hit"
    assert world.head("f")["ContentType"] == "x/old"


@pytest.mark.parametrize(
    "options", [{"metadata": {"a b": "c"}}, {"metadata": {"a": "\xe9"}}, {"cache_control": "\xe9"}]
)
def test_header_that_cannot_be(world: World, options: dict[str, Any]) -> None:
    world.write("f", b"1")
    with pytest.raises(UsageError):
        world.run("push", **options)


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_compare_size(world: World, direction: str) -> None:
    world.put("same size", b"remote")
    world.write("same size", b"local!")
    world.put("other", b"1")
    world.write("other", b"22")
    done = world.pull if direction == "pull" else world.push

    result = done(compare="size")

    assert {row.path: (row.status, row.evidence) for row in result} == {
        "same size": ("hit", "size"), "other": ("miss", "size")}  # fmt: skip
    assert world.read("same size") == b"local!"


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_compare_size_and_mtime(world: World, direction: str) -> None:
    for name in ("same time", "other time"):
        world.put(name, b"remote")
    times = {entry.path: entry.last_modified_ns for entry in nbsync.ls(world.remote)}
    world.write("same time", b"local!", mtime_ns=times["same time"] + 999)
    world.write("other time", b"local!", mtime_ns=times["other time"] - 10**9)
    done = world.pull if direction == "pull" else world.push

    result = done(compare="size-mtime")

    assert {row.path: (row.status, row.evidence) for row in result} == {
        "same time": ("hit", "metadata"), "other time": ("miss", "metadata")}  # fmt: skip


def test_archived_objects(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"missing": b"1", "same": b"2", "differs": b"3", "other size": b"4", "instant": b"5"}
    monkeypatch.setattr(world, "get", content.get)  # an archived object cannot be fetched to compare
    world.put("missing", b"1", StorageClass="GLACIER")
    world.put("same", b"2", StorageClass="DEEP_ARCHIVE")
    world.put("differs", b"3", StorageClass="GLACIER")
    world.put("other size", b"4", StorageClass="GLACIER")
    world.put("instant", b"5", StorageClass="GLACIER_IR")
    world.write("same", b"2")
    world.write("differs", b"x")
    world.write("other size", b"xx")

    result = world.pull(delete=True)

    assert {row.path: row.status for row in result} == {
        "missing": "skipped", "same": "hit", "differs": "skipped", "other size": "skipped",
        "instant": "miss"}  # fmt: skip
    assert [problem.kind for problem in result.problems] == ["archived"] * 3
    assert (result.exit_code, result["differs"].action) == (1, "none")
    assert world.run("push")["differs"].status == "miss", "a push may replace it"


@pytest.mark.parametrize("jobs", [1, 2, 32])
def test_jobs(world: World, jobs: int) -> None:
    for number in range(12):
        world.put(f"{number}", b"%d" % number)

    assert world.pull(jobs=jobs).counts["miss"] == 12


def test_bandwidth_is_asked_for_every_byte(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(Limiter, "take", lambda self, count: taken.append(count))
    world.put("small", b"x" * 1000)
    world.put("large", b"x" * 300_000)
    world.pull(bandwidth="1MB/s")
    assert sum(taken) == 301_000

    taken.clear()
    world.write("small", b"y" * 1000)
    world.push(bandwidth="1MB/s")
    assert sum(taken) == 1000


def test_no_room_on_the_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole blocks count, and what the state takes for a file."""
    for name in ("f", "g"):
        world.put(name, b"x" * 1000)
    disk = SimpleNamespace(f_blocks=9, f_bavail=2, f_frsize=1024, f_files=1000, f_favail=100)
    monkeypatch.setattr("nbsync.engine.disk_need.os.statvfs", lambda _place: disk)

    error = world.refused("pull")
    assert isinstance(error, GuardRefusal)
    assert not world.local.exists()

    disk.f_bavail = 3
    for disk.f_favail in (1, 0):
        assert isinstance(world.refused("pull"), GuardRefusal)

    disk.f_files = 0  # this file system does not count them
    assert world.run("pull").counts["miss"] == 2


def test_strict_raises(world: World) -> None:
    world.put("a", b"1")
    world.put("a/b", b"1")
    with pytest.raises(SyncProblems, match="folder of other objects"):
        nbsync.pull(world.remote, world.local, strict=True)


def test_no_such_bucket(world: World) -> None:
    world.bucket = "no-such-bucket-here"
    world.write("f", b"1")
    for sync in (lambda: nbsync.pull(world.remote, world.local), lambda: nbsync.push(world.local, world.remote)):
        with pytest.raises(NoSuchBucket, match="no such bucket"):
            sync()
    assert not (world.local / ".nbsync").exists()


def test_access_denied_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbsync.wire.client import Client
    from nbsync.wire.errors import ServiceError

    def denied(*_: Any, **__: Any) -> None:
        raise ServiceError(403, "AccessDenied", "no")

    monkeypatch.setattr(Client, "request", denied)
    assert isinstance(world.refused("pull"), AccessDenied)
    assert not world.local.exists()


# ---- two runs on one LOCAL --------------------------------------------------------------------------


def test_locked_local_is_refused_in_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill_both("f")
    world.put("f", b"new")
    monkeypatch.setattr(state_dir, "LOCK_WAIT_SECONDS", 0.1)
    with (world.local / ".nbsync" / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        error = world.refused("pull")
        assert isinstance(error, LockedError)
        assert (error.exit_code, f"process {os.getpid()}" in str(error)) == (3, True)
        assert world.plan("pull").counts["planned"] == 1, "a plan needs no lock"
    assert world.pull()["f"].status == "miss"


@pytest.mark.usefixtures("by_workers")
def test_second_run_waits_for_the_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        world.put(f"{number}", b"%d" % number)
    first_is_in, go_on = threading.Event(), threading.Event()
    from nbsync.transfer import pull_actions

    real = pull_actions.download

    def download(*words: Any) -> Any:
        first_is_in.set()
        go_on.wait(20)
        return real(*words)

    monkeypatch.setattr(pull_actions, "download", download)
    first = nbsync.pull(world.remote, world.local, background=True)
    first_is_in.wait(20)
    second = nbsync.pull(world.remote, world.local, background=True)
    assert not second.done
    go_on.set()

    results = [first.wait(), second.wait()]

    assert [(result.counts["miss"], result.counts["hit"], result.ok) for result in results] == [
        (20, 0, True), (0, 20, True)]  # fmt: skip
    world.silent("pull")
