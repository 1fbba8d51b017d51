"""What installing nbsync configures in a Jupyter Server: its extension, and that its state directory is hidden."""

from __future__ import annotations

import json
from pathlib import Path

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

CONFIG = Path(__file__).parents[2] / "jupyter-config" / "jupyter_server_config.d" / "nbsync.json"


def test_our_room_is_hidden_even_where_hidden_files_are_shown(tmp_path: Path) -> None:
    hide_globs = json.loads(CONFIG.read_text())["ContentsManager"]["hide_globs"]
    manager = AsyncLargeFileManager(root_dir=str(tmp_path), allow_hidden=True, hide_globs=hide_globs)

    assert not manager.should_list(".nbsync")
    assert manager.should_list("data.csv")
    assert manager.should_list(".profile")


def test_the_server_s_own_list_is_kept() -> None:
    config = json.loads(CONFIG.read_text())

    assert config["ServerApp"] == {"jpserver_extensions": {"nbsync": True}}
    assert list(config) == ["ServerApp", "ContentsManager"]
    defaults = AsyncLargeFileManager().hide_globs
    assert [*defaults, ".nbsync"] == config["ContentsManager"]["hide_globs"]
