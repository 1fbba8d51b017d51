"""What an S3 service holds: buckets, the versions of each key, uploads under way. Rules without HTTP; not locked."""

from __future__ import annotations

import base64
import hashlib
import itertools
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.servers.memory.messages import Refusal

_CHECKSUMS = ("crc64nvme", "sha256", "sha1", "crc32c", "crc32")
_KEPT = ("content-type", "content-encoding", "content-disposition", "content-language", "cache-control", "expires")
SSE_C = "x-amz-server-side-encryption-customer-"
_MIN_PART_BYTES = 5 * 1024 * 1024


@dataclass(kw_only=True)
class Stored:
    """One version of an object, or a delete marker.

    Attributes:
        etag: without quotes; the MD5, as S3 makes it, unless a test says something else.
        modified: seconds since the epoch.
        headers: what every answer about it carries, names in lower case.
        parts: bytes of each, if it was made of parts.
        tags: name -> value.
        customer_key: the MD5 of the customer's key that it is encrypted with, or empty.
    """

    body: bytes = b""
    etag: str = ""
    modified: float = 0.0
    version_id: str = "null"
    headers: dict[str, str] = field(default_factory=dict)
    parts: tuple[int, ...] = ()
    tags: str = ""
    customer_key: str = ""
    deleted: bool = False

    @property
    def storage_class(self) -> str:
        """As a listing tells it."""
        return self.headers.get("x-amz-storage-class", "STANDARD")


@dataclass
class Upload:
    """A multipart upload under way: number -> bytes."""

    key: str
    headers: dict[str, str]
    started: float
    parts: dict[int, bytes] = field(default_factory=dict)

    def etag(self, body: bytes) -> str:
        """Of a part: its MD5, but under a customer's key."""
        return md5_hex(self.headers.get(SSE_C + "key-md5", "").encode() + body)


def md5_hex(body: bytes) -> str:
    """The MD5 as an ETag has it."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


class Bucket:
    """One bucket.

    Attributes:
        versioning: `Enabled`, `Suspended`, or empty for a bucket that never kept versions.
        keys: key -> its versions, the newest last; never an empty list.
        uploads: id -> multipart upload.
    """

    def __init__(self, *, now: Iterator[float] | None = None) -> None:
        self.versioning = ""
        self.keys: dict[str, list[Stored]] = {}
        self.uploads: dict[str, Upload] = {}
        self._numbers = itertools.count(1)

    def current(self, key: str) -> Stored | None:
        """What a GET without a version finds."""
        versions = self.keys.get(key)
        return versions[-1] if versions and not versions[-1].deleted else None

    def find(self, key: str, version_id: str = "") -> Stored:
        """The version that was asked for. Raises: Refusal."""
        if not version_id:
            found = self.current(key)
            if found is None:
                raise Refusal(404, "NoSuchKey", "The specified key does not exist.")
            return found
        for version in self.keys.get(key, ()):
            if version.version_id == version_id:
                if version.deleted:
                    raise Refusal(405, "MethodNotAllowed")
                return version
        raise Refusal(404, "NoSuchVersion")

    def put(self, key: str, body: bytes, headers: Mapping[str, str] | None = None, *, etag: str = "",
            parts: Iterable[int] = ()) -> Stored:  # fmt: skip
        """Store an object with the headers of its request; conditions are not looked at."""
        given = headers or {}
        kept = {name: value for name, value in given.items() if name in _KEPT or _is_kept(name)}
        kept.update(_checksums(body, given))
        made = Stored(
            body=body, etag=etag or md5_hex(body), modified=time.time(), headers=kept, parts=tuple(parts),
            tags=given.get("x-amz-tagging", ""), customer_key=given.get(SSE_C + "key-md5", ""),
        )  # fmt: skip
        if made.customer_key:
            kept[SSE_C + "algorithm"], kept[SSE_C + "key-md5"] = "AES256", made.customer_key
            made.etag = etag or md5_hex(made.customer_key.encode() + body)
        self._add(key, made)
        return made

    def delete(self, key: str, version_id: str = "") -> Stored | None:
        """Delete an object, or one version of it; the delete marker, if that makes one."""
        if version_id or not self.versioning:
            left = [one for one in self.keys.get(key, ()) if version_id and one.version_id != version_id]
            self.keys.pop(key, None)
            if left:
                self.keys[key] = left
            return None
        marker = Stored(modified=time.time(), deleted=True)
        self._add(key, marker)
        return marker

    def begin(self, key: str, headers: Mapping[str, str]) -> str:
        """The id of a new multipart upload."""
        name = f"upload-{next(self._numbers)}"
        self.uploads[name] = Upload(key, dict(headers), time.time())
        return name

    def upload(self, key: str, name: str) -> Upload:
        """A multipart upload. Raises: Refusal."""
        found = self.uploads.get(name)
        if found is None or found.key != key:
            raise Refusal(404, "NoSuchUpload", "The specified upload does not exist.")
        return found

    def complete(self, key: str, name: str, wanted: list[tuple[int, str]]) -> Stored:
        """Make an object of the parts (number, ETag) that are named, in their order. Raises: Refusal."""
        upload = self.upload(key, name)
        if not wanted or [number for number, _ in wanted] != sorted({number for number, _ in wanted}):
            raise Refusal(400, "InvalidPartOrder")
        for number, etag in wanted:
            if number not in upload.parts or upload.etag(upload.parts[number]) != etag:
                raise Refusal(400, "InvalidPart", "One or more of the specified parts could not be found.")
        bodies = [upload.parts[number] for number, _ in wanted]
        if any(len(body) < _MIN_PART_BYTES for body in bodies[:-1]):
            raise Refusal(400, "EntityTooSmall")
        digests = b"".join(bytes.fromhex(upload.etag(body)) for body in bodies)
        etag = f"{md5_hex(digests)}-{len(bodies)}"
        del self.uploads[name]
        return self.put(key, b"".join(bodies), upload.headers, etag=etag, parts=map(len, bodies))

    def _add(self, key: str, made: Stored) -> None:
        versions = self.keys.setdefault(key, [])
        if self.versioning == "Enabled":
            made.version_id = f"v{next(self._numbers):06}"
        else:  # the version of the id `null` is replaced, any other is kept
            versions[:] = [one for one in versions if one.version_id != "null"]
        versions.append(made)


def _is_kept(name: str) -> bool:
    kept = ("x-amz-meta-", "x-amz-server-side-encryption", "x-amz-storage-class", "x-amz-website")
    return name.startswith(kept) and not name.startswith(SSE_C)


def _checksums(body: bytes, given: Mapping[str, str]) -> dict[str, str]:
    """The full-object checksum that came with the request. Raises: Refusal."""
    found = {name: given[name] for name in (f"x-amz-checksum-{one}" for one in _CHECKSUMS) if name in given}
    computed = {
        "x-amz-checksum-crc32": lambda: zlib.crc32(body).to_bytes(4, "big"),
        "x-amz-checksum-sha256": lambda: hashlib.sha256(body).digest(),
        "x-amz-checksum-sha1": lambda: hashlib.sha1(body, usedforsecurity=False).digest(),
    }
    for name, value in found.items():
        if name in computed and base64.b64encode(computed[name]()).decode() != value:
            raise Refusal(400, "BadDigest", "The checksum does not match.")
    return {**found, **({"x-amz-checksum-type": "FULL_OBJECT"} if found else {})}


def check_body(body: bytes, headers: Mapping[str, str]) -> None:
    """Return if the body is what its headers say. Raises: Refusal."""
    given = headers.get("content-md5")
    if given and base64.b64encode(bytes.fromhex(md5_hex(body))).decode() != given:
        raise Refusal(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
    said = headers.get("x-amz-content-sha256", "")
    if len(said) == 64 and hashlib.sha256(body).hexdigest() != said:
        raise Refusal(400, "XAmzContentSHA256Mismatch")
