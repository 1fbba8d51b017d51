"""How sameness is established, what is recorded of it, and what happens without: scenarios 5, 6, 12, 20 and 24."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from nbsync.core.parts import MiB
from nbsync.local.folding import PROBE
from nbsync.s3 import listing
from nbsync.transfer import download, pull_actions
from nbsync.wire.client import Client
from tests.functional.world import World

pytestmark = pytest.mark.usefixtures("by_workers")

PART = 5 * MiB


def put_parts(world: World, path: str, parts: list[bytes]) -> str:
    """Store an object in these parts; its ETag."""
    s3, where = world.server.s3, {"Bucket": world.bucket, "Key": world.prefix + path}
    upload_id = s3.create_multipart_upload(**where)["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        etag = s3.upload_part(**where, UploadId=upload_id, PartNumber=number, Body=part)["ETag"]
        done.append({"ETag": etag, "PartNumber": number})
    answer = s3.complete_multipart_upload(**where, UploadId=upload_id, MultipartUpload={"Parts": done})
    return str(answer["ETag"].strip('"'))


@pytest.mark.parametrize("part_size", [PART, 8 * MiB, PART + 12_345, 10 * MiB + 1])
def test_multipart_objects_of_others(world: World, part_size: int) -> None:
    content = os.urandom(12 * MiB + 7)
    put_parts(world, "big", [content[at : at + part_size] for at in range(0, len(content), part_size)])
    world.write("big", content)

    result = world.run("pull")
    assert (result["big"].status, result["big"].evidence) == ("hit", "etag-multipart")
    assert result.requests["get"] == 0
    world.silent("pull")

    world.write("big", content[:-1] + bytes([content[-1] ^ 1]))
    result = world.run("pull")
    assert (result["big"].status, world.read("big") == content) == ("miss", True)
    world.silent("push")


def test_own_multipart_upload(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbsync.transfer.upload.MULTIPART_BYTES", 6 * MiB)
    monkeypatch.setattr("nbsync.transfer.multipart.PART_BYTES", PART)
    content = os.urandom(11 * MiB)
    world.write("big", content, mtime_ns=1_672_628_645_123_456_789)

    result = world.run("push", content_type="x/y", metadata={"who": "me"}, storage_class="STANDARD_IA")

    assert (result["big"].status, world.get("big") == content) == ("miss", True)
    head = world.head("big")
    assert (head["ETag"][-3:], head["ContentType"], head["StorageClass"]) == ('-3"', "x/y", "STANDARD_IA")
    assert head["Metadata"] == {"mtime": "1672628645.123456789", "who": "me"}
    world.silent("push")
    (world.local / ".nbsync" / "state.sqlite3").unlink()
    assert world.run("push")["big"].evidence == "etag-multipart"


def test_failed_multipart_upload_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbsync.transfer.upload.MULTIPART_BYTES", 6 * MiB)
    monkeypatch.setattr("nbsync.transfer.multipart.PART_BYTES", PART)
    world.write("big", os.urandom(11 * MiB))

    def fail(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("nbsync.transfer.multipart._complete", fail)

    assert world.run("push")["big"].status == "failed"
    assert "Uploads" not in world.server.s3.list_multipart_uploads(Bucket=world.bucket)
    assert world.keys() == []


def lie_about_etags(monkeypatch: pytest.MonkeyPatch, etag: str) -> None:
    """Every object is listed with this ETag, and a GET that demands it gets its object."""
    real_page = listing.fetch_page

    def fetch_page(*words: Any, **more: Any) -> listing.Page:
        page = real_page(*words, **more)
        return page._replace(entries=[entry._replace(etag=etag) for entry in page.entries])

    real = Client.request

    def request(self: Client, method: str, key: str = "", **more: Any) -> Any:
        headers = {name: value for name, value in (more.pop("headers", None) or {}).items() if name != "if-match"}
        answer = real(self, method, key, headers=headers, **more)
        if "etag" in answer.headers:
            answer.headers["etag"] = f'"{etag}"'
        return answer

    monkeypatch.setattr(listing, "fetch_page", fetch_page)
    monkeypatch.setattr(Client, "request", request)


@pytest.mark.parametrize("etag", ["opaque-etag", "00000000-0000-4000-8000-000000000000", ""])
def test_opaque_etag_without_a_checksum(world: World, monkeypatch: pytest.MonkeyPatch, etag: str) -> None:
    """Honest `none`, and no endless download: the second run knows it from the state (if there is an ETag at all)."""
    world.put("f", b"remote")
    lie_about_etags(monkeypatch, etag)

    assert (world.run("pull")["f"].evidence, world.read("f")) == ("none", b"remote")
    again = world.run("pull")
    if etag:
        assert (again["f"].status, again["f"].evidence, again.requests["get"]) == ("hit", "state", 0)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_opaque_etag_with_a_checksum(world: World, monkeypatch: pytest.MonkeyPatch, algorithm: str) -> None:
    world.put("same", b"content", ChecksumAlgorithm=algorithm)
    world.put("differs", b"remote!", ChecksumAlgorithm=algorithm)
    world.put("missing", b"1", ChecksumAlgorithm=algorithm)
    world.write("same", b"content")
    world.write("differs", b"local!!")
    lie_about_etags(monkeypatch, "opaque")

    result = world.run("pull")

    word = algorithm.lower()
    assert {row.path: (row.status, row.evidence) for row in result} == {
        "same": ("hit", word), "differs": ("miss", word), "missing": ("miss", "none")}  # fmt: skip
    assert (result.requests["head"], result.requests["get"]) == (2, 2)
    world.silent("pull")


def test_opaque_etag_that_was_pushed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lie_about_etags(monkeypatch, "opaque")
    world.write("f", b"mine")

    assert world.run("push")["f"].status == "miss"
    world.silent("push")
    world.silent("pull")


# ---- racy clean -------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_edit_right_after_a_sync_with_the_time_put_back(world: World, direction: str) -> None:
    for attempt in range(5):
        world.fill_both("f")
        before = (world.local / "f").stat()
        (world.local / "f").write_bytes(b"%d" % attempt)
        os.utime(world.local / "f", ns=(before.st_atime_ns, before.st_mtime_ns))

        assert world.run(direction)["f"].status == "miss"


def test_replaced_by_a_file_of_the_same_stat_but_inode(world: World) -> None:
    world.fill_both("f")
    before = (world.local / "f").stat()
    world.write("g", b"x")
    os.utime(world.local / "g", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(world.local / "g", world.local / "f")

    assert world.push()["f"].status == "miss"


# ---- others at work during the pull -----------------------------------------------------------------


def before_first_get(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    real, todo = download.fetch, [act]

    def fetch(*words: Any) -> Any:
        if todo:
            todo.pop()()
        return real(*words)

    monkeypatch.setattr("nbsync.transfer.pull_actions.fetch", fetch)


@pytest.mark.parametrize("size", [6, 400_000])
def test_object_replaced_between_list_and_get(world: World, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    world.put("f", b"a" * size)
    before_first_get(monkeypatch, lambda: world.put("f", b"b" * (size + 1)))

    result = world.run("pull")

    assert (result["f"].status, result["f"].bytes, world.read("f")) == ("miss", size + 1, b"b" * (size + 1))
    world.silent("pull")


def test_object_replaced_by_the_local_content(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("f", b"remote")
    world.write("f", b"local!", mtime_ns=5)
    before_first_get(monkeypatch, lambda: world.put("f", b"local!"))

    assert world.run("pull")["f"].status == "hit"
    assert (world.local / "f").stat().st_mtime_ns == 5
    world.silent("pull")


def test_file_edited_while_its_new_content_is_fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes that come equal what was there when it was compared; the edit since must not be taken for them."""
    world.put("f", b"remote")
    world.write("f", b"local!")

    def act() -> None:
        world.put("f", b"local!")
        world.write("f", b"edit!!")

    before_first_get(monkeypatch, act)
    world.run("pull")

    assert (world.read("f"), world.trash()) == (b"local!", [("f", b"edit!!")])


def test_file_edited_after_it_was_decided_goes_to_the_trash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill_both("f")
    world.put("f", b"remote")
    before_first_get(monkeypatch, lambda: world.write("f", b"edited now"))

    assert world.run("pull")["f"].status == "miss"
    assert (world.read("f"), world.trash()) == (b"remote", [("f", b"edited now")])


def test_file_that_appears_meanwhile_goes_to_the_trash(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("f", b"remote")
    before_first_get(monkeypatch, lambda: world.write("f", b"just made"))

    world.run("pull")

    assert (world.read("f"), world.trash()) == (b"remote", [("f", b"just made")])


def test_folder_that_appears_meanwhile_is_a_conflict(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("f", b"remote")
    before_first_get(monkeypatch, lambda: world.write("f/x", b"just made"))

    assert world.run("pull")["f"].status == "conflict"
    world.no_staging_left()


def test_link_that_appears_meanwhile_is_not_followed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("d/f", b"remote")
    outside = world.sandbox / "outside"
    outside.mkdir()
    before_first_get(monkeypatch, lambda: (world.local / "d").symlink_to(outside))

    assert world.run("pull")["d/f"].status == "conflict"
    assert os.listdir(outside) == []
    world.no_staging_left()


def test_object_that_vanishes_is_skipped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("f", b"remote")
    before_first_get(monkeypatch, lambda: world.remove("f"))

    assert world.run("pull")["f"].status == "skipped"
    assert world.files() == {}


def test_file_edited_before_its_delete_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill_both("f", "g")
    world.remove("f")
    real = pull_actions.delete_local

    def delete_local(*words: Any) -> Any:
        world.write("f", b"edited now")
        return real(*words)

    monkeypatch.setattr(pull_actions, "delete_local", delete_local)

    assert world.run("pull", delete=True)["f"].status == "conflict"
    assert world.read("f") == b"edited now"


# ---- the state database -----------------------------------------------------------------------------


def garble(path: Path) -> None:
    path.write_bytes(os.urandom(5000))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 + 100)


def of_newer_version(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 999")


def of_something_else(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("PRAGMA user_version = 1")


@pytest.fixture(params=[garble, empty, cut, of_newer_version, of_something_else])
def spoil(request: pytest.FixtureRequest) -> Any:
    """A way to spoil a state database."""
    return request.param


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_spoilt_state_is_said_and_rebuilt(world: World, direction: str, spoil: Any) -> None:
    world.fill_both("f", "g")
    world.write("g", b"edited")
    state = world.local / ".nbsync" / "state.sqlite3"
    spoil(state)
    spoilt = state.read_bytes()

    plan = world.plan(direction)
    assert any("protection: no record" in note for note in plan.notes)
    result = world.run(direction)

    assert {row.path: row.status for row in result} == {"f": "hit", "g": "miss"}
    assert any("protection: no record" in note for note in result.notes)
    assert (state.parent / "state.sqlite3.unreadable-1").read_bytes() == spoilt
    world.silent(direction)


def test_a_run_that_ended_before_it_recorded_anything_has_lost_nothing(world: World) -> None:
    world.put("a", b"a")
    (world.local / ".nbsync" / "stage").mkdir(parents=True)
    (world.local / ".nbsync" / ".gitignore").write_text("*\n")
    assert not any("no record" in note for note in world.run("pull").notes)


def test_deleted_state_is_rebuilt(world: World) -> None:
    world.fill_both("f")
    (world.local / ".nbsync" / "state.sqlite3").unlink()

    assert world.pull()["f"].evidence == "etag-md5"
    assert world.pull()["f"].evidence == "state"


def test_damage_deep_in_the_state(world: World) -> None:
    """Pages in the middle are garbage: found while reading rows, said, set aside; the next run rebuilds it."""
    world.fill_both("f")
    state = world.local / ".nbsync" / "state.sqlite3"
    with sqlite3.connect(state) as db:
        rows = [(1, f"x{n:05}", "e", "", 1, 1, 1, 1, "c" * 200) for n in range(2000)]
        db.executemany("INSERT INTO synced VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, x'')", rows)
    damaged = bytearray(state.read_bytes())
    damaged[-60_000:-20_000] = os.urandom(40_000)
    state.write_bytes(damaged)

    error = world.refused("push", delete=True)

    assert (error.exit_code, "state database" in str(error), "\n" in str(error)) == (2, True, False)
    assert world.run("push")["f"].status == "hit"
    world.silent("push")


def test_room(world: World) -> None:
    world.fill_both("f")
    state_dir = world.local / ".nbsync"

    assert (state_dir / ".gitignore").read_text() == "*\n"
    assert sorted(os.listdir(state_dir)) == [".gitignore", "lock", PROBE, "stage", "state.sqlite3", "syncs.json"]


def test_recorded_content_names(world: World) -> None:
    world.fill_both("f")
    with sqlite3.connect(world.local / ".nbsync" / "state.sqlite3") as db:
        rows = db.execute("SELECT path, etag, content FROM synced").fetchall()
    digest = hashlib.md5(b"f").hexdigest()
    assert rows == [("f", digest, f"md5:{digest}")]
