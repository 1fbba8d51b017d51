"""A level of the tree is read from the XML of one page."""

from __future__ import annotations

import pytest

from nbsync.errors import ListingError
from nbsync.s3.folder_page import parse_level

PAGE = """<ListBucketResult><Prefix>p/</Prefix><EncodingType>url</EncodingType><IsTruncated>{more}</IsTruncated>{token}
<Contents><Key>p/</Key><Size>0</Size><LastModified>2024-01-01T00:00:00Z</LastModified></Contents>
<Contents><Key>{key}</Key><Size>3</Size><LastModified>2024-01-01T00:00:00Z</LastModified></Contents>
<CommonPrefixes><Prefix>p/sub%20dir/</Prefix></CommonPrefixes>
<CommonPrefixes><Prefix>p/.nbsync/</Prefix></CommonPrefixes></ListBucketResult>"""


def test_a_level() -> None:
    body = PAGE.format(more="true", token="<NextContinuationToken>t</NextContinuationToken>", key="p/a%2Bb")
    assert parse_level(body.encode(), "p/") == (["sub dir/"], [("a+b", 3)], "t")
    body = PAGE.format(more="false", token="", key="p/x")
    assert parse_level(body.encode(), "p/").token == ""
    with pytest.raises(ListingError):
        parse_level(PAGE.format(more="false", token="", key="elsewhere").encode(), "p/")
