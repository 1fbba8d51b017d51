"""The command line: words in, tables or JSON on standard output, progress and errors on standard error.

Runs in the main thread. Imports nothing heavy: the engine, rich and tracebacks come when they are needed.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from errno import EIO, EPIPE
from functools import partial
from types import FrameType
from typing import Any, TextIO

from nbsync.api.follow import SilentFace, carry_out
from nbsync.api.ports import Engine, default_engine
from nbsync.core.call import Call
from nbsync.core.commands import is_answer
from nbsync.errors import NbsyncError, UsageError, one_line
from nbsync.grammar.parse import HelpRequested, Invocation, parse
from nbsync.grammar.script import Given, Step, not_here, steps_of
from nbsync.report.row_log import Clock, utc_now
from nbsync.results import display
from nbsync.results.answer import Answer
from nbsync.results.sync_result import SyncResult

INTERNAL_ERROR = UNWRITABLE = 2
REFUSED = 2  # and above: the lines of a file after it are not done
INTERRUPTED = 130


class _Unwritable(Exception):
    """What was to be said cannot be written; why is the argument."""


def main(argv: Sequence[str] | None = None, *, engine: Engine | None = None, clock: Clock = utc_now) -> int:
    """Run one command and give its exit code, as the contract numbers them.

    Args:
        argv: the words after the program's name; those of the process when None.
        engine: `nbsync.api` when None.
        clock: for the times in a log file.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _open_closed_streams()
    _print_any_name()
    with _ends_like_ctrl_c():
        try:
            return _run(words, engine, clock)
        except KeyboardInterrupt:
            _complain("interrupted")
            return INTERRUPTED
        except _Unwritable as error:
            _complain(f"standard output cannot be written: {error}")
            return UNWRITABLE
        except MemoryError:
            _complain("there is not enough memory; what was done is kept")
            return INTERNAL_ERROR
        except Exception as error:
            if "--verbose" in words:
                import traceback

                traceback.print_exc()
            else:
                what = f"{type(error).__name__}: {error}".rstrip(": ")
                _complain(f"internal error: {what}; run with --verbose for the traceback")
            return INTERNAL_ERROR


def _run(words: list[str], engine: Engine | None, clock: Clock) -> int:
    try:
        invocation = parse(words)
    except HelpRequested as asked:
        if words:
            _say([asked.text])
            return 0
        _tell(asked.text)
        return UsageError.exit_code
    except UsageError as error:
        command = next((word for word in words if not word.startswith("-")), "")
        return _refused(error, Call(command=command), json="--json" in words)
    call = invocation.call
    if call is None:
        from nbsync.demo import show

        try:
            return show.run(main, lab=invocation.lab, serve=invocation.serve)
        except NbsyncError as error:
            return _refused(error, Call(command=invocation.command), json=False)
    try:
        engine = engine or default_engine()
        if call.command == "run":
            return _run_file(invocation, call, engine, clock)
        return _value(Step(invocation, False), engine, clock).exit_code
    except NbsyncError as error:
        return _refused(error, call, json=call.options.json)


def _run_file(invocation: Invocation, call: Call, engine: Engine, clock: Clock) -> int:
    """The lines of a file, one after the other, until one is refused; its exit code is the worst."""
    from nbsync.api.run_file import run_steps
    from nbsync.report import answers
    from nbsync.report.json import json_document

    options = call.options

    def do(step: Step) -> Answer:
        try:
            return _value(step, engine, clock)
        except NbsyncError as error:
            _complain(str(error))
            raise

    results, _ = run_steps(
        steps_of(call.file, not_here, Given({}, invocation.given, options.json), notebook=False), do, file=call.file,
        failure=lambda _, value: value.error if value.exit_code >= REFUSED else None,
        ended=lambda step, _: None if step.silent or options.quiet else _say([""]),
    )  # fmt: skip
    if options.json:
        _say([json_document(results)])
    elif not options.quiet:
        _say([answers.together_text(results)])
    return results.exit_code


def _value(step: Step, engine: Engine, clock: Clock) -> Answer:
    """What one command comes to; its table and its errors are printed."""
    call = step.invocation.call
    assert call is not None  # a `demo` is run elsewhere
    if is_answer(call.command):
        return _answer(call, engine, silent=step.silent)
    return _sync(step.invocation, call, engine, clock, silent=step.silent)


def _sync(invocation: Invocation, call: Call, engine: Engine, clock: Clock, *, silent: bool) -> SyncResult:
    from nbsync.report.terminal import TerminalFace

    options = call.options
    face = SilentFace() if options.quiet else TerminalFace(sys.stderr, says=not options.json)
    show = partial(_print_result, invocation, call, silent=silent)
    return carry_out(call, engine.prepare, face, show=show, clock=clock)


def _print_result(invocation: Invocation, call: Call, result: SyncResult, *, silent: bool) -> None:
    from nbsync.report import text_page
    from nbsync.report.json import json_document

    options = call.options
    if options.json and not silent:
        _say([json_document(result)])
    elif options.quiet:
        if not result.ok and result.error is None:
            _complain(display.line(result))
    elif not silent and (result.files or result.error is None):
        _say([text_page.result_text(result, invocation.show, colour=_colours(), unlimited=options.verbose, error=False,
                                 notebook=False)])  # fmt: skip
    if result.error is not None:
        _complain(str(result.error))


def _answer(call: Call, engine: Engine, *, silent: bool) -> Answer:
    from nbsync.report.json import json_document

    found, quiet = engine.answer(call), call.options.quiet
    if silent:
        return found
    if call.options.json:
        _say([json_document(found)])
        return found
    lines, remarks, is_data = display.printed(found)
    if is_data or not quiet:
        _say(lines)
    elif found.exit_code:
        _complain(display.line(found))
    for remark in () if quiet else remarks:
        _tell(remark)
    return found


def _refused(error: NbsyncError, call: Call, *, json: bool) -> int:
    if json:
        from nbsync.report.json import json_document, refusal

        _say([json_document(refusal(call, error))])
    _complain(str(error))
    return error.exit_code


def _say(lines: Iterable[str]) -> None:
    """Print to standard output; whoever stops reading, or closes the terminal, has seen enough.

    Raises:
        _Unwritable: it cannot be written.
    """
    try:
        for line in lines:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except OSError as error:
        nobody_reads = error.errno == EPIPE or (
            error.errno == EIO and stat.S_ISCHR(os.fstat(sys.stdout.fileno()).st_mode)
        )
        _let_go_of(sys.stdout)
        if not nobody_reads:
            raise _Unwritable(error.strerror) from None


def _complain(text: str) -> None:
    _tell(f"nbsync: {one_line(text)}")


def _tell(text: str) -> None:
    """Print to standard error, if anybody is there to read it."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _let_go_of(sys.stderr)


def _let_go_of(stream: TextIO) -> None:
    """Let what is in its buffer go nowhere: the interpreter would try once more at exit, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _open_closed_streams() -> None:
    """Let what is written to a stream that was closed before we began (`>&-`: Python has None there) go nowhere.

    It also keeps the file descriptor from a file or a socket that is opened later.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (open to the end)


def _print_any_name() -> None:
    """Let a name be printed that the terminal's encoding does not have."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            encoding = _encoding_of_terminals() if sys.flags.utf8_mode and stream.isatty() else None
            reconfigure(encoding=encoding, errors="backslashreplace")


def _encoding_of_terminals() -> str | None:
    """The locale's encoding. In UTF-8 mode Python does not use it, but bytes of UTF-8 may be control characters in it.

    None where the locale says none; then UTF-8 is the best guess.
    """
    import codecs
    import locale

    try:
        name = codecs.lookup(locale.nl_langinfo(locale.CODESET)).name
    except LookupError:
        return None
    return None if name == "ascii" or "PYTHONIOENCODING" in os.environ else name


@contextmanager
def _ends_like_ctrl_c() -> Iterator[None]:
    """SIGTERM, and SIGHUP unless `nohup` has it ignored, stop the run as Ctrl-C does."""
    before: dict[signal.Signals, Any] = {}
    try:
        before[signal.SIGTERM] = signal.signal(signal.SIGTERM, signal.default_int_handler)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, _hang_up)
    except ValueError:  # not the main thread: signals are somebody else's
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _hang_up(number: int, frame: FrameType | None) -> None:
    """Once is enough: the terminal and the shell in it both say that they are gone, which is no second Ctrl-C."""
    signal.signal(number, signal.SIG_IGN)
    signal.default_int_handler(number, frame)
