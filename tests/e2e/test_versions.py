"""The notebook's face on other versions of IPython and ipykernel than those of this environment.

Each folder in NBSYNC_TEST_VERSIONS holds packages that stand before this environment's; .ci/run makes them.
"""

from __future__ import annotations

import os
import queue
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.helpers import fill
from tests.e2e.kernels import started_kernel
from tests.e2e.test_background import AWAITS, COMPUTES, end_of_a_background_sync
from tests.e2e.test_kernel import Kernel, check_few, check_tab, text
from tests.servers import Server

_GIVEN = os.environ.get("NBSYNC_TEST_VERSIONS", "")
FOLDERS = sorted(Path(_GIVEN).iterdir()) if _GIVEN else []
pytestmark = pytest.mark.skipif(not FOLDERS, reason="no other versions here: .ci/run installs some")


def at_most_twice(do: Callable[[], None]) -> None:
    """ipykernel 7.0 to 7.3 lose a message in some hundred, of `1 + 1` too, and stand still: then another kernel."""
    try:
        do()
    except (queue.Empty, TimeoutError):
        do()


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def check(
    request: pytest.FixtureRequest, moto_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., None]]:
    """Calls a check with a kernel on other versions, and with what else it is given."""
    variables = {**moto_server.env(), "PYTHONPATH": str(request.param)}
    with ExitStack() as kernels:
        running: list[Kernel] = []

        def start() -> Kernel:
            kernel = Kernel(*kernels.enter_context(started_kernel(tmp_path_factory.mktemp("versions"), variables)))
            (shown,) = kernel.run("import IPython; IPython.__file__")
            assert str(request.param) in text(shown), "the kernel runs on this environment's versions"
            return kernel

        def call(one: Callable[..., None], *given: object) -> None:
            def do() -> None:
                kernel = running.pop() if running else start()
                one(kernel, *given)
                running.append(kernel)

            at_most_twice(do)

        yield call


def test_a_pull_is_shown_once_and_its_value_later(
    check: Callable[..., None], moto_server: Server, store: str, tmp_path: Path
) -> None:
    fill(moto_server, store, {"raw/a b.csv": b"a", "raw/c/d.csv": b"d"})
    check(pull_and_look, store, tmp_path)


def pull_and_look(kernel: Kernel, store: str, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "data", ignore_errors=True)
    messages = kernel.run(f"where = {str(tmp_path)!r}\nr = %s3sync pull {store}/raw '{{where}}/x' \nr")
    assert "UsageError" not in str(messages)
    messages = kernel.run(f"r = %s3sync pull {store}/raw {{where}}/data\nr")
    check_few(messages)
    assert "2 miss" in text(messages[-1])
    (shown,) = kernel.run("r")
    assert set(shown["content"]["data"]) == {"text/html", "text/plain"}
    assert (tmp_path / "data" / "a b.csv").read_bytes() == b"a"


def test_mistakes_are_one_line(check: Callable[..., None]) -> None:
    check(make_mistakes)


def make_mistakes(kernel: Kernel) -> None:
    for line, name in (("%s3sync pul x", "UsageError"), ("%s3sync pull no-such-bucket-here/x", "NoSuchBucket")):
        message = kernel.run(line)[-1]
        said = message["content"].get("evalue") or message["content"].get("text", "")
        assert said, message
        assert "Traceback" not in str(message)
        assert message["msg_type"] == "error" or name in said


def test_tab_is_answered(check: Callable[..., None], moto_server: Server, store: str) -> None:
    check(check_tab, moto_server, store)


def test_a_default_is_configured_and_the_extension_leaves(check: Callable[..., None]) -> None:
    check(configure_and_leave)


def configure_and_leave(kernel: Kernel) -> None:
    assert kernel.run("%config S3Sync.show = 'summary'") == []
    (shown,) = kernel.run("get_ipython().magics_manager.registry['S3Sync'].show")
    assert text(shown) == "'summary'"
    assert kernel.run("%reload_ext nbsync") == []
    assert kernel.run("%unload_ext nbsync") == []
    (message,) = kernel.run("%s3sync --help")
    assert "s3sync" in str(message["content"])
    assert kernel.run("%load_ext nbsync") == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("waiting", [AWAITS, COMPUTES, "r = await job"])
def test_a_background_sync_ends_in_the_cell_that_began_it(
    folder: Path, waiting: str, moto_server: Server, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop, the display and the hook that it lives on differ from version to version."""
    for name, value in {**moto_server.env(), "PYTHONPATH": str(folder)}.items():
        monkeypatch.setenv(name, value)
    folders = iter((tmp_path / "first", tmp_path / "second"))

    def do() -> None:
        place = next(folders)
        place.mkdir()
        begun, _ = end_of_a_background_sync(place, moto_server, store, waiting)
        (output,) = begun["outputs"]
        assert "3 miss" in output["data"]["text/plain"]

    at_most_twice(do)
