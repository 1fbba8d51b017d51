"""What differs between two versions of a text, as a unified diff. Pure.

Source: the format of GNU diff -u, https://www.gnu.org/software/diffutils/manual/html_node/Detailed-Unified.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import takewhile

MOST_BYTES = 10 * 1000 * 1000
_CONTEXT = 3  # lines around a change, as GNU diff shows
_MANY = 20_000  # lines; from there on, lines that occur often are no anchors, which is quicker
_NO_NEWLINE = "\\ No newline at end of file\n"


def text_of(content: bytes) -> str | None:
    """The text that the bytes are in UTF-8; None if they are none: they hold a NUL, or are not UTF-8."""
    try:
        return None if b"\0" in content else content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def unified(old: str, new: str, old_name: str, new_name: str) -> Iterator[str]:
    """The lines of a unified diff, each with its line break; none where the texts are equal.

    Takes time by the square of the lines between the first and the last change, at worst.
    """
    a, b = _lines(old), _lines(new)
    if a == b:
        return
    start, end = _equal_ends(a, b)
    skipped = max(0, start - _CONTEXT)
    middle = slice(skipped, -(end - _CONTEXT) if end > _CONTEXT else None)
    a_middle, b_middle = a[middle], b[middle]
    matcher = SequenceMatcher(None, a_middle, b_middle, autojunk=len(a_middle) + len(b_middle) > _MANY)
    yield f"--- {old_name}\n"
    yield f"+++ {new_name}\n"
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        _, a_from, _, b_from, _ = group[0]
        _, _, a_to, _, b_to = group[-1]
        yield f"@@ -{_range(a_from + skipped, a_to - a_from)} +{_range(b_from + skipped, b_to - b_from)} @@\n"
        for kind, a_first, a_last, b_first, b_last in group:
            if kind == "equal":
                yield from _marked(" ", a_middle[a_first:a_last])
            else:
                yield from _marked("-", a_middle[a_first:a_last])
                yield from _marked("+", b_middle[b_first:b_last])


def _lines(text: str) -> list[str]:
    """Lines as patch(1) counts them: they end in a line feed, and in nothing else."""
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _equal_ends(a: Sequence[str], b: Sequence[str]) -> tuple[int, int]:
    """How many lines are the same at the beginning, and, of the others, at the end."""
    start = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
    tails = zip(reversed(a[start:]), reversed(b[start:]), strict=False)
    return start, sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], tails))


def _range(start: int, count: int) -> str:
    if count == 1:
        return str(start + 1)
    return f"{start + 1 if count else start},{count}"


def _marked(mark: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if line.endswith("\n"):
            yield mark + line
        else:
            yield f"{mark}{line}\n"
            yield _NO_NEWLINE
