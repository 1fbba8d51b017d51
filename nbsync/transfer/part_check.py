"""How the server checks what is sent in parts: each part's MD5, or its CRC64NVME, of which it makes that of the whole.

A CRC costs a twelfth of an MD5. It is used where the server confirms that it keeps it: in its answer to the beginning
of the upload, to every part, and to the completion, which must be told the true CRC of the whole. Where one of these
fails to come, the upload is done again with MD5s, which every S3 server checks. Runs in worker threads.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nbsync.core.evidence import Digest
from nbsync.core.hashing import PIECE_BYTES, md5
from nbsync.core.model import Evidence
from nbsync.core.parts import Part, combine_etag, looks_like_md5
from nbsync.local.crc import CrcHasher, crc_of

KIND = Evidence.CRC64NVME
_TYPE = {"x-amz-checksum-type": "FULL_OBJECT"}
_ALGORITHM = "x-amz-checksum-algorithm"
BEGINNING = {_ALGORITHM: KIND.value.upper(), **_TYPE}
_REFUSED_AS = (400, 501)


class Unconfirmed(Exception):
    """The server has not confirmed the CRC of a part: it may not have checked it."""


def is_kept(headers: Mapping[str, str]) -> bool:
    """Does the answer to the beginning of an upload say that its CRC64NVME will be kept?"""
    return headers.get(_ALGORITHM, "").upper() == str(BEGINNING[_ALGORITHM])


def may_be_refused(status: int) -> bool:
    """May a server that knows no such checksum have answered so?"""
    return status in _REFUSED_AS


class PartCheck:
    """One of the two ways, for one upload. Digests of parts are MD5s (16 bytes) or CRCs (8 bytes)."""

    def __init__(self, *, by_crc: bool) -> None:
        self.by_crc = by_crc
        self._crc = crc_of(KIND) if by_crc else None

    def of(self, fd: int, offset: int, length: int, cancelled: Callable[[], bool]) -> bytes:
        """The digest of a piece of the open file. Raises: InterruptedError: cancelled. OSError."""
        hasher: Any = CrcHasher(self._crc) if self._crc is not None else md5()
        for at in range(offset, offset + length, PIECE_BYTES):
            if cancelled():
                raise InterruptedError
            hasher.update(os.pread(fd, min(PIECE_BYTES, offset + length - at), at))
        if self._crc is not None:
            return int(hasher.crc).to_bytes(self._crc.width, "big")
        return bytes(hasher.digest())

    def headers(self, digest: bytes) -> dict[str, str]:
        """Of the request that carries the part."""
        return {KIND.header if self.by_crc else "content-md5": base64.b64encode(digest).decode()}

    def confirm(self, digest: bytes, answer: Mapping[str, str]) -> None:
        """Return if the answer to a part says that it was checked.

        Raises:
            Unconfirmed: it does not.
        """
        if self.by_crc and answer.get(KIND.header) != base64.b64encode(digest).decode():
            raise Unconfirmed

    def listed(self, digest: bytes) -> str:
        """What the list of parts in a completion says of one, beside its number and ETag."""
        name = f"Checksum{BEGINNING[_ALGORITHM]}"
        return f"<{name}>{base64.b64encode(digest).decode()}</{name}>" if self.by_crc else ""

    def completing(self, parts: Sequence[Part], digests: Sequence[bytes]) -> dict[str, str]:
        """Headers of the completion: it fails where the server holds other bytes."""
        if self._crc is None:
            return {}
        size = sum(part.length for part in parts)
        return {KIND.header: self.whole(parts, digests)[1], "x-amz-mp-object-size": str(size), **_TYPE}

    def whole(self, parts: Sequence[Part], digests: Sequence[bytes]) -> tuple[Digest, str]:
        """The digest of the whole and its value."""
        if self._crc is None:
            return Digest(parts[0].length), combine_etag(digests)
        pieces = ((int.from_bytes(digest, "big"), part.length) for part, digest in zip(parts, digests, strict=True))
        return Digest(0, KIND), self._crc.text(self._crc.whole(pieces))

    def etag(self, etags: Sequence[str], digests: Sequence[bytes]) -> str:
        """The ETag that the object of these parts should have; empty if that cannot be known."""
        if not self.by_crc:
            return combine_etag(digests)
        return combine_etag([bytes.fromhex(etag) for etag in etags]) if all(map(looks_like_md5, etags)) else ""
