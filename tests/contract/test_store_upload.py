"""What upload.store makes in a store is the file that was listed, on its condition, or nothing."""

from __future__ import annotations

import os
from typing import Any

import pytest

from nbsync.core.model import Status, Verb
from nbsync.local.digest import FileChanged
from nbsync.transfer import push_actions
from nbsync.transfer.upload import store as upload
from nbsync.wire.errors import ServiceError
from tests.contract.store import OTHER_ETAG, Activity, KiB, MiB, Store, action, content, md5, unfinished

NEW = {"if-none-match": "*"}
MTIME_NS = 1_234_567_890_012_345_678
# Sent in one piece, streamed from the file, and in three parts.
SMALL, LARGE, PARTS = 5000, 3 * MiB + 1, 40 * MiB
SIZES = [0, SMALL, 128 * KiB, 128 * KiB + 1, LARGE, PARTS]


def head(store: Store, key: str) -> dict[str, Any]:
    """What boto3 says of an object; names of metadata in lower case (rclone capitalizes them)."""
    said: dict[str, Any] = store.server.s3.head_object(Bucket=store.name, Key=key)
    said["Metadata"] = {name.lower(): value for name, value in said["Metadata"].items()}
    return said


@pytest.mark.parametrize("size", SIZES)
def test_a_file_of_any_size_is_stored_whole(store: Store, size: int) -> None:
    body = content(size)
    local = store.file("dir/a b+c é.csv", body, MTIME_NS)
    ctx, activity = store.context(), Activity()
    stored = upload(ctx, local, "x/a b+c é.csv", NEW, activity)
    assert store.body("x/a b+c é.csv") == body
    listed = store.listed("x/a b+c é.csv")
    assert stored.etag == listed.etag, "what is recorded must be what the next listing shows"
    assert activity.done == size
    said = head(store, "x/a b+c é.csv")
    assert said["Metadata"]["mtime"] == "1234567890.012345678"
    assert said["ContentType"] == "text/csv"
    if size == PARTS and store.server.can("multipart-md5-etag"):
        assert stored.content == f"etag:{listed.etag}:{16 * MiB}"
    else:
        assert stored.content == f"md5:{md5(body)}"
    if size != PARTS:
        assert ctx.bucket.counts.snapshot() == {"list": 0, "head": 0, "get": 0, "put": 1, "delete": 0, "other": 0}


def test_a_time_before_1970_is_kept(store: Store) -> None:
    local = store.file("a", b"x", -1_500_000_000)
    upload(store.context(), local, "a", NEW, Activity())
    assert head(store, "a")["Metadata"]["mtime"] == "-1.500000000"


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_nothing_is_overwritten_unseen(store: Store, size: int) -> None:
    if not store.server.can("conditional-put"):
        pytest.skip("this server ignores conditions; the result's note says so")
    there = store.put("a", b"there first")
    local, ctx = store.file("a", content(size)), store.context()
    for condition in (NEW, {"if-match": OTHER_ETAG}):
        with pytest.raises(ServiceError) as caught:
            upload(ctx, local, "a", condition, Activity())
        assert caught.value.status == 412
    assert store.body("a") == b"there first"
    upload(ctx, local, "a", {"if-match": there.etag}, Activity())
    assert store.body("a") == content(size)


def test_nothing_is_overwritten_unseen_by_parts(store: Store) -> None:
    if not store.server.can("conditional-complete-new"):
        pytest.skip("this server ignores conditions on CompleteMultipartUpload")
    store.put("a", b"there first")
    with pytest.raises(ServiceError) as caught:
        upload(store.context(), store.file("a", content(PARTS)), "a", NEW, Activity())
    assert caught.value.status == 412
    assert store.body("a") == b"there first"
    assert unfinished(store) == []


def test_a_push_over_a_moved_object_is_a_conflict(store: Store) -> None:
    if not store.server.can("conditional-put"):
        pytest.skip("this server ignores conditions")
    decided_on = store.put("a", b"old")
    store.put("a", b"somebody else's")
    outcome = push_actions.upload(
        store.context(), action(Verb.UPLOAD, store.file("a", b"mine"), decided_on), Activity()
    )
    assert (outcome.status, outcome.problem) == (Status.CONFLICT, "conflict")
    assert store.body("a") == b"somebody else's"


def test_a_push_over_the_object_that_was_decided_on_replaces_it(store: Store) -> None:
    decided_on = store.put("a", b"old")
    outcome = push_actions.upload(
        store.context(), action(Verb.UPLOAD, store.file("a", b"mine"), decided_on), Activity()
    )
    assert outcome.status is Status.MISS, outcome.error
    assert store.body("a") == b"mine"
    assert outcome.record is not None
    assert outcome.record.etag == store.listed("a").etag


def test_overwrite_remote_decides_again(store: Store) -> None:
    decided_on = store.put("a", b"old")
    store.put("a", b"somebody else's")
    ctx = store.context(overwrite_remote=True)
    outcome = push_actions.upload(ctx, action(Verb.UPLOAD, store.file("a", b"mine"), decided_on), Activity())
    assert outcome.status is Status.MISS, outcome.error
    assert store.body("a") == b"mine"


@pytest.mark.parametrize("size", [SMALL, LARGE, PARTS])
def test_a_file_that_is_not_as_listed_is_not_stored(store: Store, size: int) -> None:
    local = store.file("a", content(size))
    store.file("a", content(size, "other"), local.mtime_ns)  # same size, same time: ctime tells
    with pytest.raises(FileChanged):
        upload(store.context(), local, "a", NEW, Activity())
    assert store.keys() == []


def test_a_symlink_put_in_place_of_the_file_is_not_followed(store: Store) -> None:
    local = store.file("a", b"x")
    os.unlink(store.root / "a")
    os.symlink("/etc/passwd", store.root / "a")
    with pytest.raises(OSError, match=r"symbolic link"):
        upload(store.context(), local, "a", NEW, Activity())
    assert store.keys() == []


@pytest.mark.parametrize("size", [SMALL, PARTS])
def test_push_headers_are_kept(store: Store, size: int) -> None:
    options = {
        "content_type": "text/x-odd; charset=utf-8",
        "content_encoding": "gzip",
        "content_disposition": 'attachment; filename="a  b.csv"',
        "content_language": "de",
        "cache_control": "max-age=60, public",
        "metadata": (("Team", "a  b"), ("x", " led")),
    }
    upload(store.context(**options), store.file("a.csv", content(size)), "a.csv", NEW, Activity())
    said = head(store, "a.csv")
    assert {name: said.get(name) for name in ("ContentType", "ContentEncoding", "ContentDisposition")} == {
        "ContentType": "text/x-odd; charset=utf-8",
        "ContentEncoding": "gzip",
        "ContentDisposition": 'attachment; filename="a  b.csv"',
    }
    assert (said["ContentLanguage"], said["CacheControl"]) == ("de", "max-age=60, public")
    # HTTP drops white space around a value; what is inside stays.
    assert said["Metadata"].keys() == {"mtime", "team", "x"}
    assert (said["Metadata"]["team"], said["Metadata"]["x"].strip()) == ("a  b", "led")


def test_expires_is_kept(store: Store) -> None:
    if store.server.name == "rclone":
        pytest.skip("rclone does not keep Expires")
    options = {"expires": "Wed, 21 Oct 2026 07:28:00 GMT"}
    upload(store.context(**options), store.file("a", b"x"), "a", NEW, Activity())
    assert head(store, "a")["ExpiresString"] == "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize("size", [SMALL, PARTS])
def test_tags_are_kept(store: Store, size: int) -> None:
    if not store.server.can("tags"):
        pytest.skip("no tags here")
    if size == PARTS and store.server.name == "rgw":
        pytest.skip("RGW 16 drops the tags of a multipart upload, from boto3 too")
    ctx = store.context(tag=(("team", "a b"), ("x+y", "1=2/3")))
    upload(ctx, store.file("a", content(size)), "a", NEW, Activity())
    tags = store.server.s3.get_object_tagging(Bucket=store.name, Key="a")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "a b", "x+y": "1=2/3"}


@pytest.mark.parametrize("size", [SMALL, PARTS])
def test_the_storage_class_is_kept(store: Store, size: int) -> None:
    if not store.server.can("storage-class"):
        pytest.skip("one storage class here")
    upload(store.context(storage_class="STANDARD_IA"), store.file("a", content(size)), "a", NEW, Activity())
    assert store.listed("a").storage_class == "STANDARD_IA"


def test_encryption_is_asked_for(store: Store) -> None:
    if not store.server.can("sse"):
        pytest.skip("no encryption here")
    upload(store.context(sse="AES256"), store.file("a", b"x"), "a", NEW, Activity())
    assert head(store, "a")["ServerSideEncryption"] == "AES256"


@pytest.mark.parametrize("size", [SMALL, PARTS])
def test_a_kms_key_is_asked_for(store: Store, size: int) -> None:
    if store.server.name != "moto":
        pytest.skip("no KMS here")
    ctx = store.context(sse="aws:kms", sse_kms_key_id="key-1")
    upload(ctx, store.file("a", content(size)), "a", NEW, Activity())
    said = head(store, "a")
    assert (said["ServerSideEncryption"], said["SSEKMSKeyId"]) == ("aws:kms", "key-1")


def test_an_acl_is_asked_for(store: Store) -> None:
    if store.server.name == "rclone":
        pytest.skip("no ACLs here")
    upload(store.context(acl="public-read"), store.file("a", b"x"), "a", NEW, Activity())
    grants = store.server.s3.get_object_acl(Bucket=store.name, Key="a")["Grants"]
    assert "READ" in [grant["Permission"] for grant in grants if "AllUsers" in grant["Grantee"].get("URI", "")]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.csv", "text/csv"),
        ("a.json", "application/json"),
        ("a.html", "text/html"),
        ("a.PNG", "image/png"),
        ("a.csv.gz", "application/gzip"),
        ("a.unheardof", "application/octet-stream"),
        ("no-ending", "application/octet-stream"),
    ],
)
def test_the_content_type_is_guessed(store: Store, path: str, kind: str) -> None:
    upload(store.context(), store.file(path, b"x"), path, NEW, Activity())
    assert head(store, path)["ContentType"] == kind


def test_no_unfinished_upload_is_left_after_a_cancel(store: Store) -> None:
    ctx = store.context()
    local = store.file("a", content(PARTS))

    class Cancelling(Activity):
        def add(self, count: int) -> None:
            ctx.cancel.set()

    with pytest.raises(InterruptedError):
        upload(ctx, local, "a", NEW, Cancelling())
    assert store.keys() == []
    assert unfinished(store) == []


def test_delete_takes_the_object_that_was_decided_on(store: Store) -> None:
    remote = store.put("a b+é", b"x")
    store.put("other", b"x")
    outcome = push_actions.delete_remote(store.context(), action(Verb.DELETE_REMOTE, None, remote))
    assert (outcome.status, outcome.forget) == (Status.DELETED, True)
    assert store.keys() == ["other"]


def test_delete_leaves_an_object_that_changed(store: Store) -> None:
    remote = store.put("a", b"old")
    store.put("a", b"somebody else's")
    outcome = push_actions.delete_remote(store.context(), action(Verb.DELETE_REMOTE, None, remote))
    assert (outcome.status, outcome.problem) == (Status.CONFLICT, "conflict")
    assert store.body("a") == b"somebody else's"


def test_delete_of_what_is_gone_is_done(store: Store) -> None:
    remote = store.put("a", b"old")
    store.server.s3.delete_object(Bucket=store.name, Key="a")
    outcome = push_actions.delete_remote(store.context(), action(Verb.DELETE_REMOTE, None, remote))
    assert outcome.status is Status.DELETED
