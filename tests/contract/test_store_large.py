"""Large objects on each server: ranges and parts side by side, and what a broken run leaves for the next one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nbsync.core.model import Outcome, Verb
from nbsync.transfer import download, multipart, push_actions, ranged
from nbsync.transfer import upload as uploading
from nbsync.transfer.cleanup import clear_away
from nbsync.transfer.concurrency import Controller
from nbsync.transfer.context import Context
from nbsync.transfer.download import fetch
from nbsync.transfer.evidence import Corrupted
from nbsync.transfer.staged import Staged
from nbsync.transfer.worker import look_again
from nbsync.wire.errors import ConnectionLost, ServiceError
from nbsync.wire.response_reader import Response
from tests.contract.store import Activity, MiB, Store, action, content, md5, tree, unfinished

SIZE = 11 * MiB + 5  # three parts, and twelve ranges
PART = 5 * MiB
RANGES = 12
BODY = content(SIZE)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is large here is small enough for a test."""
    monkeypatch.setattr(download, "RANGED_BYTES", 4 * MiB)
    monkeypatch.setattr(ranged, "RANGE_BYTES", MiB)
    monkeypatch.setattr(uploading, "MULTIPART_BYTES", 6 * MiB)
    monkeypatch.setattr(multipart, "PART_BYTES", PART)


@pytest.fixture
def ctx(store: Store) -> Iterator[Context]:
    """A first run."""
    yield from _run(store)


@pytest.fixture
def next_ctx(store: Store) -> Iterator[Context]:
    """A second one; ask for it when the first has ended (`end`)."""
    yield from _run(store)


def _run(store: Store) -> Iterator[Context]:
    ctx = store.context()
    ctx.journal = store.journal()
    ctx.controller = Controller(3)
    yield ctx
    ctx.journal.close()


def begun(store: Store) -> Context:
    """A run after others have ended."""
    ctx = store.context()
    ctx.journal, ctx.controller = store.journal(), Controller(3)
    return ctx


def end(ctx: Context) -> list[str]:
    """Its last act; the notes."""
    notes = clear_away(ctx)
    ctx.journal.close()
    return notes


def failing(ctx: Context, monkeypatch: pytest.MonkeyPatch, method: str, after: int) -> None:
    """Let the server be gone once `after` ranges or parts went through."""
    send, lock, left = ctx.bucket.client.request, threading.Lock(), [after]

    def request(sent: str, key: str = "", **more: Any) -> Response:
        if sent == method and key and "uploads" not in dict(more.get("query", ())):
            with lock:
                left[0] -= 1
                if left[0] < 0:
                    raise ConnectionLost("gone")
        return send(sent, key, **more)

    monkeypatch.setattr(ctx.bucket.client, "request", request)


def read(staged: Staged) -> bytes:
    with open(staged.path, "rb") as file:
        return file.read()


def counted(ctx: Context, kind: str) -> int:
    return ctx.bucket.counts.snapshot()[kind]


def unconfirmed(store: Store) -> int:
    """Parts that were sent for nothing: moto says that it keeps their CRC, and then does not confirm it."""
    return int(store.server.name == "moto")


# ---- downloads --------------------------------------------------------------------------------------


def test_an_object_in_ranges_arrives_whole_and_verified(store: Store, ctx: Context) -> None:
    remote, activity = store.put("a b+é", BODY), Activity()
    staged = fetch(ctx, remote, activity)
    assert read(staged) == BODY
    assert (staged.verified, staged.content) == (True, f"md5:{md5(BODY)}")
    assert (activity.done, activity.moved, activity.kept) == (SIZE, SIZE, 0)
    assert (counted(ctx, "get"), counted(ctx, "head")) == (RANGES, 1)


@pytest.mark.parametrize("part_size", [PART, PART + 12345])
def test_an_object_of_parts_in_ranges_arrives_verified_where_its_etag_tells(
    store: Store, ctx: Context, part_size: int
) -> None:
    remote = store.put_parts("big", BODY, part_size)
    staged = fetch(ctx, remote, Activity())
    assert read(staged) == BODY
    told = store.server.can("part-head") or part_size == PART
    assert staged.verified == (store.server.name == "rclone" or told)


def test_an_object_replaced_since_the_listing_is_not_taken_in_ranges(store: Store, ctx: Context) -> None:
    remote = store.put("a", BODY)
    store.put("a", content(SIZE, "new"))
    with pytest.raises((ServiceError, Corrupted)) as caught:
        fetch(ctx, remote, Activity())
    if store.server.can("conditional-get"):
        assert isinstance(caught.value, ServiceError)
        assert caught.value.status == 412
    assert store.staged() == []


def test_an_object_that_shrank_is_not_taken(store: Store, ctx: Context) -> None:
    remote = store.put("a", BODY)
    store.put("a", BODY[: 2 * MiB])
    with pytest.raises((ServiceError, Corrupted)):
        fetch(ctx, remote, Activity())
    assert store.staged() == []


def test_a_broken_download_is_taken_up_by_the_next_run(
    store: Store, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote, activity = store.put("a", BODY), Activity()
    failing(ctx, monkeypatch, "GET", 5)
    with pytest.raises(ConnectionLost):
        fetch(ctx, remote, activity)
    assert activity.done == 0
    assert len(store.staged()) == 1
    end(ctx)

    again, activity = begun(store), Activity()
    staged = fetch(again, remote, activity)
    assert read(staged) == BODY
    assert (activity.done, activity.kept) == (SIZE, SIZE - activity.moved)
    assert activity.kept >= 3 * MiB, "of five, two may have been stopped by the failure of the sixth"
    assert counted(again, "get") == RANGES - activity.kept // MiB
    os.unlink(staged.path)
    assert end(again) == []
    assert os.listdir(store.root / ".nbsync/stage") == []
    assert not (store.root / ".nbsync/unfinished.sqlite3").exists()


def test_another_object_of_that_name_is_fetched_anew_and_the_rest_of_the_old_one_goes(
    store: Store, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(ctx, monkeypatch, "GET", 5)
    with pytest.raises(ConnectionLost):
        fetch(ctx, store.put("a", BODY), Activity())
    end(ctx)
    other = content(SIZE, "new")
    again = begun(store)
    staged = fetch(again, store.put("a", other), Activity())
    assert read(staged) == other
    assert counted(again, "get") == RANGES
    os.unlink(staged.path)
    end(again)
    assert store.staged() == []


def test_spoilt_bytes_of_an_earlier_run_are_fetched_again(
    store: Store, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power failed, and what the journal speaks of never reached the disk."""
    remote = store.put("a", BODY)
    failing(ctx, monkeypatch, "GET", 5)
    with pytest.raises(ConnectionLost):
        fetch(ctx, remote, Activity())
    end(ctx)
    (partial,) = (store.root / ".nbsync/stage").iterdir()
    partial.write_bytes(bytes(SIZE))
    again = begun(store)
    again.options = again.options.__class__(**{**again.options.__dict__, "retries": 1})
    again.bucket = store.bucket(retries=1)
    staged = fetch(again, remote, Activity())
    assert (read(staged), staged.verified) == (BODY, True)
    end(again)


# ---- uploads ----------------------------------------------------------------------------------------


def upload(ctx: Context) -> Outcome:
    return push_actions.upload(ctx, action(Verb.UPLOAD, look_again(ctx, "a"), None), Activity())


def broken_upload(store: Store, ctx: Context, monkeypatch: pytest.MonkeyPatch, after: int = 2) -> None:
    """A first run that ended when the server was gone after so many parts."""
    store.file("a", BODY)
    failing(ctx, monkeypatch, "PUT", after)
    with pytest.raises(ConnectionLost):
        upload(ctx)
    end(ctx)


def test_a_broken_upload_is_taken_up_by_the_next_run(
    store: Store, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_upload(store, ctx, monkeypatch)
    assert store.keys() == []
    again = begun(store)
    outcome = upload(again)
    assert outcome.error is None
    assert counted(again, "put") == 1 + unconfirmed(store)
    assert store.body("a") == BODY
    assert end(again) == []
    assert unfinished(store) == []
    assert not (store.root / ".nbsync/unfinished.sqlite3").exists()


def test_a_file_that_changed_is_sent_anew_and_the_old_upload_aborted(
    store: Store, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_upload(store, ctx, monkeypatch)
    other = content(SIZE, "edited")
    store.file("a", other)
    again = begun(store)
    assert upload(again).error is None
    assert counted(again, "put") == 3 + unconfirmed(store)
    assert end(again) == []
    assert store.body("a") == other
    assert unfinished(store) == []


def test_a_part_that_the_service_holds_differently_is_sent_again(
    store: Store, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_upload(store, ctx, monkeypatch)
    if store.server.name != "rclone":
        (there,) = unfinished(store)
        where = {"Bucket": store.name, "Key": "a", "UploadId": there["UploadId"]}
        held = store.server.s3.list_parts(**where)["Parts"]
        store.server.s3.upload_part(**where, PartNumber=held[0]["PartNumber"], Body=b"?" * PART)
    again = begun(store)
    assert upload(again).error is None
    assert counted(again, "put") == (2 if store.server.name != "rclone" else 1) + unconfirmed(store)
    assert store.body("a") == BODY
    end(again)


def test_what_nobody_takes_up_is_aborted(store: Store, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_upload(store, ctx, monkeypatch)
    again = begun(store)
    assert end(again) == []
    assert unfinished(store) == []
    assert tree(store.root) == {"a": BODY}


def test_an_upload_whose_answer_nobody_got_is_aborted_and_nobody_elses(store: Store, ctx: Context) -> None:
    if store.server.name == "rclone":
        pytest.skip("rclone does not say when an upload began")
    clock: Callable[[], int] | None = None
    if store.server.name == "moto":  # dates every upload so
        clock = lambda: 1_289_422_113 * 10**9  # noqa: E731
    local = store.file("a", BODY)
    s3, where = store.server.s3, {"Bucket": store.name, "Key": "a"}
    journal = store.journal(clock) if clock else store.journal()
    journal.intend_upload(local, "a", "headers", PART)
    ours = s3.create_multipart_upload(**where)["UploadId"]
    theirs = s3.create_multipart_upload(**where)["UploadId"]
    s3.upload_part(**where, UploadId=theirs, PartNumber=1, Body=b"x")
    beside = s3.create_multipart_upload(Bucket=store.name, Key="a2")["UploadId"]
    journal.close()
    ctx.journal.close()
    ctx.journal = store.journal()
    assert end(ctx) == []
    left = {one["UploadId"] for one in unfinished(store)}
    assert left == {theirs, beside}, ours


def test_an_upload_of_another_time_is_not_ours(store: Store, ctx: Context) -> None:
    if store.server.name == "rclone":
        pytest.skip("rclone does not say when an upload began")
    journal = store.journal(lambda: 10**18)
    journal.intend_upload(store.file("a", BODY), "a", "headers", PART)
    journal.close()
    store.server.s3.create_multipart_upload(Bucket=store.name, Key="a")
    ctx.journal.close()
    ctx.journal = store.journal()
    assert end(ctx) == []
    assert len(unfinished(store)) == 1
