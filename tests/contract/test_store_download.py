"""What download.fetch stages from a store is the object that was listed, whole and checked, or nothing."""

from __future__ import annotations

import datetime
import os
from typing import Any

import pytest

from nbsync.core.model import Evidence, Status, Verb
from nbsync.core.options import Options
from nbsync.local.install import Installer
from nbsync.transfer import pull_actions
from nbsync.transfer.context import Context
from nbsync.transfer.download import fetch
from nbsync.transfer.evidence import Corrupted
from nbsync.transfer.staged import Staged
from nbsync.wire.errors import ServiceError
from nbsync.wire.response_reader import Response
from tests.contract.store import OTHER_ETAG, Activity, KiB, MiB, Store, action, content, md5

SIZES = [0, 1, 5000, 128 * KiB, 128 * KiB + 1, 200 * KiB, 7 * MiB + 11]


def read(staged: Staged) -> bytes:
    with open(staged.path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("size", SIZES)
def test_an_object_of_any_size_arrives_whole_and_verified(store: Store, size: int) -> None:
    body = content(size)
    remote = store.put("dir/a b+c é", body)
    ctx, activity = store.context(), Activity()
    staged = fetch(ctx, remote, activity)
    assert read(staged) == body
    assert (staged.verified, staged.content) == (True, f"md5:{md5(body)}")
    assert (activity.done, activity.moved) == (size, size)
    assert ctx.bucket.counts.snapshot() == {"list": 0, "head": 0, "get": 1, "put": 0, "delete": 0, "other": 0}


@pytest.mark.parametrize("part_size", [5 * MiB, 5 * MiB + 12345])
def test_an_object_made_in_parts_arrives_verified_where_its_etag_tells(store: Store, part_size: int) -> None:
    body = content(11 * MiB)
    remote = store.put_parts("big", body, part_size)
    staged = fetch(store.context(retries=1), remote, Activity())
    assert read(staged) == body
    told = store.server.can("part-head") or part_size == 5 * MiB
    # An ETag of unusual parts on a server that does not tell their size proves nothing; and rclone's
    # is the whole content's MD5.
    assert staged.verified == (store.server.name == "rclone" or told)


@pytest.mark.parametrize("size", [10, 200 * KiB])
def test_an_object_replaced_since_the_listing_is_not_taken(store: Store, size: int) -> None:
    remote = store.put("a", content(size, "old"))
    store.put("a", content(size, "new"))
    with pytest.raises((ServiceError, Corrupted)) as caught:
        fetch(store.context(), remote, Activity())
    if store.server.can("conditional-get"):
        assert isinstance(caught.value, ServiceError)
        assert caught.value.status == 412
    assert store.staged() == []


@pytest.mark.parametrize("size", [10, 200 * KiB])
def test_content_that_is_not_the_objects_is_refused(store: Store, size: int) -> None:
    # The listed ETag is another content's, and nothing makes the server compare it.
    remote = store.put("a", content(size))._replace(etag="")
    ctx = store.context(retries=2)
    with pytest.raises(Corrupted):
        fetch(ctx, remote._replace(size=size + 1), Activity())
    assert ctx.bucket.counts.snapshot()["get"] == 3
    assert store.staged() == []


def corrupting(ctx: Context, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let the first byte of the next bodies that are fetched be another one."""
    send, left = ctx.bucket.client.request, [None] * times

    def request(method: str, key: str = "", *, sink: Any = None, **more: Any) -> Response:
        if method != "GET" or not left:
            return send(method, key, sink=sink, **more)
        left.pop()
        seen: list[memoryview] = []

        def take(piece: memoryview) -> None:
            changed = bytearray(piece)
            changed[0] ^= 1 if not seen else 0
            seen.append(piece)
            sink(memoryview(changed))

        answer = send(method, key, sink=take if sink else None, **more)
        return answer if sink else answer._replace(body=bytes([answer.body[0] ^ 1]) + answer.body[1:])

    monkeypatch.setattr(ctx.bucket.client, "request", request)


@pytest.mark.parametrize("size", [10, 3 * MiB])
def test_what_was_corrupted_on_its_way_is_fetched_again_and_never_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    body = content(size)
    remote, ctx, activity = store.put("a", body), store.context(retries=2), Activity()
    corrupting(ctx, monkeypatch, 2)
    staged = fetch(ctx, remote, activity)
    assert (read(staged), staged.verified) == (body, True)
    assert (activity.done, ctx.bucket.counts.snapshot()["get"]) == (size, 3)
    os.unlink(staged.path)
    corrupting(ctx, monkeypatch, 3)
    with pytest.raises(Corrupted):
        fetch(ctx, remote, Activity())
    assert store.staged() == []


@pytest.mark.parametrize("part_size", [5 * MiB, 5 * MiB + 12345])
def test_a_corrupted_object_of_parts_is_not_kept(store: Store, monkeypatch: pytest.MonkeyPatch, part_size: int) -> None:
    body = content(11 * MiB)
    remote, ctx = store.put_parts("big", body, part_size), store.context(retries=2)
    corrupting(ctx, monkeypatch, 1)
    assert read(fetch(ctx, remote, Activity())) == body


def test_an_object_that_is_gone_is_404(store: Store) -> None:
    remote = store.put("a", b"x")
    store.server.s3.delete_object(Bucket=store.name, Key="a")
    with pytest.raises(ServiceError) as caught:
        fetch(store.context(), remote, Activity())
    assert caught.value.status == 404
    assert store.staged() == []


def test_a_wrong_listed_etag_is_never_believed(store: Store) -> None:
    remote = store.put("a", b"hello")._replace(etag=OTHER_ETAG)
    with pytest.raises((ServiceError, Corrupted)):
        fetch(store.context(), remote, Activity())


def test_a_downloaded_file_has_the_listed_time_in_full_precision(store: Store) -> None:
    remote = store.put("a/b", b"hello")
    ctx = store.context()
    assert ctx.state_dir is not None
    installer = Installer(ctx.state_dir)
    outcome = pull_actions.download(ctx, action(Verb.DOWNLOAD, None, remote), installer, Activity())
    installer.close()
    assert (outcome.status, outcome.bytes, outcome.error) == (Status.MISS, 5, None)
    assert outcome.evidence is Evidence.NONE  # as the action said: it was missing
    assert (store.root / "a/b").read_bytes() == b"hello"
    assert os.stat(store.root / "a/b").st_mtime_ns == remote.last_modified_ns
    assert store.staged() == []


@pytest.mark.parametrize("preserve", [True, False])
def test_preserve_mtime_takes_the_time_that_the_metadata_has(store: Store, preserve: bool) -> None:
    remote = store.put("a", b"hello", Metadata={"mtime": "1000000000.123456789"})
    ctx = store.context(preserve_mtime=preserve)
    assert ctx.state_dir is not None
    assert ctx.options == Options(endpoint_url=store.server.endpoint_url, retries=0, preserve_mtime=preserve)
    installer = Installer(ctx.state_dir)
    pull_actions.download(ctx, action(Verb.DOWNLOAD, None, remote), installer, Activity())
    installer.close()
    expected = 1_000_000_000_123_456_789 if preserve else remote.last_modified_ns
    assert os.stat(store.root / "a").st_mtime_ns == expected


def test_an_object_replaced_while_pulling_is_taken_as_it_is_now(store: Store) -> None:
    if not store.server.can("conditional-get"):
        pytest.skip("this server gives the new object to whoever asks for the old one; its checks are tested above")
    old = store.put("a", b"old content")
    new = store.put("a", b"the new one")
    ctx = store.context()
    assert ctx.state_dir is not None
    installer = Installer(ctx.state_dir)
    outcome = pull_actions.download(ctx, action(Verb.DOWNLOAD, None, old), installer, Activity())
    installer.close()
    assert outcome.status is Status.MISS
    assert outcome.record is not None
    assert outcome.record.etag == new.etag
    assert (store.root / "a").read_bytes() == b"the new one"


def test_a_vanished_object_is_skipped(store: Store) -> None:
    remote = store.put("a", b"x")
    store.server.s3.delete_object(Bucket=store.name, Key="a")
    ctx = store.context()
    assert ctx.state_dir is not None
    installer = Installer(ctx.state_dir)
    outcome = pull_actions.download(ctx, action(Verb.DOWNLOAD, None, remote), installer, Activity())
    installer.close()
    assert outcome.status is Status.SKIPPED
    assert not (store.root / "a").exists()


def test_an_old_version_is_not_what_is_listed(store: Store) -> None:
    if not store.server.can("versions"):
        pytest.skip("no versions here")
    store.server.s3.put_bucket_versioning(Bucket=store.name, VersioningConfiguration={"Status": "Enabled"})
    store.put("a", b"first")
    remote = store.put("a", b"second")
    staged = fetch(store.context(), remote, Activity())
    assert read(staged) == b"second"
    assert staged.headers["x-amz-version-id"] not in ("", "null")
    store.server.s3.delete_object(Bucket=store.name, Key="a")  # a delete marker hides it
    assert store.keys() == []


def test_time_of_listing_is_the_servers(store: Store) -> None:
    if not store.server.can("last-modified-is-put-time"):
        pytest.skip("this server shows the metadata's time")
    remote = store.put("a", b"x", Metadata={"mtime": "1000000000.0"})
    now = datetime.datetime.now(datetime.timezone.utc).timestamp()
    assert abs(remote.last_modified_ns / 1e9 - now) < 600
