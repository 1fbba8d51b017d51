"""REMOTE as people type it, and the keys and paths below it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.location import Location, parse_location
from nbsync.errors import ListingError, UsageError

ARN = "arn:aws:s3:us-west-2:123456789012:accesspoint"


@pytest.mark.parametrize(
    ("text", "bucket", "prefix"),
    [
        ("s3://bucket/prefix", "bucket", "prefix/"),
        ("s3://bucket/prefix/", "bucket", "prefix/"),
        ("bucket/prefix", "bucket", "prefix/"),
        ("bucket/a/b/", "bucket", "a/b/"),
        ("bucket", "bucket", ""),
        ("bucket/", "bucket", ""),
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("S3://bucket/x", "bucket", "x/"),
        ("bucket//x", "bucket", "/x/"),
        ("bucket/a//b", "bucket", "a//b/"),
        ("bucket/a//", "bucket", "a//"),
        ("bucket/a b+%2F#?é\n", "bucket", "a b+%2F#?é\n/"),
        ("bucket/a/../b", "bucket", "a/../b/"),
        ("bucket/a\\b", "bucket", "a\\b/"),
        ("bucket/s3://x", "bucket", "s3://x/"),
        ("Old_Bucket.Name", "Old_Bucket.Name", ""),
        ("b" * 255, "b" * 255, ""),
        ("x-s3/a", "x-s3", "a/"),
        (f"{ARN}/myap", f"{ARN}/myap", ""),
        (f"{ARN}/myap/", f"{ARN}/myap", ""),
        (f"{ARN}/myap/a/b", f"{ARN}/myap", "a/b/"),
        (f"{ARN}:myap/a", f"{ARN}/myap", "a/"),
        (f"s3://{ARN}/myap/a//b/", f"{ARN}/myap", "a//b/"),
        (
            "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/x",
            "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/x",
            "",
        ),
    ],
)
def test_parse(text: str, bucket: str, prefix: str) -> None:
    assert parse_location(text) == Location(bucket, prefix)
    assert parse_location(parse_location(text).uri) == Location(bucket, prefix)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "REMOTE is empty"),
        ("  ", "REMOTE is empty"),
        ("s3://", "REMOTE has no bucket"),
        ("s3:///x", "REMOTE has no bucket"),
        ("s3://./x", "cannot be a bucket's name"),
        ("s3://../x", "cannot be a bucket's name"),
        ("buck et/x", "cannot be a bucket's name"),
        ("buck\net", "cannot be a bucket's name"),
        ("bucket\n", "cannot be a bucket's name"),
        ("bücket", "cannot be a bucket's name"),
        ("b" * 256, "cannot be a bucket's name"),
        ("s3:/bucket/x", "Write s3://bucket/prefix"),
        ("-/x\ud800", "not valid Unicode"),
        ("gs://bucket/x", "begins with gs://"),
        ("http://localhost:9000/bucket", "--endpoint-url"),
        ("https://bucket.s3.amazonaws.com/x", "--endpoint-url"),
        ("file:///x", "swapped"),
        ("file:x", "swapped"),
        ("./x", "swapped"),
        ("../x", "swapped"),
        (".", "swapped"),
        ("..", "swapped"),
        ("/x", "swapped"),
        ("~/x", "swapped"),
        ("~", "swapped"),
        ("~me/x", "swapped"),
        ("C:\\x", "swapped"),
        ("c:/x", "swapped"),
        ("data\\x", "swapped"),
        ("bucket--usw2-az1--x-s3/p", "directory buckets"),
        ("s3://bucket--usw2-az1--x-s3", "directory buckets"),
        ("ap--usw2-az1--xa-s3", "access points of directory buckets"),
        ("my-ap-abc--op-s3", "Outposts"),
        ("my-olap-abc--ol-s3", "Object Lambda"),
        ("arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-1/accesspoint/x/p", "Outposts"),
        ("s3://arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/x", "Object Lambda"),
        ("arn:aws:s3express:us-west-2:123456789012:bucket/b--usw2-az1--x-s3", "directory buckets"),
        ("arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", "multi-Region"),
        ("arn:aws:s3:::bucket/x", "ARN of a bucket"),
        (f"{ARN}/", "not of an access point"),
        (f"{ARN}/my.ap", "not of an access point"),
        ("arn:aws:sns:us-west-2:123456789012:topic", "not of an access point"),
        ("arn:", "not of an access point"),
        ("bucket/.nbsync", ".nbsync"),
        ("bucket/a/.NBsync/b", ".nbsync"),
    ],
)
def test_what_is_no_remote(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_location(text)
    line = str(caught.value)
    assert words in line
    assert line.isprintable()


@pytest.mark.parametrize(
    "text",
    ["https://me:SECRET@host/b", "https://b.s3.amazonaws.com/k?X-Amz-Signature=SECRET", "s3://ID:SECRET@bucket/x"],
)
def test_no_credential_is_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_location(text)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name", "single_key", "parent"),
    [
        ("bucket", "bucket", "", ""),
        ("bucket/a", "a", "a", ""),
        ("bucket/a/b.txt", "b.txt", "a/b.txt", "a/"),
        ("bucket/a//b", "b", "a//b", "a//"),
        ("bucket//b", "b", "/b", "/"),
        ("bucket/a b", "a b", "a b", ""),
        ("bucket/-n", "-n", "-n", ""),
        (f"{ARN}/myap", "myap", "", ""),
        (f"{ARN}:myap", "myap", "", ""),
        (f"{ARN}:myap/a/b", "b", "a/b", "a/"),
    ],
)
def test_names_and_parents(text: str, name: str, single_key: str, parent: str) -> None:
    location = parse_location(text)
    assert location.name == name
    assert location.single_key == single_key
    assert location.parent() == Location(location.bucket, parent)


@pytest.mark.parametrize(
    "last", ["..", ".", "", "a/", "x\n", "x\x1b[2J", "\x85", "a\\b", "..\\x", "C:", "C:x", "s" * 256, "a\0"]
)
def test_a_last_name_that_is_no_directory_asks_for_local(last: str) -> None:
    location = parse_location(f"bucket/p/{last}/")
    with pytest.raises(UsageError, match="Name LOCAL as well") as caught:
        _ = location.name
    assert str(caught.value).isprintable()


def test_a_bucket_named_like_our_room_asks_for_local() -> None:
    with pytest.raises(UsageError, match="Name LOCAL as well"):
        _ = parse_location(".nbsync").name


def test_a_key_from_elsewhere_is_a_listing_that_cannot_be_believed() -> None:
    with pytest.raises(ListingError, match=r"data2/x"):
        Location("bucket", "data/").path("data2/x")


PREFIXES = st.text(max_size=20).filter(lambda text: ".nbsync" not in text.casefold())


@given(PREFIXES, st.text())
def test_key_and_path_are_inverse(prefix: str, path: str) -> None:
    location = parse_location(f"s3://bucket/{prefix}")
    assert location.path(location.key(path)) == path
    assert location.key(location.path(location.prefix + path)) == location.prefix + path


@given(PREFIXES)
def test_a_trailing_slash_changes_nothing(prefix: str) -> None:
    location = parse_location(f"bucket/{prefix}")
    assert parse_location(location.uri) == location
    assert location.prefix in (prefix, f"{prefix}/")
    assert location.parent().key("") + location.single_key.rpartition("/")[2] == location.single_key
