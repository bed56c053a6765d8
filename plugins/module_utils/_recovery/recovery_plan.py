# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan: which machine gets what, and the groups that plays run on. How it is decided stands in plan.py."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List


@dataclasses.dataclass
class RecoveryPlan:
    """Who gets what. Lists hold inventory host names.

    ``etcd_hosts`` get the snapshot, ``member_hosts`` leave and join a living cluster, ``file_hosts`` get keys and configuration, ``stop_hosts`` must be
    brought to a stop first, ``start_hosts`` are started with the control plane, and those of them that are ``api_hosts`` when the members of etcd serve,
    ``admin_hosts`` are rebuilt before every other machine, ``worker_hosts`` start last, ``verify_hosts`` are verified in the end.
    ``left_hosts`` lack something and are not touched.

    ``speaker`` is asked about the cluster as a whole, and about ``rebuilt_hosts`` alone where some machine is unreachable or left as it is. ``voters`` is the
    number of members in the end. ``record_hosts`` have a restore record that this run closes; ``superseded`` has the ids of those that it makes history.
    ``restored_components`` are brought onto each host out of the recovery point.
    """

    strategy: str
    reason: str
    point: str
    situation: str = ""
    token: str = ""
    bump_revision: int = 0
    adopted: bool = False
    source: str = "recovery_point"
    choice: str = ""
    survivor: str = ""
    file_hosts: List[str] = dataclasses.field(default_factory=list)
    etcd_hosts: List[str] = dataclasses.field(default_factory=list)
    member_hosts: List[str] = dataclasses.field(default_factory=list)
    admin_hosts: List[str] = dataclasses.field(default_factory=list)
    stop_hosts: List[str] = dataclasses.field(default_factory=list)
    start_hosts: List[str] = dataclasses.field(default_factory=list)
    api_hosts: List[str] = dataclasses.field(default_factory=list)
    worker_hosts: List[str] = dataclasses.field(default_factory=list)
    living_hosts: List[str] = dataclasses.field(default_factory=list)
    living_members: List[str] = dataclasses.field(default_factory=list)
    verify_hosts: List[str] = dataclasses.field(default_factory=list)
    rebuilt_hosts: List[str] = dataclasses.field(default_factory=list)
    left_hosts: List[str] = dataclasses.field(default_factory=list)
    speaker: str = ""
    voters: int = 0
    record_hosts: List[str] = dataclasses.field(default_factory=list)
    restored_components: Dict[str, List[str]] = dataclasses.field(default_factory=dict)
    give_up: List[str] = dataclasses.field(default_factory=list)
    superseded: Dict[str, str] = dataclasses.field(default_factory=dict)
    initial_cluster: Dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def prepare_hosts(self) -> List[str]:
        """Machines onto which something is brought."""
        return list(dict.fromkeys(self.file_hosts + self.etcd_hosts))

    @property
    def planned_hosts(self) -> List[str]:
        """Machines whose restore record says what is about to happen: something is brought onto them, or they join anew with the files that they have."""
        return list(dict.fromkeys(self.file_hosts + self.etcd_hosts + self.member_hosts))

    def groups(self, name: str) -> List[str]:
        """Groups of the plan that a machine belongs to, without the prefix of their names."""
        if self.strategy == "nothing":
            looked_at = (["verify"] if name in self.verify_hosts else []) + (["cluster"] if name == self.speaker else [])
            return (["changes"] if self.give_up else []) + looked_at
        lists = {
            "planned": self.planned_hosts,
            "prepare": self.prepare_hosts,
            "record": self.record_hosts,
            "verify": self.verify_hosts,
            "stop": self.stop_hosts,
            "admin": self.admin_hosts,
            "control_plane": [host for host in self.start_hosts if host not in self.api_hosts],
            "api_servers": self.api_hosts,
            "survivor": [self.survivor],
            "members": self.member_hosts,
            "workers": self.worker_hosts,
            "cluster": [self.speaker],
        }
        return ["changes"] + [group for group, hosts in lists.items() if name in hosts]

    def given_up(self, name: str) -> List[str]:
        """Ids of unfinished restores whose record on a machine becomes history."""
        return self.give_up + ([self.superseded[name]] if name in self.superseded else [])

    def as_dict(self) -> Dict[str, Any]:
        """Plain values for a module result."""
        return dict(dataclasses.asdict(self), prepare_hosts=self.prepare_hosts)
