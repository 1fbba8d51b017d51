"""Size -> parts within S3's limits, and the ETags that parts make. Pure; any thread.

Limits: Amazon S3 User Guide, "Amazon S3 multipart upload limits" (qfacts.html).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nbsync.errors import NbsyncError

MiB = 1024 * 1024
MIN_PART_SIZE = 5 * MiB  # except for the last part
MAX_PART_SIZE = 5 * 1024 * MiB
MAX_PARTS = 10_000
# AWS allowed 5 TiB until December 2025 and 50 TB since: as much as these parts carry. A server with
# a lower limit says so itself.
MAX_OBJECT_SIZE = MAX_PARTS * MAX_PART_SIZE
DEFAULT_PART_SIZE = 8 * MiB
MAX_CANDIDATES = 16

_MULTIPART_ETAG = re.compile(r"([0-9a-fA-F]{32})-([1-9][0-9]{0,4})")
_MD5_ETAG = re.compile(r"[0-9a-fA-F]{32}")

# Part sizes that uploaders have as their default, or that people configure; likeliest first.
_USUAL = (
    8 * MiB,  # aws-cli, boto3, awscrt, the SDK for Java 2
    5 * MiB,  # rclone, older SDKs
    16 * MiB,  # minio's mc
    64 * MiB,  # Hadoop's S3A
    50 * MiB,  # s5cmd, fsspec's s3fs
    15 * MiB,  # s3cmd
    10 * MiB,  # Arrow, object_store
    32 * MiB,
    100 * MiB,
    128 * MiB,
    256 * MiB,
    512 * MiB,
    1024 * MiB,
    17_179_870,  # the S3 console: its 160 GiB in 10,000 parts
    5_000_000,
    10_000_000,
    8_000_000,
    16_000_000,
    50_000_000,
    100_000_000,
)


class Part(NamedTuple):
    """One part of a multipart upload; bytes."""

    number: int  # from 1
    offset: int
    length: int


def part_size_for(size: int, preferred: int = DEFAULT_PART_SIZE, max_parts: int = MAX_PARTS) -> int:
    """Bytes a part: `preferred`, or as much more as keeps `size` bytes within `max_parts` parts of at most 5 GiB.

    A multiple of 1 MiB, so that others can guess it from the ETag.

    Raises:
        NbsyncError: S3 holds no object of that size.
    """
    if size > MAX_OBJECT_SIZE:
        raise NbsyncError(f"{size} bytes are more than an S3 object can have ({MAX_OBJECT_SIZE})")
    needed = max(preferred, MIN_PART_SIZE, _ceil(size, max_parts))
    return min(_ceil(needed, MiB) * MiB, MAX_PART_SIZE)


# What services say of a part beyond the most that they take; AWS: "Part number must be an integer between 1 and 10000".
_OF_PARTS = re.compile(
    r"part[ -]?number|number of (multi)?parts|(too many|fewer|max\w*|more than|limit of) [\w ,]*parts?\b|parts? limit",
    re.IGNORECASE,
)
_TOO_MANY = frozenset({"TooManyParts", "InvalidPartNumber", "PartNumberTooLarge", "MaxPartsExceeded"})
_MOST_WORDS = 500  # characters of a message that are looked at
_NUMBER = re.compile(r"(?<![\w.-])\d{1,3}(?:,\d{3})+|\d+(?![\w-])")


def parts_taken(code: str, message: str, sent: int) -> int:
    """How many parts a service takes, by the error with which it has refused the last of `sent` parts; half of them
    where it does not say. 0 if the error is about something else.
    """
    message = message[:_MOST_WORDS]
    if code not in _TOO_MANY and not _OF_PARTS.search(message):
        return 0
    told = [int(found.replace(",", "")) for found in _NUMBER.findall(message)]
    return max((number for number in told if 1 < number < sent), default=sent // 2)


def layout(size: int, part_size: int) -> Iterator[Part]:
    """The parts of `size` bytes, in order and without a gap; an empty object is one empty part."""
    if size < 0 or part_size < 1:
        raise ValueError(f"no layout for {size} bytes in parts of {part_size}")
    offsets = range(0, max(size, 1), part_size)
    return (Part(number, offset, min(part_size, size - offset)) for number, offset in enumerate(offsets, 1))


def parse_multipart_etag(etag: str) -> tuple[str, int] | None:
    """The digest (lower-case hex) and the number of parts of `HEX-N`; None for any other ETag.

    Args:
        etag: without its quotes. That it has this form proves nothing: some servers make it up.
    """
    found = _MULTIPART_ETAG.fullmatch(etag)
    return (found[1].lower(), int(found[2])) if found else None


def bare_etag(text: str) -> str:
    """An ETag as a header or a document has it, without quotes, and without the mark of a weak one."""
    return text.strip().removeprefix("W/").strip('"')


def looks_like_md5(etag: str) -> bool:
    """True for 32 hex digits: the MD5 of a single-part object, unless it is encrypted with SSE-KMS or SSE-C."""
    return _MD5_ETAG.fullmatch(etag) is not None


def candidate_part_sizes(size: int, count: int) -> list[int]:
    """The part sizes, likeliest first, with which an uploader probably made `count` parts of `size` bytes.

    Each gives exactly `count` parts; at most 16. Parts that are unequal, or of an unusual size,
    are not found: ask the server for the length of part 1 then.
    """
    if count == 1:
        return [max(size, 1)]
    if count < 1 or size < count:
        return []
    smallest, largest = _ceil(size, count), (size - 1) // (count - 1)
    found: dict[int, None] = {}
    for guess in _guesses(size, count, smallest, largest):
        if smallest <= guess <= largest:
            found[guess] = None
        if len(found) == MAX_CANDIDATES:
            break
    return list(found)


def _guesses(size: int, count: int, smallest: int, largest: int) -> Iterator[int]:
    yield from _USUAL
    yield from (1 << bits for bits in range(smallest.bit_length() - 1, largest.bit_length()))
    if count > MAX_PARTS // 2:
        # The configured size would have made too many parts: s3transfer doubles it until it does
        # not (ChunksizeAdjuster in s3transfer/utils.py); others divide by 10,000 and round up
        # (awscrt) or add one (the SDK for Go); rclone rounds up to whole MiB, which come below.
        yield from (usual << doublings for usual in _USUAL for doublings in range(1, 10))
        yield from (_ceil(size, MAX_PARTS), size // MAX_PARTS + 1)
    for step in (100 * MiB, 16 * MiB, 10 * MiB, 5 * MiB, MiB, 1_000_000):
        yield from range(_ceil(smallest, step) * step, largest + 1, step)


def combine_etag(part_md5s: Sequence[bytes]) -> str:
    """The ETag that S3 gives to these parts: MD5 over their MD5s, `-`, their number.

    Args:
        part_md5s: the 16 bytes of each part's MD5, in order.
    """
    if not part_md5s or any(len(digest) != 16 for digest in part_md5s):
        raise ValueError("an ETag is made of one MD5 of 16 bytes for each part, and at least one")
    return f"{hashlib.md5(b''.join(part_md5s), usedforsecurity=False).hexdigest()}-{len(part_md5s)}"


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)
