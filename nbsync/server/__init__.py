"""nbsync in Jupyter Server: pull links, as a page and as a JSON API. Runs on the server's event loop.

Everything that a server start loads is here and light; the engine comes with the first pull, in a thread.
"""

from __future__ import annotations

from typing import Any

from nbsync.errors import ConfigError, check_platform


def _load_jupyter_server_extension(serverapp: Any) -> None:
    """Add the page and the API to a starting server. Where nbsync does not work, the server's log says so."""
    try:
        check_platform()
    except ConfigError as error:
        serverapp.log.warning("%s", error)
        return
    from jupyter_server.services.contents.filemanager import FileContentsManager

    from nbsync.server.config import PullLinks
    from nbsync.server.handlers import handlers
    from nbsync.server.page import routes
    from nbsync.server.pulls import Pulls
    from nbsync.server.targets import Places

    links = PullLinks(parent=serverapp)
    contents = serverapp.contents_manager
    # One that keeps no files has a root_dir too: `/`, of no disk.
    shown = contents.root_dir if isinstance(contents, FileContentsManager) else serverapp.root_dir
    settings = serverapp.web_app.settings
    activity = settings.setdefault("last_activity_times", {})
    places = settings["nbsync_places"] = Places(links, links.target_root or shown, shown)
    settings["nbsync_pulls"] = Pulls(
        concurrent=links.concurrent_pulls, root=places.root,
        note_activity=lambda now: activity.update(nbsync=now),
    )  # fmt: skip
    serverapp.log.info("%s", links.told(places.root))
    base_url = settings["base_url"]
    serverapp.web_app.add_handlers(".*$", [*handlers(base_url), *routes(base_url)])
