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


# A room imports only rooms on a lower line; lazy imports and those for types count, too.
LAYERS = [
    {"errors", "_version"},
    {"core"},
    {"wire", "grammar", "demo"},
    {"local"},
    {"s3"},
    {"transfer", "results"},
    {"engine", "report"},
    {"cluster"},
    {"api"},
    {"cli"},
    {"panel", "server"},
    {"notebook"},
    {"__init__", "__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}

RULES = [
    Rule("errors and core: the standard library", r"nbsync/(errors\.py|_version\.py|core/)", only=(*STDLIB, "nbsync")),
    Rule("core: no disk, socket, clock, environment or log", r"nbsync/core/", never=EFFECTS),
    Rule("wire: the standard library", r"nbsync/wire/", only=(*STDLIB, "nbsync")),
    Rule("Dask and ipyparallel: only who was asked for them",
         r"nbsync/(?!cluster/backends/(dask|ipyparallel)\.py)", never=("distributed", "dask", "ipyparallel")),
    Rule("S3 libraries: s3, transfer, CRCs, the demo",
         r"nbsync/(?!s3/|transfer/|local/crc\.py|demo/server\.py)", never=S3_LIBRARIES),
    Rule("moto: the demo server", r"nbsync/(?!demo/server\.py)", never=("moto",)),
    Rule("what a shell or a server uses never imports a notebook library",
         r"nbsync/(__main__\.py|cli/|grammar/|server/|report/(?!ipython\.py))", never=NOTEBOOK),
    Rule("the panel's rows, words and states know no widget", r"nbsync/panel/(?!widget|static_table)", never=NOTEBOOK),
    Rule("only faces and the progress state know traitlets",
         r"nbsync/(core|wire|s3|local|transfer|engine|results)/", never=("traitlets", "rich", *NOTEBOOK)),
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


def room(file: str) -> str:
    """The folder below `nbsync/` that holds a file, or its own name at the top."""
    return file.split("/")[1].removesuffix(".py")


def arrows(sources: dict[str, str]) -> dict[str, set[str]]:
    """File -> the files of these that it imports."""
    module_of = {file.removesuffix(".py").replace("/", ".").removesuffix(".__init__"): file for file in sources}
    found: dict[str, set[str]] = {}
    for file, source in sources.items():
        names = [name for _, name in imports(source, file)]
        hits = (module_of.get(name) or module_of.get(name.rpartition(".")[0]) for name in names)
        found[file] = {hit for hit in hits if hit is not None and hit != file}
    return found


def upward(graph: dict[str, set[str]]) -> list[str]:
    """The arrows that do not lead down to a lower layer."""
    return [
        f"{file} imports {other}"
        for file, others in graph.items() for other in sorted(others)
        if room(file) != room(other) and LEVEL.get(room(file), -1) <= LEVEL.get(room(other), len(LAYERS))
    ]  # fmt: skip


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of files that import each other, directly or through others."""
    ahead = {file: _reached(file, graph) for file in graph}
    groups = {
        frozenset(other for other in ahead[file] if file in ahead[other]) for file in graph if file in ahead[file]
    }
    return [sorted(group) for group in groups]


def _reached(file: str, graph: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = [file]
    while todo:
        fresh = graph.get(todo.pop(), set()) - seen
        seen |= fresh
        todo += fresh
    return seen


def test_imports_lead_down() -> None:
    graph = arrows({file: read(file) for file in SOURCES})
    assert upward(graph) == []


def test_no_files_import_each_other() -> None:
    graph = arrows({file: read(file) for file in SOURCES})
    graph["nbsync/__init__.py"] = set()  # the face names everything, lazily
    assert circles(graph) == []


def test_every_room_has_a_layer() -> None:
    assert {room(file) for file in SOURCES} == set(LEVEL)


@pytest.mark.parametrize(
    ("source", "file", "broken"),
    [
        ("import boto3.session", "nbsync/engine/sync.py", "S3 libraries: s3, transfer, CRCs, the demo"),
        ("def f():\n from botocore import x", "nbsync/cli/main.py", "S3 libraries: s3, transfer, CRCs, the demo"),
        ("import os.path", "nbsync/core/join.py", "core: no disk, socket, clock, environment or log"),
    ],
)
def test_a_wrong_import_is_seen(source: str, file: str, broken: str) -> None:
    assert [rule.says for rule in RULES if offences(rule, source, file)] == [broken]


def test_a_wrong_arrow_and_a_circle_are_seen() -> None:
    sources = {
        "nbsync/s3/bucket.py": "def f():\n from ..cli.main import main",
        "nbsync/cli/main.py": "from nbsync.engine import sync",
        "nbsync/engine/sync.py": "if TYPE_CHECKING:\n from nbsync.s3.bucket import Bucket",
    }
    graph = arrows(sources)
    assert upward(graph) == ["nbsync/s3/bucket.py imports nbsync/cli/main.py"]
    assert circles(graph) == [sorted(sources)]


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


def test_the_page_on_the_inside_names_what_is_there() -> None:
    named = set(re.findall(r"`([a-z_0-9/]+(?:\.py|/))", read("nbsync/README.md")))
    assert len(named) > 40
    assert [name for name in sorted(named) if not any((ROOT / top / name).exists() for top in ("nbsync", ""))] == []
    rooms = {room for layer in LAYERS for room in layer if (ROOT / "nbsync" / room).is_dir()}
    assert {f"{room}/" for room in rooms} <= named
