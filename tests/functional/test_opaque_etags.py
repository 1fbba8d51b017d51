"""The top of the ladder of evidence: ETags that are no digests, checksums, and the MD5 that an uploader recorded."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest

from nbsync.core.parts import MiB
from nbsync.errors import UsageError
from tests.functional.opaque import KMS, OpaqueEtags
from tests.functional.test_evidence import put_parts
from tests.functional.world import World
from tests.servers.memory import MemoryS3

NOTHING = {"list": 1, "head": 0, "get": 0, "put": 0, "delete": 0, "other": 0}


def base64_md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def forget(world: World) -> None:
    (world.local / ".nbsync" / "state.sqlite3").unlink()


def elsewhere(world: World, tmp_path: Path) -> World:
    """The same REMOTE, and a second folder."""
    return World(world.server, tmp_path, bucket=world.bucket, name="second")


def test_a_plain_object_that_differs_costs_one_head(world: World) -> None:
    world.put("same", b"content")
    world.put("differs", b"remote!")
    world.write("same", b"content")
    world.write("differs", b"local!!")

    result = world.run("pull")

    assert {row.path: (row.status, row.evidence) for row in result} == {
        "same": ("hit", "etag-md5"), "differs": ("miss", "etag-md5")}  # fmt: skip
    assert result.requests == {**NOTHING, "head": 1, "get": 1}
    world.silent("pull")


def test_what_the_state_knows_costs_no_head(world: World) -> None:
    world.fill_both("f")
    world.write("f", b"F")
    result = world.run("push")
    assert (result["f"].evidence, result.requests) == ("state", {**NOTHING, "put": 1})


@pytest.mark.parametrize("size", [7, 300_000])
def test_uploads_under_kms_carry_their_md5(world: World, tmp_path: Path, memory: MemoryS3, size: int) -> None:
    content = os.urandom(size)
    world.write("f", content)
    memory.hook(OpaqueEtags(KMS))

    assert world.run("push", sse="aws:kms").ok
    assert world.head("f")["Metadata"]["md5chksum"] == base64_md5(content)
    world.silent("push", {"sse": "aws:kms"})

    forget(world)
    result = world.run("pull")
    assert (result["f"].status, result["f"].evidence, result.requests) == ("hit", "metadata", {**NOTHING, "head": 1})

    second = elsewhere(world, tmp_path)
    assert second.run("pull").requests == {**NOTHING, "get": 1}
    assert second.read("f") == content
    second.silent("pull")

    second.write("f", content[:-1] + bytes([content[-1] ^ 1]))
    forget(second)
    result = second.run("pull")
    assert (result["f"].status, result["f"].evidence) == ("miss", "metadata")
    assert result.requests == {**NOTHING, "head": 1, "get": 1}
    assert second.read("f") == content


def test_uploads_to_a_bucket_that_encrypts_by_itself_carry_their_md5(world: World, memory: MemoryS3) -> None:
    """Known from the first answer on."""
    memory.hook(OpaqueEtags(KMS))
    world.write("f0", b"0")
    world.run("push")
    assert "md5chksum" not in world.head("f0")["Metadata"]
    for name in ("f1", "f2", "f3", "f4", "f5"):
        world.write(name, name.encode())
    world.write("f0", b"1")  # looked at first: its HEAD tells
    forget(world)

    world.run("push", jobs=1)
    assert world.head("f5")["Metadata"]["md5chksum"] == base64_md5(b"f5")


def test_a_server_that_makes_its_etags_up(world: World, tmp_path: Path, memory: MemoryS3) -> None:
    """Found out by the first upload, which is read once; the later ones carry their MD5."""
    memory.hook(OpaqueEtags())
    for name in ("a", "b", "c"):
        world.write(name, name.encode())
    result = world.run("push", jobs=1)
    assert result.requests["get"] == 1
    assert world.head("c")["Metadata"]["md5chksum"] == base64_md5(b"c")
    world.silent("push")
    second = elsewhere(world, tmp_path)
    second.write("c", b"c")
    second.run("pull")
    second.silent("pull")


def test_nothing_known_of_an_opaque_object(world: World, memory: MemoryS3) -> None:
    """Honest `none`: it has to travel, once."""
    world.put("same", b"content")
    world.put("differs", b"remote!")
    world.write("same", b"content", mtime_ns=5)
    world.write("differs", b"local!!")
    memory.hook(OpaqueEtags(KMS))

    result = world.run("pull")

    assert {row.path: (row.status, row.evidence) for row in result} == {
        "same": ("hit", "none"), "differs": ("miss", "none")}  # fmt: skip
    assert result.requests == {**NOTHING, "head": 2, "get": 2}
    assert (world.read("differs"), (world.local / "same").stat().st_mtime_ns) == (b"remote!", 5)
    world.silent("pull")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_checksum_of_an_encrypted_object(world: World, memory: MemoryS3, algorithm: str) -> None:
    world.put("same", b"content", ChecksumAlgorithm=algorithm, Metadata={"md5chksum": base64_md5(b"another")})
    world.put("differs", b"remote!", ChecksumAlgorithm=algorithm, Metadata={"md5chksum": base64_md5(b"local!!")})
    world.write("same", b"content")
    world.write("differs", b"local!!")
    memory.hook(OpaqueEtags(KMS))

    result = world.run("pull")

    word = algorithm.lower()
    assert {row.path: (row.status, row.evidence) for row in result} == {
        "same": ("hit", word), "differs": ("miss", word)}  # fmt: skip
    assert result.requests == {**NOTHING, "head": 2, "get": 1}
    world.silent("pull")


def test_a_checksum_of_the_parts_of_an_encrypted_object(world: World, memory: MemoryS3) -> None:
    """As aws-cli and boto3 leave it on a large object: it confirms; what it does not confirm has to travel."""
    content = os.urandom(12 * MiB)
    parts = [content[at : at + 8 * MiB] for at in range(0, len(content), 8 * MiB)]
    put_parts(world, "big", parts)
    digest = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
    value = f"{base64.b64encode(digest).decode()}-{len(parts)}"
    memory.hook(OpaqueEtags({**KMS, "x-amz-checksum-sha256": value, "x-amz-checksum-type": "COMPOSITE"}))

    world.write("big", content)
    result = world.run("pull")
    assert (result["big"].status, result["big"].evidence, result.requests) == (
        "hit", "sha256", {**NOTHING, "head": 1})  # fmt: skip
    forget(world)
    world.write("big", content[1:] + b"1")
    result = world.run("pull")
    assert (result["big"].status, result["big"].evidence, world.read("big") == content) == ("miss", "none", True)


def test_recorded_md5_that_is_old_does_not_win_over_an_etag(world: World) -> None:
    """Another tool wrote new content and kept the metadata of the old."""
    world.put("f", b"remote", Metadata={"md5chksum": base64_md5(b"local!")})
    world.write("f", b"local!")
    result = world.run("pull")
    assert (result["f"].status, result["f"].evidence, world.read("f")) == ("miss", "etag-md5", b"remote")


@pytest.mark.usefixtures("by_workers")  # the small-file path asks once before them
def test_recorded_md5_that_is_wrong_costs_a_second_download_and_no_more(world: World, memory: MemoryS3) -> None:
    world.put("f", b"remote", Metadata={"md5chksum": base64_md5(b"other!")})
    memory.hook(OpaqueEtags(KMS))
    result = world.run("pull")
    assert (result["f"].status, result["f"].evidence, result.requests["get"]) == ("miss", "none", 2)
    world.silent("pull")


@pytest.mark.parametrize("claim", ["", "x", "AAAA", base64_md5(b"")[:-1], "=" * 24])
def test_recorded_md5_that_is_none_is_ignored(world: World, memory: MemoryS3, claim: str) -> None:
    world.put("f", b"remote", Metadata={"md5chksum": claim})
    memory.hook(OpaqueEtags(KMS))
    world.write("f", b"local!")
    result = world.run("pull")
    assert (result["f"].status, result["f"].evidence, result.requests["get"]) == ("miss", "none", 1)


def test_large_upload_carries_the_md5_that_a_comparison_has_found_out(
    world: World, memory: MemoryS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nbsync.transfer.upload.MULTIPART_BYTES", 6 * MiB)
    monkeypatch.setattr("nbsync.transfer.multipart.PART_BYTES", 5 * MiB)
    content = os.urandom(11 * MiB)
    world.write("big", content)
    world.put("big", content[1:] + b"1")
    world.write("new", content)

    assert world.run("push").ok
    assert world.head("big")["Metadata"]["md5chksum"] == base64_md5(content)
    assert "md5chksum" not in world.head("new")["Metadata"]  # would have cost a reading of its own
    world.silent("push")

    forget(world)
    with memory.hooked(OpaqueEtags(KMS)):
        result = world.run("push")
    assert (result["big"].status, result["big"].evidence, result["new"].evidence) == ("hit", "metadata", "none")


def test_metadata_of_that_name_is_nbsyncs_own(world: World) -> None:
    world.write("f", b"1")
    with pytest.raises(UsageError, match="--metadata md5chksum is taken"):
        world.run("push", sse="aws:kms", metadata={"md5chksum": "mine"})
