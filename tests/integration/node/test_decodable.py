# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of what a release can read, held against what an API server of the lab's release stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import decodable
from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes.api import ApiClient
from tests.integration.node.api_server import RealApiServer
from tests.lab import versions


def stored_kinds(client: ApiClient) -> set[str]:
    """Of every version that is served, the kinds that the server stores, as they stand in values: apps/v1/Deployment."""
    roots = ["/api/v1"]
    for group in client.get("/apis")["groups"]:
        roots += [f"/apis/{version['groupVersion']}" for version in group["versions"]]
    kinds: set[str] = set()
    for root in roots:
        found = client.get(root)
        # The hash is that of the version in which it is stored; what is only answered and never stored has none.
        kinds |= {f"{found['groupVersion']}/{item['kind']}" for item in found["resources"] if item.get("storageVersionHash")}
    return kinds


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, binaries: Path) -> set[str]:
    """By a server with everything switched on that it has."""
    server = RealApiServer(tmp_path_factory.mktemp("everything"), binaries)
    server.make_certificates()
    server.start_api(server.start_etcd(), "--runtime-config=api/all=true", "--feature-gates=AllAlpha=true,AllBeta=true")
    try:
        server.wait_ready()
        with server.client() as client:
            return stored_kinds(client)
    finally:
        server.stop()


def test_all_that_the_release_stores_can_be_read_by_it(served: set[str]) -> None:
    """Another release of the lab is noticed here when the tables do not know it."""
    release = decodable.release_of(versions.KUBERNETES)
    assert release is not None
    assert {"v1/Secret", "apps/v1/Deployment", "networking.k8s.io/v1/Ingress"} <= served
    assert {kind: reason for kind in served if (reason := decodable.why_not(kind, release))} == {}
    groups = {kind.rpartition("/")[0].rpartition("/")[0] for kind in served}
    assert groups - set(decodable._VERSIONS) == set()


def test_what_came_with_the_release_is_there_and_what_went_is_not(served: set[str]) -> None:
    release = decodable.release_of(versions.KUBERNETES)
    assert release is not None
    come = {kind for kind, since in decodable._SINCE.items() if since <= release < decodable._UNTIL.get(kind, (9, 9))}
    assert come - served == set()
    gone = {kind for kind, until in decodable._UNTIL.items() if until <= release}
    later = {kind for kind, since in decodable._SINCE.items() if since > release}
    assert (gone | later) & served == set()
