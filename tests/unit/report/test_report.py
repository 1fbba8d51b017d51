"""Reports are pure functions of data: what they say, what they never let through, how large they get."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser

import pytest

from nbsync._version import DISTRIBUTION, __version__
from nbsync.core.call import Call
from nbsync.core.model import Active, Problem, Verb
from nbsync.errors import AccessDenied, GuardRefusal, Interrupted
from nbsync.report import answers, formats, html_page, text_page
from nbsync.report.json import json_document, refusal
from nbsync.results import display
from nbsync.results.batch import SyncResults
from tests.unit.samples import HOSTILE, listed, listing, mixed, one_listed, result, row, snapshot


class Reader(HTMLParser):
    """The text of a page, and its tags and attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = self.outside_code = ""
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "
        if "code" not in self._open:
            self.outside_code += data + " "


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (4096, "4.1 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
     (2 * 10**9, "2.0 GB"), (10**15, "1.0 PB"), (5 * 10**18, "5,000.0 PB")],
)  # fmt: skip
def test_sizes(count: int, text: str) -> None:
    assert formats.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (0.84, "0.8 s"), (9.96, "10 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (3780, "1 h 3 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


def test_a_year_that_no_calendar_has() -> None:
    assert formats.moment(1_700_000_000 * 10**9) == "2023-11-14 22:13:20"
    assert formats.moment(10**30) == "?"


def test_text_says_everything_in_order() -> None:
    lines = text_page.result_text(mixed()).splitlines()
    assert lines[0] == "pull s3://bucket/raw/ → data"
    assert lines[1] == "  ✗ 4 problems · 0.8 s · 2.0 GB moved · 41.0 MB saved · 10 LIST 15 GET"
    assert lines[2] == "  1 failed · 1 conflict · 1 skipped · 1 deleted · 2 miss · 40 hit"
    assert [line.split()[:2] for line in lines[3:9]] == [
        ["!", "failed"], ["!", "conflict"], ["!", "skipped"], ["-", "deleted"], ["*", "miss"], ["+", "miss"],
    ]  # fmt: skip
    assert lines[9:] == [
        "  = 40 files up to date, 41.0 MB not moved",
        "  ! a/../b: the key has a .. segment and would leave LOCAL",
        "  note: conditional DELETE is unproven on this server: best effort",
    ]


def test_html_says_what_text_says() -> None:
    seen = Reader(html_page.result_html(mixed()))
    for one in mixed().files[40:]:
        assert one.path in seen.text
        assert one.reason in seen.text
        assert one.status in seen.text
    for part in ("✗ 4 problems", "0.8 s", "40 hit", "40 files up to date", "leave LOCAL", "best effort", "2.0 GB"):
        assert part in seen.text


def test_show_chooses_the_rows() -> None:
    summary, changed, everything = (text_page.result_text(mixed(), show) for show in ("summary", "changed", "all"))
    assert "2025/new.csv" not in summary
    assert "locked.bin" in summary  # a problem is never left out
    assert "2024/part-0000.parquet" not in changed
    assert all(f"2024/part-{i:04}.parquet" in everything for i in range(40))
    assert "up to date, 41.0 MB" not in everything
    assert "2024/part-0039.parquet" in html_page.result_html(mixed(), "all")


def test_a_plan_says_what_it_would_do() -> None:
    planned = result(
        row("a", "planned", action="upload", reason="missing remotely", bytes=5000),
        row("b", "planned", action="delete-remote", reason="not in the source"),
        command="plan", direction="push",
    )  # fmt: skip
    lines = text_page.result_text(planned).splitlines()
    assert lines[0] == "plan push data → s3://bucket/raw/"
    assert lines[1] == "  ✓ planned, nothing changed · 0.8 s · 5.0 kB to move · 1 LIST"
    assert lines[3].split()[:3] == ["+", "planned", "upload"]
    assert lines[4].split()[:3] == ["-", "planned", "delete-remote"]
    assert text_page.result_text(result(dry_run=True)).startswith("pull (dry run) s3://")


def test_an_empty_file_that_moved_has_a_size_and_a_hit_has_none() -> None:
    text = text_page.result_text(result(row("empty", "miss", bytes=0), row("same", "hit")), "all")
    assert re.search(r"miss +0 B +empty", text)
    assert re.search(r"hit +same", text)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(Interrupted("stopped by you"), "✗ interrupted"), (GuardRefusal("too many"), "✗ refused"),
     (AccessDenied("no right"), "✗ stopped")],
)  # fmt: skip
def test_a_run_that_ended_early_says_why(error: Exception, verdict: str) -> None:
    ended = result(row("a", "miss"), error=error)
    for text in (text_page.result_text(ended), Reader(html_page.result_html(ended)).text):
        assert verdict in text
        assert str(error) in text
        assert "miss" in text


def test_after_an_interrupt_what_was_done_stands_first() -> None:
    rows = [*(row(f"c{i:03}", "cancelled") for i in range(300)), row("z", "miss"), row("x", "failed")]
    assert "+ miss" in text_page.result_text(result(*rows, error=Interrupted("stopped")))
    assert "+ miss" not in text_page.result_text(result(*rows))


def test_one_line_summary() -> None:
    assert display.line(result(row("a", "miss"), row("b", "hit"))) == (
        "pull s3://bucket/raw/ → data: ✓ 1 miss, 1 hit, 4.1 kB moved, 0.8 s"
    )
    assert display.line(result()) == "pull s3://bucket/raw/ → data: ✓ no files, 0 B moved, 0.8 s"
    assert display.line(mixed()).startswith("pull s3://bucket/raw/ → data: ✗ 4 problems: 1 failed, ")


def hostile_reports() -> dict[str, str]:
    rows = [row(HOSTILE, status, reason=HOSTILE, evidence=HOSTILE, error=HOSTILE) for status in formats.IMPORTANCE]
    bad = result(*rows, remote=HOSTILE, problems=[Problem(HOSTILE, HOSTILE, HOSTILE)], notes=[HOSTILE],
                 error=GuardRefusal(HOSTILE))  # fmt: skip
    live = snapshot(remote=HOSTILE, problems=bad.problems, active=(Active(HOSTILE, Verb.UPLOAD, 1, 2),))
    found = listing(listed(HOSTILE, HOSTILE, 1, 1, HOSTILE), remote=HOSTILE, notes=[HOSTILE])
    return {
        "result html": html_page.result_html(bad, "all"), "result text": text_page.result_text(bad, "all"),
        "live html": html_page.snapshot_html(live), "live text": text_page.snapshot_text(live),
        "listing html": html_page.listing_html(found), "listing text": text_page.listing_text(found),
        "summary": display.line(bad), "coloured": text_page.result_text(bad, "all", colour=True),
        "several": display.html(SyncResults([bad, found])),
    }  # fmt: skip


def test_a_command_with_one_place_has_no_arrow() -> None:
    stopped = result(command="ls", remote="s3://b/x/", local="", error=AccessDenied("no"))
    assert display.line(stopped).startswith("ls s3://b/x/: ✗ ")


def test_names_from_a_bucket_are_only_text() -> None:
    for name, text in hostile_reports().items():
        without_colour = re.sub(r"\x1b\[\d+m", "", text) if name == "coloured" else text
        assert all(char.isprintable() or char == "\n" for char in without_colour), name
        if name in ("result html", "live html", "listing html", "several"):
            seen = Reader(text)
            assert seen.tags <= {"div", "b", "table", "tr", "td", "th", "span", "code"}
            assert seen.attributes <= {"style", "colspan"}
            assert "<img src=x" in seen.text
            assert "<img src=x" not in seen.outside_code, "a front end may read it as a formula"


def test_only_a_skipped_row_that_no_problem_names_needs_no_look() -> None:
    rows = [row("link", "skipped", action="none", reason="a symbolic link"), row("cold.tar", "skipped")]
    seen = result(*rows, problems=[Problem("cold.tar", "archived", "content differs")])
    assert [line.split()[0] for line in text_page.result_text(seen).splitlines()[3:]] == ["!", "·"]
    assert ">·</b> skipped" in html_page.result_html(seen)


def test_a_run_that_waits_says_for_what() -> None:
    waits = "waiting for another nbsync run in this folder"
    assert waits in html_page.snapshot_html(snapshot(state="waiting"))
    assert waits in text_page.snapshot_text(snapshot(state="waiting"))


def test_html_lives_without_what_untrusted_notebooks_strip() -> None:
    for page in (
        html_page.result_html(mixed(), "all"),
        html_page.snapshot_html(snapshot()),
        html_page.listing_html(one_listed()),
    ):
        assert not re.search(r"<style|<svg|<script|<details|role=|aria-|var\(|class=", page)


@pytest.mark.slow
@pytest.mark.parametrize("status", ["miss", "failed", "hit"])
def test_a_large_run_gives_a_small_page_quickly(status: str) -> None:
    name = '<&"' * 330
    big = result(*(row(f"{i:06}/{name}", status, reason=HOSTILE * 20) for i in range(100_000)))
    if status == "failed":
        big.problems = [Problem(one.path, "failed", HOSTILE * 20) for one in big.files]
    began = time.process_time()
    page, text = html_page.result_html(big, "all"), text_page.result_text(big, "all")
    assert time.process_time() - began < 4
    assert len(page) < 1_000_000
    assert len(text) < 400_000


def test_many_changes_are_cut_and_the_rest_counted() -> None:
    many = result(*(row(f"f{i:05}", "miss") for i in range(1_434)))
    for text in (text_page.result_text(many), Reader(html_page.result_html(many)).text):
        assert "and 1,234 more: " in text
        assert "f00199" in text
        assert "f00200" not in text
    assert "f01433" in text_page.result_text(many, unlimited=True)
    assert len(html_page.result_html(many)) < 115_000


def test_live_html_has_one_height_and_six_files() -> None:
    pages = [html_page.snapshot_html(snapshot()), html_page.snapshot_html(snapshot(active=(), problems=(), counts={}))]
    assert len({re.findall(r"height:\d{3}px;overflow", page)[0] for page in pages}) == 1
    text = Reader(pages[0]).text
    for part in ("131 of 260 files", "4.5 MB of 9.0 MB", "2.1 MB/s", "2.1 s left", "11 miss", "day-05", "a/../b"):
        assert part in text
    assert "day-06" not in text
    assert "width:50%" in pages[0]


def test_totals_that_still_grow_are_marked() -> None:
    text = text_page.snapshot_text(snapshot(listing_done=False))
    assert "131 of 260+ files · 4.5 MB of 9.0 MB+" in text
    assert "left" not in text
    empty = snapshot(files_total=0, bytes_total=0, files_done=0, bytes_done=0, state="starting")
    assert "width:0%" in html_page.snapshot_html(empty)


def test_a_listing() -> None:
    long = listing(*(listed(f"raw/{i}.csv", f"{i}.csv", 1500, 0, "GLACIER") for i in range(300)))
    text, seen = text_page.listing_text(long), Reader(html_page.listing_html(long)).text
    assert "1970-01-01 00:00:00         1500 raw/0.csv" in text
    for part in ("300 objects, 450.0 kB", "and 100 more: "):
        assert part in text
        assert part in seen
    assert "GLACIER" in seen
    assert len(list(text_page.listing_lines(long.entries))) == 300
    assert "<table" not in html_page.listing_html(listing())


def test_json_is_the_contracts_document_in_plain_ascii() -> None:
    text = json_document(result(row(HOSTILE + "\udc80", "miss"), command="push"))
    assert text.isascii()
    assert "\x1b" not in text
    document = json.loads(text)
    assert document["files"][0]["path"] == HOSTILE + "\udc80"
    refused = refusal(Call(command="pull", remote="b"), GuardRefusal("no"))
    assert json.loads(json_document(refused))["error"] == "no"
    assert json.loads(json_document(refused))["nbsync"] == {"distribution": DISTRIBUTION, "version": __version__}
    assert json.loads(json_document(refused))["ok"] is False


def test_several_results_stand_below_each_other() -> None:
    one, other = mixed(), one_listed()
    both = SyncResults([one, other], file="f.txt")
    tables = f"\n\n{text_page.result_text(one)}\n\n{text_page.listing_text(other)}"
    assert display.text(both) == answers.together_text(both) + tables
    assert answers.together_text(both).splitlines() == [
        "run f.txt",
        "  ✗ 1 of 2 with problems · 1 failed · 1 conflict · 1 skipped · 1 deleted · 2 miss · 40 hit",
        "  ✗ pull s3://bucket/raw/ → data: 4 problems: " + display.line(one).partition("problems: ")[2],
        "  ✓ ls s3://bucket/raw/: 1 object, 4.1 kB",
    ]
    tables = html_page.result_html(one) + html_page.listing_html(other)
    assert display.html(both) == answers.together_html(both) + tables
    assert display.text(SyncResults([other])) == text_page.listing_text(other)
    assert "no commands" in display.text(SyncResults())


@pytest.mark.parametrize(("undone", "listed"), [(10, 10), (11, 0)])
def test_what_an_interrupt_left_undone_is_no_long_list(undone: int, listed: int) -> None:
    rows = [row("done.csv", "miss"), *(row(f"left-{n}.csv", "cancelled") for n in range(undone))]
    ended = result(*rows, error=Interrupted("stopped"))
    for said in (text_page.result_text(ended), Reader(html_page.result_html(ended)).text):
        assert (said.count("left-"), "done.csv" in said, f"{undone} cancelled" in said) == (listed, True, True)


def test_a_pull_of_nothing_says_so() -> None:
    assert "nothing to pull" in text_page.result_text(result())
