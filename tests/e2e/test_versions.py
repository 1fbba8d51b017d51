"""The notebook's face on other versions of IPython and ipykernel than those of this environment.

Each folder in NBSYNC_TEST_VERSIONS holds packages that stand before this environment's; .ci/run makes them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.helpers import fill
from tests.e2e.kernels import started_kernel
from tests.e2e.test_background import AWAITS, COMPUTES, end_of_a_background_sync
from tests.e2e.test_kernel import UPDATE, Kernel, check_tab, text, types
from tests.servers import Server

_GIVEN = os.environ.get("NBSYNC_TEST_VERSIONS", "")
FOLDERS = sorted(Path(_GIVEN).iterdir()) if _GIVEN else []
pytestmark = pytest.mark.skipif(not FOLDERS, reason="no other versions here: .ci/run installs some")


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def kernel(
    request: pytest.FixtureRequest, moto_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kernel]:
    variables = {**moto_server.env(), "PYTHONPATH": str(request.param)}
    with started_kernel(tmp_path_factory.mktemp("versions"), variables) as (manager, client):
        started = Kernel(manager, client)
        (shown,) = started.run("import IPython; IPython.__file__")
        assert str(request.param) in text(shown), "the kernel runs on this environment's versions"
        yield started


def test_a_pull_is_shown_once_and_its_value_later(
    kernel: Kernel, moto_server: Server, store: str, tmp_path: Path
) -> None:
    fill(moto_server, store, {"raw/a b.csv": b"a", "raw/c/d.csv": b"d"})
    messages = kernel.run(f"where = {str(tmp_path)!r}\nr = %s3sync pull {store}/raw '{{where}}/x' \nr")
    assert "UsageError" not in str(messages)
    messages = kernel.run(f"r = %s3sync pull {store}/raw {{where}}/data\nr")
    assert types(messages) in (["display_data"], ["display_data", UPDATE])
    assert "2 miss" in text(messages[-1])
    (shown,) = kernel.run("r")
    assert set(shown["content"]["data"]) == {"text/html", "text/plain"}
    assert (tmp_path / "data" / "a b.csv").read_bytes() == b"a"


def test_mistakes_are_one_line(kernel: Kernel) -> None:
    for line, name in (("%s3sync pul x", "UsageError"), ("%s3sync pull no-such-bucket-here/x", "NoSuchBucket")):
        message = kernel.run(line)[-1]
        said = message["content"].get("evalue") or message["content"].get("text", "")
        assert said, message
        assert "Traceback" not in str(message)
        assert message["msg_type"] == "error" or name in said


def test_tab_is_answered(kernel: Kernel, moto_server: Server, store: str) -> None:
    check_tab(kernel, moto_server, store)


def test_a_default_is_configured_and_the_extension_leaves(kernel: Kernel) -> None:
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
    begun, _ = end_of_a_background_sync(tmp_path, moto_server, store, waiting)
    (output,) = begun["outputs"]
    assert "3 miss" in output["data"]["text/plain"]
