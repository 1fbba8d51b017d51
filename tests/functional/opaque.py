"""A service whose ETags are no digests: as under SSE-KMS, under a customer's key (SSE-C), or simply made up."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from tests.servers.memory import Answer, Request, Send

KMS = {"x-amz-server-side-encryption": "aws:kms"}
_IN_XML = re.compile(rb"(&quot;|\")([0-9a-f]{32}(?:-\d+)?)(&quot;|\")")


class OpaqueEtags:
    """A hook of the in-memory S3: every object's ETag is one that tells nothing of it.

    Args:
        headers: of each answer about an object; say how it is encrypted.
    """

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self._headers = dict(headers or {})
        self._real: dict[str, str] = {}

    def __call__(self, request: Request, send: Send) -> Answer:
        headers = dict(request.headers)
        if "if-match" in headers:
            headers["if-match"] = self._real.get(headers["if-match"].strip('"'), headers["if-match"])
        answer = send(request._replace(headers=headers))
        if "partNumber" in request.query:
            return answer
        told = {**answer.headers, **(self._headers if request.key else {})}
        if "etag" in told:
            told["etag"] = f'"{self.etag(told["etag"].strip(chr(34)))}"'
        body = answer.body
        if b"<ETag>" in body:
            body = _IN_XML.sub(lambda found: found[1] + self.etag(found[2].decode()).encode() + found[3], body)
        return answer._replace(headers=told, body=body)

    def etag(self, real: str) -> str:
        """What is shown instead."""
        digest, dash, count = real.partition("-")
        shown = hashlib.md5(f"opaque {digest}".encode(), usedforsecurity=False).hexdigest() + dash + count
        self._real[shown] = real
        return shown
