# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of one server; each server's module takes them over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from tests.servers.real import RealServer
from tests.servers.story import Story, make_certificate
from tests.servers.table import recorded


@pytest.fixture(scope="class")
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A server of the class's kind, with TLS."""
    directory = tmp_path_factory.mktemp("server")
    with request.cls.kind(directory / "s3", **make_certificate(directory)) as server:
        yield Story(server, directory)


class ServerTests:
    """The story over TLS in every kind of bucket, and the row of the table."""

    kind: ClassVar[type[RealServer]]

    @pytest.mark.parametrize("mode", ["governance", "compliance"])
    def test_a_bucket_with_locks(self, story: Story, mode: str) -> None:
        """Made, probed, and used from the first point to pruning; a second preparation changes nothing."""
        bucket = f"locked-{mode}"
        story.prepared(bucket, object_lock_mode=mode)
        assert not story.prepared(bucket, object_lock_mode=mode).changed
        location = story.location(bucket, object_lock_mode=mode)
        unmet = [check for check in story.probed(location).checks if not check["passed"] and check["severity"] == "error"]
        assert unmet == []
        assert location.lacks() == ""
        story.run(bucket, location)

    def test_a_bucket_with_versions_only(self, story: Story) -> None:
        """The same without locks, and it is said what that lacks."""
        story.prepared("versioned")
        location = story.location("versioned")
        assert [check["id"] for check in story.probed(location).checks if not check["passed"] and check["severity"] == "error"] == []
        assert "not locked" in location.lacks()
        story.run("versioned", location)

    def test_a_bucket_without_versions(self, story: Story) -> None:
        """Whatever the server does with conditions: nothing is replaced by us, everything is read back, and what is lacking is said."""
        story.server.create_bucket("plain", object_lock=False, versioning=False)
        location = story.location("plain")
        assert "neither versions nor locks" in location.lacks()
        story.run("plain", location)

    def test_the_row_of_the_table(self, story: Story) -> None:
        """What docs/locations.md says of this server is what it does."""
        assert story.facts() == recorded()[story.server.name], "run: python3 -m tests.servers"
