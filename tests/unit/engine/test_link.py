"""`nbsync.link`: what a link says of the command, where it leads, and what is said of what it cannot carry."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.call import Call
from nbsync.core.location import parse_location
from nbsync.core.options import build_options
from nbsync.core.pull_link import PullLink, from_pairs, target_of
from nbsync.core.timestamps import parse_moment
from nbsync.engine.link import make
from nbsync.errors import UsageError
from nbsync.results.link import Link

HUB = "https://hub.example.org"
HOSTILE = ["a&target=/etc", "a#b", "a%2Fb", "a+b", "a b", "ünï", "日本/ß", 'a"b', "a'b", "<script>", "a?b=c", "a=b",
           "%00", "100%", "javascript:alert(1)", "$(rm)", "`x`", "{x}", "a;b", "*"]  # fmt: skip


def link(remote: str, local: str = "", environ: dict[str, str] | None = None, **options: Any) -> Link:
    call = Call(command="link", remote=remote, local=local, options=build_options("link", options))
    return make(call, environ or {})


def asked(made: Link) -> PullLink:
    """What a server reads in the link."""
    return from_pairs(parse_qsl(urlsplit(made.url).query, keep_blank_values=True, strict_parsing=True))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_a_name(name: str) -> None:
    made = link(f"bucket/{name}", f"x/{name}", server="http://localhost:8888", include=name, urlpath="lab/tree/a b&c")

    seen = asked(made)

    assert made.url.isascii()
    assert urlsplit(made.url).netloc == "localhost:8888"
    assert urlsplit(made.url).fragment == ""
    assert parse_location(seen.source) == parse_location(f"bucket/{name}")
    assert (target_of(seen), seen.filters, seen.urlpath) == (f"x/{name}", (("include", name),), "lab/tree/a b&c")
    assert seen == made.pull
    assert json.loads(json.dumps(made.to_dict()))["url"] == made.url


@given(st.text(max_size=30), st.text(max_size=20), st.text(max_size=20), st.lists(st.text(max_size=9), max_size=3))
def test_a_server_reads_what_was_meant(prefix: str, local: str, urlpath: str, excludes: list[str]) -> None:
    try:
        made = link(f"s3://bucket/{prefix}", local, hub=HUB, urlpath=urlpath, exclude=excludes)
    except UsageError:
        return
    assert made.url.isascii()
    assert made.url.startswith(f"{HUB}/hub/user-redirect/nbsync/pull?")
    assert asked(made) == made.pull
    assert parse_location(asked(made).source) == parse_location(f"s3://bucket/{prefix}")
    assert (made.pull.target, made.pull.urlpath) == (local, urlpath)
    assert made.pull.filters == tuple(("exclude", text) for text in excludes)


@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("s3://bucket/raw/", "bucket/raw"),
        ("bucket", "bucket"),
        ("bucket/a//", "bucket/a//"),
        ("s3://s3/x", "s3://s3/x/"),
        (
            "arn:aws:s3:eu-west-1:123456789012:accesspoint:mine/x",
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine/x",
        ),
    ],
)
def test_the_source_is_as_short_as_it_may_be(remote: str, source: str) -> None:
    made = link(remote, "data")
    assert made.pull.source == source
    assert made.remote == parse_location(remote).uri


@pytest.mark.parametrize(
    ("given_as", "text"),
    [
        ("2026-11-24", "2026-11-24"),
        ("2026-11-24T00:00:01Z", "2026-11-24T00:00:01Z"),
        ("2026-11-24T15:30:05+01:00", "2026-11-24T14:30:05Z"),
        ("2026-11-24T15:30:05.25Z", "2026-11-24T15:30:05.259999999Z"),
    ],
)
def test_a_moment_keeps_its_meaning(given_as: str, text: str) -> None:
    assert asked(link("bucket/raw", as_of=given_as)).as_of == text
    assert parse_moment(text) == parse_moment(given_as)


def test_filters_keep_their_order() -> None:
    filters = [("exclude", "*"), ("include", "*.csv"), ("exclude", "tmp/*")]
    assert asked(link("bucket/raw", filters=filters)).filters == tuple(filters)


def test_a_document() -> None:
    made = link("bucket/raw", hub=HUB, endpoint="minio")
    assert made.to_dict() == {
        "command": "link", "remote": "s3://bucket/raw/", "local": "raw", "ok": True,
        "url": f"{HUB}/hub/user-redirect/nbsync/pull?source=bucket/raw&endpoint=minio", "urlpath": "", "filters": [],
        "endpoint": "minio", "as_of": "",
        "requests": {"list": 0, "head": 0, "get": 0, "put": 0, "delete": 0, "other": 0}, "seconds": 0.0, "notes": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "begins", "note"),
    [
        ({}, "/nbsync/pull?", "behind a server's address"),
        ({"JUPYTERHUB_BASE_URL": "/"}, "/hub/user-redirect/nbsync/pull?", "behind the address of the hub"),
        ({"JUPYTERHUB_BASE_URL": "/jupyter/"}, "/jupyter/hub/user-redirect/nbsync/pull?", "the address of the hub"),
        ({"JUPYTERHUB_BASE_URL": "/", "JUPYTERHUB_PUBLIC_HUB_URL": f"{HUB}/"}, f"{HUB}/hub/user-redirect/", ""),
        ({"JUPYTERHUB_BASE_URL": "/j/", "JUPYTERHUB_PUBLIC_HUB_URL": f"{HUB}/j/"}, f"{HUB}/j/hub/user-redirect/", ""),
        ({"JUPYTERHUB_BASE_URL": "/j/", "JUPYTERHUB_HOST": HUB}, f"{HUB}/j/hub/user-redirect/nbsync/pull?", ""),
        ({"JUPYTERHUB_BASE_URL": "/", "JUPYTERHUB_HOST": "no address"}, "/hub/user-redirect/", "address of the hub"),
    ],
)
def test_in_the_server_of_a_hub_the_link_is_that_hubs(environ: dict[str, str], begins: str, note: str) -> None:
    made = link("bucket/raw", environ=environ)
    assert made.url.startswith(begins)
    assert made.whole is (not note)
    assert [note in one for one in made.notes] == [True] * bool(note)
    assert asked(made) == made.pull


def test_what_was_asked_goes_before_the_hub_around() -> None:
    environ = {"JUPYTERHUB_BASE_URL": "/", "JUPYTERHUB_PUBLIC_HUB_URL": "https://other.example.org/"}
    assert link("bucket/raw", environ=environ, hub=HUB).url.startswith(HUB)
    assert link("bucket/raw", environ=environ, server="http://here").url.startswith("http://here/nbsync/pull?")


def test_it_is_said_what_no_link_can_carry() -> None:
    made = link("bucket/raw", hub=HUB, endpoint_url="http://me:secret@minio", profile="dev", no_sign_request=True)
    assert len(made.notes) == 1
    assert made.notes[0].startswith("not in the link: --profile, --endpoint-url, --no-sign-request. ")
    assert "secret" not in json.dumps(made.to_dict())
    assert "dev" not in json.dumps(made.to_dict())


@pytest.mark.parametrize(
    ("places", "note"),
    [
        ({"server": "http://localhost:8888/lab"}, "/lab looks like a page"),
        ({"server": "http://localhost:8888/user/a/lab/tree/x.ipynb"}, "/lab looks like a page"),
        ({"server": "http://localhost:8888/tree/"}, "/tree looks like a page"),
        ({"hub": f"{HUB}/user/alice/"}, "ends before /user/alice"),
        ({"server": f"{HUB}/user/alice/"}, ""),
        ({"server": "http://laboratory.example.org/labs"}, ""),
    ],
)
def test_the_address_of_a_page_is_doubted(places: dict[str, str], note: str) -> None:
    assert [note in one for one in link("bucket/raw", **places).notes] == [True] * bool(note)


@pytest.mark.parametrize(
    ("remote", "local", "options"),
    [
        ("/etc", "data", {}),
        ("bucket--x-s3/p", "data", {}),
        ("bucket/a\nb", "data", {}),
        ("bucket/raw", "/etc", {}),
        ("bucket/raw", "../raw", {}),
        ("bucket/raw", ".ssh", {}),
        ("bucket/.config", "", {}),
        ("bucket/raw", "a\nb", {}),
        ("bucket/raw", "", {"urlpath": "//evil.org"}),
        ("bucket/raw", "", {"urlpath": "/%5Cevil.org"}),
        ("bucket/raw", "", {"urlpath": "javascript:alert(1)"}),
        ("bucket/raw", "", {"endpoint": "https://evil.org"}),
        ("bucket/raw", "", {"include": ""}),
        ("bucket/raw", "", {"include": "x" * 9_000}),
        ("bucket/raw", "", {"hub": "evil"}),
        ("bucket/raw", "", {"server": "https://h\u202e"}),
    ],
)
def test_no_link_is_made_that_a_server_would_refuse(remote: str, local: str, options: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        link(remote, local, **options)
