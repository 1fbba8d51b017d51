"""One grammar for the shell and the notebook, made from the rows of `core.commands` and `core.options`.

Pure: words in, Invocation out. Options may stand before or after the command and its words; `--` ends them. What is
wrong raises UsageError, one line, with the nearest word that would be right.
"""

from __future__ import annotations

import argparse
import difflib
import keyword
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from nbsync._version import __version__
from nbsync.core.call import Call
from nbsync.core.commands import COMMANDS, Command, Kind, directions
from nbsync.core.options import (
    FACE_OPTIONS,
    Option,
    all_options,
    build_options,
    check_excluded,
    is_taken,
    read_value,
    takers,
)
from nbsync.errors import UsageError
from nbsync.grammar import help as texts

# Words that people know from other tools.
_ELSEWHERE = {
    "cp": "Write pull (from S3) or push (to S3)",
    "help": "Did you mean --help?",
    "--recursive": "pull and push are always recursive", "-r": "pull and push are always recursive",
    "--background": "That is for notebooks; in a shell, end the line with &",
    "--dryrun": "Did you mean --dry-run?", "-v": "Did you mean --verbose?",
}  # fmt: skip


class HelpRequested(Exception):
    """The user asked for a text (help, version) instead of a run."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Invocation(NamedTuple):
    """A parsed command with what only its face needs.

    `call` is None for the shell's `demo`; `job` is the number that `cancel` takes.
    """

    command: str
    call: Call | None
    show: str = "changed"
    output_name: str = ""
    lab: bool = False
    serve: bool = False
    given: Mapping[str, Any] = {}  # of `run`: what its lines are given
    background: bool = False
    job: str = ""


def parse(
    words: Sequence[str], *, notebook: bool = False, defaults: Mapping[str, Any] | None = None,
    asked: Collection[str] = (),
) -> Invocation:  # fmt: skip
    """The Invocation that `words` mean.

    Args:
        words: without the program's name.
        notebook: take `-o`, `--show` and `--background`, and not `demo`.
        defaults: option values by field name (and `show`), used where the command takes them and the words
            do not give them; those that may be given again stand before the given ones.
        asked: those of the defaults that the user has asked for, on a line before.

    Raises:
        UsageError: the words are not in the grammar.
        HelpRequested: they ask for help or the version.
    """
    given, positional = _scan(words, notebook)
    row = _command(positional[0] if positional else "", notebook)
    if row.kind is Kind.LINES:
        return _lines(row, given, positional[1:], defaults or {})
    direction, rest = _direction(row, positional[1:])
    taken = taken_by(row.name, direction)
    values, face = _with_defaults(given, defaults or {}, taken)
    name = f"{row.name} {direction}" if row.plans else row.name
    _only(values, taken, name)
    places = _take(COMMANDS[direction or row.name], name, rest)
    if row.name == "demo":
        return Invocation(row.name, None, **face)
    options = build_options(row.name, values, direction if row.plans else "")
    remote, local, file = (places.get(word, "") for word in ("remote", "local", "file"))
    call = Call(command=row.name, direction=direction, remote=remote, local=local, file=file, options=options,
                asked=frozenset(given) | (taken & set(asked)), again=row.repeats and not places)  # fmt: skip
    return _invocation(call, face, job=places.get("id", ""))


def _lines(row: Command, given: dict[str, Any], words: Sequence[str], defaults: Mapping[str, Any]) -> Invocation:
    """`run`: an option is its own, or is given to its lines, or both. One document holds them all: not `json`."""
    taken = taken_by(row.name)
    values, face = _with_defaults(given, defaults, taken)
    _only({name: value for name, value in given.items() if name in FACE_OPTIONS}, taken, row.name)
    own = {name: value for name, value in values.items() if is_taken(name, row.name)}
    call = Call(command=row.name, file=_take(row, row.name, words)["file"], options=build_options(row.name, own))
    mine = ("json", "output_name")
    face["background"] = False  # its lines are
    return _invocation(call, face, given={name: value for name, value in given.items() if name not in mine})


def _invocation(call: Call, face: Mapping[str, Any], **more: Any) -> Invocation:
    show = face.get("show") or ("all" if call.options.verbose else FACE_OPTIONS["show"].default)
    return Invocation(call.command, call, **{**face, "show": show}, **more)


def parse_defaults(words: Sequence[str]) -> dict[str, Any]:
    """The options on a `%%s3sync` line, as `defaults` for the lines below it.

    Raises:
        UsageError: unknown options, or words that are no options.
        HelpRequested: they ask for help.
    """
    if not words:
        return {}
    given, positional = _scan(words, True)
    if positional:
        raise UsageError(f"%%s3sync takes options only, not {positional[0]!r}", "Commands stand below it, one a line.")
    if "output_name" in given:
        raise UsageError("-o belongs to a command, not to %%s3sync")
    return given


def _scan(words: Sequence[str], notebook: bool) -> tuple[dict[str, Any], list[str]]:
    """Given options by field name, and the other words in order."""
    cut = words.index("--") if "--" in words else len(words)
    head, tail = list(words[:cut]), list(words[cut + 1 :])
    if "--version" in head and not notebook:
        raise HelpRequested(f"nbsync {__version__}")
    if not words or "--help" in head or "-h" in head:
        raise HelpRequested(_help(head, notebook))
    parser = _parser(notebook)
    known, extra = parser.parse_known_intermixed_args(head)
    unknown = next((word for word in [*extra, *known.words] if word.startswith("-") and word != "-"), None)
    if unknown is not None:
        raise _unknown_option(unknown, parser)
    given = vars(known)
    return given, [*given.pop("words"), *extra, *tail]


def _help(head: Sequence[str], notebook: bool) -> str:
    command = next((word for word in head if word in texts.commands(notebook=notebook)), None)
    return texts.page(command, notebook=notebook) if command else texts.overview(notebook=notebook)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        words, hint = message.removeprefix("argument "), "See --help."
        if words.endswith(": expected one argument"):
            words = words.replace(": expected one argument", " needs a value")
            hint = "One that begins with - is written with =, e.g. --exclude=-x*"
        raise UsageError(words, hint)


class _AddFilter(argparse.Action):
    """Keep includes and excludes in one list: their order decides."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        pair = (str(option_string).removeprefix("--"), values)
        namespace.filters = [*getattr(namespace, "filters", []), pair]


def _parser(notebook: bool) -> argparse.ArgumentParser:
    parser = _Parser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", default=[])
    for row in texts.options(notebook=notebook).values():
        if row.name == "filters":
            parser.add_argument(*row.flags, action=_AddFilter)
        elif row.takes_value:
            parser.add_argument(*row.flags, dest=row.name, action="append" if row.repeats else "store")
        else:
            parser.add_argument(*row.flags, dest=row.name, action="store_true")
    return parser


def _unknown_option(word: str, parser: argparse.ArgumentParser) -> UsageError:
    name = word.split("=", 1)[0]
    return UsageError(f"unknown option {name}", _nearest(name, list(parser._option_string_actions)))


def _command(name: str, notebook: bool) -> Command:
    known = texts.commands(notebook=notebook)
    if name in known:
        return known[name]
    if not name:
        raise UsageError("no command", f"It is one of: {', '.join(known)}")
    elsewhere = COMMANDS.get(name)
    if elsewhere is None:
        raise UsageError(
            f"unknown command {name!r}", _nearest(name, list(known)) or f"It is one of: {', '.join(known)}"
        )
    hint = f"There: {texts.program(not notebook)} {elsewhere.example}"
    if notebook:
        raise UsageError(f"{name} runs in a shell", hint)
    raise UsageError(f"{name} is for notebooks", hint)


def _nearest(word: str, known: Sequence[str]) -> str:
    if word in _ELSEWHERE:
        return _ELSEWHERE[word]
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.75)
    return f"Did you mean {near[0]}?" if near else ""


def _direction(row: Command, words: Sequence[str]) -> tuple[str, Sequence[str]]:
    if not row.plans:
        return (row.name if row.directed else ""), words
    if not words or words[0] not in directions():
        forms = ", or: ".join(f"{row.name} {COMMANDS[name].form}" for name in directions())
        raise UsageError(f"{row.name} needs to know what for", f"Write: {forms}")
    return words[0], words[1:]


def taken_by(command: str, direction: str = "") -> set[str]:
    """Names of the options that this command takes, those of its face included."""
    return {name for name in all_options() if is_taken(name, command, direction)}


def _with_defaults(given: Mapping[str, Any], defaults: Mapping[str, Any],
                   taken: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
    """Options for the engine, and what only the face needs."""
    rows = all_options()
    values = {name: value for name, value in defaults.items() if name in taken}
    for name, value in given.items():
        values[name] = [*values.get(name, ()), *value] if rows[name].repeats else value
    mine = [row for name, row in FACE_OPTIONS.items() if name in values and name in taken]
    face = {row.name: read_value(row, values.pop(row.name)) for row in mine}
    for row in mine:
        check_excluded(row.name, row, face)
    if face.get("background"):
        _check_background(values)
    name = face.get("output_name", "a")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"-o takes the name of a variable, not {name!r}")
    return values, face


def _check_background(values: Mapping[str, Any]) -> None:
    """What is written at the end of a run, to the cell that waits for it, cannot be in the background."""
    if values.get("json"):
        raise UsageError("--json prints at the end of a run that is waited for", "Use job.result.to_dict()")
    if values.get("log_file"):
        raise UsageError("--log-file is written at the end of a run that is waited for, not of a background job")


def _only(given: Mapping[str, Any], taken: set[str], command: str) -> None:
    for name in given:
        if name not in taken:
            row = all_options()[name]
            raise UsageError(f"{command} has no option {row.flags[-1]}", f"It belongs to: {', '.join(_told(row))}")


def _told(row: Option) -> list[str]:
    """The commands that an option belongs to; plan and what only one face has, where there is nothing else."""
    found = [COMMANDS[name] for name in takers(row)]
    plain = [one for one in found if not one.plans and not one.only_in]
    return [f"nbsync {one.name}" if one.only_in == "shell" else one.name for one in plain or found]


def _take(row: Command, told: str, words: Sequence[str]) -> dict[str, str]:
    """`words` as the `remote`, `local` and `file` of a Call, or the `id` of a job."""
    if not words and row.repeats and told == row.name:
        return {}
    places = row.places
    wanted = f"{told} {row.words}".rstrip()
    if len(words) > len(places):
        hint = f"It is: {wanted}. Quote patterns (the shell expands a bare *) and names with spaces"
        raise UsageError(f"{told} does not take the word {words[len(places)]!r}", hint)
    for name, word in zip(places, words, strict=False):
        if not word:
            raise UsageError(f"{name} is empty", f"It is: {wanted}")
    missing = [name for name in places[len(words) :] if name in row.needed]
    if missing:
        raise UsageError(f"{told} needs {missing[0]}", f"It is: {wanted}")
    return {name.lower(): word for name, word in zip(places, words, strict=False)}
