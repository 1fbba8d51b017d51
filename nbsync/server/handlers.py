"""The JSON API: pulls are asked for, looked at, followed and stopped. Runs on the server's event loop.

Every verb needs a logged-in user who may write (or read) contents; what changes something needs the XSRF token,
too, unless the request carries the server's token itself. See JupyterHandler.
"""

from __future__ import annotations

import json
from http.client import responses
from typing import Any, NoReturn

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.iostream import StreamClosedError

from nbsync.core.pulllink import PullLink
from nbsync.errors import AccessDenied, NbsyncError, UsageError
from nbsync.server.documents import document, with_result
from nbsync.server.places import Errand, Places
from nbsync.server.pulls import Pull, Pulls
from nbsync.server.request import read_request

PATIENCE = 15.0  # seconds: a stream on which nothing comes for longer is cut by proxies
_ID = r"([0-9a-f]{32})"


class PullsBase(APIHandler):
    """What all of the API has in common."""

    auth_resource = "contents"  # a pull puts files there

    @property
    def pulls(self) -> Pulls:
        found: Pulls = self.settings["nbsync_pulls"]
        return found

    @property
    def places(self) -> Places:
        found: Places = self.settings["nbsync_places"]
        return found

    def pull(self, number: str) -> Pull:
        """The pull of this id.

        Raises:
            HTTPError: 404, there is none.
        """
        found = self.pulls.find(number)
        if found is None:
            raise web.HTTPError(404, "there is no such pull here (any more)")
        return found

    def refuse(self, status: int, error: NbsyncError) -> NoReturn:
        """Answer with an error's own words, in the shape of Jupyter's errors; nothing after this is done.

        Tornado's HTTPError takes its text for a format, and a name may hold percent signs.
        """
        self.set_status(status)
        raise web.Finish(json.dumps({"message": str(error), "reason": responses[status]}))

    def errand(self, link: PullLink, dry_run: bool) -> Errand:
        """What a link comes to.

        Raises:
            HTTPError: 400, it makes no sense; 403, its bucket is not allowed.
        """
        try:
            return self.places.errand(link, dry_run=dry_run)
        except AccessDenied as error:
            self.refuse(403, error)
        except UsageError as error:
            self.refuse(400, error)


class PullsHandler(PullsBase):
    """`/nbsync/api/pulls`."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """All pulls, the oldest first."""
        self.finish(json.dumps([document(pull, self.base_url) for pull in self.pulls.all()]))

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Ask for a pull; one that is to do the same already is given instead of a second one."""
        try:
            link, dry_run = read_request(self.request.headers.get("Content-Type", ""), self.request.body)
        except UsageError as error:
            self.refuse(400, error)
        pull = self.pulls.ask(self.errand(link, dry_run))
        self.set_status(202)
        self.set_header("Location", url_path_join(self.base_url, "nbsync/api/pulls", pull.id))
        self.finish(json.dumps(document(pull, self.base_url, urlpath=link.urlpath)))


class PullHandler(PullsBase):
    """`/nbsync/api/pulls/ID`."""

    @web.authenticated
    @authorized
    async def get(self, number: str) -> None:
        """How it goes, or what it came to."""
        self.finish(json.dumps(with_result(self.pull(number), self.base_url)))

    @web.authenticated
    @authorized
    async def delete(self, number: str) -> None:
        """Stop it."""
        self.pulls.cancel(self.pull(number))
        self.set_status(204)
        self.finish()


class EventsHandler(PullsBase):
    """`/nbsync/api/pulls/ID/events`: server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

    @web.authenticated
    @authorized
    async def get(self, number: str) -> None:
        """A document whenever something has changed, until the pull has ended."""
        pull = self.pull(number)
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")  # nginx would hold events back
        seen, row, ended = -1, 0, False
        try:
            while not ended:
                if await pull.news(seen, PATIENCE):
                    seen, ended = pull.version, pull.ended
                    told = document(pull, self.base_url, seen=row)
                    row = told["last_row"]
                    self._tell("end" if ended else "progress", told)
                else:
                    self.write(": still there\n\n")
                await self.flush()
        except StreamClosedError:
            return  # whoever followed it is gone
        self.finish(set_content_type="text/event-stream")

    def _tell(self, event: str, told: dict[str, Any]) -> None:
        self.write(f"event: {event}\ndata: {json.dumps(told)}\n\n")


def handlers(base_url: str) -> list[tuple[str, type]]:
    """The routes, below the server's base URL."""
    routes = [("", PullsHandler), (f"/{_ID}", PullHandler), (f"/{_ID}/events", EventsHandler)]
    return [(url_path_join(base_url, "nbsync/api/pulls") + path, handler) for path, handler in routes]
