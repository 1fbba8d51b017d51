"""What an answer tells of a request that went to the wrong place, or through something that changes it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from nbsync.errors import one_line

_ENDPOINT = re.compile(rb"<Endpoint>\s*([A-Za-z0-9.:_-]{1,255})\s*</Endpoint>")
# nginx, Apache, Go (net/http), each in the body of a 400 that is no XML
_WANTS_TLS = re.compile(
    rb"plain HTTP (?:request was sent )?to (?:an |a |)(?:HTTPS|SSL)|HTTP request to an HTTPS server", re.I
)
_COMPRESSION = re.compile(r"\b(?:x-)?(gzip|compress|deflate|br|zstd)\b", re.IGNORECASE)
_TLS_ALERT = b"\x15\x03"  # RFC 8446, 5.1: the type of the record, and the first byte of its version
_MOST = 200


def redirected_to(headers: Mapping[str, str], body: bytes) -> str:
    """Where a redirect sends: `<Endpoint>` of S3's document, or Location, without a login or a query; else nothing."""
    found = _ENDPOINT.search(body)
    if found:
        return found[1].decode()
    try:
        parts = urlsplit(headers.get("location", ""))
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    scheme = f"{parts.scheme}://" if parts.scheme and host else ""
    return one_line(f"{scheme}{host}{port}{parts.path}")[:_MOST]


def wants_tls(body: bytes) -> bool:
    """Is this what a server says on a port where it speaks HTTPS?"""
    return _WANTS_TLS.search(body[:4096]) is not None


def is_tls(first: bytes) -> bool:
    """Are these the first bytes of TLS, and not of HTTP?"""
    return first.startswith(_TLS_ALERT)


def coding(headers: Mapping[str, str]) -> str:
    """The compression that a body came in, by `content-encoding`; nothing for one that came as it is."""
    found = _COMPRESSION.search(headers.get("content-encoding", ""))
    return found[1].lower() if found else ""
