"""The ladder of evidence: stat and ETag, digests of many part sizes, and what stays open."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.evidence import (
    MD5,
    Digest,
    Verdict,
    as_recorded,
    compare_known,
    content_name,
    digests_to_try,
    judge,
    still,
)
from nbsync.core.hashing import Hasher
from nbsync.core.model import Evidence
from nbsync.core.parts import MiB, candidate_part_sizes, combine_etag
from tests.unit.core.entries import ETAG, here, row, there


@pytest.mark.parametrize("field", ["size", "mtime_ns", "ctime_ns", "inode"])
def test_unmoved_is_all_of_the_stat(field: str) -> None:
    assert as_recorded(here(), row())
    assert not as_recorded(here(**{field: 7}), row())


@pytest.mark.parametrize(("remote", "recorded", "same"), [
    ({}, {}, True),
    ({"last_modified_ns": 7, "size": 7, "storage_class": "GLACIER"}, {}, True),
    ({"etag": "x"}, {}, False),
    ({"etag": ""}, {"etag": ""}, False),
    ({"etag": "", "last_modified_ns": 7}, {"etag": "modified:7"}, True),
    ({"etag": "new here", "last_modified_ns": 7}, {"etag": "modified:7"}, True),
    ({"etag": "", "last_modified_ns": 8}, {"etag": "modified:7"}, False),
    ({"etag": "", "last_modified_ns": 7, "size": 2}, {"etag": "modified:7"}, False),
    ({"etag": "", "last_modified_ns": 7}, {}, False),
    ({}, {"version_id": "1"}, True),
    ({"version_id": "1"}, {"version_id": "1"}, True),
    ({"version_id": "2"}, {"version_id": "1"}, False),
])  # fmt: skip
def test_still_is_etag_and_version(remote: dict[str, Any], recorded: dict[str, Any], same: bool) -> None:
    assert still(there(**remote), row(**recorded)) is same


OPEN = Verdict(None, Evidence.NONE)
GLANCES = [
    ({"size": 2}, row(), "content", Verdict(False, Evidence.SIZE)),
    ({}, row(), "content", Verdict(True, Evidence.STATE)),
    ({}, None, "content", OPEN),
    ({"mtime_ns": 7}, row(), "content", OPEN),
    ({}, row(etag="x"), "content", OPEN),
    ({"mtime_ns": 7}, None, "size", Verdict(True, Evidence.SIZE)),
    ({"size": 2}, None, "size", Verdict(False, Evidence.SIZE)),
    ({"mtime_ns": 999_999_999}, None, "size-mtime", Verdict(True, Evidence.METADATA)),
    ({"mtime_ns": 1_000_000_000}, None, "size-mtime", Verdict(False, Evidence.METADATA)),
    ({"mtime_ns": 5 * 10**9}, row(mtime_ns=5 * 10**9), "size-mtime", Verdict(True, Evidence.STATE)),
    ({"mtime_ns": 5 * 10**9}, row(mtime_ns=5 * 10**9, ctime_ns=-1), "size-mtime", OPEN),
    ({"mtime_ns": 5 * 10**9}, row(etag="moved", ctime_ns=-1), "size-mtime", Verdict(False, Evidence.METADATA)),
]


@pytest.mark.parametrize(("local", "recorded", "compare", "verdict"), GLANCES)
def test_at_a_glance(local: dict[str, Any], recorded: Any, compare: str, verdict: Verdict) -> None:
    assert compare_known(here(**local), there(), recorded, compare) == verdict


def etag_of(content: bytes, part_size: int) -> str:
    """By the definition, not by the code under test."""
    parts = [content[at : at + part_size] for at in range(0, len(content), part_size)]
    whole = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
    return f"{whole}-{len(parts)}"


@given(st.binary(min_size=1, max_size=400), st.integers(1, 120), st.integers(1, 60))
def test_hasher_makes_the_multipart_etag(content: bytes, part_size: int, piece: int) -> None:
    hasher = Hasher(Digest(part_size))
    for at in range(0, len(content), piece):
        hasher.update(memoryview(content)[at : at + piece])
    assert hasher.value() == etag_of(content, part_size)


@pytest.mark.parametrize("part_size", [5 * MiB, 8 * MiB, 16 * MiB, 64 * MiB, 15 * MiB, 5_000_000, 17_179_870])
@pytest.mark.parametrize("size", [64 * MiB + 1, 100_000_000, 1_000_000_000])
def test_usual_part_sizes_are_tried(part_size: int, size: int) -> None:
    count = -(-size // part_size)
    remote = there(size=size, etag=f"{'0' * 32}-{count}")
    assert Digest(part_size) in digests_to_try(remote, None)
    assert [digest.part_size for digest in digests_to_try(remote, None)] == candidate_part_sizes(size, count)


def test_digests_to_try() -> None:
    assert digests_to_try(there(), None) == (MD5,)
    assert digests_to_try(there(etag="opaque"), None) == ()
    assert digests_to_try(there(etag="opaque"), row(etag="opaque")) == (MD5,)
    parted = row(etag="opaque", content="etag:" + "1" * 32 + "-2:5242880")
    assert digests_to_try(there(etag="opaque"), parted) == (Digest(5 * MiB),)
    assert digests_to_try(there(etag="opaque"), row(etag="opaque", content="")) == ()
    parts = "1" * 32 + "-2"
    for odd in ("x", ":", "etag:", "etag:x", f"etag:{parts}:-5", f"etag:{parts}:{'9' * 5000}", f"etag:{parts}:1e3"):
        recorded = row(etag="opaque", content=odd)  # a record may have been written by anybody
        assert digests_to_try(there(etag="opaque"), recorded) == ()
        assert judge({MD5: ETAG}, there(etag="opaque"), recorded) == OPEN
    tiny = row(etag="opaque", content=f"etag:{parts}:1")
    assert digests_to_try(there(etag="opaque", size=1 << 40), tiny) == (), "it would be read in tiny parts for hours"


PARTED = combine_etag([b"x" * 16, b"y" * 16])
VERDICTS = [
    ({MD5: ETAG}, there(), None, Verdict(True, Evidence.ETAG_MD5)),
    ({MD5: ETAG}, there(etag=ETAG.upper()), None, Verdict(True, Evidence.ETAG_MD5)),
    ({MD5: "0" * 32}, there(), None, Verdict(False, Evidence.ETAG_MD5)),
    ({MD5: "0" * 32}, there(etag="opaque"), None, OPEN),
    ({MD5: ETAG}, there(etag="opaque"), row(etag="opaque"), Verdict(True, Evidence.STATE)),
    ({MD5: "0" * 32}, there(etag="opaque"), row(etag="opaque"), Verdict(False, Evidence.STATE)),
    ({MD5: ETAG}, there(etag="moved"), row(etag="opaque"), OPEN),
    ({Digest(5): PARTED}, there(etag=PARTED), None, Verdict(True, Evidence.ETAG_MULTIPART)),
    ({Digest(5): "0" * 32 + "-2"}, there(etag=PARTED), None, OPEN),
    ({Digest(5): PARTED}, there(etag="o"), row(etag="o", content=f"etag:{PARTED}:5"), Verdict(True, Evidence.STATE)),
    ({Digest(6): PARTED}, there(etag="o"), row(etag="o", content=f"etag:{PARTED}:5"), OPEN),
]


@pytest.mark.parametrize(("values", "remote", "recorded", "verdict"), VERDICTS)
def test_judge(values: dict[Digest, str], remote: Any, recorded: Any, verdict: Verdict) -> None:
    assert judge(values, remote, recorded) == verdict


def test_content_is_named_by_the_digest_that_is_the_etag() -> None:
    values = {MD5: ETAG, Digest(5): PARTED}
    assert content_name(values, PARTED) == f"etag:{PARTED}:5"
    assert content_name(values, "opaque") == f"md5:{ETAG}"
    assert content_name({}, "opaque") == ""
