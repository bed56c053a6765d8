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

from ansible_collections.lifeboat.cluster.plugins.module_utils.host.units import Unit
from tests.checks_seen import ROOT
from tests.integration.evidence.playground import BEGIN, Playground

HOSTS = ("cp1", "cp2")
CERTIFICATE = {"id": "apiserver", "ok": True, "reason": "", "understood": True, "keyless": False}
CERTIFICATES = {"certificates": [CERTIFICATE]}
ARCHIVE = {"archive": {"missing_required": [], "entries": [{"path": "etc/kubernetes"}]}}
CLEAR = {"in_the_way": False, "found": "none", "remedy": "Nothing has to be done."}
PLANNED = {"staging": {"entries": 3}, "plan": {"space": [{"enough": True}], "create": [], "replace": [], "same": [], "refused": []}}

# What the roles' own variables and results hold when all is well.
GOOD: dict[str, Any] = {
    "etcd_taken": {
        "snapshot": {"trailer_ok": True, "keys_total": 5, "revision": 10, "v2": {"registry_keys": 7}},
        "registry": {"passed": True, "found": "5 keys below /registry"},
        "identity": {"passed": True, "found": "kube-system is uid"},
    },
    "etcd_told_uid": "uid",
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
    "fit": [{"inventory_hostname": "cp1"}],
    "etcd_fit": True,
    "etcd_restored": {"restore": {"etcdutl_version": "3.6.16", "etcdutl_source": "image", "revision_after": 110}},
    "etcd_source_revision": 10,
    "etcd_expected_voters": "2",
    "etcd_whole": True,
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
    "fence_closed": {"rules": ["iptables -t raw -A PREROUTING ! -i lo -j DROP"]},
    "fence_opened": {"rules": []},
    "directory_seen": {
        "directory": {"entries": 5, "served_entries": 5, "bind_ok": True, "bind_reason": "", "schemas": ["core"]},
        "error": {"message": "no database", "found": "none"},
    },
    "directory_taken": {"dump": {"tree": {"entries": 5}, "schemas": ["core"]}},
    "directory_expected": {"entries": 5, "schemas": ["core"]},
    "directory_staged": {"restore": {"action": "stage", "dump": {"tree": {"entries": 5}}, "replace": [{"target": "/var/lib/ldap/data.mdb"}]}},
    "fence_started": {
        "services": [{"state": "started"}],
        "crash_looping": [],
        "phases": [{"name": "etcd", "seconds": 1.5}],
        "other_static_pods": [{"manifest": "kube-vip.yaml", "state": "started"}, {"manifest": "odd.yaml", "state": "unknown"}],
    },
    "fence_stopped": {"services": [{"state": "stopped"}], "evidence": ["no container"]},
    "node_cluster": {"cluster": {"kube_system_uid": "uid", "ca_sha256": "ca", "version": "v1.34.4", "nodes": [{"name": name} for name in HOSTS]}},
    "node_expected": list(HOSTS),
    "node_rebuilt": [],
    "node_left": {"leaving": {"places": ["node"]}},
    "node_known": {"leaving": {"traces": {"database": [], "keys": [], "cache": [], "etcd": [], "node": []}}},
    "node_config_archive": ARCHIVE,
    "node_config_needed": {"files": [], "paths": [], "not_understood": []},
    "node_config_certificates": CERTIFICATES,
    "node_config_planned": PLANNED,
    "pki_archive": ARCHIVE,
    "pki_certificates": CERTIFICATES,
    "pki_keys_elsewhere": ["front-proxy-ca"],
    "pki_planned": PLANNED,
    "pki_renamed": {"ok": True, "certificates": [{"id": "velum", "ok": True, "reason": ""}]},
    "salt_master_seen": {
        "salt": {
            "accepted": {"admin": "aa:bb", "0a3f": "cc:dd"},
            "pending": {},
            "rejected": {},
            "denied": {},
            "problems": [],
            "duplicates": [],
            "mine": ["0a3f", "admin"],
            "master": {"fingerprint": "ee:ff", "pair": True, "reason": ""},
        }
    },
    "salt_master_answers": {"running": True, "reason": "", "busy": {}, "silent": [], "answered": ["0a3f", "admin"]},
    "salt_master_odd": [[], [], []],
    "salt_master_minion_seen": {"busy": [], "grains": {"roles": ["admin"]}, "problems": [], "master_fingerprint": "ee:ff"},
    "salt_master_archive": ARCHIVE,
    "salt_master_left_out": [],
    "salt_master_again": {
        "salt": {
            "accepted": {"admin": "aa:bb", "0a3f": "cc:dd"},
            "master": {"fingerprint": "ee:ff", "pair": True, "reason": ""},
            "answers": {"busy": {}},
        }
    },
    "salt_master_planned": PLANNED,
    "salt_master_unpacked": {"salt": {"accepted": {"admin": "aa:bb"}, "master": {"fingerprint": "ee:ff", "pair": True, "reason": ""}}},
    "salt_master_point": {"master": "ee:ff", "accepted": {"admin": "aa:bb"}},
    "salt_master_hosts": [{"inventory_hostname": "admin"}],
    "salt_master_strangers": [],
    "salt_master_plan": {"refused": [], "missing": [], "unknown": {"accepted": [], "pending": []}},
    "salt_master_done": ["0a3f pending absent"],
    "salt_master_answering": [],
    "salt_master_verified": {"salt": {"master": {"pair": True, "reason": ""}}},
    "salt_master_filled": {"asked": ["0a3f"]},
    "salt_master_not_in_mine": [],
    "salt_master_twice": [],
    "etcd_marker": {"content": base64.b64encode(b'{"revision_after": 110}').decode()},
    "platform_data": {
        "doors": [4505, 4506],
        "salt": {"grains": "/etc/salt/grains"},
        "pki": {"shared": ["service-account", "cluster-ca"], "keys_elsewhere": ["front-proxy-ca"]},
        "runtime": {"unit": "containerd.service"},
        "etcd": {"data_dir": "/var/lib/etcd"},
        "velum_database": {"state_tables": ["minions", "users"]},
    },
    "pki_published": ["service-account 1", "cluster-ca 2"],
    "pki_lost": [],
    "pki_shared": ["service-account 1", "cluster-ca 2"],
    "node_config_wanted": [{"id": "apiserver"}],
    "node_config_units": ["kubelet.service", "etcd.service"],
    "node_config_pods": ["etcd"],
    "platform_plan": {
        "bump_revision": 100,
        "strategy": "rebuild_cluster",
        "reason": "etcd has no quorum",
        "initial_cluster": {name: f"https://{name}:2380" for name in HOSTS},
    },
    "platform_scope": "w1",
    "platform_named": ["w1"],
    "platform_members": ["cp1", "w1"],
    "platform_left": {"results": [{"msg": "", "platform_pair": [{"platform_file_here": {"path": "/etc/hosts"}}, {}]}]},
    "platform_seen": {"node": {"hostname": "cp1", "python_version": "3.11.2"}},
    "platform_node": {
        "hostname": "cp1",
        "node_name": None,
        "addresses": ["192.0.2.11"],
        "identity": {"ca_sha256": "ca"},
        "space": [{"path": "/", "free_bytes": 9_000_000_000}],
        "units": {"containerd.service": {"active": "active"}},
        "clock_ahead_seconds": 0.4,
        "images": ["registry.k8s.io/etcd:3.6.16-0"],
        "versions": {"kubelet": "1.34.4"},
        "etcdutl": {"version": "3.6.16", "source": "image", "path": "/usr/local/bin/etcdutl"},
        "obstacles": {
            **dict.fromkeys(("probes", "record", "parked", "manifests", "etcd_directories", "etcd_log"), CLEAR),
            "lock": {**CLEAR, "stale": False},
        },
    },
    "platform_again": {"node": {"identity": {"ca_sha256": "ca"}, "probe_errors": {}, "obstacles": {"record": CLEAR, "lock": {**CLEAR, "stale": False}}}},
    "platform_captured_directories": ["/var/lib/etcd"],
    "platform_captured_logs": [],
    "platform_identity": {"kube_system_uid": "uid", "ca_sha256": "ca"},
    "lifeboat_node_name": "cp1",
    "platform_address": "192.0.2.11",
    "platform_clock_tolerance_seconds": 30,
    "platform_minimum_free_bytes": 268_435_456,
    "platform_images": ["registry.k8s.io/etcd:3.6.16-0"],
    "platform_rebuilt": True,
    "platform_expired": [],
    "platform_certificates_may_be_expired": False,
    "platform_programs": ["kubelet"],
    "platform_versions_may_differ": False,
    "platform_components": ["pki", "node_config", "etcd"],
    "platform_point": {
        "versions": {"kubelet": "1.34.4"},
        "artifacts": [{"host": "cp1", "component": "pki"}, {"host": "cp1", "component": "node_config"}],
    },
    "platform_restoring": ["cp1"],
    "platform_kept_apart": False,
    "platform_tool": [],
    "velum_database_expected": {"rows": {"minions": 4, "users": 1, "extra": 9}, "schema_version": "2018"},
    "velum_database_restored": {"restore": {"action": "replace", "credentials": [{"fits": True, "reason": ""}], "moved_aside": [{"table": "minions"}]}},
    "velum_database_rows": {"minions": 4, "users": 1, "extra": 9},
    "velum_database_seen": {
        "database": {
            "reason": "",
            "exists": True,
            "missing_state_tables": [],
            "busy": 0,
            "code": [],
            "tables": {"minions": {"rows": 4}},
            "schema_version": "2018",
        },
        "credentials": [{"file": "/etc/secret", "fits": True, "reason": ""}],
        "differences": [],
    },
    "velum_database_staged": {"dump": {"schema_version": "2018"}},
    "velum_database_state": ["minions", "users"],
    "velum_database_taken": {"dump": {"tables": {"minions": {"rows": 4}, "users": {"rows": 1}}, "schema_version": "2018"}},
    "recovery_point_encryption": {"coverage": {"covered": True, "found": "opened: aescbc key1 (secrets); on cp1", "kms": []}},
    "recovery_point_compared": {"encryption": {"same": True, "addable": False, "problems": [], "configuration": "/etc/kubernetes/enc/e.yaml"}},
    "pki_add_encryption_keys": False,
    "pki_living": "cp2",
    "pki_encryption_living": {"encryption": {"file": "/etc/kubernetes/enc/e.yaml", "option": "/etc/kubernetes/enc/e.yaml"}},
    "pki_encryption_here": {"encryption": {"file": "/etc/kubernetes/enc/e.yaml", "option": "/etc/kubernetes/enc/e.yaml"}},
    "recovery_point_catalog": {
        "points": [{"id": "a", "state": "complete"}, {"id": "b", "state": "open"}],
        "counts": {"all": 9, "sealed": 8, "open": 1, "abandoned": 0, "pruning": 0, "foreign": 0},
        "gaps": [],
        "as_of": "2026-11-20T13:35:00Z",
        "due": ["a"],
    },
    "recovery_point_unproven": [],
    "recovery_point_others": {"points": [{"id": "a", "usable": True}]},
    "recovery_point_level": "opened",
    "recovery_point_go_on": False,
    "recovery_point_recipients": ["age1"],
    "recovery_point_signing_key": "/etc/lifeboat/signing_key",
    "recovery_point_cluster_name": "shop",
    "recovery_point_confirmation": "shop",
    "recovery_point_prune_planned": {"plan": [{"id": "a"}], "kept": ["a"], "groups": [{"name": "etcd+pki", "newest_verified": "a"}], "problems": []},
    "recovery_point_pruned": {"removed": ["b"], "finished": [], "kept": ["a"], "left": [], "freed_bytes": 9, "swept": 0},
    "recovery_point_prune_again": {"removed": [], "finished": [], "kept": ["a", "c"]},
    "recovery_point_tag": "keep",
    "recovery_point_tagged": {"tag": {"tag": "keep", "user": "ops", "at": "2026-11-20T13:35:00Z", "reason": "audit"}},
    "recovery_point_location_is": {
        name: {"passed": True, "found": "as it should be"}
        for name in (
            "listed",
            "written",
            "versioned",
            "locked",
            "lock_holds",
            "clock",
            "transport",
            "space",
            "links",
            "private",
            "rights_needed",
            "rights_excess",
        )
    },
    "recovery_point_copied": {"id": "b", "original": "a", "manifest": {"taken_at": "2026-11-20T13:35:00Z", "origin": {"id": "a"}, "recipients": ["age1new"]}},
    "recovery_point_copy_recipients": ["age1new"],
    "recovery_point_recorded": {"result_key": "shop/results/a/b.json"},
    "recovery_point_packed": {"problems": [], "artifacts": [{"name": "inventory/inventory.json.zst.age"}]},
    "recovery_point_sealed": {"signed": True, "size_bytes": 9, "manifest": {"artifacts": [{"name": "pki/cp1"}], "status": "completed", "missing": []}},
    "recovery_point_chosen": {
        "passed": True,
        "usable": True,
        "damaged": [],
        "held_elsewhere": {},
        "remedy": "Use another.",
        "checks": [{"passed": True, "found": "signed"}],
        "artifacts": [],
        "points": [{"overlaid": []}],
    },
    "recovery_point_needed": ["pki/w1.tar.zst.age"],
    "recovery_point_needed_damaged": [],
    "recovery_point_needed_elsewhere": [{"key": "pki/w1.tar.zst.age", "value": ["a", "b"]}],
    "readiness_around": {"circles": [{"state": "unknown", "service": "Vault", "found": "vault.example could not be looked up"}], "looked_at": ["location"]},
    "readiness_inside": [],
    "readiness_unknown": ["vault.example could not be looked up"],
    "readiness_late": [],
    "readiness_newer": [],
    "readiness_without": [],
    "readiness_unproven": [],
    "readiness_verdicts": [],
    "readiness_remedies": {"stale": "back up"},
    "readiness_recipient_proof_days": 90,
    "readiness_drill_days": 90,
    "readiness_recipients": ["age1a", "age1b"],
    "readiness_signing_key": "/etc/lifeboat/signing_key",
    "readiness_state": {
        "at": "2026-11-20T13:35:00Z",
        "components": [{"component": "etcd", "verdict": "fresh", "text": "etcd is fresh"}],
        "points": {"complete": 2},
        "alarming": [],
        "future": [],
        "doubtful": [],
        "newest": {"id": "a", "recipients": ["age1a", "age1b"]},
        "recipients": [{"recipient": "age1a", "text": "proven 3 d ago"}],
        "wanted_recipients": ["age1b", "age1a"],
        "signing": {"fits": True, "text": "signs as ops"},
        "writable": {"writable": True, "problem": "", "needed_bytes": 9},
        "drill": {"recent": True, "text": "3 d ago"},
        "schedule": {"interval_seconds": 1200, "spare_runs": 1, "arithmetic": ["fine"]},
    },
    "readiness_proof": {"strangers": []},
    "readiness_given": [{"recipient": "age1a", "proven": True, "problem": ""}],
    "readiness_not_given": [],
    "result": {
        "salt": {"accepted": {"admin": "aa:bb", "0a3f": "cc:dd"}, "answers": {"reason": "", "answered": ["admin", "0a3f"]}},
        "cluster": {
            "kube_system_uid": "uid",
            "ca_sha256": "ca",
            "nodes": [{"name": name, "ready": True, "ready_reason": "KubeletReady", "heartbeat_age_seconds": 4} for name in HOSTS],
            "node_states": {"asked_for": list(HOSTS), "not_ready": [], "silent": [], "others_not_ready": []},
            "endpoints": {"equal": True, "addresses": ["10.0.0.1"], "absent": []},
            "stale": {"node_leases": [], "pods_on_missing_nodes": [], "nodes": []},
            "volume_attachments": [{"name": "one", "node_exists": True}],
            "api_services_unavailable": [],
        },
        "node": {
            "units": {
                "etcd.service": {"active": "active", "steady": True, "enabled": "enabled"},
                "kubelet.service": {"active": "active", "steady": True, "enabled": "enabled"},
                "containerd.service": {"active": "active", "steady": False, "enabled": "enabled"},
            },
            "manifests": {"parked": []},
            "containers": [
                {"name": "etcd", "state": "running", "attempt": 7, "steady": True},
                {"name": "old", "state": "exited", "attempt": 1, "steady": False},
            ],
        },
    },
}

Break = tuple[str, Any]
IN_THE_WAY = {"in_the_way": True, "found": "it is in the way", "remedy": "Take it away."}
PROBLEM = [{"message": "alarm NOSPACE"}]
FAILED_CERTIFICATE = [{**CERTIFICATE, "ok": False, "reason": "key and certificate do not belong together"}]

# One bad thing each; most checks have several ways not to be met.
BREAKS: dict[str, list[Break]] = {
    "fence.closed": [("fence_closed.rules", [])],
    "fence.opened": [("fence_opened.rules", ["iptables -t raw -A PREROUTING ! -i lo -j DROP"])],
    "node.known": [("node_left.leaving.places", [])],
    "node.left_cluster": [("node_known.leaving.traces.node", ["w9 uid"])],
    "node.left_etcd": [("node_known.leaving.traces.etcd", ["9 w9"])],
    "node.left_database": [("node_known.leaving.traces.database", ["0a3f w9"])],
    "node.left_keys": [("node_known.leaving.traces.keys", ["rejected 4f:0c"])],
    "node.left_cache": [("node_known.leaving.traces.cache", ["mine"])],
    "etcd.snapshot_whole": [("etcd_taken.snapshot.trailer_ok", False), ("etcd_taken.snapshot.keys_total", 0)],
    "etcd.snapshot_current": [("etcd_taken.snapshot.revision", 8)],
    "etcd.snapshot_registry": [("etcd_taken.registry.passed", False)],
    "etcd.snapshot_identity": [("etcd_taken.identity.passed", False)],
    "etcd.tool_kept": [("etcd_kept.tool.static", False), ("etcd_kept", {"failed": True, "error": {"message": "no etcdutl", "tried": "PATH", "found": ""}})],
    "etcd.a_member_is_fit": [("fit", [])],
    "etcd.has_room": [("etcd_seen.problems", [{"id": "alarm_nospace", "severity": "warning", "message": "alarm NOSPACE is raised by cp1"}])],
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
    "directory.fit": [("directory_seen.directory.entries", 0), ("directory_seen", {"failed": True, "error": {"message": "slapcat failed", "found": ""}})],
    "directory.admits": [
        ("directory_seen.directory.bind_ok", False),
        ("directory_seen.directory.served_entries", 4),
    ],
    "directory.dumped": [("directory_taken.dump.tree.entries", 0), ("directory_taken.dump.schemas", [])],
    "directory.staged": [("directory_staged.restore.dump.tree.entries", 4), ("directory_staged.restore.replace", [])],
    "directory.serves": [
        ("directory_seen.directory.bind_ok", False),
        ("directory_seen.directory.served_entries", 4),
        ("directory_seen.directory", {"bind_ok": True, "bind_reason": "", "served_entries": 0, "entries": 0}),
    ],
    "directory.entries_equal": [("directory_seen.directory.entries", 6), ("directory_seen.directory.schemas", ["core", "nis"])],
    "fence.started": [("fence_started.services.0.state", "stopped"), ("fence_started.crash_looping", ["kube-scheduler"])],
    "fence.other_pods": [("fence_started.other_static_pods.0.state", "stopped")],
    "fence.stopped": [("fence_stopped.services.0.state", "started"), ("fence_stopped.services", [])],
    "node.identity": [("node_cluster.cluster.kube_system_uid", ""), ("node_cluster.cluster.ca_sha256", "another")],
    "node.all_known": [("node_expected", ["cp1"]), ("node_cluster.cluster.nodes", [{"name": "cp1"}])],
    "node.identity_kept": [("result.cluster.kube_system_uid", "another"), ("result.cluster.ca_sha256", "another")],
    "node.all_ready": [("result.cluster.node_states.not_ready", ["cp1: KubeletNotReady"]), ("result.cluster.node_states.asked_for", [])],
    "node.heartbeats": [("result.cluster.node_states.silent", ["cp2: reported 61 s ago"]), ("result.cluster.node_states.asked_for", [])],
    "node.others_ready": [("result.cluster.node_states.others_not_ready", ["w9: NodeStatusUnknown"])],
    "node.endpoints": [("result.cluster.endpoints.equal", False)],
    "node.no_stale": [
        ("result.cluster.stale.node_leases", ["gone"]),
        ("result.cluster.stale.pods_on_missing_nodes", ["gone"]),
        ("result.cluster.stale.nodes", ["gone"]),
    ],
    "node.attachments": [("result.cluster.volume_attachments.0.node_exists", False)],
    "node.api_services": [("result.cluster.api_services_unavailable", [{"name": "v1.metrics"}])],
    "node_config.captured": [("node_config_archive.archive.missing_required", ["/etc/kubernetes"]), ("node_config_archive.archive.entries", [])],
    "node_config.needed_captured": [("node_config_needed.files", [{"path": "/data", "by": "static pod x, hostPath", "exists": True, "left": "much else"}])],
    "node_config.needed_there": [("node_config_needed.files", [{"path": "/etc/x", "by": "static pod x, hostPath", "exists": False, "left": ""}])],
    "node_config.manifests_understood": [("node_config_needed.not_understood", ["/etc/kubernetes/manifests/vip.yaml"])],
    "node_config.kubelet_kubeconfig": [("node_config_certificates.certificates", FAILED_CERTIFICATE), ("node_config_certificates.certificates", [])],
    "node_config.unpacked": [("node_config_planned.staging.entries", 0), ("node_config_planned.plan.space.0.enough", False)],
    "node_config.units_run": [
        ("result.node.units", {"kubelet.service": {"active": "active", "steady": True, "enabled": "enabled"}}),
        # A lucky look at one that ends and is started again every ten seconds.
        ("result.node.units.kubelet%service", Unit("kubelet.service", "loaded", "active", "running", "enabled", 56, 0, same_seconds=0.1).as_dict()),
        ("result.node.units.kubelet%service", Unit("kubelet.service", "loaded", "active", "running", "enabled", 57, 1, same_seconds=9.9).as_dict()),
        ("result.node.units.kubelet%service.steady", False),
        ("result.node.units.kubelet%service.enabled", "disabled"),
    ],
    "node_config.pods_run": [("result.node.containers.0.steady", False), ("result.node.containers", []), ("result.node.containers", None)],
    "node_config.kubelet_certificate": [("node_config_certificates.certificates", FAILED_CERTIFICATE), ("node_config_certificates.certificates", [])],
    "node_config.manifests_in_place": [("result.node.manifests.parked", ["etcd.yaml"])],
    "node_config.no_crash_loop": [("result.node.containers.1.attempt", 4)],
    "pki.captured": [("pki_archive.archive.missing_required", ["/etc/kubernetes/pki"]), ("pki_archive.archive.entries", [])],
    "pki.certificates": [("pki_certificates.certificates", FAILED_CERTIFICATE), ("pki_certificates.certificates", [])],
    "pki.unpacked": [("pki_planned.staging.entries", 0), ("pki_planned.plan.space.0.enough", False)],
    "pki.certificates_work": [("pki_certificates.certificates", FAILED_CERTIFICATE), ("pki_certificates.certificates", [])],
    "pki.understood": [("pki_certificates.certificates", [{**CERTIFICATE, "ok": False, "understood": False}])],
    "pki.authorities_have_keys": [("pki_certificates.certificates", [{**CERTIFICATE, "id": "cluster-ca", "keyless": True}])],
    "pki.authority_keys": [("pki_lost", ["cluster-ca"])],
    "pki.shared_equal": [
        ("platform_data.pki.shared", ["one", "two", "three"]),
        ("pki_published", ["service-account 1", "cluster-ca 2", "cluster-ca 3"]),
        ("pki_shared", ["cluster-ca 2"]),
    ],
    "pki.moved": [("pki_renamed.ok", False), ("pki_renamed.certificates", [])],
    "platform.scope": [("platform_named", []), ("platform_named", ["w1", "elsewhere"])],
    "platform.followed": [("platform_left.results.0.msg", "1 replacements made")],
    "platform.reachable": [("platform_seen.unreachable", True), ("platform_seen.node.hostname", "")],
    "platform.python": [
        ("platform_seen.node.python_version", "3.6.15"),
        ("platform_seen", {"msg": "The module interpreter '/usr/bin/python3' was not found.", "module_stderr": "not found"}),
    ],
    "platform.plan": [("platform_plan.strategy", "hope")],
    "platform.host_name": [("lifeboat_node_name", "cp9")],
    "platform.address": [("platform_address", "cp1.example.org")],
    "platform.clock": [("platform_node.clock_ahead_seconds", -31.0), ("platform_node.clock_ahead_seconds", 31.0)],
    "platform.space": [("platform_node.space.0.free_bytes", 0)],
    "platform.runtime": [("platform_node.units.containerd%service.active", "inactive")],
    "platform.images": [("platform_node.images", [])],
    "platform.versions": [("platform_node.versions.kubelet", "1.33.0"), ("platform_node.versions.kubelet", None)],
    "platform.certificates_valid": [("platform_expired", ["/etc/kubernetes/pki/apiserver.crt ended 2025-01-01T00:00:00Z"])],
    "platform.components_known": [("platform_point.artifacts", [{"host": "cp1", "component": "pki"}])],
    "platform.etcdutl": [("platform_node.etcdutl", None)],
    "platform.etcd_directories": [("platform_node.obstacles.etcd_directories", IN_THE_WAY)],
    "platform.etcd_log": [("platform_node.obstacles.etcd_log", IN_THE_WAY)],
    "platform.etcd_data_dir_fits": [("platform_captured_directories", ["/data/etcd"])],
    "platform.etcd_log_fits": [("platform_captured_logs", ["/log/etcd"])],
    "platform.probes": [("platform_node.obstacles.probes", IN_THE_WAY)],
    "platform.no_recovery": [("platform_node.obstacles.record", IN_THE_WAY)],
    "platform.not_locked": [("platform_node.obstacles.lock", {**IN_THE_WAY, "stale": stale}) for stale in (False, True)],
    "platform.nothing_parked": [("platform_node.obstacles.parked", IN_THE_WAY)],
    "platform.manifests_there": [("platform_node.obstacles.manifests", IN_THE_WAY)],
    "platform.unchanged": [
        ("platform_again.node.identity.ca_sha256", "another"),
        ("platform_again.node", {"identity": None, "probe_errors": {"identity": "OSError: Input/output error"}}),
    ],
    "platform.no_recovery_began": [
        ("platform_again.node.obstacles.record", IN_THE_WAY),
        ("platform_again.node.obstacles.lock", {**IN_THE_WAY, "stale": False}),
    ],
    "recovery_point.none_broken": [
        ("recovery_point_catalog.points.0.state", "tampered"),
        ("recovery_point_catalog.counts.abandoned", 1),
        ("recovery_point_catalog.counts.foreign", 1),
    ],
    "recovery_point.none_in_the_future": [("recovery_point_catalog.points.0.state", "in_the_future")],
    "recovery_point.no_gap": [("recovery_point_catalog.gaps", ["c"])],
    "recovery_point.due_verified": [("recovery_point_unproven", ["a"])],
    "recovery_point.others_listed": [("recovery_point_others.points.0.usable", False)],
    "recovery_point.prune_allowed": [("recovery_point_prune_planned", {"msg": "Nothing is pruned: points are missing"})],
    "recovery_point.prune_confirmed": [("recovery_point_confirmation", ""), ("recovery_point_confirmation", "Shop")],
    "recovery_point.prune_verified": [("recovery_point_prune_planned.groups.0.newest_verified", None)],
    "recovery_point.prune_nothing_strange": [("recovery_point_prune_planned.problems", ["shop/pruned/a.json is not obeyed"])],
    "recovery_point.prune_done": [("recovery_point_pruned.left", ["b is left alone: it was tagged since it was looked at"])],
    "recovery_point.prune_settled": [
        ("recovery_point_prune_again.kept", ["c"]),
        ("recovery_point_prune_again.removed", ["c"]),
        ("recovery_point_prune_again.finished", ["b"]),
    ],
    "recovery_point.tagged": [("recovery_point_tagged.tag.tag", "release")],
    "recovery_point.copied": [
        ("recovery_point_copied.manifest.taken_at", ""),
        ("recovery_point_copied.manifest.origin.id", "c"),
        ("recovery_point_copied.manifest.recipients", ["age1old"]),
    ],
    "recovery_point.location_listed": [("recovery_point_location_is.listed.passed", False)],
    "recovery_point.location_written": [("recovery_point_location_is.written.passed", False)],
    "recovery_point.location_versioned": [("recovery_point_location_is.versioned.passed", False)],
    "recovery_point.location_locked": [("recovery_point_location_is.locked.passed", False)],
    "recovery_point.location_lock_holds": [("recovery_point_location_is.lock_holds.passed", False)],
    "recovery_point.location_clock": [("recovery_point_location_is.clock.passed", False)],
    "recovery_point.location_transport": [("recovery_point_location_is.transport.passed", False)],
    "recovery_point.location_space": [("recovery_point_location_is.space.passed", False)],
    "recovery_point.location_links": [("recovery_point_location_is.links.passed", False)],
    "recovery_point.location_private": [("recovery_point_location_is.private.passed", False)],
    "recovery_point.location_rights_needed": [("recovery_point_location_is.rights_needed.passed", False)],
    "recovery_point.location_rights_excess": [("recovery_point_location_is.rights_excess.passed", False)],
    "recovery_point.recipients": [("recovery_point_recipients", []), ("recovery_point_signing_key", "")],
    "recovery_point.recorded": [("recovery_point_recorded.result_key", "")],
    "recovery_point.sealed": [("recovery_point_sealed.signed", False), ("recovery_point_sealed.manifest.artifacts", [])],
    "recovery_point.encryption_covered": [("recovery_point_encryption.coverage.covered", False)],
    "recovery_point.kms_not_needed": [("recovery_point_encryption.coverage.kms", [{"name": "vault", "version": "v2", "endpoint": "unix:///run/kms.sock"}])],
    "pki.encryption_named": [("pki_encryption_here.encryption", {"file": "", "option": ""})],
    "pki.encryption_keys_here": [
        ("recovery_point_compared.encryption", {"same": False, "addable": True, "problems": ["aescbc key1 (secrets) is not here"], "configuration": "/e.yaml"}),
        (
            "recovery_point_compared.encryption",
            {"same": False, "addable": False, "problems": ["kms v2 vault (secrets) is not here"], "configuration": "/e.yaml"},
        ),
    ],
    "recovery_point.kit": [("recovery_point_packed.problems", ["collection: not installed as a whole"])],
    "recovery_point.complete": [("recovery_point_sealed.manifest.status", "partially_failed")],
    "recovery_point.untampered": [("recovery_point_chosen.points", [{"overlaid": ["shop/manifests/a.json"]}])],
    "recovery_point.needed_intact": [("recovery_point_needed_damaged", ["pki/w1.tar.zst.age"])],
    "recovery_point.verified": [("recovery_point_chosen.passed", False), ("recovery_point_chosen", {"msg": "No identity opens it", "failed": False})],
    "readiness.no_circle": [("readiness_inside", [{"service": "location", "found": "10.0.0.1 is machine cp1", "remedy": "Move it."}])],
    "readiness.fresh": [("readiness_late", [{"component": "etcd"}]), ("readiness_state.components", [])],
    "readiness.newest_verified": [("readiness_newer", [{"text": "etcd is fresh; not verified and newer: b"}])],
    "readiness.every_host": [("readiness_without", [{"component": "pki", "missing": ["cp3"]}])],
    "readiness.points_sound": [("readiness_state.alarming", ["a is broken: etcd/cp1.tar.zst.age is missing"])],
    "readiness.clock": [("readiness_state.future", ["a: it says 2027-01-01T00:00:00Z, and here it is 2026-11-20T00:00:00Z"])],
    "readiness.recipients_proven": [("readiness_unproven", [{"recipient": "age1a"}]), ("readiness_state.recipients", [])],
    "readiness.recipients_several": [("readiness_recipients", ["age1a"]), ("readiness_state.newest.recipients", ["age1a"]), ("readiness_state.newest", None)],
    "readiness.recipients_current": [("readiness_state.wanted_recipients", ["age1a"]), ("readiness_state.newest.recipients", ["age1a", "age1b", "age1c"])],
    "readiness.signing": [("readiness_state.signing.fits", False), ("readiness_state.signing.fits", None)],
    "readiness.results_believed": [("readiness_state.doubtful", ["a: The result is not signed"])],
    "readiness.location_writable": [("readiness_state.writable.writable", False)],
    "readiness.drill": [("readiness_state.drill.recent", False)],
    "readiness.schedule": [("readiness_state.schedule.interval_seconds", None), ("readiness_state.schedule.spare_runs", 0)],
    "readiness.keys_open": [("readiness_given.0.proven", False), ("readiness_given", [])],
    "readiness.keys_known": [("readiness_proof.strangers", [{"identity_file": "/old.key", "recipient": "age1z"}])],
    "readiness.keys_all_given": [("readiness_not_given", ["age1b"])],
    "readiness.proof_signed": [("readiness_signing_key", "")],
    "salt_master.key_pair": [("salt_master_seen.salt.master", {"fingerprint": "ee:ff", "pair": False, "reason": "not one pair"})],
    "salt_master.accepted": [("salt_master_seen.salt.accepted", {}), ("salt_master_seen.salt.problems", ["minions/x: it holds no public key"])],
    "salt_master.idle": [
        ("salt_master_answers.busy", {"0a3f": ["update_in_progress"]}),
        ("salt_master_minion_seen.busy", ["removal_in_progress"]),
        ("salt_master_minion_seen.grains", None),
    ],
    "salt_master.keys_settled": [("salt_master_odd.1", ["1b4a"]), ("salt_master_seen.salt.duplicates", [{"id": "0a3f"}])],
    "salt_master.minions_answer": [("salt_master_answers.silent", ["0a3f"]), ("salt_master_answers.running", False)],
    "salt_master.mine": [("salt_master_seen.salt.mine", ["admin"])],
    "salt_master.captured": [("salt_master_left_out", ["/etc/salt/pki/master/minions/0a3f"])],
    "salt_master.unchanged": [
        ("salt_master_again.salt.accepted", {"admin": "aa:bb"}),
        ("salt_master_again.salt.master.fingerprint", "00:00"),
        ("salt_master_again.salt.answers.busy", {"0a3f": ["update_in_progress"]}),
    ],
    "salt_master.unpacked": [("salt_master_planned.staging.entries", 0), ("salt_master_planned.plan.space.0.enough", False)],
    "salt_master.point_whole": [
        ("salt_master_unpacked.salt.master.pair", False),
        ("salt_master_unpacked.salt.master.fingerprint", "00:00"),
        ("salt_master_unpacked.salt.accepted", {}),
    ],
    "salt_master.known_to_minions": [("salt_master_strangers", ["w1"])],
    "salt_master.keys_reconciled": [("salt_master_plan.refused", [{"id": "0a3f", "why": "another"}]), ("salt_master_plan.missing", ["0a3f"])],
    "salt_master.keys_known": [("salt_master_plan.unknown.pending", ["1b4a"])],
    "salt_master.answers": [("result.salt.answers.answered", ["admin"]), ("result.salt.accepted", {}), ("salt_master_answering", ["admin", "1b4a"])],
    "salt_master.fingerprints": [
        ("salt_master_verified.salt.master.pair", False),
        ("salt_master_hosts", []),
        ("salt_master_strangers", ["w1"]),
    ],
    "salt_master.mine_complete": [("salt_master_not_in_mine", ["0a3f"])],
    "salt_master.no_duplicate": [("salt_master_twice", ["0a3f"])],
    "velum_database.fit": [
        ("velum_database_seen.database.missing_state_tables", ["minions"]),
        ("velum_database_seen.database", {"answers": False, "reason": "ERROR 2002", "exists": False}),
    ],
    "velum_database.idle": [("velum_database_seen.database.busy", 1)],
    "velum_database.restorable": [("velum_database_seen.database.code", ["trigger before_insert"])],
    "velum_database.credentials": [("velum_database_seen.credentials.0.fits", False), ("velum_database_seen.credentials", [])],
    "velum_database.dumped": [("velum_database_taken.dump.tables", {"minions": {"rows": 4}}), ("velum_database_taken.dump.schema_version", "")],
    "velum_database.dump_whole": [("velum_database_rows.minions", 3), ("velum_database_staged.dump.schema_version", "2019")],
    "velum_database.restored": [("velum_database_restored.restore.credentials.0.fits", False), ("velum_database_restored.restore.credentials", [])],
    "velum_database.serves": [
        ("velum_database_seen.database.missing_state_tables", ["minions"]),
        ("velum_database_seen.database", {"answers": False, "reason": "ERROR 2002", "exists": False}),
    ],
    "velum_database.credentials_fit": [("velum_database_seen.credentials.0.fits", False), ("velum_database_seen.credentials", [])],
    "velum_database.counts_equal": [("velum_database_rows.minions", 3), ("velum_database_seen.database.schema_version", "2019")],
    "velum_database.rows_equal": [("velum_database_seen.differences", ["table users has other values in its 1 rows"])],
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
    """The variable of the good evidence in which one thing is changed; a % in the path stands for a dot in a name."""
    *way, last = [part.replace("%", ".") for part in where.split(".")]
    name = [*way, last][0]
    evidence = {name: copy.deepcopy(GOOD.get(name))}
    place: Any = evidence
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[int(last) if isinstance(place, list) else last] = value
    return evidence


def tasks() -> list[dict[str, Any]]:
    """One task with all checks, then one for each break; the play has the good evidence, which would be megabytes if each task had all of it."""
    checks = role_checks()
    found: list[dict[str, Any]] = [{"name": "good", "lifeboat.cluster.check": {"stage": "good", "checks": list(checks.values())}}]
    for check_id, breaks in BREAKS.items():
        for number, (where, value) in enumerate(breaks):
            found.append(
                {
                    "name": f"{check_id} {number}",
                    "lifeboat.cluster.check": {"stage": f"{check_id}.{number}", "checks": [checks[check_id]]},
                    "vars": broken(where, value),
                }
            )
    return found


def test_every_check_can_fail(playground: Playground) -> None:
    """And every one of the roles is in the table: a new check without a way to fail is refused."""
    assert set(BREAKS) == set(role_checks())
    setup = [{"name": "Let the members be known", "ansible.builtin.group_by": {"key": "etcd"}}]
    plays = [
        {"hosts": ",".join(HOSTS), "gather_facts": False, "tasks": setup},
        {"hosts": HOSTS[0], "gather_facts": False, "vars": GOOD, "tasks": tasks()},
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
