"""Where in a listing's key space to begin a further range: keys read as numbers, and moved along. Pure.

Keys look like counters, dates, hashes, or anything; what they are is guessed from those that were seen. A
guess never has to be right: one that is wrong costs a request, never a key (see core.spans).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from string import ascii_lowercase, ascii_uppercase, digits
from typing import NamedTuple

_PLACES = 8  # that are told apart from the first that varies on: finer than a page
_SURROGATES = range(0xD800, 0xE000)
_LAST_POINT = 0x10FFFF


def _points(text: str) -> tuple[int, ...]:
    return tuple(sorted(map(ord, text)))


# What the characters of one place may be, the narrowest first.
_COMMON = [
    _points(digits),
    _points(digits + "abcdef"),
    _points(digits + "ABCDEF"),
    _points(ascii_lowercase),
    _points(ascii_uppercase),
    _points(digits + ascii_lowercase),
    _points(digits + ascii_uppercase),
    _points(digits + ascii_lowercase + ascii_uppercase),
    tuple(range(0x20, 0x7F)),
]
_ALPHABETS = [(points, frozenset(points)) for points in _COMMON]
_DIGITS, _PRINTABLE = frozenset(digits), _COMMON[-1]


class Sample(NamedTuple):
    """A page as it is remembered: some of its keys, in order, with the first and the last.

    Attributes:
        start: the key from which it reaches to its last: that of the page before it, or else its own first.
    """

    keys: tuple[str, ...]
    start: str

    @classmethod
    def of(cls, keys: Sequence[str], before: str = "") -> Sample:
        """What to remember of a page's keys, of which there is at least one; `before`: the key before, if known."""
        last = len(keys) - 1
        return cls((keys[0], keys[last // 3], keys[2 * last // 3], keys[last]), before or keys[0])


class Place(NamedTuple):
    """One position in a key, and the code points that may stand there, in order."""

    at: int
    points: Sequence[int]


class KeyNumbers:
    """Reads keys between `low` and `high` as numbers, and numbers as keys.

    Args:
        sights: pages that were seen near `low`, in key order.
        low: where the range begins.
        high: where it ends; None if that is unknown.
        widen: 0: a position that never varied is passed over, but for digits left of the first that did (a
            counter will carry). 1: such letters too. 2: and any character may follow.
    """

    def __init__(self, samples: Sequence[Sample], low: str, high: str | None, *, widen: int = 0) -> None:
        self._low = low
        sample = [key for sight in samples for key in sight.keys]
        self._places = _places([*sample, low], low, high, widen)
        strides = sorted(self.number(sight.keys[-1]) - self.number(sight.start) for sight in samples)
        self.per_page = max(1, strides[len(strides) // 2])  # the median: a jump to the next folder may be no rule

    def number(self, key: str) -> int:
        """The key as a number; one key after another has no smaller one, where they are alike."""
        number = 0
        for at, points in self._places:
            rank = min(bisect_left(points, ord(key[at])), len(points) - 1) if at < len(key) else 0
            number = number * len(points) + rank
        return number

    def key(self, number: int) -> str | None:
        """A key of that number; None past the last."""
        chosen: dict[int, str] = {}
        for at, points in reversed(self._places):
            number, rank = divmod(number, len(points))
            point = points[rank]
            chosen[at] = chr(_SURROGATES.stop if point in _SURROGATES else point)
        if number or not chosen:
            return None
        low, end = self._low, max(chosen) + 1
        if any(at >= len(low) and at not in chosen for at in range(end)):
            end = next(at for at in range(end) if at >= len(low) and at not in chosen)
        return "".join(chosen.get(at) or low[at] for at in range(end))


def _places(sample: list[str], low: str, high: str | None, widen: int) -> list[Place]:
    """The positions that count, from the left, with what may stand there."""
    fork = _alike([low, high]) if high is not None else -1
    first = _alike(sample)  # the first position that varied
    ends = [*sample, high] if high is not None else sample
    places: list[Place] = []
    run: list[int] = []  # positions beside each other that varied: they are one field
    told = 0
    for at in range(min(fork, first) if high is not None else 0, max(map(len, ends))):
        seen = {key[at] for key in sample if at < len(key)}
        if at == fork and high is not None and at < len(high):
            seen.add(high[at])
        counts = at == fork or len(seen) > 1 or (at < first and _may_carry(seen, widen))
        if counts:
            places.append(Place(at, _alphabet(seen, widen)))
        told += at >= first and len(seen) > 1
        run = [*run, len(places) - 1] if counts and len(seen) > 1 else []
        if len(run) > 1:
            _make_alike(places, run)
        if told >= _PLACES:
            break
    return places


def _alike(keys: Sequence[str]) -> int:
    """How many characters all keys begin with in common."""
    first, last = min(keys), max(keys)
    return next((at for at, char in enumerate(first) if at >= len(last) or char != last[at]), len(first))


def _may_carry(seen: set[str], widen: int) -> bool:
    """May a position of this one character vary further on?"""
    return bool(seen) and (seen <= _DIGITS or (widen > 0 and all(c.isalnum() for c in seen)))


def _make_alike(places: list[Place], run: list[int]) -> None:
    """Give the positions of one field one alphabet, if they are of the common ones."""
    widest = max((places[index].points for index in run), key=len)
    if len(widest) <= len(_PRINTABLE):
        together = _alphabet({chr(point) for index in run for point in places[index].points}, 0)
        for index in run:
            places[index] = Place(places[index].at, together)


def _alphabet(seen: Iterable[str], widen: int) -> Sequence[int]:
    """The narrowest alphabet that holds these characters."""
    points = {ord(char) for char in seen}
    for alphabet, members in _ALPHABETS if widen < 2 else _ALPHABETS[-1:]:
        if points <= members:
            return alphabet
    low, high = min(points), max(points)
    return range(low, min(_LAST_POINT, high + (high - low) + 1) + 1)


def pages_between(samples: Sequence[Sample], low: str, high: str) -> float:
    """About how many pages lie after `low`, up to `high`, if it goes on as in `samples`."""
    key_numbers = KeyNumbers(samples, low, high)
    return (key_numbers.number(high) - key_numbers.number(low)) / key_numbers.per_page


def key_ahead(samples: Sequence[Sample], low: str, high: str | None, pages: float) -> str | None:
    """A key (there need be none of that name) about so many pages after `low`, and before `high`.

    None if there is no good guess.
    """
    for widen in (0, 1, 2):
        key_numbers = KeyNumbers(samples, low, high, widen=widen)
        found = key_numbers.key(key_numbers.number(low) + max(1, round(key_numbers.per_page * pages)))
        if found is not None and low < found and (high is None or found < high):
            return found
    return None
