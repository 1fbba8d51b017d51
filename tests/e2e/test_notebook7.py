"""The quickstart in Notebook 7, seen through a real browser: the same tables as in JupyterLab."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.helpers import ARTEFACTS, QUICKSTART, fill, tree, write_notebook
from tests.e2e.lab import Lab, clear_all, run_all, running_lab, snap
from tests.servers import Server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lab(moto_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Notebook 7 in the place of JupyterLab."""
    folder = tmp_path_factory.mktemp("notebook")
    with running_lab(folder, moto_server.env(), app="notebook", page="notebooks") as started:
        yield started


def test_the_quickstart(lab: Lab, page: Page) -> None:
    shutil.copy(QUICKSTART, lab.root / QUICKSTART.name)
    lab.open(page, QUICKSTART.name)
    clear_all(page)
    run_all(page)
    outputs = page.locator(".jp-Notebook .jp-OutputArea-output")
    expect(outputs.filter(has=page.locator("table"))).to_have_count(9, timeout=60_000)
    expect(outputs.filter(has_text="24 miss").first).to_contain_text("stations/2024/forest.csv")
    expect(outputs.filter(has_text="Traceback")).to_have_count(0)
    outputs.filter(has_text="24 miss").first.scroll_into_view_if_needed()
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / "notebook7.png")


def test_the_panel(lab: Lab, page: Page, moto_server: Server, store: str) -> None:
    fill(moto_server, store, {f"raw/{n}.csv": b"x" * 1000 for n in range(3)})
    write_notebook(lab.root / "panel.ipynb", "%load_ext nbsync", f"%s3sync panel {store}/raw data")
    lab.open(page, "panel.ipynb")
    run_all(page)
    panel = page.locator(".nbsync-panel")
    expect(panel).to_be_visible(timeout=60_000)
    panel.get_by_role("button", name="Plan", exact=True).click()
    panel.locator(".nbp-row").filter(has_text="1.csv").locator("input").click()
    panel.get_by_role("button", name="Apply 2 files").click()
    expect(panel.locator(".nbp-message")).to_contain_text("Done: 2 files")
    assert set(tree(lab.root / "data")) == {"0.csv", "2.csv"}
    snap(panel, "notebook7-panel")
