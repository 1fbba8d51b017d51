"""The pull page as the server gives it: untrusted text stays text, nothing is inline, and only users see it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth import Authorizer, User
from jupyter_server.serverapp import ServerApp
from tornado.httpclient import HTTPClientError, HTTPResponse

from nbsync.server.page import content_security_policy

Fetch = Callable[..., Awaitable[HTTPResponse]]
HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}"


class Markup(HTMLParser):
    """The elements of a page with their attributes, and what stands in `script` and `style` elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def attribute(self, name: str) -> str:
        return next(attributes[name] for _, attributes in self.elements if name in attributes)


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    """A server with pull links, whose owner allows two kinds of buckets."""
    return {
        "ServerApp": {"jpserver_extensions": {"nbsync": True}},
        "PullLinks": {"allowed_buckets": ["bucket", "team-*"]},
    }


@pytest.fixture
def page(jp_fetch: Fetch) -> Fetch:
    """Fetches the pull page; its parts are given by name."""

    async def fetch(**parts: Any) -> HTTPResponse:
        request = {name: parts.pop(name) for name in ("headers", "follow_redirects") if name in parts}
        return await jp_fetch("nbsync", "pull", params=parts, **request)

    return fetch


async def test_what_a_link_says_is_text(page: Fetch) -> None:
    answer = await page(
        source=f"bucket/{HOSTILE}", target=f"data/{HOSTILE}", urlpath=f"lab/tree/{HOSTILE}", exclude=HOSTILE
    )
    body = answer.body.decode()
    markup = Markup(body)

    assert HOSTILE not in body
    assert [tag for tag, _ in markup.elements].count("script") == 1
    assert markup.text.count(HOSTILE) >= 5  # title, headline, from, into, then, filter
    request = json.loads(markup.attribute("data-request"))
    assert request["source"] == f"s3://bucket/{HOSTILE}/"
    assert request["filters"] == [["exclude", HOSTILE]]
    assert not set(markup.attribute("data-next")) & set('<>"')


async def test_what_a_reader_would_not_see_is_written_out(page: Fetch) -> None:
    answer = await page(source="bucket/gpj.\u202eexe", target="data")

    assert "\u202e" not in Markup(answer.body.decode()).text
    assert r"s3://bucket/gpj.\u202eexe/" in Markup(answer.body.decode()).text


async def test_nothing_is_inline_and_nothing_is_from_elsewhere(page: Fetch, jp_base_url: str) -> None:
    markup = Markup((await page(source="bucket/raw")).body.decode())

    addresses = [
        attributes[name] for _, attributes in markup.elements for name in ("src", "href") if name in attributes
    ]
    assert addresses
    assert all(address.startswith(f"{jp_base_url}nbsync/static/") for address in addresses)
    assert not any(tag == "style" or "style" in attributes for tag, attributes in markup.elements)
    assert not any(name.startswith("on") for _, attributes in markup.elements for name in attributes)
    assert all("src" in attributes for tag, attributes in markup.elements if tag == "script")


@pytest.mark.parametrize("path", [("pull",), ("static", "pull.js"), ("static", "view.js"), ("static", "pull.css")])
async def test_headers(page: Fetch, jp_fetch: Fetch, path: tuple[str, ...]) -> None:
    answer = await jp_fetch("nbsync", *path, params={"source": "bucket/raw"})

    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["frame-ancestors"] == "'self'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Content-Type"].startswith(
        ("text/html", "text/javascript", "application/javascript", "text/css")
    )


def test_who_may_frame_the_server_may_frame_its_pull_page() -> None:
    configured = "default-src *; frame-ancestors 'self' https://school.example; script-src * 'unsafe-inline'"

    assert content_security_policy(configured).endswith("; frame-ancestors 'self' https://school.example")
    assert "unsafe" not in content_security_policy(configured)
    assert "*" not in content_security_policy(configured)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({}, "no source"),
        ({"source": "bucket/raw", "target": "../up"}, "target"),
        ({"source": "bucket/raw", "target": "/etc"}, "target"),
        ({"source": "bucket/raw", "target": ".ipython/profile_default/startup"}, "hidden"),
        ({"source": "bucket/raw", "urlpath": "//evil.example"}, "urlpath"),
        ({"source": "bucket/raw", "urlpath": "javascript:alert(1)"}, "urlpath"),
        ({"source": "bucket/raw", "delete": "1"}, "delete"),
        ({"source": "bucket/raw", "endpoint": "http://169.254.169.254/"}, "endpoint"),
        ({"source": "bucket/raw", "endpoint": "unnamed"}, "unnamed"),
        ({"source": "bucket/<script>alert(1)</script>\n"}, "control character"),
    ],
)
async def test_a_bad_link_is_a_page_that_says_why(page: Fetch, parts: dict[str, str], says: str) -> None:
    with pytest.raises(HTTPClientError) as caught:
        await page(**parts)

    response = caught.value.response
    assert response is not None
    assert response.code == 400
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    assert says in html.unescape(response.body.decode())
    assert "<script" not in response.body.decode()


async def test_a_target_that_leaves_by_a_symlink_is_refused(page: Fetch, jp_root_dir: Path, tmp_path: Path) -> None:
    (jp_root_dir / "out").symlink_to(tmp_path)
    with pytest.raises(HTTPClientError) as caught:
        await page(source="bucket/raw", target="out/data")

    assert caught.value.code == 400


async def test_a_bucket_that_is_not_allowed_is_a_page_that_says_so(page: Fetch) -> None:
    with pytest.raises(HTTPClientError) as caught:
        await page(source="elsewhere/raw")

    assert caught.value.code == 403
    assert caught.value.response is not None
    assert "may not pull from the bucket" in caught.value.response.body.decode()


class Nobody(Authorizer):
    """Lets nobody do anything."""

    async def is_authorized(self, handler: Any, user: User, action: str, resource: str) -> bool:
        return False


async def test_who_may_not_use_contents_gets_no_page(page: Fetch, jp_serverapp: ServerApp) -> None:
    jp_serverapp.web_app.settings["authorizer"] = Nobody()
    with pytest.raises(HTTPClientError) as caught:
        await page(source="bucket/raw")

    assert caught.value.code == 403
    assert caught.value.response is not None
    assert "may not see or change files" in caught.value.response.body.decode()
    assert "data-request" not in caught.value.response.body.decode()


async def test_who_is_not_logged_in_is_sent_to_the_login(page: Fetch, jp_base_url: str) -> None:
    with pytest.raises(HTTPClientError) as caught:
        await page(source="bucket/raw", headers={"Authorization": ""}, follow_redirects=False)

    response = caught.value.response
    assert response is not None
    assert response.code == 302
    assert re.match(re.escape(jp_base_url) + r"login\?next=.*nbsync.*pull.*source", response.headers["Location"])


async def test_a_link_that_is_not_followed_but_posted_is_told_how(jp_fetch: Fetch) -> None:
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("nbsync", "pull", method="POST", body="")

    assert caught.value.code == 405
    assert caught.value.response is not None
    assert "Follow the link" in caught.value.response.body.decode()


async def test_a_hub_s_count_of_redirects_is_no_part_of_the_link(page: Fetch) -> None:
    answer = await page(source="bucket/p", redirects="1")

    assert answer.code == 200


async def test_a_token_in_the_link_does_not_stay_in_the_address(
    page: Fetch, jp_base_url: str, jp_serverapp: ServerApp
) -> None:
    token = jp_serverapp.identity_provider.token
    with pytest.raises(HTTPClientError) as caught:
        await page(source="bucket/a b", exclude="*", token=token, headers={"Authorization": ""}, follow_redirects=False)

    response = caught.value.response
    assert response is not None
    assert response.code == 302
    assert response.headers["Location"] == f"{jp_base_url}nbsync/pull?source=bucket/a%20b&exclude=*"
    assert response.headers["Set-Cookie"]


async def test_the_page_starts_nothing(page: Fetch, jp_root_dir: Path) -> None:
    before = sorted(jp_root_dir.rglob("*"))
    await page(source="bucket/raw", target="data")

    assert sorted(jp_root_dir.rglob("*")) == before
