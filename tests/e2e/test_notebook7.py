"""The quickstart in Notebook 7, seen through a real browser: the same tables as in JupyterLab."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.helpers import ARTEFACTS, QUICKSTART, fill, tree, write_notebook
from tests.e2e.lab import Lab, clear_all, missing_chromium, run_all, running_lab, snap, start_chromium
from tests.servers import Server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
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
    expect(outputs.filter(has=page.locator("table"))).to_have_count(9, timeout=60_000)
    expect(outputs.filter(has_text="24 miss").first).to_contain_text("stations/2024/forest.csv")
    expect(outputs.filter(has_text="Traceback")).to_have_count(0)
    outputs.filter(has_text="24 miss").first.scroll_into_view_if_needed()
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / "notebook7.png")


def test_the_panel(classic: Lab, page: Page, moto_server: Server, store: str) -> None:
    fill(moto_server, store, {f"raw/{n}.csv": b"x" * 1000 for n in range(3)})
    write_notebook(classic.root / "panel.ipynb", "%load_ext nbsync", f"%s3sync panel {store}/raw data")
    classic.open(page, "panel.ipynb")
    run_all(page)
    panel = page.locator(".nbsync-panel")
    expect(panel).to_be_visible(timeout=60_000)
    panel.get_by_role("button", name="Plan", exact=True).click()
    panel.locator(".nbp-row").filter(has_text="1.csv").locator("input").click()
    panel.get_by_role("button", name="Apply 2 files").click()
    expect(panel.locator(".nbp-message")).to_contain_text("Done: 2 files")
    assert set(tree(classic.root / "data")) == {"0.csv", "2.csv"}
    snap(panel, "notebook7-panel")
