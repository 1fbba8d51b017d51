"""Signatures against AWS's published examples and against botocore."""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import unquote

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.wire.sigv4 import EMPTY_SHA256, Credentials, Signer, canonical_query, quote_key

# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Examples"
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
DATE = "20130524T000000Z"
HOST = "examplebucket.s3.amazonaws.com"

PUBLISHED = [
    ("GET", "test.txt", [], {"range": "bytes=0-9"}, b"",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    ("PUT", "test$file.text", [],
     {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}, b"Welcome to Amazon S3.",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    ("GET", "", [("lifecycle", "")], {}, b"",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ("GET", "", [("prefix", "J"), ("max-keys", "2")], {}, b"",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "key", "query", "extra", "body", "signature"), PUBLISHED)
def test_published_examples(method, key, query, extra, body, signature):
    digest = sha256(body).hexdigest()
    headers = {"host": HOST, "x-amz-date": DATE, "x-amz-content-sha256": digest, **extra}
    value = Signer("us-east-1").sign(
        method, "/" + quote_key(key), canonical_query(query), headers, digest, EXAMPLE, DATE
    )
    names = ";".join(sorted(headers))
    assert value == (
        f"AWS4-HMAC-SHA256 Credential={EXAMPLE.access_key}/20130524/us-east-1/s3/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = TEXT | st.sampled_from(["a//b", "a/./b/../c", "/lead", "..", "line\nbreak", "tab\tnul\0", "ä+ %20&=?#", "~-._"])
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
NAMES = st.from_regex(r"x-amz-meta-[a-z0-9-]{1,10}", fullmatch=True)


@given(
    key=KEYS,
    query=st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=4, unique_by=lambda pair: pair[0]),
    extra=st.dictionaries(NAMES, VALUES, max_size=3),
    token=st.sampled_from(["", "session+token/=="]),
    date=st.sampled_from([DATE, "20260101T235959Z"]),
)
def test_same_signature_as_botocore(key, query, extra, token, date):
    path, search = "/bucket/" + quote_key(key), canonical_query(query)
    headers = {"host": "s3.example.com:9000", "x-amz-date": date, "x-amz-content-sha256": EMPTY_SHA256, **extra}
    if token:
        headers["x-amz-security-token"] = token
    ours = Signer("eu-west-3").sign("GET", path, search, headers, EMPTY_SHA256, EXAMPLE, date)

    theirs = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(*EXAMPLE[:2]), "s3", "eu-west-3")
    url = f"https://s3.example.com:9000{path}" + (f"?{search}" if search else "")
    request = botocore.awsrequest.AWSRequest("GET", url, headers=headers)
    request.context["timestamp"] = date
    to_sign = theirs.string_to_sign(request, theirs.canonical_request(request))
    assert ours.endswith("Signature=" + theirs.signature(to_sign, request))


@given(KEYS)
def test_a_quoted_key_comes_back_and_is_plain_ascii(key):
    quoted = quote_key(key)
    assert unquote(quoted, errors="strict") == key
    assert quoted.isascii()
    assert not set(quoted) & set(" \r\n\0?#+&=")


def test_the_key_changes_with_the_day_and_the_secret():
    signer = Signer("us-east-1")
    headers = {"host": HOST}

    def sign(credentials, date):
        return signer.sign("GET", "/", "", headers, EMPTY_SHA256, credentials, date)

    other = Credentials(EXAMPLE.access_key, "another secret")
    first = sign(EXAMPLE, DATE)
    assert len({first, sign(other, DATE), sign(EXAMPLE, "20130525T000000Z")}) == 3
    assert sign(EXAMPLE, DATE) == first


def test_credentials_show_nothing():
    credentials = Credentials("AKIASHOWN", "secret-shown", "token-shown")
    for text in (repr(credentials), str(credentials), f"{credentials}", repr([credentials])):
        assert "SHOWN" not in text.upper()
