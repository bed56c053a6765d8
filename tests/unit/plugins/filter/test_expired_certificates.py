# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A year after the last backup the keys of the recovery point are of no use: known before anything is stopped."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.cluster.plugins.filter.expired_certificates import expired_certificates

NOW = "2026-11-30T12:00:00Z"


PKI = "etc/kubernetes/pki"
CHECKS = [
    {"id": "apiserver", "type": "chain", "certificate": f"/{PKI}/apiserver.crt", "key": f"/{PKI}/apiserver.key"},
    {"id": "cluster-ca", "type": "authority", "certificate": f"/{PKI}/ca.crt"},
    {"id": "admin", "type": "kubeconfig", "kubeconfig": "/etc/kubernetes/admin.conf"},
    {"id": "kubelet", "type": "kubeconfig", "kubeconfig": "/etc/kubernetes/kubelet.conf"},
    {"id": "service-account", "type": "same_key", "key": f"/{PKI}/sa.key"},
]
PAST, FUTURE = "2026-11-29T12:00:00Z", "2035-01-01T00:00:00Z"


def artifact(host: str, *certificates: tuple[str, str], **contents: Any) -> dict[str, Any]:
    numbers: dict[str, int] = {}
    found = []
    for path, end in certificates:
        numbers[path] = numbers.get(path, -1) + 1
        found.append({"path": path, "number": numbers[path], "not_after": end})
    return {"host": host, "contents": {"certificates": found, **contents}}


def test_what_ended_is_named_with_its_end() -> None:
    artifacts = [
        artifact("cp1", (f"{PKI}/apiserver.crt", PAST), (f"{PKI}/ca.crt", FUTURE)),
        artifact("cp2", (f"{PKI}/apiserver.crt", "2025-01-01T00:00:00Z")),
        {"host": "cp1"},
        {"host": None, "contents": None},
    ]
    assert expired_certificates(artifacts, "cp1", NOW, CHECKS) == [f"/{PKI}/apiserver.crt ended {PAST}"]
    assert expired_certificates(artifacts, "w1", NOW, CHECKS) == []


def test_what_nobody_uses_does_not_count() -> None:
    """kubelet.crt of kubeadm signs itself, ends after a year and is never used; copies and trust bundles lie about as well."""
    lying = [("var/lib/kubelet/pki/kubelet.crt", PAST), (f"{PKI}/old/apiserver.crt", PAST), ("etc/ssl/ca-bundle.pem", PAST)]
    assert expired_certificates([artifact("cp1", *lying)], "cp1", NOW, CHECKS) == []


def test_of_a_bundle_of_authorities_the_newest_counts_and_of_a_chain_the_first() -> None:
    bundle = artifact("cp1", (f"{PKI}/ca.crt", PAST), (f"{PKI}/ca.crt", FUTURE), (f"{PKI}/apiserver.crt", FUTURE), (f"{PKI}/apiserver.crt", PAST))
    assert expired_certificates([bundle], "cp1", NOW, CHECKS) == []
    assert expired_certificates([artifact("cp1", (f"{PKI}/ca.crt", PAST))], "cp1", NOW, CHECKS) == [f"/{PKI}/ca.crt ended {PAST}"]


def test_certificates_inside_of_kubeconfigs() -> None:
    admin = {"path": "etc/kubernetes/admin.conf", "certificate": {"not_after": PAST}, "client_certificate_path": None}
    assert expired_certificates([artifact("cp1", kubeconfigs=[admin])], "cp1", NOW, CHECKS) == [f"/etc/kubernetes/admin.conf ended {PAST}"]


def test_of_certificates_that_a_kubelet_rotated_the_newest_counts() -> None:
    place = "var/lib/kubelet/pki/kubelet-client-%s.pem"
    old, new = (place % "2025-01-01-10-00-00", PAST), (place % "2026-01-01-10-00-00", FUTURE)
    kubelet = {"path": "etc/kubernetes/kubelet.conf", "certificate": None, "client_certificate_path": "/" + place % "current"}
    assert expired_certificates([artifact("w1", old, new, kubeconfigs=[kubelet])], "w1", NOW, CHECKS) == []
    assert expired_certificates([artifact("w1", old, kubeconfigs=[kubelet])], "w1", NOW, CHECKS) == [f"/etc/kubernetes/kubelet.conf ended {PAST}"]


def test_anything_but_artifacts_is_refused() -> None:
    wrong: Any = {}
    with pytest.raises(AnsibleFilterError, match="not dict"):
        expired_certificates(wrong, "cp1", NOW, CHECKS)
