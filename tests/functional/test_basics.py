"""Pull, push and their second runs: scenarios 1 to 4, 7 to 9, and the counts that a result tells."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest

import nbsync
from nbsync.core.model import Row
from nbsync.errors import LocalError, UsageError
from nbsync.s3.listing_xml import parse_time_ns
from tests.functional.world import World
from tests.servers import Server

HOUR_NS = 3600 * 10**9


def test_pull_into_nothing(world: World) -> None:
    world.put("a.txt", b"one")
    world.put("deep/er/b.bin", b"\0" * 5)
    world.put("empty")

    result = world.pull()

    assert result.ok
    assert world.files() == {"a.txt": b"one", "deep/er/b.bin": b"\0" * 5, "empty": b""}
    assert result["a.txt"] == Row(
        "a.txt", "download", "miss", "missing locally", "none", 3, result["a.txt"].seconds, None
    )
    assert result.bytes == {"moved": 8, "saved": 0}
    assert result.requests == {"list": 1, "head": 0, "get": 3, "put": 0, "delete": 0, "other": 0}


def test_push_into_nothing(world: World) -> None:
    world.write("a.txt", b"one")
    world.write("deep/er/b.bin", b"\0" * 5)
    world.write("empty")

    result = world.push()

    assert result.ok
    assert world.objects() == world.files()
    assert (result["a.txt"].action, result["a.txt"].status, result["a.txt"].reason) == (
        "upload", "miss", "missing in REMOTE")  # fmt: skip
    assert result.requests == {"list": 1, "head": 0, "get": 0, "put": 3, "delete": 0, "other": 0}


def test_pull_makes_missing_parents(moto: Server, world: World) -> None:
    world.put("a", b"1")
    world.local = world.sandbox / "not" / "there" / "yet"

    world.pull()

    assert world.files() == {"a": b"1"}


def test_pull_without_local_takes_the_last_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.prefix = "data/set one/"
    world.put("a", b"1")
    monkeypatch.chdir(world.sandbox)

    result = nbsync.pull(f"{world.bucket}/data/set one")

    assert result.local == os.path.join(".", "set one")
    assert (world.sandbox / "set one" / "a").read_bytes() == b"1"


def test_empty_prefix_is_a_note_not_an_error(world: World) -> None:
    result = world.pull()

    assert result.ok
    assert any("nothing under" in note for note in result.notes)
    assert world.files() == {}


def test_push_of_an_empty_folder(world: World) -> None:
    world.local.mkdir()

    assert world.push().counts["miss"] == 0


@pytest.mark.parametrize("direction", ["pull", "push"])
@pytest.mark.parametrize("age_ns", [-HOUR_NS, 0, HOUR_NS], ids=["older", "equal", "newer"])
def test_same_size_other_content_is_seen(world: World, direction: str, age_ns: int) -> None:
    world.put("f", b"remote")
    modified_ns = int(world.head("f")["LastModified"].timestamp()) * 10**9
    world.write("f", b"local!", mtime_ns=modified_ns + age_ns)

    result = world.pull() if direction == "pull" else world.push()

    assert (result["f"].status, result["f"].evidence) == ("miss", "etag-md5")
    assert world.objects() == world.files() == {"f": b"remote" if direction == "pull" else b"local!"}


@pytest.mark.parametrize("direction", ["pull", "push"])
@pytest.mark.parametrize("age_ns", [-HOUR_NS, 1, HOUR_NS], ids=["older", "equal", "newer"])
def test_same_content_is_a_hit_whatever_the_time(world: World, direction: str, age_ns: int) -> None:
    world.put("f", b"same")
    mtime_ns = 1_700_000_000 * 10**9 + age_ns
    file = world.write("f", b"same", mtime_ns=mtime_ns)

    result = world.pull() if direction == "pull" else world.push()

    assert (result["f"].action, result["f"].status, result["f"].evidence) == ("none", "hit", "etag-md5")
    assert result.bytes == {"moved": 0, "saved": 4}
    assert file.stat().st_mtime_ns == mtime_ns


def test_touched_file_stays_a_hit_and_its_time(world: World) -> None:
    world.put("f", b"same")
    world.pull()
    os.utime(world.local / "f", ns=(5, 5))

    assert world.pull()["f"].evidence == "state"
    assert (world.local / "f").stat().st_mtime_ns == 5
    os.utime(world.local / "f", ns=(7, 7))
    assert world.push()["f"].status == "hit"


def test_shorter_remote_truncates_exactly(world: World) -> None:
    world.write("f", b"long content with a tail" * 20_000)
    world.put("f", b"short")

    result = world.pull()

    assert world.read("f") == b"short"
    assert result["f"].evidence == "size"


@pytest.mark.parametrize("size", [0, 1, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1, 3_000_000])
def test_sizes_at_the_borders_travel_both_ways(world: World, size: int) -> None:
    content = os.urandom(size)
    world.write("f", content)

    world.push()
    assert world.get("f") == content
    world.unlink("f")
    world.pull()
    assert world.read("f") == content


KEYS = [
    "with space", "plus+plus", "%2F", "%", "100%25", "a#b", "a?b=c", "a&b", "it's", 'say "x"', "emoji-\U0001f600",
    "\u05d0\u05d1\u05d2", "e\u0301", "\xe9", "semi;colon,comma", "tab\there", "equals=", "dollar$", "{brace}", "[set]*",
    "~tilde", "-dash", "--flag", "...", ".hidden", "<img src=x onerror=alert(1)>.txt", "colon:name", "k" * 255,
    "/".join(["d" * 100] * 10),
]  # fmt: skip


def test_odd_keys_travel_both_ways(world: World) -> None:
    for number, key in enumerate(KEYS):
        world.put(key, b"%d" % number)
    world.pull()
    assert world.files() == {key: b"%d" % number for number, key in enumerate(KEYS)}

    for key in KEYS:
        world.write(key, world.read(key) + b"!")
    assert world.push().counts["miss"] == len(KEYS)
    assert world.objects() == {key: b"%d!" % number for number, key in enumerate(KEYS)}


@pytest.mark.parametrize("count", [999, 1000, 1001])
def test_pages(world: World, fill: Callable[[World, int], None], count: int) -> None:
    fill(world, count)
    for number in range(1, count):
        world.write(f"{number:05}", b"%d" % number)

    first = world.run("pull")

    assert (first.counts["hit"], first.counts["miss"]) == (count - 1, 1)
    assert first.requests == {"list": -(-count // 1000), "head": 0, "get": 1, "put": 0, "delete": 0, "other": 0}
    world.silent("pull")
    world.silent("push")


ORDER_TRAPS = [
    "xyz",
    "xyz-1",
    "xyz/test",
    "xyz0",
    "xyz1/test",
    "xy",
    "xy.z",
    "xy/z",
    "xyz!",
    "xyz/test-1",
    "xyz/test.0",
]


def test_order_traps(world: World) -> None:
    """Keys whose order differs between a per-directory walk and the listing; `xyz` clashes with `xyz/test`."""
    paths = [path for path in ORDER_TRAPS if path not in ("xyz", "xy")]
    for path in paths:
        world.put(path, path.encode())
    world.pull()
    for path in ("xyz", "xy"):
        world.put(path, b"clash")

    result = world.pull(delete=True)

    assert sorted(row.path for row in result.hits) == sorted(paths)
    assert [(row.path, row.status) for row in result if row.status != "hit"] == [("xy", "skipped"), ("xyz", "skipped")]
    assert {problem.kind for problem in result.problems} == {"name-clash"}
    assert result.exit_code == 1
    world.remove("xyz", "xy")
    assert world.push(delete=True).counts["hit"] == len(paths)


def test_prefix_is_a_folder(moto: Server, world: World) -> None:
    world.prefix = ""
    for key in ("data/in", "data2/out", "data.txt", "data", "data-/x"):
        world.put(key, key.encode())
    world.prefix = "data/"

    world.pull()
    assert world.files() == {"in": b"data/in"}
    world.unlink("in")
    world.write("new", b"n")
    world.push(delete=True)

    assert sorted(world.keys()) == ["data", "data-/x", "data.txt", "data2/out", "new"]


def test_single_object(world: World) -> None:
    world.prefix = ""
    world.put("dir/one.csv", b"1")
    world.put("dir/one.csv.bak", b"no")
    world.put("dir/two.csv", b"2")
    world.write("mine", b"kept")

    for expected in ("miss", "hit"):
        result = nbsync.pull(f"{world.bucket}/dir/one.csv", world.local)
        assert [(row.path, row.status) for row in result] == [("one.csv", expected)]
    assert result.requests == {"list": 2, "head": 1, "get": 0, "put": 0, "delete": 0, "other": 0}
    assert world.files() == {"mine": b"kept", "one.csv": b"1"}
    assert [entry.path for entry in nbsync.ls(f"{world.bucket}/dir/one.csv")] == ["one.csv"]


def test_single_object_with_delete_touches_no_other_file(world: World) -> None:
    world.prefix = "dir/"
    world.put("one", b"1")
    world.put("two", b"2")
    world.pull()
    world.unlink("two")
    world.remove("two")
    world.write("mine", b"kept")

    result = nbsync.pull(f"{world.bucket}/dir/one", world.local, delete=True)

    assert world.files() == {"mine": b"kept", "one": b"1"}
    assert [row.path for row in result] == ["one"]


def test_single_object_obeys_filters_and_names(world: World) -> None:
    world.prefix = ""
    world.put("dir/one", b"1")
    world.put("dir/a\\b", b"2")
    world.put("dir/..", b"3")

    assert len(nbsync.pull(f"{world.bucket}/dir/one", world.local, exclude="*")) == 0
    for key in ("dir/a\\b", "dir/.."):
        result = nbsync.pull(f"{world.bucket}/{key}", world.local)
        assert [problem.kind for problem in result.problems] == ["unsafe-name"]
    assert world.files() == {}


def test_pulled_file_has_the_time_of_the_listing(world: World) -> None:
    for name in ("a", "b", "c"):
        world.put(name, b"1")
    entries = {entry.path: entry.last_modified_ns for entry in nbsync.ls(world.remote)}

    world.pull()

    assert {name: (world.local / name).stat().st_mtime_ns for name in entries} == entries


def test_time_of_the_listing_has_its_full_precision(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto gives whole seconds; a server that gives nine digits is believed to the last."""
    world.put("a", b"1")
    monkeypatch.setattr(
        "nbsync.s3.listing_xml.parse_time_ns", lambda text: parse_time_ns("2023-01-02T03:04:05.123456789Z")
    )

    world.pull()

    assert (world.local / "a").stat().st_mtime_ns == 1_672_628_645_123_456_789


@pytest.mark.parametrize("mtime_ns", [0, 1, 999_999_999, 1_672_628_645_123_456_789, -1_500_000_000, 2**33 * 10**9])
def test_pushed_object_tells_the_files_time(world: World, mtime_ns: int) -> None:
    world.write("a", b"1", mtime_ns=mtime_ns)

    world.push()

    told = world.head("a")["Metadata"]["mtime"]
    assert re.fullmatch(r"-?\d+\.\d{9}", told)
    assert int(told.replace(".", "")) == mtime_ns


def test_preserve_mtime(world: World) -> None:
    world.write("a", b"1", mtime_ns=1_672_628_645_123_456_789)
    world.push()
    world.put("plain", b"2")
    world.put("odd", b"3", Metadata={"mtime": "yesterday"})
    times = {entry.path: entry.last_modified_ns for entry in nbsync.ls(world.remote)}
    world.unlink("a")

    world.pull(preserve_mtime=True)

    assert (world.local / "a").stat().st_mtime_ns == 1_672_628_645_123_456_789
    for name in ("plain", "odd"):
        assert (world.local / name).stat().st_mtime_ns == times[name]


def test_dry_run_creates_nothing(world: World) -> None:
    world.put("a", b"1")

    result = world.run("pull", dry_run=True)

    assert result.dry_run
    assert [(row.path, row.status, row.bytes) for row in result] == [("a", "planned", 1)]
    assert not world.local.exists()
    assert nbsync.pull(world.remote, world.local, dry_run=True).requests["get"] == 0


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_local_is_a_file(world: World, direction: str) -> None:
    world.local.write_bytes(b"x")
    world.put("a", b"1")

    error = world.refused(direction)

    assert isinstance(error, LocalError)
    assert error.exit_code == 2


@pytest.mark.parametrize("options", [{}, {"delete": True}, {"dry_run": True}])
def test_push_from_a_missing_folder(world: World, options: dict[str, bool]) -> None:
    world.put("a", b"1")

    assert isinstance(world.refused("push", **options), LocalError)
    assert not world.local.exists()


def test_dangling_link_as_local(world: World) -> None:
    world.local.symlink_to(world.sandbox / "nowhere")

    assert isinstance(world.refused("pull"), LocalError)


def test_local_may_be_a_link_to_a_folder(world: World) -> None:
    (world.sandbox / "real").mkdir()
    world.local.symlink_to("real")
    world.put("a", b"1")

    result = world.run("pull")

    assert result.ok
    assert (world.sandbox / "real" / "a").read_bytes() == b"1"
    world.silent("pull")


def test_wrong_calls() -> None:
    for call in (
        lambda: nbsync.pull("b", "x", storage_class="GLACIER"),
        lambda: nbsync.pull("b", "x", nonsense=1),
        lambda: nbsync.push("x", "b", existing=True, ignore_existing=True),
        lambda: nbsync.plan("sideways", "b", "x"),
        lambda: nbsync.plan("push", "x"),
        lambda: nbsync.push("x", "b", max_delete=1),
    ):
        with pytest.raises(UsageError):
            call()


def test_ls(world: World) -> None:
    world.put("a.csv", b"123", StorageClass="STANDARD_IA")
    world.put("b.txt", b"1")
    world.put("folder/")
    world.put(".nbsync/x", b"ours")

    found = nbsync.ls(world.remote)

    assert [(e.path, e.key, e.size, e.storage_class) for e in found] == [
        ("a.csv", "p/a.csv", 3, "STANDARD_IA"), ("b.txt", "p/b.txt", 1, "STANDARD")]  # fmt: skip
    assert [e.path for e in nbsync.ls(world.remote, exclude="*", include="*.csv")] == ["a.csv"]
    assert [e.path for e in nbsync.ls(world.remote, filters=[("include", "*.csv"), ("exclude", "*")])] == []
