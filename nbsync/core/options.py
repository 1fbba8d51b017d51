"""Every option, once: its name, type, default and help, the commands that take it, and what else is true of it.

The argument parser, the help, the completion, the magic, the Python API, the panel, and what is saved, repeated or
sent to workers: all read the rows, and nothing else lists options. Pure: no disk, no environment.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nbsync.core import option_values
from nbsync.core.commands import (
    BACKGROUND,
    COMMANDS,
    DOWNLOADS,
    DRY_RUN,
    FILTERS,
    LOG,
    ONE_WAY,
    OUTPUT,
    OVERWRITES,
    REQUESTS,
    SYNCS,
    TRANSFERS,
    UPLOADS,
    WHERE,
    directions,
)
from nbsync.core.timestamps import format_moment
from nbsync.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: how it is written and read, and what is true of it.

    Attributes:
        help: what it does, in a line.
        group: the part of a help page that it stands in.
        of: which commands take it: their names, or what their options are for (`commands.TAKEN`).
        default: its value where it is not given; one of a tuple may be given again, and adds up.
        metavar: what its value is called in the help; empty for a flag.
        choices: its values, where they are few.
        parse: reads its value, typed or given in Python; without it, a flag or text.
        tell: writes its value as `parse` reads it, where it is not its own text or JSON.
        written: how it is typed, where that is not `--` and its name.
        only_in: the one face that has it, `shell` or `notebook`.
        once: it is meant for one run, and never repeated.
        saved: a saved plan says it.
        shows: it says how a run is shown, not what it does.
        place: it says which service or account: a user who gives it means to go there.
        configured: the user's AWS configuration may name it, too.
        file: its value is the path of a file to read.
        harmless: a plan that somebody else made may bring it. It says which files, how fast, or what is told of an
            object; all else leads elsewhere, reads or writes files beside LOCAL, weakens a check, costs, or lets
            others read what is sent. What is new is not, until somebody has thought about it.
        excludes: options that it cannot stand beside.
        needs: an option that it makes no sense without, and how that one's value begins.
        drops: options of a repeated sync that go when this one is asked for.
        config: what it is called in `%config S3Sync`.
        in_panel: the panel has a field for it.
        header: what says it of an object that is uploaded.
    """

    help: str
    group: str
    of: tuple[str, ...]
    name: str = ""
    default: Any = None
    metavar: str = ""
    choices: tuple[str, ...] = ()
    parse: Callable[[Any], Any] | None = None
    tell: Callable[[Any], Any] | None = None
    written: tuple[str, ...] = ()
    only_in: str = ""
    once: bool = False
    saved: bool = True
    shows: bool = False
    place: bool = False
    configured: bool = False
    file: bool = False
    harmless: bool = False
    excludes: tuple[str, ...] = ()
    needs: tuple[str, str] = ("", "")
    drops: tuple[str, ...] = ()
    config: str = ""
    in_panel: bool = False
    header: str = ""

    @property
    def takes_value(self) -> bool:
        """Does a word follow it?"""
        return not isinstance(self.default, bool)

    @property
    def repeats(self) -> bool:
        """May it be given again?"""
        return isinstance(self.default, tuple)

    @property
    def flags(self) -> tuple[str, ...]:
        """How it is typed: `-n` and `--dry-run`."""
        return self.written or (flag(self.name),)


def flag(name: str) -> str:
    """`dry_run` -> `--dry-run`."""
    return "--" + name.replace("_", "-")


def _option(default: Any, help: str, group: str, of: tuple[str, ...], **more: Any) -> Any:
    return field(default=default, metadata={"row": Option(help=help, group=group, of=of, **more)})


def _which(default: Any, help: str, *of: str, **more: Any) -> Any:
    return _option(default, help, "Which files", of or (SYNCS,), **more)


def _how(default: Any, help: str, *of: str, **more: Any) -> Any:
    return _option(default, help, "How", of or (SYNCS,), **more)


def _where(default: Any, help: str, **more: Any) -> Any:
    return _option(default, help, "Where", (WHERE,), **more)


def _push(default: Any, help: str, **more: Any) -> Any:
    return _option(default, help, "Push (for what is uploaded; a hit is not touched)", (UPLOADS,), **more)


def _link(default: Any, help: str, **more: Any) -> Any:
    return _option(default, help, "Link", ("link",), **more)


def _output(default: Any, help: str, *of: str, **more: Any) -> Any:
    return _option(default, help, "Output", of or (OUTPUT,), once=True, saved=False, **more)


@dataclass(frozen=True, kw_only=True)
class Options:
    """All options of a run, checked. Sizes in bytes, times in seconds; 0 or empty means not given."""

    filters: tuple[tuple[str, str], ...] = _which(
        (), "--include/--exclude GLOB, in order; the last match wins; * crosses /", FILTERS,
        parse=option_values.filters, written=("--exclude", "--include"), harmless=True, in_panel=True)  # fmt: skip
    files_from: str = _which("", "only the paths in FILE (-: standard input), one a line, relative", SYNCS, "verify",
                             metavar="FILE", file=True, saved=False)  # fmt: skip
    existing: bool = _which(False, "only what the destination has already", ONE_WAY, harmless=True,
                            excludes=("ignore_existing",))  # fmt: skip
    ignore_existing: bool = _which(False, "only what the destination does not have", ONE_WAY, harmless=True)
    follow_symlinks: bool = _which(False, "follow symbolic links (else they are skipped)", UPLOADS, "verify")

    delete: bool = _how(False, "delete at the destination what the source does not have", ONE_WAY, harmless=True,
                        in_panel=True)  # fmt: skip
    max_delete: int | None = _how(
        None, "refuse the run if it would delete more than N files", metavar="N", parse=option_values.count,
        needs=("delete", ""), harmless=True)  # fmt: skip
    on_conflict: str = _how("", "where both sides changed: report it (default), take local or remote, or keep both",
                            "sync", "plan", choices=("report", "local", "remote", "both"))  # fmt: skip
    dry_run: bool = _how(False, "decide and show, change nothing (-n)", DRY_RUN, written=("-n", "--dry-run"), once=True,
                         saved=False)  # fmt: skip
    download: bool = _how(False, "fetch each object and compare the bytes; writes nothing", "verify")
    compare: str = _how("content", "what makes two files the same", choices=("content", "size-mtime", "size"),
                        harmless=True)  # fmt: skip
    as_of: int | None = _how(
        None, "what a versioned bucket held then: a date or time (ISO 8601), UTC if no zone is given", DOWNLOADS, "ls",
        "verify", "link", metavar="TIME", parse=option_values.moment, tell=format_moment, harmless=True)  # fmt: skip
    overwrite_remote: bool = _how(False, "replace objects that others changed since the last sync", OVERWRITES,
                                  once=True, harmless=True)  # fmt: skip
    part_size: int = _how(0, "send files above SIZE in parts of it, e.g. 64MiB (at least 5MiB; larger where needed)",
                          UPLOADS, "apply", metavar="SIZE", parse=option_values.part_size)  # fmt: skip
    no_conditions: bool = _how(False, "for services that refuse conditional writes: a look just before decides",
                               UPLOADS, "apply", once=True)  # fmt: skip
    sse_c_key_file: str = _how("", "the customer's key that objects are encrypted with (SSE-C), in FILE", TRANSFERS,
                               metavar="FILE", file=True, excludes=("sse",))  # fmt: skip
    allow_empty_source: bool = _how(False, "an empty or missing source, or side, is meant", once=True,
                                    harmless=True)  # fmt: skip
    preserve_mtime: bool = _how(False, "take x-amz-meta-mtime where the object has it", DOWNLOADS, "sync",
                                harmless=True)  # fmt: skip
    jobs: int = _how(0, "transfers at once (default: chosen while running)", TRANSFERS, metavar="N",
                     parse=option_values.jobs, harmless=True, config="jobs")  # fmt: skip
    on: str = _how("", "transfer on an engine's workers: dask://HOST:PORT, ipyparallel, ipyparallel:PROFILE", "pull",
                   "push", metavar="ENGINE")  # fmt: skip
    spread: str = _how("", "with --on: workers share a file system (default); or, pull only, each has its own", "pull",
                       "push", choices=("shared", "each"))  # fmt: skip
    bandwidth: int = _how(0, "at most so many bytes a second, e.g. 20MB/s", TRANSFERS, metavar="RATE",
                          parse=option_values.rate, harmless=True, config="bandwidth")  # fmt: skip
    trash_days: float | None = _how(
        None, "days that the trash is kept (default: 7, or NBSYNC_TRASH_DAYS)", SYNCS, "apply", "undo", metavar="N",
        parse=option_values.days, config="trash")  # fmt: skip
    timeout: float = _how(60.0, "seconds without a byte before a connection is given up", REQUESTS, metavar="SECONDS",
                          parse=option_values.seconds, harmless=True)  # fmt: skip
    retries: int | None = _how(None, "times that a failed request is tried again (default: 8, or AWS_MAX_ATTEMPTS - 1)",
                               REQUESTS, metavar="N", parse=option_values.count, harmless=True)  # fmt: skip

    hub: str = _link("", "a JupyterHub: the link leads everybody to a server of their own", metavar="URL",
                     excludes=("server",))  # fmt: skip
    server: str = _link("", "a Jupyter server, with its base URL", metavar="URL")
    urlpath: str = _link("", "what is opened when the files are there, e.g. lab/tree/data/x.ipynb", metavar="PATH")
    endpoint: str = _link("", "an S3 service, by the name that the server's owner gave it", metavar="NAME")

    profile: str = _where("", "a profile of the AWS configuration", metavar="NAME", place=True, configured=True,
                          config="profile", in_panel=True)  # fmt: skip
    region: str = _where("", "the bucket's region", metavar="NAME", place=True, harmless=True, config="region",
                         in_panel=True)  # fmt: skip
    endpoint_url: str = _where("", "an S3-compatible server", metavar="URL", place=True, configured=True,
                               drops=("region",), config="endpoint_url", in_panel=True)  # fmt: skip
    addressing_style: str = _where("auto", "where the bucket's name goes", choices=("auto", "path", "virtual"),
                                   harmless=True)  # fmt: skip
    no_sign_request: bool = _where(False, "without credentials (public buckets)", harmless=True)
    no_verify_ssl: bool = _where(False, "do not check the server's certificate", once=True)
    ca_bundle: str = _where("", "certificates to check the server's with", metavar="FILE", file=True, configured=True)
    request_payer: bool = _where(False, "you pay for requests and transfer (requester-pays buckets)")

    storage_class: str = _push("", "e.g. STANDARD_IA", metavar="CLASS", harmless=True, header="x-amz-storage-class")
    sse: str = _push("", "server-side encryption", choices=("AES256", "aws:kms", "aws:kms:dsse"), harmless=True,
                     drops=("sse_kms_key_id",), header="x-amz-server-side-encryption")  # fmt: skip
    sse_kms_key_id: str = _push("", "the KMS key", metavar="ID", needs=("sse", "aws:kms"),
                                header="x-amz-server-side-encryption-aws-kms-key-id")  # fmt: skip
    acl: str = _push("", "a canned ACL, e.g. public-read", metavar="ACL", header="x-amz-acl")
    content_type: str = _push("", "guessed from the name when not given", metavar="TYPE", harmless=True)
    content_encoding: str = _push("", "e.g. gzip", metavar="VALUE", harmless=True, header="content-encoding")
    content_disposition: str = _push("", "e.g. attachment", metavar="VALUE", harmless=True,
                                     header="content-disposition")  # fmt: skip
    content_language: str = _push("", "e.g. de", metavar="VALUE", harmless=True, header="content-language")
    cache_control: str = _push("", "e.g. max-age=3600", metavar="VALUE", harmless=True, header="cache-control")
    expires: str = _push("", "a date", metavar="VALUE", harmless=True)
    metadata: tuple[tuple[str, str], ...] = _push(
        (), "user metadata; may be given again", metavar="K=V", parse=option_values.pairs, harmless=True)  # fmt: skip
    tag: tuple[tuple[str, str], ...] = _push(
        (), "an object tag; may be given again", metavar="K=V", parse=option_values.pairs, harmless=True)  # fmt: skip

    save: str = _output("", "write the plan to FILE, for apply", "plan", metavar="FILE", shows=True)
    json: bool = _output(False, "one JSON document on standard output", shows=True, excludes=("verbose",))
    quiet: bool = _output(False, "no progress, no table", shows=True, excludes=("verbose",))
    verbose: bool = _output(False, "show hits too, and more about each row", shows=True)
    log_file: str = _output("", "append one line a file to FILE", LOG, metavar="FILE", shows=True)
    strict: bool = _output(False, "raise at the end if a file failed (not in the shell); verify fails an unknown", LOG,
                           config="strict")  # fmt: skip


OPTIONS: dict[str, Option] = {
    spec.name: replace(spec.metadata["row"], name=spec.name, default=spec.default)
    for spec in dataclasses.fields(Options)
}


def _in_notebook(name: str, default: Any, help: str, of: str, **more: Any) -> Option:
    return Option(name=name, default=default, help=help, group="Notebook", of=(of,), only_in="notebook", **more)


def _of_demo(name: str, help: str, **more: Any) -> Option:
    return Option(name=name, default=False, help=help, group="Demo", of=("demo",), only_in="shell", **more)


_FACE_ROWS = (
    _in_notebook("output_name", "", "bind the result to NAME", WHERE, metavar="NAME", written=("-o",)),
    _in_notebook("background", False, "return at once with a SyncJob; see %s3sync --help", BACKGROUND),
    _in_notebook("show", "changed", "which rows the table shows", OUTPUT, choices=("summary", "changed", "all"),
                 config="show"),
    _of_demo("lab", "open JupyterLab on the quickstart notebook, with the server running", excludes=("serve",)),
    _of_demo("serve", "the server alone, until Ctrl-C or SIGTERM; prints exports for a shell"),
)  # fmt: skip
FACE_OPTIONS: dict[str, Option] = {row.name: row for row in _FACE_ROWS}  # what a face does itself, around the run


def all_options() -> dict[str, Option]:
    """Those of the engine, and after them those of the faces."""
    return {**OPTIONS, **FACE_OPTIONS}


def takers(row: Option) -> list[str]:
    """The commands that take an option."""
    of = set(row.of)
    return [name for name, command in COMMANDS.items() if name in of or of & command.takes]


def is_taken(name: str, command: str, direction: str = "") -> bool:
    """Does `command` take the option? The plan of a pull takes what plans take, unless it is for pushes alone."""
    commands = takers(OPTIONS.get(name) or FACE_OPTIONS[name])
    one_way = direction and set(directions()) & set(commands)
    return command in commands and (not one_way or direction in commands)


def rivals(name: str) -> set[str]:
    """The options that this one cannot stand beside."""
    return {*OPTIONS[name].excludes, *(other for other, row in OPTIONS.items() if name in row.excludes)}


def build_options(command: str, given: Mapping[str, Any], direction: str = "") -> Options:
    """Checked Options from keyword arguments; `include=` and `exclude=` become `filters`.

    Without `filters=`, excludes stand before includes. Values may be text as typed on a command line.

    Args:
        command: whose options.
        given: by name.
        direction: of a plan: `pull` or `push`.

    Raises:
        UsageError: an unknown option, one that `command` does not take, or a value that does not parse.
    """
    told = f"{command} {direction}".strip()
    loose = loose_filters(given)
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in ("include", "exclude"):
            continue
        row = OPTIONS.get(name)
        if row is None or not is_taken(name, command, direction):
            program = "%s3sync" if COMMANDS[command].only_in == "notebook" else "nbsync"
            raise UsageError(f"{told} has no option {name!r}", f"See: {program} {command} --help")
        values[name] = read_value(row, value)
    if loose:
        values["filters"] = (*values.get("filters", ()), *loose)
    options = Options(**values)
    _check_together(options, command, direction)
    return options


def loose_filters(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What `exclude=` and `include=` say, as filters: excludes before includes.

    Raises:
        UsageError: one is no pattern or list of patterns.
    """
    return [(name, pattern) for name in ("exclude", "include") for pattern in _patterns(name, given.get(name))]


def _patterns(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    patterns = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    if not all(isinstance(p, str) for p in patterns):
        raise UsageError(f"{name} takes a pattern or a list of patterns")
    return patterns


def _check_together(options: Options, command: str, direction: str) -> None:
    for name, row in OPTIONS.items():
        if getattr(options, name) == row.default:
            continue
        check_excluded(name, row, vars(options))
        needed, begins = row.needs
        if (
            needed
            and is_taken(needed, command, direction)
            and not (getattr(options, needed) and str(getattr(options, needed)).startswith(begins))
        ):
            raise UsageError(f"{flag(name)} needs {flag(needed)} {begins}".rstrip())


def check_excluded(name: str, row: Option, given: Mapping[str, Any]) -> None:
    """Does the option stand beside none that it excludes?

    Raises:
        UsageError: it does.
    """
    for other in row.excludes:
        if given.get(other):
            raise UsageError(f"{flag(name)} and {flag(other)} exclude each other")


def read_value(row: Option, value: Any) -> Any:
    """The value of an option as it was typed, or given in Python, checked.

    Raises:
        UsageError: it does not parse.
    """
    try:
        if row.parse is not None:
            return row.parse(value)
        if isinstance(row.default, bool):
            if not isinstance(value, bool):
                raise ValueError("takes True or False")
            return value
        value = "" if value is None else option_values.text(value)
        if "\r" in value or "\n" in value or "\0" in value:
            raise ValueError("has a line break or NUL in its value")
        if row.choices and value and value not in row.choices:
            raise ValueError(f"takes one of {', '.join(row.choices)}, not {value!r}")
        return value
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise UsageError(f"{flag(row.name)} {error}") from None
