"""The package's own name, and what is said where another project of its import name has left files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from nbsync import _version

ROOT = Path(__file__).parents[2]


def test_hints_name_the_distribution_and_no_other() -> None:
    assert _version.install() == "pip install 'nbsync-s3'"
    assert _version.install("dask") == "pip install 'nbsync-s3[dask]'"
    assert _version.install(version="1.2") == "pip install 'nbsync-s3==1.2'"
    named = re.compile(r"pip install[^\n]{0,12}['\"]nbsync\b(?!-s3)")
    sources = [*ROOT.glob("nbsync/**/*.py"), ROOT / "README.md", *ROOT.glob("notebooks/*.ipynb")]
    assert [str(path) for path in sources if named.search(path.read_text(encoding="utf-8"))] == []


def test_the_build_has_that_name() -> None:
    assert f'name = "{_version.DISTRIBUTION}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_files_of_the_other_project_are_told(tmp_path: Path) -> None:
    assert _version.mixed_up(str(tmp_path)) == ""
    (tmp_path / "cell.py").write_text("")
    assert "another project called nbsync (cell.py)" in _version.mixed_up(str(tmp_path))


def test_the_first_import_tells_of_them() -> None:
    code = "import importlib, nbsync; nbsync._version.mixed_up = lambda: 'mixed up'; importlib.reload(nbsync)"
    done = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("UserWarning: mixed up") == 1
