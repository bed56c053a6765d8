# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is made of: read from the outside, so that nothing of the product takes part in proving that it changed nothing."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.drill.verification import LEASED
from tests.lab import Lab

# Runs on the machine. Content, owner, mode and time of every file that a recovery could touch; the store's place by its inode.
_LOOK = r"""
import glob, hashlib, json, os, stat, subprocess
KUBELET = "/var/lib/kubelet/"
ROOTS = ["/etc", "/root", "/opt", "/usr/local", "/var/lib/lifeboat", KUBELET + "config.yaml", KUBELET + "kubeadm-flags.env", KUBELET + "pki"]
LEFT = ("/var/tmp/lifeboat*", "/tmp/ansible*", "/tmp/lifeboat*", "/root/.ansible/tmp/*", "/home/*/.ansible/tmp/*")
files = {}
def note(path):
    status = os.lstat(path)
    entry = [oct(status.st_mode), status.st_uid, status.st_gid]
    if stat.S_ISLNK(status.st_mode):
        entry.append(os.readlink(path))
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as stream:
            entry += [status.st_mtime_ns, hashlib.sha256(stream.read()).hexdigest()]
    files[path] = entry
for root in ROOTS:
    if os.path.lexists(root):
        note(root)
    for directory, names, others in os.walk(root):
        for name in names + others:
            note(os.path.join(directory, name))
store = {}
for path in glob.glob("/var/lib/etcd/*"):
    if not os.path.basename(path).startswith(".lab-"):
        status = os.lstat(path)
        store[path] = [status.st_ino, status.st_dev]
listing = subprocess.run(["crictl", "ps", "--output", "json"], capture_output=True, text=True).stdout
containers = {one["id"][:12]: one["metadata"]["name"] for one in json.loads(listing or "{}").get("containers", [])}
active = subprocess.run(["systemctl", "is-active", "kubelet"], capture_output=True, text=True).stdout.strip()
left = sorted(path for pattern in LEFT for path in glob.glob(pattern))
print(json.dumps({"files": files, "store": store, "containers": containers, "kubelet": active, "left": left}))
"""


@dataclass(frozen=True)
class Footprint:
    """One machine at one time."""

    files: dict[str, list[Any]] = field(repr=False)
    store: dict[str, list[int]]
    containers: dict[str, str]
    kubelet: str
    left: list[str]

    def changes(self, later: Footprint, *, containers: bool = True) -> list[str]:
        """What is different later."""
        found = [f"{path}: {self._how(path, later)}" for path in sorted({*self.files, *later.files}) if self.files.get(path) != later.files.get(path)]
        if self.store != later.store:
            found.append(f"etcd's data directory: {self.store} became {later.store}")
        if containers and self._steady() != later._steady():
            found.append(f"running containers: {self._steady()} became {later._steady()}")
        if self.kubelet != later.kubelet:
            found.append(f"kubelet: {self.kubelet} became {later.kubelet}")
        if new := sorted(set(later.left) - set(self.left)):
            found.append(f"left behind: {' '.join(new)}")
        return found

    def _steady(self) -> dict[str, str]:
        """Containers that end only when somebody ends them: those with a lease end themselves when a busy machine keeps them from renewing it."""
        return {one: name for one, name in self.containers.items() if name not in LEASED}

    def _how(self, path: str, later: Footprint) -> str:
        if path not in self.files:
            return "is new"
        return "is gone" if path not in later.files else "changed"


def footprint(lab: Lab, name: str) -> Footprint:
    """Look at one machine."""
    return Footprint(**json.loads(lab.node(name).run(["python3", "-c", _LOOK]).stdout))


def footprints(lab: Lab) -> dict[str, Footprint]:
    """Look at all machines at once."""
    names = [node.name for node in lab.topology.nodes]
    with ThreadPoolExecutor() as pool:
        return dict(zip(names, pool.map(lambda name: footprint(lab, name), names), strict=True))


def assert_untouched(before: dict[str, Footprint], after: dict[str, Footprint], *, containers: bool = True) -> None:
    """Nothing has changed on any machine."""
    changes = {name: found for name in before if (found := before[name].changes(after[name], containers=containers))}
    assert not changes, "\n".join(f"{name}: {change}" for name, found in changes.items() for change in found)
