"""Every command, once: its words, what it takes, what it says of itself. Pure.

The grammar, the help, the completion, the Python API, the magic and the panel read the table; nothing else lists
commands. A new one is a row here and its function: in `api.runs` where it works file by file, else in
`api.functions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# What options are for: a command says which of these it takes, an option (`options.Option.of`) of which it is one.
WHERE = "where"  # where the service is, and with which account
OUTPUT = "output"  # how what it came to is shown
LOG = "log"  # what becomes of a run that ended
BACKGROUND = "background"  # in a notebook, it may go on behind the cell
REQUESTS = "requests"  # how long and how often S3 is asked
TRANSFERS = "transfers"  # it works file by file, on both sides
FILTERS = "filters"  # it chooses among the files
SYNCS = "syncs"  # it makes both sides hold the same
ONE_WAY = "one way"  # it makes one side hold what the other holds
OVERWRITES = "overwrites"  # it may replace an object that others changed
DOWNLOADS = "downloads"
UPLOADS = "uploads"
DRY_RUN = "dry run"  # it changes files, and can show first what it would do
TAKEN = (
    WHERE,
    OUTPUT,
    LOG,
    BACKGROUND,
    REQUESTS,
    TRANSFERS,
    FILTERS,
    SYNCS,
    ONE_WAY,
    OVERWRITES,
    DOWNLOADS,
    UPLOADS,
    DRY_RUN,
)


class Kind(Enum):
    """How a command is done."""

    RUN = "file by file, as a job that is followed"
    ANSWER = "by one answer, at once"
    LINES = "by the commands in a file"
    JOBS = "with the background jobs of this process"
    FACE = "by a program of its own"


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command.

    Attributes:
        words: what stands behind its name; optional words in brackets.
        does: what it does, in a line of the help.
        example: without the program's name.
        takes: what its options are for.
        about: words of its help page, each with what it means.
        usage: how it is written, where that is more than its name and `words`.
        directed: a way to sync, whose name is a direction; `plan` and the panel know it.
        plans: its first word is a direction, and its words are those of that command.
        repeats: without any words, it does the last one of its kind in the folder again.
        only_in: the one face that has it, `shell` or `notebook`.
        taught: its example stands in the overview.
    """

    name: str
    words: str = ""
    does: str
    example: str
    kind: Kind
    takes: frozenset[str] = frozenset()
    about: tuple[tuple[str, str], ...] = ()
    usage: str = ""
    directed: bool = False
    plans: bool = False
    repeats: bool = False
    only_in: str = ""
    taught: bool = False

    @property
    def form(self) -> str:
        """How it is written: `pull REMOTE [LOCAL]`."""
        return self.usage or f"{self.name} {self.words}".rstrip()

    @property
    def places(self) -> tuple[str, ...]:
        """What the words behind it are: `REMOTE`, `LOCAL`, `FILE`, ...; optional ones too."""
        return tuple(word.strip("[]") for word in self.words.split())

    @property
    def needed(self) -> tuple[str, ...]:
        """The `places` that must not be left out."""
        return tuple(word for word in self.words.split() if not word.startswith("["))


_ANY = frozenset({WHERE, OUTPUT})
_RUN = _ANY | {LOG, BACKGROUND, REQUESTS, TRANSFERS}
_PULL = frozenset({FILTERS, SYNCS, ONE_WAY, DOWNLOADS})
_PUSH = frozenset({FILTERS, SYNCS, ONE_WAY, OVERWRITES, UPLOADS})

_REMOTE = ("REMOTE", "s3://bucket/prefix or bucket/prefix; a prefix is a folder")
_DIRECTORY = ("LOCAL", "a directory")
_SYNCED = ("LOCAL", "the directory that was synced; without it, the current one")
_AGAIN = ("(neither)", "in a synced folder: the last one again, with the options that it had")

_ROWS = (
    Command(
        name="pull", words="REMOTE [LOCAL]", kind=Kind.RUN, takes=_RUN | _PULL | {DRY_RUN}, directed=True,
        repeats=True, taught=True,
        does="make LOCAL hold what REMOTE holds; only what differs travels",
        about=(_REMOTE, ("LOCAL", "a directory; without it, ./ + the last name in REMOTE"), _AGAIN),
        example="pull s3://bucket/raw data --exclude '*' --include '*.csv'",
    ),
    Command(
        name="push", words="LOCAL REMOTE", kind=Kind.RUN, takes=_RUN | _PUSH | {DRY_RUN}, directed=True,
        repeats=True, taught=True,
        does="make REMOTE hold what LOCAL holds; only what differs travels",
        about=(_DIRECTORY, _REMOTE, _AGAIN),
        example="push results s3://bucket/results --delete --max-delete 20",
    ),
    Command(
        name="sync", words="LOCAL REMOTE", kind=Kind.RUN, takes=_RUN | {FILTERS, SYNCS, UPLOADS, DRY_RUN},
        directed=True, taught=True,
        does="both ways: what each side changed since the last sync",
        about=(_DIRECTORY, _REMOTE, ("(conflicts)", "what both changed is left alone, unless --on-conflict says more")),
        example="sync notes s3://bucket/notes --on-conflict both",
    ),
    Command(
        name="plan", usage="plan pull|push|sync ... [--save FILE]", kind=Kind.RUN,
        takes=_RUN | _PULL | _PUSH | {DRY_RUN}, plans=True, taught=True,
        does="decide and show what one of these would do; change nothing",
        about=(("pull REMOTE [LOCAL]", "what a pull would do"), ("push LOCAL REMOTE", "what a push would do"),
               ("sync LOCAL REMOTE", "what a sync would do")),
        example="plan push results s3://bucket/results --delete --save plan.jsonl",
    ),
    Command(
        name="apply", words="FILE", kind=Kind.RUN, takes=_RUN | {DRY_RUN},
        does="do a saved plan; what is no longer as planned is a conflict",
        about=(("FILE", "what plan --save wrote; options given here go before what it says"),),
        example="apply plan.jsonl",
    ),
    Command(
        name="verify", words="LOCAL REMOTE", kind=Kind.RUN, takes=_RUN | {FILTERS}, taught=True,
        does="is each pair equal? from content, without fetching it; exit 1 if not",
        about=(_DIRECTORY, _REMOTE),
        example="verify results s3://bucket/results --strict",
    ),
    Command(
        name="undo", words="[LOCAL]", kind=Kind.RUN, takes=_ANY | {LOG, BACKGROUND, DRY_RUN}, taught=True,
        does="put back what the last sync replaced or deleted locally",
        about=(_SYNCED,),
        example="undo data",
    ),
    Command(
        name="status", words="[LOCAL]", kind=Kind.ANSWER, takes=_ANY,
        does="what a folder was synced with, and what has changed since; no request",
        about=(_SYNCED,),
        example="status data",
    ),
    Command(
        name="run", words="FILE", kind=Kind.LINES, takes=_ANY | {LOG, BACKGROUND},
        does="do the lines of a %%s3sync cell, from a file",
        about=(
            ("FILE", "one command a line, # comments, \\ continues a line; any option given here is for all lines"),
        ),
        example="run nightly.txt --jobs 8",
    ),
    Command(
        name="doctor", words="[REMOTE]", kind=Kind.ANSWER, takes=_ANY | {REQUESTS},
        does="what stands in the way of a sync; no secret is shown",
        about=(
            ("REMOTE", "s3://bucket/prefix or bucket/prefix; without it, the service alone"),
            ("(it never hangs)", "10 seconds and one retry, unless --timeout or --retries say otherwise"),
        ),
        example="doctor s3://bucket/raw",
    ),
    Command(
        name="link", words="REMOTE [LOCAL]", kind=Kind.ANSWER, takes=_ANY | {FILTERS},
        does="a pull link for a Jupyter server, or for everybody of a hub",
        about=(
            ("REMOTE", "s3://bucket/prefix or bucket/prefix, as the server reaches it"),
            ("LOCAL", "a folder below the server's root; without it, the last name in REMOTE"),
            ("(no URL)", "in a server of a hub, that hub's; else the path alone"),
            ("(Where options)", "are no part of a link: the server's owner says how it reaches S3"),
        ),
        example="link bucket/raw data --hub https://hub.example.org --urlpath lab/tree/data/x.ipynb",
    ),
    Command(
        name="ls", words="REMOTE", kind=Kind.ANSWER, takes=_ANY | {FILTERS, REQUESTS}, taught=True,
        does="keys, sizes, times",
        about=(_REMOTE,),
        example="ls s3://bucket/raw",
    ),
    Command(
        name="demo", usage="demo [--lab|--serve]", kind=Kind.FACE, only_in="shell",
        does="an embedded S3 server with sample data, and the main job on it",
        example="demo",
    ),
    Command(
        name="jobs", kind=Kind.JOBS, takes=_ANY, only_in="notebook",
        does="the background syncs; shows the live tables in this cell, too (after a reload of the page)",
        example="jobs",
    ),
    Command(
        name="cancel", words="ID", kind=Kind.JOBS, takes=_ANY, only_in="notebook",
        does="stop a background sync within a second; what was done is kept",
        about=(("ID", "its number, as jobs and its table show it"),),
        example="cancel 1",
    ),
    Command(
        name="panel", words="[REMOTE [LOCAL]]", kind=Kind.FACE, only_in="notebook",
        takes=_PULL | _PUSH | {WHERE, REQUESTS, TRANSFERS},
        does="choose, plan, look, untick and apply by clicks; options as of plan",
        about=(_REMOTE, ("LOCAL", "a directory; both can be filled in later")),
        example="panel s3://bucket/raw data",
    ),
)  # fmt: skip
COMMANDS: dict[str, Command] = {row.name: row for row in _ROWS}


def directions() -> list[str]:
    """The names of the commands that are a way to sync: what can be planned."""
    return [name for name, row in COMMANDS.items() if row.directed]


def is_answer(name: str) -> bool:
    """Is the command answered at once, and no run that is followed?"""
    return COMMANDS[name].kind is Kind.ANSWER


def places_of(name: str, direction: str = "") -> tuple[str, ...]:
    """The `places` of a command, of a plan those of its direction; none where there is no such command."""
    row = COMMANDS.get(direction or name)
    return row.places if row is not None else ()
