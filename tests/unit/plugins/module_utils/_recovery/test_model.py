# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole space of states in which members of etcd can be found, walked against what must hold in each; and carried out, killed, and run again.

A world is what is on every machine. A plan changes it in the order of the playbooks; a run may be killed before each step. Refusals are answered with
one of the ways that they name. From every state some way has to lead to a cluster that serves, and none may lose what a quorum acknowledged.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from typing import Any, Callable, Dict, Generator, Iterator, List, Optional, Sequence, Tuple

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.plan import plan_recovery, plan_roll_back
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.recovery_plan import RecoveryPlan
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.refusals import RecoveryRefused, Way
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.tokens import DEFAULT_REVISION_SLACK
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery.views import HostView, InPlace, PointView, Record, Request, Seen

NOW = 1_795_000_000.0
CA = "ab" * 32
NAMES = ("m1", "m2", "m3", "m4", "m5")
POINTS = ("this", "other")
SNAPSHOT = 5_000
OLD = "old"
STRAY = "stray"
CHOICES = ("", "recovery_point", "survivor", "members")
MOST_RUNS = 8


@dataclasses.dataclass(frozen=True)
class Member:
    """One machine of group etcd. ``data`` names the lineage of its store; ``up``: its etcd runs; ``staged``: what waits beside the data."""

    files: str = "all"
    data: str = OLD
    up: bool = True
    used: bool = True
    staged: str = ""
    record: Optional[Record] = None


@dataclasses.dataclass(frozen=True)
class World:
    """All machines, who votes in each lineage, and at which revision each serves."""

    members: Tuple[Member, ...]
    voters: Tuple[Tuple[str, Tuple[int, ...]], ...]
    revisions: Tuple[Tuple[str, int], ...]

    def serves(self, lineage: str) -> bool:
        """Whether a quorum of its voters runs."""
        voters = dict(self.voters).get(lineage, ())
        running = [number for number in voters if number < len(self.members) and self.members[number].up and self.members[number].data == lineage]
        return bool(voters) and len(running) > len(voters) // 2

    def changed(self, number: int, **changes: Any) -> World:
        """With another state of one machine."""
        members = list(self.members)
        members[number] = dataclasses.replace(members[number], **changes)
        return dataclasses.replace(self, members=tuple(members))

    def lineage(self, name: str, voters: Sequence[int], revision: int) -> World:
        """With one more lineage, or other voters of one."""
        return dataclasses.replace(
            self,
            voters=tuple(sorted({**dict(self.voters), name: tuple(voters)}.items())),
            revisions=tuple(sorted({**dict(self.revisions), name: max(revision, dict(self.revisions).get(name, 0))}.items())),
        )


def token(point: str) -> str:
    return "lifeboat-%s-t" % point


def record(point: str, phase: str, choice: str = "", strategy: str = "rebuild_cluster") -> Record:
    return Record("id-" + token(point), point, token(point), 2_000_000, phase, strategy, choice=choice, restores_files=True, playbook="recover_cluster")


def phase_of(found: Optional[Record], token_: str = "") -> str:
    """How far a restore is, of this token if one is given."""
    return found.phase if found is not None and token_ in ("", found.token) else ""


def world_of(members: Sequence[Member]) -> World:
    size = tuple(range(len(members)))
    world = World(tuple(members), (), ()).lineage(OLD, size, SNAPSHOT + 50).lineage(STRAY, size[:1], 3)
    for point in POINTS:
        world = world.lineage(token(point), size, SNAPSHOT + 2_000_000 + 100)
    return world


def view(world: World, number: int) -> HostView:
    member = world.members[number]
    bare = member.files == "none" and not member.data and not member.up
    places = [InPlace(member.staged, True, False, SNAPSHOT + 2_000_000)] if member.staged else []
    if member.data.startswith("lifeboat-"):
        places.append(InPlace(member.data, False, member.used, SNAPSHOT + 2_000_000))
    revision = dict(world.revisions).get(member.data, 0) if member.up else 0
    return HostView(
        NAMES[number],
        ("control_plane", "etcd"),
        bare=bare,
        hostname=NAMES[number],
        missing_files=() if member.files == "all" else ("/etc/kubernetes/pki",),
        ca_sha256=None if member.files == "none" else CA,
        etcd_data=bool(member.data),
        etcd_answers=member.up,
        etcd_serves=member.up and world.serves(member.data),
        etcd_data_newest=NOW - 5 if member.data else None,
        etcd_data_cluster=member.data,
        etcd_revision=revision,
        etcd_own_revision=revision,
        record=member.record,
        restores=tuple(places),
    )


def point_of(name: str, size: int) -> PointView:
    artifacts = ["etcd/snapshot.db.zst.age"] + ["pki/%s.tar.zst.age" % host for host in NAMES[:size]]
    return PointView(name, NOW - 600, CA, SNAPSHOT, SNAPSHOT + 100, {host: "https://%s:2380" % host for host in NAMES[:size]}, artifacts)


def seen(world: World, scope: Sequence[str] = (), choice: str = "", give_up: Sequence[str] = (), survivor: str = "") -> Seen:
    hosts = [view(world, number) for number in range(len(world.members))]
    hosts = [dataclasses.replace(host, record=None) if host.record and host.record.restore_id in give_up else host for host in hosts]
    return Seen(
        hosts,
        {host.name: ("pki", "etcd") for host in hosts},
        Request(NOW, DEFAULT_REVISION_SLACK, scope=scope, quorum_lost_source=choice, survivor=survivor, give_up=give_up),
    )


# States

KINDS: Dict[str, Member] = {
    "alive": Member(),
    "silent": Member(up=False),
    "empty": Member(files="none", data="", up=False),
    "no data": Member(data="", up=False),
    "half-emptied": Member(files="some", up=False),
    "new system disk": Member(files="none", up=False),
    "began by itself": Member(data=STRAY),
    "restored": Member(data=token("this"), up=False, used=False),
    "restored, served": Member(data=token("this")),
    "restored from the other point": Member(data=token("other")),
    "staged": Member(staged=token("this"), up=False),
    "staged, empty": Member(files="none", data="", up=False, staged=token("this")),
}
RECORDS: Dict[str, Optional[Record]] = {
    "none": None,
    **{"%s %s" % (phase, point): record(point, phase) for point in POINTS for phase in ("planned", "begun", "started")},
    "chosen this": record("this", "begun", "recovery_point"),
    "added this": record("this", "added", strategy="rebuild_members"),
}
FEW_KINDS = ("alive", "silent", "empty", "no data", "restored, served", "staged")
FEW_RECORDS = ("none", "begun this", "begun other")


def states(size: int) -> Iterator[World]:
    """Every combination, whatever the order of the machines; of four and five members those of the kinds that matter to a quorum."""
    kinds, records = (list(KINDS), list(RECORDS)) if size <= 2 else (list(KINDS), ["none", "planned this", "begun this", "begun other", "started this"])
    if size > 3:
        kinds, records = list(FEW_KINDS), list(FEW_RECORDS)[: 3 if size == 4 else 2]
    singles = [dataclasses.replace(KINDS[kind], record=RECORDS[record_]) for kind in kinds for record_ in records]
    for members in itertools.combinations_with_replacement(singles, size):
        yield world_of(members)


# What must hold for every plan


def check_plan(plan: RecoveryPlan, what: Seen) -> None:
    hosts = {host.name: host for host in what.hosts}
    quorum = [name for name, host in hosts.items() if host.etcd_serves and host.etcd_revision >= SNAPSHOT]
    touched = set(plan.file_hosts + plan.etcd_hosts + plan.member_hosts + plan.stop_hosts)
    assert not set(plan.etcd_hosts) & set(plan.member_hosts)
    assert not plan.left_hosts or not touched & set(plan.left_hosts)
    if quorum:
        assert not plan.etcd_hosts, "a snapshot over a member while a quorum lives"
        for name in quorum:
            broken = name in what.request.scope and hosts[name].needs_files
            adding = broken or phase_of(hosts[name].record) == "added"
            assert name not in plan.member_hosts or adding, "a member that serves is torn down"
            assert name not in plan.stop_hosts or adding, "a member that serves is stopped"
        for name in touched - set(what.request.scope):
            host = hosts[name]
            # What an unfinished restore was to put there, confirmed then, is named too.
            named = host.record is not None and host.record.token == plan.token
            assert host.bare or host.under_way or not host.etcd_data or named, "%s was neither empty nor named" % name
    if plan.etcd_hosts and not what.request.quorum_lost_source:
        for name in plan.etcd_hosts:
            place = hosts[name].restored(plan.token)
            answered = any(host.record is not None and host.record.token == plan.token and host.record.choice for host in hosts.values())
            assert not hosts[name].etcd_data or (place is not None and not place.staged) or answered, "data of %s are replaced and nobody was asked" % name
    check_adopted(plan, what)
    if plan.source == "survivor" and plan.survivor:
        assert hosts[plan.survivor].etcd_data


def check_adopted(plan: RecoveryPlan, what: Seen) -> None:
    hosts = {host.name: host for host in what.hosts}
    if plan.adopted and plan.etcd_hosts:
        # The same raft member with an empty log must not come to life beside one that has acknowledged writes.
        without = [name for name in plan.etcd_hosts if hosts[name].restored(plan.token) is None and (hosts[name].record is None or hosts[name].under_way)]
        used = [
            name
            for name in plan.etcd_hosts
            if (place := hosts[name].restored(plan.token)) is not None and not place.staged and place.used and hosts[name].etcd_data
        ]
        assert not (without and used), "%s becomes a member that %s may have had acknowledgements from" % (without, used)


def check_roll_back(plan: RecoveryPlan, what: Seen) -> None:
    """What is stopped in the middle goes on only where no member forgets what it acknowledged; every member gets the recovery point."""
    check_adopted(plan, what)
    if plan.strategy == "roll_back":
        assert set(plan.etcd_hosts) | set(plan.member_hosts) == {host.name for host in what.etcd_hosts}


# Carrying out


Steps = Generator[World, None, World]
Write = Callable[[World, str, str], World]


def steps(world: World, plan: RecoveryPlan) -> Iterator[World]:
    """The world after every step of a run, in the order of the playbooks. A run that is killed leaves the one before."""
    number = {name: index for index, name in enumerate(NAMES[: len(world.members)])}
    mine = record(plan.point, "planned", plan.choice, plan.strategy)
    mine = dataclasses.replace(mine, token=plan.token, restore_id="id-" + plan.token, bump_revision=plan.bump_revision, source=plan.source)

    def write(now: World, name: str, phase: str) -> World:
        old = now.members[number[name]].record
        phase = old.phase if phase == "planned" and old is not None and old.token == plan.token else phase
        return now.changed(number[name], record=dataclasses.replace(mine, phase=phase, restores_files=name in plan.file_hosts))

    world = yield from started(world, plan, number, write)
    lineage = next((member.data for member in world.members if member.up and world.serves(member.data)), "")
    if not lineage:
        return
    for name in plan.start_hosts:
        if name in plan.planned_hosts:
            world = write(world, name, "started")
            yield world
    for name in plan.member_hosts:
        added = phase_of(world.members[number[name]].record, plan.token) == "added"
        if not (added and world.members[number[name]].up):
            world = yield from joined(world, name, number[name], lineage, write)
        world = write(world, name, "started")
        yield world
    for name in plan.record_hosts:
        world = world.changed(number[name], record=None)
        yield world


def started(world: World, plan: RecoveryPlan, number: Dict[str, int], write: Write) -> Steps:
    """What the plan restores is put in place, and started."""
    for name in plan.planned_hosts:
        world = write(world, name, "planned")
        yield world
    fresh = [name for name in plan.etcd_hosts if world.members[number[name]].data != plan.token]
    for name in fresh:
        world = world.changed(number[name], staged=plan.token)
        yield world
    for name in plan.stop_hosts:
        world = world.changed(number[name], up=False)
        yield world
    if plan.etcd_hosts:
        world = world.lineage(plan.token, [number[name] for name in plan.etcd_hosts], SNAPSHOT + 2_000_000)
    for name in plan.start_hosts:
        index = number[name]
        if name in plan.planned_hosts:
            world = write(world, name, "begun")
            yield world
        if name in plan.file_hosts:
            world = world.changed(index, files="all")
            yield world
        if name in fresh:
            world = world.changed(index, data=plan.token, staged="", used=False)
            yield world
    for name in plan.start_hosts:
        index = number[name]
        runs = world.members[index].files == "all" and bool(world.members[index].data)
        world = world.changed(index, up=runs, used=world.members[index].used or runs)
        yield world
    return world


def joined(world: World, name: str, index: int, lineage: str, write: Write) -> Steps:
    """A member leaves, and comes back empty."""
    world = write(world, name, "begun").changed(index, files="all", data="", staged="")
    yield world
    voters = [voter for voter in dict(world.voters)[lineage] if voter != index]
    world = write(world.lineage(lineage, voters, 0), name, "added")
    yield world
    world = world.changed(index, up=True, data=lineage, used=True).lineage(lineage, [*voters, index], 0)
    yield world
    return world


def whole(world: World) -> bool:
    """Whether every member serves one lineage."""
    first = world.members[0].data
    return all(member.up and member.data == first for member in world.members) and world.serves(first)


class DeadEnd(AssertionError):
    """No way leads on."""


def repaired(world: World) -> World:
    """What a person can do who starts what only stands still: the machine is switched on again."""
    for index, member in enumerate(world.members):
        if member.files == "all" and member.data and not member.up:
            world = world.changed(index, up=True)
    return world


def answers(world: World, ways: Sequence[Way], before: Dict[str, str]) -> Iterator[Tuple[World, Dict[str, str]]]:
    """The world and the options of the next run, for each way that a refusal names."""
    for way in ways:
        options = dict(way.variables)
        if way.repair:
            yield repaired(world), before
        elif way.playbook == "backup_cluster":
            continue
        elif "recovery_point_id" in options:
            yield world, {"point": options["recovery_point_id"]} if options["recovery_point_id"] in POINTS else {}
        elif "node_to_recover" in options:
            yield world, {"scope": options["node_to_recover"]}
        else:
            yield world, {**before, **options}


def run(world: World, options: Dict[str, str]) -> Tuple[Optional[RecoveryPlan], Sequence[Way]]:
    """One run: a plan, or the ways that its refusal names."""
    scope = [options["scope"]] if "scope" in options else []
    what = seen(
        world,
        scope,
        options.get("quorum_lost_source", ""),
        [one for one in options.get("lifeboat_give_up", "").split(",") if one],
        options.get("quorum_lost_survivor", ""),
    )
    try:
        plan = plan_recovery(what, point_of(options.get("point", "this"), len(world.members)))
    except RecoveryRefused as refusal:
        return None, refusal.ways
    check_plan(plan, what)
    return plan, ()


def finish(world: World, options: Optional[Dict[str, str]] = None, left: int = MOST_RUNS) -> int:
    """Run again and again until the cluster is whole, answering each refusal with the first of its ways that leads there; how many runs that took."""
    options = options or {}
    if left < 0:
        raise DeadEnd("%d runs, and no end: %s" % (MOST_RUNS, world))
    plan, ways = run(world, options)
    if plan is not None:
        after = [world, *steps(world, plan)][-1]
        if whole(after):
            return 1
        if after == world:
            raise DeadEnd("the plan changes nothing, and the cluster is not whole: %s\n%s" % (plan, world))
        return 1 + finish(after, {"point": options.get("point", "this")}, left - 1)
    for after, answer in answers(world, ways, options):
        if (after, answer) == (world, options):
            continue
        try:
            return 1 + finish(after, answer, left - 1)
        except DeadEnd:
            continue
    raise DeadEnd("none of these leads on from %s with %s: %s" % (world, options, "; ".join(map(str, ways))))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_every_state_has_a_plan_that_loses_nothing_or_a_refusal_that_leads_on(size: int) -> None:
    count: Counter[str] = Counter()
    for world in states(size):
        count["states"] += 1
        for choice, scope in itertools.product(CHOICES, ([], ["m1"])):
            what = seen(world, scope, choice)
            try:
                plan = plan_recovery(what, point_of("this", size))
            except RecoveryRefused as refusal:
                count["refused"] += 1
                count["dead ends"] += not refusal.ways
                continue
            check_plan(plan, what)
            count[plan.situation] += 1
        for choice in CHOICES:
            try:
                check_roll_back(plan_roll_back(what := seen(world, (), choice), point_of("this", size)), what)
            except RecoveryRefused as refusal:
                count["dead ends"] += not refusal.ways
            else:
                count["rolled back"] += 1
    print("%d members: %s" % (size, ", ".join("%s %d" % item for item in sorted(count.items()))))
    assert count["states"] > 100
    assert not count["dead ends"]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_from_every_state_runs_lead_to_a_cluster_that_serves(size: int) -> None:
    worlds = list(states(size))
    every = 1 if size < 3 else 7
    longest = max(finish(world) for world in worlds[::every])
    print("%d members: %d states, at most %d runs" % (size, len(worlds[::every]), longest))


@pytest.mark.parametrize("choice", CHOICES[1:])
@pytest.mark.parametrize("kinds", list(itertools.combinations_with_replacement(["alive", "silent", "empty", "new system disk", "half-emptied"], 3)))
def test_a_run_that_is_killed_anywhere_is_finished_by_the_next(kinds: Sequence[str], choice: str) -> None:
    """At every step, and once more in the run that follows."""
    world = world_of([KINDS[kind] for kind in kinds])
    options = {"quorum_lost_source": choice}
    plan, _ways = run(world, options)
    if plan is None:
        return
    for killed in steps(world, plan):
        finish(killed, options)
        again, _ways = run(killed, options)
        if again is None:
            continue
        twice: List[World] = list(steps(killed, again))
        for dead in twice[:: max(1, len(twice) // 5)]:
            finish(dead, options)
