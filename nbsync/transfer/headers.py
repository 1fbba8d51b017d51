"""Request headers of an upload, from the options; and times and MD5s in metadata, as rclone writes them.

Source of the names and forms: rclone's backend/s3/s3.go (metaMtime, metaMD5Hash).
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Mapping
from datetime import timezone
from email.utils import format_datetime
from urllib.parse import quote, urlencode

from nbsync.core.options import OPTIONS, Options
from nbsync.errors import UsageError

MTIME = "x-amz-meta-mtime"
MD5_OF_WHOLE = "x-amz-meta-md5chksum"

_OURS = (MTIME, MD5_OF_WHOLE)  # what a later run believes of an object


def common_put_headers(options: Options) -> dict[str, str]:
    """The headers that every upload of a run carries.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html.

    Raises:
        UsageError: a value that an HTTP header cannot carry, a date that is none, metadata that is written anyway.
    """
    headers = {row.header: value for row in OPTIONS.values() if row.header and (value := getattr(options, row.name))}
    for key, value in options.metadata:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", key):
            raise UsageError(f"--metadata {key!r} is not a name that a header can have")
        name = f"x-amz-meta-{key.lower()}"
        if name in _OURS:
            raise UsageError(f"--metadata {key} is taken: nbsync writes each file's own there", "Choose another name")
        headers[name] = value
    if options.expires:
        headers["expires"] = http_date(options.expires)
    if options.tag:
        headers["x-amz-tagging"] = urlencode(options.tag, quote_via=quote)  # RGW keeps a + as it is
    for name, value in [*headers.items(), ("content-type", options.content_type)]:
        if not value.isascii():
            raise UsageError(f"{value!r} ({name}) has characters that an HTTP header cannot carry", "Use ASCII")
    return headers


def http_date(text: str) -> str:
    """A date and time as a header has it, from any form that aws-cli takes; local time where no zone is given.

    Raises:
        UsageError: it is none.
    """
    from botocore.utils import parse_to_aware_datetime  # slow to import

    try:
        return format_datetime(parse_to_aware_datetime(text).astimezone(timezone.utc), usegmt=True)
    except (ValueError, OverflowError, OSError, RuntimeError, TypeError):
        raise UsageError(f"--expires {text!r} is no date", "Write it as 2026-10-21T07:28:00Z") from None


def put_headers(common: Mapping[str, str], options: Options, path: str, mtime_ns: int) -> dict[str, str]:
    """The headers of one upload: the common ones, its content type and its time."""
    headers = dict(common)
    headers["content-type"] = options.content_type or guess_content_type(path)
    headers[MTIME] = format_mtime(mtime_ns)
    return headers


def is_made_of(headers: Mapping[str, str], size: int, mtime_ns: int) -> bool | None:
    """Was the object that a HEAD tells of made of a file of this size and time? None where it does not tell."""
    told = parse_mtime(headers.get(MTIME, ""))
    if headers.get("content-length", str(size)) != str(size):
        return False
    if told == mtime_ns:
        return True
    rounded = told is not None and told // 10**9 == mtime_ns // 10**9
    return None if told is None or rounded else False


def base64_md5(digest: str) -> str:
    """A hexadecimal MD5 as Content-MD5 and our metadata have it."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def recorded_md5(headers: Mapping[str, str]) -> str:
    """The MD5 (hexadecimal) of the whole content that the uploader wrote into the metadata; empty if none."""
    try:
        digest = base64.b64decode(headers.get(MD5_OF_WHOLE, ""), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return digest.hex() if len(digest) == 16 else ""


def guess_content_type(path: str) -> str:
    """By the name's ending, as aws-cli does; a compressed file is named for its compression."""
    kind, encoding = mimetypes.guess_type(path, strict=False)
    if encoding:
        return {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}.get(
            encoding, "application/octet-stream"
        )
    return kind or "application/octet-stream"


def format_mtime(mtime_ns: int) -> str:
    """`seconds.nnnnnnnnn`, as rclone writes it; never through a float."""
    sign = "-" if mtime_ns < 0 else ""
    seconds, rest = divmod(abs(mtime_ns), 10**9)
    return f"{sign}{seconds}.{rest:09d}"


def parse_mtime(text: str) -> int | None:
    """What `format_mtime` (or rclone, or s3fs) wrote, in ns; None for anything else."""
    found = re.fullmatch(r"(-?)(\d{1,11})(?:\.(\d{1,18}))?", text.strip(), re.ASCII)
    if not found:
        return None
    value = int(found[2]) * 10**9 + int((found[3] or "0")[:9].ljust(9, "0"))
    return -value if found[1] else value
