"""Which run does a command: one row a command that works file by file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from nbsync.core.call import Call
from nbsync.engine.apply import apply
from nbsync.engine.ports import Run, Workforce
from nbsync.engine.sync import sync
from nbsync.engine.undo import undo
from nbsync.engine.verify import verify


def hire(call: Call) -> Callable[[], Workforce] | None:
    """What opens the workforce that `call` names; None if it names none. Looks at its words alone.

    Raises:
        UsageError: they make no sense.
    """
    if not call.options.on and not call.options.spread and call.executor is None:
        return None
    from nbsync.cluster.backends.connect import check_call  # only who asks for a cluster loads its side
    from nbsync.cluster.shared.workforce import SharedWorkforce

    return partial(SharedWorkforce, call.options.on, call.executor) if check_call(call) else None


_SYNC = partial(sync, hire=hire)
RUNS: dict[str, Callable[[Call, threading.Event], Run]] = {
    "pull": _SYNC, "push": _SYNC, "sync": _SYNC, "plan": _SYNC,
    "apply": partial(apply, hire=hire), "verify": verify, "undo": undo,
}  # fmt: skip


def run_of(call: Call, cancel: threading.Event) -> Run:
    """The run that does `call`, in a thread of its own, until `cancel` is set.

    Raises:
        UsageError: the call makes no sense.
    """
    if call.options.spread == "each":
        from nbsync.cluster.per_node.coordinator import each  # only who asks for a cluster loads its side

        return each(call, cancel)
    return RUNS[call.command](call, cancel)
