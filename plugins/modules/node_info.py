#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: Look at a cluster node, whatever is left of it
version_added: "0.1.0"
description:
  - One look at everything that a preflight compares, on a working node as on a bare one. It reads only and never fails because something is missing.
  - Each probe stands alone. One that fails answers null and leaves its reason in C(node.probe_errors).
  - >-
    A probe says that something is not there only where that is certain. A file that cannot be read, a link that leads to nothing, or a disk that
    fails, is a failed probe.
  - No secret is in the result. Digests are of public files only; keys are loaded to see that they fit.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
options:
  platform:
    description: The platform's facts, as the role C(lifeboat.cluster.platform) publishes them.
    type: dict
    required: true
  paths:
    description: Paths whose file systems' room is asked for. They need not exist.
    type: list
    elements: path
    default: [/, /var/lib/etcd, /var/lib/lifeboat, /var/tmp]
  names:
    description: Host names to look up, each within two seconds.
    type: list
    elements: str
    default: []
  units:
    description: Units to look at besides those of the platform's services.
    type: list
    elements: str
    default: []
  programs:
    description: Programs whose versions are asked for besides the usual ones.
    type: list
    elements: str
    default: []
  required_files:
    description:
      - Files and directories that a restore would bring to this machine in any case. They decide whether the machine is empty.
      - Without them, that is not known.
    type: list
    elements: path
  etcd_data_dir:
    description: Where the local member of etcd had its data, by a recovery point. It counts where nothing on this machine says it.
    type: path
    default: ""
  etcd_data_link:
    description: Where O(etcd_data_dir) led to, by the same recovery point, when it was a link.
    type: path
    default: ""
  etcd_storage_version:
    description: The storage version of the data that a restore would bring, as V(3.7.0). An C(etcdutl) of an older release is none for it.
    type: str
    default: ""
  certificates:
    description: >-
      Certificates, keys and kubeconfigs of this machine, as in O(lifeboat.cluster.certificate_info#module:checks). For which name they are made is
      not looked at.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Look at the node
  lifeboat.cluster.node_info:
    platform: "{{ lifeboat_platform_facts }}"
    names: "{{ groups['control_plane'] }}"
  register: looked
"""

RETURN = r"""
node:
  description: What was found.
  returned: always
  type: dict
  contains:
    hostname: {description: Name of the host., type: str}
    fqdn: {description: Full name, type: str}
    addresses: {description: Own addresses without loopback and link-local., type: list, elements: str}
    node_name: {description: "Under which name the cluster knows the host, by its kubelet's option or certificate; null where neither is there.", type: str}
    default_address: {description: The address from which the host reaches others; null without a route., type: str}
    machine_id: {description: Content of /etc/machine-id., type: str}
    boot_id: {description: Changes with every boot., type: str}
    now_epoch: {description: The host's clock in seconds since 1970., type: float}
    clock_ahead_seconds:
      description: >-
        By how many seconds, at least, the host's clock is ahead of the controller's; below zero when it is behind. What the look itself took is not counted.
      type: float
    uptime_seconds: {description: Time since boot., type: float}
    clock_synchronised: {description: Whether the kernel's clock is held by a time service; null when unknown., type: bool}
    python_version: {description: Version of the interpreter., type: str}
    kernel: {description: Release of the kernel., type: str}
    os: {description: "C(id), C(version) and C(name) of the distribution.", type: dict}
    architecture: {description: Machine type., type: str}
    cgroup_version: {description: 1 or 2., type: int}
    memory_bytes: {description: Memory., type: int}
    cpus: {description: Usable processors., type: int}
    login_user: {description: Who logged in before becoming root., type: str}
    space: {description: "For each path C(path), C(exists), C(mount), C(free_bytes), C(total_bytes), C(inodes_free), C(read_only).", type: list, elements: dict}
    units:
      description: >-
        By name C(load), C(active), C(sub), C(enabled), C(main_pid), C(restarts), C(same_seconds) (for how long the main process has been the same) and
        C(steady) (it runs, and has been the same for 12 s, or for 30 s where systemd had to start it again).
      type: dict
    containers:
      description: >-
        Each with C(id), C(name), C(state), C(attempt), C(image), C(pod), C(namespace), C(created_at), C(same_seconds) (for how long it has been there) and
        C(steady) (it runs, and has been there for 12 s).
      type: list
      elements: dict
    listening: {description: TCP ports on which something listens., type: list, elements: int}
    processes: {description: Process ids by name of the platform's processes., type: dict}
    flags: {description: "By process, those flags of its command line that say where data and partners are.", type: dict}
    images: {description: References of the images on the node., type: list, elements: str}
    versions: {description: "By program its version, or null.", type: dict}
    etcdutl:
      description: >-
        The C(etcdutl) that a restore would find, with C(source) V(host) or V(image), C(version) and C(path); null when one has to be shipped.
      type: dict
    etcd:
      description: >-
        C(data_dir), C(resolved) (without links), C(link) (where it leads to, when it is a link itself), C(to_link) (where a link that is to be made in its
        place leads to, as O(etcd_data_link) says and nothing is in the way), C(state) (V(absent), V(empty), or V(data): a database, a log or a v2 snapshot
        below C(member)), C(exists), C(is_mount) (whether it is, or lies on, a file system of its own), C(mount_source) (of the file system), C(member),
        C(size_bytes),
        C(newest_mtime), C(wal_files),
        C(owner), C(mode), C(restore_markers), C(asides), C(restores) (C(token), C(staged), C(used), C(revision_after) of each finished restore),
        C(release) (of the etcd that would serve them, by the tag of the image in its manifest; empty where that says nothing),
        C(cluster_id) (of which cluster the data are, as their log says) and C(revision) (how far the database is; null where it does not say).
        What etcd itself names, as its process, its manifest or its unit (C(flags_source)) says -
        C(flags_data_dir) with C(flags_state), C(flags_wal_dir) with C(wal_state) where the log is not in the data directory. C(in_use) says whether a
        running etcd works in C(data_dir), null when that is not known. C(would_start) says what the manifest of a member that runs names instead, where that
        is another directory.
      type: dict
    told:
      description: >-
        What flags of etcd and of the API server say of the platform's facts - a part of O(platform), to be laid over it, with C(etcd.data_dir),
        C(etcd.endpoint), C(etcd.client_port), C(etcd.peer_port), C(etcd.ca_cert), C(etcd.client_cert), C(etcd.client_key), C(api.server), C(api.port) and the
        ports of both services. Only what is known is in it.
      type: dict
    told_differently: {description: "Where RV(node.told) and O(platform) differ, in words.", type: list, elements: str}
    identity:
      description: >-
        C(ca_sha256), C(etcd_ca_sha256), C(front_proxy_ca_sha256), C(sa_pub_sha256) and C(encryption_sha256), null where the file is not there. Where the
        platform keeps no file with the public service-account key, C(sa_pub_sha256) is of what the private one shows in it. C(encryption_sha256) is of
        the encryption configuration that the API server of this host reads.
      type: dict
    manifests:
      description: >-
        C(live) and C(parked) manifests, C(images) that they name, and C(copies), live files that have the pod of another manifest: the kubelet starts them
        when that manifest goes.
      type: dict
    required_files:
      description: >-
        Of O(required_files) those C(expected), C(present) and C(missing); a directory without a file is missing. C(faults) has what does not load
        or does not belong together of O(certificates), where any of the files is there. Null without O(required_files).
      type: dict
    bare:
      description: >-
        Whether the machine is empty - none of O(required_files) is there, no data of etcd, and nothing of the platform runs. Null when that is not
        known, or one of the probes C(etcd), C(identity), C(record), C(lock), C(required_files) and C(bare_evidence) failed.
      type: bool
    bare_evidence:
      description: >-
        What says that it is not empty - files, data of etcd, and processes that systemd or the container runtime started for the platform. A process
        that only has such a name, or one that ends again at once, does not count.
      type: list
      elements: str
    record: {description: Restore record of this host., type: dict}
    lock: {description: Lock of a destructive run., type: dict}
    stale_staging: {description: "Leftovers of killed runs, each with C(path), C(age_seconds), C(size_bytes), C(owner).", type: list, elements: dict}
    resolv: {description: "C(nameservers), and how the look-up of the host's own name went: C(own_name), C(own_address), C(answers), C(seconds).", type: dict}
    name_resolution: {description: Address or null for each of O(names)., type: dict}
    probe_errors: {description: Reasons of probes that failed., type: dict}
    obstacles:
      description: >-
        What keeps a backup from being one of a whole, quiet machine, by subject - C(probes), C(record), C(lock), C(parked), C(manifests),
        C(etcd_directories) and C(etcd_log), each with C(in_the_way), C(found) and C(remedy). C(lock) also has C(stale), whether its run was silent for longer
        than the lock allows.
      type: dict
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.look.inspect import Question, look
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

SPEC: Dict[str, Any] = {
    "platform": {"type": "dict", "required": True},
    "paths": {"type": "list", "elements": "path", "default": ["/", "/var/lib/etcd", "/var/lib/lifeboat", "/var/tmp"]},
    "names": {"type": "list", "elements": "str", "default": []},
    "units": {"type": "list", "elements": "str", "default": []},
    "programs": {"type": "list", "elements": "str", "default": []},
    "required_files": {"type": "list", "elements": "path"},
    "certificates": {"type": "list", "elements": "dict", "default": []},
    "etcd_data_dir": {"type": "path", "default": ""},
    "etcd_data_link": {"type": "path", "default": ""},
    "etcd_storage_version": {"type": "str", "default": ""},
}


def body(call: Call) -> Dict[str, Any]:
    """Look."""
    return {"node": look(Question(**call.params))}


def main() -> None:
    """Entry point."""
    run(SPEC, body)


if __name__ == "__main__":
    main()
