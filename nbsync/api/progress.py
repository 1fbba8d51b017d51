"""SyncProgress: THE state of a run, as traits that anyone may observe.

One thread writes it: the one that calls `SyncJob.wait()` or `poll()` (in a notebook, the kernel's
main thread). The threads of a run never touch it; they write to the engine's StatusBoard, which `SyncJob.poll` reads.
"""

from __future__ import annotations

import traitlets as t

from nbsync.core.model import Active, Problem, Snapshot, Status

STATES = ("starting", "waiting", "syncing", "verifying", "deleting", "done", "cancelled", "failed")


class SyncProgress(t.HasTraits):
    """The progress of one run; every trait is read-only for users and changes in one thread.

    Bytes are bytes that travel (hits do not); `files_total` and `bytes_total` grow until
    `listing_done`. `rate` is bytes a second over the last seconds; `eta_seconds` is None while unknown.
    """

    command = t.Unicode()
    direction = t.Unicode("pull")
    remote = t.Unicode()
    local = t.Unicode()
    state = t.Enum(STATES, default_value="starting")
    counts = t.Dict(value_trait=t.Int(), key_trait=t.Unicode())
    listing_done = t.Bool(False)
    files_done = t.Int(0)
    files_total = t.Int(0)
    bytes_done = t.Int(0)
    bytes_total = t.Int(0)
    rate = t.Float(0.0)
    eta_seconds = t.Float(None, allow_none=True)
    seconds = t.Float(0.0)
    active = t.Tuple()
    problems = t.Tuple()
    requests = t.Dict()

    @t.default("counts")
    def _no_counts(self) -> dict[str, int]:
        return {status.value: 0 for status in Status}

    def apply(self, snapshot: Snapshot) -> None:
        """Take over `snapshot`; observers are told once, of what changed."""
        with self.hold_trait_notifications():
            for name, value in snapshot._asdict().items():
                setattr(self, name, value)

    def snapshot(self) -> Snapshot:
        """The state now, as one immutable value."""
        return Snapshot(**{name: getattr(self, name) for name in Snapshot._fields})


__all__ = ["Active", "Problem", "Snapshot", "SyncProgress"]
