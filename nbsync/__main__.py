"""`python -m nbsync` and the `nbsync` command. Runs in the main thread."""

from __future__ import annotations

import sys
from typing import NoReturn

from nbsync.ui.cli import main as run


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
