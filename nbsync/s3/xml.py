"""The XML of a service's answers, read as its servers write it; and words for what is none. Pure.

A document with a type declaration (DTD) is refused before anything in it can expand: S3 sends none.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_plus
from xml.etree import ElementTree
from xml.parsers import expat

from nbsync.errors import one_line

_FORBIDDEN = re.compile(  # by XML 1.0, raw or as a reference; in keys, some servers write them all the same
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|&#(?:0*(?:[0-8]|1[124-9]|2[0-9]|3[01])|[xX]0*(?:[0-8bBcCeEfF]|1[0-9a-fA-F]));"
)
_PRIVATE = range(0xE000, 0xF8E0, 0x20)  # where 32 code points may stand for control characters
_HTML = re.compile(rb"\s*(?:<!--(?:[^-]|-(?!->))*-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(rb"<title[^<>]*>\s*([^<]{1,60})", re.IGNORECASE)
_MOST_BYTES = 16 * 1024  # of a page, before it says that it is one


Fields = Mapping[str, ElementTree.Element]


class Document(NamedTuple):
    """An answer. `space` is the XML namespace that goes before every name."""

    root: ElementTree.Element
    space: str
    encoded: bool  # keys are URL-encoded

    @property
    def name(self) -> str:
        """Of the root."""
        return self.root.tag[len(self.space) :]

    def text(self, name: str) -> str:
        """The text of a child of the root; empty where there is none."""
        return self.root.findtext(f"{self.space}{name}", "")

    def first_text(self, name: str) -> str:
        """The text of the first element of that name, at any depth; empty where there is none."""
        return next((node.text or "" for node in self.root.iter(f"{self.space}{name}")), "")

    def truncated(self) -> bool:
        """Do more pages follow?"""
        return self.text("IsTruncated").strip().lower() == "true"

    def children(self, name: str) -> list[Fields]:
        """The fields of each child of the root that has this name."""
        return [self.fields(node) for node in self.root.findall(f"{self.space}{name}")]

    def fields(self, node: ElementTree.Element) -> Fields:
        """The children of a node by name."""
        cut = len(self.space)
        return {child.tag[cut:]: child for child in node}

    def key(self, text: str) -> str:
        """A key as it is."""
        if not (self.encoded and ("%" in text or "+" in text)):
            return text
        return unquote_plus(text, errors="surrogateescape")  # what is not UTF-8 must not become another key


def field(fields: Fields, name: str) -> str:
    """The text of a field; empty where there is none."""
    node = fields.get(name)
    return (node.text or "") if node is not None else ""


class Unreadable(ValueError):
    """A body is no XML; the words say what it is."""


def read_xml(body: bytes) -> Document:
    """The document in the body of an answer.

    Control characters, which XML 1.0 forbids, are kept: a key may have them.

    Raises:
        Unreadable: it is none.
    """
    try:
        root = _parsed(body)
    except _HasType:
        raise Unreadable(what_came(body) or "XML with a document type of its own") from None
    except ElementTree.ParseError as error:
        kept = _with_controls(body)
        if kept is None:
            raise Unreadable(what_came(body) or f"XML that is damaged ({error})") from None
        root = kept
    space = root.tag[: root.tag.index("}") + 1] if root.tag.startswith("{") else ""
    return Document(root, space, root.findtext(f"{space}EncodingType", "").lower() == "url")


def _parsed(body: bytes) -> ElementTree.Element:
    """The root, if there is no DTD. expat looks for one first, in an eighth of the time that the tree takes.

    Raises:
        ElementTree.ParseError: no well-formed XML. _HasType: it has a DTD.
    """
    looks = expat.ParserCreate()
    looks.StartDoctypeDeclHandler = _refuse
    try:
        looks.Parse(body, True)
    except expat.ExpatError:
        pass  # ElementTree says what is wrong, in its own error
    return ElementTree.fromstring(body)


def _refuse(*_: object) -> None:
    raise _HasType


class _HasType(Exception):
    """A document has a DTD."""


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
        root = _parsed(_FORBIDDEN.sub(lambda found: _utf8(first + _code(found[0])), body))
    except (ElementTree.ParseError, _HasType):
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
