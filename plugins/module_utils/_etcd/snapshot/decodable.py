# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which stored objects an API server of a release can read: told by the version and kind that stand in each value, without a server.

One object that cannot be read is enough to keep an API server from ever being ready, so a snapshot is compared before it goes to another release.
Custom resources are not looked at: whether they can be read is decided by their definitions, which are in the store with them.

Source of the tables: what the installers of Kubernetes 1.34.4, 1.35.4, 1.36.3 and 1.37.2 register (pkg/apis/*/install, apiextensions, kube-aggregator).
Held against servers of the oldest and the newest with everything switched on, by tests/integration/node/test_decodable.py.
"""

from __future__ import annotations

from typing import Dict, Mapping, Optional, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.releases import version_tuple

# Minor releases that the tables know.
OLDEST, NEWEST = (1, 34), (1, 37)

# Versions of groups of Kubernetes itself that any of them reads, in general.
_VERSIONS = {
    "": "v1",
    "admissionregistration.k8s.io": "v1 v1alpha1 v1beta1",
    "apiextensions.k8s.io": "v1 v1beta1",
    "apiregistration.k8s.io": "v1 v1beta1",
    "apps": "v1 v1beta1 v1beta2",
    "autoscaling": "v1 v2 v2beta1 v2beta2",
    "batch": "v1 v1beta1",
    "certificates.k8s.io": "v1 v1alpha1 v1beta1",
    "coordination.k8s.io": "v1 v1alpha2 v1beta1",
    "discovery.k8s.io": "v1 v1beta1",
    "events.k8s.io": "v1 v1beta1",
    "extensions": "v1beta1",
    "flowcontrol.apiserver.k8s.io": "v1 v1beta1 v1beta2 v1beta3",
    "internal.apiserver.k8s.io": "v1alpha1",
    "lifecycle.k8s.io": "v1alpha1",
    "networking.k8s.io": "v1 v1beta1",
    "node.k8s.io": "v1 v1alpha1 v1beta1",
    "policy": "v1 v1beta1",
    "rbac.authorization.k8s.io": "v1 v1alpha1 v1beta1",
    "resource.k8s.io": "v1 v1alpha3 v1beta1 v1beta2",
    "scheduling.k8s.io": "v1 v1alpha1 v1alpha2 v1alpha3 v1beta1",
    "storage.k8s.io": "v1 v1alpha1 v1beta1",
    "storagemigration.k8s.io": "v1 v1alpha1 v1beta1",
}

# Kinds that came, and kinds that went, with a minor release since the oldest.
_SINCE: Dict[str, Tuple[int, int]] = {
    "certificates.k8s.io/v1beta1/PodCertificateRequest": (1, 35),
    "scheduling.k8s.io/v1alpha1/Workload": (1, 35),
    "storagemigration.k8s.io/v1beta1/StorageVersionMigration": (1, 35),
    "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy": (1, 36),
    "admissionregistration.k8s.io/v1/MutatingAdmissionPolicyBinding": (1, 36),
    "resource.k8s.io/v1alpha3/ResourcePoolStatusRequest": (1, 36),
    "resource.k8s.io/v1beta2/DeviceTaintRule": (1, 36),
    "scheduling.k8s.io/v1alpha2/PodGroup": (1, 36),
    "scheduling.k8s.io/v1alpha2/Workload": (1, 36),
    "certificates.k8s.io/v1/ClusterTrustBundle": (1, 37),
    "certificates.k8s.io/v1/PodCertificateRequest": (1, 37),
    "lifecycle.k8s.io/v1alpha1/Eviction": (1, 37),
    "lifecycle.k8s.io/v1alpha1/EvictionRequest": (1, 37),
    "resource.k8s.io/v1/DeviceTaintRule": (1, 37),
    "scheduling.k8s.io/v1alpha3/CompositePodGroup": (1, 37),
    "scheduling.k8s.io/v1alpha3/PodGroup": (1, 37),
    "scheduling.k8s.io/v1alpha3/Workload": (1, 37),
    "scheduling.k8s.io/v1beta1/PodGroup": (1, 37),
    "scheduling.k8s.io/v1beta1/Workload": (1, 37),
    "storagemigration.k8s.io/v1/StorageVersionMigration": (1, 37),
}
_UNTIL: Dict[str, Tuple[int, int]] = {
    "certificates.k8s.io/v1alpha1/PodCertificateRequest": (1, 35),
    "storagemigration.k8s.io/v1alpha1/StorageVersionMigration": (1, 35),
    "autoscaling/v2beta1/HorizontalPodAutoscaler": (1, 36),
    "autoscaling/v2beta2/HorizontalPodAutoscaler": (1, 36),
    "scheduling.k8s.io/v1alpha1/PriorityClass": (1, 36),
    "scheduling.k8s.io/v1alpha1/Workload": (1, 36),
    "scheduling.k8s.io/v1alpha2/PodGroup": (1, 37),
    "scheduling.k8s.io/v1alpha2/Workload": (1, 37),
}


def release_of(version: str) -> Optional[Tuple[int, int]]:
    """The minor release of v1.37.2, when the tables know it."""
    release = version_tuple(version)[:2]
    return release if OLDEST <= release <= NEWEST else None


def why_not(kind: str, release: Tuple[int, int]) -> str:
    """Why a server of this minor release cannot read objects that are stored as this kind (apps/v1/Deployment); empty where it can, or nobody knows."""
    group_version, _slash, _kind = kind.rpartition("/")
    group, _slash, version = group_version.rpartition("/")
    known = _VERSIONS.get(group)
    if not group_version or known is None:
        return ""
    if version not in known.split():
        return "no release since %d.%d knows %s" % (*OLDEST, group_version)
    since, until = _SINCE.get(kind), _UNTIL.get(kind)
    if since and release < since:
        return "known since %d.%d" % since
    if until and release >= until:
        return "gone in %d.%d" % until
    return ""


def undecodable(keys_by_kind: Mapping[str, int], version: str) -> Dict[str, str]:
    """Of the kinds of a snapshot those that a server of this version cannot read, with the reason; empty for a release that the tables do not know."""
    release = release_of(version)
    return {} if release is None else {kind: reason for kind, reason in ((kind, why_not(kind, release)) for kind in sorted(keys_by_kind)) if reason}
