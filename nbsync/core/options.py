"""Every option, once: name, type, default, help, and the commands that take it.

The argument parser, the magic, the Python API and the docs read the fields of `Options`; nothing
else declares an option. Pure: no disk, no environment.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbsync.core.option_values import PARSERS, text
from nbsync.errors import UsageError

SYNC = ("pull", "push", "plan")
LOOKS = (*SYNC, "verify", "ls", "link")  # they choose among the files
RUNS = (*SYNC, "verify", "apply")  # they work file by file
BEHIND = (*RUNS, "undo")  # they can go on in the background of a notebook
REMOTE_COMMANDS = (*RUNS, "ls")
COMMANDS = (*REMOTE_COMMANDS, "undo", "status", "run", "doctor", "link", "jobs", "cancel")
PANEL = "panel"  # it plans, and applies what is ticked: it takes what plans take, but shows in a way of its own


def _option(default: Any, help: str, *, group: str, commands: Sequence[str] = SYNC, metavar: str = "",
            choices: Sequence[str] = (), parse: str = "") -> Any:  # fmt: skip
    meta = {"help": help, "group": group, "commands": tuple(commands), "metavar": metavar,
            "choices": tuple(choices), "parse": parse}  # fmt: skip
    return field(default=default, metadata=meta)


def _which(default: Any, help: str, **more: Any) -> Any:
    return _option(default, help, group="Which files", **more)


def _how(default: Any, help: str, **more: Any) -> Any:
    return _option(default, help, group="How", **more)


def _where(default: Any, help: str, **more: Any) -> Any:
    return _option(default, help, group="Where", commands=COMMANDS, **more)


def _push(default: Any, help: str, **more: Any) -> Any:
    return _option(default, help, group="Push (for what is uploaded; a hit is not touched)",
                   commands=("push", "plan"), **more)  # fmt: skip


def _link(default: Any, help: str, **more: Any) -> Any:
    return _option(default, help, group="Link", commands=("link",), **more)


def _output(default: Any, help: str, **more: Any) -> Any:
    return _option(default, help, group="Output", **{"commands": COMMANDS, **more})


@dataclass(frozen=True, kw_only=True)
class Options:
    """All options of a run, checked. Sizes in bytes, times in seconds; 0 or empty means not given."""

    filters: tuple[tuple[str, str], ...] = _which(
        (), "--include/--exclude GLOB, in order; the last match wins; * crosses /", parse="filters",
        commands=LOOKS)  # fmt: skip
    files_from: str = _which("", "only the paths in FILE (-: standard input), one a line, relative", metavar="FILE",
                             commands=(*SYNC, "verify"))  # fmt: skip
    existing: bool = _which(False, "only what the destination has already")
    ignore_existing: bool = _which(False, "only what the destination does not have")
    follow_symlinks: bool = _which(
        False, "follow symbolic links (else they are skipped)", commands=("push", "plan", "verify")
    )

    delete: bool = _how(False, "delete at the destination what the source does not have")
    max_delete: int | None = _how(
        None, "refuse the run if it would delete more than N files", metavar="N", parse="count"
    )
    dry_run: bool = _how(False, "decide and show, change nothing (-n)", commands=(*SYNC, "apply", "undo"))
    download: bool = _how(False, "fetch each object and compare the bytes; writes nothing", commands=("verify",))
    compare: str = _how("content", "what makes two files the same", choices=("content", "size-mtime", "size"))
    as_of: int | None = _how(
        None, "what a versioned bucket held then: a date or time (ISO 8601), UTC if no zone is given", metavar="TIME",
        parse="moment", commands=("pull", "plan", "ls", "verify", "link"))  # fmt: skip
    overwrite_remote: bool = _how(
        False, "replace objects that others changed since the last sync", commands=("push", "plan")
    )
    part_size: int = _how(0, "send files above SIZE in parts of it, e.g. 64MiB (at least 5MiB; larger where needed)",
                          metavar="SIZE", parse="part size", commands=("push", "plan", "apply"))  # fmt: skip
    no_conditions: bool = _how(
        False, "for services that refuse conditional writes: a look just before decides",
        commands=("push", "plan", "apply"))  # fmt: skip
    sse_c_key_file: str = _how("", "the customer's key that objects are encrypted with (SSE-C), in FILE",
                               metavar="FILE", commands=RUNS)  # fmt: skip
    allow_empty_source: bool = _how(False, "with --delete: an empty or missing source is meant")
    preserve_mtime: bool = _how(False, "take x-amz-meta-mtime where the object has it", commands=("pull", "plan"))
    jobs: int = _how(0, "transfers at once (default: chosen while running)", metavar="N", parse="jobs",
                     commands=RUNS)  # fmt: skip
    on: str = _how("", "transfer on an engine's workers: dask://HOST:PORT, ipyparallel, ipyparallel:PROFILE",
                   metavar="ENGINE", commands=("pull", "push"))  # fmt: skip
    spread: str = _how("", "with --on: workers share a file system (default); or, pull only, each has its own",
                       choices=("shared", "each"), commands=("pull", "push"))  # fmt: skip
    bandwidth: int = _how(0, "at most so many bytes a second, e.g. 20MB/s", metavar="RATE", parse="rate",
                          commands=RUNS)  # fmt: skip
    trash_days: float | None = _how(
        None, "days that the trash is kept (default: 7, or NBSYNC_TRASH_DAYS)", metavar="N", parse="days",
        commands=(*SYNC, "apply", "undo"))  # fmt: skip
    timeout: float = _how(60.0, "seconds without a byte before a connection is given up", metavar="SECONDS",
                          parse="seconds", commands=(*REMOTE_COMMANDS, "doctor"))  # fmt: skip
    retries: int | None = _how(None, "times that a failed request is tried again (default: 8, or AWS_MAX_ATTEMPTS - 1)",
                               metavar="N", parse="count", commands=(*REMOTE_COMMANDS, "doctor"))  # fmt: skip

    hub: str = _link("", "a JupyterHub: the link leads everybody to a server of their own", metavar="URL")
    server: str = _link("", "a Jupyter server, with its base URL", metavar="URL")
    urlpath: str = _link("", "what is opened when the files are there, e.g. lab/tree/data/x.ipynb", metavar="PATH")
    endpoint: str = _link("", "an S3 service, by the name that the server's owner gave it", metavar="NAME")

    profile: str = _where("", "a profile of the AWS configuration", metavar="NAME")
    region: str = _where("", "the bucket's region", metavar="NAME")
    endpoint_url: str = _where("", "an S3-compatible server", metavar="URL")
    addressing_style: str = _where("auto", "where the bucket's name goes", choices=("auto", "path", "virtual"))
    no_sign_request: bool = _where(False, "without credentials (public buckets)")
    no_verify_ssl: bool = _where(False, "do not check the server's certificate")
    ca_bundle: str = _where("", "certificates to check the server's with", metavar="FILE")
    request_payer: bool = _where(False, "you pay for requests and transfer (requester-pays buckets)")

    storage_class: str = _push("", "e.g. STANDARD_IA", metavar="CLASS")
    sse: str = _push("", "server-side encryption", choices=("AES256", "aws:kms", "aws:kms:dsse"))
    sse_kms_key_id: str = _push("", "the KMS key", metavar="ID")
    acl: str = _push("", "a canned ACL, e.g. public-read", metavar="ACL")
    content_type: str = _push("", "guessed from the name when not given", metavar="TYPE")
    content_encoding: str = _push("", "e.g. gzip", metavar="VALUE")
    content_disposition: str = _push("", "e.g. attachment", metavar="VALUE")
    content_language: str = _push("", "e.g. de", metavar="VALUE")
    cache_control: str = _push("", "e.g. max-age=3600", metavar="VALUE")
    expires: str = _push("", "a date", metavar="VALUE")
    metadata: tuple[tuple[str, str], ...] = _push((), "user metadata; may be given again", metavar="K=V", parse="pairs")
    tag: tuple[tuple[str, str], ...] = _push((), "an object tag; may be given again", metavar="K=V", parse="pairs")

    save: str = _output("", "write the plan to FILE, for apply", metavar="FILE", commands=("plan",))
    json: bool = _output(False, "one JSON document on standard output")
    quiet: bool = _output(False, "no progress, no table")
    verbose: bool = _output(False, "show hits too, and more about each row")
    log_file: str = _output("", "append one line a file to FILE", metavar="FILE", commands=(*RUNS, "undo", "run"))
    strict: bool = _output(False, "raise at the end if a file failed (not in the shell); verify fails an unknown",
                           commands=(*RUNS, "undo", "run"))  # fmt: skip


FIELDS: dict[str, dataclasses.Field[Any]] = {f.name: f for f in dataclasses.fields(Options)}


def is_taken(name: str, command: str, direction: str = "") -> bool:
    """Does `command` take the option? The plan of a pull takes what plans take, unless it is for pushes alone."""
    if command == PANEL:
        return FIELDS[name].metadata["group"] != "Output" and name != "dry_run" and is_taken(name, "plan")
    commands = FIELDS[name].metadata["commands"]
    one_way = direction and {"pull", "push"} & set(commands)
    return command in commands and (not one_way or direction in commands)


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
        spec = FIELDS.get(name)
        if spec is None or not is_taken(name, command, direction):
            program = "%s3sync" if command == PANEL else "nbsync"
            raise UsageError(f"{told} has no option {name!r}", f"See: {program} {command} --help")
        values[name] = _parse(spec, value)
    if loose:
        values["filters"] = (*values.get("filters", ()), *loose)
    options = Options(**values)
    _check_together(options)
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


def _check_together(options: Options) -> None:
    pairs = [("existing", "ignore_existing"), ("json", "verbose"), ("quiet", "verbose"), ("hub", "server")]
    for one, other in pairs:
        if getattr(options, one) and getattr(options, other):
            raise UsageError(f"{flag(one)} and {flag(other)} exclude each other")
    if options.sse_kms_key_id and not options.sse.startswith("aws:kms"):
        raise UsageError("--sse-kms-key-id needs --sse aws:kms")
    if options.max_delete is not None and not options.delete:
        raise UsageError("--max-delete needs --delete")
    if options.sse_c_key_file and options.sse:
        raise UsageError("--sse-c-key-file and --sse exclude each other", "An object is encrypted in one way")


def flag(name: str) -> str:
    """`dry_run` -> `--dry-run`."""
    return "--" + name.replace("_", "-")


def _parse(spec: dataclasses.Field[Any], value: Any) -> Any:
    meta = spec.metadata
    parser = PARSERS.get(meta["parse"])
    try:
        if parser is not None:
            return parser(value)
        if isinstance(spec.default, bool):
            if not isinstance(value, bool):
                raise ValueError("takes True or False")
            return value
        value = "" if value is None else text(value)
        if "\r" in value or "\n" in value or "\0" in value:
            raise ValueError("has a line break or NUL in its value")
        if meta["choices"] and value and value not in meta["choices"]:
            raise ValueError(f"takes one of {', '.join(meta['choices'])}, not {value!r}")
        return value
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        raise UsageError(f"{flag(spec.name)} {error}") from None
