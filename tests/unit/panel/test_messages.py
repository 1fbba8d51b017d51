"""The line that tells how a job ended: deletes by name, and hints that name what the panel has."""

from __future__ import annotations

import pytest

from nbsync.core import guard
from nbsync.errors import GuardRefusal, Interrupted
from nbsync.panel.messages import todo, told
from tests.unit.panel.fakes import plan, planned
from tests.unit.samples import result, row


@pytest.mark.parametrize(
    ("actions", "text"),
    [({}, "0 files"), ({"download": 1}, "1 file"), ({"upload": 1200}, "1,200 files"),
     ({"delete-local": 2, "download": 2}, "2 downloads, 2 deletes"), ({"delete-remote": 1}, "1 delete"),
     ({"upload": 1, "delete-remote": 3, "download": 0}, "1 upload, 3 deletes")],
)  # fmt: skip
def test_deletes_are_named(actions: dict[str, int], text: str) -> None:
    assert todo(actions) == text


def test_a_plan_and_a_run_with_deletes() -> None:
    gone = {"action": "delete-local", "bytes": 0}
    made = plan(planned("a"), planned("b", "delete-local"), planned("c", "delete-local"))
    assert told(made) == ("Planned, nothing changed yet: 1 download, 2 deletes to do", "info")
    done = result(row("a", "miss"), row("b", "deleted", **gone), row("c", "deleted", **gone), command="apply")
    assert told(done) == ("Done: 1 file, 2 deleted, 4.1 kB in 0.8 s", "good")


def test_who_stopped_it_is_told_which_button_goes_on() -> None:
    stopped = Interrupted("stopped by the user; every file that was finished is kept", "Run it again to do the rest")
    text, tone = told(result(row("a", "miss"), command="apply", error=stopped))
    assert (text.endswith("is kept. Apply again to do the rest"), tone) == (True, "warn")
    assert told(plan(error=stopped))[0] == "Stopped by the user; nothing was changed. Plan again"


def test_a_refusal_names_what_the_panel_has() -> None:
    empty = guard.empty_source("pull", "s3://b/p/", 0, delete=True, allowed=False)
    many = guard.too_many_deletes(6, 5)
    assert isinstance(empty, GuardRefusal)
    assert isinstance(many, GuardRefusal)
    text, tone = told(plan(planned("a", "delete-local"), error=empty))
    assert ("open the panel with --allow-empty-source" in text, tone) == (True, "bad")
    assert "open the panel with a higher limit" in told(plan(error=many))[0]
