"""The pull page and its static files. In Jupyter Server's event loop, which waits for no disk and asks no S3.

A link is untrusted: all of it is shown as text, and the page runs no script but its own files.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import jinja2
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import FileFindHandler, JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from nbsync.core.pull_link import PAGE, from_pairs, urlpath_below
from nbsync.errors import AccessDenied, UsageError, one_line
from nbsync.server.targets import Places, PullRequest

_HUB_S_COUNT = "redirects"  # JupyterHub adds it where its proxy learns of a server late (UserUrlHandler)
_ROOM = Path(__file__).parent
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; "
)


def content_security_policy(configured: str = "") -> str:
    """The page's policy: nothing inline, nothing from elsewhere.

    Args:
        configured: the server's own policy. Who may frame its pages holds for this one too.
    """
    directives = (directive.strip() for directive in configured.split(";"))
    framing = (directive for directive in directives if directive.split(" ")[0].lower() == "frame-ancestors")
    return _POLICY + next(framing, "frame-ancestors 'self'")


@lru_cache(maxsize=1)
def templates() -> jinja2.Environment:
    """The templates of this folder, in which every value is escaped."""
    loader = jinja2.FileSystemLoader(_ROOM / "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["shown"] = one_line
    return environment


class _Guarded(JupyterHandler):
    """With headers that are stricter than Jupyter's own."""

    @property
    def content_security_policy(self) -> str:
        return content_security_policy(self.settings.get("headers", {}).get("Content-Security-Policy", ""))

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Referrer-Policy", "same-origin")


class StaticFiles(_Guarded, FileFindHandler):
    """The page's scripts and styles: public, as Jupyter's are."""

    _static_paths: dict[str, str] = {}  # noqa: RUF012  (the base's is shared by all that serve files)


class PullPage(_Guarded):
    """`GET nbsync/pull?source=…`: what the link would pull. It starts nothing; its script asks the JSON API."""

    auth_resource = "contents"

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """The page; for a link that makes no sense (400) or is not allowed (403), one that says why."""
        pairs = parse_qsl(self.request.query, keep_blank_values=True)
        kept = [pair for pair in pairs if pair[0] not in ("token", _HUB_S_COUNT)]
        if "token" in dict(pairs):  # the login cookie is set: the token need not stay in the address
            self.redirect(f"{self._below(PAGE)}?{urlencode(kept, quote_via=quote, safe='/*')}")
            return
        try:
            # The disk is asked where the target is: another thread waits for it.
            request = await asyncio.to_thread(self._places.request_for, from_pairs(kept), dry_run=True)
        except AccessDenied as error:
            self._refuse(403, "This server does not allow it", str(error))
        except UsageError as error:
            self._refuse(400, "This link cannot be followed", str(error))
        else:
            self._show("pull.html", **self._variables(request))

    @property
    def _places(self) -> Places:
        found: Places = self.settings["nbsync_places"]
        return found

    def _variables(self, request: PullRequest) -> dict[str, Any]:
        """What the template shows, and what its script sends and goes on to."""
        link = request.link
        body = {
            "source": request.source, "target": request.target, "endpoint": link.endpoint,
            "filters": [list(pair) for pair in link.filters], "as_of": link.as_of, "urlpath": link.urlpath,
        }  # fmt: skip
        return {"link": link, "request": body, "next": urlpath_below(self.base_url, link.urlpath),
                "xsrf": self.xsrf_token.decode(), "folder": self._places.seen_from_home(request.target)}  # fmt: skip

    def _refuse(self, status: int, headline: str, message: str) -> None:
        self.set_status(status)
        self._show("refused.html", headline=headline, message=message)

    def write_error(self, status_code: int, **_: Any) -> None:
        """A page in the same clothes, with no more than the status."""
        if status_code == 403:
            self._refuse(403, "This server does not allow it", "Your account may not see or change files here.")
        elif status_code == 405:
            self._refuse(405, "That is not how a pull link is opened", "Follow the link: GET is all that it takes.")
        else:
            self._refuse(status_code, "This server met an error", "Its log says more.")

    def _show(self, template: str, **values: Any) -> None:
        self.set_header("Content-Type", "text/html; charset=UTF-8")
        self.set_header("Cache-Control", "no-store")
        static = self._below("nbsync/static/")
        self.finish(templates().get_template(template).render(base=self.base_url, static=static, **values))

    def _below(self, path: str) -> str:
        return url_path_join(self.base_url, path)


def routes(base_url: str) -> list[Any]:
    """The page and its files, below the server's base URL."""
    return [
        (url_path_join(base_url, PAGE), PullPage),
        (url_path_join(base_url, "nbsync/static/(.+)"), StaticFiles, {"path": str(_ROOM / "static")}),
    ]
