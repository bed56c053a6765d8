# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readiness says when certificates of the newest point end: after that a recovery of it would be refused."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.lifeboat.cluster.plugins.module_utils._readiness import readiness
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest

from .making import Maker

CHECKS = [
    {"id": "cluster-ca", "type": "authority", "certificate": "/etc/kubernetes/pki/ca.crt", "key": "/etc/kubernetes/pki/ca.key"},
    {"id": "apiserver", "type": "chain", "certificate": "/etc/kubernetes/pki/apiserver.crt"},
]
NODES: dict[str, Any] = {
    "cp1": {"name": "cp1", "address": "192.0.2.1", "certificates": CHECKS},
    "w1": {"name": "w1", "certificates": CHECKS},
    "w2": {"name": "w2"},
}


def look(manifest: Manifest, **later: float) -> list[dict[str, Any]]:
    """What readiness says of the point's certificates, so much later than now."""
    return readiness.certificates(manifest, datetime.now(timezone.utc) + timedelta(**later))


def test_a_certificate_is_named_before_it_ends_and_after(maker: Maker) -> None:
    """The point's authority ends 30 days after it was made."""
    point = maker.point(nodes=NODES)
    [early] = look(point, days=-1.5)
    assert (early["machine"], early["path"], early["state"], early["expired"]) == ("cp1", "/etc/kubernetes/pki/ca.crt", "valid", 0)
    assert early["text"].startswith("/etc/kubernetes/pki/ca.crt ends in 31 d")
    [soon] = look(point, days=1)
    assert (soon["state"], soon["ends_at"] in soon["text"]) == ("ending", True)
    [over] = look(point, days=31)
    assert (over["state"], over["expired"], over["seconds_left"] < 0) == ("expired", 1, True)
    assert " ENDED " in over["text"]


def test_a_point_that_does_not_say_what_its_platform_needs_says_nothing(maker: Maker) -> None:
    """One that was made before backups recorded it; and one whose record is no record."""
    assert look(maker.point(nodes={"cp1": {"name": "cp1", "address": "192.0.2.1"}}), days=31) == []
    assert look(maker.point(nodes={"cp1": "192.0.2.1"}), days=31) == []
