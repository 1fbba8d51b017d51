"""The help texts: a short opening, the commands with a line each, examples; and one page a command. Pure."""

from __future__ import annotations

from dataclasses import Field
from typing import Any, NamedTuple

from nbsync.core.options import BEHIND, FIELDS, flag, is_taken

_WIDTH = 30  # the column at which explanations begin
_REMOTE = ("REMOTE", "s3://bucket/prefix or bucket/prefix; a prefix is a folder")

_AGAIN = ("(neither)", "in a synced folder: the last one again, with the options that it had")


class Page(NamedTuple):
    """What is said about one command."""

    usage: str
    does: str
    words: tuple[tuple[str, str], ...]
    example: str


PAGES: dict[str, Page] = {
    "pull": Page(
        "pull REMOTE [LOCAL]",
        "make LOCAL hold what REMOTE holds; only what differs travels",
        (_REMOTE, ("LOCAL", "a directory; without it, ./ + the last name in REMOTE"), _AGAIN),
        "pull s3://bucket/raw data --exclude '*' --include '*.csv'",
    ),
    "push": Page(
        "push LOCAL REMOTE",
        "make REMOTE hold what LOCAL holds; only what differs travels",
        (("LOCAL", "a directory"), _REMOTE, _AGAIN),
        "push results s3://bucket/results --delete --max-delete 20",
    ),
    "plan": Page(
        "plan pull|push ... [--save FILE]",
        "decide and show what pull or push would do; change nothing",
        (("pull REMOTE [LOCAL]", "what a pull would do"), ("push LOCAL REMOTE", "what a push would do")),
        "plan push results s3://bucket/results --delete --save plan.jsonl",
    ),
    "apply": Page(
        "apply FILE",
        "do a saved plan; what is no longer as planned is a conflict",
        (("FILE", "what plan --save wrote; options given here go before what it says"),),
        "apply plan.jsonl",
    ),
    "verify": Page(
        "verify LOCAL REMOTE",
        "is each pair equal? from content, without fetching it; exit 1 if not",
        (("LOCAL", "a directory"), _REMOTE),
        "verify results s3://bucket/results --strict",
    ),
    "undo": Page(
        "undo [LOCAL]",
        "put back what the last sync replaced or deleted locally",
        (("LOCAL", "the directory that was synced; without it, the current one"),),
        "undo data",
    ),
    "status": Page(
        "status [LOCAL]",
        "what a folder was synced with, and what has changed since; no request",
        (("LOCAL", "the directory that was synced; without it, the current one"),),
        "status data",
    ),
    "run": Page(
        "run FILE",
        "do the lines of a %%s3sync cell, from a file",
        (("FILE", "one command a line, # comments, \\ continues a line; any option given here is for all lines"),),
        "run nightly.txt --jobs 8",
    ),
    "doctor": Page(
        "doctor [REMOTE]",
        "what stands in the way of a sync; no secret is shown",
        (
            ("REMOTE", "s3://bucket/prefix or bucket/prefix; without it, the service alone"),
            ("(it never hangs)", "10 seconds and one retry, unless --timeout or --retries say otherwise"),
        ),
        "doctor s3://bucket/raw",
    ),
    "link": Page(
        "link REMOTE [LOCAL]",
        "a pull link for a Jupyter server, or for everybody of a hub",
        (
            ("REMOTE", "s3://bucket/prefix or bucket/prefix, as the server reaches it"),
            ("LOCAL", "a folder below the server's root; without it, the last name in REMOTE"),
            ("(no URL)", "in a server of a hub, that hub's; else the path alone"),
            ("(Where options)", "are no part of a link: the server's owner says how it reaches S3"),
        ),
        "link bucket/raw data --hub https://hub.example.org --urlpath lab/tree/data/x.ipynb",
    ),
    "ls": Page("ls REMOTE", "keys, sizes, times", (_REMOTE,), "ls s3://bucket/raw"),
}
_PANEL = Page(
    "panel [REMOTE [LOCAL]]",
    "choose, plan, look, untick and apply by clicks; options as of plan",
    (_REMOTE, ("LOCAL", "a directory; both can be filled in later")),
    "panel s3://bucket/raw data",
)
_DEMO = Page("demo [--lab|--serve]", "an embedded S3 server with sample data, and the main job on it", (), "demo")
_DEMO_OPTIONS = (
    ("--lab", "open JupyterLab on the quickstart notebook, with the server running"),
    ("--serve", "the server alone, until Ctrl-C or SIGTERM; prints exports for a shell"),
)
NOTEBOOK_PAGES: dict[str, Page] = {
    "jobs": Page(
        "jobs",
        "the background syncs; shows the live tables in this cell, too (after a reload of the page)",
        (),
        "jobs",
    ),
    "cancel": Page(
        "cancel ID",
        "stop a background sync within a second; what was done is kept",
        (("ID", "its number, as jobs and its table show it"),),
        "cancel 1",
    ),
    "panel": _PANEL,
}
_BACKGROUND = """\
--background gives the cell back at once, with a SyncJob, and its table goes on living in the cell's output. While
another cell computes, the table stands still (the sync does not). job.wait() and await job give the result; an
interrupt stops the waiting, cancel the sync. In a %%s3sync cell, background lines run one after the other. Restarting
or closing the kernel ends background syncs; the next run of the same command does the rest."""
NOTEBOOK_OPTIONS = (
    ("-o NAME", "bind the result to NAME"),
    ("--background", "return at once with a SyncJob; see %s3sync --help"),
    ("--show summary|changed|all", "which rows the table shows (default: changed)"),
)
_FIRST = ("ls", "pull", "push", "plan", "verify", "undo")  # whose examples a beginner sees
_IN_A_NOTEBOOK = (
    ("r = %s3sync pull ...;", "r is the result; a ; at the end hides the table"),
    ("%s3sync pull {url} $folder", "values from Python: {expression}, $name; none within '...'"),
    ("%%s3sync --jobs 8", "one command a line below it; these options are for all"),
    ("%config S3Sync.profile='dev'", "a default from now on; %config S3Sync lists them"),
)


def pages(*, notebook: bool) -> dict[str, Page]:
    """The commands of one face."""
    return {**PAGES, **NOTEBOOK_PAGES} if notebook else {**PAGES, "demo": _DEMO}


def overview(*, notebook: bool) -> str:
    """What `nbsync --help` and `%s3sync` alone print."""
    prog = program(notebook)
    known = pages(notebook=notebook)
    lines = [
        "nbsync: sync S3 and local folders by content. A re-run moves only what differs.",
        "",
        f"usage: {prog} COMMAND ... [options]",
        "",
        "Commands:",
        *(_pair(page.usage, page.does) for page in known.values()),
        "",
        "REMOTE is s3://bucket/prefix or bucket/prefix. LOCAL is a folder on this machine.",
        f"{prog} COMMAND --help shows a command's options{'; Tab completes' if notebook else ''}.",
        "",
        "Examples:",
        *(f"  {prog} {known[name].example}" for name in _FIRST),
    ]
    if notebook:
        lines += ["", "In a notebook:", *(_pair(left, right) for left, right in _IN_A_NOTEBOOK)]
        lines += ["", *_BACKGROUND.splitlines()]
    lines += ["", "Credentials come from your AWS profile, environment or role; never from an option."]
    return "\n".join(lines)


def page(command: str, *, notebook: bool) -> str:
    """What `nbsync COMMAND --help` prints: the options in their groups."""
    found = pages(notebook=notebook)[command]
    prog = program(notebook)
    lines = [f"usage: {prog} {found.usage} [options]", "", f"{found.does[0].upper()}{found.does[1:]}.", ""]
    lines += [_pair(word, text) for word, text in found.words]
    if command == "demo":
        return "\n".join([*lines, *(_pair(*option) for option in _DEMO_OPTIONS)])
    group = ""
    for spec in FIELDS.values():
        if not is_taken(spec.name, command):
            continue
        if spec.metadata["group"] != group:
            group = spec.metadata["group"]
            lines += ["", f"{group}:"]
        lines += [_pair(*line) for line in _option(spec)]
    if notebook:
        own = NOTEBOOK_OPTIONS[:1] if command == "panel" else NOTEBOOK_OPTIONS
        without = () if command in BEHIND else ("--background",)
        lines += ["", "Notebook:", *(_pair(*line) for line in own if line[0] not in without)]
    lines += ["", f"Example: {prog} {found.example}"]
    return "\n".join(lines)


def program(notebook: bool) -> str:
    """How the user calls us."""
    return "%s3sync" if notebook else "nbsync"


def _option(spec: Field[Any]) -> list[tuple[str, str]]:
    meta = spec.metadata
    if spec.name == "filters":
        return [("--exclude GLOB", "leave out the paths that match; quote it; * crosses /"),
                ("--include GLOB", "take them after all: in the order given, the last match wins")]  # fmt: skip
    words = f"{'-n, ' if spec.name == 'dry_run' else ''}{flag(spec.name)}"
    value = "|".join(meta["choices"]) or meta["metavar"]
    text = meta["help"].replace(" (-n)", "")
    if isinstance(spec.default, (int, float, str)) and spec.default and "default" not in text:
        text += f" (default: {spec.default:g})" if isinstance(spec.default, float) else f" (default: {spec.default})"
    return [(f"{words} {value}" if value else words, text)]


def _pair(left: str, right: str) -> str:
    left = f"  {left}"
    return f"{left:<{_WIDTH}}{right}" if len(left) < _WIDTH - 1 else f"{left}\n{'':<{_WIDTH}}{right}"
