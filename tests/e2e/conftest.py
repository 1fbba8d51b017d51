"""Fixtures of the end-to-end tests: a bucket on moto with a valve before it, and a real JupyterLab."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Dialog, Page, sync_playwright

from tests.e2e.lab import Lab, missing_chromium, running_lab, start_chromium
from tests.e2e.valve import Valve
from tests.servers import Server

WIDTH, HEIGHT = 1280, 900


@pytest.fixture
def store(moto_server: Server) -> str:
    """A new, empty bucket on moto."""
    return moto_server.new_bucket()


@pytest.fixture
def valve(moto_server: Server) -> Iterator[Valve]:
    """A valve in front of moto, open at first."""
    started = Valve(moto_server.endpoint_url)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def lab(browser: Browser, moto_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("lab"), moto_server.env()) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    missing = missing_chromium()
    if missing and os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    if missing:
        pytest.skip(missing)
    with sync_playwright() as playwright:
        started = start_chromium(playwright)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, lab: Lab) -> Iterator[Page]:
    """A page of its own for each test, in which any script's dialog is an error."""
    dialogs: list[str] = []

    def answer(dialog: Dialog) -> None:
        if dialog.type != "beforeunload":  # JupyterLab's own, when a page is left
            dialogs.append(dialog.message)
        dialog.accept()

    opened = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    opened.set_default_timeout(30_000)
    opened.on("dialog", answer)
    yield opened
    opened.close()
    lab.shut_down_kernels()
    assert dialogs == []
