# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags: appended, signed, and the newest one counts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import tags
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.tags import TagName
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ManifestError, NameRefusedError, UnsignedError
from tests.unit.plugins.module_utils._recovery_point.making import Maker

POINT = "20261120T133500Z-1a2b3c"
OTHER = "20261121T133500Z-1a2b3c"
START = datetime(2026, 11, 20, 13, 0, tzinfo=timezone.utc)


def listed(maker: Maker) -> dict[str, list[TagName]]:
    """Tags of all points, as a listing shows them."""
    return tags.names_of(stored.key for stored in maker.location.list(names.tags_prefix("shop")))


def test_a_tag_is_appended_listed_and_believed(maker: Maker) -> None:
    tags.append(maker.location, tags.new_tag("shop", POINT, "keep", "before the upgrade"), str(maker.keys.signing_key))
    (name,) = listed(maker)[POINT]
    tag = tags.read_believed(maker.location, name, "shop", POINT, maker.keys.trust)
    assert (tag.tag, tag.reason) == ("keep", "before the upgrade")
    assert name.to_record()["tag"] == "keep"


def test_the_newest_tag_counts_and_of_two_in_one_second_the_one_that_keeps() -> None:
    keep, release = TagName(START, "keep", "a"), TagName(START, "release", "b")
    later = TagName(START + timedelta(seconds=1), "release", "c")
    assert tags.newest([release, keep]) == tags.newest([keep, release]) == keep
    assert tags.newest([later, keep, release]) == later
    assert tags.newest([]) is None


def test_a_tag_without_signature_or_of_another_point_is_not_believed(maker: Maker) -> None:
    tags.append(maker.location, tags.new_tag("shop", POINT, "release", "an intruder"))
    (name,) = listed(maker)[POINT]
    with pytest.raises(UnsignedError, match="is not signed"):
        tags.read_believed(maker.location, name, "shop", POINT, maker.keys.trust)
    key = tags.append(maker.location, tags.new_tag("shop", OTHER, "keep", "kept"), str(maker.keys.signing_key))
    (stranger,) = listed(maker)[OTHER]
    with pytest.raises(ManifestError, match="something else than its name"):
        tags.read_believed(maker.location, stranger, "shop", POINT, maker.keys.trust)
    assert key == stranger.key


def test_what_is_no_tag_is_not_written_and_not_listed(maker: Maker) -> None:
    with pytest.raises(NameRefusedError, match="not a tag"):
        names.tag_key("shop", POINT, START, "delete")
    maker.location.put_new(f"shop/tags/{POINT}/notes.txt", b"x")
    assert listed(maker) == {}
