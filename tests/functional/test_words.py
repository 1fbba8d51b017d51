"""What a user who mistypes, or whose server goes away, is told: the mistake by its name, and nothing changed."""

from __future__ import annotations

from pathlib import Path

import pytest

import nbsync
from nbsync.errors import EndpointUnreachable, NoSuchBucket, UsageError
from nbsync.wire.errors import ConnectionLost
from tests.functional.world import World
from tests.servers.memory import Answer, MemoryS3, Request, Send


def test_a_bucket_as_local_is_refused(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="swapped"):
        nbsync.pull(world.remote, "s3://other/raw")
    with pytest.raises(UsageError, match="swapped"):
        nbsync.push("s3://other/raw", world.remote)
    assert not (tmp_path / "s3:").exists()


def test_a_folder_as_remote_is_told(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data-of-mine").mkdir()
    with pytest.raises(NoSuchBucket, match="is it swapped"):
        nbsync.pull("data-of-mine", "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_filters_that_leave_nothing_are_told(world: World) -> None:
    world.put("a.txt", b"a")
    notes = nbsync.pull(world.remote, world.local, exclude="*").notes
    assert any("the filters left none of the 1 files" in note for note in notes)


def test_paths_that_are_listed_and_not_there_are_told(world: World, tmp_path: Path) -> None:
    world.put("a.txt", b"a")
    (tmp_path / "list").write_text("a.txt\nno-such.txt\n")
    result = nbsync.pull(world.remote, world.local, files_from=tmp_path / "list")
    assert result.counts["miss"] == 1
    assert any("no-such.txt" in note for note in result.notes)


def test_a_pattern_as_remote_is_told(world: World) -> None:
    world.put("a.csv", b"a")
    assert any("use --include" in note for note in nbsync.pull(f"{world.remote}/*.csv", world.local).notes)


def test_a_plan_says_which_edit_goes_to_the_trash(world: World) -> None:
    world.put("edited", b"one")
    world.put("theirs", b"one")
    world.pull()
    world.write("edited", b"mine")
    world.put("theirs", b"changed")
    plan = nbsync.plan("pull", world.remote, world.local)
    assert plan["edited"].reason == "content differs; what is here goes to the trash"
    assert plan["theirs"].reason == "content differs"


def test_a_server_that_is_gone_ends_the_run_and_keeps_what_was_done(world: World, memory: MemoryS3) -> None:
    for number in range(60):
        world.put(f"{number:02d}", b"x")
    gets: list[str] = []

    def hook(request: Request, send: Send) -> Answer:
        if request.operation == "GetObject":
            gets.append(request.key)
            if len(gets) > 20:
                raise ConnectionLost("nobody is there", refused=True)
        return send(request)

    memory.hook(hook)
    job = nbsync.pull(world.remote, world.local, retries=0, jobs=2, background=True)
    result = job.result

    assert isinstance(result.error, EndpointUnreachable)
    assert result.exit_code == 2
    assert {row.path for row in result if row.status == "miss"} == set(world.files())
    assert 18 <= result.counts["miss"] <= 20, "but for what was just on its way"
    assert result.counts["failed"] < 10


def test_retry_does_again_what_failed_and_only_that(world: World, memory: MemoryS3) -> None:
    for name in ("good", "bad"):
        world.put(name, b"x")

    def hook(request: Request, send: Send) -> Answer:
        if request.method == "GET" and request.key.endswith("bad"):
            raise ConnectionLost("not now")
        return send(request)

    with memory.hooked(hook):
        first = nbsync.pull(world.remote, world.local, retries=0)
    world.put("new", b"x")
    second = first.retry()

    assert [row.path for row in first.failed] == ["bad"]
    assert [(row.path, row.status) for row in second] == [("bad", "miss")]
    assert world.files() == {"good": b"x", "bad": b"x"}


def test_runs_that_begin_at_once_in_a_new_folder_wait_for_each_other_and_say_so(world: World) -> None:
    for number in range(20):
        world.put(f"{number:02d}", b"x" * 1000)
    local = world.local / "new"
    jobs = [nbsync.pull(world.remote, local, background=True, bandwidth="20KB/s") for _ in range(3)]
    results = [job.wait() for job in jobs]

    assert [result.error for result in results] == [None] * 3
    assert sorted(result.counts["miss"] for result in results) == [0, 0, 20]
    waited = [result for result in results if any("was at work here" in note for note in result.notes)]
    assert waited
    assert all(result.counts["hit"] == 20 for result in waited)
