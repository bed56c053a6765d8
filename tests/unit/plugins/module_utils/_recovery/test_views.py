# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan makes of the results of node_info and etcd_cluster_info."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.plan import plan_recovery
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.refusals import RecoveryRefused
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import HostView, PointView, Request, Seen, host_view

GROUPS = ("control_plane", "etcd")
NODE: Dict[str, Any] = {
    "hostname": "cp1",
    "bare": False,
    "identity": {"ca_sha256": "ca"},
    "etcd": {"state": "data", "cluster_id": "26fe", "newest_mtime": 5.0, "asides": ["/var/lib/etcd/member.lifeboat-1", "/var/lib/lifeboat/aside/x"]},
    "probe_errors": {},
}


def view(etcd: Dict[str, Any], **node: Any) -> HostView:
    return host_view("cp1", GROUPS, {**NODE, **node}, etcd)


def test_what_lies_on_the_disk_and_what_the_member_says() -> None:
    told = view({"answers": True, "revision": 90, "own_revision": 70})
    assert (told.etcd_data, told.etcd_data_cluster, told.etcd_asides) == (True, "26fe", ("/var/lib/etcd/member.lifeboat-1",))
    assert (told.etcd_revision, told.etcd_own_revision) == (90, 70)


def test_a_member_that_runs_and_could_not_be_asked_may_serve() -> None:
    """Its client certificate is gone: with a source chosen in advance, a snapshot would have gone over a cluster that lives."""
    asked = {"answers": False, "linearizable": False, "unasked": True, "reason": "client_cert /etc/kubernetes/pki/x.crt cannot be read"}
    host = view(asked)
    point = PointView("p1", 0.0, "ca", 50, 50, {"cp1": "https://cp1:2380"}, ["etcd/x", "pki/cp1.x"])
    refused = r"its member of etcd on cp1: it runs and could not be asked \(client_cert /etc/kubernetes/pki/x.crt cannot be read"
    for source in ("", "recovery_point"):
        with pytest.raises(RecoveryRefused, match=refused):
            plan_recovery(Seen([host], {"cp1": ("pki", "etcd")}, Request(0.0, 1, quorum_lost_source=source)), point)
    silent = view({"answers": False, "unasked": False, "reason": "connection refused"})
    plan = plan_recovery(Seen([silent], {"cp1": ("pki", "etcd")}, Request(0.0, 1, quorum_lost_source="recovery_point")), point)
    assert plan.strategy == "rebuild_cluster"


def test_beside_members_that_serve_it_is_one_that_does_not() -> None:
    blind = view({"answers": False, "unasked": True, "reason": "no certificate"})
    others = [host_view(name, GROUPS, {**NODE, "hostname": name}, {"answers": True, "linearizable": True, "revision": 60}) for name in ("cp2", "cp3")]
    members = {name: f"https://{name}:2380" for name in ("cp1", "cp2", "cp3")}
    point = PointView("p1", 0.0, "ca", 50, 50, members, ["etcd/x", *(f"pki/{name}.x" for name in members)])
    components = dict.fromkeys(members, ("pki", "etcd"))
    with pytest.raises(RecoveryRefused, match="recover_node -e node_to_recover=cp1"):
        plan_recovery(Seen([blind, *others], components, Request(0.0, 1)), point)
    assert plan_recovery(Seen([blind, *others], components, Request(0.0, 1, scope=["cp1"])), point).member_hosts == ["cp1"]
