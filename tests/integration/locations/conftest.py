# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real S3 server, and what people with different credentials see of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import open_location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3 import S3Location
from tests.integration.locations.places import KINDS, Place, S3Place, use
from tests.s3_server import S3Server
from tests.unit.plugins.module_utils._recovery_point.making import Keys, make_keys


@contextmanager
def environment_of(variables: Mapping[str, str]) -> Iterator[None]:
    """The environment of somebody else, for as long as a client is made."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Shop:
    """The S3 server, and locations in it."""

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self._number = 0

    def name(self) -> str:
        """A name for a bucket that is not there yet."""
        self._number += 1
        return f"bucket-{self._number}"

    def options(self, bucket: str, **more: Any) -> dict[str, Any]:
        """The option ``location`` for a bucket."""
        return {"type": "s3", "bucket": bucket, "endpoint_url": self.server.endpoint_url, "region": "us-east-1", "addressing_style": "path", **more}

    def location(self, bucket: str, who: Mapping[str, str] | None = None, **more: Any) -> S3Location:
        """The location as root, or as somebody else, sees it."""
        with environment_of(who or self.server.environment()):
            found = open_location(self.options(bucket, **more))
        assert isinstance(found, S3Location)
        return found


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One server for all tests here; each takes buckets of its own."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield Shop(server)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The keys of the cluster's owner."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def s3(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> S3Place:
    """An empty bucket with object lock; the environment holds the credentials of its owner."""
    use(monkeypatch, shop.server.environment())
    name = shop.name()
    shop.server.create_bucket(name)
    return S3Place(shop.server, name)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty location, one of each kind."""
    if request.param == "s3":
        place: Place = request.getfixturevalue("s3")
        return place
    (tmp_path / "location").mkdir(mode=0o700)
    return Place({"type": request.param, "path": str(tmp_path / "location"), "mount_required": False})
