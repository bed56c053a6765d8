# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, cache and minions of a real Salt master, broken in every way that is known, told and put right."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._salt import changes, keys
from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.minion import Question, look
from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.programs import Answers, Programs, lacking
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import Inside
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Systemd
from tests.integration.host_files.test_host_modules import Play, changed
from tests.integration.salt.servers import NODES, Minion, World, wait_for

NODE = NODES[2]
BUSY = ("bootstrap_in_progress", "update_in_progress", "removal_in_progress")


def programs(world: World) -> Programs:
    """The master's programs, from outside of its network."""
    wrapper = world.directory / "wrapped"
    wrapper.mkdir(exist_ok=True)
    for name in ("salt", "salt-run"):
        (wrapper / name).write_text(f'#!/bin/sh\nexec {" ".join(world.inside(str(world.programs / name)))} "$@"\n')
        (wrapper / name).chmod(0o755)
    return Programs(Inside(search=[str(wrapper)]), str(world.config), 3)


def accepted(world: World) -> dict[str, str]:
    """Fingerprints of accepted keys."""
    return keys.read_keys(str(world.pki)).by_state(keys.ACCEPTED)


def change(world: World, state: str, wanted: dict[str, str], cache: bool = False) -> changes.Plan:
    """Plan, apply, and see that a rerun changes nothing."""
    items = changes.read_wanted([{"id": minion_id, "fingerprint": text} for minion_id, text in wanted.items()], state)

    def plan() -> changes.Plan:
        return changes.plan(keys.read_keys(str(world.pki)), str(world.cache), state, items, cache)

    planned = plan()
    changes.apply(planned, str(world.directory / "aside"))
    assert not plan().changed
    return planned


def own(minion: Minion) -> str:
    """What the minion's own program says of its key."""
    return keys.file_fingerprint(str(minion.pki / "minion.pub"))


def seen_of(world: World, minion: Minion) -> dict[str, Any]:
    """What a look at a minion's host shows."""
    question = Question(str(minion.config), str(minion.pki), str(minion.grains), BUSY, minion.unit)
    return look(question, Systemd(str(world.directory / "bin" / "systemctl")))


def answers(world: World, *ids: str) -> bool:
    """Whether all of these minions answer."""
    return programs(world).call(ids, "test.ping") == dict.fromkeys(ids, True)


def mine(world: World) -> set[str]:
    """Whom another minion finds in the mine."""
    return set(world.call("salt", "--static", "--timeout=5", "admin", "mine.get", "*", "nodename")["admin"])


def test_both_sides_have_one_fingerprint(world: World) -> None:
    """Ours are those of salt-key and of the minion's own program, though the files differ in a newline."""
    told = world.call("salt-key", "-F")
    found = keys.read_keys(str(world.pki))
    assert found.by_state(keys.ACCEPTED) == told["minions"]
    assert (found.problems, found.duplicates) == ((), [])
    master = keys.read_master(str(world.pki))
    assert (master.fingerprint, master.pair) == (told["local"]["master.pub"], True)
    minion = world.minions[NODE]
    assert (world.pki / "master.pub").read_bytes() != (minion.pki / "minion_master.pub").read_bytes()
    for function, expected in (("key.finger", accepted(world)[NODE]), ("key.finger_master", master.fingerprint)):
        command = [str(world.programs / "salt-call"), "-c", str(minion.config), "--local", "--out=json", function]
        assert json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)["local"] == expected
    seen = seen_of(world, minion)
    assert (seen["id"], seen["master"], seen["roles"]) == (NODE, ["127.0.0.1"], ["kube-minion"])
    assert (seen["fingerprint"], seen["master_fingerprint"]) == (accepted(world)[NODE], master.fingerprint)
    assert (seen["busy"], seen["problems"], seen["running"]) == ([], [], True)


def test_everybody_answers_and_one_is_at_work(world: World) -> None:

    def answer() -> Answers | None:
        found = programs(world).ask(sorted(world.minions), BUSY, ["roles"])
        # A minion that reads its grains anew, as one does after a change of them, has none for a moment.
        return found if found.silent or found.grains[NODE]["roles"] else None

    found = wait_for("the grains of the minion", answer)
    assert (found.running, found.silent, found.busy) == (True, [], {})
    assert found.grains[NODE] == {"roles": ["kube-minion"]}
    world.call("salt", "--static", NODE, "grains.setval", "update_in_progress", "True")
    minion = world.minions[NODE]
    assert seen_of(world, minion)["busy"] == ["update_in_progress"]
    assert programs(world).ask(sorted(world.minions), BUSY).busy == {NODE: ["update_in_progress"]}
    world.call("salt", "--static", NODE, "grains.delkey", "update_in_progress", "force=True")


def test_a_deleted_key_comes_back_and_its_minion_fills_the_cache(world: World) -> None:
    """The minion answers without having been touched, but nobody finds it in the mine until it was asked to send its data."""
    kept = (world.pki / "minions" / NODE).read_bytes()
    world.call("salt-key", "--yes", f"--delete={NODE}")
    assert NODE not in accepted(world)
    assert lacking(str(world.cache), [NODE]) == {"data": [NODE], "mine": [NODE]}
    (world.pki / "minions" / NODE).write_bytes(kept)
    wait_for("the minion to answer", lambda: answers(world, NODE))
    assert NODE not in mine(world)
    assert programs(world).fill(str(world.cache), [NODE], 60) == {"data": [], "mine": []}
    assert mine(world) == set(world.minions)


def test_a_rejected_key_leaves_nothing_when_it_is_removed(world: World) -> None:
    """Salt's own rejection leaves the cache, and locks the id out."""
    finger = accepted(world)[NODE]
    world.call("salt-key", "--yes", f"--reject={NODE}", "--include-accepted")
    assert keys.read_keys(str(world.pki)).by_state(keys.REJECTED) == {NODE: finger}
    assert lacking(str(world.cache), [NODE]) == {"data": [], "mine": []}
    planned = change(world, changes.ABSENT, {NODE: finger}, cache=True)
    assert [move.as_result()["from"] for move in planned.moves] == [keys.REJECTED]
    assert not keys.read_keys(str(world.pki)).of(NODE)
    assert lacking(str(world.cache), [NODE]) == {"data": [NODE], "mine": [NODE]}
    assert NODE not in mine(world)
    aside = world.directory / "aside"
    assert list(aside.rglob(f"minions_rejected/{NODE}"))
    assert list(aside.rglob(f"cache/minions/{NODE}/mine.p"))


def test_a_key_that_was_rejected_meanwhile_is_not_accepted_again(world: World) -> None:
    expected = accepted(world)
    world.call("salt-key", "--yes", f"--reject={NODE}", "--include-accepted")
    planned = change(world, changes.RECONCILED, expected)
    assert [(one["id"], one["state"]) for one in planned.refused] == [(NODE, keys.REJECTED)]
    assert (planned.missing, planned.moves) == ([NODE], [])
    change(world, keys.ACCEPTED, {NODE: expected[NODE]})
    assert accepted(world) == expected
    wait_for("the minion to answer", lambda: answers(world, NODE))


def test_a_stopped_minion_is_silent(world: World) -> None:
    world.minions[NODE].stop()
    assert seen_of(world, world.minions[NODE])["running"] is False
    found = programs(world).ask(sorted(world.minions))
    assert (found.running, found.silent) == (True, [NODE])
    assert NODE in accepted(world)


def test_a_new_master_key_leaves_all_accepted_and_nobody_answers(world: World) -> None:
    """Lists of keys prove nothing; and the old pair put back brings all minions back untouched."""
    world.master.stop()
    for name in ("master.pem", "master.pub"):
        (world.pki / name).rename(world.pki / f"{name}.old")
    world.master.start()
    wait_for("the new master", lambda: programs(world).call(["nobody"], "test.ping") == {})
    assert set(accepted(world)) == set(world.minions)
    assert programs(world).ask(sorted(world.minions)).answered == []
    master = keys.read_master(str(world.pki))
    assert master.pair
    minion = world.minions[NODE]
    assert seen_of(world, minion)["master_fingerprint"] not in ("", master.fingerprint)
    world.master.stop()
    (world.pki / "master.pem.old").replace(world.pki / "master.pem")
    mixed = keys.read_master(str(world.pki))
    assert (mixed.pair, mixed.reason) == (False, "master.pem and master.pub are not one pair")
    (world.pki / "master.pub.old").replace(world.pki / "master.pub")
    world.master.start()
    wait_for("all minions to answer", lambda: answers(world, *world.minions))


def test_a_master_that_does_not_run_is_described(world: World, tmp_path: Path) -> None:
    """Its keys are files; and that nobody can be asked is a finding."""
    expected = accepted(world)
    world.master.stop()
    found = programs(world).ask(sorted(world.minions))
    assert (found.running, found.answered, found.silent) == (False, [], sorted(world.minions))
    assert "not responding" in found.reason
    shutil.copytree(world.pki, tmp_path / "pki")
    assert keys.read_keys(str(tmp_path / "pki")).by_state(keys.ACCEPTED) == expected


def pend(world: World, minion: Minion) -> None:
    """The minion meets a master that does not know its key, and asks to be accepted."""
    minion.stop()
    (world.pki / "minions" / minion.id).unlink(missing_ok=True)
    minion.start()
    wait_for("the key to wait", lambda: minion.id in world.keys("minions_pre"))


def test_a_waiting_copy_of_an_accepted_key_goes_away(world: World) -> None:
    """As after a reinstalled master was met before its keys were back."""
    expected = accepted(world)
    kept = (world.pki / "minions" / NODE).read_bytes()
    pend(world, world.minions[NODE])
    (world.pki / "minions" / NODE).write_bytes(kept)
    assert keys.read_keys(str(world.pki)).duplicates == [{"id": NODE, "states": [keys.ACCEPTED, keys.PENDING], "equal": True}]
    planned = change(world, changes.RECONCILED, expected)
    assert [(move.key.id, move.to) for move in planned.moves] == [(NODE, changes.AWAY)]
    assert (planned.refused, planned.missing) == ([], [])
    assert accepted(world) == expected
    assert world.keys("minions_pre") == set()
    wait_for("the minion to answer", lambda: answers(world, NODE))


def test_a_waiting_key_of_the_recovery_point_is_accepted(world: World) -> None:
    """Its fingerprint proves whose it is; a new node's stays where it is, and is told."""
    expected = accepted(world)
    stranger = world.add("3d6c8f0a2b4e5170d6e8f0314d5e6f70", "stranger")
    stranger.start()
    pend(world, world.minions[NODE])
    wait_for("the stranger to wait", lambda: stranger.id in world.keys("minions_pre"))
    planned = change(world, changes.RECONCILED, expected)
    assert [(move.key.id, move.to) for move in planned.moves] == [(NODE, keys.ACCEPTED)]
    assert planned.unknown == {keys.ACCEPTED: [], keys.PENDING: [stranger.id], keys.REJECTED: [], keys.DENIED: []}
    assert (accepted(world), world.keys("minions_pre")) == (expected, {stranger.id})
    wait_for("the minion to answer", lambda: answers(world, NODE))


def test_another_machine_with_the_same_id_is_refused_by_name(world: World) -> None:
    """Denied while the key of the id is accepted, waiting while it is not: never accepted, by nobody but a person who names it."""
    expected = accepted(world)
    twin = world.add(NODE, "twin")
    twin.start()
    wait_for("the twin to be denied", lambda: NODE in world.keys("minions_denied"))
    assert own(twin) != expected[NODE]
    assert keys.read_keys(str(world.pki)).duplicates == [{"id": NODE, "states": [keys.ACCEPTED, keys.DENIED], "equal": False}]
    planned = change(world, changes.RECONCILED, expected)
    assert [(one["id"], one["state"], one["fingerprint"]) for one in planned.refused] == [(NODE, keys.DENIED, own(twin))]
    assert accepted(world) == expected

    world.minions[NODE].stop()
    (world.pki / "minions_denied" / NODE).unlink()
    pend(world, twin)
    planned = change(world, changes.RECONCILED, expected)
    assert [(one["id"], one["state"]) for one in planned.refused] == [(NODE, keys.PENDING)]
    assert planned.missing == [NODE]
    with pytest.raises(changes.KeyRefused, match=r"no such key to accept: .* \(pending, "):
        change(world, keys.ACCEPTED, {NODE: expected[NODE]})
    with pytest.raises(changes.KeyRefused, match="another machine's key"):
        change(world, changes.ABSENT, {NODE: expected[NODE]})
    assert NODE not in accepted(world)
    change(world, keys.ACCEPTED, {NODE: own(twin)})
    assert accepted(world)[NODE] == own(twin)


def test_the_modules_as_ansible_runs_them(running: World, tmp_path: Path) -> None:
    """On a copy of the master's files: plan, change, change again, refuse."""
    pki, cache = tmp_path / "pki", tmp_path / "cache"
    shutil.copytree(running.golden / "pki", pki)
    shutil.copytree(running.golden / "cache", cache / "minions")
    (pki / "minions" / NODE).rename(pki / "minions_pre" / NODE)
    finger = keys.read_keys(str(pki)).by_state(keys.PENDING)[NODE]
    where = {"pki_dir": str(pki), "cache_dir": str(cache)}
    aside = {**where, "aside": str(tmp_path / "aside")}
    accept = {**aside, "state": "accepted", "keys": [{"id": NODE, "fingerprint": finger}]}
    forget = {**aside, "state": "absent", "keys": [{"id": NODE}], "cache": True}
    (tmp_path / "play").mkdir()
    results = Play(tmp_path / "play")(
        before={"salt_key_info": {**where, "expected": sorted(running.minions)}},
        foreseen={"salt_key": dict(accept), "check_mode": True},
        accepted={"salt_key": dict(accept)},
        again={"salt_key": dict(accept)},
        refused={"salt_key": {**forget, "keys": [{"id": NODE, "fingerprint": "00" * 32}]}},
        forget_foreseen={"salt_key": dict(forget), "check_mode": True},
        forgotten={"salt_key": dict(forget)},
        forgotten_again={"salt_key": dict(forget)},
        nobody_lacks={"salt_cache": {**where, "ids": ["admin"]}},
        escaping={"salt_key": {**forget, "keys": [{"id": "../master.pem"}]}},
    )
    assert changed(results) == {
        "before": False,
        "foreseen": True,
        "accepted": True,
        "again": False,
        "refused": "KeyRefused",
        "forget_foreseen": True,
        "forgotten": True,
        "forgotten_again": False,
        "nobody_lacks": False,
        "escaping": "SaltError",
    }
    assert results["before"]["salt"]["expected"] == {"missing": [NODE], "unexpected": []}
    assert results["before"]["salt"]["answers"] is None
    assert results["foreseen"]["diff"] == results["accepted"]["diff"]
    assert f"{NODE} (pending, {finger})" in results["foreseen"]["diff"]["before"]
    assert NODE not in results["foreseen"]["accepted"]
    assert results["accepted"]["accepted"][NODE] == finger
    assert results["forgotten"]["plan"]["caches"] == [str(cache / "minions" / NODE)]
    assert not keys.read_keys(str(pki)).of(NODE)
