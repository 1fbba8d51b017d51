"""What a test needs of an S3 server, whichever it is: an address, keys, buckets, and what it can do."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.client
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

ACCESS_KEY = "AKIATEST"
SECRET_KEY = "SECRETTEST"
REGION = "us-east-1"

# What a server may be able to do. tests/contract/test_capabilities.py holds one probe for each word,
# and fails when a server's declaration is not what its probe sees.
CAPABILITIES = {
    "signatures": "refuses a request whose signature is wrong",
    "unsigned-payload": "takes x-amz-content-sha256: UNSIGNED-PAYLOAD over http",
    "trailing-checksums": "takes an aws-chunked body with its checksum behind it",
    "checks-content-md5": "refuses a PUT with a wrong Content-MD5 (BadDigest)",
    "checks-checksum": "refuses a PUT with a wrong x-amz-checksum-crc32",
    "stores-checksums": "HEAD with x-amz-checksum-mode: ENABLED gives back the checksum of the PUT",
    "conditional-put": "PUT with If-None-Match: *, or If-Match with a bare ETag, answers 412 when the condition fails",
    "quoted-if-match": "PUT understands an If-Match whose ETag is in quotes",
    "conditional-get": "GET and HEAD with a wrong If-Match answer 412",
    "conditional-delete": "DELETE with a wrong If-Match answers 412 and deletes nothing",
    "conditional-complete-new": "CompleteMultipartUpload with If-None-Match: * answers 412 over an object",
    "conditional-complete": "CompleteMultipartUpload with a wrong If-Match answers 412",
    "versions": "a bucket can be versioned, and old versions read",
    "put-etag-is-md5": "the ETag of a single PUT is the body's MD5",
    "multipart-md5-etag": "a multipart ETag is the MD5 of the parts' MD5s, with -N, as AWS makes it",
    "complete-tells-etag": "the answer to CompleteMultipartUpload carries the ETag that HEAD and LIST then show",
    "part-head": "HEAD with partNumber=1 gives that part's size and the number of parts",
    "any-key": "keys with //, a leading /, ., .., line breaks and control characters work and are listed as they are",
    "file-and-folder": "keys `a` and `a/b` live side by side",
    "last-modified-is-put-time": "LastModified is when the PUT was done, whatever x-amz-meta-mtime says",
    "precise-last-modified": "LastModified in LIST has fractions of a second",
    "keep-alive": "a connection carries more than one request",
    "stores-headers": "Content-Type, -Encoding, -Disposition, -Language, Cache-Control and x-amz-meta-* come back",
    "tags": "x-amz-tagging on PUT is kept, and GetObjectTagging shows it",
    "storage-class": "x-amz-storage-class: STANDARD_IA on PUT is shown by LIST",
    "sse-c": "an object that was PUT with a customer's key (SSE-C) can be read with that key only",
    "sse": "x-amz-server-side-encryption: AES256 on PUT is confirmed in the answer",
}


class Reply(NamedTuple):
    """An HTTP answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Signer(S3SigV4Auth):  # type: ignore[misc]
    """Signature 4 with the payload hash that it is told."""

    says: str

    def payload(self, request: Any) -> str:
        return self.says


@dataclass(kw_only=True)
class Server:
    """One running S3 server. Kinds differ in how they start and `stop`, and in `capabilities`."""

    name: str
    endpoint_url: str
    capabilities: frozenset[str]
    access_key: str = ACCESS_KEY
    secret_key: str = field(default=SECRET_KEY, repr=False)
    region: str = REGION

    def __post_init__(self) -> None:
        unknown = self.capabilities - CAPABILITIES.keys()
        assert not unknown, f"{self.name} declares unknown capabilities: {sorted(unknown)}"

    def can(self, capability: str) -> bool:
        """Is `capability`, one of CAPABILITIES, declared? A misspelt word is an error."""
        assert capability in CAPABILITIES, capability
        return capability in self.capabilities

    @functools.cached_property
    def s3(self) -> Any:
        """A boto3 client to look at the server with, shared by tests (it is thread-safe)."""
        return self.client()

    def client(self, **config: Any) -> Any:
        """A new boto3 client: path style, signature 4, no checksum that was not asked for, no retries."""
        settings: dict[str, Any] = {
            "s3": {"addressing_style": "path"},
            "signature_version": "s3v4",
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "retries": {"total_max_attempts": 1},
            "connect_timeout": 5,
            "read_timeout": 60,
            "max_pool_connections": 32,
            "proxies": {},
        }
        session = boto3.Session(self.access_key, self.secret_key, region_name=self.region)
        return session.client("s3", endpoint_url=self.endpoint_url, config=Config(**{**settings, **config}))

    def env(self) -> dict[str, str]:
        """Variables with which a subprocess reaches this server and no other place."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"",
                sha256: str = "") -> Reply:  # fmt: skip
        """The answer to one signed request, byte for byte, on a connection of its own.

        Args:
            target: `/bucket/key?query` as it goes over the wire: percent-encoded, the query sorted.
            sha256: what to say for x-amz-content-sha256 (UNSIGNED-PAYLOAD, ...); else the body's digest.
        """
        url = urlsplit(self.endpoint_url)
        request = AWSRequest(method, self.endpoint_url + target, dict(headers or {}), body)
        signer = _Signer(Credentials(self.access_key, self.secret_key), "s3", self.region)
        signer.says = sha256 or hashlib.sha256(body).hexdigest()
        signer.add_auth(request)
        connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, target, body, dict(request.headers.items()))
            answer = connection.getresponse()
            return Reply(answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read())

    def new_bucket(self) -> str:
        """The name of a new, empty bucket that no other test has."""
        name = f"test-{uuid.uuid4().hex[:16]}"
        self.s3.create_bucket(Bucket=name)
        return name

    def put(self, bucket: str, key: str, body: bytes) -> str:
        """Store an object; its ETag, in quotes."""
        return str(self.s3.put_object(Bucket=bucket, Key=key, Body=body)["ETag"])

    def etags(self, bucket: str) -> dict[str, str]:
        """Key -> ETag, in quotes, of all objects."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", ())}

    def contents(self, bucket: str) -> dict[str, bytes]:
        """Key -> content of all objects."""
        return {key: self.s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in self.etags(bucket)}

    def stop(self) -> None:
        """End the server and what it stored; a second call does nothing."""
        raise NotImplementedError


def free_port(count: int = 1) -> int:
    """A port of the loopback that was free just now, and `count - 1` free ones after it."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            if all(_is_free(port + more) for more in range(1, count)):
                return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def wait_for_port(port: int, is_alive: Callable[[], bool], seconds: float = 15.0) -> bool:
    """True once 127.0.0.1:`port` accepts; False when `is_alive()` turns false or the time is up."""
    until = time.monotonic() + seconds
    while is_alive() and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False
