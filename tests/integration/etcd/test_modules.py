# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The five modules as Ansible runs them: check mode, the run, the run again, and failures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import environment
from tests.etcd_release import release
from tests.integration.etcd import contents
from tests.integration.etcd.servers import Cluster

MODULES = "lifeboat.cluster.etcd_"


def play(directory: Path, tasks: dict[str, dict[str, Any]], defaults: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Run each task in one play on this host and return its result. Beside module and arguments a task may have check_mode."""
    steps: list[dict[str, Any]] = []
    for name, task in tasks.items():
        module = next(key for key in task if key != "check_mode")
        arguments = {**(defaults if task[module].pop("connect", True) else {}), **task[module]}
        step = {"name": name, MODULES + module: arguments, "register": name, "ignore_errors": True, "diff": True}
        if task.get("check_mode"):
            step["check_mode"] = True
        steps.append(step)
    results = directory / "results.json"
    collected = "{{ {" + ", ".join(f"'{name}': {name}" for name in tasks) + "} | to_json }}"
    steps.append({"name": "Results", "ansible.builtin.copy": {"content": collected, "dest": str(results), "mode": "0600"}})
    book = directory / "play.json"
    book.write_text(json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": steps}]))
    variables = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(environment.collection_tree()), ANSIBLE_LOCALHOST_WARNING="false", ANSIBLE_PIPELINING="true")
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}", str(book)]
    run = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert run.returncode == 0, run.stdout
    found: dict[str, dict[str, Any]] = json.loads(results.read_text())
    return found


@pytest.fixture
def served(new_cluster: Callable[..., Cluster]) -> tuple[Cluster, dict[str, Any]]:
    """A one-member cluster with some objects, and the connection options for it."""
    cluster = new_cluster(1)
    server = cluster.servers[0]
    with server.client("grpc") as client:
        contents.fill(client, contents.kubernetes_objects(1))
    connection = server.connection()
    options = {option: getattr(connection, option) for option in ("transport", "endpoint", "ca_cert", "client_cert", "client_key")}
    return cluster, options


def test_a_day_with_the_modules(served: tuple[Cluster, dict[str, Any]], binaries: Path, tmp_path: Path) -> None:
    cluster, options = served
    server = cluster.servers[0]
    path, data = str(tmp_path / "etcd.db"), str(tmp_path / "data")
    restore = {
        "connect": False,
        "snapshot": path,
        "data_dir": data,
        "name": "node1",
        "initial_cluster": {"node1": "https://127.0.0.1:12380"},
        "initial_cluster_token": "t-1",
        "bump_revision": "1000000",
        "etcdutl": str(binaries / "etcdutl"),
    }
    learner = {"state": "learner", "name": "node2", "peer_url": "https://127.0.0.1:9"}
    results = play(
        tmp_path,
        {
            "look": {"cluster_info": {"hash": True, "linearizable": True, "watch_from_revision": 1, "transport": "auto"}},
            "foreseen": {"snapshot": {"path": path}, "check_mode": True},
            "taken": {"snapshot": {"path": path}},
            "taken_again": {"snapshot": {"path": path}},
            "opened": {"snapshot_info": {"path": path, "connect": False}},
            "restore_foreseen": {"restore": dict(restore), "check_mode": True},
            "restored": {"restore": dict(restore)},
            "restored_again": {"restore": dict(restore)},
            "learner_foreseen": {"member": dict(learner), "check_mode": True},
            "added": {"member": dict(learner)},
            "added_again": {"member": dict(learner)},
            "not_removed": {"member": {"state": "absent", "name": "node1"}},
            "not_a_snapshot": {"snapshot_info": {"path": str(server.log), "connect": False}},
        },
        options,
    )
    look = results["look"]
    assert look["hashes_equal"] is True
    assert look["linearizable"] is True
    assert look["cluster"]["healthy_voters"] == 1
    assert look["cluster"]["problems"] == []
    assert look["watch"]["cancelled"] is False
    changed = {name: result["changed"] for name, result in results.items()}
    for name in ("foreseen", "taken", "restore_foreseen", "restored", "learner_foreseen", "added"):
        assert changed[name], name
        assert results[name]["diff"]["before"] != results[name]["diff"]["after"]
    for name in ("look", "taken_again", "opened", "restored_again", "added_again", "not_removed", "not_a_snapshot"):
        assert not changed[name], name

    taken = results["taken"]["snapshot"]
    for other in ("taken_again", "opened"):
        assert {key: taken[key] for key in results["opened"]["snapshot"]} == {key: results[other]["snapshot"][key] for key in results["opened"]["snapshot"]}
    assert results["taken_again"]["snapshot"]["taken_at"] == taken["taken_at"]
    assert taken["keys_total"] == len(contents.kubernetes_objects(1))
    assert taken["cluster"]["members"] == look["cluster"]["members"]

    restored = results["restored"]["restore"]
    assert restored["revision_after"] == taken["revision"] + 1_000_000
    assert restored["staged"] == f"{data}/.lifeboat-restore-t-1"
    assert Path(restored["staged"], "member", "snap", "db").exists()
    assert results["restored_again"]["restore"] == restored
    assert results["restore_foreseen"]["restore"]["etcdutl_version"] == release(binaries)
    assert not results["restore_foreseen"]["restore"]["member_present"]

    assert results["learner_foreseen"]["members"] == look["cluster"]["members"]
    assert results["learner_foreseen"]["projection"]["allowed"]
    assert results["added"]["initial_cluster"] == {"node1": server.peer_url, "node2": "https://127.0.0.1:9"}

    assert "Ask the endpoint of a member that stays" in results["not_removed"]["msg"]
    assert results["not_a_snapshot"]["error"]["kind"] == "SnapshotInvalid"
    assert [entry.name for entry in tmp_path.glob("etcd.db*")] == ["etcd.db"]
    for word in ("PRIVATE KEY", "in the clear"):
        assert word not in json.dumps(results)
