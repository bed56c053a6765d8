#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_services
short_description: Stop and start the services of a cluster node in order, and prove it
version_added: "0.1.0"
description:
  - Stops or starts the services of a node (static pods of a kubelet, or systemd units) in groups, in order. Each group is proven before the next.
  - O(state=stopped) moves manifests out of the kubelet's directory while the kubelet runs, and proves that no container, no process and no listening
    port is left. Where no kubelet works, containers are stopped through the container runtime.
  - Manifests of static pods that are in no service of O(platform) (load balancers, virtual addresses, KMS plugins) are moved out before the kubelet is stopped,
    and back in when it starts, together with etcd, since the API server may need them. That they run is told, and nothing fails because of them.
  - Stopping, and putting data in place, is refused when the local etcd has its data in another directory than C(etcd.data_dir) of O(platform).
  - O(state=started) first puts restored files, host names and data directories in place, then starts the groups. An API server is let in when etcd
    answers a linearizable read, because an API server without etcd ends, and the kubelet waits ten seconds before it makes it again. Where data of etcd was
    restored on this host, the answer has to have the revision of the restore.
  - Everything can be run again after a kill, at any point.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
options:
  state:
    description: Whether the services are to run.
    type: str
    choices: [started, stopped]
    required: true
  platform:
    description: The platform's facts, as the role C(lifeboat.cluster.platform) publishes them.
    type: dict
    required: true
  services:
    description:
      - Names of services in order, each item a name or a list of names that are handled together. Take the lists C(start) and C(stop) of O(platform).
    type: list
    elements: raw
    required: true
  wait_seconds:
    description: How long each group may take.
    type: int
    default: 180
  until:
    description:
      - How far O(state=started) goes. With V(etcd_begun) it ends when the group with the local member of etcd has begun, and does not wait for the quorum, for
        which other hosts are needed; a second call without it does the rest. For plays with more hosts than Ansible has forks.
      - A host without a member of etcd only gets its files and data with V(etcd_begun).
    type: str
    choices: [ready, etcd_begun]
    default: ready
  files:
    description:
      - Captured files to restore before anything is started, each item one unpacked archive of M(lifeboat.cluster.host_archive_restore).
      - Running services are refused, if there is anything to restore.
    type: list
    elements: dict
    default: []
    suboptions:
      staging:
        description: Directory with the unpacked archive.
        type: path
        required: true
      restore_id:
        description: Name of this restore. The same name goes on with a restore that was killed.
        type: str
        required: true
      include:
        description: Globs of what to restore; everything when empty.
        type: list
        elements: str
      exclude:
        description: Globs of what to leave out.
        type: list
        elements: str
      never:
        description: Globs of what is refused unless it is in O(files[].named); the default is what could lock everybody out.
        type: list
        elements: str
      named:
        description: Globs that lift O(files[].never).
        type: list
        elements: str
      divert:
        description: Other places by path prefix; the default takes manifests to the parking, from where they are started in order.
        type: dict
      aside:
        description: Where replaced files go; the default is C(/var/lib/lifeboat/aside/<restore_id>).
        type: path
      extras:
        description: Whether files that the archive does not have stay, in the directories of O(files[].exact).
        type: str
        choices: [keep, aside]
        default: keep
      exact:
        description: Globs of directories that are to be exactly as captured.
        type: list
        elements: str
  hosts_entries:
    description: Names by address that are to stand in C(/etc/hosts). A kubelet without DNS waits ten seconds for each look at its own name.
    type: dict
    default: {}
  replace:
    description:
      - Data directories to put in place by rename before anything is started.
      - What a kill leaves half done is finished by the next run. What stood at the target is moved aside once, and never deleted.
    type: list
    elements: dict
    default: []
    suboptions:
      staged:
        description: The new data.
        type: path
        required: true
      target:
        description: Where it belongs.
        type: path
        required: true
      aside:
        description: Where present data goes, on the same file system.
        type: path
        required: true
  etcd:
    description: Overrides of C(platform.etcd) (C(endpoint), C(ca_cert), C(client_cert), C(client_key), C(data_dir), C(wal_into_data_dir)).
    type: dict
    default: {}
  api:
    description: Overrides of C(platform.api) (C(server), C(server_name), C(ca_cert), C(kubeconfigs), C(client_cert), C(client_key)).
    type: dict
    default: {}
  etcd_hash:
    description: After etcd has its quorum, compare the hashes of all members, and only then start what comes next.
    type: bool
    default: false
  refuse_if_unequal:
    description: With O(etcd_hash=true), fail when the members are not proven equal.
    type: bool
    default: true
  lock_owner:
    description:
      - The run that holds the lock of this host, as C(lock.owner) of M(lifeboat.cluster.restore_record) names it. Inside of a run
        (M(lifeboat.cluster.run_begin)) that has locked the host it need not be given; without a lock, none is looked at.
      - Before each change the lock has to be this run's; when another run took it, nothing more is changed. While this works and waits, the lock is
        renewed once a minute.
    type: dict
    default: {}
  record:
    description:
      - With O(state=started), what is written into the restore record of this host. V(begun) and V(started) write that it is being changed, before the first
        change; V(started) also that its services run, in the end (not with O(until=etcd_begun)).
    type: str
    choices: ['', begun, started]
    default: ''
"""

EXAMPLES = r"""
- name: Stop the control plane
  lifeboat.cluster.node_services:
    state: stopped
    platform: "{{ lifeboat_platform_facts }}"
    services: "{{ lifeboat_platform_facts.stop.control_plane }}"

- name: Start the control plane on restored data
  lifeboat.cluster.node_services:
    state: started
    platform: "{{ lifeboat_platform_facts }}"
    services: "{{ lifeboat_platform_facts.start.control_plane }}"
    hosts_entries:
      192.0.2.11: [cp1]
    replace:
      - staged: /var/lib/etcd/.lifeboat-restore-1/member
        target: /var/lib/etcd/member
        aside: /var/lib/etcd/.lifeboat-aside-1/member
    etcd_hash: true
"""

RETURN = r"""
state:
  description: The state that was asked for.
  returned: always
  type: str
plan:
  description: What would be done, or was. For O(state=stopped) a list of services, for O(state=started) C(files), C(hosts), C(replace) and C(services).
  returned: always
  type: raw
phases:
  description: Each phase with C(name), C(started_at) (seconds since 1970) and C(seconds).
  returned: when not in check mode
  type: list
  elements: dict
services:
  description: Each service with C(name), C(kind), C(state), C(changed) and C(evidence); when started also C(ready_at), C(ready_seconds), C(container_id),
    C(attempt), C(restarts) (in this call) and C(crash_looping).
  returned: when not in check mode
  type: list
  elements: dict
turns:
  description:
    - Members of etcd that check each other's data before they serve are started one after the other, because they would wait for each other.
    - Each entry has C(service), C(after) (peer URLs), C(seconds) and C(missing) (members that did not serve in time).
  returned: when started
  type: list
  elements: dict
other_static_pods:
  description:
    - Static pods that are in no service of O(platform). When started each has C(manifest), C(pod), C(state) (V(started), V(stopped), or V(unknown) where
      its containers can't be told), C(changed) and C(containers).
    - When stopped each has C(manifest), C(pod), C(changed) and C(left) (containers that go on running).
  returned: when not in check mode
  type: list
  elements: dict
alarms_disarmed:
  description: Alarms of a full store that came with restored data and were taken back, each with its member.
  returned: when started
  type: list
  elements: str
etcd_no_room:
  description: How large the database is and may be, where it has no room although what could be given back was; else empty.
  returned: when started
  type: str
left_parked:
  description: Files in the parking that nothing starts, such as copies that end in C(.bak).
  returned: when started
  type: list
  elements: str
files:
  description: For each of O(files) what was C(created), C(replaced), changed in C(attributes), C(moved_aside) and C(lost_attributes).
  returned: when started
  type: list
  elements: dict
hosts_conflicts:
  description: Names of O(hosts_entries) to which another line of the hosts file gives another address.
  returned: when started
  type: list
  elements: str
evidence:
  description: For O(state=stopped), one line for each service.
  returned: when stopped
  type: list
  elements: str
crash_looping:
  description: Whether any container was made anew in this call after it had ended, or is missing.
  returned: when started
  type: bool
first_change_at:
  description: When the first change was made, seconds since 1970; null when nothing was changed.
  returned: when not in check mode
  type: float
ready_at:
  description: When the API server was ready (on hosts without one, when all services were), seconds since 1970.
  returned: when started
  type: float
finished_at:
  description: When everything was done and proven, seconds since 1970.
  returned: when not in check mode
  type: float
etcd:
  description: C(revision), C(members) with their hashes, C(equal) (null when unknown) and C(reason); null without O(etcd_hash=true).
  returned: when started
  type: dict
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.lock import LockKeeper
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.record import BEGUN, STARTED, Store
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import LOCK_PATIENCE_SECONDS, Journal, Node, only_one, read_groups
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.start_plan import READY, UNTIL, StartRequest, plan_start
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.starting import start
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.stopping import plan_stop, stop
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

GLOBS: Dict[str, Any] = {"type": "list", "elements": "str"}
FILES: Dict[str, Any] = {
    "staging": {"type": "path", "required": True},
    "restore_id": {"type": "str", "required": True},
    "include": GLOBS,
    "exclude": GLOBS,
    "never": GLOBS,
    "named": GLOBS,
    "divert": {"type": "dict"},
    "aside": {"type": "path"},
    "extras": {"type": "str", "choices": ["keep", "aside"], "default": "keep"},
    "exact": GLOBS,
}
REPLACEMENT: Dict[str, Any] = {key: {"type": "path", "required": True} for key in ("staged", "target", "aside")}
SPEC: Dict[str, Any] = {
    "state": {"type": "str", "choices": ["started", "stopped"], "required": True},
    "platform": {"type": "dict", "required": True},
    "services": {"type": "list", "elements": "raw", "required": True},
    "wait_seconds": {"type": "int", "default": 180},
    "until": {"type": "str", "choices": list(UNTIL), "default": READY},
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILES},
    "hosts_entries": {"type": "dict", "default": {}},
    "replace": {"type": "list", "elements": "dict", "default": [], "options": REPLACEMENT},
    "etcd": {"type": "dict", "default": {}},
    "api": {"type": "dict", "default": {}},
    "etcd_hash": {"type": "bool", "default": False},
    "refuse_if_unequal": {"type": "bool", "default": True},
    "lock_owner": {"type": "dict", "default": {}},
    "record": {"type": "str", "choices": ["", BEGUN, STARTED], "default": ""},
}


def body(call: Call) -> Dict[str, Any]:
    """Plan; outside check mode, act and prove."""
    params = call.params
    node = Node(params["platform"])
    groups = read_groups(node.services, params["services"])
    owner = {name: value for name, value in params["lock_owner"].items() if value is not None}
    keeper = LockKeeper(owner) if owner else None
    journal = Journal(params["state"], guard=keeper.guard) if keeper else Journal(params["state"])
    if params["state"] == "stopped":
        plan = plan_stop(node, groups)
        diff = {"before": "", "after": "".join("%s: %s\n" % (item["service"], item["action"]) for item in plan if item["change"])}
        if call.check_mode:
            return {"changed": any(item["change"] for item in plan), "state": "stopped", "plan": plan, "diff": diff}
        with only_one(params["wait_seconds"] + LOCK_PATIENCE_SECONDS):
            return dict(stop(node, groups, params["wait_seconds"], journal), plan=plan, diff=diff)
    request = StartRequest(
        groups=groups,
        etcd=dict(params["platform"].get("etcd") or {}, **params["etcd"]),
        api=dict(params["platform"].get("api") or {}, **params["api"]),
        **{name: params[name] for name in ("files", "hosts_entries", "replace", "wait_seconds", "until", "etcd_hash", "refuse_if_unequal")},
    )
    if call.check_mode:
        planned = plan_start(node, request, rehearse=True)
        return {"changed": planned.changed, "state": "started", "plan": planned.as_dict(), "diff": planned.diff()}
    store = Store()
    with only_one(params["wait_seconds"] + LOCK_PATIENCE_SECONDS):
        if params["record"]:
            if keeper:
                # The record is another run's when the lock is.
                keeper.check()
            store.present({"phase": BEGUN})
        result = start(node, request, journal)
        if params["record"] == STARTED and params["until"] == READY:
            store.present({"phase": STARTED})
    for alarm in result["alarms_disarmed"]:
        call.warn(
            "The restored data had an alarm, which was taken back: %s. See that etcd has room (--quota-backend-bytes), and compact and defragment it." % alarm
        )
    if result["etcd_no_room"]:
        call.warn(
            "etcd has no room: %s are used, after what could be given back was. It refuses writes, so nodes cannot report and pods cannot start: raise "
            "--quota-backend-bytes in its manifest on every member." % result["etcd_no_room"]
        )
    for conflict in result["hosts_conflicts"]:
        call.warn("/etc/hosts: %s" % conflict)
    for path in result["left_parked"]:
        call.warn("%s is started by nobody: it is no manifest by its ending, or of a service that this machine does not have." % path)
    return result


def main() -> None:
    """Entry point."""
    run(SPEC, body)


if __name__ == "__main__":
    main()
