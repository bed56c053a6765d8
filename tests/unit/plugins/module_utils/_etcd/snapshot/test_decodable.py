# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which stored kinds a release of Kubernetes can read."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.cluster.plugins.filter.undecodable_kinds import undecodable_kinds
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.decodable import release_of, undecodable, why_not


@pytest.mark.parametrize(
    ("kind", "release", "reason"),
    [
        ("autoscaling/v2beta2/HorizontalPodAutoscaler", "v1.35.4", ""),
        ("autoscaling/v2beta2/HorizontalPodAutoscaler", "v1.36.3", "gone in 1.36"),
        ("autoscaling/v2/HorizontalPodAutoscaler", "v1.37.2", ""),
        ("storagemigration.k8s.io/v1/StorageVersionMigration", "v1.37.2", ""),
        ("storagemigration.k8s.io/v1/StorageVersionMigration", "v1.34.4", "known since 1.37"),
        # Came with one and went with the next.
        ("scheduling.k8s.io/v1alpha2/Workload", "1.35.4", "known since 1.36"),
        ("scheduling.k8s.io/v1alpha2/Workload", "1.36.3", ""),
        ("scheduling.k8s.io/v1alpha2/Workload", "1.37.2", "gone in 1.37"),
        ("batch/v2alpha1/CronJob", "1.37.2", "no release since 1.34 knows batch/v2alpha1"),
        ("v1/Secret", "1.37.2", ""),
        ("extensions/v1beta1/Ingress", "1.37.2", ""),
        # Custom resources are read by their definitions; encrypted values by nobody here.
        ("example.com/v1beta9/Widget", "1.37.2", ""),
        ("encrypted", "1.37.2", ""),
        ("unknown", "1.37.2", ""),
    ],
)
def test_kinds_come_and_go(kind: str, release: str, reason: str) -> None:
    number = release_of(release)
    assert number
    assert why_not(kind, number) == reason


def test_of_other_releases_nothing_is_said() -> None:
    counts = {"batch/v2alpha1/CronJob": 2, "v1/Pod": 9}
    for version in ("v1.33.1", "v1.38.0", "", "edge"):
        assert release_of(version) is None
        assert undecodable(counts, version) == {}


def test_the_api_server_among_the_images_counts() -> None:
    counts = {"batch/v2alpha1/CronJob": 2, "autoscaling/v2beta1/HorizontalPodAutoscaler": 1, "v1/Pod": 9}
    images = ["registry.k8s.io/etcd:3.7.3-0", "registry.k8s.io:5000/kube-apiserver:v1.35.4", "registry.k8s.io/kube-proxy:v1.37.2"]
    assert undecodable_kinds(counts, images) == ["2 of batch/v2alpha1/CronJob (no release since 1.34 knows batch/v2alpha1)"]
    assert undecodable_kinds(counts, ["registry.k8s.io/etcd:3.7.3-0"]) == []
    wrong: Any = []
    with pytest.raises(AnsibleFilterError, match="not list"):
        undecodable_kinds(wrong, images)
