"""Part layouts within S3's limits, and the guesses at how a multipart ETag was made."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nbsync.core.parts import (
    MAX_CANDIDATES,
    MAX_OBJECT_SIZE,
    MAX_PART_SIZE,
    MAX_PARTS,
    MIN_PART_SIZE,
    MiB,
    Part,
    candidate_part_sizes,
    combine_etag,
    layout,
    looks_like_md5,
    parse_multipart_etag,
    part_size_for,
    parts_taken,
)
from nbsync.errors import NbsyncError

GiB = 1024 * MiB
MD5 = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize(
    ("size", "preferred", "expected"),
    [
        (0, 8 * MiB, 8 * MiB),
        (1, 8 * MiB, 8 * MiB),
        (100 * MiB, 1, 5 * MiB),
        (100 * MiB, 8 * MiB + 1, 9 * MiB),
        (80_000 * MiB, 8 * MiB, 8 * MiB),
        (80_000 * MiB + 1, 8 * MiB, 9 * MiB),
        (MAX_OBJECT_SIZE, 8 * MiB, 5 * GiB),
        (1, 6 * GiB, 5 * GiB),
    ],
)
def test_part_size(size: int, preferred: int, expected: int) -> None:
    assert part_size_for(size, preferred) == expected


@pytest.mark.parametrize(
    ("size", "max_parts", "expected"),
    [(200 * MiB, 8, 25 * MiB), (16_000 * MiB, 1000, 16 * MiB), (16_000 * MiB + 1, 1000, 17 * MiB), (MiB, 1, 16 * MiB)],
)
def test_part_size_where_fewer_parts_are_taken(size: int, max_parts: int, expected: int) -> None:
    assert part_size_for(size, 16 * MiB, max_parts) == expected


@pytest.mark.parametrize(
    ("code", "message", "sent", "taken"),
    [
        ("InvalidArgument", "Part number must be an integer between 1 and 1000, inclusive", 2500, 1000),
        ("InvalidArgument", "Part number must be an integer between 1 and 1,000", 2500, 1000),
        ("InvalidArgument", "partNumber must be at most 8", 13, 8),
        ("InvalidArgument", "Too many parts: 13 > 8", 13, 8),
        ("InvalidRequest", "You have attempted to upload more than 1000 parts", 2500, 1000),
        ("InvalidRequest", "The upload exceeds the limit of 500 parts", 2500, 500),
        ("InvalidRequest", "The maximum number of parts is 1000.", 2500, 1000),
        ("InvalidArgument", "partNumber 2500 is out of range", 2500, 1250),
        ("TooManyParts", "", 13, 6),
        ("InvalidPartNumber", "no", 13, 6),
        ("InvalidArgument", "Invalid storage class", 13, 0),
        ("InvalidPart", "One or more of the specified parts could not be found.", 13, 0),
        ("BadDigest", "The Content-MD5 did not match what we received in 1000 ms", 2500, 0),
    ],
)
def test_how_many_parts_a_refusal_tells(code: str, message: str, sent: int, taken: int) -> None:
    assert parts_taken(code, message, sent) == taken


def test_an_object_beyond_the_limit_is_refused() -> None:
    with pytest.raises(NbsyncError, match="more than an S3 object can have"):
        part_size_for(MAX_OBJECT_SIZE + 1)


@given(st.integers(0, MAX_OBJECT_SIZE), st.integers(1, MAX_PART_SIZE))
def test_part_size_is_within_every_limit(size: int, preferred: int) -> None:
    part_size = part_size_for(size, preferred)
    assert part_size % MiB == 0
    assert MIN_PART_SIZE <= part_size <= MAX_PART_SIZE
    assert -(-size // part_size) <= MAX_PARTS


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, [Part(1, 0, 0)]),
        (1, [Part(1, 0, 1)]),
        (10, [Part(1, 0, 10)]),
        (11, [Part(1, 0, 10), Part(2, 10, 1)]),
        (20, [Part(1, 0, 10), Part(2, 10, 10)]),
    ],
)
def test_layout(size: int, expected: list[Part]) -> None:
    assert list(layout(size, 10)) == expected


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_layout_covers_every_byte_once(size: int, part_size: int) -> None:
    assume(size // part_size < 2000)
    at = 0
    for number, part in enumerate(layout(size, part_size), 1):
        assert (part.number, part.offset) == (number, at)
        assert 0 < part.length <= part_size
        at += part.length
    assert at == size


@pytest.mark.parametrize(("size", "part_size"), [(-1, 10), (10, 0)])
def test_layout_refuses_nonsense_at_once(size: int, part_size: int) -> None:
    with pytest.raises(ValueError, match="no layout"):
        layout(size, part_size)


@pytest.mark.parametrize(
    ("etag", "expected"),
    [
        (f"{MD5}-1", (MD5, 1)),
        (f"{MD5.upper()}-10000", (MD5, 10000)),
        (MD5, None),
        (f"{MD5}-0", None),
        (f"{MD5}-01", None),
        (f"{MD5}-", None),
        (f"{MD5}-2\n", None),
        (f"{MD5}-٢", None),
        (f'"{MD5}-2"', None),
        (f"{MD5[1:]}-2", None),
        (f"{MD5}-2-2", None),
        ("", None),
    ],
)
def test_parse_multipart_etag(etag: str, expected: tuple[str, int] | None) -> None:
    assert parse_multipart_etag(etag) == expected


@pytest.mark.parametrize(
    ("etag", "expected"),
    [
        (MD5, True),
        (MD5.upper(), True),
        (f"{MD5}-1", False),
        (f"{MD5}\n", False),
        (MD5[1:], False),
        ("g" * 32, False),
        ("", False),
    ],
)
def test_looks_like_md5(etag: str, expected: bool) -> None:
    assert looks_like_md5(etag) is expected


@pytest.mark.parametrize(
    ("size", "count", "first"),
    [
        (20 * MiB, 3, 8 * MiB),  # 7 to 9 MiB
        (20 * MiB, 4, 5 * MiB),
        (20 * MiB, 2, 16 * MiB),
        (100 * MiB, 2, 64 * MiB),  # before s5cmd's 50 MiB, which fits as well
        (100 * MiB + 1, 3, 50 * MiB),
        (300 * MiB, 20, 15 * MiB),
        (1_700_000_000, 99, 17_179_870),  # the console
        (199_000_000, 40, 5_000_000),
        (139 * MiB, 20, 7 * MiB),  # a whole number of MiB
    ],
)
def test_the_likeliest_part_size_comes_first(size: int, count: int, first: int) -> None:
    assert candidate_part_sizes(size, count)[0] == first


def test_usual_sizes_come_in_the_order_of_likelihood() -> None:
    candidates = candidate_part_sizes(100 * MiB, 2)
    assert candidates[:2] == [64 * MiB, 50 * MiB]
    assert len(candidates) == MAX_CANDIDATES


@pytest.mark.parametrize("size", [0, 1, 12345])
def test_one_part_is_the_whole_object(size: int) -> None:
    assert candidate_part_sizes(size, 1) == [max(size, 1)]


@pytest.mark.parametrize(("size", "count"), [(0, 2), (1, 2), (10, 0), (10, -1), (10, 7)])
def test_impossible_counts_have_no_candidates(size: int, count: int) -> None:
    assert candidate_part_sizes(size, count) == []


@pytest.mark.parametrize("configured", [8 * MiB, 5 * MiB, 15 * MiB, 10_000_000])
def test_s3transfers_doubling_for_too_many_parts_is_found(configured: int) -> None:
    size = configured * 25_000 + 1
    doubled = configured * 4
    assert doubled in candidate_part_sizes(size, -(-size // doubled))


@pytest.mark.parametrize("extra", [0, 1, 123_457])
def test_a_ten_thousandth_rounded_up_is_found(extra: int) -> None:
    size = 300 * GiB + extra
    exact = -(-size // MAX_PARTS)  # awscrt
    whole = -(-exact // MiB) * MiB  # rclone
    for part_size in (exact, size // MAX_PARTS + 1, whole):
        assert part_size in candidate_part_sizes(size, -(-size // part_size))


@given(st.integers(0, MAX_OBJECT_SIZE), st.integers(1, MAX_PARTS))
def test_every_candidate_makes_exactly_that_many_parts(size: int, count: int) -> None:
    candidates = candidate_part_sizes(size, count)
    assert len(candidates) == len(set(candidates)) <= MAX_CANDIDATES
    assert all(max(1, -(-size // c)) == count for c in candidates)


@given(st.sampled_from([5, 8, 16, 64]), st.integers(1, 2000), st.integers(1, 5 * MiB))
def test_common_part_sizes_are_always_candidates(mebibytes: int, whole: int, rest: int) -> None:
    part_size = mebibytes * MiB
    size = part_size * whole + rest
    assert part_size in candidate_part_sizes(size, -(-size // part_size))


@given(st.integers(8 * MiB + 1, MAX_OBJECT_SIZE))
def test_our_own_part_size_is_always_a_candidate(size: int) -> None:
    part_size = part_size_for(size)
    assert part_size in candidate_part_sizes(size, -(-size // part_size))


def test_combine_etag_is_the_md5_of_the_md5s() -> None:
    digests = [hashlib.md5(part).digest() for part in (b"a" * 10, b"b")]
    # printf aaaaaaaaaa | md5sum; printf b | md5sum; the two as bytes | md5sum
    assert combine_etag(digests) == "3192ca8a7eba2efb8c52f8e48729e5f1-2"
    assert parse_multipart_etag(combine_etag(digests)) is not None


@pytest.mark.parametrize("digests", [[], [b"short"], [b"x" * 16, b"x" * 17]])
def test_combine_etag_refuses_what_is_no_md5(digests: list[bytes]) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        combine_etag(digests)
