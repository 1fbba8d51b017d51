"""What answers tell of requests that went wrong."""

from __future__ import annotations

import pytest

from nbsync.wire.errors import service_error
from nbsync.wire.misdirected import coding, is_tls, redirected_to


@pytest.mark.parametrize(
    ("location", "body", "address"),
    [
        ("https://s3.test/b", b"", "https://s3.test/b"),
        ("https://user:secret@s3.test:8443/b?token=secret#part", b"", "https://s3.test:8443/b"),
        ("http://[2001:db8::1]:9000/", b"", "http://[2001:db8::1]:9000/"),
        ("/login", b"", "/login"),
        ("//s3.test/x", b"", "s3.test/x"),
        ("https://s3.test:port/", b"", ""),
        ("https://s3.test/\x1b[31m", b"", "https://s3.test/\\x1b[31m"),
        ("", b"<Error><Endpoint> b.s3.eu-west-1.amazonaws.com </Endpoint></Error>", "b.s3.eu-west-1.amazonaws.com"),
        ("", b"<Error><Endpoint>\x1b[31m</Endpoint></Error>", ""),
        ("", b"", ""),
    ],
)
def test_redirected_to(location: str, body: bytes, address: str) -> None:
    assert redirected_to({"location": location} if location else {}, body) == address
    assert service_error(301, {"location": location}, body).redirected_to == address
    assert service_error(304, {"location": location}, body).redirected_to == ""
    assert service_error(403, {"location": location}, body).redirected_to == ""


def test_what_s3_says_itself_goes_first() -> None:
    body = b"<Error><Code>X</Code><Message>HTTP request to an HTTPS server</Message></Error>"
    assert service_error(400, {}, body).message == "HTTP request to an HTTPS server"


@pytest.mark.parametrize(
    ("value", "found"),
    [("gzip", "gzip"), ("X-GZIP", "gzip"), ("aws-chunked, br", "br"), ("identity", ""), ("utf-8", ""), ("", "")],
)
def test_coding(value: str, found: str) -> None:
    assert coding({"content-encoding": value}) == found


def test_first_bytes_of_tls() -> None:
    assert is_tls(b"\x15\x03\x03\x00\x02")
    assert not is_tls(b"HTTP/1.1 200 OK")
