"""`run FILE` and `%%s3sync`: the same lines in each face, all parsed before any runs. The engine is a fake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError as IPythonUsageError
from IPython.utils.capture import capture_output

from nbsync.cli import main
from nbsync.core.call import Call
from nbsync.errors import GuardRefusal, LocalError, UsageError
from nbsync.grammar import script
from nbsync.grammar.parse import parse
from nbsync.grammar.script import Given
from nbsync.report import answers, text_page
from tests.unit.samples import Engine, Job, mixed, result, row

LINES = "# nightly\n\npull b/raw \\\n  data --jobs 2\npush data b/copy --exclude '*.{tmp,bak}'\n"


class Ends(Engine):
    """Comes to one thing after the other; an error is raised."""

    def __init__(self, *ends: Any) -> None:
        super().__init__()
        self._ends = list(ends)

    def prepare(self, call: Call) -> Job:
        self.calls.append(call)
        end = self._ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return Job(end, [])


def good() -> Any:
    return result(row("a", "miss"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "jobs.txt").write_text(LINES)
    return tmp_path / "jobs.txt"


def give(shell: Any, engine: Engine) -> Engine:
    shell.magics_manager.registry["S3Sync"]._engine = engine
    return engine


def cell(shell: Any, source: str) -> tuple[Any, Any, str, list[dict[str, str]]]:
    """Its value, its error, what it printed, what it displayed."""
    with capture_output() as captured:
        ran = shell.run_cell(source, store_history=True)
    shown = [output["data"] for output in captured._outputs or ()]
    return ran.result, ran.error_in_exec, captured.stdout, shown


# ---- the grammar -------------------------------------------------------------------------------------


def test_lines_are_those_of_a_cell(file: Path) -> None:
    found = script.steps_of(file, script.not_here, Given({}, {"delete": True, "jobs": "9"}), notebook=False)
    calls = [step.invocation.call for step in found]
    assert [(call.command, call.remote, call.local) for call in calls if call] == [
        ("pull", "b/raw", "data"), ("push", "b/copy", "data")]  # fmt: skip
    assert [(call.options.jobs, call.options.delete) for call in calls if call] == [(2, True), (9, True)]
    assert calls[1] is not None
    assert calls[1].options.filters == (("exclude", "*.{tmp,bak}"),)
    assert calls[1].asked == {"filters", "delete", "jobs"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pull b\npul b\n", "line 2: unknown command 'pul'. Did you mean pull?"),
        ("# x\n\npull b/{day}\n", "line 3: 'day' is to be expanded, and only a notebook has values."),
        ("pull $bucket", "'bucket' is to be expanded"),
        ("pull b '", "line 1: a ' is not closed"),
        ("pull b --jobs \\\n\n x", "line 1: "),
        ("run other.txt", "run does not stand among the lines of others"),
        ("demo", "demo does not stand among the lines of others"),
        ("pull --help", "--help does not stand among commands"),
        ("pull b -o r", "unknown option -o"),
        ("", "there is no command"),
        ("# nothing\n", "there is no command"),
        ("pull \ud800", "it is not UTF-8 text"),
    ],
)
def test_a_wrong_line_is_told_with_its_file_and_number(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "f").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UsageError) as refused:
        script.steps_of(tmp_path / "f", script.not_here, Given({}), notebook=False)
    assert str(refused.value).startswith(f"{tmp_path / 'f'}, ")
    assert told in str(refused.value)


def test_braces_and_dollars_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("\ufeffpull b/{{x}}/$$y 'd{a}$z'\r\n", encoding="utf-8")
    call = script.steps_of(tmp_path / "f", script.not_here, Given({}), notebook=False)[0].invocation.call
    assert call is not None
    assert (call.remote, call.local) == ("b/{x}/$y", "d{a}$z")


def test_what_is_no_file_of_commands(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="No such file"):
        script.steps_of(tmp_path / "nowhere", script.not_here, Given({}), notebook=False)
    with pytest.raises(LocalError, match="Is a directory"):
        script.steps_of(tmp_path, script.not_here, Given({}), notebook=False)
    (tmp_path / "large").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(UsageError, match="longer than 1 MiB"):
        script.steps_of(tmp_path / "large", script.not_here, Given({}), notebook=False)


def test_options_of_run_are_its_own_or_its_lines() -> None:
    found = parse(["run", "f", "--json", "--jobs", "3", "--delete", "--strict"])
    assert found.call == Call(command="run", file="f", options=found.call.options) if found.call else False
    assert found.given == {"jobs": "3", "delete": True, "strict": True}
    assert found.call is not None
    assert (found.call.options.json, found.call.options.strict) == (True, True)
    for words, told in ((["run"], "run needs FILE"), (["run", "a", "b"], "run does not take the word 'b'")):
        with pytest.raises(UsageError, match=told):
            parse(words)


# ---- the shell ---------------------------------------------------------------------------------------


def test_shell_runs_all_and_tells_what_they_came_to(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Ends(good(), good())
    assert main.main(["run", str(file), "--timeout", "5"], engine=engine) == 0
    out, err = capsys.readouterr()
    assert [call.options.timeout for call in engine.calls] == [5.0, 5.0]
    assert out.count("+ miss") == 2
    assert out.rstrip().splitlines()[-4:-2] == [f"run {file}", "  ✓ all done · 2 miss"]
    assert err == ""


def test_shell_exits_with_the_worst_and_goes_on_after_failed_files(file: Path, capsys: Any) -> None:
    assert main.main(["run", str(file)], engine=Ends(mixed(), good())) == 1
    assert "1 of 2 with problems" in capsys.readouterr().out


@pytest.mark.parametrize("refusal", [GuardRefusal("too many"), result(error=GuardRefusal("too many"))])
def test_shell_stops_at_a_refusal(file: Path, capsys: pytest.CaptureFixture[str], refusal: Any) -> None:
    engine = Ends(refusal, good())
    assert main.main(["run", str(file)], engine=engine) == 3
    out, err = capsys.readouterr()
    assert len(engine.calls) == 1
    assert "not done: 1 more command" in out
    assert err == "nbsync: too many\n"


def test_shell_prints_one_document(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["run", str(file), "--json"], engine=Ends(mixed(), GuardRefusal("no"))) == 3
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    document = json.loads(out)
    assert (document["command"], document["ok"], document["file"], document["error"]) == ("run", False, str(file), "no")
    assert [one["command"] for one in document["results"]] == ["pull", "push"]
    assert (document["counts"]["miss"], document["requests"]["get"], document["not_run"]) == (2, 15, 0)
    assert document["bytes"]["saved"] == 41_000_000
    assert err == "nbsync: no\n"


def test_shell_runs_nothing_if_a_line_is_wrong(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(LINES + "pul b\n")
    engine = Ends()
    assert main.main(["run", str(file), "--json"], engine=engine) == 2
    out, err = capsys.readouterr()
    assert engine.calls == []
    assert json.loads(out)["error"] == err.removeprefix("nbsync: ").rstrip("\n")
    assert "line 6: unknown command 'pul'" in err


def test_shell_hides_what_ends_in_a_semicolon_and_is_quiet_when_told(file: Path, capsys: Any) -> None:
    file.write_text("pull b;\n")
    assert main.main(["run", str(file)], engine=Ends(good())) == 0
    assert "+ miss" not in capsys.readouterr().out
    assert main.main(["run", str(file), "--quiet"], engine=Ends(good())) == 0
    assert capsys.readouterr() == ("", "")


# ---- the notebook ------------------------------------------------------------------------------------


def test_notebook_runs_the_file_with_its_values(shell: Any, file: Path) -> None:
    file.write_text("pull b/$day\npush {here} b\n")
    shell.user_ns.update(day="monday", here="my data")
    engine = give(shell, Ends(good(), good()))
    value, error, _out, shown = cell(shell, f"r = %s3sync run {file} -o both --delete\nr")
    assert error is None
    assert [(call.remote, call.local, call.options.delete) for call in engine.calls] == [
        ("b/monday", "", True), ("b", "my data", True)]  # fmt: skip
    assert shell.user_ns["both"] is value
    assert (value.file, value.ok, len(value)) == (str(file), True, 2)
    head, *tables = [one["text/plain"] for one in shown if "of 2 done" not in one["text/plain"]]
    assert head == "2 commands, one after the other"  # until they have ended
    assert tables == [
        text_page.result_text(value[0]), text_page.result_text(value[1]), answers.together_text(value)]  # fmt: skip
    assert "2 miss" in shown[-1]["text/html"]


def test_notebook_prints_one_document(shell: Any, file: Path) -> None:
    give(shell, Ends(good(), GuardRefusal("no")))
    _value, error, out, shown = cell(shell, f"%s3sync run {file} --json -o r")
    assert isinstance(error, GuardRefusal)
    document = json.loads(out.splitlines()[0])
    assert [one["ok"] for one in document["results"]] == [True, False]
    assert shown == []
    assert shell.user_ns["r"].exit_code == 3


def test_notebook_stops_at_a_refusal_and_shows_what_was_done(shell: Any, file: Path) -> None:
    engine = give(shell, Ends(result(row("a", "miss"), error=GuardRefusal("no")), good()))
    _value, error, _out, shown = cell(shell, f"%s3sync run {file}")
    assert isinstance(error, GuardRefusal)
    assert len(engine.calls) == 1
    assert "not done: 1 more command" in shown[-1]["text/plain"]


def test_notebook_refuses_a_wrong_line_before_any_runs(shell: Any, file: Path) -> None:
    file.write_text("pull b\npull {nope}\n")
    engine = give(shell, Ends())
    _value, error, _out, _shown = cell(shell, f"%s3sync run {file}")
    assert type(error) is IPythonUsageError
    assert "line 2: name 'nope' is not defined" in str(error)
    _value, error, _out, _shown = cell(shell, f"%%s3sync\npull b\nrun {file}\n")
    assert "line 3: run does not stand among the lines of others" in str(error)
    _value, error, _out, _shown = cell(shell, "%s3sync run nowhere.txt")
    assert isinstance(error, LocalError)
    assert engine.calls == []


def test_options_of_a_cells_first_line_are_asked_for(shell: Any) -> None:
    engine = give(shell, Ends(good()))
    shell.run_line_magic("config", "S3Sync.region = 'r'")
    cell(shell, "%%s3sync --endpoint-url http://x\npull\n")
    assert (engine.calls[0].asked, engine.calls[0].again) == ({"endpoint_url"}, True)
