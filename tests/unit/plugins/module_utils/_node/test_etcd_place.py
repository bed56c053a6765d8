# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd that looks for its data elsewhere than a restore puts it is refused before anything is stopped or put in place, and never believed afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._files import files
from ansible_collections.lifeboat.cluster.plugins.module_utils._files.archive.archive import CaptureRequest, WantedPath, capture
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services import etcd_place
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.readiness import NotRestoredError
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import Observation, ServiceError, read_groups
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.start_plan import plan_start
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.starting import start
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.processes import Process
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.static_pod import ManifestNotUnderstood
from tests.unit.plugins.module_utils._node.node_calls import request, started
from tests.unit.plugins.module_utils._node.node_world import API, ETCD, World


def staged(world: World, revision: int = 5000) -> dict[str, Any]:
    """A restore of etcd that is to be put in place."""
    data = world.directory / "etcd"
    directory = data / ".lifeboat-restore-t1"
    (directory / "member" / "snap").mkdir(parents=True)
    (directory / "member" / "snap" / "db").write_text("restored")
    (directory / "lifeboat-restore.json").write_text(json.dumps({"token": "t1", "revision_after": revision}))
    (data / "member").mkdir()
    (data / "member" / "db").write_text("old")
    return {"staged": str(directory / "member"), "target": str(data / "member"), "aside": str(data / "member.t1")}


def captured(world: World, *arguments: str) -> dict[str, Any]:
    """The manifests of a recovery point, unpacked; etcd's has these arguments."""
    world.write_manifests()
    world.write_manifest(ETCD, world.manifests, *arguments)
    tar, staging = str(world.directory / "node.tar"), str(world.directory / "staging")
    record = capture(CaptureRequest([WantedPath(str(world.manifests))], tar))
    files.unpack(tar, staging, str(record.sha256))
    shutil.rmtree(world.manifests)
    return {"staging": staging, "restore_id": "r1", "aside": str(world.directory / "var" / "aside")}


# What was restored has to be what is served


def test_etcd_that_serves_other_data_than_was_restored_keeps_the_api_server_out(world: World) -> None:
    """It has a leader and equal hashes, as an empty cluster of one member on another directory has."""
    (world.directory / "revision").write_text("1")
    world.write_manifests(world.parking)
    with pytest.raises(NotRestoredError) as caught:
        started(world, replace=[staged(world)], etcd_hash=True)
    text = str(caught.value)
    assert "revision 1 is served, revision 5000 was restored into" in text
    assert f"{world.manifests}/{ETCD}.yaml says data directory not set" in text
    assert "lifeboat_platform_overrides" in text
    assert not (world.manifests / f"{API}.yaml").exists()


def test_etcd_that_serves_what_was_restored_or_newer_is_let_in_also_by_a_rerun(world: World) -> None:
    (world.directory / "revision").write_text("5000")
    world.write_manifests(world.parking)
    item = staged(world)
    assert all(service["state"] == "started" for service in started(world, replace=[item])["services"])
    (world.directory / "revision").write_text("5017")
    assert not started(world, replace=[item])["changed"]
    (world.directory / "revision").write_text("12")
    with pytest.raises(NotRestoredError):
        started(world, replace=[item])


def test_where_nothing_was_restored_the_proof_is_as_before(world: World) -> None:
    (world.directory / "revision").write_text("1")
    world.write_manifests(world.parking)
    empty = world.directory / "etcd" / ".lifeboat-restore-t2" / "member"
    empty.mkdir(parents=True)
    item = {"staged": str(empty), "target": str(world.directory / "etcd" / "member"), "aside": str(world.directory / "etcd" / "aside")}
    assert all(service["state"] == "started" for service in started(world, replace=[item])["services"]), "a member that learns everything from others"


# Before anything is put in place


@pytest.mark.parametrize(
    ("argument", "words"),
    [("--data-dir=/data/etcd", "data directory /data/etcd"), ("--wal-dir=/wal", "log directory /wal")],
)
def test_a_restored_manifest_that_names_another_directory_is_refused_before_the_swap(world: World, argument: str, words: str) -> None:
    item, data = captured(world, argument), staged(world)
    for rehearse in (True, False):
        with pytest.raises(ServiceError) as caught:
            plan_start(world.node(), request(world, files=[item], replace=[data]), rehearse=rehearse)
        assert words in caught.value.found
        assert "lifeboat_platform_overrides" in caught.value.remedy
    with pytest.raises(ServiceError, match="nothing was put in place"):
        started(world, files=[item], replace=[data])
    assert (world.directory / "etcd" / "member" / "db").read_text() == "old"
    assert not world.parking.exists()


def test_the_platforms_own_directory_is_no_reason_to_refuse(world: World) -> None:
    item, data = captured(world, f"--data-dir={world.directory}/etcd", f"--wal-dir={world.directory}/etcd/member/wal"), staged(world)
    (world.directory / "revision").write_text("5000")
    assert all(service["state"] == "started" for service in started(world, files=[item], replace=[data])["services"])


def test_a_manifest_of_the_machines_own_counts_when_data_comes_alone(world: World) -> None:
    """As restore_etcd does: keys and manifests stay, the data go back."""
    world.write_manifests(world.parking)
    world.write_manifest(ETCD, world.parking, "--data-dir=/data/etcd")
    with pytest.raises(ServiceError, match="etcd uses another directory"):
        started(world, replace=[staged(world)])
    # A start without a restore has nothing to compare.
    assert all(service["state"] == "started" for service in started(world)["services"])


def test_a_log_directory_of_its_own_is_given_up_where_the_inventory_says_so(world: World) -> None:
    item, data = captured(world, f"--data-dir={world.directory}/etcd", "--wal-dir=/wal"), staged(world)
    (world.directory / "revision").write_text("5000")
    facts = dict(world.platform["etcd"], wal_into_data_dir=True)
    for _try in range(2):
        result = started(world, files=[item], replace=[data], etcd=facts)
        assert all(service["state"] == "started" for service in result["services"])
        assert f"- --wal-dir={world.directory}/etcd/member/wal\n" in (world.manifests / f"{ETCD}.yaml").read_text()
    assert not result["changed"]


def test_a_log_directory_in_a_form_that_can_not_be_changed_is_named(world: World) -> None:
    item, data = captured(world, "--wal-dir", "/wal"), staged(world)
    with pytest.raises(ManifestNotUnderstood, match="--wal-dir=/wal by hand"):
        started(world, files=[item], replace=[data], etcd=dict(world.platform["etcd"], wal_into_data_dir=True))


def test_a_log_directory_that_a_variable_names_is_given_up_by_a_flag() -> None:
    """A flag counts more; the variable of kubeadm's extraEnvs stays as it is."""
    text = (
        "metadata:\n  name: etcd\nspec:\n  containers:\n  - command:\n    - etcd\n    - --data-dir=/var/lib/etcd\n    - --name=cp1\n"
        "    env:\n    - name: ETCD_WAL_DIR\n      value: /wal\n    image: etcd:3.7.3-0\n"
    )
    after = etcd_place._manifest_without_log(text, "etcd.yaml")
    assert "    - --name=cp1\n    - --wal-dir=/var/lib/etcd/member/wal\n    env:\n" in after
    assert etcd_place._manifest_without_log(after, "etcd.yaml") == after
    assert etcd_place._manifest_without_log(text.replace("value: /wal", "value: /var/lib/etcd/member/wal"), "etcd.yaml").count("wal-dir") == 0


def units_of(world: World, text: str) -> dict[str, Any]:
    """etcd as a unit with this environment file."""
    world.write_units()
    path = world.directory / "sysconfig-etcd"
    path.write_text(text)
    facts = world.platform_of_units
    return dict(facts, etcd=dict(facts["etcd"], environment_file=str(path)))


@pytest.mark.parametrize("setting", ["ETCD_DATA_DIR=/data/etcd", 'ETCD_WAL_DIR="/wal"'])
def test_a_unit_that_names_another_directory_is_refused_too(world: World, setting: str) -> None:
    facts = units_of(world, setting + "\n")
    node = world.node(facts)
    with pytest.raises(ServiceError, match=r"sysconfig-etcd says"):
        start(node, request(world, groups=read_groups(node.services, facts["start"]), etcd=facts["etcd"], replace=[staged(world)]), world.journal("started"))
    assert (world.directory / "etcd" / "member" / "db").read_text() == "old"


def test_a_unit_whose_command_names_another_directory_is_refused_too(world: World) -> None:
    """It was the environment file alone that counted."""
    facts = units_of(world, f"ETCD_DATA_DIR={world.directory}/etcd\n")
    (world.directory / "units" / f"{ETCD}.service" / "command").write_text("{ argv[]=/usr/bin/etcd --data-dir=/data/etcd ; ignore_errors=no }")
    with pytest.raises(ServiceError, match="nothing was put in place") as caught:
        plan_start(world.node(facts), request(world, etcd=facts["etcd"], replace=[staged(world)]))
    assert "data directory /data/etcd" in caught.value.found


def test_a_unit_gives_up_its_log_directory_too(world: World) -> None:
    facts = units_of(world, f'ETCD_DATA_DIR="{world.directory}/etcd"\nETCD_WAL_DIR=/wal\n')
    facts["etcd"]["wal_into_data_dir"] = True
    (world.directory / "revision").write_text("5000")
    node = world.node(facts)
    groups = read_groups(node.services, facts["start"])
    result = start(node, request(world, groups=groups, etcd=facts["etcd"], replace=[staged(world)]), world.journal("started"))
    assert all(service["state"] == "started" for service in result["services"])
    assert f'ETCD_WAL_DIR="{world.directory}/etcd/member/wal"' in (world.directory / "sysconfig-etcd").read_text()


# Before anything is stopped


@contextmanager
def etcd_process(*arguments: str, **environment: str) -> Iterator[Process]:
    """A process with these arguments."""
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", *arguments]
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ, **environment))
    try:
        assert running.stdout is not None
        running.stdout.readline()
        yield Process(running.pid, ETCD, sys.executable, "")
    finally:
        running.communicate(timeout=20)


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["--data-dir={0}/elsewhere"], {}, "data directory"),
        (["--data-dir", "{0}/elsewhere"], {}, "data directory"),
        ([], {"ETCD_DATA_DIR": "{0}/elsewhere"}, "data directory"),
        (["--data-dir={0}/etcd", "--wal-dir={0}/wal"], {}, "log directory"),
        # A configuration file decides alone.
        (["--data-dir={0}/etcd", "--config-file={0}/etcd.conf"], {}, "data directory"),
        (["--data-dir={0}/etcd"], {"ETCD_CONFIG_FILE": "{0}/etcd.conf"}, "data directory"),
    ],
)
def test_an_etcd_that_runs_elsewhere_is_not_stopped(world: World, arguments: list[str], environment: dict[str, str], words: str) -> None:
    for name in ("etcd/member/wal", "elsewhere", "wal"):
        (world.directory / name).mkdir(parents=True)
    (world.directory / "etcd.conf").write_text(f"data-dir: {world.directory}/elsewhere\n")
    node = world.node()
    given = [argument.format(world.directory) for argument in arguments]
    with etcd_process(*given, **{name: value.format(world.directory) for name, value in environment.items()}) as process:
        seen = {ETCD: Observation(node.services[ETCD], processes=[process])}
        with pytest.raises(ServiceError, match="nothing was stopped") as caught:
            etcd_place.refuse_running_elsewhere(node, seen)
        assert words in caught.value.found
        assert f"pid {process.pid}" in caught.value.found


def test_an_etcd_that_runs_where_the_platform_says_is_stopped_under_whatever_name_the_directory_has(world: World) -> None:
    data = world.directory / "etcd"
    (data / "member" / "wal").mkdir(parents=True)
    (world.directory / "other-name").symlink_to(data)
    node = world.node()
    for argument in (f"--data-dir={data}", f"--data-dir={world.directory}/other-name", "--data-dir=relative", "--name=m1"):
        with etcd_process(argument) as process:
            etcd_place.refuse_running_elsewhere(node, {ETCD: Observation(node.services[ETCD], processes=[process])})


def test_an_etcd_that_ended_meanwhile_says_nothing(world: World) -> None:
    with etcd_process(f"--data-dir={world.directory}/elsewhere") as process:
        node = world.node()
    etcd_place.refuse_running_elsewhere(node, {ETCD: Observation(node.services[ETCD], processes=[process])})


# One fork after the other


def test_a_member_that_has_begun_is_not_waited_for(world: World) -> None:
    """With fewer forks than members the others begin when this call has ended: it must not wait for them."""
    world.flag("no-quorum")
    item, data = captured(world), staged(world)
    begin = time.monotonic()
    result = started(world, files=[item], replace=[data], etcd_hash=True, until="etcd_begun", wait_seconds=60)
    assert time.monotonic() - begin < 50
    assert [service["name"] for service in result["services"]] == ["kubelet", ETCD]
    assert result["etcd"] is None
    assert result["changed"]
    assert {path.stem for path in world.manifests.iterdir()} == {ETCD}
    assert (world.directory / "etcd" / "member" / "snap" / "db").read_text() == "restored"
    world.flag("no-quorum", on=False)
    (world.directory / "revision").write_text("5000")
    rest = started(world, replace=[data], etcd_hash=True)
    assert rest["etcd"]["equal"] is True
    assert all(service["state"] == "started" for service in rest["services"])
    assert not rest["crash_looping"]


def test_a_host_without_a_member_gets_its_files_and_starts_later(world: World) -> None:
    item = captured(world)
    facts = world.platform
    del facts["services"][ETCD]
    node = world.node(facts)
    groups = read_groups(node.services, [["kubelet"], [API]])
    result = start(node, request(world, groups=groups, files=[item], until="etcd_begun"), world.journal("started"))
    assert result["services"] == []
    assert world.unit()["active"] == "inactive"
    assert (world.parking / f"{API}.yaml").exists()


def test_a_unit_that_waits_for_the_others_has_begun(world: World) -> None:
    """etcd tells systemd that it is ready when it has a leader: until then its unit is activating."""
    world.write_units()
    facts = world.platform_of_units
    node = world.node(facts)
    groups = read_groups(node.services, facts["start"])
    path: Path = world.directory / "units" / f"{ETCD}.service"
    show = (world.directory / "bin" / "systemctl").read_text()
    (world.directory / "bin" / "systemctl").write_text(show.replace("printf running > $name/sub; printf active", "printf start > $name/sub; printf activating"))
    (path / "pid").write_text("1")
    (world.directory / "bin" / "systemctl").write_text(
        (world.directory / "bin" / "systemctl").read_text().replace("printf 0 > $name/pid;", "printf 1 > $name/pid;")
    )
    result = start(node, request(world, groups=groups, until="etcd_begun", wait_seconds=5), world.journal("started"))
    assert [item["name"] for item in result["services"]] == [ETCD]
    with pytest.raises(ServiceError, match="did not become ready"):
        start(node, request(world, groups=groups, wait_seconds=1), world.journal("started"))
