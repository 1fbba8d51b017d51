"""The help texts: a short opening, the commands with a line each, examples; and one page a command. Pure."""

from __future__ import annotations

from nbsync.core.commands import COMMANDS, Command
from nbsync.core.options import Option, all_options, takers

_WIDTH = 30  # the column at which explanations begin
_BACKGROUND = """\
--background gives the cell back at once, with a SyncJob, and its table goes on living in the cell's output. While
another cell computes, the table stands still (the sync does not). job.wait() and await job give the result; an
interrupt stops the waiting, cancel the sync. In a %%s3sync cell, background lines run one after the other. Restarting
or closing the kernel ends background syncs; the next run of the same command does the rest."""
_IN_A_NOTEBOOK = (
    ("r = %s3sync pull ...;", "r is the result; a ; at the end hides the table"),
    ("%s3sync pull {url} $folder", "values from Python: {expression}, $name; none within '...'"),
    ("%%s3sync --jobs 8", "one command a line below it; these options are for all"),
    ("%config S3Sync.profile='dev'", "a default from now on; %config S3Sync lists them"),
)


def commands(*, notebook: bool) -> dict[str, Command]:
    """The commands of one face."""
    other = "shell" if notebook else "notebook"
    return {name: row for name, row in COMMANDS.items() if row.only_in != other}


def options(*, notebook: bool) -> dict[str, Option]:
    """The options of one face, in the order of the help."""
    other = "shell" if notebook else "notebook"
    return {name: row for name, row in all_options().items() if row.only_in != other}


def overview(*, notebook: bool) -> str:
    """What `nbsync --help` and `%s3sync` alone print."""
    prog = program(notebook)
    known = commands(notebook=notebook)
    lines = [
        "nbsync: sync S3 and local folders by content. A re-run moves only what differs.",
        "",
        f"usage: {prog} COMMAND ... [options]",
        "",
        "Commands:",
        *(_pair(row.form, row.does) for row in known.values()),
        "",
        "REMOTE is s3://bucket/prefix or bucket/prefix. LOCAL is a folder on this machine.",
        f"{prog} COMMAND --help shows a command's options{'; Tab completes' if notebook else ''}.",
        "",
        "Examples:",
        *(f"  {prog} {row.example}" for row in known.values() if row.taught),
    ]
    if notebook:
        lines += ["", "In a notebook:", *(_pair(left, right) for left, right in _IN_A_NOTEBOOK)]
        lines += ["", *_BACKGROUND.splitlines()]
    lines += ["", "Credentials come from your AWS profile, environment or role; never from an option."]
    return "\n".join(lines)


def page(command: str, *, notebook: bool) -> str:
    """What `nbsync COMMAND --help` prints: the options in their groups."""
    found = COMMANDS[command]
    prog = program(notebook)
    lines = [f"usage: {prog} {found.form} [options]", "", f"{found.does[0].upper()}{found.does[1:]}.", ""]
    lines += [_pair(word, text) for word, text in found.about]
    group = ""
    for row in options(notebook=notebook).values():
        if command not in takers(row):
            continue
        if row.group != group:
            group = row.group
            lines += ["", f"{group}:"]
        lines += [_pair(*line) for line in _option(row)]
    lines += ["", f"Example: {prog} {found.example}"]
    return "\n".join(lines)


def program(notebook: bool) -> str:
    """How the user calls us."""
    return "%s3sync" if notebook else "nbsync"


def _option(row: Option) -> list[tuple[str, str]]:
    if row.name == "filters":
        return [("--exclude GLOB", "leave out the paths that match; quote it; * crosses /"),
                ("--include GLOB", "take them after all: in the order given, the last match wins")]  # fmt: skip
    words = ", ".join(row.flags)
    value = "|".join(row.choices) or row.metavar
    text = row.help.replace(" (-n)", "")
    if isinstance(row.default, (int, float, str)) and row.default and "default" not in text:
        text += f" (default: {row.default:g})" if isinstance(row.default, float) else f" (default: {row.default})"
    return [(f"{words} {value}" if value else words, text)]


def _pair(left: str, right: str) -> str:
    left = f"  {left}"
    return f"{left:<{_WIDTH}}{right}" if len(left) < _WIDTH - 1 else f"{left}\n{'':<{_WIDTH}}{right}"
