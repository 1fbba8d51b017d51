"""What to type next: the exact command, for the face that one is at."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest

from nbsync.core.call import Call
from nbsync.core.decide import CHANGED_IN_REMOTE
from nbsync.core.options import build_options
from nbsync.errors import GuardRefusal, Interrupted
from nbsync.grammar.parse import parse
from nbsync.grammar.split import expander, split
from nbsync.report import html_page, text_page
from nbsync.report.next_steps import Step, command_line, steps
from nbsync.results.sync_result import SyncResult
from tests.unit.samples import result, row


def made(line: str, *rows: Any, **more: Any) -> SyncResult:
    """The result of this command."""
    call = parse(shlex.split(line)).call
    assert call is not None
    return result(*rows, command=call.command, direction=call.direction, call=call, local=call.local, **more)


CONFLICT = row("a", "conflict", action="none", reason=CHANGED_IN_REMOTE)


def told(of: SyncResult, *, notebook: bool = False) -> list[str]:
    return [step.command for step in steps(of, notebook=notebook)]


def test_a_conflict_tells_how_to_replace_what_others_changed() -> None:
    found = made("push 'my data' b/p --exclude *.tmp --delete", CONFLICT)
    assert told(found) == ["nbsync push --exclude '*.tmp' --delete --overwrite-remote 'my data' b/p"]
    assert told(found, notebook=True) == ["%s3sync push --exclude *.tmp --delete --overwrite-remote 'my data' b/p"]
    assert told(made("plan push d b/p", CONFLICT)) == ["nbsync plan push --overwrite-remote d b/p"]
    other = row("a", "conflict", reason="a folder is in the way: move it away, or use --delete")
    assert told(made("pull b/p d", other)) == [], "no danger is suggested"


def test_failures_are_done_again() -> None:
    found = made("pull b/p d --jobs 3 --quiet", row("a", "failed"), row("b", "miss"))
    assert told(found) == ["nbsync pull --jobs 3 b/p d"]
    (step,) = steps(found, notebook=True)
    assert "retry()" in step.why
    assert told(made("pull b d", row("a", "cancelled"), error=Interrupted("stopped"))) == ["nbsync pull b d"]
    assert told(made("pull b d", row("a", "failed"), error=GuardRefusal("too many"))) == []
    assert told(made("pull b d", row("a", "miss"), row("b", "hit"))) == []


def test_what_an_engine_did_is_done_again_on_it() -> None:
    failed = row("a", "failed")
    found = made("pull b/p d --on dask://h:1 --spread each", failed)
    assert told(found) == ["nbsync pull --on dask://h:1 --spread each b/p d"]
    assert found.call is not None
    found.call = replace(found.call, executor=object())
    assert told(found) == [], "no line has an executor in it"


def test_a_plan_is_done() -> None:
    planned = row("a", "planned")
    assert told(made("plan pull b/p d --delete", planned)) == ["nbsync pull --delete b/p d"]
    assert told(made("pull b/p d -n", planned)) == ["nbsync pull b/p d"]
    assert told(made("plan pull b/p d --save 'my plan'", planned)) == ["nbsync apply 'my plan'"]
    assert told(made("apply p.jsonl -n", planned)) == ["nbsync apply p.jsonl"]
    assert told(made("undo -n", planned)) == ["nbsync undo"]
    assert told(made("plan pull b/p d", row("a", "hit"))) == []


def test_the_trash_can_be_undone() -> None:
    found = made("pull b/p 'my data'", row("a", "miss"), trashed=2)
    assert told(found, notebook=True) == ["%s3sync undo 'my data'"]
    found.call = None
    assert told(found) == ["nbsync undo 'my data'"]


NASTY = ("-x", "a b", "it's", '"', "{x}", "$HOME", "a;", "a?", "\\", "#", "é*", "!ls", "%magic")


@pytest.mark.parametrize("word", NASTY)
@pytest.mark.parametrize("notebook", [False, True])
def test_the_command_means_the_same_again(word: str, notebook: bool) -> None:
    options = {"filters": [("exclude", word), ("include", "*")], "metadata": {"k": word}, "as_of": None,
               "trash_days": 1.5, "delete": True, "max_delete": 3, "bandwidth": "2MB/s", "tag": {"a": "b"}}  # fmt: skip
    call = Call(command="push", direction="push", remote="b/p", local=word, options=build_options("push", {
        name: value for name, value in options.items() if name != "as_of"}))  # fmt: skip
    line = command_line(call, notebook=notebook)
    program, _, rest = line.partition(" ")
    assert program == ("%s3sync" if notebook else "nbsync")
    words = split(rest, expander({})).words if notebook else shlex.split(rest)
    assert parse(words, notebook=notebook).call == call


def test_a_time_means_the_same_again() -> None:
    call = parse(["pull", "b/p", "--as-of", "2026-10-31 23:59:59"]).call
    assert call is not None
    assert parse(shlex.split(command_line(call, notebook=False))[1:]).call == call


@pytest.mark.parametrize("local", ["a\nb", "\x1b[31m", "x" * 500])
def test_a_command_that_cannot_be_typed_is_not_shown(local: str) -> None:
    found = result(row("a", "failed"), call=Call(command="pull", direction="pull", remote="b/p", local=local))
    assert steps(found, notebook=True) == []


def test_both_tables_say_it_in_the_words_of_the_face() -> None:
    found = made("push d b/p", CONFLICT)
    (step,) = steps(found, notebook=True)
    assert isinstance(step, Step)
    assert text_page.result_text(found).endswith(f"next, {step.why}: %s3sync push --overwrite-remote d b/p")
    assert text_page.result_text(found, notebook=False).endswith(": nbsync push --overwrite-remote d b/p")
    assert "%s3sync push --overwrite-remote d b/p<" in html_page.result_html(found)
    hostile = made("push '<b>&' b/p", CONFLICT)
    assert "<b>&" not in html_page.result_html(hostile)


@pytest.mark.parametrize("seconds", ["2.5", "7", "123456.789", "1e-05"])
def test_numbers_are_told_as_they_were_given(seconds: str) -> None:
    call = parse(["pull", "b/p", "--timeout", seconds]).call
    assert call is not None
    assert parse(shlex.split(command_line(call, notebook=False))[1:]).call == call
