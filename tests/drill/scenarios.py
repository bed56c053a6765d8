# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disasters: what each destroys, and what recovery is to make of it. Destroying is the lab's and the tests' business only."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.lab import Lab

# Random bytes over every fourth page, from the third on: the file stays, and nothing in it can be trusted any more.
_OVERWRITE = """\
set -eu
pages=$(($(stat -c %s "$1") / 4096))
page=2
while [ "$page" -lt "$pages" ]; do
    dd if=/dev/urandom of="$1" bs=4096 count=1 seek="$page" conv=notrunc status=none
    page=$((page + 4))
done
sync "$1"
"""


@dataclass(frozen=True)
class Scenario:
    """One way to lose a cluster."""

    name: str
    title: str
    destroy: Callable[[Lab], None]
    rebuilt: Callable[[Lab], list[str]]
    rolls_back: Callable[[Lab], bool] = lambda _lab: True
    loses_controller: bool = False
    must_choose: Callable[[Lab], bool] = lambda _lab: False
    topologies: tuple[str, ...] = ("single", "ha")


def control_plane(lab: Lab) -> list[str]:
    """The names of the control-plane machines."""
    return [node.name for node in lab.topology.control_plane]


def members(lab: Lab) -> list[str]:
    """The names of the machines with a member of etcd: control planes, mostly."""
    return [node.name for node in lab.topology.etcd]


def never(_lab: Lab) -> bool:
    """Of a disaster that leaves a quorum of etcd: nothing goes back in time."""
    return False


def always(_lab: Lab) -> bool:
    """Of a disaster after which there is always something to decide."""
    return True


def kept_members(lab: Lab) -> list[str]:
    """The machines with a member of etcd that are left when all control planes are lost."""
    return [node.name for node in lab.topology.etcd if not node.control_plane]


def without_quorum(lab: Lab) -> bool:
    """Whether fewer than a majority of the members is left when all control planes are lost."""
    return 2 * len(kept_members(lab)) <= len(members(lab))


def control_plane_and_members(lab: Lab) -> list[str]:
    """What is anew after the loss of all control planes; a roll-back makes the members that were left anew, too."""
    return control_plane(lab) + (kept_members(lab) if without_quorum(lab) else [])


def few_members(lab: Lab) -> bool:
    """Whether members are left and no quorum of them, when all control planes are lost."""
    return without_quorum(lab) and bool(kept_members(lab))


def admin(lab: Lab) -> list[str]:
    """The names of the machines that manage the cluster from outside."""
    return [node.name for node in lab.topology.admin]


def everything(lab: Lab) -> list[str]:
    """The names of all machines."""
    return [node.name for node in lab.topology.nodes]


def corrupt(lab: Lab) -> None:
    """Overwrite a part of the database of every member, and end etcd, which now cannot start any more."""

    def overwrite(name: str) -> None:
        node = lab.node(name)
        node.run(["sh", "-c", _OVERWRITE, "overwrite", f"{node.plan.etcd_directory}/member/snap/db"])
        containers = node.run(["crictl", "ps", "--quiet", "--name", "^etcd$"]).stdout.split()
        if containers:
            node.run(["crictl", "stop", "--timeout", "0", *containers], check=False)

    with ThreadPoolExecutor() as pool:
        list(pool.map(overwrite, members(lab)))


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "bomb",
            "every machine is emptied, and the controller's working files are gone",
            lambda lab: lab.reset(bare=True),
            everything,
            loses_controller=True,
            topologies=("single", "ha", "caasp"),
        ),
        Scenario(
            "admin",
            "the admin node is emptied, its cluster goes on",
            lambda lab: lab.reset(admin(lab), bare=True),
            admin,
            never,
            topologies=("caasp",),
        ),
        Scenario(
            "control-plane",
            "every control-plane machine is emptied, the workers go on",
            lambda lab: lab.reset(control_plane(lab), bare=True),
            control_plane_and_members,
            without_quorum,
            must_choose=few_members,
        ),
        Scenario(
            "member",
            "one machine with a member of etcd is emptied while a quorum lives",
            lambda lab: lab.reset(members(lab)[1:2], bare=True),
            lambda lab: members(lab)[1:2],
            never,
            topologies=("ha", "caasp"),
        ),
        Scenario(
            "quorum",
            "all machines with a member of etcd but one are emptied: a survivor, and no quorum",
            lambda lab: lab.reset(members(lab)[1:], bare=True),
            members,
            must_choose=always,
            topologies=("ha",),
        ),
        Scenario("corrupt", "etcd's database is overwritten on every member", corrupt, lambda _lab: [], must_choose=always),
    )
}
