# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which components are fresh, and why not; targets that are none; and points of a real location as freshness sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import freshness
from ansible_collections.lifeboat.cluster.plugins.module_utils._readiness import readiness
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import pieces, results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Keys, Maker, flip, make_tar

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)
TARGETS = {"etcd": 3600, "pki": 86400}
EVERYWHERE = {"etcd": ["cp1"], "pki": ["cp1", "cp2"]}


def of_machines(found: Any) -> frozenset[pieces.Piece]:
    """Pieces out of machines by component."""
    return frozenset(pieces.piece(component, machine) for component, machines in found.items() for machine in machines)


def seen(minutes: float, hosts: Any = None, verified: bool = True, whole: bool = True, missing: Any = None) -> freshness.Seen:
    """A point of so many minutes ago."""
    taken_at = NOW - timedelta(minutes=minutes)
    verification = freshness.Verification(taken_at) if verified else freshness.Verification(None, "never verified")
    return freshness.Seen(f"p{minutes:g}", taken_at, of_machines(hosts or EVERYWHERE), whole, lambda: verification, of_machines(missing or {}))


def verdicts(*points: freshness.Seen, **more: Any) -> dict[str, str]:
    """The verdict of each component."""
    return {found.component: found.verdict for found in freshness.assess(points, TARGETS, NOW, **more)}


def test_fresh_up_to_the_very_second() -> None:
    """At the target a point is fresh, a second later stale; each component has its own target."""
    assert verdicts(seen(60)) == {"etcd": "fresh", "pki": "fresh"}
    assert verdicts(seen(60 + 1 / 60)) == {"etcd": "stale", "pki": "fresh"}
    assert verdicts(seen(24 * 60 + 1)) == {"etcd": "stale", "pki": "stale"}


def test_only_a_verified_point_counts_and_newer_ones_are_named() -> None:
    """A new point that nobody verified makes nothing fresh."""
    etcd, _pki = freshness.assess([seen(5, verified=False), seen(10, verified=False), seen(90)], TARGETS, NOW)
    assert (etcd.verdict, etcd.point, etcd.age_seconds) == ("stale", "p90", 5400)
    assert [entry["id"] for entry in etcd.unverified] == ["p5", "p10"]
    assert etcd.text == "etcd is stale: 1 h 30 min old, target 1 h (p90); not verified and newer: p5 (never verified) and 1 more"
    assert verdicts(seen(5, verified=False)) == {"etcd": "unverified", "pki": "unverified"}
    assert verdicts() == {"etcd": "none", "pki": "none"}


def test_a_point_of_etcd_alone_does_not_replace_the_last_full_one() -> None:
    """Each component rests on the newest point that holds it."""
    found = freshness.assess([seen(5, {"etcd": ["cp1"]}), seen(1500)], TARGETS, NOW)
    assert [(entry.component, entry.verdict, entry.point) for entry in found] == [("etcd", "fresh", "p5"), ("pki", "stale", "p1500")]


def test_a_point_of_named_machines_counts_for_these() -> None:
    """Keys of one of two control planes are not the keys of the cluster."""
    expected = {"etcd": frozenset({""}), "pki": frozenset({"cp1", "cp2"})}
    part = seen(5, {"etcd": ["cp1"], "pki": ["cp1"]}, whole=False)
    assert verdicts(part, seen(1500), expected=expected) == {"etcd": "fresh", "pki": "stale"}
    assert verdicts(part, seen(30, {"pki": ["cp2"]}, whole=False), expected=expected) == {"etcd": "fresh", "pki": "fresh"}
    # Of a cluster of which nobody knows the machines, a part is nothing.
    assert verdicts(part) == {"etcd": "none", "pki": "none"}


def test_a_point_from_the_future_counts_for_nothing() -> None:
    """Else it would look fresh for as long as the clock was wrong."""
    assert verdicts(seen(-4)) == {"etcd": "fresh", "pki": "fresh"}
    assert verdicts(seen(-6)) == {"etcd": "none", "pki": "none"}


def test_a_machine_that_no_fresh_point_holds_is_an_alarm_though_the_others_are_fresh() -> None:
    """The component's verdict is that of the machine that is worst off, and that machine is named."""
    partial = [seen(minutes, missing={"pki": ["cp3"]}) for minutes in (5, 65)]
    etcd, pki = freshness.assess([*partial, seen(1500, {"etcd": ["cp2"], "pki": ["cp1", "cp2", "cp3"]})], TARGETS, NOW)
    assert (etcd.verdict, etcd.machines, etcd.missing) == ("fresh", [], [])
    assert (pki.verdict, pki.own_verdict, pki.point, pki.missing) == ("stale", "fresh", "p5", ["cp3"])
    assert [(entry.machine, entry.verdict, entry.point, entry.age_seconds) for entry in pki.machines] == [("cp3", "stale", "p1500", 90000)]
    assert pki.text == "pki is fresh: 5 min old, target 24 h (p5); pki of cp3 is stale: 25 h old (p1500)"
    assert (pki.to_record()["own_verdict"], pki.to_record()["verdict"]) == ("fresh", "stale")
    assert pki.to_record()["machines"][0]["taken_at"] == "2026-11-19T11:00:00Z"

    # In an older one that is young enough: no alarm, and missing in the newest all the same.
    pki = freshness.assess([*partial, seen(600, {"pki": ["cp1", "cp2", "cp3"]})], TARGETS, NOW)[1]
    assert (pki.verdict, pki.machines, pki.missing) == ("fresh", [], ["cp3"])
    # In none at all, or in none that is verified.
    pki = freshness.assess(partial, TARGETS, NOW)[1]
    assert (pki.verdict, pki.text) == ("none", "pki is fresh: 5 min old, target 24 h (p5); pki of cp3 is in no point")
    pki = freshness.assess([*partial, seen(70, {"pki": ["cp3"]}, verified=False)], TARGETS, NOW)[1]
    assert (pki.verdict, pki.text) == ("unverified", "pki is fresh: 5 min old, target 24 h (p5); pki of cp3 is in no verified point")
    # Removed from the cluster: the newest point of the whole does not name it.
    assert verdicts(seen(5), *partial) == {"etcd": "fresh", "pki": "fresh"}


def test_the_search_for_a_machine_ends_where_nothing_could_be_fresh() -> None:
    """Else one machine that never answered would mean to read ten thousand points."""
    drawn: list[int] = []

    def points() -> Iterator[freshness.Seen]:
        for number in range(100):
            drawn.append(number)
            yield seen(5 + number * 60, missing={"pki": ["cp3"]})

    pki = freshness.assess(points(), TARGETS, NOW, most_points=10)[1]
    assert pki.verdict == "none"
    # To the target of a day, although ten were said to be enough.
    assert len(drawn) == 25
    assert "pki of cp3 is in none of the newest 25 points" in pki.text


def test_points_are_drawn_no_further_than_needed() -> None:
    """Reading a verification costs a signature check: the second point is asked for only while a component is open."""

    def drawn() -> Iterator[freshness.Seen]:
        yield seen(5)
        raise AssertionError("asked for a point that nobody needs")

    assert len(freshness.assess(drawn(), TARGETS, NOW)) == 2


def test_targets_as_text_and_with_a_default() -> None:
    """Extra vars arrive as text; the default covers what is not named."""
    assert freshness.targets_of({"etcd": "3600"}, "86400", ["etcd", "pki"]) == {"etcd": 3600, "pki": 86400}
    assert freshness.targets_of({"etcd": 3600}, "", ["etcd", "pki"]) == {"etcd": 3600}


@pytest.mark.parametrize("value", [0, -1, "1h", "", None, True, 1.5, [3600], 1 << 31])
def test_targets_that_are_none(value: Any) -> None:
    """Each is refused by name."""
    with pytest.raises(freshness.TargetError, match="etcd"):
        freshness.targets_of({"etcd": value}, None, [])


def test_no_target_at_all() -> None:
    """Says what to set."""
    with pytest.raises(freshness.TargetError, match="lifeboat_rpo_targets"):
        freshness.targets_of({}, "", ["etcd"])


@pytest.mark.parametrize(
    ("seconds", "text"), [(3600, "1 h"), (1200, "20 min"), (2590, "43 min 10 s"), (86400 * 3, "3 d"), (20, "20.0 s"), (5400, "1 h 30 min")]
)
def test_spans(seconds: int, text: str) -> None:
    """Parts that are nothing are left out."""
    assert freshness.span(seconds) == text


# -- a real location ------------------------------------------------------------------------------------------------------------------


def record(maker: Maker, point: str, passed: bool = True, level: str = "opened", kind: str = "verification", key: Path | None = None, **more: Any) -> str:
    """Append a result; without ``key`` signed by the cluster's owner."""
    result = results.new_result(CLUSTER, point, kind, level, passed, **{"run_id": "none", **more})
    return results.append(maker.location, result, str(key or maker.keys.signing_key))


def look(maker: Maker, trust: Trust | None = None, **more: Any) -> dict[str, Any]:
    """The state of a location."""
    given = {"rpo_targets": {}, "rpo_target_seconds": 3600, "proof_days": 90, "drill_days": 90, "recipients": [maker.keys.recipient], "signing_key": None}
    trust = trust or maker.keys.trust
    found = maker.catalog(trust)
    return readiness.Look(maker.location, found, trust, readiness.Wishes(**{**given, **more})).record()


def of(state: dict[str, Any], component: str = "etcd") -> dict[str, Any]:
    """One component of a state."""
    return next(entry for entry in state["components"] if entry["component"] == component)


def test_only_signed_results_verify(maker: Maker, stranger: Keys) -> None:
    """A name alone, an unsigned result, a stranger's, one that is signed for another point: none of them proves anything."""
    point = maker.point()
    assert (of(look(maker))["verdict"], of(look(maker))["unverified"][0]["reason"]) == ("unverified", "never verified")
    record(maker, point.id, key=stranger.signing_key)
    results.append(maker.location, results.new_result(CLUSTER, point.id, "verification", "opened", True, "none"))
    other = maker.point()
    good = maker.path(record(maker, other.id))
    for suffix in ("", ".sig"):
        copy = maker.path(names.results_prefix(CLUSTER, point.id) + good.name + suffix)
        copy.write_bytes(good.with_name(good.name + suffix).read_bytes())
    found = readiness.verification_of(maker.location, CLUSTER, point.id, maker.catalog().get(point.id).results, maker.keys.trust)
    assert (found.verified_at, found.reason, len(found.doubtful)) == (None, "its results are not believed", 3)
    state = look(maker)
    assert (of(state)["verdict"], of(state)["point"]) == ("fresh", other.id)

    record(maker, point.id)
    assert readiness.verification_of(maker.location, CLUSTER, point.id, maker.catalog().get(point.id).results, maker.keys.trust).verified_at


def test_a_later_failure_and_a_weak_level_do_not_verify(maker: Maker) -> None:
    """A hashed point was not opened; one that failed later is not verified; a proof of keys says nothing of the contents."""
    point = maker.point()
    record(maker, point.id, level="hashed")
    record(maker, point.id, kind="escrow")
    assert of(look(maker))["verdict"] == "unverified"
    record(maker, point.id)
    assert of(look(maker))["verdict"] == "fresh"
    record(maker, point.id, passed=False, level="listed")
    state = look(maker)
    assert of(state)["verdict"] == "unverified"
    assert "verification of" in of(state)["unverified"][0]["reason"]


def test_the_whole_state(maker: Maker, stranger: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts, durations, damage, the signing pair, the drill, the networks of the cluster; and everything of it as a table and as metrics."""
    run = names.format_time(names.now() - timedelta(seconds=95)).replace("-", "").replace(":", "")
    first = maker.point(durations={"discover": 4.0, "preflight": 6, "backup": 100, "odd": "x"})
    second = maker.point()
    flip(maker.path(names.manifest_key(CLUSTER, first.id)), 60)
    record(maker, second.id, run_id=f"{run}-verify_recovery_point-1f3a")
    record(maker, second.id, kind="drill", level="restored")
    state = look(maker, signing_key=str(maker.keys.signing_key), rpo_targets={"velum_database": 60})
    assert state["points"] == {"broken": 1, "complete": 1}
    assert first.id in state["alarming"][0]
    assert of(state, "velum_database")["verdict"] == "none"
    assert state["signing"]["fits"] is True
    assert state["drill"]["recent"] is True
    assert state["writable"]["writable"] is True
    assert "1 min" in state["schedule"]["arithmetic"][0]
    assert "2 min (one was measured)" in state["schedule"]["arithmetic"][1]
    # An older point than those that are read anyway is found when nothing newer will do.
    monkeypatch.setattr(readiness, "RECENT_POINTS", 1)
    maker.point()
    assert of(look(maker))["point"] == second.id
    assert look(maker, signing_key=str(stranger.signing_key))["signing"]["fits"] is False
    assert "put the public half" in look(maker, signing_key=str(stranger.signing_key))["signing"]["remedy"]
    # A key that is not there is no key that nobody knows.
    missing = look(maker, signing_key=str(tmp_path / "none"))["signing"]
    assert (missing["fits"], "ssh-keygen -t ed25519" in missing["remedy"], "public half" in missing["remedy"]) == (False, True, False)
    assert str(tmp_path / "none") in missing["text"]

    table = "\n".join(readiness.table(state))
    assert "etcd             fresh" in table
    assert "velum_database   NONE" in table
    metrics = readiness.metrics(state)
    assert 'lifeboat_recovery_points{cluster="shop",state="broken"} 1' in metrics
    assert 'lifeboat_newest_verified_recovery_point_timestamp_seconds{cluster="shop",component="etcd"}' in metrics
    # What is not known is absent.
    assert 'timestamp_seconds{cluster="shop",component="velum_database"}' not in metrics
    assert "lifeboat_recipient_proven_timestamp_seconds{" not in metrics


def test_a_point_that_somebody_removed(maker: Maker) -> None:
    """Later points name it, and there is no tombstone."""
    first = maker.point()
    maker.point()
    assert look(maker)["alarming"] == []
    for path in maker.files():
        if first.id in str(path):
            assert maker.location.remove(str(path.relative_to(maker.root)))
    state = look(maker)
    assert (state["points"], state["alarming"][0].split(":")[0]) == ({"complete": 1, "gone": 1}, f"{first.id} is gone")
    assert 'lifeboat_recovery_points{cluster="shop",state="gone"} 1' in readiness.metrics(state)


def test_metrics_escape_their_labels(maker: Maker) -> None:
    """A recipient is a text of somebody else's."""
    maker.point()
    state = look(maker)
    state["recipients"][0]["recipient"] = 'age"1\\x\ny'
    assert 'recipient="age\\"1\\\\x\\ny"} 1' in readiness.metrics(state)


def test_what_the_point_tells_of_its_cluster(maker: Maker) -> None:
    """Machines, networks and images, for the search for circles."""
    opening = maker.open()
    pod = {"image": "registry.shop.svc:5000/etcd:3.6", "options": {"service-cluster-ip-range": "10.96.0.0/12,fd00:10::/112", "cluster-cidr": "10.244.0.0/16"}}
    artifact = maker.add(opening.id, "etcd", "cp1", make_tar({"a": b"b"}))
    artifact.contents["static_pods"] = [pod]
    keys = maker.add(opening.id, "pki", "cp1", make_tar({"a": b"b"}))
    maker.seal(opening.id, [artifact, keys], nodes={"cp1": {"name": "cp1", "address": "10.0.0.1"}})
    facts = look(maker)["cluster_facts"]
    assert facts == {
        "nodes": {"cp1": ["10.0.0.1", "cp1"]},
        "service_cidrs": ["10.96.0.0/12", "fd00:10::/112"],
        "pod_cidrs": ["10.244.0.0/16"],
        "images": ["registry.shop.svc:5000/etcd:3.6"],
    }


def test_an_empty_location(maker: Maker) -> None:
    """Nothing there is a state like any other."""
    state = look(maker, rpo_targets={"etcd": 60})
    assert (of(state)["verdict"], state["newest"], state["recipients"], state["points"]) == ("none", None, [], {})
    assert readiness.table(state)
    assert [entry["text"] for entry in look(maker)["components"]] == ["etcd is in no point", "pki is in no point"]
    with pytest.raises(freshness.TargetError):
        look(maker, rpo_target_seconds=None)


def test_wanted_types() -> None:
    """Every verdict is one of those that are documented."""
    every: Sequence[str] = [*verdicts(seen(1)).values(), *verdicts(seen(100000)).values(), *verdicts().values(), *verdicts(seen(1, verified=False)).values()]
    assert set(every) == set(freshness.VERDICTS)
