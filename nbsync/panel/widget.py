"""SyncPanel: the widget. Its traits are the whole state; they are written in one thread, by `_turn` or the user.

The front end (front/) sends commands, which the handler, in whatever thread it runs, only queues (a cancel it
passes on at once). The pump takes them up on the kernel's loop, or `wait` does in its own thread.
"""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets as t

from nbsync.api import functions
from nbsync.core.options import Call, build_options
from nbsync.errors import NbsyncError, UsageError
from nbsync.panel import commands, form, messages, static_table
from nbsync.panel.controller import BUSY, STATES, Job, Session
from nbsync.panel.pump import INTERVAL, Pump
from nbsync.panel.suggestions import Lookups
from nbsync.panel.table import COLUMNS, KINDS, Query
from nbsync.report import formats, text_page
from nbsync.results.sync_result import SyncResult

_FRONT = Path(__file__).parent / "front"
_SCRIPTS = ("page", "form", "tree", "grid", "panel")
_ACTIVE_SHOWN = 6
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
        self, remote: str = "", local: str = "", *, job: Job | None = None, direction: str = "pull",
        start: Callable[[Call], Job] = functions.start, now: Callable[[], float] = time.monotonic,
        interval: float = INTERVAL, **options: Any,
    ) -> None:  # fmt: skip
        build_options("panel", options)
        self._options = {name: value for name, value in options.items()
                         if name not in (*form.FIELDS, "include", "exclude")}  # fmt: skip
        own = {name: options[name] for name in ("delete", *form.WHERE) if options.get(name)}
        self.session = Session(start)
        self._commands: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._turning = threading.Lock()
        self._came = threading.Event()
        self._now = now
        self._saved = ""
        self._displayed = False
        self._polled_at = float("-inf")
        self._pump = Pump(self._turn, interval)
        self.lookups = Lookups(self._woken, now)
        super().__init__(remote=remote, local=local, direction=direction, filters=form.as_filters(options), **own)
        self.on_msg(self._on_message)
        if job is not None:
            self._adopt(job)
        self._publish()

    # ---- driven from Python -------------------------------------------------------------------------

    def plan(self) -> None:
        """Begin to compare both sides; nothing is changed.

        Raises:
            UsageError: REMOTE, LOCAL or an option makes no sense, or a job runs already.
        """
        self._told(lambda: self.session.begin_plan(self.call()))
        self.stale = False
        self._go_on()

    def apply(self) -> None:
        """Begin to do what is ticked, and nothing else. What changed since the plan is a conflict.

        Raises:
            UsageError: nothing is planned or ticked, the plan is stale, or a job runs already.
        """
        if self.stale:
            raise UsageError("the settings have changed since the plan", "Plan again")
        self._told(self.session.begin_apply)
        self._go_on()

    def cancel(self) -> None:
        """Stop what runs within a second; what was done is kept. Any thread may call it."""
        self.session.cancel()
        self._woken()

    def wait(self, timeout: float | None = None) -> SyncResult | None:
        """Keep the panel moving until its job has ended; then its result. It may be interrupted, the job goes on.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            TimeoutError: the job has not ended in time; it goes on.
        """
        deadline = None if timeout is None else self._now() + timeout
        while self._turn() and self.session.busy:
            if deadline is not None and self._now() >= deadline:
                raise TimeoutError("the panel's job has not ended yet; it goes on")
            self._came.wait(self._pump.interval)
            self._came.clear()
        return self.session.result

    def tick(self, paths: Iterable[str], on: bool = True) -> None:
        """Tick rows by path, or with `on=False` take their ticks away.

        Raises:
            UsageError: no such row, or a job runs.
        """
        paths = [paths] if isinstance(paths, str) else list(paths)
        if self.session.busy:
            raise UsageError("ticks cannot be changed while a job runs", "Wait for it, or cancel it")
        try:
            self.session.table.tick_paths(paths, on)
        except KeyError as error:
            raise UsageError(f"the table has no row {error}", "Paths are those of its result") from None
        self.session.changes += 1
        self._publish()

    def untick(self, paths: Iterable[str]) -> None:
        """Leave rows out of the next `apply`. As `tick` with `on=False`."""
        self.tick(paths, on=False)

    @property
    def result(self) -> SyncResult | None:
        """What the last job that ended came to: a SyncPlan or a SyncResult; None before there is one."""
        return self.session.result

    @property
    def job(self) -> Job | None:
        """The job that runs, or ran last."""
        return self.session.job

    @property
    def ticked(self) -> frozenset[str]:
        """The paths that `apply` would do."""
        return self.session.table.ticked()

    def given(self) -> dict[str, Any]:
        """Every option that is given, by name."""
        fields = {name: getattr(self, name) for name in form.FIELDS}
        fields["filters"] = form.pairs(fields["filters"])
        return {**self._options, **{name: value for name, value in fields.items() if value}}

    def call(self) -> Call:
        """The call that `plan` makes.

        Raises:
            UsageError: REMOTE, LOCAL or an option makes no sense.
        """
        return form.plan_call(self.direction, self.remote, self.local, self.given())

    # ---- one turn -----------------------------------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """In any thread: a command from the front end."""
        self._commands.put(content)
        if isinstance(content, Mapping) and content.get("do") == "cancel":
            self.session.cancel()
        self._woken()

    def _woken(self) -> None:
        self._came.set()
        self._pump.wake()

    def _go_on(self) -> None:
        self._publish()
        self._woken()

    def _turn(self) -> bool:
        """Do what is queued, take in what the job did, and show it; True while there is more to come."""
        if not self._turning.acquire(blocking=False):
            return True  # another thread waits on the panel, and moves it
        try:
            replies: list[dict[str, Any]] = []
            while not self._commands.empty():
                replies += self._obey(self._commands.get()) or [commands.HEARD]
            replies += commands.looked_up(self.lookups)
            more = self._poll()
            self._publish()
            for reply in replies:
                self.send(reply)
            return more or self.lookups.pending
        except Exception as error:  # never into the loop, which would only log it
            self.session.tell(str(NbsyncError(f"internal error: {type(error).__name__}: {error}")), "bad")
            self.message, self.tone = self.session.message, self.session.tone
            return self.session.busy
        finally:
            self._turning.release()

    def _poll(self) -> bool:
        """Take in what the job did, but not for each command that comes: rows that are asked for would bring more."""
        due = self._now() - self._polled_at >= self._pump.interval
        if due:
            self._polled_at = self._now()
            self.session.poll()
        return self.session.busy

    def _obey(self, command: Any) -> list[dict[str, Any]]:
        try:
            return commands.obey(self, command)
        except NbsyncError as error:
            self.session.fail(error)
        except t.TraitError:
            self.session.tell("that value is not taken", "bad")
        return []

    def _told(self, begin: Callable[[], None]) -> None:
        try:
            begin()
        except NbsyncError as error:
            self.session.fail(error)
            self._publish()
            raise

    def _adopt(self, job: Job) -> None:
        self.session.adopt(job)
        snapshot = self.session.snapshot
        if snapshot is not None:
            self.direction = snapshot.direction if snapshot.direction in ("pull", "push") else "pull"
            self.remote, self.local = snapshot.remote, snapshot.local
            self.stale = False
        self._go_on()

    @t.observe(*_MEANT)
    def _changed(self, _change: Any) -> None:
        # Also while a job runs: its plan, or what is left of it, is not what the fields say then.
        if self.session.plan is not None or self.session.busy:
            self.stale = True
            self._publish()

    @t.observe(*_QUERY)
    def _query_changed(self, _change: Any) -> None:
        column, descending = self.sort
        query = Query(self.text_filter, frozenset(self.kinds), column, descending)
        if query != self.session.table.query:
            self.session.table.select(query)
            self.session.changes += 1
            self._publish()

    @t.validate("remote", "endpoint_url")
    def _no_secrets(self, proposal: Any) -> str:
        return form.without_secrets(proposal["trait"].name, proposal["value"])

    # ---- what is shown ------------------------------------------------------------------------------

    def _publish(self) -> None:
        """Make the traits say what the session is; observers and the front end are told of what changed."""
        session, table = self.session, self.session.table
        with self.hold_sync(), self.hold_trait_notifications():
            self.state, self.message, self.tone = session.state, formats.clean(session.message, 400), session.tone
            self.total_rows, self.shown_rows = len(table), table.shown
            self.selected, self.selected_bytes = table.selected, table.selected_bytes
            self.selected_work = messages.todo(table.selected_actions) if table.selected else ""
            self.selected_deletes = table.deletes
            self.shown_selected, self.shown_tickable = table.shown_selected, table.shown_tickable
            self.counts = {kind: count for kind, count in table.counts.items() if count}
            self.can_apply = session.plan is not None and bool(table.selected) and not (session.busy or self.stale)
            self.progress = self._progress()
            self.order, self.revision = table.order, session.changes
        self._save()

    def _progress(self) -> dict[str, Any]:
        snapshot = self.session.snapshot
        if snapshot is None:
            return {}
        names = ("files_done", "files_total", "bytes_done", "bytes_total", "rate", "eta_seconds", "seconds",
                 "listing_done")  # fmt: skip
        active = [
            {"path": formats.clean(one.path, 300), "up": one.verb.value == "upload",
             "share": min(one.done / one.size, 1.0) if one.size > 0 else 0.0,
             "amount": f"{formats.size(one.done)} of {formats.size(one.size)}"}
            for one in snapshot.active[:_ACTIVE_SHOWN]
        ] if self.session.busy else []  # fmt: skip
        return {
            **{name: getattr(snapshot, name) for name in names}, "share": text_page.share(snapshot),
            "facts": text_page.progress_facts(snapshot), "active": active,
            "more": max(0, len(snapshot.active) - len(active)) if active else 0,
        }  # fmt: skip

    # ---- in the notebook ----------------------------------------------------------------------------

    @functools.cached_property
    def class_name(self) -> str:
        return f"nbsync-saved-{self.model_id}"

    @functools.cached_property
    def _table(self) -> static_table.SavedTable:
        return static_table.SavedTable(self.session, self.class_name)

    def _save(self) -> None:
        """Bring what a saved notebook shows up to date; seldom, because it is the whole table."""
        if not self._displayed or self.state in BUSY:
            return
        html = self._table.html()
        if html != self._saved:
            self._saved = html
            static_table.show(html, self._table.text(), self.class_name, update=True)

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
        self._saved = data.pop("text/html")
        static_table.display(data)
        static_table.show(self._saved, self._table.text(), self.class_name, update=False)
        self._displayed = True
