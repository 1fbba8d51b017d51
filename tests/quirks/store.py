"""A small S3 server in memory whose answers a test can change: `store.hook(request)` may answer itself.

It lists as AWS does, knows conditional requests, ranges, multipart uploads and copies, and is loopback only.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

Headers = list[tuple[str, str]]
_XML: Headers = [("Content-Type", "application/xml")]
_BUCKETS = "<ListAllMyBucketsResult><Buckets><Bucket><Name>b</Name></Bucket></Buckets></ListAllMyBucketsResult>"
_OF_A_BUCKET = {
    "uploads": "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>",
    "location": "<LocationConstraint/>",
    "versioning": "<VersioningConfiguration/>",
}


class StoredObject:
    """An object: its content, the headers that it was put with, its ETag (the MD5, if none is given)."""

    def __init__(
        self, body: bytes, headers: dict[str, str] | None = None, *, etag: str | None = None,
        modified: str = "2024-05-06T07:08:09.123Z", storage_class: str = "STANDARD",
    ) -> None:  # fmt: skip
        self.body, self.headers, self.modified, self.storage_class = body, headers or {}, modified, storage_class
        self.etag = hashlib.md5(body).hexdigest() if etag is None else etag


class Upload(NamedTuple):
    """A multipart upload that is under way."""

    key: str
    parts: dict[int, bytes]
    headers: dict[str, str]


class Asked(NamedTuple):
    """One request and the status of its answer."""

    method: str
    key: str
    query: dict[str, str]
    status: int


class Store:
    """One bucket of any name.

    Attributes:
        keys: what it holds; may be changed between requests.
        uploads: multipart uploads under way, by id.
        log: the requests that were answered.
        hook: called before each answer; True if it answered the request itself.
        made: called with each object that a client stored.
        page_keys: at most so many keys a page of a listing.
        conditional: does it heed If-Match and If-None-Match?
        url: where it listens.
    """

    def __init__(self) -> None:
        self.keys: dict[str, StoredObject] = {}
        self.uploads: dict[str, Upload] = {}
        self.log: list[Asked] = []
        self.hook: Callable[[Request], bool] = lambda _request: False
        self.made: Callable[[StoredObject], None] = lambda _made: None
        self.page_keys = 1000
        self.conditional = True
        self.url = ""
        self.asked = 0
        self.lock = threading.RLock()

    def put(self, key: str, body: bytes = b"x", **more: Any) -> None:
        """Store an object behind the server's back."""
        self.keys[key] = StoredObject(body, **more)

    def sent(self, method: str, *, keyed: bool = True) -> int:
        """How many requests of this method were answered, for objects or (not `keyed`) for the bucket."""
        return sum(1 for asked in list(self.log) if asked.method == method and bool(asked.key) == keyed)


class Request(BaseHTTPRequestHandler):
    """One request. A hook answers it by `answer` or `error`, or lets it through."""

    store: ClassVar[Store]
    protocol_version = "HTTP/1.1"
    bucket = key = ""
    query: dict[str, str]
    low: dict[str, str]  # its headers, by lower-case name
    data = b""

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def answer(self, status: int, body: str | bytes = b"", headers: Headers | None = None) -> bool:
        """Answer it; True."""
        content = body.encode() if isinstance(body, str) else body
        self.store.log.append(Asked(self.command, self.key, self.query, status))
        self.send_response(status)
        given = headers or []
        for name, value in given:
            self.send_header(name, value)
        if "content-length" not in {name.lower() for name, _ in given}:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        return True

    def error(self, status: int, code: str, message: str = "no", headers: Headers | None = None) -> bool:
        """Answer it with an error as S3 writes them; True."""
        head = '<?xml version="1.0" encoding="UTF-8"?>\n'
        document = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return self.answer(status, head + document, [*_XML, *(headers or [])])

    def _do(self) -> None:
        try:
            at = urlsplit(self.path)
            bucket, _, key = at.path.lstrip("/").partition("/")
            self.bucket, self.key = unquote(bucket), unquote(key)
            self.query = dict(parse_qsl(at.query, keep_blank_values=True))
            self.low = {name.lower(): value for name, value in self.headers.items()}
            self.data = self.rfile.read(int(self.low.get("content-length") or 0))
            with self.store.lock:
                self.store.asked += 1
            if not self.store.hook(self):
                getattr(self, f"_{self.command.lower()}")()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _do

    # ---- reading ----------------------------------------------------------------------------------

    def _get(self) -> bool:
        if not self.key:
            return self._get_bucket()
        if self.query.keys() & {"tagging", "acl", "attributes"}:
            return self.error(501, "NotImplemented")
        found = self.store.keys.get(self.key)
        if found is None:
            return self.error(404, "NoSuchKey")
        if self._refuses(if_none_match=False):
            return self.error(412, "PreconditionFailed")
        if self.store.conditional and found.etag and self.low.get("if-none-match", "").strip('"') == found.etag:
            return self.answer(304, b"", self._about(found))
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.low.get("range", ""))
        if not asked:
            return self.answer(200, found.body, self._about(found))
        size, first = len(found.body), int(asked[1])
        last = min(int(asked[2] or size - 1), size - 1)
        if first >= size:
            return self.error(416, "InvalidRange")
        about = [*self._about(found), ("Content-Range", f"bytes {first}-{last}/{size}")]
        return self.answer(206, found.body[first : last + 1], about)

    def _get_bucket(self) -> bool:
        for name, document in _OF_A_BUCKET.items():
            if name in self.query:
                return self.answer(200, document, _XML)
        if not self.bucket:
            return self.answer(200, _BUCKETS, _XML)
        if self.query.get("list-type") == "2" or not self.query or "prefix" in self.query:
            return self.list()
        return self.error(501, "NotImplemented")

    def _head(self) -> bool:
        if not self.key:
            return self.answer(200)
        found = self.store.keys.get(self.key)
        if found is None:
            return self.answer(404)
        return self.answer(200, b"", [*self._about(found), ("Content-Length", str(len(found.body)))])

    def _about(self, found: StoredObject) -> Headers:
        etag = [("ETag", f'"{found.etag}"')] if found.etag else []
        return [*etag, ("Last-Modified", "Mon, 06 May 2024 07:08:09 GMT"), *found.headers.items()]

    def list(self, order: Callable[[list[str]], list[str]] | None = None) -> bool:
        """Answer a listing; `order` sorts the keys as another server would. Its pages go on by number, not by key."""
        store, query = self.store, self.query
        prefix, token = query.get("prefix", ""), query.get("continuation-token")
        after = query.get("start-after") or query.get("marker") or ""
        with store.lock:
            found = sorted((key for key in store.keys if key.startswith(prefix) and key > after), key=os.fsencode)
        keys, folders = _by_folder(order(found) if order else found, prefix, query.get("delimiter", ""))
        at, size = int(token or 0), min(store.page_keys, int(query.get("max-keys", 1000)))
        page, more = keys[at : at + size], len(keys) > at + size
        by_url = query.get("encoding-type") == "url"

        def text(name: str) -> str:
            return quote(name, safe="/") if by_url else escape(name)

        document = [
            '<?xml version="1.0" encoding="UTF-8"?>\n',
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
            f"<Name>{self.bucket}</Name><Prefix>{text(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>",
            f"<MaxKeys>{size}</MaxKeys>", "<EncodingType>url</EncodingType>" if by_url else "",
            f"<IsTruncated>{str(more).lower()}</IsTruncated>",
            f"<NextContinuationToken>{at + size}</NextContinuationToken>" if more else "",
            *(self.row(text(key), store.keys[key]) for key in page),
            *(f"<CommonPrefixes><Prefix>{text(folder)}</Prefix></CommonPrefixes>" for folder in folders),
            "</ListBucketResult>",
        ]  # fmt: skip
        return self.answer(200, "".join(document), _XML)

    def row(self, key: str, found: StoredObject) -> str:
        """A listed object; `key` is encoded."""
        etag = f"<ETag>&quot;{found.etag}&quot;</ETag>" if found.etag else ""
        return (
            f"<Contents><Key>{key}</Key><LastModified>{found.modified}</LastModified>{etag}<Size>{len(found.body)}</Size>"
            f"<StorageClass>{found.storage_class}</StorageClass></Contents>"
        )

    # ---- writing ----------------------------------------------------------------------------------

    def _kept_headers(self) -> dict[str, str]:
        kept = ("content-type", "content-encoding")
        return {name: value for name, value in self.low.items() if name.startswith("x-amz-meta-") or name in kept}

    def _put(self) -> bool:
        if not self.key:
            return self.answer(200)
        if "x-amz-copy-source" in self.low:
            return self._copy()
        if "partNumber" in self.query:
            return self._put_part()
        if self._refuses():
            return self.error(412, "PreconditionFailed")
        made = self._store(StoredObject(self.data, self._kept_headers(), modified=_now()))
        return self.answer(200, b"", [("ETag", f'"{made.etag}"')] if made.etag else [])

    def _put_part(self) -> bool:
        upload = self.store.uploads.get(self.query["uploadId"])
        if upload is None:
            return self.error(404, "NoSuchUpload")
        upload.parts[int(self.query["partNumber"])] = self.data
        return self.answer(200, b"", [("ETag", f'"{hashlib.md5(self.data).hexdigest()}"')])

    def _copy(self) -> bool:
        source = self.store.keys.get(unquote(self.low["x-amz-copy-source"]).lstrip("/").split("/", 1)[1])
        if source is None:
            return self.error(404, "NoSuchKey")
        expected = self.low.get("x-amz-copy-source-if-match", source.etag).strip('"')
        if "partNumber" in self.query:
            return self.error(501, "NotImplemented")
        if self._refuses() or (self.store.conditional and expected != source.etag):
            return self.error(412, "PreconditionFailed")
        made = self._store(StoredObject(source.body, {**source.headers, **self._kept_headers()}, modified=_now()))
        return self.answer(200, f"<CopyObjectResult><ETag>&quot;{made.etag}&quot;</ETag></CopyObjectResult>", _XML)

    def _store(self, made: StoredObject) -> StoredObject:
        self.store.made(made)
        with self.store.lock:
            self.store.keys[self.key] = made
        return made

    def _refuses(self, *, if_none_match: bool = True) -> bool:
        """Does a condition of the request not hold?"""
        if not self.store.conditional:
            return False
        found = self.store.keys.get(self.key)
        if if_none_match and self.low.get("if-none-match") == "*" and found is not None:
            return True
        wanted = self.low.get("if-match", "*").strip('"')
        return "if-match" in self.low and (found is None or wanted not in ("*", found.etag))

    def _post(self) -> bool:
        store = self.store
        if "delete" in self.query:
            gone = re.findall(r"<Key>(.*?)</Key>", self.data.decode())
            for key in gone:
                store.keys.pop(key, None)
            deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in gone)
            return self.answer(200, f"<DeleteResult>{deleted}</DeleteResult>", _XML)
        if "uploads" in self.query:
            name = f"u{store.asked}"
            store.uploads[name] = Upload(self.key, {}, self._kept_headers())
            document = f"<Key>{escape(self.key)}</Key><UploadId>{name}</UploadId>"
            return self.answer(200, f"<InitiateMultipartUploadResult>{document}</InitiateMultipartUploadResult>", _XML)
        return self._complete() if "uploadId" in self.query else self.error(501, "NotImplemented")

    def _complete(self) -> bool:
        upload = self.store.uploads.get(self.query["uploadId"])
        if upload is None:
            return self.error(404, "NoSuchUpload")
        if self._refuses():
            return self.error(412, "PreconditionFailed")
        del self.store.uploads[self.query["uploadId"]]
        parts = [upload.parts[number] for number in sorted(upload.parts)]
        digest = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
        etag = f"{digest}-{len(parts)}"
        made = self._store(StoredObject(b"".join(parts), upload.headers, etag=etag, modified=_now()))
        document = f"<ETag>&quot;{made.etag}&quot;</ETag>" if made.etag else ""
        return self.answer(200, f"<CompleteMultipartUploadResult>{document}</CompleteMultipartUploadResult>", _XML)

    def _delete(self) -> bool:
        if "uploadId" in self.query:
            self.store.uploads.pop(self.query["uploadId"], None)
            return self.answer(204)
        if self.key in self.store.keys and self._refuses(if_none_match=False):
            return self.error(412, "PreconditionFailed")
        with self.store.lock:
            self.store.keys.pop(self.key, None)
        return self.answer(204)


def _by_folder(keys: list[str], prefix: str, delimiter: str) -> tuple[list[str], list[str]]:
    """The keys of one level, and its folders; all keys without a delimiter."""
    if not delimiter:
        return keys, []
    deeper = [key for key in keys if delimiter in key[len(prefix) :]]
    folders = sorted({prefix + key[len(prefix) :].split(delimiter, 1)[0] + delimiter for key in deeper})
    return [key for key in keys if delimiter not in key[len(prefix) :]], folders


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is nobody's fault."""


@contextmanager
def serving(kind: type[Request] = Request) -> Iterator[Store]:
    """A new Store that listens on a free port of the loopback; `kind` may change how it answers."""
    store = Store()
    listener = _Listener(("127.0.0.1", 0), type("OneRequest", (kind,), {"store": store}))
    threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    store.url = f"http://127.0.0.1:{listener.server_address[1]}"
    try:
        yield store
    finally:
        listener.shutdown()
        listener.server_close()
