"""Completion of `%s3sync` by IPython's completer: finds the command at the cursor, and words its candidates.

Thin: what fits is decided in `grammar.complete`, and looked up in `api.lookup`. Runs in the thread that IPython
completes in, and answers within a third of a second. Works in a notebook (complete_request) and in IPython's terminal
alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from nbsync.api.lookup import Surroundings
from nbsync.grammar.complete import Typed, candidates
from nbsync.grammar.split import Unfinished, commands, completed, split_unfinished

IDENTIFIER = "nbsync.s3sync"
LIMIT_SECONDS = 0.2  # of looking up; the answer has 0.3
_CELL = re.compile(r"\s*%%s3sync(?!\S)")
_LINE = re.compile(r"\s*(?:[^\W\d][\w.,\[\]'\" ]*=\s*)?%s3sync(?=\s)", re.DOTALL)
_SILENT = re.compile(r";\s*\Z")
_HERE = "\0"  # marks the cursor; no cell holds it

Name = Callable[[str], "str | None"]


class At(NamedTuple):
    """A command with the cursor in it: its text before and behind that; `head` is that of the `%%s3sync` line above."""

    text: str
    after: str
    head: str = ""
    only_options: bool = False


def find_command(before: str, after: str) -> At | None:
    """The command of ours that the cursor stands in, in a cell of which this text is before it and that behind it."""
    cell = _CELL.match(before)
    rest = commands(_HERE + after)[0][1].removeprefix(_HERE)
    if cell is None:
        line = _line(before)
        magic = _LINE.match(line) if line is not None else None
        return At(line[magic.end() :], rest) if line is not None and magic else None
    head, newline, body = before[cell.end() :].partition("\n")
    if not newline:
        return At(head, rest, only_options=True) if head else None
    line = _line(body)
    return At(line, rest, head=head) if line is not None else None


def _line(before: str) -> str | None:
    """The line that the cursor stands in, with those that `\\` continues in it; None in a comment."""
    found = commands(before + _HERE)
    return found[-1][1][:-1] if found and found[-1][1].endswith(_HERE) else None


class Completer:
    """IPython's matcher.

    Args:
        namespace: the notebook's variables.
        defaults: the magic's option values, by field name.
        around: where names are looked up.
    """

    def __init__(
        self,
        namespace: Mapping[str, Any],
        defaults: Callable[[], Mapping[str, Any]],
        around: Surroundings | None = None,
    ) -> None:
        self._namespace = namespace
        self._defaults = defaults
        self._around = around or Surroundings()

    def _match(self, context: CompletionContext) -> dict[str, Any]:
        """The completions at the cursor; IPython's own beside ours would be names of Python, and of wrong files."""
        lines = context.full_text.split("\n")
        line = lines[context.cursor_line]
        before = "\n".join([*lines[: context.cursor_line], line[: context.cursor_position]])
        after = "\n".join([line[context.cursor_position :], *lines[context.cursor_line + 1 :]])
        try:
            found = self.complete(before, after)
        except Exception:  # it would be printed into the notebook, at every key
            found = None
        if found is None:
            return {"completions": []}
        raw, shown = found
        return {"completions": shown or _Nothing(), "matched_fragment": raw, "suppress": True, "ordered": True}

    match = context_matcher(identifier=IDENTIFIER, priority=1000)(_match)

    def complete(self, before: str, after: str) -> tuple[str, list[SimpleCompletion]] | None:
        """The text that is replaced, which ends at the cursor, and what by.

        None where the cursor is not in a command of ours, or is in an expression of Python.
        """
        at = find_command(before, after)
        typed = split_unfinished(at.text, self._named) if at is not None else None
        if at is None or typed is None or not before.endswith(typed.raw):
            return None
        behind, head = self._words_behind(typed, at.after), self._words(at.head)
        if typed.value is None or behind is None or head is None:
            return typed.raw, []
        line = Typed(typed.words, typed.value, behind, head, self._defaults(), at.only_options)
        found = candidates(line, self._around.within(LIMIT_SECONDS))
        return _last_segment(typed.raw, [(completed(typed, one.text, after), one.kind) for one in found])

    def _words_behind(self, typed: Unfinished, after: str) -> list[str | None] | None:
        """The words behind the one at the cursor; None if they cannot be read."""
        after = _SILENT.sub("", after)
        words = self._words(typed.quote + after)
        if words is None and typed.quote:
            words = self._words(f"{typed.quote}{typed.quote}{after}")  # the mark that a candidate brings
        within_word = typed.quote or not after[:1].isspace()
        return words[1:] if words and within_word else words

    def _words(self, text: str) -> list[str | None] | None:
        split = split_unfinished(f"{text} ", self._named)
        return split.words if split is not None and not split.quote else None

    def _named(self, source: str) -> str | None:
        """What a name in the line means, if it is a variable that can be read without running anything."""
        value = self._namespace.get(source)
        if type(value) in (str, int):
            return str(value)
        return str(value) if isinstance(value, PurePath) else None


def _last_segment(raw: str, found: list[tuple[str, str]]) -> tuple[str, list[SimpleCompletion]]:
    """What is replaced and what by: only what stands behind the last `/`, where no candidate has to change the rest.

    It is shorter to read, and JupyterLab, which offers words of the cell as well, would rank `//` above what begins
    with `s3://`.
    """
    cut = raw.rfind("/") + 1
    if not all(text.startswith(raw[:cut]) for text, _ in found):
        cut = 0
    return raw[cut:], [SimpleCompletion(text[cut:], type=kind) for text, kind in found if text != raw]


class _Nothing(list[SimpleCompletion]):
    """An empty answer that silences IPython's own matchers: it heeds `suppress` only where there is an answer."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[SimpleCompletion]:
        return iter(())


def install(ip: Any, defaults: Callable[[], Mapping[str, Any]], around: Surroundings | None = None) -> None:
    """Complete `%s3sync` in this shell from now on."""
    uninstall(ip)
    ip.Completer.custom_matchers.append(Completer(ip.user_ns, defaults, around).match)


def uninstall(ip: Any) -> None:
    """Take that back, whichever import of this module did it."""
    matchers = ip.Completer.custom_matchers
    matchers[:] = [one for one in matchers if getattr(one, "matcher_identifier", "") != IDENTIFIER]
