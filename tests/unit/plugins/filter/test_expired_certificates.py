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


def artifact(host: str, *certificates: tuple[str, str]) -> dict[str, Any]:
    return {"host": host, "contents": {"certificates": [{"path": path, "number": 0, "not_after": end} for path, end in certificates]}}


def test_what_ended_is_named_with_its_end() -> None:
    artifacts = [
        artifact("cp1", ("etc/kubernetes/pki/apiserver.crt", "2026-11-29T12:00:00Z"), ("etc/kubernetes/pki/ca.crt", "2035-01-01T00:00:00Z")),
        artifact("cp2", ("etc/kubernetes/pki/apiserver.crt", "2025-01-01T00:00:00Z")),
        {"host": "cp1"},
        {"host": None, "contents": None},
    ]
    assert expired_certificates(artifacts, "cp1", NOW) == ["/etc/kubernetes/pki/apiserver.crt ended 2026-11-29T12:00:00Z"]
    assert expired_certificates(artifacts, "w1", NOW) == []


def test_of_certificates_that_a_kubelet_rotated_the_newest_counts() -> None:
    place = "var/lib/kubelet/pki/kubelet-client-%s.pem"
    old, new = (place % "2025-01-01-10-00-00", "2026-01-01T10:00:00Z"), (place % "2026-01-01-10-00-00", "2027-01-01T10:00:00Z")
    assert expired_certificates([artifact("w1", old, new)], "w1", NOW) == []
    assert expired_certificates([artifact("w1", old)], "w1", NOW) == ["/%s ended %s" % old]


def test_anything_but_artifacts_is_refused() -> None:
    wrong: Any = {}
    with pytest.raises(AnsibleFilterError, match="not dict"):
        expired_certificates(wrong, "cp1", NOW)
