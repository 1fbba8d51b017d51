"""One grammar for the shell and the notebook, made from `options.FIELDS`. Pure: words in, Invocation out.

Options may stand before or after the command and its words; `--` ends them. What is wrong raises
UsageError, one line, with the nearest word that would be right.
"""

from __future__ import annotations

import argparse
import difflib
import keyword
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from nbsync._version import __version__
from nbsync.core.call import Call
from nbsync.core.options import BEHIND, FIELDS, build_options, flag, is_taken
from nbsync.errors import UsageError
from nbsync.grammar import help as texts

SHOW = ("summary", "changed", "all")
_COLLECTED = ("filters", "metadata", "tag")  # given again, they add up
_FACE = ("output_name", "show", "background")  # options of the notebook, not of the engine
# Words that people know from other tools.
_OF_DEMO = ("lab", "serve")  # options of the shell's `demo`
_ELSEWHERE = {
    "sync": "Write pull (from S3) or push (to S3)", "cp": "Write pull (from S3) or push (to S3)",
    "help": "Did you mean --help?",
    "--recursive": "pull and push are always recursive", "-r": "pull and push are always recursive",
    "--background": "That is for notebooks; in a shell, end the line with &",
    "--dryrun": "Did you mean --dry-run?", "-v": "Did you mean --verbose?",
}  # fmt: skip
_WORDS = {"pull": ("REMOTE", "[LOCAL]"), "push": ("LOCAL", "REMOTE"), "verify": ("LOCAL", "REMOTE"),
          "apply": ("FILE",), "undo": ("[LOCAL]",), "ls": ("REMOTE",), "status": ("[LOCAL]",),
          "run": ("FILE",), "doctor": ("[REMOTE]",), "link": ("REMOTE", "[LOCAL]"), "jobs": (), "cancel": ("ID",),
          "panel": ("[REMOTE]", "[LOCAL]")}  # fmt: skip
_AGAIN = ("pull", "push")  # that, without any words, do the last one again
# In which order commands are named that take an option; plan, if it is the only one.
_BELONGS = ("pull", "push", "verify", "apply", "undo", "ls", "status", "run", "doctor", "link")


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
    command = positional[0] if positional else ""
    _check_command(command, notebook)
    if command == "demo":
        return _demo(given, positional[1:])
    for name in _OF_DEMO:
        if given.pop(name, False):
            raise UsageError(f"{command} has no option {flag(name)}", "It belongs to: nbsync demo")
    if command == "run":
        return _run(given, positional[1:], defaults or {})
    direction, rest = _direction(command, positional[1:])
    taken = taken_by(command, direction)
    values, face = _with_defaults(given, defaults or {}, taken)
    name = f"plan {direction}" if command == "plan" else command
    _only(values, taken, name)
    places = _take(name, _WORDS[direction or command], rest)
    options = build_options(command, values, direction if command == "plan" else "")
    remote, local, file = (places.get(word, "") for word in ("remote", "local", "file"))
    call = Call(command=command, direction=direction, remote=remote, local=local, file=file, options=options,
                asked=frozenset(given) | (taken & set(asked)), again=command in _AGAIN and not places)  # fmt: skip
    shown = face.get("show") or ("all" if call.options.verbose else "changed")
    return Invocation(command, call, show=shown, output_name=face.get("output_name", ""),
                      background=bool(face.get("background")), job=places.get("id", ""))  # fmt: skip


def _demo(given: dict[str, Any], words: Sequence[str]) -> Invocation:
    _only(given, _OF_DEMO, "demo")
    _take("demo", (), words)
    if len(given) > 1:
        raise UsageError("--lab and --serve exclude each other", "--lab has the server running, too")
    return Invocation("demo", None, **given)


def _run(given: dict[str, Any], words: Sequence[str], defaults: Mapping[str, Any]) -> Invocation:
    """`run`: an option is its own, or is given to its lines, or both. One document holds them all: not `json`."""
    values, face = _with_defaults(given, defaults, taken_by("run", ""))
    own = {name: value for name, value in values.items() if is_taken(name, "run")}
    call = Call(command="run", file=_take("run", _WORDS["run"], words)["file"], options=build_options("run", own))
    shown = face.get("show") or ("all" if call.options.verbose else "changed")
    mine = ("json", "output_name")
    return Invocation("run", call, show=shown, output_name=face.get("output_name", ""),
                      given={name: value for name, value in given.items() if name not in mine})  # fmt: skip


class Known(NamedTuple):
    """An option as the parser knows it.

    Attributes:
        flags: how it is written, e.g. `-n` and `--dry-run`.
        name: its field of `Options`, or what the face calls it.
        takes_value: a word follows.
        repeats: it may be given again.
        choices: its values, where they are few.
        metavar: what its value is called in the help.
    """

    flags: tuple[str, ...]
    name: str
    takes_value: bool
    repeats: bool
    choices: tuple[str, ...]
    metavar: str


def known_options(*, notebook: bool) -> list[Known]:
    """Every option of the grammar, in the order of the help."""
    found = []
    for action in _parser(notebook)._actions:
        if not action.option_strings:
            continue
        name = "filters" if isinstance(action, _AddFilter) else action.dest
        meta: Mapping[str, Any] = FIELDS[name].metadata if name in FIELDS else {"choices": (), "metavar": ""}
        choices = SHOW if name == "show" else meta["choices"]
        found.append(Known(tuple(action.option_strings), name, action.nargs != 0, name in _COLLECTED, choices,
                           meta["metavar"]))  # fmt: skip
    return found


def places_of(command: str, direction: str = "") -> tuple[str, ...]:
    """What the words after a command are: `REMOTE`, `LOCAL`, `FILE`, ...; optional ones too."""
    return tuple(word.strip("[]") for word in _WORDS.get(direction or command, ()))


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
    command = next((word for word in head if word in texts.pages(notebook=notebook)), None)
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
    for name, spec in FIELDS.items():
        flags = ["-n", flag(name)] if name == "dry_run" else [flag(name)]
        if name == "filters":
            parser.add_argument("--include", "--exclude", action=_AddFilter)
        elif isinstance(spec.default, bool):
            parser.add_argument(*flags, action="store_true")
        else:
            parser.add_argument(*flags, action="append" if name in _COLLECTED else "store")
    if notebook:
        parser.add_argument("-o", dest="output_name")
        parser.add_argument("--show")
        parser.add_argument("--background", action="store_true")
    else:
        for name in _OF_DEMO:
            parser.add_argument(flag(name), action="store_true")
    return parser


def _unknown_option(word: str, parser: argparse.ArgumentParser) -> UsageError:
    name = word.split("=", 1)[0]
    return UsageError(f"unknown option {name}", _nearest(name, list(parser._option_string_actions)))


def _check_command(command: str, notebook: bool) -> None:
    known = list(texts.pages(notebook=notebook))
    if not command:
        raise UsageError("no command", f"It is one of: {', '.join(known)}")
    if command == "demo" and notebook:
        raise UsageError("demo runs in a shell", "There: nbsync demo")
    if command in texts.NOTEBOOK_PAGES and not notebook:
        raise UsageError(f"{command} is for notebooks", f"There: %s3sync {texts.NOTEBOOK_PAGES[command].example}")
    if command not in known:
        hint = _nearest(command, known) or f"It is one of: {', '.join(known)}"
        raise UsageError(f"unknown command {command!r}", hint)


def _nearest(word: str, known: Sequence[str]) -> str:
    if word in _ELSEWHERE:
        return _ELSEWHERE[word]
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.75)
    return f"Did you mean {near[0]}?" if near else ""


def _direction(command: str, words: Sequence[str]) -> tuple[str, Sequence[str]]:
    if command != "plan":
        return (command if command in ("pull", "push") else ""), words
    if not words or words[0] not in ("pull", "push"):
        raise UsageError("plan needs to know what for", "Write: plan pull REMOTE [LOCAL], or: plan push LOCAL REMOTE")
    return words[0], words[1:]


def taken_by(command: str, direction: str = "") -> set[str]:
    """Names of the options that this command takes, those of its face included."""
    taken = {name for name in FIELDS if is_taken(name, command, direction)}
    taken |= {"background"} if command in (*BEHIND, "run") else set()
    return taken | ({"output_name"} if command == "panel" else {"output_name", "show"})


def _with_defaults(given: Mapping[str, Any], defaults: Mapping[str, Any],
                   taken: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
    """Options for the engine, and what only the face needs."""
    values = {name: value for name, value in defaults.items() if name in taken}
    for name, value in given.items():
        values[name] = [*values.get(name, ()), *value] if name in _COLLECTED else value
    face: dict[str, Any] = {name: values.pop(name) for name in _FACE if name in values and name in taken}
    if face.get("show", "all") not in SHOW:
        raise UsageError(f"--show takes one of {', '.join(SHOW)}, not {face['show']!r}")
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


def _only(given: Mapping[str, Any], taken: Sequence[str] | set[str], command: str) -> None:
    for name in given:
        if name not in taken:
            shown = "--include" if name == "filters" else "-o" if name == "output_name" else flag(name)
            commands = FIELDS[name].metadata["commands"] if name in FIELDS else ()
            others = [known for known in _BELONGS if known in commands] or list(commands)
            hint = f"It belongs to: {', '.join(others)}" if others else ""
            raise UsageError(f"{command} has no option {shown}", hint)


def _take(command: str, names: Sequence[str], words: Sequence[str]) -> dict[str, str]:
    """`words` as the `remote`, `local` and `file` of a Call, or the `id` of a job."""
    if not words and command in _AGAIN:
        return {}
    wanted = " ".join([command, *names])
    if len(words) > len(names):
        hint = f"It is: {wanted}. Quote patterns (the shell expands a bare *) and names with spaces"
        raise UsageError(f"{command} does not take the word {words[len(names)]!r}", hint)
    for name, word in zip(names, words, strict=False):
        if not word:
            raise UsageError(f"{name.strip('[]')} is empty", f"It is: {wanted}")
    missing = [name for name in names[len(words) :] if not name.startswith("[")]
    if missing:
        raise UsageError(f"{command} needs {missing[0]}", f"It is: {wanted}")
    return {name.strip("[]").lower(): word for name, word in zip(names, words, strict=False)}
