"""`pull` and `push` without words: the last one of its kind in the folder, and what is never repeated."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.cli import main
from nbsync.errors import GuardRefusal, UsageError
from nbsync.local import own_secret
from tests.functional.world import World


@pytest.fixture
def inside(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose LOCAL is the current directory, synced by a pull that left `*.tmp` out."""
    for path in ("a", "b", "x.tmp"):
        world.put(path, path.encode())
    assert nbsync.pull(world.remote, world.local, exclude=["*.tmp"]).counts["miss"] == 2
    monkeypatch.chdir(world.local)
    return world


def test_a_pull_with_its_filters(inside: World) -> None:
    inside.put("c", b"new")
    inside.put("y.tmp", b"new")
    result = nbsync.pull()
    assert (result.counts["miss"], set(inside.files()), result.local) == (1, {"a", "b", "c"}, ".")
    assert result.notes[0].startswith("repeats the pull of 20")
    assert result.notes[0].endswith(f" UTC: pull {inside.remote} . --exclude '*.tmp'")
    assert nbsync.pull(local=inside.local).counts["hit"] == 3


def test_given_options_go_before_the_last_ones(inside: World) -> None:
    planned = nbsync.pull(exclude=["b"], dry_run=True)
    assert (planned.dry_run, {row.path: row.status for row in planned}) == (True, {"a": "hit", "x.tmp": "planned"})
    assert nbsync.pull(dry_run=True).counts["planned"] == 0, "a dry run is no sync to repeat"
    assert nbsync.pull(filters=[]).counts["miss"] == 1


def test_deletes_are_repeated_with_their_limit(inside: World) -> None:
    nbsync.pull(inside.remote, delete=True, max_delete=1, local=inside.local)
    inside.write("extra1")
    inside.write("extra2")
    with pytest.raises(nbsync.NbsyncError, match="2 files") as refused:
        nbsync.pull()
    assert refused.value.exit_code == 3
    assert nbsync.pull(delete=False).ok
    assert {"extra1", "extra2"} <= set(inside.files())
    nbsync.pull(inside.remote, delete=True, local=inside.local)
    assert "extra1" not in inside.files()


def test_a_danger_is_meant_once(inside: World) -> None:
    nbsync.push(inside.local, inside.remote, overwrite_remote=True, delete=True, allow_empty_source=True)
    inside.put("a", b"somebody else's")
    inside.write("a", b"mine")
    assert nbsync.push()["a"].status == "conflict"
    assert inside.get("a") == b"somebody else's"


def test_a_danger_in_the_book_is_not_obeyed(inside: World) -> None:
    """A run never writes one there, and the note would not tell of it."""
    nbsync.push(inside.local, inside.remote)
    book = inside.local / ".nbsync" / "syncs.json"
    written = json.loads(book.read_text())
    for sync in written["syncs"]:
        sync["options"].update(overwrite_remote=True, dry_run=True) if sync["command"] == "push" else None
    written["proof"] = own_secret.proof("syncs", str(book.parent), written["syncs"])  # as if a run had written it
    book.write_text(json.dumps(written))
    inside.put("a", b"somebody else's")
    inside.write("a", b"mine")
    inside.write("new", b"1")
    result = nbsync.push()
    assert (result["a"].status, result["new"].status, result.dry_run) == ("conflict", "miss", False)


def test_a_push_is_never_made_of_a_pull(inside: World) -> None:
    with pytest.raises(UsageError) as refused:
        nbsync.push()
    assert f"there was no push here to repeat; the last sync was: pull {inside.remote}" in str(refused.value)
    assert f"write: push . {inside.remote}" in str(refused.value)
    assert inside.keys() == ["a", "b", "x.tmp"]
    nbsync.push(".", f"{inside.bucket}/q", cache_control="no-store")
    inside.write("new", b"1")
    result = nbsync.push()
    assert (result.remote, result.counts["miss"]) == (f"s3://{inside.bucket}/q/", 1)
    head = inside.server.s3.head_object(Bucket=inside.bucket, Key="q/new")
    assert head["CacheControl"] == "no-store"


def test_the_last_of_several_remotes(inside: World) -> None:
    inside.server.s3.put_object(Bucket=inside.bucket, Key="q/z", Body=b"z")
    nbsync.pull(f"{inside.bucket}/q", ".")
    assert nbsync.pull().remote == f"s3://{inside.bucket}/q/"


def test_a_single_object_is_pulled_again(inside: World) -> None:
    nbsync.pull(f"{inside.remote}a", ".")
    inside.put("a", b"again")
    inside.put("b", b"again")
    assert [(row.path, row.status) for row in nbsync.pull()] == [("a", "miss")]


def test_a_plan_that_was_applied_is_not_repeated(inside: World) -> None:
    inside.write("new", b"1")
    nbsync.plan("push", ".", f"{inside.bucket}/q").apply()
    with pytest.raises(UsageError, match=r"the last sync was: push s3://[^ ]*/q/ \(of a plan\)"):
        nbsync.push()


def test_paths_of_files_are_found_from_elsewhere(
    inside: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list").write_text("a\n")
    monkeypatch.chdir(tmp_path)
    nbsync.pull(inside.remote, inside.local, files_from="list")
    monkeypatch.chdir(inside.local)
    inside.put("a", b"again")
    inside.put("b", b"again")
    assert [(row.path, row.status) for row in nbsync.pull()] == [("a", "miss")]


def test_it_does_not_go_elsewhere_unasked(inside: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UsageError, match=r"the last pull here went to .* would go to http"):
        nbsync.pull()
    assert nbsync.pull(endpoint_url=inside.server.endpoint_url).counts["hit"] == 2
    assert nbsync.pull().counts["hit"] == 2, "a given endpoint is repeated"


def test_a_copy_repeats_nothing(inside: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbsync.push(".", f"{inside.bucket}/q")
    shutil.copytree(inside.local, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    for verb in (nbsync.pull, nbsync.push):
        with pytest.raises(GuardRefusal, match="was not done by you in this directory"):
            verb()


def test_where_nothing_was_synced(world: World, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    world.fill_both("a")
    monkeypatch.chdir(world.sandbox)
    with pytest.raises(UsageError, match=r"nothing was synced here before \(folders near it that were: local\)"):
        nbsync.pull()
    assert main.main(["push", "--json"]) == 2
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["ok"], document["command"], document["remote"]) == (False, "push", "")
    assert err.startswith("nbsync: nothing was synced here before")
    assert list(world.sandbox.iterdir()) != []
    assert not (world.sandbox / ".nbsync").exists()


@pytest.mark.parametrize("remote", ["", None, 5])
def test_a_remote_that_is_none_is_no_repeat(inside: World, remote: Any) -> None:
    before = inside.keys()
    for verb, words in ((nbsync.pull, (remote, ".")), (nbsync.push, (".", remote))):
        with pytest.raises(UsageError):
            verb(*words)
    assert inside.keys() == before


def test_a_pull_that_found_nothing_is_not_repeated(inside: World, tmp_path: Path) -> None:
    """A slip in REMOTE must not become what this folder is synced with."""
    target = tmp_path / "other"
    assert nbsync.pull(f"{inside.remote}-slip", target).ok
    assert nbsync.status(target).syncs == []
    with pytest.raises(UsageError, match="nothing was synced"):
        nbsync.pull(local=target)
    assert nbsync.pull(inside.remote, target).ok
    nbsync.pull(f"{inside.remote}-slip", target)
    assert nbsync.status(target).remote == f"s3://{inside.remote.removeprefix('s3://').rstrip('/')}/"


def test_push_needs_local(inside: World) -> None:
    with pytest.raises(UsageError, match="push needs LOCAL"):
        nbsync.push(remote=inside.remote)


def test_a_folder_that_may_only_be_read(read_only: World, tmp_path: Path) -> None:
    world = read_only
    world.write("f", b"1")
    nbsync.push(world.local, world.remote)
    world.write("g", b"2")
    assert nbsync.push(world.local).counts["miss"] == 1


def test_credentials_are_never_noted(inside: World) -> None:
    text = (inside.local / ".nbsync" / "syncs.json").read_text()
    assert inside.server.secret_key not in text
    assert inside.server.access_key not in text


def test_a_first_run_that_was_stopped_can_be_repeated(inside: World, tmp_path: Path) -> None:
    """What is done is noted when the run begins, not when it ends."""
    for number in range(10):
        inside.put(f"large{number}", b"x" * 100_000)
    target = tmp_path / "other"
    job = nbsync.pull(inside.remote, target, background=True, jobs=1, bandwidth="100KB/s")
    while not job.done and not (target / ".nbsync" / "syncs.json").exists():
        with contextlib.suppress(TimeoutError):  # a loop that only asks takes the interpreter from the run
            job.wait(0.05)
    job.cancel()
    assert job.wait().exit_code == 130
    again = nbsync.pull(local=target, jobs=0, bandwidth=None)
    assert (again.ok, sum(again.counts.values())) == (True, 13)
