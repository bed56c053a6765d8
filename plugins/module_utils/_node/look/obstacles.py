# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What on this host keeps a backup from being one of a whole, quiet machine. Pure: out of what the probes saw."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, Mapping

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.lock import describe_lock, is_silent
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.record import PLANNED, command_to_go_on, unfinished
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import STATIC_POD, read_services
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.probing import DECIDING
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

_SEE_REASON = "Repair what the reason names, and look again."

Obstacle = Dict[str, Any]


def _clear(found: str) -> Obstacle:
    return {"in_the_way": False, "found": found, "remedy": "Nothing has to be done."}


def _blocked(found: str, remedy: str) -> Obstacle:
    return {"in_the_way": True, "found": found, "remedy": remedy}


def _unknown(what: str, reason: str) -> Obstacle:
    return _blocked("%s could not be looked at: %s" % (what, reason), _SEE_REASON)


def _probes(node: Mapping[str, Any]) -> Obstacle:
    failed = ["%s: %s" % (name, node["probe_errors"][name]) for name in DECIDING if name in node["probe_errors"]]
    return _blocked("; ".join(failed), _SEE_REASON) if failed else _clear("all of it")


def _record(node: Mapping[str, Any]) -> Obstacle:
    if "record" in node["probe_errors"]:
        return _unknown("the restore record", node["probe_errors"]["record"])
    record = node["record"]
    if not unfinished(record):
        return _clear("a finished restore of point %s" % record.get("point") if record else "none")
    if record.get("phase") == PLANNED:
        return _clear("a restore of point %s that was planned and changed nothing" % record.get("point"))
    command = command_to_go_on(record)
    return _blocked(
        "a restore of point %s in phase %s, last changed %s" % (record.get("point"), record.get("phase"), record.get("updated_at") or "at an unknown time"),
        "Finish it: %s. Or give it up: the same command with -e lifeboat_give_up=%s." % (command, record.get("restore_id")),
    )


def _lock(node: Mapping[str, Any]) -> Obstacle:
    if "lock" in node["probe_errors"]:
        return dict(_unknown("the lock", node["probe_errors"]["lock"]), stale=False)
    lock = node["lock"]
    if lock is None:
        return dict(_clear("none"), stale=False)
    now = float(node["now_epoch"] or time.time())
    owner = lock.get("owner") if isinstance(lock.get("owner"), dict) else {}
    try:
        found = describe_lock(dict(lock, owner=owner), now)
    except LifeboatError as error:
        found = "a lock of run %s: %s" % (owner.get("run_id") or "unknown", error.found or error.message)
    stale = is_silent(lock, now)
    remedy = (
        "That run was silent for too long to be alive. Run its playbook again: it takes the lock over and finishes what was begun."
        if stale
        else "Wait for that run to end. When it is certainly dead, run its playbook again with -e lifeboat_take_over_run=%s." % owner.get("run_id")
    )
    return dict(_blocked(found, remedy), stale=stale)


def _parked(node: Mapping[str, Any], platform: Mapping[str, Any]) -> Obstacle:
    if node["manifests"] is None:
        return _unknown("the directory of parked manifests", node["probe_errors"].get("manifests", "unknown"))
    parked = node["manifests"]["parked"]
    if not parked:
        return _clear("none")
    return _blocked(
        ", ".join(parked),
        "Finish the recovery that parked them. Or move them back into %s, or away, by hand: what is parked does not run and is in no backup."
        % platform.get("manifests_dir"),
    )


def _manifests(node: Mapping[str, Any], platform: Mapping[str, Any]) -> Obstacle:
    directory = str(platform.get("manifests_dir") or "")
    wanted = sorted({os.path.join(directory, service.manifest) for service in read_services(platform).values() if service.kind == STATIC_POD})
    if node["manifests"] is None:
        return _unknown("the directory of manifests", node["probe_errors"].get("manifests", "unknown"))
    missing = [path for path in wanted if path not in node["manifests"]["live"]]
    if not missing:
        return _clear("%d of %d" % (len(wanted), len(wanted)))
    return _blocked(
        "missing: %s" % ", ".join(missing),
        "Put them back into %s. A platform that does without one of these services says so: lifeboat_platform_overrides: {services: {NAME: {kind: none}}}."
        % directory,
    )


def _etcd_directories(node: Mapping[str, Any]) -> Obstacle:
    seen = node["etcd"]
    if seen is None:
        return _unknown("the data directory of etcd", node["probe_errors"].get("etcd", "unknown"))
    data_dir, named, log = seen["data_dir"], seen["flags_data_dir"], seen["flags_wal_dir"]
    if not seen["flags_source"]:
        return _clear("%s; nothing here says that etcd uses another one" % data_dir)
    found = "%s says data in %s%s" % (seen["flags_source"], named or "a directory that it does not name", ", log in %s" % log if log else "")
    if seen["in_use"] is not None:
        same = seen["in_use"]
    else:
        same = named is None or os.path.normpath(named) in (os.path.normpath(data_dir), seen["resolved"])
    if same and seen.get("would_start"):
        return _blocked(
            "%s; %s" % (found, seen["would_start"]),
            "A restore would be refused, since etcd would look for its data there. If the manifest was changed on purpose, let etcd start anew with it. If it "
            "says the same in a form that is not understood, write command, volumeMounts and volumes as kubectl get -o yaml does.",
        )
    if same:
        return _clear(found)
    if named and os.path.normpath(named) == os.path.normpath(data_dir):
        return _blocked(
            "%s, and that is another directory of this host" % found,
            "Set lifeboat_platform_overrides: {etcd: {data_dir: PATH}} in the inventory, PATH being what etcd's manifest mounts there (hostPath).",
        )
    return _blocked(
        "%s; the platform says %s" % (found, data_dir),
        "Set lifeboat_platform_overrides: {etcd: {data_dir: %s}} in the inventory, for all members alike." % named,
    )


def _etcd_log(node: Mapping[str, Any], platform: Mapping[str, Any]) -> Obstacle:
    seen = node["etcd"]
    if seen is None:
        return _unknown("the log directory of etcd", node["probe_errors"].get("etcd", "unknown"))
    if seen["wal_state"] is None:
        return _clear("in the data directory")
    found = "%s says log in %s" % (seen["flags_source"], seen["flags_wal_dir"])
    if (platform.get("etcd") or {}).get("wal_into_data_dir"):
        return _clear("%s, and a restore lets etcd read it in its data directory, as the inventory says" % found)
    return _blocked(
        found,
        "A restore puts the log into %s/member/wal, and is refused while etcd would look for it elsewhere. On one member after the other: stop etcd, move the "
        "log there, take --wal-dir (ETCD_WAL_DIR) out, start it. Or let a restore do that: lifeboat_platform_overrides: {etcd: {wal_into_data_dir: true}}."
        % (seen["flags_data_dir"] or seen["data_dir"]),
    )


def obstacles(node: Mapping[str, Any], platform: Mapping[str, Any]) -> Dict[str, Obstacle]:
    """By subject whether something is in the way, what was found, and what to do."""
    return {
        "probes": _probes(node),
        "record": _record(node),
        "lock": _lock(node),
        "parked": _parked(node, platform),
        "manifests": _manifests(node, platform),
        "etcd_directories": _etcd_directories(node),
        "etcd_log": _etcd_log(node, platform),
    }
