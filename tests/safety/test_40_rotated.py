# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of encryption at rest that were exchanged since the recovery point was made: a machine that comes back reads what the others write."""

from __future__ import annotations

import base64
import os

import yaml

from tests.drill.memory import api_servers
from tests.drill.playbooks import Playbooks
from tests.e2e.bench import LAB, READY_SECONDS, Bench, succeeded
from tests.encrypting import ENCRYPTION_FILE
from tests.workload import Api
from tests.workload.creation import wait_for
from tests.workload.objects import RUNNING

CONFIRMED: dict[str, object] = {"confirm_cluster_name": LAB}
SECRETS = f"/api/v1/namespaces/{RUNNING}/secrets"
STOP_API = "crictl stop --timeout 5 $(crictl ps --quiet --name '^kube-apiserver$')"


def rotate(bench: Bench) -> None:
    """A second key, with which everything is written from now on, on every control plane."""
    bench.dirty = True
    document = yaml.safe_load(bench.lab.node(bench.control_plane[0]).run(["cat", ENCRYPTION_FILE]).stdout)
    keys = document["resources"][0]["providers"][0]["secretbox"]["keys"]
    keys.insert(0, {"name": "key2", "secret": base64.b64encode(os.urandom(32)).decode()})
    for name in bench.control_plane:
        node = bench.lab.node(name)
        node.write(ENCRYPTION_FILE, yaml.safe_dump(document), 0o600)
        node.run(["sh", "-c", STOP_API])
    apis = [Api(bench.lab.kubeconfig, server=url) for url in api_servers(bench.lab).values()]
    wait_for("every API server answers", lambda: "" if all(api.answers() for api in apis) else "one does not", READY_SECONDS)


def test_a_rebuilt_control_plane_gets_the_keys_of_today(living: Bench, operator: Playbooks) -> None:
    bench = living
    rotate(bench)
    name = bench.control_plane[2]
    first = Api(bench.lab.kubeconfig, server=api_servers(bench.lab)[bench.control_plane[0]])
    value = base64.b64encode(os.urandom(12)).decode()
    first.request("POST", SECRETS, body={"metadata": {"name": "written-with-key2"}, "data": {"value": value}})
    today = bench.lab.node(bench.control_plane[0]).run(["sha256sum", ENCRYPTION_FILE]).stdout
    bench.bare(name)
    succeeded(operator.run("recover_cluster", CONFIRMED))
    assert bench.lab.node(name).run(["sha256sum", ENCRYPTION_FILE]).stdout == today
    api = Api(bench.lab.kubeconfig, server=api_servers(bench.lab)[name])
    assert api.get(f"{SECRETS}/written-with-key2")["data"]["value"] == value
    assert len(list(api.items("/api/v1/secrets"))) == len(list(first.items("/api/v1/secrets")))
