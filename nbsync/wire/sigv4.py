"""AWS Signature Version 4 for S3, in the header. Pure; any thread.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html. S3 differs from
the other services: the path is signed exactly as it is sent, percent-encoded once, never normalized.
So keys with `//`, `.` and `..` segments or control characters work.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote

EMPTY_SHA256 = sha256(b"").hexdigest()
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """What a request is signed with. Prints nothing of itself."""

    access_key: str
    secret_key: str
    token: str = ""

    def __repr__(self) -> str:
        return "Credentials(hidden)"


class _Key(NamedTuple):
    """A signing key, which is good for one day, and what it was made from."""

    date: str
    secret: str
    scope: str
    key: bytes

    def __repr__(self) -> str:
        return "_Key(hidden)"


class Signer:
    """Signs requests to one service in one region; keeps the day's signing key."""

    def __init__(self, region: str, service: str = "s3") -> None:
        self._region = region
        self._service = service
        self._last = _Key("", "", "", b"")  # replaced as a whole, so threads need no lock

    def sign(
        self,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        payload_hash: str,
        credentials: Credentials,
        amz_date: str,
    ) -> str:
        """The value of the Authorization header.

        Args:
            method: GET, PUT, …
            path: as it is sent, percent-encoded (see `quote_key`).
            query: as it is sent, in canonical form (see `canonical_query`); empty if there is none.
            headers: all of these are signed; names in lower case, with `host`, `x-amz-date` and
                `x-amz-content-sha256` among them.
            payload_hash: the value of `x-amz-content-sha256`.
            credentials: whose signature it is.
            amz_date: `YYYYMMDDTHHMMSSZ`.
        """
        names = sorted(headers)
        signed = ";".join(names)
        lines = "".join([f"{name}:{_trimmed(headers[name])}\n" for name in names])
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{payload_hash}"
        key = self._last
        if key.date != amz_date[:8] or key.secret != credentials.secret_key:
            key = self._last = self._new_key(amz_date[:8], credentials.secret_key)
        to_sign = f"{_ALGORITHM}\n{amz_date}\n{key.scope}\n{sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(key.key, to_sign.encode(), "sha256").hex()
        return (
            f"{_ALGORITHM} Credential={credentials.access_key}/{key.scope}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )

    def _new_key(self, date: str, secret: str) -> _Key:
        key = b"AWS4" + secret.encode()
        for part in (date, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return _Key(date, secret, f"{date}/{self._region}/{self._service}/aws4_request", key)


def quote_key(key: str) -> str:
    """A key (or path) as it is sent and signed: everything but the unreserved characters and `/` encoded."""
    return quote(key, safe="/-_.~")


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """A query string as it is sent and signed: encoded, then sorted; `name=` for an empty value."""
    encoded = sorted([(_quoted(name), _quoted(value)) for name, value in pairs])
    return "&".join([f"{name}={value}" for name, value in encoded])


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~", errors="surrogateescape")  # a marker may be a key that is not UTF-8


def _trimmed(value: str) -> str:
    """A header's value as it is signed: no white space around it, runs of it inside made one space."""
    return " ".join(value.split()) if " " in value or "\t" in value else value
