"""The picture of what moved by folder: its numbers, when it is shown, and what it never lets through."""

from __future__ import annotations

from typing import Any

import pytest

from nbsync.report import html_page
from nbsync.report.folders import Share, by_folder
from nbsync.results.sync_result import SyncResult
from tests.unit.report.test_report import Reader
from tests.unit.samples import HOSTILE, result, row


def moved(*paths: str, size: int = 1000, status: str = "miss", **more: Any) -> list[Any]:
    return [row(path, status, bytes=size, **more) for path in paths]


def several(folder: str, count: int, **more: Any) -> list[Any]:
    return moved(*(f"{folder}{n}" for n in range(count)), **more)


def hits(folder: str, count: int) -> list[Any]:
    return [row(f"{folder}h{n}", "hit") for n in range(count)]


def picture(of: SyncResult) -> str:
    """The text of the picture in the report: what stands before the table of files."""
    return Reader(html_page.result_html(of, "summary")).text


def test_folders_by_bytes_with_what_was_up_to_date() -> None:
    rows = [*several("a/x/", 4), *several("b/", 3, size=9000), *hits("b/", 7), *hits("c/", 2), *moved("top")]
    shares = by_folder(result(*rows))
    assert shares is not None
    assert shares.shown == [Share("b/", 27_000, 3, 7), Share("a/", 4000, 4, 0), Share("", 1000, 1, 0),
                            Share("c/", 0, 0, 2)]  # fmt: skip
    assert shares.others is None
    text = picture(result(*rows))
    for told in ("b/", "27.0 kB", "3 moved, 7 up to date", "4 moved", "beside the folders", "2 up to date"):
        assert told in text


@pytest.mark.parametrize(("prefix", "expected"), [("data/2024/", ["data/2024/b/", "data/2024/a/"]), ("", ["b/", "a/"])])
def test_the_level_is_where_the_paths_part(prefix: str, expected: list[str]) -> None:
    shares = by_folder(result(*several(f"{prefix}a/deep/", 3), *several(f"{prefix}b/", 4)))
    assert shares is not None
    assert [one.name for one in shares.shown] == expected


def test_a_bar_is_as_long_as_its_bytes_against_the_largest() -> None:
    page = html_page.result_html(result(*several("a/", 3, size=100), *several("b/", 3, size=400)), "summary")
    assert page.index("width:100%;height:8px") < page.index("width:25%;height:8px")


def test_many_folders_are_one_line() -> None:
    rows = [one for n in range(20) for one in several(f"f{n:02}/", 2, size=1000 * (20 - n))]
    shares = by_folder(result(*rows))
    assert shares is not None
    assert (len(shares.shown), shares.number_of_others) == (6, 14)
    assert shares.others == Share("", sum(2000 * (20 - n) for n in range(6, 20)), 28, 0)
    assert "… 14 more folders" in picture(result(*rows))


@pytest.mark.parametrize(
    "rows",
    [
        [], several("a/", 3) + several("b/", 2), several("a/", 9), several("", 9), hits("a/", 9) + hits("b/", 9),
        several("a/", 9, size=0) + several("b/", 9, size=0), several("a/", 9, status="failed") + moved("b/1"),
        several("a/", 9, status="deleted", action="delete-local") + several("b/", 9, status="conflict"),
    ],
)  # fmt: skip
def test_where_it_would_say_nothing_there_is_none(rows: list[Any]) -> None:
    assert by_folder(result(*rows)) is None
    assert "folder" not in picture(result(*rows))


def test_a_plan_says_what_would_move() -> None:
    rows = [*several("a/", 4, status="planned", action="upload"), *several("b/", 3, status="planned", action="upload"),
            row("b/gone", "planned", action="delete-remote")]  # fmt: skip
    text = picture(result(*rows, command="plan", direction="push"))
    assert "4 to move" in text
    assert "3 to move" in text
    assert " moved" not in text


def test_hits_that_have_no_rows_are_not_counted() -> None:
    made = result(*several("a/", 4), *several("b/", 4), *hits("a/", 3))
    made.hits_omitted = 5
    assert "up to date" not in picture(made).partition("files")[2].partition("=")[0]


def test_a_folder_s_name_is_only_text() -> None:
    name = HOSTILE.replace("/", "")
    page = html_page.result_html(result(*several(f"{name}/", 4), *several("$x$/", 4)), "summary")
    seen = Reader(page)
    assert seen.tags <= {"div", "b", "table", "tr", "td", "th", "span", "code"}
    assert "<img src=x" in seen.text
    assert "<img src=x" not in seen.outside_code
    assert "$x$" not in seen.outside_code
    assert all(char.isprintable() for char in page)


def test_it_is_small() -> None:
    name = '<&"' * 300
    rows = [one for n in range(40) for one in several(f"{n:03}{name}/", 10)]
    shown, plain = html_page.result_html(result(*rows), "summary"), html_page.result_html(result(*rows[:5]), "summary")
    assert len(shown) - len(plain) < 15_000
    short = result(*(one for n in range(40) for one in several(f"folder-{n}/", 10)))
    assert len(html_page.result_html(short, "summary")) < 7000
    assert len(html_page.result_html(short)) < 125_000
