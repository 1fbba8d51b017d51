"""The XML of a service's answers, read as its servers write it; and words for what is none. Pure."""

from __future__ import annotations

import html
import re
from xml.etree import ElementTree

from nbsync.errors import one_line

_FORBIDDEN = re.compile(  # by XML 1.0, raw or as a reference; in keys, some servers write them all the same
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|&#(?:0*(?:[0-8]|1[124-9]|2[0-9]|3[01])|[xX]0*(?:[0-8bBcCeEfF]|1[0-9a-fA-F]));"
)
_PRIVATE = range(0xE000, 0xF8E0, 0x20)  # where 32 code points may stand for control characters
_HTML = re.compile(rb"\s*(?:<!--(?:[^-]|-(?!->))*-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(rb"<title[^<>]*>\s*([^<]{1,60})", re.IGNORECASE)
_MOST_BYTES = 16 * 1024  # of a page, before it says that it is one


class Unreadable(ValueError):
    """A body is no XML; the words say what it is."""


def read_xml(body: bytes) -> ElementTree.Element:
    """The root of a document.

    Control characters, which XML 1.0 forbids, are kept: a key may have them.

    Raises:
        Unreadable: it is none.
    """
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        root = _with_controls(body)
        if root is None:
            raise Unreadable(what_came(body) or f"XML that is damaged ({error})") from None
        return root


def what_came(body: bytes) -> str:
    """What a body is instead of a service's XML, in words; empty where that cannot be told."""
    if not body.strip():
        return "an empty body"
    if _HTML.match(body[:_MOST_BYTES]):
        title = _TITLE.search(body)
        return f"an HTML page{_quoted(title[1]) if title else ''}"
    return "" if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") else "something that is no XML"


def _quoted(title: bytes) -> str:
    return f" ({one_line(html.unescape(title.decode('utf-8', 'replace')).strip())!r})"


def _with_controls(body: bytes) -> ElementTree.Element | None:
    """The root of a document with control characters; None if they are not what is wrong with it."""
    if not _FORBIDDEN.search(body):
        return None
    first = next((first for first in _PRIVATE if not any(_utf8(first + code) in body for code in range(0x20))), None)
    if first is None:
        return None
    try:
        root = ElementTree.fromstring(_FORBIDDEN.sub(lambda found: _utf8(first + _code(found[0])), body))
    except ElementTree.ParseError:
        return None
    controls = {first + code: code for code in range(0x20)}
    for node in root.iter():
        node.text = node.text.translate(controls) if node.text else node.text
    return root


def _code(written: bytes) -> int:
    """The code point of a control character, raw or as a reference."""
    if len(written) == 1:
        return written[0]
    digits = written[2:-1].decode("ascii")
    return int(digits[1:], 16) if digits[0] in "xX" else int(digits)


def _utf8(code: int) -> bytes:
    return chr(code).encode()
