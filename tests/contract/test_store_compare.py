"""The ladder of evidence tells the same content from another without a download, whoever wrote the object."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nbsync.core.evidence import Verdict
from nbsync.core.model import Evidence, RemoteEntry, Verb
from nbsync.s3.bucket import Bucket
from nbsync.transfer.evidence import compare
from tests.contract.store import KiB, MiB, Store, action, content
from tests.servers import Server

# What an S3 client is told of a server of whose kind it knows nothing.
RCLONE_REMOTE = "RCLONE_CONFIG_DST_"


def rclone_env(server: Server) -> dict[str, str]:
    """Variables that make `dst:` this server, for rclone; no configuration file."""
    settings = {
        "TYPE": "s3",
        "PROVIDER": {"rclone": "Rclone", "rgw": "Ceph"}.get(server.name, "Other"),
        "ACCESS_KEY_ID": server.access_key,
        "SECRET_ACCESS_KEY": server.secret_key,
        "ENDPOINT": server.endpoint_url,
        "REGION": server.region,
        "FORCE_PATH_STYLE": "true",
        "NO_CHECK_BUCKET": "true",
    }
    return {"RCLONE_CONFIG": os.devnull, **{RCLONE_REMOTE + name: value for name, value in settings.items()}}


def run(server: Server, program: str, *words: str, **env: str) -> str:
    """The output of aws or rclone of this environment, told where `server` is."""
    path = str(Path(sys.executable).with_name(program))
    done = subprocess.run(
        [path, *words], env={**os.environ, **server.env(), **rclone_env(server), **env}, capture_output=True,
        text=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + (done.stderr if program == "rclone" else "")


def verdicts(store: Store, remote: RemoteEntry, body: bytes) -> tuple[Verdict, Verdict, Bucket]:
    """compare() of an object with a file of the same content, and with one that differs in a byte."""
    ctx = store.context()
    other = body[:-1] + bytes([body[-1] ^ 1])
    same, _ = compare(ctx, action(Verb.DOWNLOAD, store.file("same", body), remote))
    different, _ = compare(ctx, action(Verb.DOWNLOAD, store.file("other", other), remote))
    return same, different, ctx.bucket


@pytest.mark.parametrize("size", [1, 5000, 200 * KiB, 3 * MiB])
def test_a_plain_object_is_known_by_its_etag_and_a_different_one_by_a_head_more(store: Store, size: int) -> None:
    body = content(size)
    same, different, bucket = verdicts(store, store.put("a", body), body)
    assert (same, different) == (Verdict(True, Evidence.ETAG_MD5), Verdict(False, Evidence.ETAG_MD5))
    counts = bucket.counts.snapshot()
    assert (counts["head"], sum(counts.values())) == (1, 1)


SIZE = 17 * MiB + 3
USUAL = [5 * MiB, 8 * MiB, 16 * MiB, 10_000_000]
ODD = [5 * MiB + 12_345, 9_999_999, 17 * MiB + 1]


@pytest.mark.parametrize("part_size", [*USUAL, *ODD])
def test_an_object_made_in_parts_is_known_without_a_download(store: Store, part_size: int) -> None:
    body = content(SIZE)
    same, different, bucket = verdicts(store, store.put_parts("a", body, part_size), body)
    requests = bucket.counts.snapshot()
    assert requests["get"] == requests["list"] == 0
    if store.server.name == "rclone":  # its ETag is the whole content's MD5
        assert (same, different) == (Verdict(True, Evidence.ETAG_MD5), Verdict(False, Evidence.ETAG_MD5))
    elif store.server.can("part-head"):
        assert (same.same, different) == (True, Verdict(False, Evidence.ETAG_MULTIPART))
    elif part_size in USUAL:
        # RGW does not tell its parts' size: no candidate fits the other content, and that proves nothing.
        assert (same, different.same) == (Verdict(True, Evidence.ETAG_MULTIPART), None)
    else:
        assert (same.same, different.same) == (None, None)


def by_aws(store: Store, source: Path) -> None:
    run(store.server, "aws", "s3", "cp", str(source), f"s3://{store.name}/a", "--only-show-errors")


def by_rclone(store: Store, source: Path) -> None:
    run(store.server, "rclone", "copyto", str(source), f"dst:{store.name}/a")


def by_rclone_in_parts(store: Store, source: Path) -> None:
    more = ("--s3-upload-cutoff", "5M", "--s3-chunk-size", "6M")
    run(store.server, "rclone", "copyto", str(source), f"dst:{store.name}/a", *more)


@pytest.mark.parametrize("size", [5000, 20 * MiB + 7])
@pytest.mark.parametrize("write", [by_aws, by_rclone, by_rclone_in_parts])
def test_what_other_tools_wrote_is_known_without_a_download(
    store: Store, tmp_path: Path, write: Callable[[Store, Path], None], size: int
) -> None:
    if store.server.name == "rgw" and write is by_aws:
        pytest.skip("RGW 16 refuses aws-cli's trailing checksums")
    body = content(size)
    source = tmp_path / "source"
    source.write_bytes(body)
    write(store, source)
    same, different, bucket = verdicts(store, store.listed("a"), body)
    assert same.same is True
    assert different.same is not True
    if store.server.name != "rgw" or size == 5000:
        assert different.same is False
    assert bucket.counts.snapshot()["get"] == 0


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_stored_checksum_decides_where_the_etag_cannot(store: Store, algorithm: str) -> None:
    if not store.server.can("stores-checksums"):
        pytest.skip("no checksums here")
    body = content(5000)
    remote = store.put("a", body, ChecksumAlgorithm=algorithm)
    head = store.server.s3.head_object(Bucket=store.name, Key="a", ChecksumMode="ENABLED")
    if f"Checksum{algorithm}" not in head:
        pytest.skip(f"{store.server.name} keeps no {algorithm}")
    same, different, bucket = verdicts(store, remote._replace(etag="opaque"), body)
    evidence = Evidence(algorithm.lower())
    assert (same, different) == (Verdict(True, evidence), Verdict(False, evidence))
    assert bucket.counts.snapshot()["head"] == 2


def test_an_opaque_etag_without_a_checksum_leaves_it_open(store: Store) -> None:
    body = content(5000)
    same, different, _ = verdicts(store, store.put("a", body)._replace(etag="opaque"), body)
    assert (same.same, different.same) == (None, None)
