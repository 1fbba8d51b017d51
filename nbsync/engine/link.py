"""`link`: a pull link for a Jupyter server, or for everybody of a hub. No request is made."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from nbsync.core.call import Call
from nbsync.core.commands import WHERE
from nbsync.core.location import Location, parse_location
from nbsync.core.options import OPTIONS, Options, flag
from nbsync.core.pull_link import PAGE, USER_REDIRECT, PullLink, checked, page_url, to_query
from nbsync.core.timestamps import format_moment, parse_moment
from nbsync.errors import UsageError
from nbsync.results.link import Link

_BEHIND_SERVER = "this goes behind a server's address, or behind a hub's: --server URL or --hub URL puts it there"
_BEHIND_HUB = "this goes behind the address of the hub that this runs in: --hub URL puts it there"
_OF_PAGES = re.compile(r"/(lab|tree|notebooks|doc)(/|\Z)")


def make(call: Call, environ: Mapping[str, str] = os.environ) -> Link:
    """The link that `call` asks for.

    Args:
        call: its REMOTE, its LOCAL (the folder on the server's side; may be empty) and its options.
        environ: says, in a server of a hub, which hub that is.

    Raises:
        UsageError: a part makes no sense, or a server would refuse it.
    """
    options = call.options
    pull = checked(PullLink(
        source=_source(parse_location(call.remote)), target=call.local, urlpath=options.urlpath,
        filters=options.filters, endpoint=options.endpoint,
        as_of=_moment(options.as_of) if options.as_of is not None else "",
    ))  # fmt: skip
    notes = _left_out(options)
    if options.server or options.hub:
        return Link(page_url(pull, server=options.server, hub=options.hub), pull, [*_doubts(options), *notes])
    hub, place = _hub_around(environ)
    if hub:
        try:
            return Link(page_url(pull, hub=hub), pull, notes)
        except UsageError:
            pass  # an environment is nothing that the user typed
    if place is not None:
        return Link(f"{place}/{USER_REDIRECT}/{PAGE}?{to_query(pull)}", pull, [_BEHIND_HUB, *notes])
    return Link(page_url(pull), pull, [_BEHIND_SERVER, *notes])


def _source(location: Location) -> str:
    """The shortest REMOTE that names `location`: what stands in a link is read by people."""
    for short in (f"{location.bucket}/{location.single_key}".rstrip("/"), f"{location.bucket}/{location.prefix}"):
        try:
            if parse_location(short) == location:
                return short
        except UsageError:
            pass
    return location.uri


def _moment(ns: int) -> str:
    """The shortest text that names the moment: a date, a time to the second, or all of it."""
    text = format_moment(ns)
    return next(short for short in (text[:10], f"{text[:19]}Z", text) if parse_moment(short) == ns)


def _left_out(options: Options) -> list[str]:
    """What was given of where the objects are, and no link can say. Names only: a value may hold a password."""
    where = [flag(name) for name, row in OPTIONS.items()
             if WHERE in row.of and getattr(options, name) != row.default]  # fmt: skip
    if not where:
        return []
    return [f"not in the link: {', '.join(where)}. The server's owner says how it reaches S3, and names other "
            "services for --endpoint NAME"]  # fmt: skip


def _doubts(options: Options) -> list[str]:
    """What looks like the address of a page, copied from a browser."""
    page = _OF_PAGES.search(urlsplit(options.server or options.hub).path)
    if page:
        return [f"check the address: /{page[1]} looks like a page of a server, whose own address ends before it"]
    user = re.search(r"/user/[^/]+", urlsplit(options.hub).path)
    return [f"check the address: a hub's own ends before {user[0]}"] if user else []


def _hub_around(environ: Mapping[str, str]) -> tuple[str, str | None]:
    """The address of the hub in whose server this runs (empty if it is not known), and its path; None without a hub.

    JupyterHub tells its servers ("Services", https://jupyterhub.readthedocs.io/en/stable/reference/services.html).
    Its address is known only where its owner has set one.
    """
    base = environ.get("JUPYTERHUB_BASE_URL", "")
    if not base:
        return "", None
    place = f"/{base.strip('/')}".rstrip("/")
    host = environ.get("JUPYTERHUB_HOST", "")
    return environ.get("JUPYTERHUB_PUBLIC_HUB_URL", "") or (f"{host.rstrip('/')}{place}" if host else ""), place
