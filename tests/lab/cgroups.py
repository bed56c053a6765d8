# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups: every node gets a place of its own, and sees it as the root through a cgroup namespace.

systemd-nspawn wants every controller of a cgroup v1 kernel mounted under /sys/fs/cgroup, which many machines don't do. So the program that
becomes systemd-nspawn builds its own /sys/fs/cgroup in a private mount namespace; the machine's own is left as it is.
"""

from __future__ import annotations

from pathlib import Path

Step = tuple[str, ...]

MOUNT = "/sys/fs/cgroup"
PARENT = "lifeboat-lab"
# A group of cgroup v1 weighs as much as a single process beside it (1024), whatever runs inside. All labs together get the weight of 64:
# otherwise etcd and API servers starve, and time out, beside a compiler.
CPU_SHARES = str(64 * 1024)


def version_one_hierarchies(proc_cgroups: str, own_cgroups: str) -> list[str]:
    """Mount options of each cgroup v1 hierarchy: those in use as they are put together, the free ones one by one."""
    enabled = [fields[0] for fields in (line.split() for line in proc_cgroups.splitlines() if not line.startswith("#")) if fields[3] == "1"]
    together: list[str] = []
    for line in own_cgroups.splitlines():
        number, controllers, _path = line.split(":", 2)
        if number != "0" and controllers and not controllers.startswith("name="):
            together.append(controllers)
    taken = {controller for group in together for controller in group.split(",")}
    return together + [controller for controller in enabled if controller not in taken]


class Cgroups:
    """The steps (see launch.py) that make and remove a node's cgroups on this machine."""

    def __init__(self) -> None:
        self.unified = Path(MOUNT, "cgroup.controllers").exists()
        self._hierarchies = [] if self.unified else version_one_hierarchies(Path("/proc/cgroups").read_text(), Path("/proc/self/cgroup").read_text())

    @property
    def mode(self) -> str:
        """How this machine has its cgroups, for status output and errors."""
        return "unified v2" if self.unified else "v1"

    def _roots(self) -> list[str]:
        if self.unified:
            return [MOUNT]
        return [f"{MOUNT}/{options}" for options in self._hierarchies] + [f"{MOUNT}/systemd", f"{MOUNT}/unified"]

    def mount_steps(self) -> list[Step]:
        """Give this mount namespace a /sys/fs/cgroup with every hierarchy of the kernel."""
        if self.unified:
            return []
        steps: list[Step] = [("run", "mount", "-t", "tmpfs", "-o", "mode=755,size=4m", "cgroup", MOUNT)]
        for options in self._hierarchies:
            target = f"{MOUNT}/{options}"
            steps += [("directory", target), ("run", "mount", "-t", "cgroup", "-o", options, "cgroup", target)]
            if "," in options:
                steps += [("run", "ln", "-s", options, f"{MOUNT}/{single}") for single in options.split(",")]
        steps += [("directory", f"{MOUNT}/systemd"), ("run", "mount", "-t", "cgroup", "-o", "none,name=systemd", "cgroup", f"{MOUNT}/systemd")]
        steps += [("directory", f"{MOUNT}/unified"), ("run", "mount", "-t", "cgroup2", "cgroup2", f"{MOUNT}/unified")]
        return steps

    def join_steps(self, lab: str, node: str) -> list[Step]:
        """Make the cgroups of a node and put the calling process into them."""
        steps: list[Step] = []
        for root in self._roots():
            path = root
            controllers = root.rpartition("/")[2].split(",")
            for part in (PARENT, lab, node):
                if self.unified:
                    enable = " ".join(f"+{controller}" for controller in Path(MOUNT, "cgroup.controllers").read_text().split())
                    steps.append(("write", f"{path}/cgroup.subtree_control", enable))
                path = f"{path}/{part}"
                steps.append(("directory", path))
                if "cpuset" in controllers:
                    # A new cpuset is empty, and nothing can run in an empty one.
                    steps += [("copy", f"{path}/../cpuset.{kind}", f"{path}/cpuset.{kind}") for kind in ("cpus", "mems")]
                    steps.append(("write", f"{path}/cgroup.clone_children", "1"))
            if "cpu" in controllers:
                steps.append(("write", f"{root}/{PARENT}/cpu.shares", CPU_SHARES))
            steps.append(("attach", path))
        return steps

    def remove_steps(self, lab: str, node: str | None = None) -> list[Step]:
        """Kill what is left in the cgroups of a node (of a lab) and remove them."""
        steps: list[Step] = []
        for root in self._roots():
            directory = "/".join(part for part in (root, PARENT, lab, node) if part)
            steps += [("kill-cgroup", directory), ("remove-cgroup", directory)]
        return steps
