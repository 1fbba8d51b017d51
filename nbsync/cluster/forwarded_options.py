"""Options as they travel to a worker, which stands in another directory, perhaps on another machine."""

from __future__ import annotations

import os
from dataclasses import replace

from nbsync.core.options import Options
from nbsync.core.saved_options import FILES


def found_anywhere(options: Options) -> Options:
    """The options with their files named from the root: the worker that reads them may stand in another directory."""
    return replace(options, **{name: os.path.abspath(path) for name in FILES if (path := getattr(options, name))})
