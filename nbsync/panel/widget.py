"""SyncPanel: the widget. Its traits show what its Controller does, and are what the user fills in.

The front end (front/) sends commands, which the handler, in whatever thread it runs, only hands over.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import anywidget
import traitlets as t

from nbsync.api import functions
from nbsync.api.job import SyncJob
from nbsync.api.ticker import INTERVAL
from nbsync.core.call import Call
from nbsync.core.options import build_options
from nbsync.panel import commands, form, messages, static_table
from nbsync.panel.controller import STATES, Controller, Session
from nbsync.panel.table import COLUMNS, KINDS, Query
from nbsync.report import formats, ipython
from nbsync.results.sync_result import SyncResult

_FRONT = Path(__file__).parent / "front"
_SCRIPTS = ("page", "form", "tree", "grid", "panel")
_MEANT = ("direction", "remote", "local", *form.FIELDS)  # what a plan depends on
_QUERY = ("text_filter", "kinds", "sort")


def _shown(trait: Any) -> Any:
    """A trait that the front end shows."""
    return trait.tag(sync=True)


class SyncPanel(anywidget.AnyWidget):  # type: ignore[misc]  # ipywidgets has no types
    """Choose, plan, look, untick, apply: a sync as a widget.

    Observe any trait; drive it by `plan()`, `apply()`, `cancel()`, `wait()`. Errors of a run are the `message` and
    the `result`'s `error`; wrong words and commands at the wrong time raise.

    Attributes:
        direction, remote, local, filters, delete, endpoint_url, profile, region: what is to be synced.
        state: one of `nbsync.panel.controller.STATES`.
        message, tone: one line, and whether it is info, good, warn or bad.
        stale: what is to be synced was changed after the plan; plan again before it is applied.
        progress: of the job that runs, as plain values (bytes, seconds).
        counts: rows by kind (`download`, `delete-local`, `conflict`, `hit`, ...).
        total_rows, shown_rows: of the table, and of them what the filter shows.
        selected, selected_bytes, selected_work, selected_deletes: what is ticked; `selected_work` in words.
        text_filter, kinds, sort: what the table shows; `kinds` empty means all but hits; `sort` is column, descending.

    Args:
        remote: as of `pull`; may be filled in later.
        local: a directory.
        job: a SyncJob that runs already, to be shown.
        direction: `pull` or `push`.
        start: begins a job.
        now: monotonic seconds.
        **options: those of `nbsync plan`.

    Raises:
        UsageError: an option that a plan does not take.
    """

    # One module without a build step: the files stand one after the other.
    _esm = "\n".join((_FRONT / f"{name}.js").read_text("utf-8") for name in _SCRIPTS)
    _css = (_FRONT / "panel.css").read_text("utf-8")

    direction = _shown(t.Enum(("pull", "push"), default_value="pull"))
    remote = _shown(t.Unicode())
    local = _shown(t.Unicode())
    filters = _shown(t.List(t.List(t.Unicode(), minlen=2, maxlen=2)))
    delete = _shown(t.Bool(False))
    endpoint_url = _shown(t.Unicode())
    profile = _shown(t.Unicode())
    region = _shown(t.Unicode())
    state = _shown(t.Enum(STATES, default_value="idle"))
    message = _shown(t.Unicode())
    tone = _shown(t.Enum(("info", "good", "warn", "bad"), default_value="info"))
    stale = _shown(t.Bool(False))
    can_apply = _shown(t.Bool(False))
    progress = _shown(t.Dict())
    counts = _shown(t.Dict())
    total_rows = _shown(t.Int(0))
    shown_rows = _shown(t.Int(0))
    selected = _shown(t.Int(0))
    selected_bytes = _shown(t.Int(0))
    selected_work = _shown(t.Unicode())
    selected_deletes = _shown(t.Int(0))
    shown_selected = _shown(t.Int(0))
    shown_tickable = _shown(t.Int(0))
    text_filter = _shown(t.Unicode())
    kinds = _shown(t.List(t.Enum(KINDS)))
    sort = _shown(t.Tuple(t.Enum(COLUMNS), t.Bool(), default_value=("status", False)))
    revision = _shown(t.Int(0))
    order = _shown(t.Int(0))

    def __init__(
        self, remote: str = "", local: str = "", *, job: SyncJob | None = None, direction: str = "pull",
        start: Callable[[Call], SyncJob] = functions.start, now: Callable[[], float] = time.monotonic,
        interval: float = INTERVAL, **options: Any,
    ) -> None:  # fmt: skip
        build_options("panel", options)
        without_field = {name: value for name, value in options.items()
                         if name not in (*form.FIELDS, "include", "exclude")}  # fmt: skip
        own = {name: options[name] for name in form.FIELDS if name != "filters" and options.get(name)}
        self.controller = Controller(
            self, commands.obey, start=start, options=without_field, now=now, interval=interval
        )  # fmt: skip
        super().__init__(remote=remote, local=local, direction=direction, filters=form.as_filters(options), **own)
        self.on_msg(lambda _widget, content, _buffers: self.controller.receive(content))
        if job is not None:
            self.controller.adopt(job)
        self.publish()

    @property
    def session(self) -> Session:
        """What was planned and done."""
        return self.controller.session

    # ---- driven from Python -------------------------------------------------------------------------

    def plan(self) -> None:
        """Begin to compare both sides; nothing is changed.

        Raises:
            UsageError: REMOTE, LOCAL or an option makes no sense, or a job runs already.
        """
        self.controller.plan()

    def apply(self) -> None:
        """Begin to do what is ticked, and nothing else. What changed since the plan is a conflict.

        Raises:
            UsageError: nothing is planned or ticked, the plan is stale, or a job runs already.
        """
        self.controller.apply()

    def cancel(self) -> None:
        """Stop what runs within a second; what was done is kept. Any thread may call it."""
        self.controller.cancel()

    def wait(self, timeout: float | None = None) -> SyncResult | None:
        """Keep the panel moving until its job has ended; then its result. It may be interrupted, the job goes on.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            TimeoutError: the job has not ended in time; it goes on.
        """
        self.controller.wait(timeout)
        return self.session.result

    def tick(self, paths: Iterable[str], on: bool = True) -> None:
        """Tick rows by path, or with `on=False` take their ticks away.

        Raises:
            UsageError: no such row, or a job runs.
        """
        self.controller.tick([paths] if isinstance(paths, str) else list(paths), on)

    def untick(self, paths: Iterable[str]) -> None:
        """Leave rows out of the next `apply`. As `tick` with `on=False`."""
        self.tick(paths, on=False)

    @property
    def result(self) -> SyncResult | None:
        """What the last job that ended came to: a SyncPlan or a SyncResult; None before there is one."""
        return self.session.result

    @property
    def job(self) -> SyncJob | None:
        """The job that runs, or ran last."""
        return self.session.job

    @property
    def ticked(self) -> frozenset[str]:
        """The paths that `apply` would do."""
        return self.session.table.ticked()

    def call(self) -> Call:
        """The call that `plan` makes.

        Raises:
            UsageError: REMOTE, LOCAL or an option makes no sense.
        """
        return self.controller.call()

    # ---- what is filled in ---------------------------------------------------------------------------

    @t.observe(*_MEANT)
    def _changed(self, _change: Any) -> None:
        self.controller.settings_changed()

    @t.observe(*_QUERY)
    def _query_changed(self, _change: Any) -> None:
        column, descending = self.sort
        self.controller.select(Query(self.text_filter, frozenset(self.kinds), column, descending))

    @t.validate("remote", "endpoint_url")
    def _no_secrets(self, proposal: Any) -> str:
        return form.without_secrets(proposal["trait"].name, proposal["value"])

    # ---- what is shown ------------------------------------------------------------------------------

    def publish(self) -> None:
        """Make the traits say what the session is; observers and the front end are told of what changed."""
        session, table = self.session, self.session.table
        with self.hold_sync(), self.hold_trait_notifications():
            self.state, self.message, self.tone = session.state, formats.clean(session.message, 400), session.tone
            self.stale = self.controller.stale
            self.total_rows, self.shown_rows = len(table), table.shown
            self.selected, self.selected_bytes = table.selected, table.selected_bytes
            self.selected_work = messages.todo(table.selected_actions) if table.selected else ""
            self.selected_deletes = table.deletes
            self.shown_selected, self.shown_tickable = table.shown_selected, table.shown_tickable
            self.counts = {kind: table.counts[kind] for kind in KINDS if table.counts.get(kind)}
            self.can_apply = session.plan is not None and bool(table.selected) and not (session.busy or self.stale)
            self.progress = messages.progress(session.snapshot, busy=session.busy)
            self.order, self.revision = table.order, table.changes
        self._table.bring_up_to_date()

    # ---- in the notebook ----------------------------------------------------------------------------

    @functools.cached_property
    def class_name(self) -> str:
        return f"nbsync-saved-{self.model_id}"

    @functools.cached_property
    def _table(self) -> static_table.SavedTable:
        return static_table.SavedTable(self.session, self.class_name)

    def __repr__(self) -> str:
        ends = f"{self.local} → {self.remote}" if self.direction == "push" else f"{self.remote} → {self.local}"
        return formats.clean(f"<SyncPanel {self.direction} {ends}: {self.state}>", 400)

    def _repr_mimebundle_(self, **more: Any) -> Any:
        bundle = super()._repr_mimebundle_(**more)
        data = dict(bundle[0] if isinstance(bundle, tuple) else bundle or {})
        data.update({"text/plain": repr(self), "text/html": self._table.html()})
        return (data, bundle[1]) if isinstance(bundle, tuple) else data

    def _ipython_display_(self, **_: Any) -> None:
        """The widget, and below it the table for who opens the notebook without a kernel; its page hides that."""
        data = self._repr_mimebundle_()
        data = dict(data[0] if isinstance(data, tuple) else data)
        del data["text/html"]
        ipython.ipython_display(data, raw=True)
        self._table.open()
