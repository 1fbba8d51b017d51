"""Which tests stay together when processes share the suite.

One process has all that use RGW, which takes 20 s to start; what the tests of a module share is made once.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

_ON_RGW = re.compile(r"\[(?:.*-)?rgw[-\]]")  # a parameter of the test is the server's name
_FIXTURES = frozenset({"rgw_server", "rgw_world"})  # of conftest files


class Groups(LoadScopeScheduling):
    """Hands out one module, or all that uses RGW, at a time, in the order of collection: the slow ones come first."""

    def _split_scope(self, nodeid: str) -> str:
        module, _, test = nodeid.partition("::")
        asks = test.partition("[")[0] in asking_for_rgw(self.config.rootpath / module)
        return "rgw" if asks or _ON_RGW.search(nodeid) else module


@functools.cache
def asking_for_rgw(module: Path) -> frozenset[str]:
    """The names of the module's tests and fixtures that ask for RGW, themselves or by a fixture of the module."""
    functions = [one for one in ast.parse(module.read_text(encoding="utf-8")).body if isinstance(one, ast.FunctionDef)]
    asked = {one.name: {argument.arg for argument in one.args.args} for one in functions}
    found = _FIXTURES
    while more := {name for name, fixtures in asked.items() if fixtures & found} - found:
        found |= more
    return found
