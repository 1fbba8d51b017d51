"""The house stays as it was laid out: who may import whom, and how long a file or a function may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("nbsync/**/*.py"))
PAGES = sorted(str(path.relative_to(ROOT)) for ending in ("js", "css") for path in ROOT.glob(f"nbsync/**/*.{ending}"))
TESTS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/**/*.py"))
FILE_LINES, FUNCTION_LINES = 399, 40
TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", "nbsync", "tests", "notebooks", "jupyter-config"}

STDLIB = tuple(sys.stdlib_module_names)
S3_LIBRARIES = ("boto3", "botocore", "s3transfer", "awscrt", "obstore")
NOTEBOOK = ("IPython", "ipywidgets", "anywidget")
EFFECTS = ("os", "io", "pathlib", "shutil", "tempfile", "socket", "ssl", "http", "time", "random", "logging",
           "subprocess", "threading", "sqlite3")  # fmt: skip


def read(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


class Rule(NamedTuple):
    """Files whose path matches `where` import `only` these packages (if given), and `never` those."""

    says: str
    where: str
    only: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


RULES = [
    Rule("errors: the standard library", r"nbsync/errors\.py", only=STDLIB),
    Rule("core: the standard library, core, errors", r"nbsync/core/",
         only=(*STDLIB, "nbsync.core", "nbsync.errors")),
    Rule("core: no disk, socket, clock, environment or log", r"nbsync/core/", never=EFFECTS),
    Rule("wire: the standard library, core, errors", r"nbsync/wire/",
         only=(*STDLIB, "nbsync.wire", "nbsync.core", "nbsync.errors")),
    Rule("storage, transfer and the engine never know a face", r"nbsync/(storage|transfer|engine)/",
         never=("nbsync.ui", "nbsync.server")),
    Rule("storage and transfer never know the engine", r"nbsync/(storage|transfer)/", never=("nbsync.engine",)),
    Rule("the cluster's room knows neither the engine of runs nor a face", r"nbsync/cluster/(?!each|node|site|totals)",
         never=("nbsync.ui", "nbsync.server", "nbsync.engine", "nbsync.panel")),
    Rule("no face in the cluster's room", r"nbsync/cluster/", never=("nbsync.ui", "nbsync.server", "nbsync.panel")),
    Rule("Dask and ipyparallel: only who was asked for them", r"nbsync/(?!cluster/(dask|ipyparallel)\.py)",
         never=("distributed", "dask", "ipyparallel")),
    Rule("S3 libraries: storage, transfer and the demo server",
         r"nbsync/(?!storage/|transfer/|demo_server\.py)", never=S3_LIBRARIES),
    Rule("moto: the demo server", r"nbsync/(?!demo_server\.py)", never=("moto",)),
    Rule("what a shell uses never imports a notebook library",
         r"nbsync/(__main__|ui/(cli|args|words|help|split|view|report\w*|terminal|complete|lookup|folders))\.py",
         never=NOTEBOOK),
    Rule("the panel's rows, words and states know no widget",
         r"nbsync/panel/(commands|form|lookups|outcome|pump|session|table)\.py", never=NOTEBOOK),
    Rule("server: no IPython, no widget", r"nbsync/server/", never=NOTEBOOK),
    Rule("only faces and the progress state know traitlets",
         r"nbsync/(core|wire|storage|transfer)/", never=("traitlets", "rich", *NOTEBOOK)),
]  # fmt: skip


def imports(source: str, file: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that `source` imports, at its top or deeper inside."""
    package = file.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def offences(rule: Rule, source: str, file: str) -> list[str]:
    """The imports in `source` that break `rule`, each with its place."""
    if not re.match(rule.where, file):
        return []
    found = []
    for line, name in imports(source, file):
        if (rule.only and not _is_in(name, rule.only)) or _is_in(name, rule.never):
            found.append(f"{file}:{line} imports {name}")
    return found


def _is_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.says)
def test_imports(rule: Rule) -> None:
    found = [offence for file in SOURCES for offence in offences(rule, read(file), file)]
    assert not found, f"{rule.says}:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "file", "broken"),
    [
        ("import boto3.session", "nbsync/engine/run.py", "S3 libraries: storage, transfer and the demo server"),
        (
            "def f():\n from botocore import x",
            "nbsync/ui/cli.py",
            "S3 libraries: storage, transfer and the demo server",
        ),
        ("from nbsync import ui", "nbsync/storage/s3.py", "storage, transfer and the engine never know a face"),
        ("from ..ui.cli import main", "nbsync/storage/s3.py", "storage, transfer and the engine never know a face"),
        ("from nbsync.api.progress import X", "nbsync/core/merge.py", "core: the standard library, core, errors"),
        ("import os.path", "nbsync/core/merge.py", "core: no disk, socket, clock, environment or log"),
    ],
)
def test_a_wrong_import_is_seen(source: str, file: str, broken: str) -> None:
    assert [rule.says for rule in RULES if offences(rule, source, file)] == [broken]


def test_a_right_import_is_let_through() -> None:
    source = "from __future__ import annotations\nimport json\nfrom nbsync.core import names\nfrom .model import Entry"
    assert not [rule.says for rule in RULES if offences(rule, source, "nbsync/core/merge.py")]


def test_import_nbsync_is_light() -> None:
    heavy = [*S3_LIBRARIES, *NOTEBOOK, "rich", "moto", "pandas", "distributed", "ipyparallel"]
    code = f"import sys, nbsync; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_files_are_short() -> None:
    lengths = {file: len(read(file).splitlines()) for file in SOURCES + PAGES + TESTS}
    assert {file: lines for file, lines in lengths.items() if lines > FILE_LINES} == {}


def test_functions_are_short() -> None:
    long = []
    for file in SOURCES:
        for node in ast.walk(ast.parse(read(file))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long.append(f"{file}:{node.lineno} {node.name}: {lines} lines")
    assert not long, f"over {FUNCTION_LINES} lines:\n" + "\n".join(long)


def test_every_file_says_what_it_is_for() -> None:
    silent = [file for file in SOURCES if not ast.get_docstring(ast.parse(read(file)))]
    assert silent == []


def test_the_top_level_is_tidy() -> None:
    # safe.directory: a checkout that belongs to another user (a container's volume) is read all the same.
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files"], cwd=ROOT, capture_output=True, text=True,
                            check=True)  # fmt: skip
    top = {path.partition("/")[0] for path in listed.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} - TOP_LEVEL == set()
