# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check of the roles, word for word as it stands there: met by good evidence, and not met when one thing in it is bad.

The end-to-end tests show that the evidence of a real cluster meets them; many of these faults no test can make on a real machine.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from typing import Any

import yaml

from tests.checks_seen import ROOT
from tests.integration.evidence.playground import BEGIN, Playground

HOSTS = ("cp1", "cp2")
CERTIFICATES = {"certificates": [{"id": "apiserver", "ok": True, "reason": ""}]}
ARCHIVE = {"archive": {"missing_required": [], "entries": [{"path": "etc/kubernetes"}]}}
PLANNED = {"staging": {"entries": 3}, "plan": {"space": [{"enough": True}], "create": [], "replace": [], "same": [], "refused": []}}

# What the roles' own variables and results hold when all is well.
GOOD: dict[str, Any] = {
    "etcd_taken": {"snapshot": {"trailer_ok": True, "keys_total": 5, "revision": 10, "v2": {"registry_keys": 7}}},
    "etcd_backed_up": {"backup": {"v3": {"keys_total": 5}}},
    "etcd_store": "v3",
    "etcd_backends": ["etcd3"],
    "etcd_surveyed": {"store_reason": "the API servers use the v2 store, and it is empty", "v2": {"keys_total": 0, "keys_by_top": {"/locks": 2}}},
    "etcd_built": {"restore": {"v2_keys_total": 7, "v2_expired": ["/registry/events/a"], "v3_keys_total": 5}},
    "etcd_v2_keys": 8,
    "etcd_untouched": [],
    "etcd_v2_verified": {
        "members": {"equal": True, "seen": [{"keys_total": 7} for _name in HOSTS], "missing": [], "extra": [], "changed": []},
        "comparison": {"equal": True, "missing": [], "extra": [], "changed": [], "changed_since": []},
    },
    "etcd_seen": {"revision": "9", "problems": [], "reason": ""},
    "etcd_kept": {"tool": {"static": True, "version": "3.6.16", "source": "image"}},
    "fit": [{"etcd_name": "cp1"}],
    "etcd_fit": True,
    "etcd_restored": {"restore": {"etcdutl_version": "3.6.16", "etcdutl_source": "image", "revision_after": 110}},
    "etcd_source_revision": 10,
    "etcd_promoted": {
        "members": [{"name": name, "is_learner": False, "peer_urls": [f"https://{name}:2380"]} for name in HOSTS],
        "projection": {"allowed": True},
    },
    "etcd_verified": {
        "linearizable": True,
        "cluster": {"problems": [], "voters": 2, "healthy_voters": 2, "revision": 120},
        "hashes_equal": True,
        "hashes": [{"hash": 7, "hash_revision": 119} for _name in HOSTS],
        "hashes_reason": "",
        "watch": {"cancelled": True, "reason": "required revision has been compacted", "compact_revision": 110},
    },
    "fence_started": {"services": [{"state": "started"}], "crash_looping": [], "phases": [{"name": "etcd", "seconds": 1.5}]},
    "fence_stopped": {"services": [{"state": "stopped"}], "evidence": ["no container"]},
    "node_cluster": {"cluster": {"kube_system_uid": "uid", "ca_sha256": "ca", "version": "v1.34.4", "nodes": [{"name": name} for name in HOSTS]}},
    "node_expected": list(HOSTS),
    "node_config_archive": ARCHIVE,
    "node_config_certificates": CERTIFICATES,
    "node_config_planned": PLANNED,
    "pki_archive": ARCHIVE,
    "pki_certificates": CERTIFICATES,
    "pki_planned": PLANNED,
    "etcd_marker": {"content": base64.b64encode(b'{"revision_after": 110}').decode()},
    "platform_data": {"pki": {"shared": ["/etc/kubernetes/pki/sa.key", "/etc/kubernetes/pki/ca.key"]}},
    "platform_plan": {
        "bump_revision": 100,
        "strategy": "rebuild_cluster",
        "reason": "etcd has no quorum",
        "initial_cluster": {name: f"https://{name}:2380" for name in HOSTS},
    },
    "platform_seen": {},
    "platform_node": {
        "hostname": "cp1",
        "identity": {"ca_sha256": "ca"},
        "space": [{"path": "/", "free_bytes": 9_000_000_000}],
        "units": {"containerd.service": {"active": "active"}},
        "images": ["registry.k8s.io/etcd:3.6.16-0"],
        "versions": {"kubelet": "1.34.4"},
        "etcdutl": {"version": "3.6.16", "source": "image", "path": "/usr/local/bin/etcdutl"},
    },
    "platform_again": {"node": {"identity": {"ca_sha256": "ca"}}},
    "platform_identity": {"kube_system_uid": "uid", "ca_sha256": "ca"},
    "lifeboat_node_name": "cp1",
    "platform_clock_offset_seconds": 0.4,
    "platform_clock_tolerance_seconds": 30,
    "platform_minimum_free_bytes": 268_435_456,
    "platform_images": ["registry.k8s.io/etcd:3.6.16-0"],
    "platform_rebuilt": True,
    "platform_versions_may_differ": False,
    "platform_components": ["pki", "node_config", "etcd"],
    "platform_point": {
        "versions": {"kubelet": "1.34.4"},
        "artifacts": [{"host": "cp1", "component": "pki"}, {"host": "cp1", "component": "node_config"}],
    },
    "platform_restoring": ["cp1"],
    "platform_tool": [],
    "platform_summary": {"etcd": {"encryption": [{"key_name": "key1"}]}},
    "recovery_point_encryption_keys": ["key1"],
    "recovery_point_catalog": {"points": [{"id": "a", "state": "complete"}, {"id": "b", "state": "open"}]},
    "recovery_point_recipients": ["age1"],
    "recovery_point_signing_key": "/etc/lifeboat/signing_key",
    "recovery_point_recorded": {"result_key": "shop/results/a/b.json"},
    "recovery_point_packed": {"problems": [], "artifacts": [{"name": "inventory/inventory.json.zst.age"}]},
    "recovery_point_sealed": {"signed": True, "size_bytes": 9, "manifest": {"artifacts": [{"name": "pki/cp1"}], "status": "completed", "missing": []}},
    "recovery_point_chosen": {"passed": True, "checks": [{"passed": True, "found": "signed"}], "artifacts": []},
    "result": {
        "cluster": {
            "kube_system_uid": "uid",
            "ca_sha256": "ca",
            "nodes": [{"name": name, "ready": True, "ready_reason": "KubeletReady"} for name in HOSTS],
            "leases": {"nodes": [{"name": name, "renew_age_seconds": 4} for name in HOSTS]},
            "endpoints": {"equal": True, "addresses": ["10.0.0.1"]},
            "stale": {"node_leases": [], "pods_on_missing_nodes": [], "nodes": []},
            "volume_attachments": [{"name": "one", "node_exists": True}],
            "api_services_unavailable": [],
        },
        "node": {
            "units": {"kubelet.service": {"active": "active", "enabled": "enabled"}},
            "manifests": {"parked": []},
            "containers": [{"name": "etcd", "state": "running", "attempt": 7}, {"name": "old", "state": "exited", "attempt": 1}],
        },
    },
}

Break = tuple[str, Any]
PROBLEM = [{"message": "alarm NOSPACE"}]
FAILED_CERTIFICATE = [{"id": "apiserver", "ok": False, "reason": "key and certificate do not belong together"}]

# One bad thing each; most checks have several ways not to be met.
BREAKS: dict[str, list[Break]] = {
    "etcd.snapshot_whole": [("etcd_taken.snapshot.trailer_ok", False), ("etcd_taken.snapshot.keys_total", 0)],
    "etcd.snapshot_current": [("etcd_taken.snapshot.revision", 8)],
    "etcd.tool_kept": [("etcd_kept.tool.static", False), ("etcd_kept", {"failed": True, "error": {"message": "no etcdutl", "tried": "PATH", "found": ""}})],
    "etcd.a_member_is_fit": [("fit", [])],
    "etcd.every_member_is_fit": [("etcd_fit", False)],
    "etcd.etcdutl": [("etcd_restored.restore.etcdutl_version", "")],
    "etcd.restored_revision": [("etcd_restored.restore.revision_after", 10), ("etcd_restored.restore.revision_after", None)],
    "etcd.survivor_staged": [("etcd_marker.content", base64.b64encode(b'{"revision_after": 5}').decode()), ("etcd_marker", {"msg": "no such file"})],
    "etcd.store_known": [("etcd_store", "")],
    "etcd.v2_left_out": [("etcd_surveyed.v2.keys_total", 2)],
    "etcd.v2_backup_whole": [("etcd_taken.snapshot.v2.registry_keys", 0), ("etcd_backed_up.backup.v3.keys_total", 0)],
    "etcd.store_fits": [("etcd_backends", ["etcd2"])],
    "etcd.v2_built": [("etcd_built.restore.v2_keys_total", 6), ("etcd_built.restore.v2_keys_total", None)],
    "etcd.v2_clients_restarted": [("etcd_untouched", ["w1"])],
    "etcd.v2_members_equal": [("etcd_v2_verified.members.equal", False), ("etcd_v2_verified.members.seen", [{"keys_total": 7}])],
    "etcd.v2_restored": [("etcd_v2_verified.comparison.equal", False)],
    "etcd.rejoined": [("etcd_promoted.members.0.is_learner", True), ("etcd_promoted.members", []), ("etcd_promoted.projection.allowed", False)],
    "etcd.quorum": [
        ("etcd_verified.linearizable", False),
        ("etcd_verified.cluster.problems", PROBLEM),
        ("etcd_verified.cluster.voters", 1),
        ("etcd_verified.cluster.healthy_voters", 1),
    ],
    "etcd.hashes_equal": [
        ("etcd_verified.hashes_equal", False),
        ("etcd_verified.hashes_equal", None),
        ("etcd_verified.hashes", [{"hash": 7, "hash_revision": 1}]),
    ],
    "etcd.old_watch_cancelled": [("etcd_verified.watch.cancelled", False)],
    "etcd.revision_moved_on": [("etcd_verified.cluster.revision", 109)],
    "fence.started": [("fence_started.services.0.state", "stopped"), ("fence_started.crash_looping", ["kube-scheduler"])],
    "fence.stopped": [("fence_stopped.services.0.state", "started"), ("fence_stopped.services", [])],
    "node.identity": [("node_cluster.cluster.kube_system_uid", ""), ("node_cluster.cluster.ca_sha256", "another")],
    "node.all_known": [("node_expected", ["cp1"]), ("node_cluster.cluster.nodes", [{"name": "cp1"}])],
    "node.identity_kept": [("result.cluster.kube_system_uid", "another"), ("result.cluster.ca_sha256", "another")],
    "node.all_ready": [("result.cluster.nodes.0.ready", False), ("result.cluster.nodes", [])],
    "node.heartbeats": [("result.cluster.leases.nodes.1.renew_age_seconds", 61), ("result.cluster.leases.nodes", [])],
    "node.endpoints": [("result.cluster.endpoints.equal", False)],
    "node.no_stale": [
        ("result.cluster.stale.node_leases", ["gone"]),
        ("result.cluster.stale.pods_on_missing_nodes", ["gone"]),
        ("result.cluster.stale.nodes", ["gone"]),
    ],
    "node.attachments": [("result.cluster.volume_attachments.0.node_exists", False)],
    "node.api_services": [("result.cluster.api_services_unavailable", [{"name": "v1.metrics"}])],
    "node_config.captured": [("node_config_archive.archive.missing_required", ["/etc/kubernetes"]), ("node_config_archive.archive.entries", [])],
    "node_config.kubelet_kubeconfig": [("node_config_certificates.certificates", FAILED_CERTIFICATE), ("node_config_certificates.certificates", [])],
    "node_config.unpacked": [("node_config_planned.staging.entries", 0), ("node_config_planned.plan.space.0.enough", False)],
    "node_config.kubelet_runs": [
        ("result.node.units.kubelet%service.active", "failed"),
        ("result.node.units.kubelet%service.enabled", "disabled"),
    ],
    "node_config.kubelet_certificate": [("node_config_certificates.certificates", FAILED_CERTIFICATE), ("node_config_certificates.certificates", [])],
    "node_config.manifests_in_place": [("result.node.manifests.parked", ["etcd.yaml"])],
    "node_config.no_crash_loop": [("result.node.containers.1.attempt", 4)],
    "pki.captured": [("pki_archive.archive.missing_required", ["/etc/kubernetes/pki"]), ("pki_archive.archive.entries", [])],
    "pki.certificates": [("pki_certificates.certificates", FAILED_CERTIFICATE), ("pki_certificates.certificates", [])],
    "pki.unpacked": [("pki_planned.staging.entries", 0), ("pki_planned.plan.space.0.enough", False)],
    "pki.certificates_work": [("pki_certificates.certificates", FAILED_CERTIFICATE), ("pki_certificates.certificates", [])],
    "pki.shared_equal": [("platform_data.pki.shared", ["one", "two", "three"]), ("FACT OF cp2", ["other", "keys"])],
    "platform.reachable": [("platform_seen.unreachable", True), ("platform_node.hostname", "")],
    "platform.plan": [("platform_plan.strategy", "hope")],
    "platform.host_name": [("lifeboat_node_name", "cp9")],
    "platform.clock": [("platform_clock_offset_seconds", -31.0), ("platform_clock_offset_seconds", 31.0)],
    "platform.space": [("platform_node.space.0.free_bytes", 0)],
    "platform.runtime": [("platform_node.units.containerd%service.active", "inactive")],
    "platform.images": [("platform_node.images", [])],
    "platform.versions": [("platform_node.versions.kubelet", "1.33.0")],
    "platform.components_known": [("platform_point.artifacts", [{"host": "cp1", "component": "pki"}])],
    "platform.etcdutl": [("platform_node.etcdutl", None)],
    "platform.unchanged": [("platform_again.node.identity.ca_sha256", "another")],
    "recovery_point.none_broken": [("recovery_point_catalog.points.0.state", "tampered")],
    "recovery_point.recipients": [("recovery_point_recipients", []), ("recovery_point_signing_key", "")],
    "recovery_point.recorded": [("recovery_point_recorded.result_key", "")],
    "recovery_point.sealed": [("recovery_point_sealed.signed", False), ("recovery_point_sealed.manifest.artifacts", [])],
    "recovery_point.encryption_covered": [("recovery_point_encryption_keys", ["key0"])],
    "recovery_point.kit": [("recovery_point_packed.problems", ["collection: not installed as a whole"])],
    "recovery_point.complete": [("recovery_point_sealed.manifest.status", "partially_failed")],
    "recovery_point.verified": [("recovery_point_chosen.passed", False)],
}


# Where a break takes the evidence away instead of making it bad.
UNKNOWN = ("etcd_restored.restore.revision_after", "etcd_built.restore.v2_keys_total", "etcd_verified.hashes_equal")


def checks_of(value: Any) -> Iterator[dict[str, Any]]:
    """Everything in a task file that is a check."""
    if isinstance(value, dict):
        if {"id", "expect", "found"} <= set(value):
            yield value
        for item in value.values():
            yield from checks_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from checks_of(item)


def role_checks() -> dict[str, dict[str, Any]]:
    """The checks of all roles by id. Their severity is a warning here, so that the play goes on."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((ROOT / "roles").glob("*/tasks/*.yml")):
        for check in checks_of(yaml.safe_load(path.read_text(encoding="utf-8"))):
            found[check["id"]] = {**check, "severity": "warning"}
    return found


def broken(where: str, value: Any) -> dict[str, Any]:
    """The good evidence with one thing changed; a % in the path stands for a dot in a name."""
    evidence = copy.deepcopy(GOOD)
    *way, last = [part.replace("%", ".") for part in where.split(".")]
    place: Any = evidence
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[int(last) if isinstance(place, list) else last] = value
    return evidence


def tasks() -> list[dict[str, Any]]:
    """One task with all checks and good evidence, then one for each break."""
    checks = role_checks()
    found: list[dict[str, Any]] = [{"name": "good", "lifeboat.cluster.check": {"stage": "good", "checks": list(checks.values())}, "vars": GOOD}]
    for check_id, breaks in BREAKS.items():
        for number, (where, value) in enumerate(breaks):
            fact = where.removeprefix("FACT OF ") if where.startswith("FACT OF ") else ""
            if fact:
                found.append({"name": "Set", "ansible.builtin.set_fact": {"pki_shared": value}, "delegate_to": fact, "delegate_facts": True})
            evidence = GOOD if fact else broken(where, value)
            found.append(
                {"name": f"{check_id} {number}", "lifeboat.cluster.check": {"stage": f"{check_id}.{number}", "checks": [checks[check_id]]}, "vars": evidence}
            )
    return found


def test_every_check_can_fail(playground: Playground) -> None:
    """And every one of the roles is in the table: a new check without a way to fail is refused."""
    assert set(BREAKS) == set(role_checks())
    setup = [
        {"name": "Let the members be known", "ansible.builtin.group_by": {"key": "etcd"}},
        {"name": "Know the keys", "ansible.builtin.set_fact": {"pki_shared": ["sa", "ca"]}},
    ]
    plays = [
        {"hosts": ",".join(HOSTS), "gather_facts": False, "tasks": setup},
        {"hosts": HOSTS[0], "gather_facts": False, "tasks": tasks()},
    ]
    done = playground.play(BEGIN + yaml.safe_dump(plays, sort_keys=False, width=10_000))
    assert done.returncode == 0, done.stdout

    records = {(record["stage"], record["id"]): record for record in playground.records("check")}
    for check_id, breaks in BREAKS.items():
        good = records["good", check_id]
        assert good["passed"] is True, good
        for number, (where, _value) in enumerate(breaks):
            bad = records[f"{check_id}.{number}", check_id]
            assert bad["passed"] is False, (where, bad)
            # The evidence is bad, not the expression; only a value that is not known yet may be named as missing.
            assert where in UNKNOWN or not str(bad["found"]).startswith("not available"), (where, bad)
            assert bad["remedy"], bad
