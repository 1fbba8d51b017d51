"""--as-of: what a versioned bucket held at a time, in pull, plan and ls; and what that leaves for later syncs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import nbsync
from nbsync.errors import UsageError
from nbsync.grammar.parse import parse
from nbsync.s3 import versions
from nbsync.transfer.pull_actions import VANISHED
from nbsync.wire.client import Client
from nbsync.wire.errors import ServiceError
from tests.functional.memory_world import MemoryWorld

START = datetime(2026, 1, 1, 12)


def hour(number: int) -> str:
    """The time at which `History` made its change of this number."""
    return (START + timedelta(hours=number)).isoformat()


def seconds_at(number: int) -> float:
    """The same, as the store dates its versions."""
    return (START + timedelta(hours=number)).replace(tzinfo=timezone.utc).timestamp()


class History:
    """A versioned bucket, one change an hour from START on."""

    def __init__(self, world: MemoryWorld) -> None:
        self.world = world
        self.now = 0
        world.held.versioning = "Enabled"

    def put(self, path: str, content: bytes, **more: Any) -> str:
        """A change: an object."""
        self.world.put(path, content, **more)
        return self._date(path)

    def remove(self, path: str) -> None:
        """A change: a delete marker."""
        self.world.remove(path)
        self._date(path)

    def _date(self, path: str) -> str:
        """Let the newest version be as old as the history says."""
        newest = self.world.held.keys[self.world.prefix + path][-1]
        newest.modified = seconds_at(self.now)
        self.now += 1
        return newest.version_id


@pytest.fixture
def history(world: MemoryWorld) -> History:
    """The usual one: a is made (0), replaced (1), deleted (3), made again (5); b (2) and c (4) are made."""
    made = History(world)
    made.put("a", b"first")
    made.put("a", b"second!")
    made.put("b", b"b")
    made.remove("a")
    made.put("d/c", b"c")
    made.put("a", b"third and last")
    return made


HELD = [
    {},
    {"a": b"first"},
    {"a": b"second!"},
    {"a": b"second!", "b": b"b"},
    {"b": b"b"},
    {"b": b"b", "d/c": b"c"},
    {"a": b"third and last", "b": b"b", "d/c": b"c"},
]


@pytest.mark.parametrize("number", range(-1, 6))
def test_pull_as_of_each_change(world: MemoryWorld, history: History, number: int) -> None:
    held = HELD[number + 1]
    plan = nbsync.plan("pull", world.remote, world.local, as_of=hour(number))
    assert {row.path for row in plan} == set(held)

    result = world.run("pull", as_of=hour(number))

    assert (result.error, world.files()) == (None, held)
    # One LIST, and what the bucket does with versions; when nothing lies there, the one object REMOTE might mean.
    lists = 1 if held else 2
    assert result.requests == {"list": lists, "head": 0, "get": len(held), "put": 0, "delete": 0, "other": 1}
    again = world.run("pull", as_of=hour(number))
    assert again.requests["get"] + again.requests["head"] + again.counts["miss"] == 0
    assert [entry.path for entry in nbsync.ls(world.remote, as_of=hour(number))] == sorted(held)
    times = {path: (world.local / path).stat().st_mtime for path in held}
    assert set(times.values()) <= {(START + timedelta(hours=n, minutes=_zone())).timestamp() for n in range(6)}


def _zone() -> float:
    return (datetime.now().astimezone().utcoffset() or timedelta()).total_seconds() / 60


def test_back_and_forth_in_time(world: MemoryWorld, history: History) -> None:
    for number in (5, 0, 3, 2, 5, 1, 4):
        world.run("pull", as_of=hour(number), delete=True, allow_empty_source=True)
        assert world.files() == HELD[number + 1], number
    world.run("pull", delete=True)
    assert world.files() == HELD[-1]
    world.silent("pull")


def test_a_time_to_come_is_now(world: MemoryWorld, history: History) -> None:
    assert world.run("pull", as_of="2999-01-01").ok
    assert world.files() == HELD[-1]
    world.silent("pull")


def test_the_second_that_ls_shows_is_enough(world: MemoryWorld, history: History) -> None:
    lines = str(nbsync.ls(world.remote)._repr_mimebundle_()["text/plain"]).splitlines()
    shown = next(line for line in lines if line.endswith("p/a"))[:19]
    assert shown == "2026-01-01 17:00:00"
    world.run("pull", as_of=shown)
    assert world.files() == HELD[-1]


# ---- what it leaves for later ----------------------------------------------------------------------------


def test_a_push_after_it_overwrites_nothing_silently(world: MemoryWorld, history: History) -> None:
    world.run("pull", as_of=hour(1))
    world.write("b", b"mine")

    result = world.run("push")
    assert {row.path: row.status for row in result} == {"a": "conflict", "b": "miss"}
    assert world.get("a") == b"third and last"

    world.write("a", b"edited")
    assert world.run("push")["a"].status == "conflict"
    assert world.run("push", overwrite_remote=True)["a"].status == "miss"
    assert world.get("a") == b"edited"


def test_a_push_of_what_is_gone_by_now_does_not_replace_a_new_one(world: MemoryWorld, history: History) -> None:
    history.remove("a")
    world.run("pull", as_of=hour(1))

    result = world.run("push")
    assert (result["a"].status, result["a"].reason) == ("miss", "gone from REMOTE")
    history.put("a", b"another")
    assert world.run("push")["a"].status == "conflict"


def test_a_plain_pull_after_it(world: MemoryWorld, history: History) -> None:
    world.run("pull", as_of=hour(1))
    result = world.run("pull")
    assert (result.counts["miss"], result.counts["hit"], world.files()) == (3, 0, HELD[-1])
    assert world.trash() == []  # it was as the last sync left it
    world.silent("pull")


def test_a_version_of_the_same_content(world: MemoryWorld) -> None:
    """The same bytes stored twice: one ETag, two versions. Nothing travels, whichever is asked for."""
    history = History(world)
    history.put("a", b"same")
    history.put("a", b"same")
    assert world.run("pull", as_of=hour(0)).counts["miss"] == 1
    for options in ({"as_of": hour(1)}, {}, {"as_of": hour(0)}):
        result = world.run("pull", **options)
        assert (result["a"].status, result.requests["get"]) == ("hit", 0)
    assert world.run("push")["a"].status == "hit"


# ---- one object ------------------------------------------------------------------------------------------


@pytest.fixture
def one(world: MemoryWorld, history: History) -> Iterator[MemoryWorld]:
    """REMOTE names one object."""
    prefix, world.prefix = world.prefix, "p/a"
    yield world
    world.prefix = prefix


@pytest.mark.parametrize(("number", "content"), [(0, b"first"), (1, b"second!"), (3, None), (5, b"third and last")])
def test_one_object(one: MemoryWorld, history: History, number: int, content: bytes | None) -> None:
    result = one.run("pull", as_of=hour(number))
    assert one.files() == ({"a": content} if content else {})
    assert result.requests["head"] == 0
    assert [entry.key for entry in nbsync.ls(one.remote, as_of=hour(number))] == (["p/a"] if content else [])


def test_one_object_that_is_deleted_now(one: MemoryWorld, history: History) -> None:
    one.prefix = "p/"
    history.remove("a")
    one.prefix = "p/a"
    assert one.run("pull").files == []
    assert one.run("pull", as_of=hour(5))["a"].status == "miss"
    assert one.read("a") == b"third and last"


# ---- what cannot be ---------------------------------------------------------------------------------------


def test_a_bucket_that_never_was_versioned_is_refused(world: MemoryWorld) -> None:
    world.put("a", b"1")
    error = world.refused("pull", as_of="2026-01-01")
    assert (type(error), error.exit_code) == (UsageError, 2)
    assert "keeps no versions" in str(error)
    assert not world.local.exists()
    with pytest.raises(UsageError, match="keeps no versions"):
        nbsync.ls(world.remote, as_of="2026-01-01")


def test_objects_from_before_versioning(world: MemoryWorld) -> None:
    world.put("old", b"0")
    history = History(world)
    history.put("new", b"1")
    world.run("pull", as_of="2999-01-01")
    assert world.files() == {"old": b"0", "new": b"1"}
    world.put("old", b"00")
    world.unlink("old")
    world.run("pull", as_of="2999-01-01")
    assert world.read("old") == b"00"


def test_whether_it_is_versioned_may_not_be_asked(world: MemoryWorld, history: History, monkeypatch: Any) -> None:
    real = Client.request

    def request(self: Client, method: str, key: str = "", **more: Any) -> Any:
        if ("versioning", "") in more.get("query", ()):
            raise ServiceError(403, "AccessDenied")
        return real(self, method, key, **more)

    monkeypatch.setattr(Client, "request", request)
    result = world.run("pull", as_of=hour(2))
    assert (result.ok, world.files()) == (True, HELD[3])
    assert any("may not be asked" in note for note in result.notes)
    assert any("may not be asked" in note for note in nbsync.ls(world.remote, as_of=hour(2)).notes)


def test_push_has_no_past(world: MemoryWorld) -> None:
    world.write("a", b"1")
    with pytest.raises(UsageError, match="no option 'as_of'"):
        nbsync.push(world.local, world.remote, as_of="2026-01-01")
    with pytest.raises(UsageError, match="no option 'as_of'"):
        nbsync.plan("push", world.local, world.remote, as_of="2026-01-01")
    with pytest.raises(UsageError, match="plan push has no option --as-of"):
        parse(["plan", "push", "a", world.remote, "--as-of", "2026-01-01"])


def test_an_archived_version_is_skipped(world: MemoryWorld) -> None:
    History(world).put("a", b"1", StorageClass="GLACIER")
    result = world.run("pull", as_of="2999-01-01")
    assert (result["a"].status, result.exit_code) == ("skipped", 1)


def test_a_version_that_is_deleted_for_good_meanwhile(world: MemoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key holds another object by now, which must not be taken for it."""
    history = History(world)
    version_id = history.put("a", b"first")
    history.put("a", b"second")
    real = versions.fetch_versions

    def fetch_versions(*words: Any, **more: Any) -> Any:
        page = real(*words, **more)
        world.server.s3.delete_object(Bucket=world.bucket, Key="p/a", VersionId=version_id)
        return page

    monkeypatch.setattr(versions, "fetch_versions", fetch_versions)
    result = world.run("pull", as_of=hour(0))
    assert (result["a"].status, result["a"].reason) == ("skipped", VANISHED)
    assert world.files() == {}


def test_many_versions_over_many_pages(world: MemoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,050 versions and delete markers of four keys, in pages of 400."""
    History(world)
    for number in range(1050):
        key = world.prefix + "acbd"[number % 4]
        if number % 7 == 6:
            world.held.delete(key)
        else:
            world.held.put(key, b"%d" % number)
        world.held.keys[key][-1].modified = seconds_at(number)
    real = versions.fetch_versions
    monkeypatch.setattr(versions, "fetch_versions", lambda *words, **more: real(*words, **{**more, "max_keys": 400}))

    for moment in (3, 401, 1049):
        held = {"acbd"[n % 4]: b"%d" % n if n % 7 != 6 else None for n in range(moment + 1)}
        result = world.run("pull", as_of=hour(moment), delete=True)
        assert world.files() == {path: content for path, content in held.items() if content is not None}
        assert result.requests["list"] == 3
