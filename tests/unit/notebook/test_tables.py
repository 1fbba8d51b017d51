"""The tables of background syncs: how often they are drawn, and how they end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nbsync.api.background import Background
from nbsync.api.job import SyncJob
from nbsync.notebook.tables import Lines, Tables
from nbsync.report import html_page, jobs, text_page
from tests.unit.runs import call, end, run_of

pytestmark = pytest.mark.usefixtures("scripted_runs")


class Screen:
    """Stands for IPython's display: (time, number of the display, bundle) of each message."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sent: list[tuple[float, int, dict[str, str]]] = []
        self.displays = 0

    def clock(self) -> float:
        return self.now

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        self.displays += 1
        self.sent.append((self.now, self.displays, bundle))
        return Handle(self, self.displays)


class Handle:
    def __init__(self, screen: Screen, number: int) -> None:
        self.screen, self.number = screen, number

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.screen.sent.append((self.screen.now, self.number, bundle))

    display = update  # as a new output with the same id


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def tables(screen: Screen) -> Tables:
    return Tables(display=screen.display, clock=screen.clock)


@pytest.fixture
def known() -> Iterator[Background]:
    made = Background()
    yield made
    for job in made.jobs():
        job.cancel()


def begin(known: Background) -> SyncJob:
    job = known.begin(SyncJob(call()))
    assert run_of(job).begun.wait(20)
    job.poll()
    return job


def turn(screen: Screen, jobs: list[SyncJob], seconds: float) -> None:
    """What a ticker does in so many seconds."""
    for _ in range(round(seconds / 0.2)):
        screen.now += 0.2
        for job in jobs:
            job.poll()


def busiest(screen: Screen) -> int:
    times = [moment for moment, _, _ in screen.sent]
    return max(sum(start <= moment < start + 1 for moment in times) for start in times)


def test_the_table_is_there_at_once_and_ends_as_the_result(screen: Screen, tables: Tables, known: Background) -> None:
    job = begin(known)
    tables.open(job, "all")
    assert "background sync 1" in screen.sent[0][2]["text/html"]
    turn(screen, [job], 2)
    assert 9 <= len(screen.sent) <= 11
    end(job, hits=1)
    turn(screen, [job], 1)
    result = job.result
    assert screen.sent[-1][2] == {
        "text/html": html_page.result_html(result, "all"), "text/plain": text_page.result_text(result, "all")
    }  # fmt: skip
    assert screen.displays == 1
    count = len(screen.sent)
    turn(screen, [job], 1)
    for _ in range(3):
        tables.end_of_cell()
    assert len(screen.sent) == count + 1, "once more at the end of a cell, and nothing after it"


@pytest.mark.parametrize("count", [1, 2, 3, 8, 20])
def test_all_together_send_at_most_ten_a_second(count: int, screen: Screen, tables: Tables, known: Background) -> None:
    jobs = []
    for _ in range(count):
        jobs.append(begin(known))
        tables.open(jobs[-1], "changed")
        screen.now += 1
    screen.sent.clear()
    turn(screen, jobs, 10)
    drawn = [number for _, number, _ in screen.sent]
    assert set(drawn) == set(range(1, count + 1)), "each gets its turn"
    for job in jobs:
        end(job)
    turn(screen, jobs, 10)
    assert busiest(screen) <= 10
    assert [job for job in jobs if job.is_watched] == []
    last = {number: bundle for _, number, bundle in screen.sent}
    assert all("✓ done" in bundle["text/plain"] for bundle in last.values())


def test_a_cell_that_ends_draws_each_once_but_not_without_end(
    screen: Screen, tables: Tables, known: Background
) -> None:
    job = begin(known)
    tables.open(job, "changed")
    for _ in range(100):
        screen.now += 0.01
        tables.end_of_cell()
    assert 2 <= len(screen.sent) <= 10
    end(job)
    tables.end_of_cell()
    assert "✓ done" in screen.sent[-1][2]["text/plain"], "what is saved is the end"


def test_again_is_the_same_display_in_another_cell(screen: Screen, tables: Tables, known: Background) -> None:
    job = begin(known)
    tables.open(job, "changed")
    tables.again(job)
    assert [number for _, number, _ in screen.sent] == [1, 1]
    other = begin(known)
    tables.again(other)  # it had no table: begun from Python
    assert screen.displays == 2
    end(other)
    turn(screen, [other], 0.2)
    assert "✓ done" in screen.sent[-1][2]["text/plain"]


def test_a_refusal_is_told_in_place(screen: Screen, tables: Tables, known: Background) -> None:
    job = begin(known)
    tables.open(job, "changed")
    job.cancel()
    assert job._thread.ended.wait(20)
    turn(screen, [job], 0.2)
    assert "interrupted: stopped" in screen.sent[-1][2]["text/plain"]


def test_a_terminal_is_told_of_the_beginning_and_of_the_end(
    known: Background, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, job = Lines(), begin(known)
    lines.open(job, "changed")
    lines.end_of_cell()
    assert capsys.readouterr().out.startswith("background sync 1 has begun: pull s3://b/p/ → data\n")
    end(job, hits=1)
    for _ in range(2):
        lines.end_of_cell()
    assert capsys.readouterr().out == "background sync 1 has ended: pull s3://b/p/ → data: ✓ 1 hit, 0 B moved, 0.0 s\n"


def test_the_overview(known: Background) -> None:
    one, two = begin(known), begin(known)
    end(two, hits=4)
    two.poll()
    text = jobs.jobs_text(known.jobs()).splitlines()
    assert [line.split()[:3] for line in text[2:]] == [["…", "1", "pull"], ["✓", "2", "pull"]]
    assert "syncing" in text[2]
    assert "done · 4 hit" in text[3]
    assert jobs.jobs_html(known.jobs()).count("<tr") == 2
    for empty in (jobs.jobs_text([]), jobs.jobs_html([])):
        assert "none: begin one with --background" in empty
    document = known.jobs().to_dict()
    assert [(job["id"], job["state"], job.get("error")) for job in document["jobs"]] == [
        (1, "syncing", None), (2, "done", None)]  # fmt: skip
    assert one.id == 1
