"""What servers write in the place of S3's XML: control characters, times in other forms, and what is no listing."""

from __future__ import annotations

import pytest

from nbsync.errors import ListingError
from nbsync.s3.listing import parse_page
from nbsync.s3.listing_xml import parse_time_ns
from nbsync.s3.xml import Unreadable, read_xml

SECOND = 1_704_067_199  # 2023-12-31T23:59:59Z
ROW = "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>e</ETag><Size>1</Size></Contents>"


def page(*rows: str) -> bytes:
    return f"<ListBucketResult>{''.join(rows)}</ListBucketResult>".encode()


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2023-12-31T23:59:59Z", 0), ("2023-12-31T23:59:59.123Z", 123_000_000), ("2023-12-31T23:59:59z", 0),
        ("2023-12-31T23:59:59.123z", 123_000_000), ("2023-12-31T23:59:59", 0), ("2023-12-31T23:59:59.5", 500_000_000),
        ("2023-12-31T23:59:59+0000", 0), ("2023-12-31T23:59:59.25+00:00", 250_000_000),
        ("2023-12-31T23:59:59.123456789123-00:00", 123_456_789), ("2023-12-31T23:59:59,5Z", 500_000_000),
        ("2024-01-01T01:59:59+02:00", 0), ("2023-12-31T18:29:59.5-0530", 500_000_000),
        ("2023-12-31 23:59:59", 0), ("2023-12-31 23:59:59 UTC", 0),
        ("Sun, 31 Dec 2023 23:59:59 GMT", 0), ("Sun, 31 Dec 2023 23:59:59 +0000", 0), ("31 Dec 2023 23:59:59", 0),
        ("Mon, 01 Jan 2024 00:59:59 +0100", 0), ("Sunday, 31-Dec-2023 23:59:59 GMT", 0),
    ],
)  # fmt: skip
def test_a_time_in_any_form_is_read(text: str, ns: int) -> None:
    assert parse_time_ns(text) == SECOND * 10**9 + ns
    assert parse_page(page(ROW.format("k", text)), "", 0).entries[0].last_modified_ns == SECOND * 10**9 + ns


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2023-12-31", "2023-12-31T23:59:59Q", "2023-12-31T23:59:59.Z", "2023-12-31T23:59:59+1",
     "Sun, 31 Feb 2023 23:59:59 GMT", "Sun, 31 Dec 2023 25:59:59 GMT", "2023-12-31T23:59:59.²"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ListingError, match="without key, size or time"):
        parse_page(page(ROW.format("k", text)), "", 0)


@pytest.mark.parametrize("code", [*range(1, 9), 11, 12, *range(14, 32)])
def test_control_characters_in_a_key_are_kept(code: int) -> None:
    key, row = f"a{chr(code)}b", ROW.format("{}", "2023-12-31T23:59:59Z")
    for written in (chr(code), f"&#{code};", f"&#x{code:x};", f"&#X0{code:X};"):
        body = page(row.format("\ue000"), row.format(f"a{written}b"), row.format("&#x0041;&#9;"))
        assert [entry.key for entry in parse_page(body, "", 0).entries] == ["\ue000", key, "A\t"]


def test_a_control_character_that_is_not_all_that_is_wrong() -> None:
    with pytest.raises(Unreadable, match="damaged"):
        read_xml(b"<a>\x01</b>")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty body"), (b" \r\n", "an empty body"), (b"OK", "something that is no XML"), (b"{}", "no XML"),
        (b"<!DOCTYPE html><html><head><title> Sign&nbsp;in </title>", r"an HTML page \('Sign.*in'\)"),
        (b"<html><body>502<br>", "an HTML page"), (b"<html><body>well-formed</body></html>", "an HTML page"),
        (b"<ListBucketResult>", "XML that is damaged"), (b"<Other/>", r"something else \(Other\)"),
    ],
)  # fmt: skip
def test_what_is_no_listing_is_named(body: bytes, words: str) -> None:
    with pytest.raises(ListingError, match=words):
        parse_page(body, "", 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_before_it_expands(encoding: str) -> None:
    bomb = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE a [<!ENTITY b "{"x" * 99}">]><a>&b;</a>'
    with pytest.raises(Unreadable, match=r"document type of its own|no XML"):
        read_xml(bomb.encode(encoding))
    with pytest.raises(ListingError):
        parse_page(bomb.encode(encoding), "", 0)
