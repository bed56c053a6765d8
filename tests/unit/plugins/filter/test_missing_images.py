# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One image has several names: a manifest's short one, a runtime's full one (real-clusters C6)."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.cluster.plugins.filter.missing_images import full_name, missing_images

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("haproxy:2.8", "docker.io/library/haproxy:2.8"),
        ("haproxy", "docker.io/library/haproxy:latest"),
        ("osixia/keepalived:2.0.20", "docker.io/osixia/keepalived:2.0.20"),
        ("docker.io/haproxy:2.8", "docker.io/library/haproxy:2.8"),
        ("index.docker.io/library/haproxy:2.8", "docker.io/library/haproxy:2.8"),
        ("registry.k8s.io/etcd:3.6.16-0", "registry.k8s.io/etcd:3.6.16-0"),
        ("localhost/one", "localhost/one:latest"),
        ("registry.example.org:5000/one/two", "registry.example.org:5000/one/two:latest"),
        ("registry.example.org:5000/one:1@" + DIGEST, "registry.example.org:5000/one@" + DIGEST),
        ("haproxy@" + DIGEST, "docker.io/library/haproxy@" + DIGEST),
    ],
)
def test_full_names(reference: str, name: str) -> None:
    assert full_name(reference) == name
    assert full_name(name) == name


def test_what_is_there_under_another_name_is_not_missing() -> None:
    present = ["docker.io/library/haproxy:2.8", "registry.k8s.io/pause@" + DIGEST]
    assert missing_images(["haproxy:2.8", "registry.k8s.io/pause:3.10@" + DIGEST], present) == []
    assert missing_images(["haproxy:2.9", "quay.io/haproxy:2.8"], present) == ["haproxy:2.9", "quay.io/haproxy:2.8"]


def test_what_is_no_list_is_an_error() -> None:
    with pytest.raises(AnsibleFilterError, match="present is no list"):
        missing_images(["haproxy"], "haproxy")
