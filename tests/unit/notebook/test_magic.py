"""`%s3sync` and `%%s3sync` in a real IPython shell, with a fake engine behind them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from IPython.core.error import UsageError as IPythonUsageError
from IPython.utils.capture import capture_output

from nbsync.errors import AccessDenied, GuardRefusal, Interrupted, SyncProblems
from nbsync.notebook import magic
from nbsync.report import html_page, text_page
from nbsync.results import display
from tests.unit.samples import Engine, mixed, result, row

Shell = Any


def give(shell: Shell, engine: Engine | None = None) -> Engine:
    """Put `engine` behind the magic."""
    engine = engine or Engine()
    shell.magics_manager.registry["S3Sync"]._engine = engine
    return engine


class Cell:
    """What one cell came to: displays (the last state of each) and Out, printed text, value, error."""

    def __init__(self, shell: Shell, source: str) -> None:
        outs: list[dict[str, str]] = []
        # As a kernel does it: no prompt, and a message only if there is something in it.
        shell.displayhook.write_output_prompt = lambda: None
        shell.displayhook.write_format_data = lambda data, metadata=None: outs.append(data)
        shell.displayhook.finish_displayhook = lambda: None
        with capture_output() as captured:
            self.ran = shell.run_cell(source, store_history=True)
        shown: dict[Any, dict[str, str]] = {}
        for number, output in enumerate(captured._outputs or ()):
            shown[(output.get("transient") or {}).get("display_id", number)] = output["data"]
        self.displays = [*shown.values(), *outs]
        self.out, self.err = captured.stdout, captured.stderr
        self.error = self.ran.error_in_exec
        self.value = self.ran.result


def table() -> dict[str, str]:
    return {"text/html": html_page.result_html(mixed()), "text/plain": text_page.result_text(mixed())}


def test_the_table_is_shown_once_and_the_value_is_the_result(shell: Shell) -> None:
    engine = give(shell)
    cell = Cell(shell, "%s3sync pull b/p data")
    assert cell.displays == [table()]
    assert cell.value is engine.end
    assert cell.error is None
    assert (engine.calls[0].remote, engine.calls[0].local) == ("b/p", "data")


def test_a_bound_result_is_the_table_in_a_later_cell(shell: Shell) -> None:
    engine = give(shell)
    assert Cell(shell, "r = %s3sync pull b").displays == [table()]
    assert shell.user_ns["r"] is engine.end
    for _ in range(2):
        assert Cell(shell, "r").displays == [table()]
    assert Cell(shell, "display(r)").displays == [table()]


def test_out_and_underscore_are_the_result(shell: Shell) -> None:
    engine = give(shell)
    Cell(shell, "%s3sync pull b")
    assert shell.user_ns["_"] is engine.end
    assert Cell(shell, "_").displays == [table()]


def test_shown_in_its_own_cell_it_shows_nothing_more(shell: Shell) -> None:
    give(shell)
    assert Cell(shell, "r = %s3sync pull b\nr").displays == [table()]


def test_a_semicolon_hides_the_table_and_not_the_value(shell: Shell) -> None:
    engine = give(shell)
    cell = Cell(shell, "r = %s3sync pull b;")
    assert cell.displays == []
    assert shell.user_ns["r"] is engine.end
    assert Cell(shell, "%s3sync pull b;").displays == []
    assert Cell(shell, "r").displays == [table()]


def test_a_link_is_shown_to_be_clicked(shell: Shell) -> None:
    shell.user_ns.update(folder="my data", hub="https://hub.example.org")
    cell = Cell(shell, "r = %s3sync link bucket/raw {folder} --hub $hub --urlpath lab")
    url = "https://hub.example.org/hub/user-redirect/nbsync/pull?source=bucket/raw&target=my%20data&urlpath=lab"
    assert (cell.error, shell.user_ns["r"].url) == (None, url)
    assert cell.displays == [report_of(shell.user_ns["r"])]
    assert cell.displays[0]["text/plain"] == url
    assert f'<a href="{url.replace("&", "&amp;")}"' in cell.displays[0]["text/html"]
    assert Cell(shell, "%s3sync link bucket/raw;").displays == []
    shell.run_line_magic("config", "S3Sync.endpoint_url = 'http://me:secret@minio'")
    seen = Cell(shell, "%s3sync link bucket/raw --hub $hub").displays[0]
    assert "note: not in the link: --endpoint-url. " in seen["text/plain"], "the default of this notebook"
    assert "secret" not in str(seen)
    assert "has a .. segment" in str(Cell(shell, "%s3sync link bucket/raw ../up").error)


def report_of(item: Any) -> dict[str, str]:
    return {"text/html": display.html(item), "text/plain": display.text(item)}


def test_quiet_shows_nothing(shell: Shell) -> None:
    give(shell)
    cell = Cell(shell, "%s3sync pull b --quiet")
    assert (cell.displays, cell.out, cell.err) == ([], "", "")


def test_the_result_keeps_nothing_of_the_cell(shell: Shell) -> None:
    engine = give(shell)
    Cell(shell, "r = %s3sync pull b")
    assert "_ipython_display_" not in vars(engine.end)


def test_values_come_from_the_notebook_and_from_a_functions_locals(shell: Shell) -> None:
    engine = give(shell)
    shell.user_ns["paths"] = {"raw data": "b/raw data"}
    Cell(shell, "%s3sync pull {paths[\"raw data\"]} --include '*.{csv,parquet}'")
    assert engine.calls[0].remote == "b/raw data"
    assert engine.calls[0].options.filters == (("include", "*.{csv,parquet}"),)
    cell = Cell(shell, "def go(name):\n    %s3sync pull b/{name} $name-bg\ngo('x')")
    assert cell.error is None
    assert (engine.calls[1].remote, engine.calls[1].local) == ("b/x", "x-bg")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("pull {nope}", "name 'nope' is not defined"),
        ("pull $nope", "name 'nope' is not defined"),
        ("pull b --nope", "unknown option --nope"),
        ("pul b", "unknown command 'pul'. Did you mean pull?"),
        ("pull b --jobs x", "--jobs takes a whole number, not 'x'"),
        ("pull 'b", "a ' is not closed"),
        ("demo", "demo runs in a shell"),
        ("pull b -o class", "-o takes the name of a variable"),
    ],
)
def test_wrong_grammar_is_ipythons_own_usage_error(shell: Shell, line: str, told: str) -> None:
    engine = give(shell)
    cell = Cell(shell, f"%s3sync {line}")
    assert type(cell.error) is IPythonUsageError
    assert told in str(cell.error)
    assert cell.err.startswith("UsageError: ")
    assert cell.err.count("\n") == 1
    assert engine.calls == []


@pytest.mark.parametrize("error", [AccessDenied("no right", "Ask."), GuardRefusal("too many deletes")])
def test_a_refusal_is_one_line_and_can_be_caught(shell: Shell, error: Exception) -> None:
    give(shell, Engine(refuse=error))  # type: ignore[arg-type]
    cell = Cell(shell, "%s3sync pull b")
    assert cell.error is error
    assert (cell.out + cell.err).strip() == f"nbsync: {error}"
    give(shell, Engine(result(row("a", "miss"), error=error)))
    cell = Cell(shell, "%s3sync pull b -o r")
    assert cell.error is error
    assert "+ miss" in cell.displays[0]["text/plain"]
    assert shell.user_ns["r"].counts["miss"] == 1
    assert Cell(shell, "try:\n    %s3sync pull b;\nexcept Exception as e: print(type(e).__name__)").out == (
        type(error).__name__ + "\n"
    )


def test_an_interrupt_shows_what_was_done_in_one_line(shell: Shell) -> None:
    engine = give(shell, Engine(result(row("a", "miss"), row("b", "cancelled")), interrupts=1))
    cell = Cell(shell, "%s3sync pull b")
    assert isinstance(cell.error, Interrupted)
    assert engine.started[0].cancelled
    assert "1 cancelled" in cell.displays[0]["text/plain"]
    assert (cell.out + cell.err).strip() == "nbsync: interrupted"


def test_failures_return_the_result_and_strict_raises_at_the_end(shell: Shell) -> None:
    engine = give(shell)
    assert Cell(shell, "%s3sync pull b").value is engine.end
    cell = Cell(shell, "%s3sync pull b --strict")
    assert isinstance(cell.error, SyncProblems)
    assert cell.displays == [table()]
    Cell(shell, "%config S3Sync.strict = True")
    assert isinstance(Cell(shell, "%s3sync pull b").error, SyncProblems)


def test_output_name_and_show(shell: Shell) -> None:
    engine = give(shell)
    cell = Cell(shell, "%s3sync pull b -o mine --show all")
    assert shell.user_ns["mine"] is engine.end
    assert cell.displays[0]["text/html"] == html_page.result_html(mixed(), "all")


def test_json_prints_the_document_alone(shell: Shell) -> None:
    give(shell)
    cell = Cell(shell, "r = %s3sync pull b --json")
    assert json.loads(cell.out)["counts"]["miss"] == 2
    assert cell.displays == []
    give(shell, Engine(refuse=GuardRefusal("no")))
    assert json.loads(Cell(shell, "try:\n    %s3sync pull b --json\nexcept Exception: pass").out)["error"] == "no"


def test_ls(shell: Shell) -> None:
    engine = give(shell)
    cell = Cell(shell, "l = %s3sync ls b")
    assert shell.user_ns["l"] is engine.found
    assert [d["text/html"] for d in cell.displays] == [html_page.listing_html(engine.found)]
    assert Cell(shell, "%s3sync ls b;").displays == []
    assert json.loads(Cell(shell, "r = %s3sync ls b --json").out)["command"] == "ls"


def test_help(shell: Shell) -> None:
    shown = shell.inspector.info(shell.find_magic("s3sync"))["docstring"]
    assert shown == Cell(shell, "%s3sync").out.rstrip()
    for line in ("", "--help", "-h"):
        assert "usage: %s3sync COMMAND" in Cell(shell, f"%s3sync {line}").out
    assert "usage: %s3sync pull REMOTE" in Cell(shell, "%s3sync pull --help").out


def test_a_cell_runs_one_command_a_line(shell: Shell) -> None:
    engine = give(shell)
    shell.user_ns["name"] = "x y"
    cell = Cell(
        shell, "%%s3sync --jobs 3 --exclude '*'\n# first\npull b/$name \\\n  data --include a\n\npush data b -o p;"
    )
    assert cell.error is None
    assert [(c.command, c.remote, c.local) for c in engine.calls] == [("pull", "b/x y", "data"), ("push", "b", "data")]
    assert [c.options.jobs for c in engine.calls] == [3, 3]
    assert engine.calls[0].options.filters == (("exclude", "*"), ("include", "a"))
    assert list(cell.value) == [engine.end, engine.end]
    assert cell.value.counts["miss"] == 4
    assert cell.displays == [table()]  # the second line hides its own
    assert shell.user_ns["p"] is engine.end
    shown = Cell(shell, "_").displays[0]
    assert shown["text/plain"].count("pull s3://") == 2
    assert shown["text/html"] == display.html(cell.value)


SUMMARY = "✗ 2 of 2 with problems · 2 failed · 2 conflict · 2 skipped · 2 deleted · 4 miss · 80 hit"


def test_a_line_over_all_stands_above_the_tables_of_a_cell(shell: Shell) -> None:
    give(shell)
    cell = Cell(shell, "%%s3sync\npull b\npull c\n")
    (line, *tables) = cell.displays
    assert line["text/plain"].startswith(f"2 commands\n  {SUMMARY}\n")
    assert "2 of 2 with problems" in line["text/html"]
    assert tables == [table()] * 2
    assert "2 of 2 with problems" in Cell(shell, "_").displays[0]["text/html"]
    assert Cell(shell, "%%s3sync --quiet\npull b\npull c\n").displays == []
    assert len(Cell(shell, "%%s3sync\npull b\n").displays) == 1, "of one there is no sum"


def test_a_bad_line_stops_before_any_line_runs(shell: Shell) -> None:
    engine = give(shell)
    for bad, told in (("pul c", "line 3: unknown command"), ("pull {nope}", "line 3: name 'nope' is not defined")):
        cell = Cell(shell, f"%%s3sync\npull b\n{bad}\n")
        assert type(cell.error) is IPythonUsageError
        assert told in str(cell.error)
    assert "no command" in str(Cell(shell, "%%s3sync\n# nothing\n").error)
    assert "takes options only" in str(Cell(shell, "%%s3sync pull b\npull b\n").error)
    assert engine.calls == []


def test_a_refusal_stops_the_lines_after_it(shell: Shell) -> None:
    engine = give(shell, Engine(refuse=GuardRefusal("no")))
    assert isinstance(Cell(shell, "%%s3sync\npull b\npull c\n").error, GuardRefusal)
    assert len(engine.calls) == 1


def test_config_sets_defaults_that_a_line_overrides(shell: Shell) -> None:
    engine = give(shell)
    for setting in ("jobs = 9", "endpoint_url = 'http://x'", "profile = 'p'", "region = 'r'", "bandwidth = '2MB/s'"):
        assert Cell(shell, f"%config S3Sync.{setting}").error is None
    Cell(shell, "%config S3Sync.show = 'summary'")
    cell = Cell(shell, "%s3sync pull b --region other")
    options = engine.calls[0].options
    assert (options.jobs, options.endpoint_url, options.profile) == (9, "http://x", "p")
    assert (options.region, options.bandwidth) == ("other", 2_000_000)
    assert cell.displays[0]["text/html"] == html_page.result_html(mixed(), "summary")
    assert "S3Sync" in Cell(shell, "%config").out


def test_loading_twice_and_unloading_are_clean(shell: Shell) -> None:
    def ours() -> list[Any]:
        return [one for one in shell.configurables if type(one).__name__ == "S3Sync"]

    magic.load_ipython_extension(shell)
    assert len(ours()) == 1
    give(shell)
    assert len(Cell(shell, "%s3sync pull b").displays) == 1
    magic.unload_ipython_extension(shell)
    magic.unload_ipython_extension(shell)
    assert ours() == []
    assert "s3sync" not in shell.magics_manager.magics["line"]
    assert "s3sync" not in shell.magics_manager.magics["cell"]
    assert not [f for f in shell.events.callbacks["post_execute"] if "S3Sync" in repr(f)]
    magic.load_ipython_extension(shell)
    give(shell)
    assert len(Cell(shell, "%s3sync pull b").displays) == 1


def test_in_a_terminal_the_table_is_text_and_out_adds_nothing(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.kernel = None
    give(shell)
    shell.run_cell("%s3sync pull b", store_history=True)
    out = capsys.readouterr().out
    text = text_page.result_text(mixed())
    assert out.startswith(text)
    assert re.fullmatch(r"Out\[\d+\]: \n*", out[len(text) + 1 :])
    shell.run_cell("_", store_history=True)
    assert text_page.result_text(mixed()) in capsys.readouterr().out
    shell.run_cell("l = %s3sync ls b;")
    assert capsys.readouterr().out == ""
    shell.run_cell("l = %s3sync ls b")
    assert "raw/a.csv" in capsys.readouterr().out


def test_the_panel_is_shown_once_and_is_the_value(shell: Shell) -> None:
    cell = Cell(shell, "p = %s3sync panel b/{'p'} data --delete --exclude '*.tmp' --as-of 2024-01-01")
    assert cell.error is None
    panel = shell.user_ns["p"]
    assert (panel.remote, panel.local, panel.delete, panel.filters) == ("b/p", "data", True, [["exclude", "*.tmp"]])
    assert panel.call().options.as_of // 10**9 == 1_704_067_200  # the whole second
    widget, table = cell.displays
    assert "application/vnd.jupyter.widget-view+json" in widget
    assert table["text/plain"] == "nothing planned yet"
    assert len(Cell(shell, "p").displays) == 2, "another view"
    assert Cell(shell, "%s3sync panel;\n").error is None


def test_the_panel_needs_a_notebook(shell: Shell) -> None:
    shell.kernel = None
    cell = Cell(shell, "%s3sync panel b")
    assert str(cell.error) == (
        "the panel needs a notebook. Here: %s3sync plan ... --save FILE, then %s3sync apply FILE"
    )
