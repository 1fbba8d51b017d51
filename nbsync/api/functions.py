"""The Python API: pull, push, plan, apply, verify, undo, status, doctor, ls, link.

The faces call `start` and `answer`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal, overload

from nbsync.api.background import BACKGROUND, SyncJobs
from nbsync.api.follow import SilentFace, carry_out
from nbsync.api.job import SyncJob
from nbsync.core.call import Call
from nbsync.core.commands import COMMANDS, directions, places_of
from nbsync.core.options import build_options, is_taken
from nbsync.engine import doctor as engine_doctor
from nbsync.engine import status as engine_status
from nbsync.engine.link import make
from nbsync.engine.ls import listing
from nbsync.errors import Interrupted, UsageError
from nbsync.results.diagnosis import Diagnosis
from nbsync.results.folder_status import Status
from nbsync.results.link import Link
from nbsync.results.listing import Listing
from nbsync.results.sync_result import SyncPlan, SyncResult, VerifyResult

PathLike = str | os.PathLike[str]
_LAST = "that of the last sync"  # told by its identity
_ANSWERS: dict[str, Callable[[Call], Listing | Status | Diagnosis | Link]] = {
    "status": engine_status.status, "doctor": engine_doctor.doctor, "link": make, "ls": listing,
}  # fmt: skip


@overload
def pull(
    remote: str = ..., local: PathLike | None = ..., *, background: Literal[False] = ..., **options: Any
) -> SyncResult: ...
@overload
def pull(remote: str = ..., local: PathLike | None = ..., *, background: Literal[True], **options: Any) -> SyncJob: ...
def pull(
    remote: str = _LAST, local: PathLike | None = None, *, background: bool = False, **options: Any
) -> SyncResult | SyncJob:
    """Make LOCAL hold what REMOTE holds; only what differs travels.

    Args:
        remote: `s3://bucket/prefix` or `bucket/prefix`; the keys under `prefix/`. Without it, the last pull in
            `local` (by default the current directory) is done again, with the options that it had.
        local: a directory; default `./` + the last name in `remote`.
        background: return a SyncJob at once.
        **options: every option of `nbsync pull` by its name with underscores; see `nbsync.core.options.Options`. And
            `executor=`, a concurrent.futures.Executor whose workers do the transfers: a process pool, a Dask
            client's `get_executor(pure=False)`, the `executor` of an ipyparallel view. It is not closed.

    Returns:
        The result. Failures of single files are rows in it, see `SyncResult.raise_for_problems`.

    Raises:
        NbsyncError: wrong arguments, or the run was refused or could not go on; see nbsync.errors.
    """
    call = _call("pull", options, remote, local)
    return _start(call, background)


@overload
def push(
    local: PathLike | None = ..., remote: str = ..., *, background: Literal[False] = ..., **options: Any
) -> SyncResult: ...
@overload
def push(local: PathLike | None = ..., remote: str = ..., *, background: Literal[True], **options: Any) -> SyncJob: ...
def push(
    local: PathLike | None = None, remote: str = _LAST, *, background: bool = False, **options: Any
) -> SyncResult | SyncJob:
    """Make REMOTE hold what LOCAL holds; only what differs travels. Arguments and errors as `pull`.

    Without `remote`, the last push of `local` is done again; a pull is never turned round.
    """
    if local is None and remote is not _LAST:
        raise UsageError("push needs LOCAL", "It is: push(local, remote)")
    call = _call("push", options, remote, local)
    return _start(call, background)


@overload
def sync(local: PathLike, remote: str, *, background: Literal[False] = ..., **options: Any) -> SyncResult: ...
@overload
def sync(local: PathLike, remote: str, *, background: Literal[True], **options: Any) -> SyncJob: ...
def sync(local: PathLike, remote: str, *, background: bool = False, **options: Any) -> SyncResult | SyncJob:
    """Give each side what the other changed since the last sync; a file that both changed is a conflict.

    Args:
        local: a directory.
        remote: `s3://bucket/prefix` or `bucket/prefix`.
        background: as `pull`.
        **options: every option of `nbsync sync`; `on_conflict="both"` keeps both versions.

    Raises: as `pull`. GuardRefusal, too: more than half of what was synced would be deleted, or a side lost all of it.
    """
    return _start(_call("sync", options, remote, local), background)


def plan(direction: str, source: PathLike, target: PathLike | None = None, **options: Any) -> SyncPlan:
    """Decide and show, change nothing: `plan("pull", remote, local)` or `plan("push", local, remote)`.

    Returns:
        The plan, with rows of status `planned`; it can be saved to a file, and applied.

    Raises: as `pull`.
    """
    places = places_of(direction) if direction in directions() else ()
    if not places or (places[0] == "LOCAL" and target is None):
        raise UsageError('plan takes ("pull", remote, [local]) or ("push", local, remote)')
    given: dict[str, Any] = dict(zip(places, (source, target), strict=True))
    made = run(_call("plan", options, given["REMOTE"], given["LOCAL"], direction))
    assert isinstance(made, SyncPlan)  # what a plan comes to
    return made


def apply(path: PathLike, **options: Any) -> SyncResult:
    """Do what a saved plan says, and nothing else.

    An item whose two sides, or whose decision, are no longer as planned is not done and is a conflict; one that
    is done already is a hit. The rules and guards of the planned pull or push hold.

    Args:
        path: of the file that `SyncPlan.save` or `--save` wrote.
        **options: every option of `nbsync apply`; given, they go before what the plan says of itself.

    Raises:
        UsageError: the file is no plan, is damaged, or was made for another endpoint and none is given.
        NbsyncError: as `pull`.
    """
    call = Call(command="apply", file=os.fspath(path), options=build_options("apply", options),
                asked=frozenset(options))  # fmt: skip
    return run(call)


def verify(local: PathLike, remote: str, **options: Any) -> VerifyResult:
    """Is each pair of a local file and an object equal? From content, never from what was recorded.

    Args:
        local: a directory. Nothing is created in it.
        remote: `s3://bucket/prefix` or `bucket/prefix`.
        **options: every option of `nbsync verify`; `download=True` fetches each object and compares the bytes.

    Returns:
        The result: `hit` equal, `miss` different or missing on one side, `skipped` unknown; each row with its
        `assurance`.

    Raises: as `pull`. SyncProblems: with `strict=True`, something differs or is unknown.
    """
    found = run(_call("verify", options, remote, local))
    assert isinstance(found, VerifyResult)  # what a verify comes to
    return found


def ls(remote: str, **options: Any) -> Listing:
    """The objects under REMOTE: keys, sizes, times.

    Raises: as `pull`.
    """
    return listing(_call("ls", options, remote, None))


def _call(command: str, options: dict[str, Any], remote: Any, local: PathLike | None, direction: str = "") -> Call:
    """A command as Python words it."""
    executor = options.pop("executor", None) if is_taken("on", command) else None
    way = direction or (command if COMMANDS[command].directed else "")
    again = remote is _LAST
    return Call(command=command, direction=way, remote="" if again else _text(remote, "remote"), local=_local(local),
                options=build_options(command, options, direction), asked=frozenset(options), again=again,
                executor=executor)  # fmt: skip


def undo(local: PathLike = ".", **options: Any) -> SyncResult:
    """Put back what the last sync replaced or deleted in LOCAL; what that replaces goes to the trash in turn.

    Args:
        local: the directory that was synced.
        **options: `dry_run` and those of the faces.

    Returns:
        The result; what could not be put back is a failed row, and stays in the trash.

    Raises: as `pull`; never for a reason of the service, which is not asked.
    """
    return run(_call("undo", options, "", local))


def status(local: PathLike = ".", **options: Any) -> Status:
    """What LOCAL was synced with, and what has changed in it since; without any request.

    A folder that was never synced has a Status without `syncs`.

    Args:
        local: the directory that was synced. Nothing is created in it.
        **options: those of the faces.

    Raises:
        NbsyncError: LOCAL is no directory, or cannot be read.
    """
    return engine_status.status(_call("status", options, "", local))


def doctor(remote: str = "", **options: Any) -> Diagnosis:
    """Look at all that a sync depends on: credentials, endpoint, clock, bucket, versions. Nothing is written.

    What is wrong is a finding, and not raised; see `Diagnosis.raise_for_problems`. No step takes longer than the
    time-outs allow (10 seconds and one retry, unless `timeout` or `retries` say otherwise).

    Args:
        remote: `s3://bucket/prefix` or `bucket/prefix`; without it, the service alone is looked at.
        **options: every option of `nbsync doctor`.

    Raises:
        UsageError: REMOTE or an option makes no sense.
    """
    return engine_doctor.doctor(_call("doctor", options, remote, None))


def link(remote: str, local: PathLike | None = None, **options: Any) -> Link:
    """A pull link: opened in a browser, it asks a Jupyter server to pull REMOTE. No request is made here.

    Args:
        remote: `s3://bucket/prefix` or `bucket/prefix`.
        local: the folder that it fills, relative to the server's root; default: the last name in `remote`.
        **options: every option of `nbsync link`; `server="http://localhost:8888/"` or `hub="https://hub.example.org"`
            say where it leads, `urlpath="lab/tree/data/x.ipynb"` what is opened when the files are there.

    Returns:
        The link; `.url` is its address, or, where neither is given nor known, the path that goes behind one.

    Raises:
        UsageError: a part makes no sense, or a server would refuse it.
    """
    return make(_call("link", options, remote, local))


def answer(call: Call) -> Listing | Status | Diagnosis | Link:
    """What a command comes to that is answered at once.

    Raises: as these.
    """
    return _ANSWERS[call.command](call)


def prepare(call: Call) -> SyncJob:
    """A command that works file by file; `wait` begins it.

    Raises:
        UsageError: the call makes no sense.
    """
    return SyncJob(call, at_once=False, perform=run)


def start(call: Call) -> SyncJob:
    """A command that works file by file, begun at once; whoever polls it or waits moves its progress.

    Raises:
        UsageError: the call makes no sense.
    """
    return SyncJob(call, perform=run)


def begin(call: Call, after: SyncJob | None = None) -> SyncJob:
    """Begin a command as a background sync, which has a number and is moved by the event loop that runs here, if any.

    Args:
        call: the command.
        after: begin it when this job has ended; not at all if that was stopped or refused.

    Raises:
        UsageError: the call makes no sense.
    """
    return BACKGROUND.begin(SyncJob(call, after=after, perform=run))


def jobs() -> SyncJobs:
    """The background syncs of this process: those under way, and the last ones that have ended."""
    return BACKGROUND.jobs()


def find_job(number: str) -> SyncJob:
    """The background sync with this number.

    Raises:
        UsageError: there is none.
    """
    return BACKGROUND.find(number)


def run(call: Call) -> SyncResult:
    """Do a command that works file by file, and wait for it.

    Raises: as `pull`.
    """
    result = _start(call, background=False)
    assert isinstance(result, SyncResult)  # not in the background
    return result


def _start(call: Call, background: bool) -> SyncResult | SyncJob:
    if call.options.log_file and background:
        raise UsageError("--log-file is written at the end of a run that is waited for, not of a background job")
    if background:
        return begin(call)
    result = carry_out(call, prepare, SilentFace())
    if isinstance(result.error, Interrupted):  # nobody but the caller's Ctrl-C can have stopped it
        raise KeyboardInterrupt from result.error
    if result.error is not None or call.options.strict:
        result.raise_for_problems()
    return result


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} is text like 's3://bucket/prefix', not {type(value).__name__}")
    return value


def _local(value: PathLike | None) -> str:
    if value is None:
        return ""
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else ""
    if not isinstance(path, str) or not path:
        raise UsageError("local is the path of a directory")
    return path
