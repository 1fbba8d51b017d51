"""Pull links: what may stand in one, that it says the same after encoding, and that it leads nowhere else."""

from __future__ import annotations

from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.pull_link import PullLink, checked, from_pairs, page_url, target_of, to_query, urlpath_below
from nbsync.errors import UsageError

SEGMENT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="/\\"),
                  min_size=1, max_size=12).filter(lambda text: text[0] not in ".~" and ":" not in text)  # fmt: skip
FOLDER = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)
PATTERN = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=10)


def read(query: str) -> PullLink:
    return from_pairs(parse_qsl(query, keep_blank_values=True))


@given(FOLDER, FOLDER, st.lists(st.tuples(st.sampled_from(["include", "exclude"]), PATTERN), max_size=4))
def test_a_link_says_the_same_after_its_way(source: str, target: str, filters: list[tuple[str, str]]) -> None:
    link = PullLink(f"bucket/{source}", target, "lab/tree/a b.ipynb", tuple(filters), "minio", "2026-11-24")

    query = to_query(link)

    assert query.isascii()
    assert not set(query) & set(" \"'<>#")
    assert read(query) == link


def test_a_link_is_readable() -> None:
    link = PullLink("s3://bucket/raw data", "data", "lab/tree/x.ipynb", (("exclude", "*"), ("include", "*.csv")))

    assert page_url(link, server="http://localhost:8888/user/a/") == (
        "http://localhost:8888/user/a/nbsync/pull"
        "?source=s3%3A//bucket/raw%20data&target=data&exclude=*&include=*.csv&urlpath=lab/tree/x.ipynb"
    )


@pytest.mark.parametrize(
    ("hub", "begins"),
    [
        ("https://hub.example.org", "https://hub.example.org/hub/user-redirect/nbsync/pull?"),
        ("https://hub.example.org/jupyter/", "https://hub.example.org/jupyter/hub/user-redirect/nbsync/pull?"),
        ("https://hub.example.org/jupyter/hub/", "https://hub.example.org/jupyter/hub/user-redirect/nbsync/pull?"),
    ],
)
def test_a_hub_sends_everybody_to_a_server_of_their_own(hub: str, begins: str) -> None:
    assert page_url(PullLink("bucket/p"), hub=hub).startswith(begins)


def test_without_a_server_the_link_is_the_path_behind_one() -> None:
    assert page_url(PullLink("bucket/p")) == "/nbsync/pull?source=bucket/p"


@pytest.mark.parametrize(
    "address",
    ["hub.example.org", "ftp://h", "javascript:alert(1)", "https://", "https://me:secret@h", "https://h?x", "https://h#x",
     "https://h/a b", "https://h:port", "https://[", "http://h/\n"],
)  # fmt: skip
def test_what_is_no_server_is_refused(address: str) -> None:
    with pytest.raises(UsageError) as refused:
        page_url(PullLink("bucket/p"), server=address)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("option", "example"), [("server", "http://localhost:8888/"), ("hub", "https://hub.example.org")]
)
def test_a_refusal_shows_an_address_of_the_option_s_own_kind(option: str, example: str) -> None:
    with pytest.raises(UsageError, match=f"^--{option} takes an address like {example}$"):
        page_url(PullLink("bucket/p"), **{option: "localhost:18888"})
    assert page_url(PullLink("bucket/p"), **{option: example})


def test_what_may_be_a_password_is_never_repeated() -> None:
    for address in ("ftp://me:secret@h", "https://me:secret@h", "https://h/?token=secret", "me:secret@h"):
        for place in ({"server": address}, {"hub": address}):
            with pytest.raises(UsageError) as refused:
                page_url(PullLink("bucket/p"), **place)
            assert "secret" not in str(refused.value)
    with pytest.raises(UsageError) as refused:
        checked(PullLink("bucket/p", endpoint="https://me:secret@h"))
    assert "secret" not in str(refused.value)


def test_it_is_a_hub_or_a_server() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        page_url(PullLink("bucket/p"), server="http://a", hub="http://b")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "target=data",
        "source=",
        "source=bucket/p&source=bucket/q",
        "source=bucket/p&target=a&target=b",
        "source=bucket/p&force=1",
        "source=bucket/p&endpoint=http://evil",
        "source=bucket/p&endpoint=-x",
        "source=bucket/p&as_of=tomorrow",
        "source=bucket/p&include=",
        "source=bucket/p&include=a%0Ab",
        "source=bucket/p%0A",
        "source=http://evil/p",
        "source=/etc",
        "source=bucket--x-s3/p",
        "source=bucket/p&target=a%00b",
    ],
)
def test_what_makes_no_sense_is_refused(query: str) -> None:
    with pytest.raises(UsageError):
        read(query)


@pytest.mark.parametrize(
    ("target", "folder"),
    [("data", "data"), ("a/b", "a/b"), ("data/", "data"), ("./data", "data"), (".//./data", "data"), ("ä b", "ä b"),
     ("", "raw"), ("a..b", "a..b"), ("100%", "100%")],
)  # fmt: skip
def test_a_target_is_a_folder_below_the_root(target: str, folder: str) -> None:
    assert target_of(PullLink("bucket/raw/", target)) == folder


@pytest.mark.parametrize(
    "target",
    [".", "./", "/", "//", "/etc", "..", "../x", "a/../b", "a/..", "a//b", "a/./b", "~", "~root/x", ".ssh", "a/.git",
     ".jupyter/x", "a\\b", "..\\b", "C:/x", "C:\\x", "a/.nbsync", "a/.NBSYNC/b", "x" * 300],
)  # fmt: skip
def test_a_target_elsewhere_or_hidden_is_refused(target: str) -> None:
    with pytest.raises(UsageError):
        checked(PullLink("bucket/raw", target))


@pytest.mark.parametrize(
    ("urlpath", "leads_to"),
    [
        ("", ""),
        ("lab/tree/x.ipynb", "/user/a/lab/tree/x.ipynb"),
        ("/lab/tree/x.ipynb", "/user/a/lab/tree/x.ipynb"),
        ("lab/tree/a b.ipynb?reset#top", "/user/a/lab/tree/a%20b.ipynb?reset#top"),
        ("lab/tree/a%20b.ipynb", "/user/a/lab/tree/a%20b.ipynb"),
        ("lab/tree/RTC:x.ipynb", "/user/a/lab/tree/RTC:x.ipynb"),
        ("lab/tree/ä\"'<x>.ipynb", "/user/a/lab/tree/%C3%A4%22'%3Cx%3E.ipynb"),
    ],
)
def test_urlpath_leads_to_this_server(urlpath: str, leads_to: str) -> None:
    assert urlpath_below("/user/a/", urlpath) == leads_to


@pytest.mark.parametrize(
    "urlpath",
    ["//evil.org", "///evil.org", "/\\evil.org", "\\\\evil.org", "\\/evil.org", "http://evil.org", "https:evil.org",
     "javascript:alert(1)", " javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "/\t/evil.org",
     "java\nscript:x", "%2F%2Fevil.org", "/%2Fevil.org", "%5Cevil.org", "/%5Cevil.org", "%252F%252Fevil.org",
     "%2525252525252fx", "../bob/lab", "lab/../../bob", "%2e%2e/bob", "lab/%2E%2e/%2e%2e/bob", "lab/..;/x",
     "lab/.. /x", "%00"],
)  # fmt: skip
def test_urlpath_leads_nowhere_else(urlpath: str) -> None:
    with pytest.raises(UsageError):
        urlpath_below("/user/a/", urlpath)


@given(st.text(st.sampled_from("/\\.:%2fFeE5cCx?#@ ;\t"), max_size=14))
def test_whatever_urlpath_is_a_browser_stays_below_the_base(urlpath: str) -> None:
    try:
        leads_to = urlpath_below("/user/a/", urlpath)
    except UsageError:
        return
    if leads_to:
        seen = urlsplit(urljoin("http://server/user/a/nbsync/pull", leads_to))
        assert (seen.scheme, seen.netloc) == ("http", "server")
        assert seen.path.startswith("/user/a/")


def test_a_link_that_is_too_long_is_refused() -> None:
    with pytest.raises(UsageError, match="characters long"):
        to_query(PullLink("bucket/p", filters=(("include", "x" * 9_000),)))


def test_a_server_takes_every_link_that_can_be_made_and_not_much_more() -> None:
    filters = (("exclude", "*"), ("include", "x" * 7_000))
    link = PullLink("bucket/p", filters=filters)

    assert read(to_query(link)) == link
    for more in (PullLink("bucket/p", filters=(("include", "x"),) * 2_000), PullLink("bucket/" + "p" * 20_000, "data")):
        with pytest.raises(UsageError, match="too long"):
            checked(more)
