"""What `--json` prints."""

from __future__ import annotations

import json
from typing import Any, Protocol

from nbsync._version import DISTRIBUTION, __version__
from nbsync.core.call import Call
from nbsync.core.location import parse_location
from nbsync.errors import NbsyncError, UsageError
from nbsync.results.sync_result import SyncResult


class _HasDict(Protocol):
    def to_dict(self) -> dict[str, Any]: ...


def json_document(result: _HasDict) -> str:
    """The contract's JSON, on one line, with what made it. Plain ASCII: no name in it can act on a terminal."""
    return json.dumps({**result.to_dict(), "nbsync": {"distribution": DISTRIBUTION, "version": __version__}})


def refusal(call: Call, error: NbsyncError) -> SyncResult:
    """The result of a command that was refused before it was a run."""
    try:
        remote = parse_location(call.remote).uri if call.remote else ""
    except UsageError:
        remote = ""  # never repeated: other tools take KEY:SECRET@bucket and URLs with a signature
    result = SyncResult(command=call.command, remote=remote, local=call.local, dry_run=call.options.dry_run)
    result.error = error
    return result
