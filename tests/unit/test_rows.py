"""A command is one row, an option is one row: what reads them finds a new one, and nobody else keeps a list."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsync.core import commands, options
from nbsync.core.commands import COMMANDS, Command, Kind
from nbsync.core.options import OPTIONS, Option, Options, all_options
from nbsync.grammar.complete import Typed, candidates
from nbsync.grammar.parse import HelpRequested, parse
from nbsync.notebook.config_traits import config_traits
from tests.unit.grammar.test_complete import World

ROOT = Path(__file__).parents[2]
ROWS = ("nbsync/core/commands.py", "nbsync/core/options.py")
MOST = 2  # names that may stand together: two are a choice, three are a list
HONEST = {
    "nbsync/__init__.py": "what each public name is loaded from, and `__all__`, which type checkers read as it stands",
    "nbsync/api/runs.py": "the function of each command that works file by file",
    "nbsync/api/functions.py": "the function of each command that is answered at once",
    "nbsync/results/link.py": "the members of a JSON document",
    "nbsync/server/documents.py": "the members of a JSON document",
    "nbsync/server/page.py": "the members of a JSON document",
}


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command `mirror` and an option `--shade`, by their rows alone."""
    takes = frozenset({commands.WHERE, commands.OUTPUT, commands.FILTERS})
    row = Command(name="mirror", words="REMOTE [LOCAL]", kind=Kind.ANSWER, takes=takes, does="turn it round",
                  example="mirror s3://bucket/raw")  # fmt: skip
    monkeypatch.setitem(COMMANDS, "mirror", row)
    shade = Option(name="shade", default="", help="how dark", group="How", of=(commands.FILTERS,),
                   choices=("light", "dark"), config="shade")  # fmt: skip
    monkeypatch.setitem(OPTIONS, "shade", shade)
    more = dataclasses.make_dataclass("More", [("shade", str, "")], bases=(Options,), frozen=True, kw_only=True)
    monkeypatch.setattr(options, "Options", more)


def offered(*before: str, word: str = "") -> list[str]:
    return [one.text for one in candidates(Typed(before, word), World())]


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize("notebook", [False, True])
def test_a_new_row_is_read_and_told(notebook: bool) -> None:
    found = parse(["mirror", "b/p", "data", "--shade", "dark", "--exclude", "*"], notebook=notebook).call
    assert found is not None
    assert (found.command, found.remote, found.local, found.options.filters) == (
        "mirror", "b/p", "data", (("exclude", "*"),),
    )  # fmt: skip
    assert vars(found.options)["shade"] == "dark"
    assert vars(parse(["pull", "b", "--shade=light"], notebook=notebook).call.options)["shade"] == "light"  # type: ignore[union-attr]
    for words, told in (
        (["--help"], "  mirror REMOTE [LOCAL]       turn it round"),
        (["mirror", "--help"], "  --shade light|dark          how dark"),
    ):
        with pytest.raises(HelpRequested) as asked:
            parse(words, notebook=notebook)
        assert told in asked.value.text.splitlines()


@pytest.mark.usefixtures("made_up")
def test_a_new_row_is_completed_and_configured() -> None:
    assert offered(word="mir") == ["mirror"]
    assert offered("mirror", word="dum") == ["dumps/"]
    assert offered("mirror", "dumps/", word="--sh") == ["--shade", "--show"]
    assert offered("mirror", "--shade") == ["light", "dark"]
    assert "--shade" not in offered("status", word="--")
    assert config_traits()["shade"].default_value == ""


def names_in(node: ast.AST) -> list[str]:
    """The texts that stand in a literal list, tuple or set, or as the keys of a dict."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        parts: list[ast.expr | None] = list(node.elts)
    elif isinstance(node, ast.Dict):
        parts = list(node.keys)
    else:
        return []
    return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def lists(source: str) -> Iterator[tuple[int, list[str]]]:
    """Line and names of each literal that lists commands or options."""
    known = {flag: name for name, row in all_options().items() for flag in (name, *row.flags)}
    for node in ast.walk(ast.parse(source)):
        texts = set(names_in(node))
        for found in (texts & COMMANDS.keys(), {text for text in texts if text in known}):
            if len(found) > MOST:
                yield getattr(node, "lineno", 0), sorted(found)


def test_a_list_is_seen() -> None:
    assert list(lists("X = ('pull', 'push')\nY = {'pull': 1, 'push': 2, 'ls': 3}")) == [(2, ["ls", "pull", "push"])]
    assert list(lists("f(a=['--jobs', 'region', 'sse'])")) == [(1, ["--jobs", "region", "sse"])]


def test_nobody_else_lists_commands_or_options() -> None:
    files = {str(path.relative_to(ROOT)): path for path in ROOT.glob("nbsync/**/*.py")}
    found = {file: list(lists(path.read_text(encoding="utf-8"))) for file, path in files.items()}
    wrong = [f"{file}:{line} lists {', '.join(names)}" for file, hits in sorted(found.items())
             if file not in (*ROWS, *HONEST) for line, names in hits]  # fmt: skip
    assert not wrong, "\n".join(wrong)
    assert [file for file in HONEST if not found[file]] == [], "an exception that nobody needs"
