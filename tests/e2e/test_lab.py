"""nbsync in a real JupyterLab, seen through a real browser: tables, live progress, hostile names, the stop button.

Screenshots are left in tests/artefacts/ for a person to look at.
"""

from __future__ import annotations

import os
import re
import shutil
import time

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from nbsync.core.model import Problem, Row
from nbsync.errors import GuardRefusal
from nbsync.results.sync_result import SyncResult
from tests.e2e.helpers import QUICKSTART, fill, staged, tree, wait_until, write_notebook
from tests.e2e.lab import Lab, clear_all, run_all, snap
from tests.e2e.valve import Valve
from tests.servers import Server

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)>.txt"
BIG = 2_000_000


def outputs(page: Page) -> Locator:
    """The outputs of all cells."""
    return page.locator(".jp-Notebook .jp-OutputArea-output")


@pytest.fixture
def half_done(moto_server: Server, store: str, valve: Valve, lab: Lab, page: Page) -> Locator:
    """The output of a pull that stands still with a fifth of its bytes here."""
    names = [f"raw/scan-{n}.bin" for n in range(4)]
    fill(moto_server, store, {f"raw/{HOSTILE}": b"boo", **dict.fromkeys(names, os.urandom(BIG))})
    valve.let_through(BIG * 3 // 4)  # no file can end
    shutil.rmtree(lab.root / "data", ignore_errors=True)
    pull = f"%s3sync pull {store}/raw data --endpoint-url {valve.url}"
    write_notebook(lab.root / "slow.ipynb", "%load_ext nbsync", pull)
    lab.open(page, "slow.ipynb")
    run_all(page)
    live = outputs(page).first
    expect(live).to_contain_text("of 5 files")
    expect(live).to_contain_text(re.compile(r"[1-9]\d\d\.\d kB of 8\.0 MB|[12]\.\d MB of 8\.0 MB"))
    return live


def test_the_quickstart_in_both_themes(lab: Lab, page: Page) -> None:
    shutil.copy(QUICKSTART, lab.root / QUICKSTART.name)
    lab.theme("JupyterLab Light")
    lab.open(page, QUICKSTART.name)
    clear_all(page)
    expect(outputs(page)).to_have_count(0)
    run_all(page)
    tables = outputs(page).filter(has=page.locator("table"))
    expect(tables).to_have_count(9, timeout=60_000)  # with the one over both commands of the last cell
    first = outputs(page).filter(has_text="24 miss")
    expect(first).to_contain_text("stations/2024/forest.csv")
    expect(first).to_contain_text("missing locally")
    expect(outputs(page).filter(has_text="24 files up to date").first).to_contain_text("24 hit")
    expect(outputs(page).filter(has_text="Traceback")).to_have_count(0)
    fits_its_cell(page)
    first.scroll_into_view_if_needed()
    snap(page, "quickstart-light")
    saved = lab.root / QUICKSTART.name
    before = saved.stat().st_mtime_ns
    page.locator('[data-command="docmanager:save"]').first.click()
    wait_until("the notebook is saved", lambda: saved.stat().st_mtime_ns != before)

    lab.theme("JupyterLab Dark")
    lab.open(page, QUICKSTART.name)
    expect(tables).to_have_count(9)
    expect(page.locator('body[data-jp-theme-light="false"]')).to_be_attached()
    legible(page)
    outputs(page).filter(has_text="24 miss").scroll_into_view_if_needed()
    snap(page, "quickstart-dark")
    lab.theme("JupyterLab Light")


def fits_its_cell(page: Page) -> None:
    """No table is wider than the output that holds it."""
    wide = page.evaluate(
        "[...document.querySelectorAll('.jp-RenderedHTMLCommon')].filter(e => e.scrollWidth > e.clientWidth).length"
    )
    assert wide == 0


_DARKEST = """() => {
  const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
                          return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255 };
  const cells = [...document.querySelectorAll('.jp-RenderedHTMLCommon td, .jp-RenderedHTMLCommon b')];
  return Math.min(...cells.map(cell => light(getComputedStyle(cell).color)));
}"""


def legible(page: Page) -> None:
    """No text of a table is dark on the dark theme."""
    assert page.evaluate(_DARKEST) > 0.3


def test_the_table_lives_while_the_run_goes_on(half_done: Locator, valve: Valve, page: Page) -> None:
    seen = [moved(half_done)]
    height = box_height(half_done)
    snap(half_done, "live")
    for _ in range(3):
        valve.let_through(BIG // 2)
        expect(half_done).not_to_contain_text(seen[-1])
        seen.append(moved(half_done))
        assert box_height(half_done) == height, "the page jumps"
    assert len(set(seen)) == 4, seen
    valve.open()
    expect(half_done).to_contain_text("5 miss")
    expect(half_done).to_contain_text("✓ done")
    expect(outputs(page)).to_have_count(1)

    expect(half_done).to_contain_text(HOSTILE)
    expect(half_done.locator("img")).to_have_count(0)


FORMULAS = (r"$\color{red}{\text{0 failed, all fine}}$.txt", "price $5 to $9.csv", r"\(x\) $$y$$.txt")


def test_no_name_is_a_formula(lab: Lab, page: Page) -> None:
    """As a notebook from somebody else: its outputs are not trusted, and JupyterLab sanitizes them."""
    rows = [Row(name, "download", "miss", name, "none", 3, 0.0, None) for name in FORMULAS]
    result = SyncResult(command="pull", remote=f"s3://b/{FORMULAS[0]}/", local=FORMULAS[1])
    result.files, result.notes, result.error = rows, list(FORMULAS), GuardRefusal(FORMULAS[0])
    result.problems = [Problem(name, "failed", f"no {name}") for name in FORMULAS]
    cell = nbformat.v4.new_code_cell("r", outputs=[
        nbformat.v4.new_output("display_data", data={"text/html": "<p>$control$</p>"}),
        nbformat.v4.new_output("display_data", data=result._repr_mimebundle_()),
    ])  # fmt: skip
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=KERNEL), lab.root / "math.ipynb")
    lab.open(page, "math.ipynb")
    expect(outputs(page).first.locator("mjx-container")).to_have_count(1)  # MathJax is at work
    table = outputs(page).nth(1)
    for name in FORMULAS:
        expect(table).to_contain_text(name)
    expect(table.locator("mjx-container")).to_have_count(0)
    looks = table.locator("code").evaluate_all(_LOOKS)
    assert looks
    assert all(looks), "code looks unlike the text around it"
    snap(page, "formulas")


KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
_LOOKS = """codes => codes.map(code => {
  const [own, around] = [getComputedStyle(code), getComputedStyle(code.parentElement)];
  return own.backgroundColor === "rgba(0, 0, 0, 0)" && own.padding === "0px"
         && ["color", "fontFamily", "fontSize", "fontWeight"].every(name => own[name] === around[name]) })"""


def moved(live: Locator) -> str:
    """The bytes that the live table says are done: `2.1 MB of 8.0 MB`."""
    found = re.search(r"[\d.]+ [kM]?B of 8\.0 MB", live.inner_text())
    assert found, live.inner_text()
    return found[0]


def box_height(live: Locator) -> float:
    box = live.bounding_box()
    assert box
    return box["height"]


def test_the_stop_button_leaves_the_part_that_was_done(half_done: Locator, lab: Lab, page: Page) -> None:
    pressed = time.monotonic()
    page.locator('[data-command="notebook:interrupt-kernel"]').first.click()
    expect(half_done).to_contain_text("interrupted", timeout=5000)
    took = time.monotonic() - pressed
    assert took < 3, f"{took:.1f} s"  # one is promised; the rest is the browser on a busy machine
    expect(half_done).to_contain_text("1 miss")
    said = outputs(page).nth(1)
    expect(said).to_contain_text("nbsync: ")
    assert len(said.inner_text().strip().splitlines()) == 1
    expect(outputs(page)).to_have_count(2)
    snap(page, "interrupted")
    data = lab.root / "data"
    assert (tree(data), staged(data)) == ({HOSTILE: b"boo"}, [])


def test_tab_completes_commands_buckets_and_keys(moto_server: Server, store: str, lab: Lab, page: Page) -> None:
    fill(moto_server, store, {"raw/2024/my data.csv": b"a", "raw/2025/b.csv": b"b"})
    write_notebook(lab.root / "tab.ipynb", "%load_ext nbsync", "")
    lab.open(page, "tab.ipynb")
    run_all(page)
    expect(page.locator(".jp-InputPrompt").first).to_have_text("[1]:")
    cell, offers = page.locator(".jp-CodeCell .cm-content").nth(1), page.locator(".jp-Completer")
    cell.click()

    def choose(typed: str, offered: str, becomes: str) -> None:
        def there() -> bool:  # the first answer may come too late; JupyterLab then offers words of the cell
            if offers.is_visible():
                page.keyboard.press("Escape")
            page.keyboard.press("Tab")
            try:
                expect(offers).to_contain_text(offered, timeout=1000)
            except AssertionError:
                return False
            return True

        page.keyboard.type(typed)
        wait_until(f"Tab offers {offered}", there)
        page.keyboard.press("Enter")
        expect(cell).to_have_text(becomes)

    start = f"r = %s3sync pull s3://{store}/"
    choose("r = %s3sync pu", "push", "r = %s3sync pull")
    choose(f" s3://{store[:-2]}", f"{store}/", start)
    choose("raw/", "2025/", f"{start}raw/2024/")
    whole = f"r = %s3sync pull 's3://{store}/raw/2024/my data.csv'"
    choose("m", "my data.csv", whole)
    choose(" --compare size-", "size-mtime", f"{whole} --compare size-mtime")
    page.keyboard.type(" --")
    page.keyboard.press("Tab")
    expect(offers).to_contain_text("--delete")
    snap(page, "tab")


def test_a_background_table_lives_beside_other_cells(
    moto_server: Server, store: str, valve: Valve, lab: Lab, page: Page
) -> None:
    """It changes while no cell runs, while one that awaits runs, and after it; and in the cell of `jobs`, too."""
    fill(moto_server, store, dict.fromkeys([f"raw/scan-{n}.bin" for n in range(4)], os.urandom(BIG)))
    valve.let_through(BIG * 3 // 4)
    shutil.rmtree(lab.root / "data", ignore_errors=True)
    pull = f"job = %s3sync pull {store}/raw data --endpoint-url {valve.url} --background"
    wait = "import asyncio, pathlib\nwhile not pathlib.Path('go').exists(): await asyncio.sleep(0.05)\n'went on'"
    write_notebook(lab.root / "behind.ipynb", "%load_ext nbsync", pull, wait, "%s3sync jobs")
    lab.open(page, "behind.ipynb")
    run_all(page)
    table = page.locator(".jp-Notebook .jp-CodeCell").nth(1).locator(".jp-OutputArea-output")
    other = page.locator(".jp-Notebook .jp-CodeCell").nth(2)
    expect(table).to_contain_text("of 4 files")
    expect(other.locator(".jp-InputPrompt")).to_contain_text("[*]")
    seen = [moved(table)]
    for _ in range(2):
        valve.let_through(BIG // 2)
        expect(table).not_to_contain_text(seen[-1])
        seen.append(moved(table))
    expect(other.locator(".jp-InputPrompt")).to_contain_text("[*]")
    snap(page, "background")
    (lab.root / "go").touch()
    expect(other.locator(".jp-OutputArea-output")).to_contain_text("went on")
    again = page.locator(".jp-Notebook .jp-CodeCell").nth(3).locator(".jp-OutputArea-output")
    expect(again).to_have_count(2)
    expect(again.nth(0)).to_contain_text("syncing")
    last = moved(table)
    valve.let_through(BIG // 2)
    expect(table).not_to_contain_text(last)
    valve.open()
    for ended in (table, again.nth(1)):
        expect(ended).to_contain_text("4 miss")
        expect(ended).to_contain_text("✓ done")
    (lab.root / "go").unlink()
