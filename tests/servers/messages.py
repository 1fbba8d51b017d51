"""HTTP/1.1 messages as the fault proxy sees them: heads that it parses, bodies that it only passes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

BLOCK_BYTES = 64 * 1024
_OPERATIONS = {
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
    "POST": "PostObject",
}


def operation_of(method: str, key: str, query: Mapping[str, str]) -> str:
    """S3's name for a request."""
    if "uploadId" in query:
        of_upload = {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}
        return of_upload.get(method, "ListParts")
    if "uploads" in query:
        return "CreateMultipartUpload" if method == "POST" else "ListMultipartUploads"
    if key:
        return _OPERATIONS.get(method, method)
    if "versions" in query:
        return "ListObjectVersions"
    return "ListObjectsV2" if "list-type" in query else f"{method} bucket"


class Request(NamedTuple):
    """One request's head, as it came. Header names in lower case; the key as S3 knows it, without the bucket.

    `at` is when it came, in monotonic seconds.
    """

    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    head: bytes
    at: float

    @property
    def operation(self) -> str:
        """S3's name for it, path style taken for granted."""
        return operation_of(self.method, self.key, self.query)

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return int(self.headers.get("content-length", "0"))


class Answer(NamedTuple):
    """What the server said; the body is still on its way. Header names as they came."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: AsyncIterator[bytes]

    def head(self, length: int | None = None) -> bytes:
        """Status line and headers; with a `length`, that is the Content-Length."""
        headers = self.headers
        if length is not None:
            framing = ("content-length", "transfer-encoding")
            headers = [(name, value) for name, value in headers if name.lower() not in framing]
            headers = [*headers, ("Content-Length", str(length))]
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return f"HTTP/1.1 {self.status} {self.reason}\r\n{lines}\r\n".encode("latin-1")

    def header(self, name: str) -> str:
        """A header's value, or an empty string."""
        return next((value for key, value in self.headers if key.lower() == name), "")


async def blocks(reader: asyncio.StreamReader, answer: Answer) -> AsyncIterator[bytes]:
    """The body of an answer, as it is on the wire."""
    if answer.header("transfer-encoding").lower() == "chunked":
        size = -1
        while size:
            line = await reader.readline()
            size = int(line.split(b";")[0], 16)
            yield line + await reader.readexactly(size + 2)
        return
    given = answer.header("content-length")
    left = int(given) if given else -1
    while left and (block := await reader.read(min(BLOCK_BYTES, left) if left > 0 else BLOCK_BYTES)):
        left -= len(block) if left > 0 else 0
        yield block


async def nothing() -> AsyncIterator[bytes]:
    """An empty body."""
    return
    yield b""


def parse_request(head: bytes) -> Request:
    """The request that a head begins; its URL in path style."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    path, _, query = target.partition("?")
    bucket, _, key = path.lstrip("/").partition("/")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    words = dict(parse_qsl(query, keep_blank_values=True))
    return Request(method, bucket, unquote(key), words, headers, head, time.monotonic())


def without_expect(head: bytes) -> bytes:
    """The head of a request without Expect: the proxy itself has told the client to go on."""
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"expect:"))


def parse_answer(head: bytes) -> tuple[int, str, list[tuple[str, str]]]:
    """Status, reason and headers of an answer."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    _, status, reason = [*first.split(" ", 2), ""][:3]
    pairs = (line.partition(":") for line in lines)
    return int(status), reason, [(name.strip(), value.strip()) for name, _, value in pairs]
