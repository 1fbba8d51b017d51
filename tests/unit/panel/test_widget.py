"""SyncPanel: its traits are the session, commands from the front end are queued, nothing secret is in it."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from traitlets import TraitError

import nbsync
from nbsync.errors import UsageError
from nbsync.panel.widget import SyncPanel
from nbsync.report import html_page, ipython
from tests.unit.panel.fakes import Engine, Job, plan, planned
from tests.unit.samples import HOSTILE, result, row, snapshot


class Seen:
    """A panel on a fake engine, and what it has sent to the front end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.engine = Engine()
        self.panel = SyncPanel(*args, start=self.engine.prepare, interval=0.0, **options)
        self.sent: list[dict[str, Any]] = []
        self.panel.send = lambda content, buffers=None: self.sent.append(content)

    def command(self, do: str, **more: Any) -> list[dict[str, Any]]:
        """A message from the front end, and the replies to it."""
        self.sent.clear()
        self.panel._handle_custom_msg({"do": do, "view": "v", **more}, [])
        self.panel.controller.poll()
        return self.sent

    def planned(self, *rows: Any) -> None:
        """Plan, with this outcome."""
        self.panel.plan()
        self.engine.last.ends = plan(*(rows or (planned("a"), planned("b"), row("same", "hit"))))
        self.panel.wait()


@pytest.fixture
def seen() -> Seen:
    return Seen("b/p", "data")


def test_it_is_public() -> None:
    assert nbsync.SyncPanel is SyncPanel


def test_driven_from_python(seen: Seen) -> None:
    panel = seen.panel
    states: list[str] = []
    panel.observe(lambda change: states.append(change["new"]), names=["state"])
    seen.planned()
    assert (panel.state, panel.total_rows, panel.shown_rows, panel.selected, panel.can_apply) == (
        "planned",
        3,
        2,
        2,
        True,
    )
    assert panel.counts == {"download": 2, "hit": 1}
    assert panel.result is not None
    panel.untick(["b"])
    assert panel.ticked == {"a"}
    panel.apply()
    seen.engine.last.ends = result(row("a", "miss"), command="apply")
    done = panel.wait()
    assert done is panel.result
    assert seen.engine.last.call.only == {"a"}
    assert states == ["planning", "planned", "applying", "done"]
    with pytest.raises(UsageError, match="no row"):
        panel.tick("nope")


def test_the_call_is_what_the_traits_say() -> None:
    panel = Seen("b/p", exclude=["*.tmp"], delete=True, max_delete=5, storage_class="STANDARD_IA").panel
    assert panel.filters == [["exclude", "*.tmp"]]
    call = panel.call()
    assert (call.command, call.direction, call.remote, call.local) == ("plan", "pull", "b/p", "")
    assert (call.options.filters, call.options.delete, call.options.max_delete) == ((("exclude", "*.tmp"),), True, 5)
    panel.direction, panel.local, panel.filters = "push", "data", [["include", "x"], ["exclude", ""]]
    assert panel.call().options.storage_class == "STANDARD_IA"
    assert panel.call().options.filters == (("include", "x"),)


@pytest.mark.parametrize(
    ("options", "told"),
    [({"nope": 1}, "panel has no option 'nope'"), ({"jobs": "x"}, "whole number"),
     ({"json": True}, "panel has no option"),
     ({"endpoint_url": "https://me:secret@host"}, "must not hold credentials")],
)  # fmt: skip
def test_wrong_options_raise(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told) as error:
        SyncPanel("b", **options)
    assert "secret" not in str(error.value)


def test_wrong_words_raise_and_are_told(seen: Seen) -> None:
    seen.panel.remote = ""
    with pytest.raises(UsageError, match="REMOTE is empty"):
        seen.panel.plan()
    assert seen.panel.message.startswith("REMOTE is empty")
    with pytest.raises(TraitError):
        seen.panel.direction = "sideways"


def test_changed_settings_make_a_plan_stale(seen: Seen) -> None:
    seen.planned()
    seen.panel.delete = True
    assert (seen.panel.stale, seen.panel.can_apply) == (True, False)
    with pytest.raises(UsageError, match="Plan again"):
        seen.panel.apply()
    seen.planned()
    assert (seen.panel.stale, seen.panel.can_apply) == (False, True)


def test_settings_changed_while_it_plans_or_applies_make_the_plan_stale(seen: Seen) -> None:
    panel = seen.panel
    panel.plan()
    panel.remote = "another/bucket"
    seen.engine.last.ends = plan(planned("a"))
    panel.wait()
    assert (panel.state, panel.stale, panel.can_apply) == ("planned", True, False)
    with pytest.raises(UsageError, match="Plan again"):
        panel.apply()
    seen.planned()
    panel.apply()
    panel.delete = True
    seen.engine.last.ends = result(row("a", "miss"), row("b", "failed"), command="apply")
    panel.wait()
    assert (panel.stale, panel.can_apply) == (True, False)


# ---- the front end's commands -----------------------------------------------------------------------


def test_a_handler_only_queues(seen: Seen) -> None:
    before = seen.panel.get_state()
    thread = threading.Thread(target=lambda: seen.panel._handle_custom_msg({"do": "plan"}, []))
    thread.start()
    thread.join()
    assert seen.engine.jobs == []
    assert seen.panel.get_state() == before
    seen.panel.controller.poll()
    assert len(seen.engine.jobs) == 1


def test_a_cancel_does_not_wait_for_a_turn(seen: Seen) -> None:
    seen.panel.plan()
    seen.panel._handle_custom_msg({"do": "cancel"}, [])
    assert seen.engine.last.cancelled


def test_commands_do_not_hurry_a_job(seen: Seen) -> None:
    """Each answer brings the next question: the browser would be sent all that it can take."""
    now = [0.0]
    panel = SyncPanel("b", start=seen.engine.prepare, interval=0.25, now=lambda: now[0])
    panel.plan()
    panel.controller.poll()
    polls: list[float] = []
    seen.engine.last.poll = lambda: bool(polls.append(now[0]))  # type: ignore[method-assign]
    for step in range(100):  # a second
        now[0] = 0.01 * (step + 1)
        panel._handle_custom_msg({"do": "rows", "view": "v", "start": 0, "count": 10}, [])
        panel.controller.poll()
    assert len(polls) == 4


def test_windows_of_rows(seen: Seen) -> None:
    seen.planned(*(planned(f"{n:04}") for n in range(1000)))
    (reply,) = seen.command("rows", start=500, count=10_000)
    assert (reply["kind"], reply["view"], reply["start"], len(reply["rows"])) == ("rows", "v", 500, 500)
    assert (reply["revision"], reply["order"]) == (seen.panel.revision, seen.panel.order)
    assert reply["rows"][0][3] == "0500"
    assert len(json.dumps(seen.panel.get_state(), default=repr)) < 100_000, "the rows are in no trait"


def test_sort_filter_and_ticks_from_the_front_end(seen: Seen) -> None:
    seen.planned(planned("a.csv", bytes=5), planned("b.csv", bytes=9), planned("c.txt"))
    assert seen.command("set", name="text_filter", value="csv") == [{"kind": "heard"}]
    seen.command("set", name="sort", value=["size", True])
    assert (seen.panel.shown_rows, seen.panel.sort) == (2, ("size", True))
    (reply,) = seen.command("rows", start=0, count=10)
    assert [cells[3] for cells in reply["rows"]] == ["b.csv", "a.csv"]
    seen.command("tick", order=reply["order"], start=0, stop=1, on=False)
    assert seen.panel.ticked == {"a.csv", "c.txt"}
    seen.command("tick", order=reply["order"] - 1, start=1, stop=2, on=False)
    assert seen.panel.ticked == {"a.csv", "c.txt"}, "positions of another order"
    seen.command("tick-shown", on=False)
    assert seen.panel.ticked == {"c.txt"}
    seen.command("set", name="kinds", value=["hit"])
    assert seen.panel.shown_rows == 0


@pytest.mark.parametrize(
    "message",
    [None, [], "x", {}, {"do": 5}, {"do": "nope"}, {"do": "rows"}, {"do": "rows", "start": -1, "count": 1},
     {"do": "rows", "start": True, "count": 1}, {"do": "set"}, {"do": "set", "name": "state", "value": "done"},
     {"do": "set", "name": "delete", "value": "yes"}, {"do": "set", "name": "filters", "value": [["a"]]},
     {"do": "set", "name": "remote", "value": "x" * 5000}, {"do": "set", "name": "sort", "value": ["nope", 1]},
     {"do": "browse", "path": 5}, {"do": "tick", "order": 1}],
)  # fmt: skip
def test_odd_messages_do_no_harm(seen: Seen, message: Any) -> None:
    seen.planned()
    seen.panel._handle_custom_msg(message, [])
    seen.panel.controller.poll()
    assert (seen.panel.state, seen.panel.selected, seen.panel.remote, seen.panel.delete) == ("planned", 2, "b/p", False)


def test_errors_of_commands_are_a_line(seen: Seen) -> None:
    seen.command("apply")
    assert (seen.panel.message, seen.panel.tone) == ("there is no plan to apply. Plan first", "bad")
    seen.command("plan")
    seen.command("set", name="remote", value="other")
    assert (seen.panel.remote, seen.panel.tone) == ("b/p", "bad")


def test_no_secret_is_kept(seen: Seen) -> None:
    for name, value in (("remote", "s3://KEY:hush@b/p"), ("endpoint_url", "http://u:hush@h"),
                        ("remote", "https://b.s3.amazonaws.com/x?X-Amz-Signature=hush")):  # fmt: skip
        seen.command("set", name=name, value=value)
        assert seen.panel.tone == "bad"
    assert "hush" not in repr(seen.panel.get_state()) + repr(seen.sent) + repr(seen.panel)


def test_a_turn_never_raises(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen.panel.session, "poll", lambda: 1 / 0)
    assert seen.panel.controller.poll() is True
    assert seen.panel.message == "internal error: ZeroDivisionError: division by zero"


# ---- progress, other jobs, what is saved -------------------------------------------------------------


def test_progress_is_plain_values(seen: Seen) -> None:
    seen.planned()
    seen.panel.apply()
    seen.engine.last.progress.apply(snapshot())
    seen.panel.controller.poll()
    progress = seen.panel.progress
    assert json.loads(json.dumps(progress)) == progress
    assert (progress["files_done"], progress["share"], progress["more"]) == (131, 0.5, 2)
    assert progress["active"][1] == {"path": "2025/day-01.parquet", "up": False, "share": 100_000 / 900_000,
                                     "amount": "100.0 kB of 900.0 kB"}  # fmt: skip
    assert "2.1 MB/s" in progress["facts"]


def test_two_panels_on_one_job() -> None:
    job = Job(nbsync.core.call.Call(command="pull"))
    panels = [SyncPanel(job=job, interval=0.0) for _ in range(2)]
    job.came = [row("a", "miss")]
    for panel in panels:
        panel.controller.poll()
    names = ("state", "counts", "total_rows", "progress", "remote")
    states = [{name: getattr(panel, name) for name in names} for panel in panels]
    assert states[0] == states[1]
    assert (panels[0].state, panels[0].counts, panels[0].remote) == ("applying", {"miss": 1}, "s3://bucket/raw/")
    assert not panels[0].stale, "it shows the job's words"
    job.ends = result(row("a", "miss"))
    assert [panel.wait().counts["miss"] for panel in panels] == [1, 1]
    assert {panel.state for panel in panels} == {"done"}


def test_wait_gives_up_waiting(seen: Seen) -> None:
    ticks = iter(range(100))
    panel = SyncPanel("b", start=seen.engine.prepare, interval=0.0, now=lambda: float(next(ticks)))
    panel.plan()
    with pytest.raises(TimeoutError):
        panel.wait(timeout=5)
    assert not seen.engine.last.cancelled


def test_what_a_saved_notebook_shows(seen: Seen) -> None:
    seen.planned(planned(HOSTILE), *(planned(f"z{n:04}") for n in range(300)))
    bundle = seen.panel._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert set(data) == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}
    html = data["text/html"]
    assert "<img" not in html
    assert "&lt;img" in html
    assert html.count("<tr") < 220
    assert "101 more" in html
    assert data["text/plain"] == "<SyncPanel pull b/p → data: planned>"


def test_shown_as_a_widget_and_a_table_that_follows(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[dict[str, str], dict[str, Any]]] = []
    monkeypatch.setattr("nbsync.report.ipython.ipython_display", lambda data, **more: shown.append((data, more)))
    seen.panel._ipython_display_()
    (widget, _), (table, first) = shown
    assert set(widget) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    assert (table["text/html"].endswith('"></div>'), first["update"]) == (True, False)
    seen.planned()
    (_, more) = shown[-1]
    assert (more["update"], more["display_id"]) == (True, first["display_id"])
    assert f'class="nbsync-saved {first["display_id"]}"' in shown[-1][0]["text/html"]
    assert "2 planned" in shown[-1][0]["text/html"]
    assert len(shown) == 3, "not while it plans"
    assert seen.command("hello")[0]["class"] == first["display_id"]


def test_a_click_moves_a_panel_on_the_kernels_loop() -> None:
    async def live() -> str:
        seen = Seen("b/p")
        done = asyncio.Event()
        seen.panel.observe(lambda change: done.set() if change["new"] == "planned" else None, names=["state"])
        await asyncio.to_thread(seen.panel._handle_custom_msg, {"do": "plan"}, [])
        await asyncio.sleep(0)
        seen.engine.last.ends = plan(planned("a"))
        await asyncio.wait_for(done.wait(), 5)
        state: str = seen.panel.state
        return state

    assert asyncio.run(live()) == "planned"


def test_a_result_is_drawn_once_however_often_it_is_ticked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a million rows the table takes more than a second, and a tick must not."""
    draw, drawn, shown = html_page.result_html, [], []
    monkeypatch.setattr(ipython, "ipython_display", lambda data, **_more: shown.append(data.get("text/html")))
    monkeypatch.setattr(html_page, "result_html", lambda result: drawn.append(result) or draw(result))
    seen = Seen("b/p", "data")
    seen.panel._ipython_display_()
    seen.planned(planned("a"), planned("b"))
    for on in (False, True, False):
        seen.panel.tick("a", on)
    assert (len(drawn), len(shown)) == (1, 6)
    assert "1 file ticked" in shown[-1]
    seen.planned(planned("c"))
    assert len(drawn) == 2
