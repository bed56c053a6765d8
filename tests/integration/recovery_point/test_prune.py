# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pruning as an operator does it, with the playbooks; and in a bucket with versions and object lock."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import tombstones
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention import pruning
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention.retention import FINISH, REMOVE, Policy
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ClockSkewError, ObjectLockedError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.s3.s3 import S3Location
from tests.integration import playbooks
from tests.s3_server import PRUNER_ACTIONS, S3Server
from tests.unit.plugins.module_utils._recovery_point.aging import Past
from tests.unit.plugins.module_utils._recovery_point.making import Keys

RUN = "20261004T180000Z-prune-0001"
LAST = Policy(keep_last=1)
_numbers = itertools.count(1)


# -- the playbooks -------------------------------------------------------------------------------------------------------------------


class Operator:
    """Somebody with an inventory."""

    def __init__(self, directory: Path, keys: Keys) -> None:
        self.directory = directory
        (directory / "location").mkdir(mode=0o700)
        self.past = Past(FilesystemLocation(str(directory / "location")), keys)
        self.runs = directory / "runs"
        variables = {
            "lifeboat_cluster_name": "shop",
            "lifeboat_runs_directory": str(self.runs),
            "lifeboat_location": {"type": "directory", "path": str(directory / "location")},
            "lifeboat_recipients": [keys.recipient],
            "lifeboat_signing_key": str(keys.signing_key),
            "lifeboat_allowed_signers": str(keys.allowed_signers),
        }
        (directory / "hosts.yml").write_text(json.dumps({"all": {"vars": variables}}))

    def play(self, playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the collection."""
        return playbooks.play(self.directory, "--inventory", str(self.directory / "hosts.yml"), f"lifeboat.cluster.{playbook}", *arguments)

    def there(self) -> list[str]:
        """Every key but those of the evidence of runs."""
        return [key for key in self.past.keys_there() if not key.startswith(names.runs_prefix("shop"))]

    def checks(self) -> dict[str, Any]:
        """How the checks of the newest run ended."""
        run = max(self.runs.iterdir(), key=lambda path: (path / "salt").stat().st_mtime_ns)
        return {record["id"]: record["passed"] for record in Journal(str(run)).read() if record["kind"] == "check"}


def test_an_operator_prunes(tmp_path: Path, keys: Keys) -> None:
    """Shown first, then confirmed and done; a point that was tagged stays."""
    operator = Operator(tmp_path, keys)
    past, now = operator.past, names.now()
    old, middle, new = (past.point(now - timedelta(days=days)) for days in (90, 60, 30))
    node = past.point(now - timedelta(days=80), scope=("w1",), verified=False)
    before = operator.there()
    retention = ("-e", "lifeboat_retention='keep_last=1 minimum_age_days=7'")

    kept = operator.play("tag_recovery_point", "-e", f"recovery_point_id={old} recovery_point_tag=keep recovery_point_reason=audit")
    assert kept.returncode == 0, kept.stdout
    tagged = operator.there()
    assert len(tagged) == len(before) + 2

    shown = operator.play("prune_recovery_points", "--check", *retention)
    assert shown.returncode == 0, shown.stdout
    assert operator.there() == tagged
    lines = [" ".join(line.strip(' ",').split()) for line in shown.stdout.splitlines()]
    for expected in (
        f"etcd+pki: 2 of 3 kept, newest verified {new}",
        f"tagged keep by {pruning.results.user_name()}: audit",
        f"remove {middle} {now - timedelta(days=60):%Y-%m-%d %H:%M}",
        "no point of etcd+pki, of w1 only is verified, so none of them is removed",
        "3 kept, 1 to remove;",
    ):
        assert any(expected in line for line in lines), (expected, shown.stdout)

    done = operator.play("prune_recovery_points", "--diff", "-e", "confirm_cluster_name=shop", *retention)
    assert done.returncode == 0, done.stdout
    assert f"\n-{middle}" in done.stdout
    assert past.points_there() == sorted([old, new, node])
    assert tombstones.read_tombstone(past.location, "shop", middle, past.trust).run_id.endswith(done.stdout.split("prune_recovery_points-")[1][:4])
    checks = operator.checks()
    assert checks.pop("recovery_point.prune_verified") is False, "a warning: of w1 nothing is verified"
    assert {name: passed for name, passed in checks.items() if not passed} == {}
    assert "recovery_point.prune_settled" in checks


def test_an_operator_whose_clock_was_wrong_and_whose_third_machine_is_away(tmp_path: Path, keys: Keys) -> None:
    """Three points of 2031 take no place; the last point with the keys of cp3 stays; both are said, and the list shows what they are."""
    operator = Operator(tmp_path, keys)
    past, now = operator.past, names.now()
    old, whole = (past.point(now - timedelta(days=days), machines=("cp1", "cp2", "cp3")) for days in (40, 30))
    away = [past.point(now - timedelta(days=days), machines=("cp1", "cp2"), lost=("cp3",)) for days in range(20, 6, -1)]
    wrong = [past.point(names.parse_time("2031-01-01T10:00:00Z") + timedelta(hours=hour), retain_days=30) for hour in range(3)]
    done = operator.play("prune_recovery_points", "-e", "confirm_cluster_name=shop", "-e", "lifeboat_retention='keep_last=3 keep_daily=7'")
    assert done.returncode == 0, done.stdout
    assert past.points_there() == [whole, *away[-7:], *wrong]
    for expected in (
        "newest verified pki of cp3",
        "newest in which nothing is missing, beside the last 3",
        "from the future, so it takes no place and protects nothing",
    ):
        assert expected in done.stdout
    assert old not in past.points_there()
    checks = operator.checks()
    assert {name for name, passed in checks.items() if not passed} == {"recovery_point.prune_nothing_strange", "recovery_point.none_in_the_future"}

    shown = operator.play("list_recovery_points", "-e", "lifeboat_output=json", "-e", "lifeboat_list_filters=states=in_the_future")
    assert shown.returncode == 0, shown.stdout
    assert shown.stdout.count('"state": "in_the_future"') == 3
    assert "it says 2031-01-01T10:00:00Z, and here it is" in shown.stdout


# -- a bucket ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


class Bucketed:
    """Points in a bucket with object lock, and what is really in it."""

    def __init__(self, server: S3Server, keys: Keys, name: str) -> None:
        self.server = server
        self.name = name
        self.past = Past(self.location(), keys)

    def location(self) -> S3Location:
        """The bucket, as another controller opens it."""
        return S3Location(self.name, endpoint_url=self.server.endpoint_url, object_lock_mode="governance")

    def everything(self) -> list[str]:
        """Every version and delete marker of every key."""
        found = self.server.client().list_object_versions(Bucket=self.name)
        return sorted(f"{entry['Key']} {kind}" for kind in ("Versions", "DeleteMarkers") for entry in found.get(kind, []))

    def prepared(self, policy: Policy) -> pruning.Prepared:
        """The plan of now."""
        return pruning.prepare(self.location(), "shop", self.past.trust, policy, names.now())

    def pruned(self, policy: Policy) -> pruning.Outcome:
        """Plan and carry out."""
        location = self.location()
        plan = pruning.prepare(location, "shop", self.past.trust, policy, names.now())
        return pruning.apply(location, plan, self.past.trust, self.past.signing_key, RUN)


@pytest.fixture
def bucketed(server: S3Server, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Bucketed:
    """An empty bucket; what prunes it has the rights of whoever prunes, and no more."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    number = next(_numbers)
    place = f"prune-{number}"
    server.create_bucket(place)
    for name, value in server.create_user(f"pruner-{number}", {place: PRUNER_ACTIONS}).items():
        monkeypatch.setenv(name, value)
    return Bucketed(server, keys, place)


def test_locked_points_survive_and_expired_ones_go_without_a_marker(bucketed: Bucketed, monkeypatch: pytest.MonkeyPatch) -> None:
    past, now = bucketed.past, names.now()
    old = past.point(now - timedelta(days=60))
    locked = past.point(now - timedelta(days=59), retain_days=90)
    new = past.point(now - timedelta(days=30), retain_days=60)
    assert bucketed.prepared(LAST).plan.ids(REMOVE) == [old]
    # What is in the manifest is over, and one object is locked for longer all the same.
    victim = names.artifact_key("shop", old, "etcd/cp1.tar.zst.age")
    past.location.retain(victim, now + timedelta(days=2))
    plan = bucketed.prepared(LAST)
    assert plan.plan.ids(REMOVE) == []
    assert plan.plan.get(old).reasons == [f"locked until {names.format_time(now + timedelta(days=2))}"]
    everything = bucketed.everything()
    # The server tells its own time: by a clock that is two days ahead, this lock would be over.
    with monkeypatch.context() as patch:
        ahead = names.now() + timedelta(days=3)
        patch.setattr(names, "now", lambda: ahead)
        plan_ahead = pruning.prepare(bucketed.location(), "shop", past.trust, Policy(keep_last=1), ahead)
        assert plan_ahead.plan.ids(REMOVE) == [old]
        with pytest.raises(ClockSkewError, match="clocks of this controller and of the location disagree"):
            pruning.apply(bucketed.location(), plan_ahead, past.trust, past.signing_key, RUN)
    assert not bucketed.pruned(LAST).changed
    with pytest.raises(ObjectLockedError):
        past.location.remove(victim)
    assert bucketed.everything() == everything

    # Only the owner may make a governance lock shorter; when it is over, the point may go.
    client = bucketed.server.client()
    shorter = {"Mode": "GOVERNANCE", "RetainUntilDate": names.now() + timedelta(seconds=3)}
    client.put_object_retention(Bucket=bucketed.name, Key=victim, Retention=shorter, BypassGovernanceRetention=True)
    deadline = time.monotonic() + 120
    while past.location.locked_until(victim) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.2)

    # A marker over one of its objects is tampering: it stays, and is told.
    client.delete_object(Bucket=bucketed.name, Key=victim)
    plan = bucketed.prepared(LAST)
    assert plan.plan.ids(REMOVE) == []
    assert any("tampered with" in problem and victim in problem for problem in plan.problems)
    marker = client.list_object_versions(Bucket=bucketed.name, Prefix=victim)["DeleteMarkers"][0]["VersionId"]
    client.delete_object(Bucket=bucketed.name, Key=victim, VersionId=marker)

    outcome = bucketed.pruned(LAST)
    assert outcome.removed == [old]
    assert outcome.left == []
    there = bucketed.everything()
    assert [entry for entry in there if old in entry] == [f"{names.tombstone_key('shop', old)}{end} Versions" for end in ("", ".sig")]
    assert not [entry for entry in there if entry.endswith("DeleteMarkers")]
    assert past.points_there() == [locked, new]
    assert not bucketed.pruned(LAST).changed


def test_a_longer_tier_locks_for_longer_and_a_torn_point_is_finished_with_what_lies_over_it(bucketed: Bucketed) -> None:
    past, now = bucketed.past, names.now()
    month = (now.replace(day=1) - timedelta(days=1)).replace(hour=12, minute=0, second=0)
    kept = past.point(month, retain_days=(now - month).days + 3)
    past.point(now, retain_days=3)
    plan = bucketed.prepared(Policy(keep_monthly=12))
    wanted = month.replace(day=1, hour=0, year=month.year + 1)
    assert plan.extensions == {kept: wanted}
    assert bucketed.pruned(Policy(keep_monthly=12)).extended == [kept]
    location = bucketed.location()
    for stored in location.list(names.points_prefix("shop")):
        if kept in stored.key:
            assert location.locked_until(stored.key) == wanted
    again = bucketed.prepared(Policy(keep_monthly=12))
    assert again.extensions == {}
    assert not bucketed.pruned(Policy(keep_monthly=12)).changed

    # A run was killed after the manifest went; then somebody laid markers over the rest, which is not locked.
    torn = names.new_point_id(now - timedelta(days=400))
    client = bucketed.server.client()
    for key in (names.open_key("shop", torn), names.artifact_key("shop", torn, "etcd/cp1.tar.zst.age")):
        location.put_new(key, b"left over")
        client.delete_object(Bucket=bucketed.name, Key=key)
    past.tombstone(torn, now - timedelta(days=1))
    plan = bucketed.prepared(Policy(keep_monthly=12))
    assert plan.plan.get(torn).action != FINISH, "an open.json that cannot be read is evidence"
    location.remove(names.open_key("shop", torn))
    assert bucketed.pruned(Policy(keep_monthly=12)).finished == [torn]
    assert [entry for entry in bucketed.everything() if torn in entry] == [f"{names.tombstone_key('shop', torn)}{end} Versions" for end in ("", ".sig")]
