"""Times that clocks and strangers give: before 1970, after 2262, and what a bucket's metadata claims."""

from __future__ import annotations

import os

import pytest

from nbsync.s3 import listing, listing_xml
from tests.functional.world import World

YEARS = {"1905": -2_051_222_400, "1969": -1, "2100": 4_102_444_800, "2300": 10_413_792_000, "2446": 15_032_385_535}


@pytest.mark.parametrize("year", YEARS)
def test_a_file_of_any_year_goes_up_and_stays_a_hit(world: World, year: str) -> None:
    world.write("f", b"1", mtime_ns=YEARS[year] * 10**9 + 5)
    kept = (world.local / "f").stat().st_mtime_ns

    assert world.run("push").counts["miss"] == 1
    assert world.run("push").counts["hit"] == 1
    seconds, _, rest = world.head("f")["Metadata"]["mtime"].partition(".")
    assert int(seconds) * 10**9 + (-1 if seconds[0] == "-" else 1) * int(rest) == kept
    world.remove("f")
    assert world.run("push")["f"].reason == "gone from REMOTE"


@pytest.mark.parametrize(
    "claim", ["99999999999", "99999999999.999999999", "-99999999999", "1e400", "nan", "x", "9" * 60]
)
def test_a_time_in_metadata_is_not_trusted(world: World, claim: str) -> None:
    world.put("f", b"1", Metadata={"mtime": claim})
    world.put("g", b"2")

    assert world.run("pull", preserve_mtime=True).counts["miss"] == 2
    assert world.run("pull", preserve_mtime=True).counts["hit"] == 2
    assert world.files() == {"f": b"1", "g": b"2"}


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "1900-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"])
def test_a_listed_time_is_not_trusted(world: World, monkeypatch: pytest.MonkeyPatch, time: str) -> None:
    real = listing.fetch_page

    def fetch_page(*words: object, **more: object) -> listing.Page:
        page = real(*words, **more)  # type: ignore[arg-type]
        at = listing_xml.parse_time_ns(time)
        return page._replace(entries=[entry._replace(last_modified_ns=at) for entry in page.entries])

    monkeypatch.setattr(listing, "fetch_page", fetch_page)
    world.put("f", b"1")

    assert world.run("pull").counts["miss"] == 1
    assert world.run("pull").counts["hit"] == 1
    assert os.listdir(world.local / ".nbsync" / "stage") == []
