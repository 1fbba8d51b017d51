"""What is compared, and by which bars it is judged. Pure: runs in, verdicts out."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.bench.measure import Measured

OURS = "nbsync"
Runs = Mapping[str, Sequence[Measured]]


class Verdict(NamedTuple):
    """One figure beside its bar. `limit` None: shown for information; `at_most` False: the figure must reach it."""

    what: str
    value: float
    limit: float | None
    aim: float | None = None
    at_most: bool = True

    @property
    def holds(self) -> bool | None:
        """None where there is no bar."""
        if self.limit is None:
            return None
        return self.value <= self.limit if self.at_most else self.value >= self.limit


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of what was measured in the same round."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


@dataclass(frozen=True)
class Ratio:
    """nbsync's figure by that of `peer`; of several peers the longest of each round counts."""

    peer: str | tuple[str, ...]
    limit: float | None = None
    aim: float | None = None
    metric: str = "wall"
    what: str = ""

    def judge(self, runs: Runs) -> Verdict:
        peers = (self.peer,) if isinstance(self.peer, str) else self.peer
        theirs = [max(values) for values in zip(*(_values(runs[peer], self.metric) for peer in peers), strict=True)]
        ratio = paired_ratio(_values(runs[OURS], self.metric), theirs)
        said = self.what or f"nbsync / {' or '.join(peers)}" + ("" if self.metric == "wall" else f", {self.metric}")
        return Verdict(said, ratio, self.limit, self.aim)


@dataclass(frozen=True)
class Peak:
    """The largest of nbsync's peaks, MB."""

    limit: float

    def judge(self, runs: Runs) -> Verdict:
        return Verdict("nbsync's peak MB", max(run.peak_mb for run in runs[OURS]), self.limit)


@dataclass(frozen=True)
class Count:
    """Something counted, known when the contest is over."""

    what: str
    counted: Callable[[], float]
    limit: float | None

    def judge(self, _runs: Runs) -> Verdict:
        return Verdict(self.what, self.counted(), self.limit)


Bar = Ratio | Peak | Count


def _values(runs: Sequence[Measured], metric: str) -> list[float]:
    return [float(getattr(run, metric)) for run in runs]


class Contestant(NamedTuple):
    """Who takes part. `run` prepares, measures one run and checks what it left."""

    name: str
    run: Callable[[], Measured]


@dataclass
class Outcome:
    """A contest that is over. `requests`: words for each contestant, as far as they were counted."""

    title: str
    runs: dict[str, list[Measured]]
    verdicts: list[Verdict]
    requests: dict[str, str] = field(default_factory=dict)

    def medians(self, name: str) -> Measured:
        """The median of each figure of a contestant."""
        return Measured(*(statistics.median(values) for values in zip(*self.runs[name], strict=True)))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def hold(title: str, contestants: Sequence[Contestant], rounds: int, bars: Sequence[Bar],
         requests: dict[str, str], *, say: Callable[[str], None] = _say) -> Outcome:  # fmt: skip
    """Everybody in turn, `rounds` times. Who begins changes from round to round; whoever measures has warmed up.

    Bars whose peers don't take part are left out.
    """
    runs: dict[str, list[Measured]] = {one.name: [] for one in contestants}
    say(f"  {title}")
    for number in range(rounds):
        ordered = [*contestants[number % len(contestants) :], *contestants[: number % len(contestants)]]
        for one in ordered:
            runs[one.name].append(one.run())
        say(f"  round {number + 1}: " + ", ".join(f"{name} {mine[-1].wall:.2f} s" for name, mine in runs.items()))
    fitting = [bar for bar in bars if not isinstance(bar, Ratio) or _peers(bar) <= runs.keys()]
    return Outcome(title, runs, [bar.judge(runs) for bar in fitting], requests)


def _peers(bar: Ratio) -> set[str]:
    return {bar.peer} if isinstance(bar.peer, str) else set(bar.peer)
