"""Large objects are proven by what the service keeps of them: a CRC of the whole, or an ETag of parts.

The server keeps what AWS keeps (tests.servers.honest), and does wrong what a test asks it for.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbsync
from nbsync.core.parts import MiB
from nbsync.transfer import download, multipart, ranged, upload
from tests.functional.test_evidence import put_parts
from tests.functional.world import World
from tests.servers import honest
from tests.servers.honest_store import Store, text_of

SIZE = 12 * MiB + 77
PART = 5 * MiB


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is large here is small enough for a test."""
    monkeypatch.setattr(download, "RANGED_BYTES", 2 * MiB)
    monkeypatch.setattr(ranged, "RANGE_BYTES", MiB)
    monkeypatch.setattr(ranged, "MAX_RANGE_BYTES", 2 * MiB)
    monkeypatch.setattr(upload, "MULTIPART_BYTES", PART)
    monkeypatch.setattr(multipart, "PART_BYTES", PART)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[honest.HonestServer]:
    """Keeps CRC64NVME and ETags of parts."""
    (tmp_path / "objects").mkdir()
    server = honest.start_here(tmp_path / "objects")
    yield server
    server.stop()


@pytest.fixture
def store(server: honest.HonestServer) -> Store:
    """What the server holds."""
    assert server.store is not None
    return server.store


@pytest.fixture
def world(server: honest.HonestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A bucket of it."""
    for name, value in server.env().items():
        monkeypatch.setenv(name, value)
    return World(server, tmp_path)


@pytest.fixture
def body() -> bytes:
    """The content of a large file."""
    return os.urandom(SIZE)


def recorded(world: World, path: str = "big") -> str:
    """The name of the recorded content."""
    with sqlite3.connect(world.local / ".nbsync/state.sqlite3") as db:
        return str(db.execute("SELECT content FROM synced WHERE path = ?", (path,)).fetchone()[0])


def test_a_pull_is_proven_by_the_crc(world: World, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put("big", body)
    monkeypatch.setattr(hashlib, "md5", None)  # nobody computes one
    result = world.run("pull")
    assert (world.read("big") == body, result["big"].status, result["big"].evidence) == (True, "miss", "crc64nvme")
    assert (result.requests["head"], recorded(world).partition(":")[0]) == (1, "crc64nvme")
    again = world.run("pull")
    assert (again["big"].status, again["big"].evidence) == ("hit", "state")


@pytest.mark.parametrize("sizes", [
    [PART, PART, SIZE - 2 * PART], [6 * MiB, SIZE - 6 * MiB], [5 * MiB + 1, 5 * MiB + 1, SIZE - 10 * MiB - 2],
    [7 * MiB, SIZE - 7 * MiB], [1 * MiB, 4 * MiB, SIZE - 5 * MiB],
])  # fmt: skip
def test_a_pull_is_proven_by_the_parts(world: World, store: Store, body: bytes, sizes: list[int]) -> None:
    """Whole parts in a range, whole ranges in a part, and neither; parts of unequal size too."""
    store.checksums = False
    ends = [sum(sizes[: count + 1]) for count in range(len(sizes))]
    put_parts(world, "big", [body[end - size : end] for end, size in zip(ends, sizes, strict=True)])
    result = world.run("pull")
    assert (world.read("big") == body, result.ok) == (True, True)
    assert world.run("pull")["big"].evidence == "state"
    os.utime(world.local / "big", ns=(1, 1))
    assert world.run("pull")["big"].status == "hit"


@pytest.mark.parametrize("keeps", [True, False])
def test_a_byte_that_is_flipped_once_is_fetched_again(world: World, store: Store, body: bytes, keeps: bool) -> None:
    store.checksums = keeps
    put_parts(world, "big", [body[at : at + PART] for at in range(0, SIZE, PART)])
    todo = [2 * MiB]
    store.spoil = lambda out, offset: out and offset >= 2 * MiB and bool(todo) and bool(todo.pop())
    assert world.run("pull").ok
    assert world.read("big") == body


@pytest.mark.parametrize("keeps", [True, False])
def test_a_byte_that_is_always_flipped_is_never_installed(world: World, store: Store, body: bytes, keeps: bool) -> None:
    store.checksums = keeps
    put_parts(world, "big", [body[at : at + PART] for at in range(0, SIZE, PART)])
    seen = iter(range(1000))
    store.spoil = lambda out, offset: out and (offset < PART and next(seen) >= 0)
    result = world.run("pull", retries=2)
    assert (result["big"].status, (world.local / "big").exists()) == ("failed", False)


def test_a_wrong_checksum_of_the_server_is_called_so(world: World, store: Store, body: bytes) -> None:
    world.put("big", body)
    store.lie = text_of(7)
    result = world.run("pull", retries=2)
    assert result["big"].status == "failed"
    assert "the server's own crc64nvme does not fit" in str(result["big"].error)
    assert not (world.local / "big").exists()


def test_an_object_that_is_replaced_between_the_look_and_the_ranges(world: World, store: Store, body: bytes) -> None:
    world.put("big", body)
    other = os.urandom(SIZE)

    def replace(out: bool, _offset: int) -> bool:
        store.spoil = None
        if out:
            world.put("big", other)
        return False

    store.spoil = replace
    assert world.run("pull").ok
    assert world.read("big") == other


def test_a_composite_checksum_proves_no_whole(world: World, store: Store, body: bytes) -> None:
    world.put("big", body)
    store.lie = f"{text_of(7)}-2"
    result = world.run("pull")
    assert (result.ok, world.read("big") == body, recorded(world)) == (
        True,
        True,
        f"md5:{hashlib.md5(body).hexdigest()}",
    )


def md5s(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each MD5 that is begun from now on."""
    begun: list[object] = []
    real = hashlib.md5

    def md5(*data: object, **more: object) -> object:
        begun.append(data)
        return real(*data, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(hashlib, "md5", md5)
    return begun


def test_a_first_comparison_costs_one_head_and_no_md5(
    world: World, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.put("big", body)
    world.write("big", body)
    begun = md5s(monkeypatch)
    result = world.run("pull")
    assert (result["big"].status, result["big"].evidence, len(begun)) == ("hit", "crc64nvme", 0)
    assert (result.requests["head"], result.requests["get"]) == (1, 0)
    assert recorded(world).startswith("crc64nvme:")
    os.utime(world.local / "big", ns=(1, 1))
    again = world.run("pull")
    assert (again["big"].status, again["big"].evidence, again.requests["head"]) == ("hit", "state", 0)


def test_a_byte_of_the_file_that_differs_is_seen_by_its_crc(world: World, body: bytes) -> None:
    world.put("big", body)
    world.write("big", body[:-1] + bytes([body[-1] ^ 1]))
    result = world.run("pull")
    assert (result["big"].status, result["big"].evidence, world.read("big") == body) == ("miss", "crc64nvme", True)


def test_verify_is_weak_by_a_crc_and_strong_by_a_digest(world: World, store: Store, body: bytes) -> None:
    for name, keeps in [("weak", True), ("strong", False)]:
        store.checksums = keeps
        world.put("big", body)
        world.write("big", body)
        assert nbsync.verify(world.local, world.remote)["big"].assurance == name


def test_where_objects_have_no_checksum_a_few_are_asked_for_it(world: World, store: Store, body: bytes) -> None:
    store.checksums = False
    for number in range(7):
        world.put(f"{number}", body)
        world.write(f"{number}", body)
    result = world.run("pull", jobs=1)
    assert (result.counts["hit"], result.requests["head"]) == (7, 4)


# ---- uploads in parts -------------------------------------------------------------------------------


def parts_sent(store: Store) -> list[dict[str, str]]:
    """The headers of each part that came since the last call."""
    found = [headers for method, _, query, headers in store.log if method == "PUT" and "partNumber" in query]
    store.log.clear()
    return found


def test_parts_are_checked_by_their_crc(
    world: World, store: Store, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("big", body)
    result = world.run("push")
    assert (result["big"].status, world.get("big") == body) == ("miss", True)
    sent = parts_sent(store)
    assert [("x-amz-checksum-crc64nvme" in one, "content-md5" in one) for one in sent] == [(True, False)] * 3
    assert recorded(world).startswith("crc64nvme:")
    assert (world.run("push")["big"].evidence, world.run("pull")["big"].status) == ("state", "hit")
    (world.local / ".nbsync/state.sqlite3").unlink()
    assert (world.run("push")["big"].status, world.head("big")["Metadata"]["mtime"] != "") == ("hit", True)


def test_parts_are_checked_by_their_md5_where_the_server_keeps_no_crc(world: World, store: Store, body: bytes) -> None:
    store.checksums = False
    world.write("big", body)
    assert world.run("push").ok
    assert all("content-md5" in one for one in parts_sent(store))
    assert world.get("big") == body


@pytest.mark.parametrize("keeps", [True, False])
def test_a_byte_that_is_flipped_on_its_way_is_refused_and_sent_again(
    world: World, store: Store, body: bytes, keeps: bool
) -> None:
    store.checksums = keeps
    todo = [2]
    store.spoil = lambda out, number: not out and number == 2 and bool(todo) and bool(todo.pop())
    world.write("big", body)
    assert world.run("push").ok
    assert (todo, world.get("big") == body) == ([], True)


def test_a_server_that_echoes_and_does_not_check_is_caught_by_the_whole(
    world: World, store: Store, body: bytes
) -> None:
    store.verifies = False
    todo = [2]
    store.spoil = lambda out, number: not out and number == 2 and bool(todo) and bool(todo.pop())
    world.write("big", body)
    assert world.run("push").ok
    assert (todo, world.get("big") == body) == ([], True)


def test_a_server_that_always_spoils_what_it_echoes_is_a_failure(world: World, store: Store, body: bytes) -> None:
    store.verifies = False
    store.spoil = lambda out, number: not out and number == 2
    world.write("big", body)
    assert world.run("push", retries=1)["big"].status == "failed"


@pytest.mark.parametrize(("silent", "sent"), [("parts", 4), ("whole", 3)])
def test_without_the_servers_word_md5s_prove_it(
    world: World, store: Store, body: bytes, silent: str, sent: int
) -> None:
    """It says that it keeps CRCs, and then does not name that of a part, or of the whole."""
    store.silent = silent
    world.write("big", body)
    assert world.run("push").ok
    assert (world.get("big") == body, len(parts_sent(store))) == (True, sent)
    assert recorded(world).startswith("etag:")


def test_an_upload_that_was_broken_off_is_taken_up_by_crc(
    world: World, store: Store, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("big", body)
    store.fails_at = 1
    assert world.run("push", retries=1)["big"].status == "failed"
    store.fails_at = 0
    first = parts_sent(store)
    assert world.run("push").ok
    assert (world.get("big") == body, len(first), len(parts_sent(store))) == (True, len(first), 1)
