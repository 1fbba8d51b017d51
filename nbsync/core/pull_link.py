"""A pull link: which objects, into which folder beside the notebook, and where to go then. Pure; any thread.

The maker of a link and the server that is asked by one share the rules here. All of a link is untrusted text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, unquote, urlencode, urlsplit

from nbsync.core.filters import Filters
from nbsync.core.location import Location, parse_location
from nbsync.core.names import is_own, refusal
from nbsync.core.timestamps import parse_moment
from nbsync.errors import UsageError

PAGE = "nbsync/pull"  # below a server's base URL
USER_REDIRECT = "hub/user-redirect"  # JupyterHub: to the same page in the server of whoever clicks
MAX_QUERY = 8_000  # characters: servers and proxies take a line of 8 KiB
_MAX_TEXT = MAX_QUERY + 1_000  # characters that a server takes: the page spells out what a link leaves out

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ENDPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_DECODINGS = 4  # what is hidden under more layers of percent signs is refused
_HOMES = {"--server": "http://localhost:8888/", "--hub": "https://hub.example.org"}  # like these
_PATH_SAFE = "/%:@!$&'()*+,;=~-._"


class PullLink(NamedTuple):
    """What a link asks for, as it was written.

    Attributes:
        source: REMOTE.
        target: LOCAL, relative to the server's root; empty for the last name in `source`.
        urlpath: where to go when the files are there, relative to the server's base URL; empty for nowhere.
        filters: pairs of `include` or `exclude` and a pattern; the last one that matches decides.
        endpoint: the name that the server's owner gave to an S3 service; empty for the server's own.
        as_of: a point in time, of a versioned bucket.
    """

    source: str
    target: str = ""
    urlpath: str = ""
    filters: tuple[tuple[str, str], ...] = ()
    endpoint: str = ""
    as_of: str = ""


SINGLE = tuple(name for name in PullLink._fields if name != "filters")  # parts that a link has once


def from_pairs(pairs: Iterable[tuple[str, str]]) -> PullLink:
    """The link that the decoded pairs of a query say.

    Raises:
        UsageError: an unknown name, one that stands twice, no source, or a value that no link may have.
    """
    values: dict[str, str] = {}
    filters: list[tuple[str, str]] = []
    for name, value in pairs:
        if name in ("include", "exclude"):
            filters.append((name, value))
        elif name not in SINGLE:
            raise UsageError(f"a pull link has no part {name!r}", f"It has: {', '.join(SINGLE)}, include, exclude")
        elif name in values:
            raise UsageError(f"{name} stands twice in the link")
        else:
            values[name] = value
    return checked(PullLink(values.pop("source", ""), filters=tuple(filters), **values))


def to_query(link: PullLink) -> str:
    """The query of the link, encoded; `from_pairs` of its pairs gives the link back.

    Raises:
        UsageError: it would be longer than servers take.
    """
    pairs = [("source", link.source), ("target", link.target), *link.filters, ("endpoint", link.endpoint),
             ("as_of", link.as_of), ("urlpath", link.urlpath)]  # fmt: skip
    query = urlencode([pair for pair in pairs if pair[1]], quote_via=quote, safe="/*")
    if len(query) > MAX_QUERY:
        raise UsageError(f"the link would be {len(query):,} characters long: servers take {MAX_QUERY:,}")
    return query


def checked(link: PullLink) -> PullLink:
    """The same link, in which every part makes sense.

    Raises:
        UsageError: one does not; says which.
    """
    if not link.source:
        raise UsageError("the link has no source", "It is: source=bucket/prefix")
    pairs = [*zip(SINGLE, (getattr(link, name) for name in SINGLE), strict=True), *link.filters]
    if sum(len(name) + len(text) + len("=&") for name, text in pairs) > _MAX_TEXT:
        raise UsageError(f"the link is too long: servers take {MAX_QUERY:,} characters")
    texts = {**{name: getattr(link, name) for name in SINGLE}, "a filter": "".join(text for _, text in link.filters)}
    for name, text in texts.items():
        if _CONTROL.search(text):
            raise UsageError(f"{name} has a control character or line break")
    location_of(link)
    target_of(link)
    Filters(link.filters)
    if not all(pattern for _, pattern in link.filters):
        raise UsageError("a filter is empty")
    if link.endpoint and not is_endpoint_name(link.endpoint):
        # Never repeated: an address may carry a password.
        raise UsageError(
            "endpoint is no name of letters, digits, '.', '_' and '-'", "It is one that the server's owner gave"
        )
    if link.as_of:
        try:
            parse_moment(link.as_of)
        except ValueError as error:
            raise UsageError(f"as_of {error}") from None
    urlpath_below("/", link.urlpath)
    return link


def is_endpoint_name(text: str) -> bool:
    """Can a link name an S3 service so?"""
    return _ENDPOINT.fullmatch(text) is not None


def location_of(link: PullLink) -> Location:
    """The bucket and prefix that the link's source names.

    Raises:
        UsageError: it names none.
    """
    return parse_location(link.source)


def target_of(link: PullLink) -> str:
    """The folder below the server's root, `/`-separated: as the link says, else the last name in its source.

    Hidden folders are none: they hold settings and start-up files, which would run.

    Raises:
        UsageError: it is no folder below the root that a link may fill.
    """
    target = link.target or location_of(link).name
    folder = re.sub(r"\A(?:\./+)+", "", target).rstrip("/")
    reason = "is the root itself" if folder in ("", ".") else refusal(folder)
    if not reason and is_own(folder):
        reason = "is nbsync's own state directory"
    if not reason and any(part.startswith((".", "~")) for part in folder.split("/")):
        reason = "has a hidden segment"
    if reason:
        raise UsageError(f"target {target!r} {reason}", "It is a folder below the server's root, e.g. data")
    return folder


def urlpath_below(base_url: str, urlpath: str) -> str:
    """Where `urlpath` leads on the server whose base URL (`/`, `/user/alice/`) this is; empty for nowhere.

    Whatever a browser might read as another server or another user's is refused, encoded or not.

    Raises:
        UsageError: it leads elsewhere.
    """
    if not urlpath:
        return ""
    text = urlpath
    for _ in range(_DECODINGS):
        if not _stays_below(text):
            raise UsageError("urlpath leads out of this server", "It is like lab/tree/data/notebook.ipynb")
        decoded = unquote(text)
        if decoded == text:
            break
        text = decoded
    else:
        raise UsageError("urlpath is encoded too often")
    parts = urlsplit(f"http://server/{urlpath.removeprefix('/')}")
    path = quote(parts.path.removeprefix("/"), safe=_PATH_SAFE)
    query = f"?{quote(parts.query, safe=_PATH_SAFE + '?')}" if parts.query else ""
    fragment = f"#{quote(parts.fragment, safe=_PATH_SAFE + '?')}" if parts.fragment else ""
    return f"{base_url.rstrip('/')}/{path}{query}{fragment}"


def _stays_below(text: str) -> bool:
    below = text.removeprefix("/")
    if "\\" in text or _CONTROL.search(text) or below.startswith("/") or _SCHEME.match(below.lstrip()):
        return False
    return not any(part.strip() == ".." for part in re.split(r"[/?#;]", below))


def page_url(link: PullLink, *, server: str = "", hub: str = "") -> str:
    """The link's address, on a plain server or for everybody of a hub; with neither, the path behind a server's.

    Raises:
        UsageError: that is no address of a server, or the link makes no sense.
    """
    query = to_query(checked(link))
    if server and hub:
        raise UsageError("--server and --hub exclude each other")
    if hub:
        home = _home(hub, "--hub")
        return f"{home.removesuffix('/hub')}/{USER_REDIRECT}/{PAGE}?{query}"
    return f"{_home(server, '--server') if server else ''}/{PAGE}?{query}"


def _home(url: str, name: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or re.search(r"[\s\\<>\"']", url):
        raise UsageError(f"{name} takes an address like {_HOMES[name]}")
    if parts.username is not None or parts.password is not None:
        raise UsageError(f"{name} has a user or password in it", "A link is for others: leave them out")
    if parts.query or parts.fragment:
        raise UsageError(f"{name} takes the address alone, without {'?' if parts.query else '#'} and what follows")
    return url.rstrip("/")
