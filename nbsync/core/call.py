"""One command with its words, as every face hands it to the engine. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from nbsync.core.guard import NO_LIMITS, Limits
from nbsync.core.options import Options

if TYPE_CHECKING:
    from nbsync.core.planfile import SavedPlan

_DEFAULTS = Options()


class Repeat(NamedTuple):
    """The sync that a Call does again: what is said of it, and where it went."""

    told: str
    endpoint: str


@dataclass(frozen=True, kw_only=True)
class Call:
    """One command with its words, whichever face it came from.

    Attributes:
        command: `pull`, `ls`, ...
        remote: REMOTE; empty where the command takes none.
        local: LOCAL; empty for a pull without it (then it is `./` + the last name in REMOTE), for an undo or the
            status of the current directory, and where none is taken.
        file: FILE, of `apply` and `run`.
        direction: `pull` or `push`, also for `plan`; else empty.
        options: those that were given, and the defaults of the face.
        asked: names of the options that this very command was given.
        imposed: names of the options that a server added for its own sake; they are not remembered.
        only: restricts it to these paths.
        plan: what `apply` does, where it is not read from `file`.
        again: a pull or push that was given no REMOTE: the last one of its kind in LOCAL is meant.
        repeats: the sync that is done again, once it is known.
        limits: the most that it may move.
        executor: a concurrent.futures.Executor whose workers do the transfers; it never leaves this process.
    """

    command: str
    remote: str = ""
    local: str = ""
    file: str = ""
    direction: str = ""
    options: Options = _DEFAULTS
    asked: frozenset[str] = field(default=frozenset(), compare=False)
    imposed: frozenset[str] = field(default=frozenset(), compare=False)
    only: frozenset[str] | None = None
    plan: SavedPlan | None = field(default=None, compare=False, repr=False)
    again: bool = False
    repeats: Repeat | None = field(default=None, compare=False)
    limits: Limits = NO_LIMITS
    executor: Any = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "executor": None}
