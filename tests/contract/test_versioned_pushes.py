"""Pushes to a bucket that keeps, or has kept, versions: conditions hold there, or a look just before decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync import SyncResult
from nbsync.core.model import Status, Verb
from nbsync.transfer import multipart, push_actions, upload
from nbsync.transfer.context import Context
from nbsync.wire.errors import ServiceError
from tests.contract.store import Activity, MiB, Store, action, content
from tests.contract.test_store_versions import versioned

SIZES = [5, 6 * MiB]  # in one request, and in parts
LOOKED = "Ceph RGW is known to break conditional writes in a bucket that keeps, or has kept, versions"


@pytest.fixture(params=["Enabled", "Suspended"])
def kept(request: pytest.FixtureRequest, store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A bucket whose objects `a`, `b` and `gone` were made while it kept versions; then `gone` was deleted."""
    monkeypatch.setattr(upload, "MULTIPART_BYTES", 5 * MiB)
    monkeypatch.setattr(multipart, "PART_BYTES", 5 * MiB)
    versioned(store)
    for path in ("a", "b", "gone"):
        write(store, path, b"1")
    assert push(store).counts["miss"] == 3
    (here(store) / "gone").unlink()
    store.server.s3.put_bucket_versioning(Bucket=store.name, VersioningConfiguration={"Status": request.param})
    assert push(store, delete=True).counts["deleted"] == 1
    return store


def here(store: Store) -> Path:
    """LOCAL: the store's own folder is in use by the store."""
    return store.root.parent / "here"


def write(store: Store, path: str, body: bytes) -> None:
    here(store).mkdir(exist_ok=True)
    (here(store) / path).write_bytes(body)


def push(store: Store, **options: Any) -> SyncResult:
    result: SyncResult = nbsync.push(here(store), store.name, retries=0, **options)
    return result


@pytest.mark.parametrize("size", SIZES)
def test_edits_and_new_files_go_at_the_first_try(kept: Store, size: int) -> None:
    for path in ("a", "gone", "new"):
        write(kept, path, content(size, path))

    result = push(kept)

    assert (result.ok, result.counts["miss"]) == (True, 3), result.to_dict()["problems"]
    assert [kept.body(path) for path in ("a", "gone", "new")] == [content(size, path) for path in ("a", "gone", "new")]
    assert any(note.startswith(LOOKED) for note in result.notes) == (kept.server.name == "rgw")
    again = push(kept)
    assert (again.counts["hit"], again.requests["put"]) == (4, 0)


@pytest.mark.parametrize("size", SIZES)
def test_nothing_of_others_is_overwritten(kept: Store, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is quicker than the push, between its listing and its write."""
    if size > MiB and not kept.server.can("conditional-complete-new") and kept.server.name != "rgw":
        pytest.skip("this server ignores conditions on CompleteMultipartUpload")
    paths = ("a", "gone", "new")
    meanwhile(monkeypatch, lambda: put_theirs(kept, paths))
    for path in paths:
        write(kept, path, content(size, path))

    result = push(kept, jobs=1)

    assert result.counts["conflict"] == 3, result.to_dict()["files"]
    assert [kept.body(path) for path in paths] == [b"theirs"] * 3


def put_theirs(store: Store, paths: tuple[str, ...]) -> None:
    for path in paths:
        store.put_plainly(path, b"theirs")


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Let `change` happen once, when the first file is about to be written."""
    real, todo = upload.store, [change]

    def store(*words: Any, **more: Any) -> Any:
        while todo:
            todo.pop()()
        return real(*words, **more)

    monkeypatch.setattr("nbsync.transfer.push_actions.store", store)
    monkeypatch.setattr("nbsync.transfer.small_files.SmallFiles.takes", lambda _lane, _action: False)


def test_a_changed_object_is_not_deleted(kept: Store) -> None:
    decided_on = {path: kept.listed(path) for path in ("a", "b")}
    kept.put_plainly("a", b"theirs")
    ctx = kept.context()
    done = [push_actions.delete_remote(ctx, action(Verb.DELETE_REMOTE, None, decided_on[path])) for path in ("a", "b")]
    assert [outcome.status for outcome in done] == [Status.CONFLICT, Status.DELETED]
    assert kept.keys() == ["a"]


def test_a_false_refusal_is_found_without_knowing_the_server(kept: Store) -> None:
    """As a worker of another machine meets it: it has not been told what the bucket keeps."""
    if kept.server.name != "rgw":
        pytest.skip("its conditions hold")
    there, ctx = kept.listed("a"), kept.context()
    upload.store(ctx, kept.file("a", b"2!"), "a", {"if-match": there.etag}, Activity())
    assert kept.body("a") == b"2!"
    assert ctx.bucket.can.unconditional
    with pytest.raises(ServiceError) as caught:
        _store(ctx, kept, there.etag)
    assert caught.value.status == 412


def _store(ctx: Context, kept: Store, etag: str) -> None:
    upload.store(ctx, kept.file("a", b"3!!"), "a", {"if-match": etag}, Activity())


def test_a_bucket_that_never_kept_versions_is_asked_once_and_has_conditions(store: Store) -> None:
    if store.server.name != "rgw":
        pytest.skip("no question is needed")
    write(store, "a", b"1")
    first = push(store)
    assert (first.requests["other"], first.requests["head"]) == (1, 0)
    write(store, "a", b"2!")
    second = push(store)
    assert (second.ok, second.requests["other"], second.requests["head"], store.body("a")) == (True, 1, 0, b"2!")
    assert not any("condition" in note for note in second.notes)
    nothing = push(store)
    assert nothing.requests == {**dict.fromkeys(nothing.requests, 0), "list": 1}
