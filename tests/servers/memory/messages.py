"""A request as the in-memory S3 takes it, and an answer as it gives it: values, and their bytes on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from tests.servers.messages import operation_of

XML = {"content-type": "application/xml"}


class Request(NamedTuple):
    """One request. Header names in lower case; the key as it is, without the bucket; both empty for the service."""

    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """S3's name for it: GetObject, UploadPart, ListObjectsV2, …"""
        return operation_of(self.method, self.key, self.query)


class Answer(NamedTuple):
    """An answer. Header names in lower case; the body of a HEAD's is left away when it is sent."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def encode(self, *, head_only: bool = False) -> bytes:
        """The bytes on the wire."""
        headers = dict(self.headers)
        if self.status != 204:
            headers.setdefault("content-length", str(len(self.body)))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {self.status} {_REASONS.get(self.status, '')}\r\n{lines}\r\n".encode("latin-1")
        return head if head_only else head + self.body


_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Refusal(Exception):
    """Ends a request with an error of S3."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(status, code, message)
        self.answer = refusal(status, code, message)


def refusal(status: int, code: str, message: str = "", **headers: str) -> Answer:
    """An error as S3 writes it; the underscores of header names stand for hyphens."""
    document = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message><RequestId>R1</RequestId></Error>"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {**XML, "x-amz-request-id": "R1", **named}, xml(document).body)


def xml(document: str, status: int = 200) -> Answer:
    """An answer that is XML."""
    return Answer(status, XML, b'<?xml version="1.0" encoding="UTF-8"?>\n' + document.encode())


def parse_head(head: bytes, buckets: Mapping[str, object]) -> Request:
    """The request that a head tells of, without its body. A bucket may stand in the host's name, or in the path."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    path, _, query = target.partition("?")
    named = headers.get("host", "").partition(".")[0]
    if named in buckets:
        bucket, key = named, path[1:]
    else:
        bucket, _, key = path.lstrip("/").partition("/")
    words = dict(parse_qsl(query, keep_blank_values=True, errors="surrogateescape"))
    return Request(method, unquote(bucket), unquote(key, errors="surrogateescape"), words, headers, b"")
