"""The JSON API: pulls are asked for, looked at, followed and stopped. Runs on the server's event loop.

Every verb needs a logged-in user who may write (or read) contents; what changes something needs the XSRF token,
too, unless the request carries the server's token itself. See JupyterHandler.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from http.client import responses
from typing import Any, NoReturn

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.iostream import StreamClosedError

from nbsync.core.pull_link import PullLink, urlpath_below
from nbsync.errors import AccessDenied, LockedError, NbsyncError, UsageError
from nbsync.server.pulls import Pull, Pulls
from nbsync.server.request import read_request
from nbsync.server.targets import Places, PullRequest

INTERVAL = 0.2  # seconds between two messages of a stream
PATIENCE = 15.0  # seconds: a stream on which nothing comes for longer is cut by proxies
_ID = r"([^/]+)"


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

    def document_of(self, pull: Pull, document: dict[str, Any], urlpath: str | None = None) -> dict[str, Any]:
        """The document, with where to go on: where `urlpath` leads, or the link of who asked first."""
        link = pull.request.link.urlpath if urlpath is None else urlpath
        return {**document, "url": urlpath_below(self.base_url, link)}

    def refuse(self, status: int, error: NbsyncError) -> NoReturn:
        """Answer with an error's own words, in the shape of Jupyter's errors; nothing after this is done.

        Tornado's HTTPError takes its text for a format, and a name may hold percent signs.
        """
        self.set_status(status)
        raise web.Finish(json.dumps({"message": str(error), "reason": responses[status]}))

    async def pull_request(self, link: PullLink, dry_run: bool) -> PullRequest:
        """What a link comes to.

        Raises:
            HTTPError: 400, it makes no sense; 403, its bucket is not allowed.
        """
        try:
            # The disk is asked where the target is: another thread waits for it.
            return await asyncio.to_thread(self.places.request_for, link, dry_run=dry_run)
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
        self.finish(json.dumps([self.document_of(pull, pull.brief()) for pull in self.pulls.all()]))

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Ask for a pull; one that is to do the same already is given instead of a second one."""
        try:
            link, dry_run = read_request(self.request.headers.get("Content-Type", ""), self.request.body)
        except UsageError as error:
            self.refuse(400, error)
        request = await self.pull_request(link, dry_run)
        try:
            pull = self.pulls.ask(request)
        except LockedError as error:
            self.refuse(429, error)
        self.set_status(202)
        self.set_header("Location", url_path_join(self.base_url, "nbsync/api/pulls", pull.id))
        self.finish(json.dumps(self.document_of(pull, pull.document(), link.urlpath)))


class PullHandler(PullsBase):
    """`/nbsync/api/pulls/ID`."""

    @web.authenticated
    @authorized
    async def get(self, number: str) -> None:
        """How it goes, or what it came to."""
        pull = self.pull(number)
        self.finish(json.dumps(self.document_of(pull, pull.with_result())))

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
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")  # nginx would hold events back
        self._gone = asyncio.Event()
        with contextlib.suppress(StreamClosedError):  # whoever followed it is gone
            await self._follow(pull)

    def on_connection_close(self) -> None:
        """The other side has gone."""
        gone: asyncio.Event | None = getattr(self, "_gone", None)
        if gone is not None:
            gone.set()

    async def _follow(self, pull: Pull) -> None:
        seen = 0
        while not pull.ended:
            changed, document, seen = pull.changed, pull.document(seen), pull.rows_seen
            await self._send_event("progress", self.document_of(pull, document))  # meanwhile more may come
            await self._wait(INTERVAL)
            while not await self._wait(PATIENCE, changed):
                self.write(": still there\n\n")
                await self.flush()
        await self._send_event("end", self.document_of(pull, pull.document()))
        self.finish(set_content_type="text/event-stream")

    async def _wait(self, seconds: float, *events: asyncio.Event) -> bool:
        """Wait for one of them; False if none happens in time.

        Raises:
            StreamClosedError: the other side has gone meanwhile.
        """
        waiting = [asyncio.ensure_future(event.wait()) for event in (self._gone, *events)]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
        if self._gone.is_set():
            raise StreamClosedError
        return any(event.is_set() for event in events)

    async def _send_event(self, event: str, data: dict[str, Any]) -> None:
        self.write(f"event: {event}\ndata: {json.dumps(data)}\n\n")
        await self.flush()


def handlers(base_url: str) -> list[tuple[str, type]]:
    """The routes, below the server's base URL."""
    routes = [("", PullsHandler), (f"/{_ID}", PullHandler), (f"/{_ID}/events", EventsHandler)]
    return [(url_path_join(base_url, "nbsync/api/pulls") + path, handler) for path, handler in routes]
