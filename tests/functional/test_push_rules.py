"""The table of rule 3, row by row: what a push does with what others did. Scenarios 18 and 19."""

from __future__ import annotations

import hashlib
import os
import threading
from typing import Any

import pytest

import nbsync
from nbsync.transfer import push_actions, upload
from tests.functional.world import World

pytestmark = pytest.mark.usefixtures("by_workers")

CONFLICT = "changed in REMOTE since the last sync: pull it, or push with --overwrite-remote"


def conditions(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Collects the conditions of the PUTs that are made."""
    seen: list[dict[str, str]] = []
    real = upload.store

    def store(ctx: Any, local: Any, key: str, condition: dict[str, str], *rest: Any, **more: Any) -> Any:
        seen.append(condition)
        return real(ctx, local, key, condition, *rest, **more)

    monkeypatch.setattr("nbsync.transfer.push_actions.store", store)
    return seen


def test_no_row_and_absent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = conditions(monkeypatch)
    world.write("f", b"1")

    assert world.push()["f"].reason == "missing in REMOTE"
    assert seen == [{"if-none-match": "*"}]


def test_no_row_and_different(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = conditions(monkeypatch)
    etag = world.put("f", b"theirs")
    world.write("f", b"mine!!")

    result = world.push()

    assert (result["f"].status, result["f"].reason) == ("miss", "replaces an object never synced here")
    assert seen == [{"if-match": etag}]
    assert any("no record" in note for note in result.notes)


def test_row_as_recorded_and_file_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill_both("f")
    seen = conditions(monkeypatch)
    world.write("f", b"edited")

    assert world.push()["f"].reason == "content differs"
    assert seen == [{"if-match": md5(b"f")}]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.mark.parametrize("edited", [False, True])
def test_row_moved_with_the_files_content(world: World, edited: bool) -> None:
    """A hit, and the row is renewed: the next edit goes through without a conflict."""
    world.fill_both("f")
    content = b"e" if edited else b"f"
    if edited:
        world.write("f", content)
        world.put("f", content)
    else:
        other_parts(world, "f", content)

    assert (world.push()["f"].status, world.push()["f"].evidence) == ("hit", "state")
    world.write("f", b"later edit")
    assert world.push()["f"].status == "miss"


def other_parts(world: World, path: str, content: bytes) -> None:
    """Store the same content under another ETag: as a multipart upload of one part."""
    s3, where = world.server.s3, {"Bucket": world.bucket, "Key": world.prefix + path}
    upload_id = s3.create_multipart_upload(**where)["UploadId"]
    etag = s3.upload_part(**where, UploadId=upload_id, PartNumber=1, Body=content)["ETag"]
    parts = {"Parts": [{"ETag": etag, "PartNumber": 1}]}
    s3.complete_multipart_upload(**where, UploadId=upload_id, MultipartUpload=parts)


@pytest.mark.parametrize("theirs", [b"x", b"longer"], ids=["same size", "other size"])
@pytest.mark.parametrize("mine", [None, b"y", b"also longer"], ids=["unchanged", "same size", "other size"])
def test_row_moved_and_different_is_a_conflict(world: World, theirs: bytes, mine: bytes | None) -> None:
    world.fill_both("f", "other")
    world.put("f", theirs)
    if mine is not None:
        world.write("f", mine)
    world.write("other", b"goes on")

    for _ in range(2):
        result = world.push()
        assert (result["f"].action, result["f"].status, result["f"].reason) == ("none", "conflict", CONFLICT)
        assert (result.exit_code, world.get("f"), world.get("other")) == (1, theirs, b"goes on")
    assert [(problem.path, problem.kind) for problem in result.problems] == [("f", "conflict")]
    world.push(overwrite_remote=True)
    assert world.get("f") == (b"f" if mine is None else mine)


def test_pull_ends_a_conflict(world: World) -> None:
    world.fill_both("f")
    world.put("f", b"theirs")
    world.write("f", b"mine")
    assert world.push()["f"].status == "conflict"

    world.pull()
    assert world.trash() == [("f", b"mine")]
    world.write("f", b"mine again")
    assert world.push()["f"].status == "miss"


@pytest.mark.parametrize("edited", [False, True])
def test_row_gone(world: World, monkeypatch: pytest.MonkeyPatch, edited: bool) -> None:
    world.fill_both("f")
    world.remove("f")
    if edited:
        world.write("f", b"edited")
    seen = conditions(monkeypatch)

    assert world.push()["f"].reason == "gone from REMOTE"
    assert seen == [{"if-none-match": "*"}]


def test_delete_of_what_moved_since(world: World) -> None:
    world.fill_both("f", "g", "h")
    world.put("f", b"theirs")
    world.unlink("f")
    world.unlink("g")

    result = world.push(delete=True)

    assert (result["f"].status, result["g"].status) == ("conflict", "deleted")
    assert world.objects() == {"f": b"theirs", "h": b"h"}


def test_last_modified_alone_is_no_change(world: World) -> None:
    """The same bytes stored again: another LastModified, the same ETag."""
    world.fill_both("f")
    world.put("f", b"f")
    world.write("f", b"edited")

    assert world.push()["f"].status == "miss"


# ---- others at work during the push -----------------------------------------------------------------


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Do `act(local entry)` once, after a push was decided and before its first PUT."""
    real, todo = upload.store, [act]

    def store(ctx: Any, local: Any, *rest: Any, **more: Any) -> Any:
        if todo:
            todo.pop()(local)
        return real(ctx, local, *rest, **more)

    monkeypatch.setattr("nbsync.transfer.push_actions.store", store)


@pytest.mark.parametrize("existing", [False, True])
def test_object_changed_before_the_put(world: World, monkeypatch: pytest.MonkeyPatch, existing: bool) -> None:
    if existing:
        world.fill_both("f")
    world.write("f", b"mine")
    meanwhile(monkeypatch, lambda _: world.put("f", b"theirs"))

    result = world.run("push")

    assert (result["f"].status, result.exit_code, world.get("f")) == ("conflict", 1, b"theirs")


def test_object_changed_before_the_put_and_overwrite_remote(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("f", b"mine")
    meanwhile(monkeypatch, lambda _: world.put("f", b"theirs"))

    assert world.run("push", overwrite_remote=True)["f"].status == "miss"
    assert world.get("f") == b"mine"
    world.silent("push")


def test_object_removed_before_the_put(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill_both("f")
    world.write("f", b"mine")
    meanwhile(monkeypatch, lambda _: world.remove("f"))

    assert world.run("push")["f"].status == "conflict"
    assert world.push()["f"].status == "miss"


def test_file_and_object_both_change_before_the_put(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking the file up again must not take the other's object for the one that was decided on."""
    world.fill_both("f")
    world.write("f", b"mine")

    def both(_: Any) -> None:
        world.put("f", b"theirs")
        world.write("f", b"mine, again")

    meanwhile(monkeypatch, both)

    assert world.run("push")["f"].status == "conflict"
    assert world.get("f") == b"theirs"


def test_file_changed_before_the_put(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("f", b"mine")
    meanwhile(monkeypatch, lambda _: world.write("f", b"mine, again"))

    assert world.run("push")["f"].status == "miss"
    assert world.get("f") == b"mine, again"
    world.silent("push")


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_file_changed_while_it_is_uploaded(world: World, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """What was sent is noticed to be old when the answer is there: it is sent again, under our own ETag."""
    world.write("f", b"a" * size)
    real, todo = upload._put, [b"b" * size]

    def put(*words: Any, **more: Any) -> Any:
        stored = real(*words, **more)
        if todo:
            world.write("f", todo.pop())
        return stored

    monkeypatch.setattr(upload, "_put", put)

    assert world.run("push")["f"].status == "miss"
    assert world.get("f") == b"b" * size
    world.silent("push")


def test_file_that_never_rests_fails_and_is_not_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("f", b"0")
    real, count = upload._put, iter(range(100))

    def put(*words: Any, **more: Any) -> Any:
        stored = real(*words, **more)
        world.write("f", b"%d" % next(count))
        return stored

    monkeypatch.setattr(upload, "_put", put)
    result = world.run("push")
    monkeypatch.undo()

    assert (result["f"].status, result.exit_code) == ("failed", 1)
    assert "changed while it was read" in str(result["f"].error)


def test_file_that_vanishes_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("f", b"1")
    world.write("g", b"2")
    meanwhile(monkeypatch, lambda local: world.unlink(local.path))

    result = world.run("push", jobs=1)

    assert sorted(row.status for row in result) == ["failed", "miss"]
    assert len(world.keys()) == 1


def test_object_changed_before_its_delete(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill_both("f", "g")
    world.unlink("f")
    real = push_actions.delete_remote

    def delete_remote(*words: Any, **more: Any) -> Any:
        world.put("f", b"theirs")
        return real(*words, **more)

    monkeypatch.setattr("nbsync.transfer.push_actions.delete_remote", delete_remote)

    assert world.run("push", delete=True)["f"].status == "conflict"
    assert world.get("f") == b"theirs"


def test_two_writers_race_for_one_key(world: World) -> None:
    """Both saw that the key is absent; exactly one wins, the other is told."""
    other = World(world.server, world.sandbox / "other", bucket=world.bucket)
    world.write("f", b"one")
    other.write("f", b"two")
    gate, real = threading.Barrier(2, timeout=20), upload.store

    def store(*words: Any, **more: Any) -> Any:
        gate.wait()
        return real(*words, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nbsync.transfer.push_actions.store", store)
        jobs = [nbsync.push(each.local, each.remote, background=True) for each in (world, other)]
        results = [job.wait() for job in jobs]

    assert sorted(result["f"].status for result in results) == ["conflict", "miss"]
    winner = next(w for w, r in zip((world, other), results, strict=True) if r["f"].status == "miss")
    assert world.get("f") == winner.read("f")


def test_two_remotes_on_one_local(world: World) -> None:
    """A sync with one is never evidence for the other."""
    world.fill_both("f")
    other = World(world.server, world.sandbox.parent)
    other.put("f", b"x")

    result = other.push()
    assert (result["f"].reason, result.counts["miss"]) == ("replaces an object never synced here", 1)
    world.silent("push")
    os.utime(world.local / "f", ns=(1, 1))
    other.put("f", b"moved")
    assert other.push()["f"].status == "conflict"
    assert world.push()["f"].status == "hit"


def test_two_prefixes_of_one_bucket(world: World) -> None:
    world.fill_both("f")
    world.prefix = "q/"
    world.put("f", b"x")

    assert world.push()["f"].reason == "replaces an object never synced here"
