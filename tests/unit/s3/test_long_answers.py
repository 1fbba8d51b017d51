"""What a service says is looked at in as much time as it is long: these took hours, and no Ctrl-C ended them."""

from __future__ import annotations

import pytest

from nbsync.core.parts import parts_taken
from nbsync.s3.errors import region_told
from nbsync.s3.xml import what_came
from nbsync.wire.errors import error_in_body, service_error

MiB = 1 << 20


@pytest.mark.parametrize(
    "start", [b"", b"<Error>", b"<Code>", b"<Message>", b"<Region>", b"<Endpoint>", b"<html><title>"]
)
@pytest.mark.parametrize("more", [b" ", b"<Code>", b"<Region> ", b"<title ", b"<!---->", b"<!-- ", b"plain HTTP "])
def test_a_long_body_is_looked_at_quickly(start: bytes, more: bytes) -> None:
    body = start + more * (MiB // len(more)) + b"x"
    error = service_error(301, {}, body)
    assert not region_told(error)
    assert error.redirected_to == ""
    assert error_in_body(body) in (None, ("", ""))
    what_came(body)


def test_blanks_around_words_are_cut_off() -> None:
    body = b"\xef\xbb\xbf \n<?xml version='1.0'?>\n<Error><Code> NoSuchKey\n</Code><Message> gone </Message></Error>"
    assert error_in_body(body) == ("NoSuchKey", "gone")


@pytest.mark.parametrize("message", ["max" * MiB, "fewer " * MiB, "9" * 5000, "part number " + "9" * 5000])
def test_a_long_message_is_looked_at_quickly(message: str) -> None:
    assert parts_taken("", message, 10) in (0, 5)


def test_a_long_message_is_cut() -> None:
    body = b"<Error><Code>EntityTooLarge</Code><Message>" + b"9" * MiB + b"</Message></Error>"
    error = service_error(200, {}, body)
    assert (error.status, len(error.message)) == (400, 1000)
