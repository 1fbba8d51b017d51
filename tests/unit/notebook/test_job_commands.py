"""`--background`, `jobs` and `cancel` in a real IPython shell; the runs are the test's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.error import UsageError as IPythonUsageError

from nbsync.api.job import SyncJob
from nbsync.errors import NbsyncError
from nbsync.notebook import magic
from nbsync.notebook.tables import Lines, Tables
from tests.shells import new_shell
from tests.unit.notebook.test_magic import Cell, give
from tests.unit.runs import end, run_of
from tests.unit.samples import Engine

pytestmark = pytest.mark.usefixtures("scripted_runs")
Shell = Any


@pytest.fixture
def shell() -> Iterator[Shell]:
    """A notebook's shell with the extension loaded."""
    with new_shell({"S3Sync": {"jobs": 4}}) as made:
        made.kernel = object()
        magic.load_ipython_extension(made)
        yield made
        magic.unload_ipython_extension(made)


@pytest.fixture
def engine(shell: Shell) -> Iterator[Engine]:
    made = give(shell)
    shell.magics_manager.registry["S3Sync"]._tables = Tables()
    yield made
    for job in made.jobs():
        job.cancel()


def test_the_cell_returns_at_once_with_the_job(shell: Shell, engine: Engine) -> None:
    cell = Cell(shell, "%s3sync pull b data --background -o j")
    (shown,) = cell.displays
    assert isinstance(cell.value, SyncJob)
    assert shell.user_ns["j"] is cell.value
    assert (cell.value.id, cell.value.done) == (1, False)
    assert "background sync 1" in shown["text/plain"]
    assert "%s3sync cancel 1" in shown["text/html"]
    assert engine.calls[0].options.jobs == 4, "as the shell's configuration says"
    assert "background sync 1" in Cell(shell, "j").displays[0]["text/plain"]


def test_it_ends_as_the_table_at_the_end_of_a_later_cell(shell: Shell, engine: Engine) -> None:
    Cell(shell, "j = %s3sync pull b data --background")
    end(engine.jobs()[0], hits=3)
    cell = Cell(shell, "1")
    tables = [shown["text/plain"] for shown in cell.displays if "3 hit" in shown["text/plain"]]
    assert len(tables) == 1
    assert Cell(shell, "j.result.ok").value is True
    assert len(Cell(shell, "2").displays) == 1, "and no more"


def test_a_semicolon_hides_the_table_and_quiet_too(shell: Shell, engine: Engine) -> None:
    assert Cell(shell, "j = %s3sync pull b --background;").displays == []
    assert Cell(shell, "j = %s3sync pull b --background --quiet").displays == []
    assert [job.id for job in engine.jobs()] == [1, 2]


def test_jobs_and_cancel(shell: Shell, engine: Engine) -> None:
    assert "none: begin one" in Cell(shell, "%s3sync jobs").displays[0]["text/plain"]
    Cell(shell, "%s3sync pull b one --background")
    Cell(shell, "%s3sync pull b two --background")
    assert run_of(engine.jobs()[0]).begun.wait(20)
    cell = Cell(shell, "all = %s3sync jobs")
    overview, *tables = cell.displays
    assert [line.split()[1] for line in overview["text/plain"].splitlines()[2:]] == ["1", "2"]
    assert ["background sync 1" in tables[0]["text/plain"], "background sync 2" in tables[1]["text/plain"]] == [
        True
    ] * 2
    assert [job.id for job in shell.user_ns["all"]] == [1, 2]
    assert Cell(shell, "%s3sync jobs;").displays == []

    cell = Cell(shell, "%s3sync cancel 1")
    assert cell.out.startswith("background sync 1 was stopped: pull b → one: ✗ interrupted")
    assert cell.value is engine.jobs()[0]
    assert cell.value.result.exit_code == 130
    assert not engine.jobs()[1].done
    assert Cell(shell, "%s3sync cancel 1").out.startswith("background sync 1 had ended already: ")


def test_what_cannot_be_cancelled_is_a_clear_error(shell: Shell, engine: Engine) -> None:
    cell = Cell(shell, "%s3sync cancel 7")
    assert isinstance(cell.error, NbsyncError)
    assert "there is no background sync '7'" in str(cell.error)
    assert "Traceback" not in cell.out + cell.err
    for line in ("cancel", "cancel 1 2", "jobs 1"):
        assert type(Cell(shell, f"%s3sync {line}").error) is IPythonUsageError


def test_json(shell: Shell, engine: Engine) -> None:
    Cell(shell, "j = %s3sync pull b --background;")
    document = json.loads(Cell(shell, "x = %s3sync jobs --json").out)
    assert (document["command"], [job["id"] for job in document["jobs"]]) == ("jobs", [1])
    assert json.loads(Cell(shell, "x = %s3sync cancel 1 --json").out)["ok"] is False


@pytest.mark.parametrize(
    ("line", "told"),
    [("pull b --background --json", "job.result.to_dict()"), ("pull b --background --log-file f", "--log-file"),
     ("ls b --background", "ls has no option --background"), ("jobs --background", "jobs has no option --background")],
)  # fmt: skip
def test_what_makes_no_sense_in_the_background_is_refused(shell: Shell, engine: Engine, line: str, told: str) -> None:
    cell = Cell(shell, f"%s3sync {line}")
    assert type(cell.error) is IPythonUsageError
    assert told in str(cell.error)
    assert engine.calls == []


def test_the_lines_of_a_cell_run_one_after_the_other(shell: Shell, engine: Engine) -> None:
    cell = Cell(shell, "%%s3sync --background\npull b one\npull b two\n")
    one, two = engine.jobs()
    assert list(cell.value) == [one, two]
    assert cell.displays[0]["text/plain"].startswith("2 commands\n  ✓ 2 in the background")
    assert run_of(one).begun.wait(20)
    assert not run_of(two).begun.is_set()
    assert (cell.value.ok, cell.value.counts["hit"]) == (False, 0)
    end(one, hits=2)
    assert run_of(two).begun.wait(20)
    end(two, hits=3)
    assert (cell.value.ok, cell.value.counts["hit"]) == (True, 5)
    assert Cell(shell, "_").displays[-1]["text/html"].count("✓ done") == 2
    assert "jobs does not stand among the lines" in str(Cell(shell, "%%s3sync\njobs\n").error)


def test_strict_by_configuration_does_not_raise_where_nobody_waits(shell: Shell, engine: Engine) -> None:
    Cell(shell, "%config S3Sync.strict = True")
    cell = Cell(shell, "j = %s3sync pull b --background")
    assert cell.error is None
    run_of(engine.jobs()[0]).result.counts["failed"] = 1
    end(engine.jobs()[0])
    assert type(Cell(shell, "j.wait()").error).__name__ == "SyncProblems"


def test_unloading_stops_no_sync_and_loading_again_finds_it(shell: Shell, engine: Engine) -> None:
    Cell(shell, "j = %s3sync pull b --background")
    tables = shell.magics_manager.registry["S3Sync"]._tables
    magic.unload_ipython_extension(shell)
    assert not [hook for hook in shell.events.callbacks["post_run_cell"] if "S3Sync" in repr(hook)]
    assert not engine.jobs()[0].done
    magic.load_ipython_extension(shell)
    magic.load_ipython_extension(shell)
    assert len([hook for hook in shell.events.callbacks["post_run_cell"] if "S3Sync" in repr(hook)]) == 1
    again = shell.magics_manager.registry["S3Sync"]
    again._engine, again._tables = engine, tables
    assert len(Cell(shell, "%s3sync jobs").displays) == 2
    assert "was stopped" in Cell(shell, "%s3sync cancel 1").out


def test_in_a_terminal_it_is_told_in_lines(shell: Shell, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    shell.kernel = None
    shell.magics_manager.registry["S3Sync"]._tables = Lines()
    shell.run_cell("j = %s3sync pull b data --background")
    out = capsys.readouterr().out
    assert out.startswith("background sync 1 has begun: ")
    assert "has ended" not in out
    shell.run_cell("x = %s3sync jobs")
    assert capsys.readouterr().out.startswith("background syncs\n")
    end(engine.jobs()[0], hits=1)
    shell.run_cell("y = 1")
    assert "background sync 1 has ended: pull " in capsys.readouterr().out


def test_options_come_from_the_configuration(shell: Shell) -> None:
    engine = give(shell)
    for setting in ("trash = 30", "bandwidth = '2MB/s'", "show = 'summary'"):
        assert Cell(shell, f"%config S3Sync.{setting}").error is None
    Cell(shell, "%s3sync pull b")
    Cell(shell, "%s3sync undo d --trash-days 1.5")
    assert [call.options.trash_days for call in engine.calls] == [30.0, 1.5]
    assert (engine.calls[0].options.bandwidth, engine.calls[0].options.jobs) == (2_000_000, 4)
    Cell(shell, "%config S3Sync.trash = -1")
    assert "--trash-days takes a number of days" in str(Cell(shell, "%s3sync pull b").error)
