"""What the in-memory S3 answers to each request, by S3's rules; and the hooks that may answer otherwise. Any thread."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.servers.memory import listings
from tests.servers.memory.messages import Answer, Refusal, Request, parse_head, xml
from tests.servers.memory.store import SSE_C, Bucket, Stored, check_body

Send = Callable[[Request], Answer]
Hook = Callable[[Request, Send], "Answer | bytes"]
_ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")
_CHECKSUM = "x-amz-checksum-"


class Seen(NamedTuple):
    """One request, and the status of its answer; 0 if none was given."""

    request: Request
    status: int


class MemoryS3:
    """A whole service in a dictionary.

    Attributes:
        buckets: by name; make one by `bucket(name)`. A test may read and change them at any time.
        log: every request that came.
        server: the Server header. nbsync knows by it what the server can do; this one can do what moto can, and more.
        page_keys: at most so many keys a page of a listing.
        plus: listings write a space as `+`, as AWS does.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """No buckets, no hooks, and all as it was made."""
        self.buckets: dict[str, Bucket] = {}
        self.log: list[Seen] = []
        self.server = "Werkzeug"
        self.page_keys = 1000
        self.plus = True
        self._hooks: list[Hook] = []

    def bucket(self, name: str) -> Bucket:
        """The bucket of this name, made if it is new."""
        return self.buckets.setdefault(name, Bucket())

    def count(self, operation: str) -> int:
        """How many requests of this operation (`GetObject`, `ListObjectsV2`, …) came."""
        return sum(1 for seen in list(self.log) if seen.request.operation == operation)

    def hook(self, hook: Hook) -> None:
        """Let `hook` answer every request until `reset`, as `hooked` does in a context."""
        self._hooks.append(hook)

    @contextmanager
    def hooked(self, hook: Hook) -> Iterator[None]:
        """A context in which `hook(request, send)` answers every request; `send` passes one on, changed or not.

        It returns an Answer, or the bytes of one; it may raise `ConnectionLost`, or any error of the disk's. It is
        called in the thread that sent the request, without the lock: it may look at the buckets, and change them.
        """
        self._hooks.append(hook)
        try:
            yield
        finally:
            self._hooks.remove(hook)

    def take(self, head: bytes, body: bytes) -> bytes:
        """The bytes of the answer to a request. Raises: what a hook raises."""
        request = parse_head(head, self.buckets)._replace(body=body)
        send: Send = self._answered
        for hook in self._hooks:
            send = _through(hook, send)
        try:
            answer = send(request)
        except BaseException:
            self.log.append(Seen(request, 0))
            raise
        if isinstance(answer, bytes):
            self.log.append(Seen(request, 0))
            return answer
        self.log.append(Seen(request, answer.status))
        about = {"date": formatdate(usegmt=True), "server": self.server}
        return answer._replace(headers={**about, **answer.headers}).encode(head_only=request.method == "HEAD")

    def _answered(self, request: Request) -> Answer:
        """What S3 answers."""
        with self.lock:
            try:
                return self._of_service(request)
            except Refusal as refused:
                return refused.answer

    def _of_service(self, request: Request) -> Answer:
        if not request.bucket:
            return listings.list_buckets(self.buckets)
        if not request.key and request.method == "PUT" and not request.query:
            self.bucket(request.bucket)
            return Answer()
        bucket = self.buckets.get(request.bucket)
        if bucket is None:
            raise Refusal(404, "NoSuchBucket", "The specified bucket does not exist")
        if SSE_C + "key" in request.headers and (not request.key or request.method == "DELETE"):
            raise Refusal(400, "InvalidArgument", "a customer's key was sent where S3 takes none")
        if not request.key:
            return self._of_bucket(bucket, request)
        verbs = {"GET": _get, "HEAD": _get, "PUT": self._put, "DELETE": _delete, "POST": _post}
        return verbs[request.method](bucket, request)

    def _of_bucket(self, bucket: Bucket, request: Request) -> Answer:
        query, method = request.query, request.method
        if method == "HEAD":
            return Answer(200, {"x-amz-bucket-region": "us-east-1"})
        if method == "POST" and "delete" in query:
            return _delete_many(bucket, request.body)
        if method == "PUT" and "versioning" in query:
            bucket.versioning = next(iter(_texts(request.body, "Status")), "")
            return Answer()
        if method == "DELETE" and not query:
            del self.buckets[request.bucket]
            return Answer(204)
        if method != "GET":
            raise Refusal(501, "NotImplemented")
        if "location" in query:
            return xml("<LocationConstraint/>")
        if "versioning" in query:
            status = f"<Status>{bucket.versioning}</Status>" if bucket.versioning else ""
            return xml(f"<VersioningConfiguration>{status}</VersioningConfiguration>")
        if "uploads" in query:
            return listings.list_uploads(bucket, query, plus=self.plus)
        if "versions" in query:
            return listings.list_versions(bucket, query, page_keys=self.page_keys, plus=self.plus)
        return listings.list_objects(bucket, query, page_keys=self.page_keys, plus=self.plus)

    def _put(self, bucket: Bucket, request: Request) -> Answer:
        key, query, headers = request.key, request.query, request.headers
        if len(key.encode("utf-8", "surrogateescape")) > 1024:
            raise Refusal(400, "KeyTooLongError", "Your key is too long")
        check_body(request.body, headers)
        if "uploadId" in query:
            upload = bucket.upload(key, query["uploadId"])
            upload.parts[int(query["partNumber"])] = request.body
            return Answer(200, {"etag": f'"{upload.etag(request.body)}"'})
        if "tagging" in query:
            pairs = zip(_texts(request.body, "Key"), _texts(request.body, "Value"), strict=True)
            bucket.find(key).tags = "&".join(f"{name}={value}" for name, value in pairs)
            return Answer()
        if query:
            raise Refusal(501, "NotImplemented")
        _check_write(bucket, request)
        if "x-amz-copy-source" in headers:
            return self._copy(bucket, request)
        made = bucket.put(key, request.body, headers)
        return Answer(200, _confirmed(made))

    def _copy(self, bucket: Bucket, request: Request) -> Answer:
        headers = request.headers
        path, _, query = headers["x-amz-copy-source"].lstrip("/").partition("?")
        name, _, key = path.partition("/")
        source_bucket = self.buckets.get(unquote(name))
        if source_bucket is None:
            raise Refusal(404, "NoSuchBucket")
        source = source_bucket.find(unquote(key, errors="surrogateescape"), dict(parse_qsl(query)).get("versionId", ""))
        if headers.get("x-amz-copy-source-if-match", source.etag).strip('"') != source.etag:
            raise Refusal(412, "PreconditionFailed")
        replaces = headers.get("x-amz-metadata-directive") == "REPLACE"
        made = bucket.put(request.key, source.body, headers if replaces else {**source.headers, **headers})
        document = f"<ETag>&quot;{made.etag}&quot;</ETag>"
        done = xml(f"<CopyObjectResult>{document}<LastModified>{listings.iso_time(made.modified)}</LastModified>"
                   "</CopyObjectResult>")  # fmt: skip
        return done._replace(headers={**done.headers, **_version(made)})


def _through(hook: Hook, send: Send) -> Send:
    return lambda request: hook(request, send)  # type: ignore[return-value]


def _texts(body: bytes, name: str) -> list[str]:
    """The texts of all elements of that name."""
    root = ElementTree.fromstring(body)
    return [node.text or "" for node in root.iter() if node.tag.rpartition("}")[2] == name]


def _version(found: Stored) -> dict[str, str]:
    return {} if found.version_id == "null" else {"x-amz-version-id": found.version_id}


def _confirmed(made: Stored) -> dict[str, str]:
    """The headers of the answer to an upload."""
    said = {name: value for name, value in made.headers.items()
            if name.startswith(("x-amz-server-side", _CHECKSUM))}  # fmt: skip
    return {"etag": f'"{made.etag}"', **said, **_version(made)}


def _check_write(bucket: Bucket, request: Request) -> None:
    """Return if the conditions of a write hold. Raises: Refusal."""
    found, headers = bucket.current(request.key), request.headers
    if headers.get("if-none-match") == "*" and found is not None:
        raise Refusal(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
    wanted = headers.get("if-match")
    if wanted is None:
        return
    if found is None:
        raise Refusal(404, "NoSuchKey", "The specified key does not exist.")
    if wanted.strip('"') not in ("*", found.etag):
        raise Refusal(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")


def _check_customer_key(found: Stored, headers: Mapping[str, str]) -> None:
    given = headers.get(SSE_C + "key-md5", "")
    if given == found.customer_key:
        return
    if given and found.customer_key:
        raise Refusal(403, "AccessDenied", "Access Denied")
    said = "not applicable" if given else "was stored using a form of Server Side Encryption. The key is needed"
    raise Refusal(400, "InvalidRequest", f"The object {said}.")


def _get(bucket: Bucket, request: Request) -> Answer:
    """GetObject and HeadObject."""
    key, query, headers = request.key, request.query, request.headers
    if "uploadId" in query:
        return listings.list_parts(bucket, key, query["uploadId"])
    found = bucket.find(key, query.get("versionId", ""))
    if "tagging" in query:
        pairs = (f"<Tag><Key>{escape(name)}</Key><Value>{escape(value)}</Value></Tag>"
                 for name, value in parse_qsl(found.tags))  # fmt: skip
        return xml(f"<Tagging><TagSet>{''.join(pairs)}</TagSet></Tagging>")
    if query.keys() - {"versionId", "partNumber"}:
        raise Refusal(501, "NotImplemented")
    try:
        _check_customer_key(found, headers)
    except Refusal as refused:
        if request.method == "HEAD":  # without a body there is no code
            return refused.answer._replace(body=b"")
        raise
    if headers.get("if-match", found.etag).strip('"') not in ("*", found.etag):
        raise Refusal(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
    if headers.get("if-none-match", "").strip('"') in ("*", found.etag):
        return Answer(304, {"etag": f'"{found.etag}"', **_version(found)})
    restored = "x-amz-restore" in found.headers
    if request.method == "GET" and found.storage_class in _ARCHIVED and not restored:
        raise Refusal(403, "InvalidObjectState", "The operation is not valid for the object's storage class")
    return _content(found, query, headers)


def _content(found: Stored, query: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
    """The object, a range of it, or one of its parts."""
    shown = {name: value for name, value in found.headers.items() if not name.startswith(_CHECKSUM)}
    about = {
        "accept-ranges": "bytes", "content-type": "binary/octet-stream",
        "last-modified": formatdate(int(found.modified), usegmt=True), **shown, **_version(found),
    }  # fmt: skip
    if found.etag:
        about["etag"] = f'"{found.etag}"'
    size = len(found.body)
    if "partNumber" in query:
        number, parts = int(query["partNumber"]), found.parts or (size,)
        if not 1 <= number <= len(parts):
            raise Refusal(416, "InvalidPartNumber")
        first = sum(parts[: number - 1])
        span = (first, first + parts[number - 1])
        about["x-amz-mp-parts-count"] = str(len(parts))
    else:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        if not asked:
            checksums = found.headers if headers.get("x-amz-checksum-mode") == "ENABLED" else {}
            about |= {name: value for name, value in checksums.items() if name.startswith(_CHECKSUM)}
            return Answer(200, about, found.body)
        span = (int(asked[1]), min(int(asked[2] or size), size - 1) + 1)
        if span[0] >= size:
            raise Refusal(416, "InvalidRange", "The requested range is not satisfiable")
    about["content-range"] = f"bytes {span[0]}-{span[1] - 1}/{size}"
    return Answer(206, about, found.body[span[0] : span[1]])


def _post(bucket: Bucket, request: Request) -> Answer:
    """CreateMultipartUpload and CompleteMultipartUpload."""
    key, query = request.key, request.query
    if "uploads" in query:
        name = bucket.begin(key, request.headers)
        said = {header: value for header, value in request.headers.items()
                if header.startswith("x-amz-server-side") and header != SSE_C + "key"}  # fmt: skip
        done = xml(f"<InitiateMultipartUploadResult><Key>{escape(key)}</Key><UploadId>{name}</UploadId>"
                   "</InitiateMultipartUploadResult>")  # fmt: skip
        return done._replace(headers={**done.headers, **said})
    if "uploadId" not in query:
        raise Refusal(501, "NotImplemented")
    bucket.upload(key, query["uploadId"])
    _check_write(bucket, request)
    numbers, etags = _texts(request.body, "PartNumber"), _texts(request.body, "ETag")
    wanted = [(int(number), etag.strip('"')) for number, etag in zip(numbers, etags, strict=True)]
    made = bucket.complete(key, query["uploadId"], wanted)
    done = xml(f"<CompleteMultipartUploadResult><ETag>&quot;{made.etag}&quot;</ETag></CompleteMultipartUploadResult>")
    return done._replace(headers={**done.headers, **{k: v for k, v in _confirmed(made).items() if k != "etag"}})


def _delete(bucket: Bucket, request: Request) -> Answer:
    key, query = request.key, request.query
    if "uploadId" in query:
        bucket.upload(key, query["uploadId"])
        del bucket.uploads[query["uploadId"]]
        return Answer(204)
    if "if-match" in request.headers:
        _check_write(bucket, request)
    marker = bucket.delete(key, query.get("versionId", ""))
    return Answer(204, {"x-amz-delete-marker": "true", **_version(marker)} if marker is not None else {})


def _delete_many(bucket: Bucket, body: bytes) -> Answer:
    root = ElementTree.fromstring(body)
    gone = []
    for node in root.iter():
        if node.tag.rpartition("}")[2] == "Object":
            fields = {child.tag.rpartition("}")[2]: child.text or "" for child in node}
            bucket.delete(fields["Key"], fields.get("VersionId", ""))
            gone.append(fields["Key"])
    deleted = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in gone)
    return xml(f"<DeleteResult>{deleted}</DeleteResult>")
