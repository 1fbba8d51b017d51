"""How the honest server (tests.servers.honest) keeps and answers: its store, and one connection of its clients."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import os
import shutil
import socketserver
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from awscrt.checksums import combine_crc64nvme, crc64nvme

CRC = "x-amz-checksum-crc64nvme"
_PIECE = 1 << 20
_KEPT = ("content-type", "content-encoding", "cache-control")


class Stored(NamedTuple):
    """One part, or a whole object: its file, bytes, MD5, CRC64NVME and, of an object, the sizes of its parts."""

    path: Path
    size: int
    md5: bytes
    crc: int
    etag: str = ""
    parts: tuple[int, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    modified: float = 0.0


@dataclass
class Store:
    """What the server holds, and what it does wrong on request of a test.

    Attributes:
        checksums: it keeps and echoes CRC64NVME; else it ignores all words of them.
        verifies: it refuses what is not as its checksum says.
        spoil: of a range or part of these bytes (is it sent out?, its offset): is a byte of it to be flipped?
        lie: what it tells instead of an object's true CRC64NVME.
        silent: it does not name the CRC of `parts`, or of the `whole`.
        fails_at: the part of this number is answered with 503.
    """

    directory: Path
    checksums: bool = True
    verifies: bool = True
    spoil: Any = None
    lie: str = ""
    silent: str = ""
    fails_at: int = 0
    buckets: dict[str, dict[str, Stored]] = field(default_factory=dict)
    uploads: dict[str, dict[int, Stored]] = field(default_factory=dict)
    begun: dict[str, dict[str, str]] = field(default_factory=dict)
    numbers: Any = field(default_factory=itertools.count)
    lock: Any = field(default_factory=threading.Lock)
    log: list[tuple[str, str, str, dict[str, str]]] = field(default_factory=list)

    def new_path(self) -> Path:
        """Where the next body goes."""
        return self.directory / f"{next(self.numbers):08d}"


def text_of(crc: int) -> str:
    """A CRC64NVME as headers have it."""
    return base64.b64encode(crc.to_bytes(8, "big")).decode()


class Failure(Exception):
    """An error answer: status, code."""


class Handler(socketserver.StreamRequestHandler):
    rbufsize = 1 << 16
    disable_nagle_algorithm = True
    server: Any

    def handle(self) -> None:
        self.store = self.server.store
        with contextlib.suppress(ConnectionError, TimeoutError):
            while self._one():
                pass

    def _one(self) -> bool:
        line = self.rfile.readline(65537).decode("latin-1").split(" ")
        if len(line) < 3:
            return False
        headers: dict[str, str] = {}
        while (text := self.rfile.readline(65537).decode("latin-1").strip()) != "":
            name, _, value = text.partition(":")
            headers[name.strip().lower()] = value.strip()
        self.method, (path, _, query) = line[0], line[1].partition("?")
        self.headers, self.query = headers, dict(parse_qsl(query, keep_blank_values=True))
        _, self.bucket, *rest = unquote(path).split("/", 2)
        self.key = rest[0] if rest else ""
        self._unread = True
        if len(self.store.log) < 100_000:
            self.store.log.append((self.method, self.key, query, headers))
        try:
            self._answer()
        except Failure as failure:
            status, code = failure.args
            if self._unread and self.method in ("PUT", "POST"):
                self._take(self.store.new_path()).path.unlink()
            body = "" if self.method == "HEAD" else f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
            self._send(status, body)
        return headers.get("connection", "").lower() != "close"

    def _answer(self) -> None:
        if not self.key:
            return self._of_bucket()
        objects = self.store.buckets.get(self.bucket)
        if objects is None:
            raise Failure(404, "NoSuchBucket")
        if self.method in ("GET", "HEAD"):
            if "uploadId" in self.query:
                return self._list_parts()
            return self._give(objects)
        if self.method == "DELETE":
            return self._delete(objects)
        if self.method == "POST":
            return self._begin() if "uploads" in self.query else self._complete(objects)
        return self._put(objects)

    # ---- buckets ------------------------------------------------------------------------------------

    def _of_bucket(self) -> None:
        if self.method == "PUT":
            self.store.buckets.setdefault(self.bucket, {})
            return self._send(200)
        if not self.bucket:
            return self._send(200, "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>")
        if self.bucket not in self.store.buckets:
            raise Failure(404, "NoSuchBucket")
        if self.method == "DELETE":
            del self.store.buckets[self.bucket]
            return self._send(204)
        if "versioning" in self.query:
            return self._send(200, "<VersioningConfiguration/>")
        if "uploads" in self.query:
            return self._send(200, "<ListMultipartUploadsResult></ListMultipartUploadsResult>")
        if "location" in self.query or self.method != "GET":
            return self._send(200, "<LocationConstraint/>")
        return self._list()

    def _list(self) -> None:
        prefix, most = self.query.get("prefix", ""), int(self.query.get("max-keys", "1000"))
        after = self.query.get("continuation-token") or self.query.get("start-after", "")
        objects = self.store.buckets[self.bucket]
        keys = sorted(key for key in list(objects) if key.startswith(prefix) and key > after)
        page, cut = keys[:most], len(keys) > most
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>{_iso(objects[key].modified)}</LastModified>"
            f"<ETag>&quot;{objects[key].etag}&quot;</ETag><Size>{objects[key].size}</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in page
        )
        more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if cut else ""
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        self._send(200, f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{space}">'
                   f"<Name>{self.bucket}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
                   f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(cut).lower()}</IsTruncated>{entries}{more}"
                   "</ListBucketResult>")  # fmt: skip

    # ---- objects ------------------------------------------------------------------------------------

    def _check_conditions(self, there: Stored | None) -> None:
        wanted = self.headers.get("if-match", "").strip('"')
        if wanted and (there is None or wanted != there.etag):
            raise Failure(412 if there is not None else 404, "PreconditionFailed")
        if self.headers.get("if-none-match") == "*" and there is not None:
            raise Failure(412, "PreconditionFailed")

    def _told(self, there: Stored) -> dict[str, str]:
        told = {"ETag": f'"{there.etag}"', "Last-Modified": formatdate(there.modified, usegmt=True),
                "Accept-Ranges": "bytes", **dict(there.headers)}  # fmt: skip
        asked = self.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" and "range" not in self.headers
        if self.store.checksums and asked and not (self.store.silent and there.parts):
            told |= {CRC: self.store.lie or text_of(there.crc), "x-amz-checksum-type": "FULL_OBJECT"}
        return told

    def _give(self, objects: dict[str, Stored]) -> None:
        there = objects.get(self.key)
        if there is None:
            raise Failure(404, "NoSuchKey")
        self._check_conditions(there)
        told = self._told(there)
        begin, end, status = 0, there.size, 200
        if "partNumber" in self.query and there.parts:
            number = int(self.query["partNumber"])
            begin = sum(there.parts[: number - 1])
            end, status = begin + there.parts[number - 1], 206
            told["x-amz-mp-parts-count"] = str(len(there.parts))
        if self.headers.get("range", "").startswith("bytes="):
            first, _, last = self.headers["range"][6:].partition("-")
            begin, end, status = int(first), min(int(last or there.size) + 1, there.size), 206
            told["Content-Range"] = f"bytes {begin}-{end - 1}/{there.size}"
        self._head(status, {**told, "Content-Length": str(end - begin)})
        if self.method == "HEAD" or begin == end:
            return
        self.wfile.flush()
        if self.store.spoil is not None and self.store.spoil(True, begin):
            data = bytearray(there.path.read_bytes()[begin:end])
            data[len(data) // 2] ^= 1
            self.connection.sendall(data)
            return
        with there.path.open("rb") as file:
            while begin < end:
                begin += os.sendfile(self.connection.fileno(), file.fileno(), begin, min(end - begin, 1 << 22))

    def _delete(self, objects: dict[str, Stored]) -> None:
        if "uploadId" in self.query:
            for part in self.store.uploads.pop(self.query["uploadId"], {}).values():
                part.path.unlink(missing_ok=True)
            return self._send(204)
        self._check_conditions(objects.get(self.key))
        gone = objects.pop(self.key, None)
        if gone is not None:
            gone.path.unlink(missing_ok=True)
        return self._send(204)

    def _put(self, objects: dict[str, Stored]) -> None:
        if self.store.fails_at and self.query.get("partNumber") == str(self.store.fails_at):
            raise Failure(503, "ServiceUnavailable")
        parts = self.store.uploads.get(self.query["uploadId"]) if "uploadId" in self.query else None
        if "uploadId" in self.query and parts is None:
            raise Failure(404, "NoSuchUpload")
        if parts is None:
            self._check_conditions(objects.get(self.key))
        came = self._take(self.store.new_path())
        self._verify(came)
        told = {"ETag": f'"{came.md5.hex()}"'}
        if self.store.checksums and CRC in self.headers and self.store.silent != "parts":
            told[CRC] = text_of(came.crc) if self.store.verifies else self.headers[CRC]
        if parts is None:
            if self.store.checksums:
                told |= {CRC: text_of(came.crc), "x-amz-checksum-type": "FULL_OBJECT"}
            self._keep(objects, came._replace(etag=came.md5.hex(), headers=self._kept(self.headers)))
        else:
            parts[int(self.query["partNumber"])] = came
        self._send(200, more=told)

    def _verify(self, came: Stored) -> None:
        wanted = self.headers.get("content-md5", "")
        if wanted and base64.b64decode(wanted) != came.md5:
            raise Failure(400, "BadDigest")
        wanted = self.headers.get(CRC, "") if self.store.checksums and self.store.verifies else ""
        if wanted and wanted != text_of(came.crc):
            raise Failure(400, "BadDigest")

    def _kept(self, headers: dict[str, str]) -> tuple[tuple[str, str], ...]:
        return tuple((name, value) for name, value in headers.items()
                     if name.startswith("x-amz-meta-") or name in _KEPT)  # fmt: skip

    def _keep(self, objects: dict[str, Stored], new: Stored) -> None:
        with self.store.lock:
            self._check_conditions(objects.get(self.key))
            old = objects.get(self.key)
            objects[self.key] = new._replace(modified=time.time())
        if old is not None:
            old.path.unlink(missing_ok=True)

    # ---- uploads in parts ---------------------------------------------------------------------------

    def _begin(self) -> None:
        self._body()
        upload = f"upload-{next(self.store.numbers)}"
        self.store.uploads[upload], self.store.begun[upload] = {}, dict(self.headers)
        more = {}
        if self.store.checksums and "x-amz-checksum-algorithm" in self.headers:
            more = {name: self.headers[name] for name in ("x-amz-checksum-algorithm", "x-amz-checksum-type")
                    if name in self.headers}  # fmt: skip
        self._send(200, f"<InitiateMultipartUploadResult><Bucket>{self.bucket}</Bucket><Key>{escape(self.key)}</Key>"
                   f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>", more)  # fmt: skip

    def _list_parts(self) -> None:
        parts = self.store.uploads.get(self.query["uploadId"])
        if parts is None:
            raise Failure(404, "NoSuchUpload")
        listed = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{part.md5.hex()}&quot;</ETag>"
            f"<Size>{part.size}</Size></Part>"
            for number, part in sorted(parts.items())
        )
        self._send(200, f"<ListPartsResult><IsTruncated>false</IsTruncated>{listed}</ListPartsResult>")

    def _complete(self, objects: dict[str, Stored]) -> None:
        body = self._body()
        parts = self.store.uploads.get(self.query.get("uploadId", ""))
        if parts is None:
            raise Failure(404, "NoSuchUpload")
        wanted = [(int(_text(part, "PartNumber")), _text(part, "ETag").strip('"'), _text(part, "ChecksumCRC64NVME"))
                  for part in ElementTree.fromstring(body) if part.tag.endswith("Part")]  # fmt: skip
        self._check_conditions(objects.get(self.key))
        chosen, checked = [], self.store.checksums and self.store.verifies
        for number, etag, crc in wanted:
            part = parts.get(number)
            if part is None or part.md5.hex() != etag or (checked and crc and crc != text_of(part.crc)):
                raise Failure(400, "InvalidPart")
            chosen.append(part)
        whole = 0
        for part in chosen:
            whole = combine_crc64nvme(whole, part.crc, part.size)
        if checked and self.headers.get(CRC, text_of(whole)) != text_of(whole):
            raise Failure(400, "BadDigest")
        path = self._joined(chosen)
        etag = f"{hashlib.md5(b''.join(part.md5 for part in chosen)).hexdigest()}-{len(chosen)}"
        upload = self.query["uploadId"]
        made = Stored(path, sum(part.size for part in chosen), b"", whole, etag, tuple(part.size for part in chosen),
                      self._kept(self.store.begun[upload]))  # fmt: skip
        self._keep(objects, made)
        del self.store.uploads[upload]
        told = f"<ChecksumCRC64NVME>{self.store.lie or text_of(whole)}</ChecksumCRC64NVME>"
        told = "" if self.store.silent or not self.store.checksums else told
        self._send(200, f"<CompleteMultipartUploadResult><Key>{escape(self.key)}</Key>"
                   f"<ETag>&quot;{etag}&quot;</ETag>{told}</CompleteMultipartUploadResult>")  # fmt: skip

    def _joined(self, parts: list[Stored]) -> Path:
        first, *rest = parts
        with first.path.open("ab") as whole:
            for part in rest:
                with part.path.open("rb") as file:
                    shutil.copyfileobj(file, whole, _PIECE)
                part.path.unlink()
        return first.path

    # ---- bodies and answers -------------------------------------------------------------------------

    def _pieces(self) -> Any:
        """The body in pieces, out of aws-chunked if it is in that."""
        self._unread = False
        if self.headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        if not self.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
            yield from self._read(int(self.headers.get("content-length", "0")))
            return
        while size := int(self.rfile.readline(65537).split(b";")[0], 16):
            yield from self._read(size)
            self.rfile.readline(3)
        while self.rfile.readline(65537).strip():
            pass

    def _read(self, left: int) -> Any:
        while left:
            piece = self.rfile.read1(min(left, _PIECE))
            if not piece:
                raise ConnectionResetError
            left -= len(piece)
            yield piece

    def _take(self, path: Path) -> Stored:
        md5, crc, size = hashlib.md5(), 0, 0
        spoil = self.store.spoil is not None and self.store.spoil(False, int(self.query.get("partNumber", "1")))
        with path.open("wb") as file:
            for came in self._pieces():
                piece = bytes([came[0] ^ 1]) + came[1:] if spoil else came
                spoil = False
                file.write(piece)
                md5.update(piece)
                crc = crc64nvme(piece, crc)
                size += len(piece)
        return Stored(path, size, md5.digest(), crc)

    def _body(self) -> bytes:
        return b"".join(self._pieces())

    def _head(self, status: int, more: dict[str, str]) -> None:
        told = {"Server": "MinIO-like honest", "x-amz-request-id": "0", "Date": formatdate(usegmt=True), **more}
        lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in told.items())]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def _send(self, status: int, body: str = "", more: dict[str, str] | None = None) -> None:
        if self._unread and self.headers.get("content-length", "0") != "0":
            self._body()
        data = body.encode()
        self._head(status, {"Content-Type": "application/xml", "Content-Length": str(len(data)), **(more or {})})
        self.wfile.write(data)
        self.wfile.flush()


def _text(element: Any, name: str) -> str:
    return next((child.text or "" for child in element if child.tag.rpartition("}")[2] == name), "")


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"
