"""SSE-C: the customer's key from a file, and a client that sends it wherever S3 wants it. Any thread.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from nbsync.core.hashing import md5
from nbsync.errors import UsageError
from nbsync.wire.client import Client, Target
from nbsync.wire.errors import ServiceError
from nbsync.wire.response_reader import Response

KEY_BYTES = 32
_MOST_BYTES = 4096  # of a key file
_PREFIX = "x-amz-server-side-encryption-customer-"
NEEDED, PERHAPS_NEEDED, REFUSED = "CustomerKeyNeeded", "PerhapsCustomerKeyNeeded", "CustomerKeyRefused"  # our codes


class CustomerKey:
    """The key and the headers that carry it. Prints nothing of itself."""

    __slots__ = ("headers",)

    def __init__(self, key: bytes) -> None:
        self.headers: Mapping[str, str] = {
            f"{_PREFIX}algorithm": "AES256",
            f"{_PREFIX}key": base64.b64encode(key).decode(),
            f"{_PREFIX}key-md5": base64.b64encode(md5(key).digest()).decode(),
        }

    def __repr__(self) -> str:
        return "CustomerKey(hidden)"


def read_customer_key(path: str) -> CustomerKey | None:
    """The key in the file at `path`; None for no path.

    Raises:
        UsageError: it cannot be read, or holds no key. Nothing of what it holds is repeated.
    """
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES)
    except OSError as error:
        raise UsageError(f"--sse-c-key-file {path}: {error.strerror}") from None
    key = _key(data)
    if key is None:
        raise UsageError(
            f"--sse-c-key-file {path} holds no key", "It is 32 bytes, or the base64 (44 characters) or hex (64) of them"
        )
    return CustomerKey(key)


def _key(data: bytes) -> bytes | None:
    if len(data) == KEY_BYTES:
        return data
    line = data.removesuffix(b"\n").removesuffix(b"\r")
    if len(line) == KEY_BYTES:
        return line
    if re.fullmatch(rb"[0-9A-Fa-f]{64}", line):
        return bytes.fromhex(line.decode())
    try:
        key = base64.b64decode(line, validate=True)
    except binascii.Error:
        return None
    return key if len(key) == KEY_BYTES else None


def check_channel(target: Target) -> None:
    """Return if a key may be sent to `target`: by TLS, or within this machine.

    Raises:
        UsageError: it may not.
    """
    if target.scheme != "https" and not _is_loopback(target.host):
        raise UsageError(
            f"--sse-c-key-file would send the key to {target.host} unencrypted", "Use an https:// endpoint"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class KeyedClient(Client):
    """A Client that sends the key with every request for an object but DELETE.

    S3 answers 400 to a key that the object does not need, and to none where one is needed. So what
    reads an object is asked once more the other way, and what was right last is tried first.
    """

    def __init__(self, key: CustomerKey, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self._key = key
        self._with_key_first = True

    def request(self, method: str, key: str = "", *, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
        """As Client.request."""
        headers = headers or {}
        if not key or method == "DELETE":
            return super().request(method, key, headers=headers, **more)
        if method in ("GET", "HEAD"):
            return self._read(method, key, headers, more)
        return super().request(method, key, headers={**headers, **self._key.headers}, **more)

    def _read(self, method: str, key: str, headers: Mapping[str, str], more: dict[str, Any]) -> Response:
        with_key = self._with_key_first
        ways = {True: {**headers, **self._key.headers}, False: headers}
        try:
            return super().request(method, key, headers=ways[with_key], **more)
        except ServiceError as error:
            if error.status != 400:
                raise _refused(error) if with_key and error.status == 403 else error from None
            first = error
        try:
            answer = super().request(method, key, headers=ways[not with_key], **more)
        except ServiceError as error:
            keyless = error if with_key else first
            raise _refused(error) if error.status == 403 or _about_key(keyless) else error from None
        self._with_key_first = not with_key
        return answer


def _refused(error: ServiceError) -> ServiceError:
    """The error, named as one that the key may be the reason of."""
    code = REFUSED if error.code in ("AccessDenied", "Forbidden") or error.status == 400 else error.code
    return ServiceError(error.status, code, error.message, error.headers, error.body)


class KeylessClient(Client):
    """A Client that names the error of an object which cannot be read without its customer's key."""

    def request(self, method: str, key: str = "", **more: Any) -> Response:
        """As Client.request."""
        try:
            return super().request(method, key, **more)
        except ServiceError as error:
            code = _about_key(error) if key and method in ("GET", "HEAD") and error.status == 400 else ""
            if not code:
                raise
            raise ServiceError(error.status, code, error.message, error.headers, error.body) from None


def _about_key(error: ServiceError) -> str:
    """Our code for it if a key would help; a HEAD has no words to be sure by."""
    if "server side encryption" in error.message.lower():
        return NEEDED
    return PERHAPS_NEEDED if error.code == "BadRequest" and not error.message else ""
