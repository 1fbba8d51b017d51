"""The head of a request as bytes. Pure. No value, wherever it comes from, can end its line."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nbsync.wire.errors import Unsendable

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSAFE = re.compile(r"[^\t -~]")  # RFC 9110, 5.5, without the obsolete text that is not ASCII


def request_head(method: str, url: str, headers: Mapping[str, str], more: str) -> bytes:
    """The request line, the headers and the empty line.

    Args:
        method: of HTTP.
        url: the path and query, or all of it for a proxy.
        headers: checked, as method and URL are: keys, tokens, regions and ETags are other people's.
        more: lines of our own, each with its end.

    Raises:
        Unsendable: one is no ASCII, or would end its line; the error names the header, not its value.
    """
    text = "".join([method, url, *headers.values()])
    plain = text.isascii() and text.isprintable() and " " not in url  # what nearly every head is, looked at in one go
    if not plain or "" in headers or not _NAME.fullmatch("".join(headers)):
        _check(method, url, headers)
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{method} {url} HTTP/1.1\r\n{lines}{more}\r\n".encode()


def _check(method: str, url: str, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if _UNSAFE.search(value) or not _NAME.fullmatch(name):
            raise Unsendable(f"HTTP cannot carry the header {name!r} with this value")
    if " " in url or _UNSAFE.search(url) or not _NAME.fullmatch(method):
        raise Unsendable("HTTP cannot carry this address")
