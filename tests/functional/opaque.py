"""moto with ETags that are no digests: as under SSE-KMS, under a customer's key (SSE-C), or simply made up.

moto knows neither; requests and answers are changed on their way.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import pytest

from nbsync.wire.client import Client
from nbsync.wire.errors import ServiceError
from nbsync.wire.response_reader import Response

KMS = {"x-amz-server-side-encryption": "aws:kms"}
KEY_MD5 = "x-amz-server-side-encryption-customer-key-md5"
ALGORITHM = "x-amz-server-side-encryption-customer-algorithm"
_IN_XML = re.compile(rb"(&quot;|\")([0-9a-f]{32}(?:-\d+)?)(&quot;|\")")


class OpaqueEtags:
    """Every object's ETag is one that tells nothing of it.

    Args:
        headers: of each answer about an object; say how it is encrypted.
    """

    def __init__(self, patch: pytest.MonkeyPatch, headers: Mapping[str, str] | None = None) -> None:
        self._headers = dict(headers or {})
        self._real: dict[str, str] = {}
        real, outer = Client.request, self
        patch.setattr(Client, "request", lambda client, *words, **more: outer.answer(client, real, *words, **more))

    def answer(self, client: Client, send: Any, method: str, key: str = "", **more: Any) -> Response:
        """The answer to a request, as such a server gives it."""
        headers = dict(more.pop("headers", None) or {})
        if "if-match" in headers:
            headers["if-match"] = self._real.get(headers["if-match"].strip('"'), headers["if-match"])
        answer: Response = send(client, method, key, headers=headers, **more)
        if any(name == "partNumber" for name, _ in more.get("query", ())):
            return answer
        self.stored(key, answer)
        told = {**answer.headers, **(self.said_of(key) if key else {})}
        if "etag" in told and self.is_opaque(told["etag"].strip('"')):
            told["etag"] = f'"{self.etag(told["etag"].strip(chr(34)))}"'
        body = answer.body
        if b"<ETag>" in body:
            body = _IN_XML.sub(self._replaced, body)
        return answer._replace(headers=told, body=body)

    def said_of(self, key: str) -> dict[str, str]:
        """Headers of each answer about the object of this key."""
        return self._headers

    def stored(self, key: str, answer: Response) -> None:
        """An answer, with real ETags, to a request for this key."""

    def is_opaque(self, etag: str) -> bool:
        """Is it to be hidden?"""
        return True

    def etag(self, real: str) -> str:
        """What is shown instead."""
        digest, dash, count = real.partition("-")
        shown = hashlib.md5(f"opaque {digest}".encode(), usedforsecurity=False).hexdigest() + dash + count
        self._real[shown] = real
        return shown

    def _replaced(self, found: re.Match[bytes]) -> bytes:
        real = found[2].decode()
        return found[1] + (self.etag(real) if self.is_opaque(real) else real).encode() + found[3]


class CustomerKeys(OpaqueEtags):
    """What is stored with a key can be read with that key only, and what is not, only without."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        super().__init__(patch)
        self._keys: dict[str, str] = {}
        self._etags: set[str] = set()
        self.refused = 0

    def answer(self, client: Client, send: Any, method: str, key: str = "", **more: Any) -> Response:
        """The answer, or S3's refusal."""
        headers = more.get("headers") or {}
        given = headers.get(KEY_MD5, "")
        assert bool(given) == (ALGORITHM in headers) == (ALGORITHM.replace("algorithm", "key") in headers)
        assert not given or (key and method != "DELETE"), "a key was sent where S3 takes none"
        names = {name for name, _ in more.get("query", ())}
        if key and method in ("PUT", "POST") and not names & {"partNumber", "uploadId"}:
            self._keys[key] = given
        elif key and method != "DELETE" and given != self._keys.get(key, ""):
            self._refuse(method, key, given)
        return super().answer(client, send, method, key, **more)

    def _refuse(self, method: str, key: str, given: str) -> None:
        self.refused += 1
        if given and self._keys.get(key):
            raise ServiceError(403, "Forbidden" if method == "HEAD" else "AccessDenied")
        said = "not applicable" if given else "The object was stored using a form of Server Side Encryption."
        raise ServiceError(400, *(("BadRequest",) if method == "HEAD" else ("InvalidRequest", said)))

    def said_of(self, key: str) -> dict[str, str]:
        given = self._keys.get(key)
        return {ALGORITHM: "AES256", KEY_MD5: given} if given else {}

    def stored(self, key: str, answer: Response) -> None:
        if self._keys.get(key):
            found = _IN_XML.search(answer.body) if b"<ETag>" in answer.body else None
            self._etags.add(found[2].decode() if found else answer.headers.get("etag", "").strip('"'))

    def is_opaque(self, etag: str) -> bool:
        return etag in self._etags
