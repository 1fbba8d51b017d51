"""parse_page takes any answer for a listing: what it gives is sound, or the answer is refused with a ListingError."""

from __future__ import annotations

import contextlib
import random
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbsync.core import names
from nbsync.errors import ListingError
from nbsync.s3 import listing
from nbsync.s3.listing import Page, parse_page
from nbsync.s3.listing_xml import parse_time_ns, read_plain

SPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
ONE = "<Contents><Key>p/{key}</Key><LastModified>{time}</LastModified><ETag>{etag}</ETag><Size>{size}</Size></Contents>"
TIME = "2024-02-29T23:59:59.123Z"
LEGAL_IN_XML = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


def answer(*contents: str, more: str = "", space: str = SPACE, encoded: bool = True) -> bytes:
    kind = "<EncodingType>url</EncodingType>" if encoded else ""
    return f"<ListBucketResult{space}>{kind}{more}{''.join(contents)}</ListBucketResult>".encode()


def one(key: str = "a", *, time: str = TIME, etag: str = "&quot;e&quot;", size: str = "1") -> str:
    return ONE.format(key=key, time=time, etag=etag, size=size)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])), st.booleans(), st.sampled_from(["", SPACE]))
def test_any_encoded_key_is_read_as_it_was_written(key: str, plus: bool, space: str) -> None:
    written = (quote_plus if plus else quote)(key, safe="/")
    (entry,) = parse_page(answer(one(escape(written)), space=space), "p/", 2).entries
    assert (entry.path, entry.key) == (key, f"p/{key}")


@settings(max_examples=200, deadline=None)
@given(LEGAL_IN_XML)
@example("100%")
@example("%41")
@example("a+b")
def test_a_key_that_is_not_encoded_is_taken_to_the_letter(key: str) -> None:
    (entry,) = parse_page(answer(one(escape(key)), encoded=False), "p/", 2).entries
    assert entry.path == key


def sound(page: Page) -> None:
    for entry in page.entries:
        assert entry.key.startswith("p/")
        assert entry.size >= 0
        assert isinstance(entry.last_modified_ns, int)
        assert isinstance(entry.etag, str)


WHOLE = answer(one("a"), one("b%2Fc"), one("d", etag=""), more="<IsTruncated>true</IsTruncated>"
               "<NextContinuationToken>t</NextContinuationToken>")  # fmt: skip
PIECES = [
    b"<", b">", b"/", b"&", b"&#0;", b"&#xD800;", b"%FF", b"%", b"-", b"1e9", b"\0", b"\xff", b"<!--", b"<![CDATA[",
    b"]]>", b'<!DOCTYPE x [<!ENTITY e "x">]>', b"&e;", b"<Size>", b"</Size>", b"<Key/>", b"<Contents>", b"Z", b"+",
    b" ", b"99",
]  # fmt: skip


@settings(max_examples=1, deadline=None)
@given(st.integers(0, 2**32))
def test_a_broken_answer_is_sound_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(5_000):
        body = bytearray(WHOLE)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(body))
            kind = chance.randrange(4)
            if kind == 0:
                body[at] = chance.randrange(256)
            elif kind == 1:
                body[at : at + chance.randint(1, 40)] = b""
            elif kind == 2:
                body[at:at] = chance.choice(PIECES)
            else:
                other = chance.randrange(len(body))
                body[at:at] = body[other : other + 30]
        with contextlib.suppress(ListingError):
            sound(parse_page(bytes(body), "p/", 2))


def read_as_xml(body: bytes) -> object:
    """What parse_page gives or refuses where nothing is read quickly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "read_plain", lambda *_: None)
        return read_either_way(body)


def read_either_way(body: bytes) -> object:
    try:
        return parse_page(body, "p/", 2)
    except ListingError:
        return "refused"


PLAIN = (
    "<Contents><Key>p/{}</Key><LastModified>2024-02-29T23:59:59.123Z</LastModified><ETag>&quot;5d41-2&quot;</ETag>"
    "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><Size>18</Size><StorageClass>STANDARD</StorageClass></Contents>"
)
INDENTED = "\n  " + PLAIN.replace("><", ">\n\t<")
OTHERS = ["&amp;", "&lt;", "&quot;", "\r", "\t", "\x01", "é", "\x7f", "%2F", "+", "%FF", '"', "'", ">", "]]>", "&e;"]
AROUND = ["<a>", "</a>", "<a b='", "'>", "<!--", "-->", "<![CDATA[", "]]>", "<?x ", "?>", "<a xmlns='y'>", " ", "x",
          "<IsTruncated>true</IsTruncated>", "<NextContinuationToken>t</NextContinuationToken>", "<Contents>",
          "</Contents>", "<!DOCTYPE x>", "<Contents/>", one("z")]  # fmt: skip


@settings(max_examples=1, deadline=None)
@given(st.integers(0, 2**32))
def test_what_is_read_quickly_is_what_xml_says(seed: int) -> None:
    chance = random.Random(seed)
    quick = 0
    for _ in range(4_000):
        around = [chance.choice(AROUND) if chance.random() < 0.2 else "" for _ in range(4)]
        keys = ["".join(chance.choice([*OTHERS, *"abcdefgh"]) if chance.random() < 0.1 else "k" for _ in range(5))
                for _ in range(2)]  # fmt: skip
        plain = chance.choice([PLAIN, INDENTED])
        body = answer(around[0], plain.format(keys[0]), around[1], plain.format(keys[1]), around[2], more=around[3])
        if chance.random() < 0.3:
            at = chance.randrange(len(body))
            body = body[:at] + chance.choice(PIECES) + body[at + chance.randrange(3) :]
        assert read_either_way(body) == read_as_xml(body), body
        with contextlib.suppress(ListingError):
            quick += read_plain(body, "ListBucketResult", 2) is not None
    assert quick > 300


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(ListingError):
        parse_page(body, "", 0)


NONSENSE = [
    one(size="-1"), one(size="1_000"), one(size="1e3"), one(size=""), one(size="9" * 5000), one(size="\u0661"),
    one(size="9" * 25), one(time="0000-01-01T00:00:00Z"), one(time="2024-13-01T00:00:00Z"), one(time=""),
    one(time="yesterday"), one(time="2024-01-99T00:00:00Z"), one(time="2024-01-01T25:00:00Z"),
    one(time="-024-01-01T00:00:00Z"), one(time=TIME + "x"), one(time="2024-02-30T00:00:00Z"), "<Contents/>",
    "<Contents><Key>p/a</Key></Contents>", one().replace("p/a", "q/a"),
]  # fmt: skip


@pytest.mark.parametrize("content", NONSENSE)
def test_nonsense_in_an_entry_is_refused(content: str) -> None:
    with pytest.raises(ListingError):
        parse_page(answer(content), "p/", 2)


def test_a_key_that_is_not_utf_8_can_be_no_file_and_is_taken_for_no_other() -> None:
    for written in ("%FF", "a%C3", "%ED%A0%80", "x/%C0%AE%C0%AE/y"):
        (entry,) = parse_page(answer(one(written)), "p/", 2).entries
        assert names.refusal(entry.path) == "is not valid Unicode"
        assert "\ufffd" not in entry.key


TEXTS = st.one_of(
    LEGAL_IN_XML, st.integers().map(str), st.datetimes().map(lambda when: f"{when.isoformat()}Z"), st.just("1")
)


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS, TEXTS, TEXTS, st.sampled_from(["true", "false", "TRUE", " true ", "1", ""]), LEGAL_IN_XML)
def test_any_text_in_any_field_is_sound_or_refused(
    key: str, time: str, etag: str, size: str, truncated: str, token: str
) -> None:
    more = f"<IsTruncated>{truncated}</IsTruncated><NextContinuationToken>{escape(token)}</NextContinuationToken>"
    with contextlib.suppress(ListingError):
        page = parse_page(
            answer(one(escape(key), time=escape(time), etag=escape(etag), size=escape(size)), more=more), "p/", 2
        )
        sound(page)
        assert bool(page.token) == (truncated.strip().lower() == "true")


def test_entities_do_not_explode() -> None:
    """`Billion laughs`: a page of a few hundred bytes that would need gigabytes."""
    lines = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    body = f'<!DOCTYPE x [<!ENTITY e0 "lol">{lines}]>'.encode() + answer(one("&e11;"))
    with pytest.raises(ListingError):
        parse_page(body, "p/", 2)


def test_deep_nesting_is_no_crash() -> None:
    body = answer("<a>" * 100_000 + "</a>" * 100_000)
    assert parse_page(body, "p/", 2).entries == []


@settings(max_examples=300, deadline=None)
@given(st.datetimes(), st.integers(0, 9))
def test_any_time_is_read_to_its_last_digit(when: object, digits: int) -> None:
    import datetime

    assert isinstance(when, datetime.datetime)
    whole = when.replace(microsecond=0, tzinfo=datetime.timezone.utc)
    fraction = f"{when.microsecond:06}789"[:digits]
    text = (
        whole.strftime("%Y").zfill(4) + whole.strftime("-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"
    )
    seconds = (whole - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(seconds=1)
    assert parse_time_ns(text) == seconds * 10**9 + int(fraction.ljust(9, "0") or "0")
