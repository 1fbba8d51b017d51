"""One pull link for everybody of a JupyterHub: who clicks it logs in, gets a server, and pulls into that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

import nbsync
from tests.e2e.helpers import fill, tree
from tests.e2e.hub import PASSWORD, Hub, running_hub
from tests.e2e.lab import snap
from tests.servers import Server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def hub(browser: Browser, moto_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with running_hub(tmp_path_factory.mktemp("hub"), moto_server.env()) as started:
        yield started


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own for each test, that knows nobody."""
    context = browser.new_context()
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    yield opened
    context.close()


def log_in(page: Page, user: str) -> None:
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_one_link_is_for_every_user(hub: Hub, page: Page, moto_server: Server, store: str, user: str) -> None:
    fill(moto_server, store, {"raw/a.csv": b"1", "raw/deep/b c.csv": b"2"})
    link = nbsync.link(f"{store}/raw", "data", hub=hub.url, urlpath="api/status")

    page.goto(link.url)
    log_in(page, user)
    expect(page.get_by_role("heading", level=1)).to_have_text("Pull 2 files into data?", timeout=60_000)
    assert page.url.startswith(f"{hub.url}/user/{user}/nbsync/pull?source={store}")
    snap(page, f"hub-{user}")
    page.get_by_role("button", name="Pull 2 files").click()
    page.wait_for_url(f"{hub.url}/user/{user}/api/status", wait_until="commit", timeout=30_000)

    assert tree(hub.home(user) / "data") == {"a.csv": b"1", "deep/b c.csv": b"2"}


def test_nobody_pulls_into_another_s_server(hub: Hub, page: Page, store: str) -> None:
    page.goto(f"{hub.url}/hub/login")
    log_in(page, "carol")
    page.wait_for_url(f"{hub.url}/user/carol/**", wait_until="commit", timeout=60_000)

    answer = page.request.get(f"{hub.url}/user/alice/nbsync/api/pulls", max_redirects=0)

    assert answer.status in (302, 403, 404, 424, 503)
    assert store not in answer.text()
