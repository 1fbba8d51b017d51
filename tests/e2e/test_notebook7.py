"""The quickstart in Notebook 7, seen through a real browser: the same tables as in JupyterLab."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.helpers import ARTEFACTS, QUICKSTART
from tests.e2e.lab import Lab, clear_all, missing_chromium, run_all, running_lab, start_chromium
from tests.servers import Server

pytestmark = pytest.mark.browser


@pytest.fixture
def classic(moto_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("notebook")
    with running_lab(folder, moto_server.env(), app="notebook", page="notebooks") as started:
        yield started


@pytest.fixture
def page() -> Iterator[Page]:
    missing = missing_chromium()
    if missing and os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    if missing:
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = start_chromium(playwright)
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.set_default_timeout(30_000)
        opened.on("dialog", lambda dialog: dialog.accept())
        yield opened
        browser.close()


def test_the_quickstart(classic: Lab, page: Page) -> None:
    shutil.copy(QUICKSTART, classic.root / QUICKSTART.name)
    classic.open(page, QUICKSTART.name)
    clear_all(page)
    run_all(page)
    outputs = page.locator(".jp-Notebook .jp-OutputArea-output")
    expect(page.locator(".jp-OutputArea-output table")).to_have_count(8, timeout=60_000)
    expect(outputs.filter(has_text="24 miss").first).to_contain_text("stations/2024/forest.csv")
    expect(outputs.filter(has_text="Traceback")).to_have_count(0)
    outputs.filter(has_text="24 miss").first.scroll_into_view_if_needed()
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / "notebook7.png")
