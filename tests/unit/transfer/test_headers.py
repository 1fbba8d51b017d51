"""Times in metadata, and the headers of uploads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.option_values import typed_pair
from nbsync.core.options import build_options
from nbsync.errors import UsageError
from nbsync.transfer.headers import (
    MTIME,
    common_put_headers,
    format_mtime,
    guess_content_type,
    is_made_of,
    parse_mtime,
    put_headers,
)


@given(st.integers(-(10**11) * 10**9 + 1, 10**11 * 10**9 - 1))
def test_mtime_round_trip(mtime_ns: int) -> None:
    assert parse_mtime(format_mtime(mtime_ns)) == mtime_ns


@pytest.mark.parametrize(("text", "mtime_ns"), [
    ("1672628645.123456789", 1_672_628_645_123_456_789),
    ("1672628645.1", 1_672_628_645_100_000_000),
    ("1672628645", 1_672_628_645_000_000_000),
    ("1672628645.1234567891", 1_672_628_645_123_456_789),
    ("-1.5", -1_500_000_000),
    (" 7 ", 7_000_000_000),
    *[(text, None) for text in ("", "yesterday", "1e9", "1,5", "0x10", "1.", ".5", "1" * 12, "nan", "1 2", "\u0661")],
])  # fmt: skip
def test_parse_mtime(text: str, mtime_ns: int | None) -> None:
    assert parse_mtime(text) == mtime_ns


def test_format_mtime() -> None:
    assert [format_mtime(ns) for ns in (0, 1, -1, -1_500_000_000, 1_672_628_645_000_000_001)] == [
        "0.000000000", "0.000000001", "-0.000000001", "-1.500000000", "1672628645.000000001"]  # fmt: skip


@pytest.mark.parametrize(("told", "ours"), [
    ({"content-length": "7", MTIME: "1.500000000"}, True), ({MTIME: "1.5"}, True), ({}, None),
    ({"content-length": "7", MTIME: "1"}, None), ({MTIME: "noon"}, None), ({"content-length": "7"}, None),
    ({"content-length": "8", MTIME: "1.5"}, False), ({"content-length": "7", MTIME: "2.5"}, False),
])  # fmt: skip
def test_whose_object_it_is(told: dict[str, str], ours: bool | None) -> None:
    """Servers may forget the time, or round it."""
    assert is_made_of(told, 7, 1_500_000_000) is ours


def test_common_headers() -> None:
    options = build_options("push", {
        "storage_class": "STANDARD_IA", "sse": "aws:kms", "sse_kms_key_id": "k", "acl": "private",
        "cache_control": "no-cache", "expires": "0", "metadata": {"Who": "me"}, "tag": ["a=b c", "d=e&f"],
    })  # fmt: skip
    assert common_put_headers(options) == {
        "x-amz-storage-class": "STANDARD_IA", "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "k", "x-amz-acl": "private", "cache-control": "no-cache",
        "expires": "Thu, 01 Jan 1970 00:00:00 GMT", "x-amz-meta-who": "me", "x-amz-tagging": "a=b%20c&d=e%26f",
    }  # fmt: skip


@pytest.mark.parametrize(("given", "header"), [
    ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT"), ("1792567680", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ("2026-10-21T07:28:00Z", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ("2026-10-21 09:28+02:00", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ("October 21, 2026 07:28 UTC", "Wed, 21 Oct 2026 07:28:00 GMT"),
])  # fmt: skip
def test_dates_that_aws_cli_takes(given: str, header: str) -> None:
    assert common_put_headers(build_options("push", {"expires": given}))["expires"] == header


@pytest.mark.parametrize("given", ["tomorrow", "2026-13-45", "1e400", "inf", "nan", "never\u2713"])
def test_what_is_no_date(given: str) -> None:
    with pytest.raises(UsageError, match="is no date"):
        common_put_headers(build_options("push", {"expires": given}))


@pytest.mark.parametrize(("typed", "key", "value"), [
    ("a=b=c", "a", "b=c"), (r"a\=b=c", "a=b", "c"), (r"a\b=c", r"a\b", "c"), (r"a\\=c", "a\\", "c"), ("a=", "a", ""),
    (r"\==\=", "=", r"\="),
])  # fmt: skip
def test_an_equals_sign_in_a_tags_key(typed: str, key: str, value: str) -> None:
    options = build_options("push", {"tag": [typed]})
    assert options.tag == ((key, value),)
    assert (
        build_options("push", {"tag": [typed_pair(key, value)]})
        == options
        == build_options("push", {"tag": {key: value}})
    )


@pytest.mark.parametrize("name", ["mtime", "MTime", "md5chksum"])
def test_metadata_that_later_runs_believe_is_not_the_users(name: str) -> None:
    with pytest.raises(UsageError, match="is taken"):
        common_put_headers(build_options("push", {"metadata": {name: "1"}}))


@pytest.mark.parametrize("given", [{"content_type": "text/\xfc"},
                                   {"metadata": {"a b": "x"}}, {"metadata": {"a:b": "x"}}, {"metadata": {"a": "\xfc"}},
                                   {"cache_control": "\u2713"}, {"content_language": "\U0001f600"}])  # fmt: skip
def test_values_that_no_header_can_carry(given: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        common_put_headers(build_options("push", given))


def test_headers_of_one_upload() -> None:
    plain, named = build_options("push", {}), build_options("push", {"content_type": "x/y"})
    assert put_headers({"a": "b"}, plain, "d/f.json", 1) == {
        "a": "b", "content-type": "application/json", MTIME: "0.000000001"}  # fmt: skip
    assert put_headers({MTIME: "the user's"}, named, "f.json", 0) == {"content-type": "x/y", MTIME: "0.000000000"}


@pytest.mark.parametrize(("path", "kind"), [
    ("a.csv.gz", "application/gzip"), ("a.bz2", "application/x-bzip2"), ("a.xz", "application/x-xz"),
    ("a.tar.Z", "application/octet-stream"), ("plain", "application/octet-stream"),
    ("d.png/f", "application/octet-stream"),
    ("a.HTML", "text/html")])  # fmt: skip
def test_guess(path: str, kind: str) -> None:
    assert guess_content_type(path) == kind
