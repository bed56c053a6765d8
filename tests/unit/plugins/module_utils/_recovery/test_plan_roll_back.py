# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a roll back of a living cluster decides, and what it does about another run before it."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.refusals import RecoveryRefused
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import HostView, host_view
from tests.unit.plugins.module_utils._recovery.clusters import MEMBERS, OLD, POINT, alive, bare, recover, restored, roll_back, serves, under_way


def test_roll_back_takes_every_member() -> None:
    plan = roll_back([alive("cp1"), alive("cp2"), alive("cp3"), alive("w1")])
    assert (plan.strategy, plan.etcd_hosts, plan.stop_hosts, plan.worker_hosts) == ("roll_back", list(MEMBERS), list(MEMBERS), ["w1"])


def test_roll_back_refuses_a_bare_member() -> None:
    with pytest.raises(RecoveryRefused, match="recover_cluster"):
        roll_back([alive("cp1"), bare("cp2"), alive("cp3")])


def test_a_roll_back_that_was_finished_is_history() -> None:
    """Case 10: the same command a second time rolls back a second time."""
    node = {"bare": False, "record": {"phase": "finished", "point": POINT.point, "strategy": "roll_back", "token": OLD.token}}
    assert host_view("cp1", ["etcd"], node, None).record is None
    plan = roll_back([alive(name) for name in MEMBERS])
    assert (plan.strategy, plan.adopted) == ("roll_back", False)


def rolled(host: HostView) -> HostView:
    assert host.record is not None
    return dataclasses.replace(host, record=dataclasses.replace(host.record, strategy="roll_back", playbook="restore_etcd"))


def test_a_roll_back_that_was_stopped_goes_on() -> None:
    plan = roll_back([rolled(restored("cp1")), rolled(restored("cp2", staged=True)), rolled(restored("cp3", "planned", staged=True))])
    assert (plan.strategy, plan.token, plan.etcd_hosts) == ("roll_back", OLD.token, list(MEMBERS))
    # It serves: nothing is put over anybody any more.
    plan = roll_back([rolled(serves("cp1")), rolled(serves("cp2")), rolled(restored("cp3", staged=True))])
    assert (plan.strategy, plan.etcd_hosts, plan.member_hosts) == ("finish_restore", [], ["cp3"])
    # Begun, and the old members were started again: it is rolled back, with another token.
    old = [rolled(restored(name, staged=True, etcd_data=True, etcd_serves=True, etcd_revision=POINT.etcd_revision + 60)) for name in MEMBERS]
    plan = roll_back(old)
    assert (plan.strategy, plan.etcd_hosts) == ("roll_back", list(MEMBERS))


def test_a_roll_back_over_an_unfinished_recovery_that_serves_rolls_back() -> None:
    plan = roll_back([serves("cp1"), serves("cp2"), serves("cp3")])
    assert (plan.strategy, plan.etcd_hosts) == ("roll_back", list(MEMBERS))
    assert plan.token != OLD.token
    assert plan.superseded == dict.fromkeys(MEMBERS, OLD.restore_id)


def test_a_roll_back_into_another_restore_is_refused() -> None:
    with pytest.raises(RecoveryRefused, match="Another restore is unfinished"):
        roll_back([restored("cp1"), restored("cp2"), restored("cp3")])
    lost = rolled(restored("cp2", restores=(), etcd_data=False))
    with pytest.raises(RecoveryRefused, match="etcd has run since, and cp2 was lost"):
        roll_back([rolled(restored("cp1", used=True)), lost, rolled(restored("cp3"))])


def test_a_roll_back_that_was_only_planned_does_not_make_a_living_cluster_a_ruin() -> None:
    assert recover([under_way(name, "planned", "roll_back") for name in MEMBERS]).strategy == "nothing"
