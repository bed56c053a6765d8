# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the cluster the one that was lost? Looks from the outside with the kubernetes client and, for etcd, on the machines; changes nothing that stays.

The same function judges a cluster after a fresh start and after every recovery.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import urllib3

from tests.drill.admin import USER, AdminNode
from tests.drill.members import etcdctl, member_names, v2_values
from tests.drill.memory import KUBE_SYSTEM, MARKERS, Memory, api_servers, node_names, running_pods, uids, who_is
from tests.drill.restarts import failed_containers, kubelet_started_at, moment, restarted_units
from tests.lab import Lab, LabError
from tests.workload import Api, capture, difference
from tests.workload.api import AnswerError
from tests.workload.objects import IMAGE, RUNNING

LIMIT_SECONDS = 180.0
PODS = f"/api/v1/namespaces/{RUNNING}/pods"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{RUNNING}/deployments"
ENCRYPTED = "k8s:enc:"
PROBE = "after-recovery-"

# They hold a lease, and end themselves when they could not renew it in time.
LEASED = ("kube-controller-manager", "kube-scheduler")

# What a look at a cluster in trouble ends with.
TROUBLE = (AnswerError, LabError, urllib3.exceptions.HTTPError, OSError, LookupError, ValueError)


@dataclass(frozen=True)
class Check:
    """One expectation, and what was found."""

    id: str
    title: str
    passed: bool
    expected: str
    found: str
    remedy: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Expected:
    """What a scenario is to do to the cluster."""

    rolled_back: bool
    kept_machines: tuple[str, ...] = ()
    rebuilt_machines: tuple[str, ...] = ()
    marker: str = ""
    since: float = 0.0


class Verification:
    """Collects checks; a check that breaks is one that is not met."""

    def __init__(
        self, lab: Lab, memory: Memory, expected: Expected, *, say: Callable[[Check], None] | None = None, limit_seconds: float = LIMIT_SECONDS
    ) -> None:
        self._lab = lab
        self._api = Api(lab.kubeconfig)
        self._memory = memory
        self._expected = expected
        self._limit = limit_seconds
        self._say = say or (lambda _check: None)
        self.checks: list[Check] = []

    def check(
        self,
        check_id: str,
        title: str,
        expected: str,
        remedy: str,
        look: Callable[[], tuple[bool, str]],
        *,
        wait: bool = False,
        limit_seconds: float | None = None,
    ) -> None:
        """Record what a look finds; with ``wait`` it is repeated until it is met or the limit, which is the verification's own if none is given, is reached."""
        begin = time.monotonic()
        limit = self._limit if limit_seconds is None else limit_seconds
        while True:
            try:
                passed, found = look()
            except TROUBLE as error:
                passed, found = False, f"{type(error).__name__}: {error}"
            if passed or not wait or time.monotonic() - begin > limit:
                break
            time.sleep(0.5)
        self.checks.append(Check(check_id, title, passed, expected, found, remedy, round(time.monotonic() - begin, 3)))
        self._say(self.checks[-1])

    @property
    def failed(self) -> list[Check]:
        """The checks that were not met."""
        return [check for check in self.checks if not check.passed]

    def all(self) -> list[Check]:
        """Everything, in the order in which one thing rests on another."""
        self._answers()
        self._identity()
        self._nodes()
        self._pods()
        self._objects()
        self._secrets()
        self._token()
        self._marker()
        self._schedules()
        self._etcd()
        self._admin()
        self._calm()
        return self.checks

    def _answers(self) -> None:
        servers = {name: Api(self._lab.kubeconfig, server=server, connections=1) for name, server in api_servers(self._lab).items()}

        def look() -> tuple[bool, str]:
            silent = [name for name, api in servers.items() if not api.answers()]
            return not silent and self._api.answers(), f"not ready: {' '.join(silent)}" if silent else f"ready: {' '.join(servers)}"

        self.check(
            "drill.api",
            "Every API server is ready, and the load balancer's address too",
            "all ready",
            "See the container log of kube-apiserver.",
            look,
            wait=True,
        )

    def _identity(self) -> None:
        def look() -> tuple[bool, str]:
            uid = self._api.get(KUBE_SYSTEM)["metadata"]["uid"]
            return uid == self._memory.kube_system_uid, uid

        self.check(
            "drill.cluster_uid", "The UID of kube-system is the same", self._memory.kube_system_uid, "The store is another one: look at etcd's data.", look
        )

        def look_at_nodes() -> tuple[bool, str]:
            now = uids(self._api, "/api/v1/nodes")
            changed = sorted(name for name in {*now, *self._memory.node_uids} if now.get(name) != self._memory.node_uids.get(name))
            return not changed, f"changed: {' '.join(changed)}" if changed else f"{len(now)} equal"

        self.check("drill.node_uids", "Node objects have the UIDs they had", "all equal", "Nodes registered anew: their old objects were lost.", look_at_nodes)

    def _nodes(self) -> None:
        since = time.time()

        def look() -> tuple[bool, str]:
            leases = {
                one["metadata"]["name"]: one["spec"].get("renewTime", "")
                for one in self._api.items("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")
            }
            waiting = []
            for node in self._api.items("/api/v1/nodes"):
                name = node["metadata"]["name"]
                ready = any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])
                if not ready or node["spec"].get("unschedulable") or not leases.get(name) or moment(leases[name]) < since - 10:
                    waiting.append(name)
            return not waiting, f"not ready: {' '.join(waiting)}" if waiting else "all ready, and reporting"

        self.check(
            "drill.nodes_ready", "Every node is ready, and its kubelet reports now", "all ready", "See journalctl -u kubelet on the node.", look, wait=True
        )

    def _pods(self) -> None:
        memory, expected = self._memory, self._expected
        kept = {name: pod for name, pod in memory.pods.items() if pod["node"] in node_names(self._lab, expected.kept_machines)}
        if kept:

            def same_containers() -> tuple[bool, str]:
                now = running_pods(self._api)
                lost = [name for name, pod in kept.items() if now.get(name, {}).get("containers") != pod["containers"]]
                return not lost, f"restarted or gone: {' '.join(lost)}" if lost else f"{len(kept)} pods in the same containers"

            self.check(
                "drill.pods_kept",
                "Pods on machines that were not touched still run in the same containers",
                "all",
                "They were restarted.",
                same_containers,
                wait=True,
            )
        moved = {name: pod for name, pod in memory.pods.items() if pod["node"] in node_names(self._lab, expected.rebuilt_machines)}
        if moved:

            def run_again() -> tuple[bool, str]:
                now = running_pods(self._api)
                waiting = [name for name, pod in moved.items() if now.get(name, {}).get("uid") != pod["uid"] or now[name]["containers"] == pod["containers"]]
                return not waiting, f"not running again: {' '.join(waiting)}" if waiting else f"{len(moved)} pods run again, under the same UIDs"

            self.check("drill.pods_again", "Pods of rebuilt machines run again", "all", "See kubectl describe pod.", run_again, wait=True)

    def _objects(self) -> None:
        picture = self._memory.picture

        def look() -> tuple[bool, str]:
            found = difference(picture, capture(self._lab.kubeconfig, api=self._api))
            return not found and found.same > 0, found.describe()

        self.check(
            "drill.objects",
            "Every object equals what was there at the recorded revision",
            f"{len(picture)} objects equal",
            "Compare the objects named with a restored copy.",
            look,
            wait=True,
        )

    def _secrets(self) -> None:
        def look() -> tuple[bool, str]:
            count = sum(1 for _one in self._api.items("/api/v1/secrets"))
            wrong = []
            for name, value in self._memory.planted.items():
                data = self._api.get(f"/api/v1/namespaces/{RUNNING}/secrets/planted-{name}")["data"]
                if base64.b64decode(data["password"]).decode() != value:
                    wrong.append(name)
            return count > 0 and not wrong, f"{count} decrypted" + (f", with wrong values: {' '.join(wrong)}" if wrong else "")

        self.check(
            "drill.secrets",
            "Secrets can be read: the keys of encryption at rest fit",
            "all decrypted, values equal",
            "The encryption configuration is not the one of the store.",
            look,
        )

        def look_at_rest() -> tuple[bool, str]:
            key = f"/registry/secrets/{RUNNING}/item-0000"
            value = etcdctl(self._lab, self._lab.topology.etcd[0].name, "get", key, "--print-value-only")
            return value.startswith(ENCRYPTED), f"{key} begins with {value[:20]!r}" if value.startswith(ENCRYPTED) else f"{key} is not encrypted"

        # Kubernetes 1.10, as CaaSP v3 had it, was not set up with encryption at rest.
        if not self._lab.topology.admin:
            self.check(
                "drill.encrypted",
                "Secrets lie encrypted in etcd",
                f"values begin with {ENCRYPTED}",
                "Look at the API server's encryption configuration.",
                look_at_rest,
            )

    def _token(self) -> None:
        def look() -> tuple[bool, str]:
            user = who_is(self._lab.kubeconfig, self._memory.token)
            return user == self._memory.token_user, user

        self.check(
            "drill.token", "A service-account token issued before still authenticates", self._memory.token_user, "The service-account key is another one.", look
        )

    def _marker(self) -> None:
        name = self._expected.marker
        if not name:
            return

        def look() -> tuple[bool, str]:
            try:
                self._api.get(f"{MARKERS}/{name}")
            except AnswerError as error:
                if error.status != 404:
                    raise
                return self._expected.rolled_back, "it is gone"
            return not self._expected.rolled_back, "it is there"

        if self._expected.rolled_back:
            self.check(
                "drill.rolled_back", "An object made after the recovery point is gone", "it is gone", "The store is not the one of the recovery point.", look
            )
        else:
            self.check(
                "drill.nothing_lost", "An object made after the recovery point is still there", "it is there", "The living cluster was rolled back.", look
            )

    def _schedules(self) -> None:
        name = f"{PROBE}{int(time.time() * 1000)}"
        labels = {"app": name}
        container = {"name": "main", "image": IMAGE, "imagePullPolicy": "Never", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
        pod = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]}
        template = {"metadata": {"labels": labels}, "spec": pod}
        body = {"metadata": {"name": name}, "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}}
        made = False

        def look() -> tuple[bool, str]:
            nonlocal made
            if not made:
                self._api.request("POST", DEPLOYMENTS, body=body)
                made = True
            ready = self._api.get(f"{DEPLOYMENTS}/{name}").get("status", {}).get("readyReplicas", 0)
            return ready == 1, f"{ready} of 1 ready" + ("" if ready else f": {self._stuck(name)}")

        self.check(
            "drill.schedules",
            "A new Deployment is scheduled and becomes ready",
            "1 of 1 ready",
            "See scheduler, controller manager and kubelet.",
            look,
            wait=True,
        )
        if made:
            self._remove_probe(name)

    def _remove_probe(self, name: str) -> None:
        """Delete the Deployment; its pod leaves the API server only when its containers are gone, so nothing of it stays on any machine."""

        def look() -> tuple[bool, str]:
            left = [one["metadata"] for path in (DEPLOYMENTS, PODS) for one in self._api.items(path) if one["metadata"]["name"].startswith(name)]
            if any(one["name"] == name and "deletionTimestamp" not in one for one in left):
                self._api.request("DELETE", f"{DEPLOYMENTS}/{name}", query={"propagationPolicy": "Foreground"})
            return not left, f"still there: {' '.join(one['name'] for one in left)}" if left else "all gone"

        self.check(
            "drill.removes",
            "The Deployment is removed again, with its pod",
            "all gone",
            "See controller manager and kubelet.",
            look,
            wait=True,
            limit_seconds=LIMIT_SECONDS,
        )

    def _stuck(self, deployment: str) -> str:
        """Which of the three that make a pod of a Deployment has not done its part yet, and who leads them."""
        leases = {one["metadata"]["name"]: one["spec"] for one in self._api.items("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases")}
        leaders = ", ".join(f"{name} led by {leases.get(name, {}).get('holderIdentity')}, renewed {leases.get(name, {}).get('renewTime')}" for name in LEASED)
        pods = [one for one in self._api.items(PODS) if one["metadata"]["labels"].get("app") == deployment]
        if not pods:
            return f"the controllers made no pod; {leaders}"
        status = pods[0]["status"]
        reasons = [f"{one['type']}={one['status']} {one.get('message', '')}".strip() for one in status.get("conditions", [])]
        states = [json.dumps(one["state"]) for one in status.get("containerStatuses", [])]
        return f"pod on {pods[0]['spec'].get('nodeName', 'no node')}, {status['phase']}; {'; '.join([*reasons, *states])}; {leaders}"

    def _etcd(self) -> None:
        machines = [node.name for node in self._lab.topology.etcd]

        def look() -> tuple[bool, str]:
            names = member_names(self._lab)
            members = json.loads(etcdctl(self._lab, machines[0], "member", "list", "-w", "json"))["members"]
            status = json.loads(etcdctl(self._lab, machines[0], "endpoint", "status", "--cluster", "-w", "json"))
            hashes = json.loads(etcdctl(self._lab, machines[0], "endpoint", "hashkv", "--cluster", "--rev", str(_common_revision(status)), "-w", "json"))
            known = {str(one["HashKV"]["hash"]) for one in hashes}
            learners = [one["name"] for one in members if one.get("isLearner")]
            alarms = etcdctl(self._lab, machines[0], "alarm", "list").strip()
            good = sorted(one["name"] for one in members) == sorted(names) and len(known) == 1 and len(hashes) == len(names) and not learners and not alarms
            found = f"members {' '.join(one['name'] for one in members)}; {len(known)} hash over {len(hashes)} members"
            return good, found + (f"; learners {learners}" if learners else "") + (f"; alarms {alarms}" if alarms else "")

        self.check(
            "drill.etcd",
            "etcd has all its members as voters, with one hash and no alarm",
            f"{len(machines)} members, one hash",
            "Look at etcdctl endpoint status.",
            look,
            wait=True,
        )

    def _v2_store(self) -> None:
        before = self._memory.v2

        def look() -> tuple[bool, str]:
            now = {node.name: v2_values(self._lab, node.name) for node in self._lab.topology.etcd}
            different = {name: sorted(key for key in {*values, *before} if values.get(key) != before.get(key)) for name, values in now.items()}
            bad = [f"{name}: {' '.join(keys[:3])} and {len(keys)} in all" for name, keys in different.items() if keys]
            return not bad, "; ".join(bad) or f"{len(before)} keys on each of {len(now)} members"

        self.check(
            "drill.v2_store",
            "The v2 store of etcd is equal key by key on every member, hidden keys too",
            f"{len(before)} keys equal",
            "Look at the keys.",
            look,
        )

    def _admin(self) -> None:
        """What an admin node is for: to know its cluster, to be obeyed by it, and to issue what it trusts."""
        memory = self._memory.admin
        if memory is None:
            return
        admin = AdminNode(self._lab)

        def rows() -> tuple[bool, str]:
            now = admin.rows()
            wrong = sorted(name for name in {*now, *memory.rows} if now.get(name) != memory.rows.get(name))
            return not wrong, f"different: {' '.join(wrong)}" if wrong else f"{len(now)} tables, {sum(len(one.splitlines()) for one in now.values())} rows"

        def keys() -> tuple[bool, str]:
            now = admin.accepted()
            wrong = sorted(name for name in {*now, *memory.keys} if now.get(name) != memory.keys.get(name))
            return not wrong, f"different: {' '.join(wrong)}" if wrong else f"that of the master, and {len(now) - 1} accepted"

        def entries() -> tuple[bool, str]:
            now = admin.entries()
            return now == memory.entries, f"{now.count('dn: ')} entries" + ("" if now == memory.entries else ", different")

        def answers() -> tuple[bool, str]:
            silent = admin.silent([*memory.minions.values(), "admin", "ca"])
            return not silent, f"silent: {' '.join(silent)}" if silent else f"{len(memory.minions) + 2} answer"

        def state() -> tuple[bool, str]:
            left = admin.unchanged_by_state(f"value-{time.time_ns():x}")
            return not left, f"not changed: {' '.join(left)}" if left else f"{len(admin.nodes)} nodes changed"

        def issues() -> tuple[bool, str]:
            node = self._lab.topology.workers[-1].name
            return admin.issue(node, memory.minions[node])

        def untouched() -> tuple[bool, str]:
            touched = [node for node, process in self._memory.minion_processes.items() if node in kept and admin.minion_process(node) != process]
            return not touched, f"started anew: {' '.join(touched)}" if touched else f"the same process on {' '.join(kept)}"

        def binds() -> tuple[bool, str]:
            who = admin.user_binds().strip()
            return who.startswith("dn:"), who

        kept = [name for name in self._expected.kept_machines if name in memory.minions]
        restore = "Restore this component again; docs/caasp3.md says how, and what its backup holds."
        self.check("drill.admin_rows", "Every row of the dashboard's database is as it was", f"{len(memory.rows)} tables equal", restore, rows)
        self.check("drill.admin_keys", "The Salt master and the accepted minions have the keys they had", f"{len(memory.keys)} equal", restore, keys)
        self.check("drill.admin_entries", "Every entry of the directory is as it was", "equal", restore, entries)
        self.check("drill.admin_bind", "A user of the directory can bind", f"dn:{USER}", restore, binds)
        self.check("drill.minions", "Every minion answers the master", "all", "See the minion's log.", answers, wait=True)
        if kept:
            self.check(
                "drill.minions_untouched", "Minions on machines that were not touched run on in the same process", "the same", "See the journal.", untouched
            )
        self.check("drill.configures", "A state applied now changes every node", "all", "Look at the pillar that the nodes get.", state)
        self.check(
            "drill.issues", "A certificate issued now is trusted by the node that gets it", "a new one, trusted", "See the journal of the minion ca.", issues
        )
        self._v2_store()

    def _calm(self) -> None:
        rebuilt = self._expected.rebuilt_machines

        def look() -> tuple[bool, str]:
            # What ended before the last start was stopped, by this recovery or by one that was killed on its way.
            begins = {name: max(self._expected.since, kubelet_started_at(self._lab, name)) for name in rebuilt}
            failures = {name: failed_containers(self._lab, name, begins[name], besides=PROBE) for name in rebuilt}
            # Controllers end themselves when they lose their lease, which a busy machine may cause; nothing else may fail, and nothing twice.
            bad = [
                f"{name}: {one} {len(times)} times" for name, found in failures.items() for one, times in found.items() if one not in LEASED or len(times) > 1
            ]
            once = [f"{name}: {one} at {times[0]}" for name, found in failures.items() for one, times in found.items() if one in LEASED and len(times) == 1]
            return not bad, "; ".join(bad) or "none" + (f" (one lost its lease once: {', '.join(once)})" if once else "")

        def look_at_units() -> tuple[bool, str]:
            restarts = {f"{name}: {unit}": count for name in rebuilt for unit, count in restarted_units(self._lab, name).items()}
            # As above: a controller that lost its lease once was restarted once.
            bad = [f"{one} {count} times" for one, count in restarts.items() if count > 1 or not one.endswith(tuple(f"{unit}.service" for unit in LEASED))]
            return not bad, "; ".join(bad) or "none" + (f" (lost its lease once: {', '.join(restarts)})" if restarts else "")

        if rebuilt and self._lab.topology.admin:
            self.check(
                "drill.calm_units", "No unit of a rebuilt machine was started over and over", "none", "See the journal of the unit named.", look_at_units
            )
            rebuilt = tuple(name for name in rebuilt if name not in {node.name for node in self._lab.topology.admin})
        if rebuilt:
            self.check("drill.calm", "Nothing on a rebuilt machine was started over and over", "none", "See the log of the container named.", look)


def _common_revision(status: Sequence[Mapping[str, Any]]) -> int:
    return min(int(one["Status"]["header"]["revision"]) for one in status)
