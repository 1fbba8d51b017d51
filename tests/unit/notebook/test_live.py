"""Drawing a run while it lasts: how often, what stays, and what an interrupt does."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from nbsync.api.follow import SilentFace, follow
from nbsync.core.model import Active, Problem, Verb
from nbsync.errors import GuardRefusal, Interrupted
from nbsync.notebook import live
from nbsync.report import html_page, text_page
from nbsync.report.terminal import TerminalFace
from tests.unit.samples import HOSTILE, Job, mixed, result, row, snapshot


class Screen:
    """Stands for IPython's `display`: remembers what was shown, and the handle's updates."""

    def __init__(self) -> None:
        self.drawn: list[dict[str, str]] = []
        self.displays = 0

    def __call__(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> Screen:
        assert raw
        assert display_id
        self.displays += 1
        self.drawn.append(bundle)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.drawn.append(bundle)


def face(screen: Screen, times: list[float], show: str = "changed") -> live.NotebookFace:
    return live.NotebookFace(show, display=screen, clock=iter(times).__next__)


def test_one_display_that_ends_as_the_table() -> None:
    screen = Screen()
    ended = follow(Job(mixed(), [snapshot()] * 3), face(screen, [0.0, 0.3, 0.6]))
    assert ended.counts["miss"] == 2
    assert screen.displays == 1
    assert len(screen.drawn) == 4
    assert screen.drawn[0] == {
        "text/html": html_page.snapshot_html(snapshot()),
        "text/plain": text_page.snapshot_text(snapshot()),
    }
    assert screen.drawn[-1] == {
        "text/html": html_page.result_html(mixed()),
        "text/plain": text_page.result_text(mixed()),
    }


def test_at_most_five_updates_a_second() -> None:
    screen = Screen()
    follow(Job(mixed(), [snapshot()] * 1000), face(screen, [i / 1000 for i in range(1000)]))
    assert len(screen.drawn) <= 6


def test_a_short_run_is_only_its_table() -> None:
    screen = Screen()
    follow(Job(mixed(), [snapshot(state="starting", seconds=0.1)]), face(screen, []))
    assert [list(bundle) for bundle in screen.drawn] == [["text/html", "text/plain"]]
    assert "pull" in screen.drawn[0]["text/plain"]


def test_show_decides_the_last_picture() -> None:
    screen = Screen()
    follow(Job(mixed(), []), face(screen, [], "all"))
    assert screen.drawn[-1]["text/html"] == html_page.result_html(mixed(), "all")


def test_a_refusal_without_rows_draws_no_table_but_ends_a_drawing() -> None:
    refused = result(error=GuardRefusal("too many"))
    screen = Screen()
    follow(Job(refused, []), face(screen, []))
    assert screen.drawn == []
    follow(Job(refused, [snapshot()]), face(screen, [0.0]))
    assert "too many" in screen.drawn[-1]["text/plain"]


def test_an_interrupt_cancels_and_shows_what_was_done() -> None:
    screen = Screen()
    job = Job(result(row("a", "miss"), row("b", "cancelled")), [snapshot()], interrupts=1)
    ended = follow(job, face(screen, [0.0, 1.0]))
    assert job.cancelled
    assert isinstance(ended.error, Interrupted)
    assert "interrupted" in screen.drawn[-1]["text/html"]
    assert "cancelled" in screen.drawn[-1]["text/html"]


def test_an_interrupt_that_came_too_late_to_cancel_is_one_all_the_same() -> None:
    class Deaf(Job):
        def cancel(self) -> None:
            pass

    ended = follow(Deaf(mixed(), [], interrupts=1), SilentFace())
    assert ended.exit_code == 130


def test_a_second_interrupt_leaves_and_the_terminal_is_put_back() -> None:
    closed: list[Any] = []

    class Face(SilentFace):
        def close(self, result: Any) -> None:
            closed.append(result)

    with pytest.raises(KeyboardInterrupt):
        follow(Job(mixed(), [], interrupts=2), Face())
    assert closed == [None]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_progress_and_then_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    progress = TerminalFace(stream)
    hostile = (Active(HOSTILE, Verb.DOWNLOAD, 1, 2), Active("[red]x[/nope]", Verb.DOWNLOAD, 0, 0))
    progress.tick(snapshot(active=hostile, problems=(Problem(HOSTILE, "failed", HOSTILE),)))
    drawn = stream.getvalue()
    assert "131 of 260 files" in drawn
    assert "[red]x[/nope]" in drawn
    assert r"\x1b[31m\u202egpj.exe" in drawn
    progress.close(mixed())
    assert "\x1b[?25h" in stream.getvalue()  # the cursor is shown again
    assert "\x1b[2K" in stream.getvalue()[len(drawn) :]  # and the lines are taken away
    visible = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    assert all(char.isprintable() or char in "\r\n" for char in visible)


def test_a_stream_that_is_no_terminal_sees_nothing() -> None:
    stream = io.StringIO()
    follow(Job(mixed(), [snapshot()]), TerminalFace(stream))
    assert stream.getvalue() == ""


WAITS = "waiting for another nbsync run in this folder"


def test_a_run_that_waits_says_so_once_where_nothing_is_drawn() -> None:
    told, silent = io.StringIO(), io.StringIO()
    for stream, says in ((told, True), (silent, False)):
        follow(Job(mixed(), [snapshot(state="waiting")] * 3), TerminalFace(stream, says=says))
    assert told.getvalue() == f"nbsync: {WAITS}\n"
    assert silent.getvalue() == ""


def test_a_terminal_shows_that_a_run_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    TerminalFace(stream).tick(snapshot(state="waiting"))
    assert WAITS in stream.getvalue()


def test_ipython_in_a_terminal_leaves_the_error_to_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    follow(Job(result(row("a", "miss"), error=GuardRefusal("too many")), []), live.ShellFace())
    out = capsys.readouterr().out
    assert "✗ refused" in out
    assert "too many" not in out


def test_ipython_in_a_terminal_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    follow(Job(mixed(), [snapshot()]), live.ShellFace())
    assert capsys.readouterr() == (text_page.result_text(mixed()) + "\n", "")
