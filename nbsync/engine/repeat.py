"""`pull` and `push` without words: the last one of its kind in this folder, done again. Runs in the caller's thread.

A push is never made of a pull: where nothing was pushed, nothing is, and the command that would do it is shown.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import replace

from nbsync.core.call import Call, Repeat
from nbsync.core.commands import COMMANDS, places_of
from nbsync.core.options import OPTIONS, Options, build_options, rivals
from nbsync.core.saved_options import PLACE, REPEATED, over_saved, words_of
from nbsync.core.timestamps import format_moment
from nbsync.errors import GuardRefusal, NbsyncError, UsageError
from nbsync.local import inspect, past_syncs
from nbsync.local.past_syncs import Book, PastSync
from nbsync.local.scan import absolute_root
from nbsync.s3.bucket import Bucket


def resolved(call: Call) -> Call:
    """The call; if it is to be done `again`, the last one of its kind in its LOCAL, or the current directory.

    Options that it is given go before those of the last one.

    Raises:
        UsageError: there is nothing to repeat; says what to write. GuardRefusal: it is not proved to be this user's.
    """
    if not call.again:
        return call
    local = call.local or "."
    root = absolute_root(local)
    books = [past_syncs.read(place) for place in inspect.places(root)]
    past = next((one for one in _newest(books) if one.command == call.command), None)
    if past is None:
        raise _nothing(call.command, root, local, books)
    options = _options(call, past)
    given = options if "region" in call.asked else replace(options, region="")
    began = format_moment(past.began_ns).partition(".")[0].replace("T", " ")
    words = shlex.join([call.command, *_places(call.command, local, past), *words_of(given)])
    repeat = Repeat(f"repeats the {call.command} of {began} UTC: {words}", past.endpoint)
    return replace(call, remote=past.remote, local=local, options=options, again=False, repeats=repeat)


def _newest(books: list[Book]) -> list[PastSync]:
    """The past syncs in books that are ours, the newest first."""
    found = [one for book in books if book.ours for one in book.syncs]
    return sorted(found, key=lambda one: -one.began_ns)


def check_place(call: Call, bucket: Bucket) -> None:
    """Does a repeated sync go where it went? Asked before the first request.

    Raises:
        UsageError: it does not, and nobody asked for another place.
    """
    if call.repeats is None or bucket.endpoint == call.repeats.endpoint or call.asked & PLACE:
        return
    hint = "To repeat it elsewhere, say where: --endpoint-url, --region or --profile"
    raise UsageError(
        f"the last {call.command} here went to {call.repeats.endpoint}, and this would go to {bucket.endpoint}", hint
    )


def _options(call: Call, past: PastSync) -> Options:
    """The options of the past sync, under those that are asked for, and without what goes with them."""
    asked = call.asked & OPTIONS.keys()
    gone = {name for one in asked for name in (*rivals(one), *OPTIONS[one].drops)}
    for name, row in OPTIONS.items():
        needed, _ = row.needs
        if needed in gone or (needed in asked and not getattr(call.options, needed)):
            gone.add(name)
    if call.executor is not None:
        gone.add("on")
    saved = {"region": past.region, **{name: past.options[name] for name in past.options if name in REPEATED}}
    return over_saved(call, call.command, {name: value for name, value in saved.items() if name not in gone})


def _places(command: str, local: str, past: PastSync) -> list[str]:
    return [{"REMOTE": past.remote, "LOCAL": local}[place] for place in places_of(command)]


def _nothing(command: str, root: str, local: str, books: list[Book]) -> NbsyncError:
    """Why nothing is repeated, and what to write."""
    form = COMMANDS[command].form
    here = "here" if local == "." else f"in {local}"
    past = next(iter(_newest(books)), None)
    if past is None and any(book.syncs for book in books):
        told = (
            f"what was synced {here} was not done by you in this directory (it is a copy, was moved, or is another's)"
        )
        return GuardRefusal(f"{told}: it is not repeated", f"Write where it is to go yourself: {form}")
    if past is None:
        near = [os.path.relpath(one, root) for one in inspect.synced_near(root)]
        known = f" (folders near it that were: {', '.join(near)})" if near else ""
        return UsageError(f"nothing was synced {here} before{known}", f"Write: {form}")
    options = build_options(past.direction, past.options)
    region = "" if past.region == "us-east-1" else past.region
    where = Options(endpoint_url=options.endpoint_url, profile=options.profile, region=region)
    words = shlex.join([command, *_places(command, local, past), *words_of(where)])
    last = f"{past.direction} {past.remote}{' (of a plan)' if past.command == 'apply' else ''}"
    return UsageError(
        f"there was no {command} {here} to repeat; the last sync was: {last}",
        f"To {command} all the same, write: {words}",
    )
