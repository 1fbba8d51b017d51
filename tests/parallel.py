"""Which tests stay together when two processes share the suite.

One process has all that use RGW, which takes 20 s to start; what the tests of a module share is made once.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

_ON_RGW = re.compile(r"\[(?:.*-)?rgw[-\]]")  # a parameter of the test is the server's name
_ASKS = re.compile(r"[(,] *rgw_(?:server|world): ")  # as a fixture of a test or of another fixture


class Groups(LoadScopeScheduling):
    """Hands out one module, or all that uses RGW, at a time, in the order of collection: the slow ones come first."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return "rgw" if _ON_RGW.search(nodeid) or _asks_for_rgw(self.config.rootpath / module) else module


@functools.cache
def _asks_for_rgw(module: Path) -> bool:
    return _ASKS.search(module.read_text(encoding="utf-8")) is not None
