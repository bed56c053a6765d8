# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen of clusters that tests plan for: machines that live, are empty or stand still, their recovery point, and what earlier runs left.

The cluster at hand has three control planes that are its members of etcd, and a worker; one with other machines is made of the same parts.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.plan import plan_recovery, plan_roll_back
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.recovery_plan import RecoveryPlan
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.tokens import DEFAULT_REVISION_SLACK
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import HostView, InPlace, PointView, Record, Request, Seen

CA = "ab" * 32
NOW = 2_000_000.0
_REVISION = 5_000

# Any cluster


def point_of(members: Mapping[str, str], components: Mapping[str, Sequence[str]], **more: Any) -> PointView:
    """A recovery point of all of its machines; the first member gave the snapshot."""
    files = ["%s/%s.tar.zst.age" % (component, host) for host, given in components.items() for component in given if component != "etcd"]
    artifacts = (*files, "etcd/%s.db.zst.age" % next(iter(members)))
    return PointView("20261120T120000Z-aaaaaa", NOW - 600, CA, _REVISION, _REVISION + 100, members, artifacts, **more)


def living(name: str, groups: Sequence[str], **changes: Any) -> HostView:
    """A machine on which nothing is lost; a member of etcd serves, a little after the recovery point."""
    view = HostView(name, groups, bare=False, hostname=name, ca_sha256=CA)
    if "etcd" in groups:
        view = dataclasses.replace(
            view, etcd_data=True, etcd_answers=True, etcd_serves=True, etcd_data_newest=NOW - 5, etcd_revision=_REVISION + 50, etcd_own_revision=_REVISION + 50
        )
    return dataclasses.replace(view, **changes)


def empty(name: str, groups: Sequence[str]) -> HostView:
    """A machine with nothing that a restore would bring."""
    return HostView(name, groups, bare=True, hostname=name)


def seen_of(hosts: Sequence[HostView], components: Mapping[str, Sequence[str]], unreachable: Sequence[str] = (), **options: Any) -> Seen:
    """These machines, and what was asked for."""
    return Seen(hosts, components, Request(**{"now": NOW, "slack": DEFAULT_REVISION_SLACK, **options}), unreachable)


# The cluster at hand

MEMBERS = {name: "https://10.0.0.%d:2380" % number for number, name in enumerate(("cp1", "cp2", "cp3"), 1)}
COMPONENTS = {**dict.fromkeys(MEMBERS, ("pki", "node_config", "etcd")), "w1": ("node_config",)}
POINT = point_of(MEMBERS, COMPONENTS)


def _groups(name: str) -> Sequence[str]:
    return ("workers",) if name.startswith("w") else ("control_plane", "etcd")


def alive(name: str, **changes: Any) -> HostView:
    """A machine of this cluster. What a member says of the cluster's revision is its own, if nothing else is said."""
    own = {"etcd_own_revision": changes["etcd_revision"]} if "etcd_revision" in changes else {}
    return living(name, _groups(name), **{**own, **changes})


# Nobody lost anything.
LIVING = [alive(name) for name in COMPONENTS]


def bare(name: str) -> HostView:
    """An empty machine in the place of one of this cluster."""
    return empty(name, _groups(name))


def stopped(name: str) -> HostView:
    """A member that runs and has no quorum."""
    return alive(name, etcd_serves=False, etcd_answers=True)


def seen(hosts: Sequence[HostView], components: Mapping[str, Sequence[str]] | None = None, unreachable: Sequence[str] = (), **options: Any) -> Seen:
    """Machines of this cluster, and what was asked for."""
    return seen_of(hosts, components or COMPONENTS, unreachable, **options)


def recover(hosts: Sequence[HostView], point: PointView = POINT, **options: Any) -> RecoveryPlan:
    """The plan of a recovery."""
    return plan_recovery(seen(hosts, **options), point)


def roll_back(hosts: Sequence[HostView], point: PointView = POINT, **options: Any) -> RecoveryPlan:
    """The plan of a roll back."""
    return plan_roll_back(seen(hosts, **options), point)


# What an earlier run left of its restore

OLD = Record("20261120T121500Z-0001", POINT.point, "lifeboat-old", 2_000_000, "begun", "rebuild_cluster", restores_files=True)
SERVED = POINT.etcd_revision + OLD.bump_revision + 300


def under_way(name: str, phase: str, strategy: str = "rebuild_cluster", **changes: Any) -> HostView:
    """A machine with the record of that run."""
    record = dataclasses.replace(OLD, phase=phase, strategy=strategy, bump_revision=OLD.bump_revision if "cluster" in strategy else 0)
    return alive(name, **{"record": record, **changes})


def restored(name: str, phase: str = "begun", *, staged: bool = False, used: bool = False, **changes: Any) -> HostView:
    """What the unfinished restore left on a machine; not serving unless that is said."""
    place = InPlace(OLD.token, staged, used, POINT.etcd_revision + OLD.bump_revision)
    silent = {"etcd_serves": False, "etcd_answers": False, "etcd_revision": 0, "etcd_data": not staged}
    return under_way(name, phase, **{**silent, "restores": (place,), **changes})


def serves(name: str, phase: str = "started") -> HostView:
    """A member that serves what was restored."""
    return restored(name, phase, used=True, etcd_serves=True, etcd_answers=True, etcd_revision=SERVED)
