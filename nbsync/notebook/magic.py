"""`%s3sync` and `%%s3sync`: the command line's grammar in a notebook. Runs in the kernel's main thread.

The table is shown once: live, while the run goes on. The value that the magic returns would be shown a
second time by the cell that made it; so until that cell ends it carries an `_ipython_display_` of its
own that shows nothing. In any later cell it is the table.

Unloading stops no background sync: it goes on, and so does its table; what loads the extension again
finds both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError as IPythonUsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope, no_var_expand

from nbsync.api.follow import Face, SilentFace, carry_out
from nbsync.api.ports import Engine, default_engine
from nbsync.api.run_file import call_of, run_steps
from nbsync.core.call import Call
from nbsync.core.commands import COMMANDS, Kind, is_answer
from nbsync.core.saved_options import saved_options
from nbsync.errors import NbsyncError, UsageError
from nbsync.grammar.help import overview
from nbsync.grammar.parse import HelpRequested, Invocation, parse, parse_defaults
from nbsync.grammar.script import Given, Step, steps, steps_of
from nbsync.grammar.split import Expand, expander, split
from nbsync.notebook import completer, job_commands, live
from nbsync.notebook.config_traits import config_traits, defaults_of
from nbsync.notebook.tables import LINES, TABLES, Shown
from nbsync.report.ipython import bundle_of, ipython_display
from nbsync.report.json import json_document, refusal
from nbsync.results import display

if TYPE_CHECKING:
    from nbsync.api.job import SyncJob

NAME = "s3sync"
_HIDE = "_ipython_display_"


@magics_class
class S3Sync(Magics):
    """Sync S3 and local folders by content. `%config S3Sync.NAME = VALUE` sets a default for every command."""

    locals().update(config_traits())  # in a class body, this is its namespace

    def __init__(self, shell: Any = None, *, engine: Engine | None = None, **kwargs: Any) -> None:
        super().__init__(shell, **kwargs)
        self._ip: Any = shell
        self._engine = engine
        self._shown: list[Any] = []
        self._tables: Shown | None = None  # those of this process, if a test does not bring its own

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def s3sync(self, line: str, cell: str | None = None, local_ns: Mapping[str, Any] | None = None) -> Any:
        """What the line or the cell comes to. (Its help is what `%s3sync` alone prints.)"""
        expand = expander({**self._ip.user_ns, **(local_ns or {})})
        run: Invocation | None = None
        try:
            todo = [self._parsed(line, expand)] if cell is None else self._parsed_cell(line, cell, expand)
            if todo[0].invocation.command == "run":
                run, todo = todo[0].invocation, self._steps_of(todo[0], expand)
        except HelpRequested as asked:
            print(asked.text)
            return None
        except UsageError as error:
            # This very class: the shell shows it in one line, and a subclass with a traceback.
            raise IPythonUsageError(str(error)) from None
        if todo[0].invocation.command == "panel":
            return self._panel(todo[0].invocation)
        return self._run(*todo[0]) if cell is None and run is None else self._run_all(todo, run)

    s3sync.__doc__ = overview(notebook=True)  # what `%s3sync?` shows

    def hooks(self) -> dict[str, Callable[..., None]]:
        """What IPython calls at which event."""
        return {"post_execute": self.end_of_cell, "post_run_cell": self.bring_up_to_date}

    def end_of_cell(self) -> None:
        """Let the values of the cell that ended be shown from now on."""
        for value in self._shown:
            vars(value).pop(_HIDE, None)
        self._shown.clear()

    def bring_up_to_date(self, _result: Any = None) -> None:
        """The end of a cell: draw the tables of the background syncs, so that a saved notebook has their last state."""
        self._background().end_of_cell()

    def _parsed(self, line: str, expand: Expand) -> Step:
        words, silent = split(line, expand)
        return Step(parse(words, notebook=True, defaults=self._defaults()), silent)

    def _parsed_cell(self, line: str, cell: str, expand: Expand) -> list[Step]:
        """Every command of the cell, before any of them runs."""
        head = split(line, expand)
        given = Given(self._defaults(), parse_defaults(head.words), head.silent)
        return steps(cell, expand, given, notebook=True, first=2)  # the body begins on the cell's second line

    def _steps_of(self, run: Step, expand: Expand) -> list[Step]:
        """The commands in the file of a `run`; one document holds all that they come to."""
        invocation, silent = run
        call = call_of(invocation)
        given = Given(self._defaults(), invocation.given, silent or call.options.json)
        return steps_of(call.file, expand, given, notebook=True)

    def _defaults(self) -> dict[str, Any]:
        return defaults_of(self)

    def _run(self, invocation: Invocation, silent: bool) -> Any:
        """One command: shown, bound to its name, and raised if that is how it ended."""
        value = self._value(invocation, silent)
        failure = _failure(invocation, value)
        if failure is not None:
            raise failure
        return value

    def _run_all(self, todo: list[Step], run: Invocation | None) -> Any:
        """The commands of a cell or of a file one after the other, until one is refused; then what they came to."""
        call = run.call if run is not None else None
        loud = sum(not (silent or call_of(one).options.quiet or call_of(one).options.json) for one, silent in todo)
        head = live.Headline(len(todo), shown=loud > 1, in_kernel=self._in_kernel())
        begun: list[SyncJob] = []  # in the background: each comes after the one before

        def do(step: Step) -> Any:
            value = self._value(*step, begun[-1] if begun else None)
            if step.invocation.background:
                begun.append(value)
            return value

        results, failure = run_steps(
            todo, do, file=call.file if call is not None else "", ended=lambda _, results: head.update(results),
            failure=lambda step, value: _failure(step.invocation, value),
        )  # fmt: skip
        head.close(results)
        self._given_back(results, run.output_name if run is not None else "")
        if call is not None and call.options.json:
            print(json_document(results))
        if failure is not None:
            raise failure
        return results

    def _value(self, invocation: Invocation, silent: bool, before: SyncJob | None = None) -> Any:
        """What one command comes to: shown, and bound to its name."""
        call = call_of(invocation)
        try:
            engine = self._engine or default_engine()
            value = self._do(invocation, call, engine, silent or call.options.quiet, before)
        except NbsyncError as error:
            if call.options.json:
                print(json_document(refusal(call, error)))
            raise
        return self._given_back(value, invocation.output_name)

    def _do(self, invocation: Invocation, call: Call, engine: Engine, silent: bool, before: SyncJob | None) -> Any:
        if is_answer(call.command):
            return self._answer(call, engine, silent)
        if call.command == "jobs":
            return job_commands.jobs(call, engine, self._background(), silent)
        if call.command == "cancel":
            return job_commands.cancel(invocation.job, call, engine, silent)
        if invocation.background:
            return job_commands.begin(call, invocation.show, engine, None if silent else self._background(), before)
        return self._sync(invocation, call, engine, silent)

    def _background(self) -> Shown:
        return self._tables or (TABLES if self._in_kernel() else LINES)

    def _sync(self, invocation: Invocation, call: Call, engine: Engine, silent: bool) -> Any:
        face: Face = live.NotebookFace(invocation.show) if self._in_kernel() else live.ShellFace(invocation.show)
        if silent or call.options.json:
            face = SilentFace()
        show = (lambda result: print(json_document(result))) if call.options.json else None
        return carry_out(call, engine.prepare, face, show=show)

    def _answer(self, call: Call, engine: Engine, silent: bool) -> Any:
        found = engine.answer(call)
        if call.options.json:
            print(json_document(found))
        elif not silent:
            self._show(found)
        return found

    def _panel(self, invocation: Invocation) -> Any:
        """The widget, shown, and bound to its name."""
        if not self._in_kernel():
            hint = "Here: %s3sync plan ... --save FILE, then %s3sync apply FILE"
            raise NbsyncError("the panel needs a notebook", hint)
        from nbsync.panel.widget import SyncPanel

        call = call_of(invocation)
        given = {**saved_options(call.options), "files_from": call.options.files_from}
        panel = SyncPanel(call.remote, call.local, **given)
        ipython_display(panel)
        return self._given_back(panel, invocation.output_name)

    def _show(self, found: Any) -> None:
        if self._in_kernel():
            ipython_display(bundle_of(display.html(found), display.text(found)), raw=True)
        else:
            print(display.text(found))

    def _in_kernel(self) -> bool:
        return getattr(self._ip, "kernel", None) is not None

    def _given_back(self, value: Any, name: str) -> Any:
        """The value, bound to the name if there is one. In this cell, which has shown it, it shows nothing more."""

        def nothing_once() -> None:
            vars(value).pop(_HIDE, None)

        vars(value)[_HIDE] = nothing_once
        self._shown.append(value)
        if name:
            self._ip.user_ns[name] = value
        return value


def _failure(invocation: Invocation, value: Any) -> NbsyncError | None:
    """What is raised of a command that has ended so: what stopped it, and its problems if it is to be strict."""
    call = call_of(invocation)
    if invocation.background or COMMANDS[call.command].kind is Kind.JOBS:
        return None  # a job tells how it ended where one waits for it
    if value.error is not None or (call.options.strict and not is_answer(call.command)):
        try:
            value.raise_for_problems()
        except NbsyncError as error:
            return error
    return None


class _TerminalHook:
    """IPython's displayhook for a terminal, which is silent on a value whose table its cell has shown.

    The hook there prints `Out[n]: ` before it asks the value how it wants to be shown. As IPython does
    for any value, `_`, `Out` and the cell's result are set.
    """

    def __init__(self, displayhook: Any) -> None:
        self.displayhook = displayhook

    def __call__(self, value: Any = None) -> None:
        nothing_once = getattr(value, "__dict__", {}).get(_HIDE)
        if nothing_once is None or self.displayhook.quiet():
            self.displayhook(value)
            return
        nothing_once()
        self.displayhook.check_for_underscore()
        self.displayhook.update_user_ns(value)
        self.displayhook.fill_exec_result(value)


def load_ipython_extension(ip: Any) -> None:
    """Register the magic; a second time is a fresh start."""
    unload_ipython_extension(ip)
    ip.register_magics(S3Sync)
    if getattr(ip, "kernel", None) is None:
        ip.display_trap.hook = _TerminalHook(ip.display_trap.hook)
    magic = ip.magics_manager.registry["S3Sync"]
    for event, hook in magic.hooks().items():
        ip.events.register(event, hook)
    completer.install(ip, magic._defaults)


def unload_ipython_extension(ip: Any) -> None:
    """Take back all that loading did, `%config S3Sync` included."""
    magic = ip.magics_manager.registry.pop("S3Sync", None)
    if magic is None:
        return
    magic.end_of_cell()
    completer.uninstall(ip)
    if isinstance(ip.display_trap.hook, _TerminalHook):
        ip.display_trap.hook = ip.display_trap.hook.displayhook
    for event, hook in magic.hooks().items():
        ip.events.unregister(event, hook)
    if magic in ip.configurables:
        ip.configurables.remove(magic)
    for kind in ("line", "cell"):
        ip.magics_manager.magics[kind].pop(NAME, None)
