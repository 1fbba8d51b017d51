"""A pull link in a real JupyterLab behind a base URL, as a hub gives it: from the link to the open notebook.

Screenshots are left in tests/artefacts/ for a person to look at.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from nbsync.core.pull_link import PullLink, page_url
from tests.e2e.helpers import fill, nbsync, staged, tree, write_notebook
from tests.e2e.lab import TOKEN, Lab, running_lab, snap
from tests.e2e.valve import Valve
from tests.servers import Server
from tests.servers.base import free_port
from tests.servers.faults import Refusal
from tests.servers.plenty import PlentyServer
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.browser
BASE = "/user/alice/"
HOSTILE = "<img src=x onerror=alert(1)>.txt"
REVERSED = "gpj.\u202eexe"
BIG = 2_000_000
THERE = "api/status"  # a page of Jupyter's own that is drawn at once


@pytest.fixture(scope="module")
def valve(moto_server: Server) -> Iterator[Valve]:
    """The endpoint that the lab's owner named `slow`."""
    started = Valve(moto_server.endpoint_url)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def faulty(moto_server: Server) -> Iterator[Proxy]:
    """The endpoint named `faulty`, which refuses every object whose name has `secret` in it."""
    with Proxy(moto_server.endpoint_url) as started:
        started.on(Refusal(403, "AccessDenied"), "GetObject", "*secret*", times=-1)
        yield started


@pytest.fixture(scope="module")
def plenty() -> Iterator[PlentyServer]:
    """The endpoint named `plenty`, of 10,000 objects."""
    started = PlentyServer(10_000)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def lab(
    browser: Browser, moto_server: Server, valve: Valve, faulty: Proxy, plenty: PlentyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:  # fmt: skip
    """One whose base URL is that of a user of a hub."""
    urls = {"slow": valve.url, "faulty": faulty.url, "plenty": plenty.endpoint_url,
            "gone": f"http://127.0.0.1:{free_port()}"}  # fmt: skip
    links = {"endpoints": {name: {"endpoint_url": url} for name, url in urls.items()}, "timeout": 20, "retries": 0}
    folder = tmp_path_factory.mktemp("lab")
    with running_lab(folder, moto_server.env(), base_url=BASE, config={"PullLinks": links}) as started:
        yield started


@pytest.fixture
def page(page: Page) -> Iterator[Page]:
    """A page whose own script neither fails nor meets its content security policy."""
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        ours = re.search(r"/nbsync/(static|pull)", message.location["url"])
        if ours and message.type == "error" and not message.text.startswith("Failed to load resource"):
            complaints.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)) if "/nbsync/pull" in page.url else None)
    yield page
    assert complaints == []


@pytest.fixture
def data(lab: Lab, valve: Valve) -> Iterator[Path]:
    """The folder that the links pull into; it is not there at first."""
    folder = lab.root / "data"
    shutil.rmtree(folder, ignore_errors=True)
    yield folder
    valve.open()


def visit(page: Page, lab: Lab, link: PullLink) -> None:
    """Follow a link that carries the lab's token."""
    page.goto(f"{page_url(link, server=lab.url)}&token={TOKEN}")


def link(bucket: str, endpoint: str = "", urlpath: str = THERE) -> PullLink:
    return PullLink(f"{bucket}/raw", "data", urlpath, endpoint=endpoint)


def button(page: Page, name: str | re.Pattern[str]) -> Locator:
    return page.get_by_role("button", name=name, exact=isinstance(name, str))


def says(page: Page, headline: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(headline, timeout=15_000)


def row(page: Page, path: str) -> Locator:
    return page.locator(".rows li").filter(has_text=path)


def arrived(page: Page, lab: Lab, urlpath: str = THERE) -> None:
    page.wait_for_url(f"{lab.url}/{urlpath}*", wait_until="commit", timeout=15_000)


def pulls(lab: Lab) -> list[str]:
    """The pulls that the server knows, looks left out."""
    return [pull["id"] for pull in lab.call("nbsync/api/pulls") if not pull["dry_run"]]


def test_from_the_link_to_the_open_notebook(
    lab: Lab, page: Page, moto_server: Server, store: str, data: Path, tmp_path: Path
) -> None:
    write_notebook(tmp_path / "start.ipynb", "sum([1, 2])")
    files = {"start.ipynb": (tmp_path / "start.ipynb").read_bytes(), HOSTILE: b"boo", REVERSED: b"boo", "a/b.csv": b"1"}
    fill(moto_server, store, {f"raw/{name}": body for name, body in files.items()})
    visit(page, lab, link(store, urlpath="lab/tree/data/start.ipynb"))
    says(page, "Pull 4 files into data?")
    assert TOKEN not in page.url
    assert page.url.startswith(f"{lab.url}/nbsync/pull?source={store}/raw")
    assert not data.exists()
    expect(page.locator(".facts")).to_contain_text(f"s3://{store}/raw/")
    expect(page.locator(".facts")).to_contain_text("127.0.0.1")
    expect(row(page, HOSTILE)).to_be_visible()
    expect(row(page, r"gpj.\u202eexe")).to_be_visible()
    expect(page.locator("img")).to_have_count(1)  # the page's own
    button(page, "Pull 4 files").click()
    page.get_by_role("button", name="Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    expect(page.locator(".jp-Notebook .jp-CodeCell")).to_be_visible()
    assert page.url.startswith(f"{lab.url}/lab")
    assert {name: body for name, body in tree(data).items() if not name.startswith(".ipynb_checkpoints/")} == files


def test_what_is_there_already_is_not_asked_about(
    lab: Lab, page: Page, moto_server: Server, store: str, data: Path
) -> None:
    fill(moto_server, store, {"raw/a.csv": b"1"})
    nbsync("pull", f"{store}/raw", "data", cwd=lab.root, env=moto_server.env())
    visit(page, lab, link(store))
    arrived(page, lab)


@pytest.fixture
def half_done(lab: Lab, page: Page, moto_server: Server, store: str, valve: Valve, data: Path) -> PullLink:
    """A link whose pull stands still, some of its bytes here, and is shown in `page`."""
    names = [f"raw/scan-{n}.bin" for n in range(4)]
    fill(moto_server, store, {"raw/a.csv": b"1", **dict.fromkeys(names, os.urandom(BIG))})
    asked = link(store, "slow")
    visit(page, lab, asked)
    says(page, "Pull 5 files into data?")
    valve.let_through(BIG * 3 // 4)
    button(page, "Pull 5 files").click()
    expect(page.locator(".numbers")).to_contain_text(re.compile(r"[1-9]\d\d\.\d kB of 8\.0 MB|[12]\.\d MB of 8\.0 MB"))
    return asked


def test_a_reload_and_a_second_tab_show_the_same_pull(
    browser: Browser, lab: Lab, page: Page, half_done: PullLink, valve: Valve, data: Path
) -> None:
    before = pulls(lab)
    says(page, "Pulling into data")
    expect(page.locator(".active li")).to_have_count(4)
    expect(row(page, "a.csv")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile(r"[1-9]"))
    snap(page, "pull-progress-light")
    page.reload()
    says(page, "Pulling into data")
    expect(row(page, "a.csv")).to_be_visible()
    other = browser.new_page(color_scheme="dark")
    visit(other, lab, half_done)
    says(other, "Pulling into data")
    expect(other.locator(".active li")).to_have_count(4)
    snap(other, "pull-progress-dark")
    valve.open()
    arrived(page, lab)
    arrived(other, lab)
    other.close()
    assert pulls(lab) == before
    assert {name: len(body) for name, body in tree(data).items() if name != "a.csv"} == {
        f"scan-{n}.bin": BIG for n in range(4)
    }


def test_cancel_and_go_on_later(page: Page, lab: Lab, half_done: PullLink, valve: Valve, data: Path) -> None:
    button(page, "Cancel").click()
    says(page, "The pull was cancelled")
    assert tree(data) == {"a.csv": b"1"}
    assert staged(data) == []
    snap(page, "pull-cancelled")
    valve.open()
    button(page, "Pull again").click()
    says(page, "Pull 4 files into data?")
    button(page, "Pull 4 files").click()
    arrived(page, lab)
    assert len(tree(data)) == 5


def test_a_line_that_is_lost_is_said_and_taken_up(page: Page, lab: Lab, half_done: PullLink, valve: Valve) -> None:
    page.route("**/events", lambda route: route.abort())  # as behind a proxy that knows no streams
    page.reload()
    says(page, "Pulling into data")
    expect(row(page, "a.csv")).to_be_visible()
    page.route("**/nbsync/api/**", lambda route: route.abort())
    expect(page.locator(".hint")).to_contain_text("No answer from this server")
    page.unroute("**/nbsync/api/**")
    expect(page.locator(".hint")).to_contain_text("the pull goes on")
    valve.open()
    arrived(page, lab)


def test_what_i_edited_is_said_and_kept(lab: Lab, page: Page, moto_server: Server, store: str, data: Path) -> None:
    fill(moto_server, store, {"raw/2024/forest.csv": b"theirs", "raw/2024/coast.csv": b"theirs", "raw/same.csv": b"1"})
    nbsync("pull", f"{store}/raw", "data", cwd=lab.root, env={**moto_server.env(), **lab.user})
    (data / "2024" / "forest.csv").write_bytes(b"mine")
    fill(moto_server, store, {"raw/2024/forest.csv": b"theirs, newer", "raw/2024/coast.csv": b"theirs, newer"})
    page.emulate_media(color_scheme="dark")
    visit(page, lab, link(store))
    says(page, "Pull 2 files into data?")
    warning = page.locator(".callout")
    expect(warning).to_contain_text("1 file with changes of yours will be replaced")
    expect(page.locator(".rows li").first).to_contain_text("2024/forest.csv")
    snap(page, "pull-edits-dark")
    command = warning.locator("code").inner_text()
    button(page, "Pull 2 files").click()
    arrived(page, lab)
    assert (data / "2024" / "forest.csv").read_bytes() == b"theirs, newer"
    assert command == "nbsync undo data"
    assert nbsync(*command.split()[1:], cwd=lab.root, env=lab.user).returncode == 0
    assert (data / "2024" / "forest.csv").read_bytes() == b"mine"


def test_what_i_edit_while_the_page_asks_is_kept_and_said_afterwards(
    lab: Lab, page: Page, moto_server: Server, store: str, data: Path
) -> None:
    fill(moto_server, store, {"raw/a.csv": b"theirs"})
    nbsync("pull", f"{store}/raw", "data", cwd=lab.root, env={**moto_server.env(), **lab.user})
    fill(moto_server, store, {"raw/a.csv": b"theirs, newer"})
    visit(page, lab, link(store))
    says(page, "Pull 1 file into data?")
    expect(page.locator(".callout")).to_have_count(0)
    (data / "a.csv").write_bytes(b"mine")
    button(page, "Pull 1 file").click()
    says(page, "1 file pulled into data")
    expect(page.locator(".callout")).to_contain_text("1 file with changes of yours was replaced")
    assert nbsync("undo", "data", cwd=lab.root, env=lab.user).returncode == 0
    assert (data / "a.csv").read_bytes() == b"mine"
    button(page, "Open").click()
    arrived(page, lab)


def test_a_file_that_fails_is_named(lab: Lab, page: Page, moto_server: Server, store: str, data: Path) -> None:
    fill(moto_server, store, {"raw/a.csv": b"1", "raw/b.csv": b"2", "raw/secret.csv": b"3"})
    visit(page, lab, link(store, "faulty"))
    button(page, "Pull 3 files").click()
    says(page, "1 file could not be pulled")
    failed = page.locator(".rows li").first
    expect(failed).to_contain_text("secret.csv")
    expect(failed).to_contain_text("denied")
    assert set(tree(data)) == {"a.csv", "b.csv"}
    snap(page, "pull-failed-file")
    button(page, "Open anyway").click()
    arrived(page, lab)


@pytest.mark.parametrize(
    ("endpoint", "bucket", "names"), [("gone", "bucket", "127.0.0.1"), ("", "no-such-one", "no-such-one")]
)
def test_a_dead_end_is_said(lab: Lab, page: Page, data: Path, endpoint: str, bucket: str, names: str) -> None:
    page.set_viewport_size({"width": 400, "height": 700})
    visit(page, lab, link(bucket, endpoint))
    says(page, "This cannot be pulled")
    expect(page.locator(".callout")).to_contain_text(names)
    snap(page, f"pull-dead-end-{endpoint or 'bucket'}-narrow")
    assert not data.exists()


def test_a_link_to_nothing_says_so_and_goes_nowhere(
    lab: Lab, page: Page, moto_server: Server, store: str, data: Path
) -> None:
    fill(moto_server, store, {"rawer/a.csv": b"1"})
    before = pulls(lab)
    visit(page, lab, link(store))
    says(page, "This cannot be pulled")
    expect(page.locator(".callout")).to_contain_text(f"there is nothing under s3://{store}/raw/.")
    expect(page.locator("#buttons button")).to_have_text(["Open anyway", "Try again"])
    assert pulls(lab) == before
    assert not data.exists()


def test_filters_that_leave_nothing_are_said_and_it_goes_nowhere(
    lab: Lab, page: Page, moto_server: Server, store: str, data: Path
) -> None:
    fill(moto_server, store, {"raw/a.csv": b"1"})
    visit(page, lab, link(store)._replace(filters=(("exclude", "*"),)))
    says(page, "There is nothing to pull")
    expect(page.locator("#message")).to_have_text("The link asks for none of the files that lie there.")
    expect(page.locator("#buttons button")).to_have_text(["Open anyway", "Look again"])
    assert not data.exists()


def test_a_link_that_leaves_the_server_is_refused(lab: Lab, page: Page) -> None:
    answer = page.goto(f"{lab.url}/nbsync/pull?source=bucket/raw&target=../up&token={TOKEN}")
    assert answer is not None
    assert answer.status == 400
    says(page, "This link cannot be followed")
    expect(page.locator(".callout")).to_contain_text("../up")
    snap(page, "pull-refused")


def test_by_keyboard_alone(lab: Lab, page: Page, moto_server: Server, store: str, data: Path) -> None:
    fill(moto_server, store, {"raw/a.csv": b"1"})
    visit(page, lab, link(store))
    says(page, "Pull 1 file into data?")
    expect(page.get_by_role("status")).to_contain_text("Pull 1 file into data?")
    for _ in range(3):  # the list, which scrolls, Cancel, Pull
        page.keyboard.press("Tab")
    expect(button(page, "Pull 1 file")).to_be_focused()
    page.keyboard.press("Enter")
    arrived(page, lab)
    assert tree(data) == {"a.csv": b"1"}


def test_ten_thousand_files_are_a_short_list(lab: Lab, page: Page, data: Path) -> None:
    visit(page, lab, PullLink("keys-10000", "data", endpoint="plenty"))
    says(page, "Pull 10,000 files into data?")
    expect(page.locator(".rows li")).to_have_count(200)
    expect(page.locator(".more")).to_have_text("… and 9,800 more files")
    page.set_viewport_size({"width": 400, "height": 700})
    snap(page, "pull-many-narrow")
    button(page, "Pull 10,000 files").click()
    says(page, "10,000 files pulled into data")
    assert page.locator(".rows li").count() <= 200
    assert len(tree(data)) == 10_000
