"""Versions and customer keys on real servers: what was held then, and what only its owner can read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbsync.core.model import Evidence, RemoteEntry, Verb
from nbsync.errors import UsageError
from nbsync.s3 import versions
from nbsync.s3.errors import words
from nbsync.s3.listing import list_objects
from nbsync.transfer import multipart, upload
from nbsync.transfer.context import Context
from nbsync.transfer.download import fetch
from nbsync.transfer.evidence import compare
from nbsync.wire.errors import ServiceError
from tests.contract.store import Activity, MiB, Store, action, content

HISTORY = [("a", b"1"), ("a b+%", b"12"), ("a b+%", None), ("a", b"123"), ("ä/ö", b"1234"), ("ä/ö", None),
           ("ä/ö", b"12345"), ("a", None), ("z", b"")]  # fmt: skip


def versioned(store: Store) -> None:
    if not store.server.can("versions"):
        pytest.skip(f"{store.server.name} keeps no versions")
    store.server.s3.put_bucket_versioning(Bucket=store.name, VersioningConfiguration={"Status": "Enabled"})


def arrived(ctx: Context, remote: RemoteEntry) -> tuple[bytes, bool]:
    """What a GET of exactly this version brings, and whether the server confirms it."""
    staged = fetch(ctx, remote, Activity())
    assert staged.headers.get("x-amz-version-id", remote.version_id) == remote.version_id
    body = Path(staged.path).read_bytes()
    os.unlink(staged.path)
    return body, staged.verified


def test_every_moment_of_a_history_can_be_had(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through pages of two. A moment is between two changes if their times differ: moto's are whole seconds."""
    versioned(store)
    held: dict[str, bytes] = {}
    moments: dict[int, dict[str, bytes]] = {}
    for key, body in HISTORY:
        where = {"Bucket": store.name, "Key": key}
        held.pop(key, None)
        if body is None:
            store.server.s3.delete_object(**where)
        else:
            store.server.s3.put_object(**where, Body=body)
            held[key] = body
        moments[_newest(store)] = dict(held)
    real = versions.fetch_versions
    monkeypatch.setattr(versions, "fetch_versions", lambda *w, **more: real(*w, **{**more, "max_keys": 2}))

    for moment, expected in moments.items():
        ctx = store.context(as_of=moment)
        found = list(list_objects(ctx.bucket, ""))
        assert [entry.key for entry in found] == sorted(expected)
        for entry in found:
            assert arrived(ctx, entry) == (expected[entry.key], True)
    assert ctx.bucket.counts.snapshot()["list"] == 5
    assert list(list_objects(store.bucket(as_of=0), "")) == []


def _newest(store: Store) -> int:
    """LastModified of the last change, ns."""
    page = versions.fetch_versions(store.bucket(), "", versions.Marker(), cut=0)
    return max(version.last_modified_ns for version in page.versions)


def test_a_bucket_without_versions_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="keeps no versions"):
        list(list_objects(store.bucket(as_of=1), ""))


# ---- customer keys ------------------------------------------------------------------------------------


@pytest.fixture
def key_file(store: Store, tmp_path: Path) -> str:
    """A customer's key, on a server that takes one."""
    if not store.server.can("sse-c"):
        pytest.skip(f"{store.server.name} knows no customer keys")
    (tmp_path / "key").write_bytes(bytes(range(32)))
    return str(tmp_path / "key")


@pytest.mark.parametrize("size", [0, 5, 300_000, 11 * MiB + 1])
def test_an_encrypted_object(store: Store, key_file: str, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(upload, "MULTIPART_BYTES", 6 * MiB)
    monkeypatch.setattr(multipart, "PART_BYTES", 5 * MiB)
    ctx = store.context(sse_c_key_file=key_file)
    body = content(size)

    upload.store(ctx, store.file("a", body), "a", {"if-none-match": "*"}, Activity())

    remote = store.listed("a")
    assert arrived(ctx, remote) == (body, True)
    same, _ = compare(ctx, action(Verb.DOWNLOAD, store.file("a", body), remote))
    assert same.same is True
    if 0 < size < MiB:
        other, _ = compare(ctx, action(Verb.DOWNLOAD, store.file("b", body[:-1] + b"!"), remote))
        assert (other.same, other.evidence) == (False, Evidence.METADATA)

    for options in ({}, {"sse_c_key_file": str(_other_key(store))}):
        with pytest.raises(ServiceError) as caught:
            fetch(store.context(**options), remote, Activity())
        assert "--sse-c-key-file" in words(caught.value)
    assert store.staged() == []


def _other_key(store: Store) -> Path:
    path = store.root.parent / "other-key"
    path.write_bytes(bytes(32))
    return path


def test_a_plain_object_can_be_read_in_a_run_with_a_key(store: Store, key_file: str) -> None:
    remote = store.put("plain", b"hello")
    ctx = store.context(sse_c_key_file=key_file)
    assert arrived(ctx, remote) == (b"hello", True)


def test_the_rest_of_an_encrypted_object(store: Store, key_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A range under a key, with If-Match."""
    ctx = store.context(sse_c_key_file=key_file)
    body = content(300_000)
    upload.store(ctx, store.file("a", body), "a", {"if-none-match": "*"}, Activity())
    etag = store.listed("a").etag
    headers = {"range": "bytes=200000-", "if-match": f'"{etag}"'}
    assert ctx.bucket.client.request("GET", "a", headers=headers).body == body[200_000:]
    with pytest.raises(ServiceError) as caught:
        ctx.bucket.client.request("GET", "a", headers={**headers, "if-match": f'"{"0" * 32}"'})
    assert caught.value.status == 412
