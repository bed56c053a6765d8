# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles find out by themselves from all hosts, when data of a platform hold what only its own host knows."""

from __future__ import annotations

from typing import Any

import yaml

from tests.checks_seen import ROOT
from tests.integration.evidence.playground import Playground

SEEN = {
    "platform_node": {"now_epoch": 5},
    "platform_address": "192.0.2.11",
    "platform_at": {"node_name": "n-{{ inventory_hostname }}"},
    "fence_started": {"services": [{"name": "kubelet", "changed": True}]},
}
# As in caasp3.yml, where certificates hold nothing but names.
DATA = {"etcd": {"endpoint": "https://{{ platform_node_name }}:2379"}}


def test_what_every_machine_found_is_told_without_its_platforms_data(playground: Playground) -> None:
    """recover_cluster of a whole CaaSP cluster ended in "'platform_node_name' is undefined" when the arguments of role node were validated."""
    (playground.directory / "data.yml").write_text(yaml.safe_dump(DATA))
    specification = yaml.safe_load((ROOT / "roles/node/meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["verify"]["options"]
    defaults = yaml.safe_load((ROOT / "roles/node/defaults/main.yml").read_text(encoding="utf-8"))
    told = ("node_expected", "node_rebuilt_addresses", "node_looked_at", "node_restarted", "node_reported_since")
    spec = {name: {"type": specification[name]["type"], "elements": specification[name].get("elements")} for name in told}
    tasks: list[dict[str, Any]] = [
        {"ansible.builtin.include_vars": {"file": str(playground.directory / "data.yml"), "name": "platform_file"}},
        {"ansible.builtin.set_fact": SEEN},
        {
            "ansible.builtin.validate_argument_spec": {
                "argument_spec": {name: {key: value for key, value in option.items() if value} for name, option in spec.items()},
                "provided_arguments": {name: f"{{{{ {name} }}}}" for name in told},
            },
            "vars": defaults,
        },
        {"ansible.builtin.copy": {"dest": str(playground.directory / "told"), "content": "{{ [" + ", ".join(told) + "] | to_json }}"}, "vars": defaults},
    ]
    done = playground.play(yaml.safe_dump([{"hosts": "control_plane:workers", "gather_facts": False, "tasks": tasks}], sort_keys=False, width=10_000))
    assert done.returncode == 0, done.stdout
    nodes, addresses, machines, restarted, since = yaml.safe_load((playground.directory / "told").read_text())
    assert sorted(nodes) == sorted(restarted) == ["n-cp1", "n-cp2", "n-w1"]
    assert sorted(machines) == ["cp1", "cp2", "w1"]
    assert addresses == ["192.0.2.11", "192.0.2.11"]
    assert since == {"n-cp1": 5, "n-cp2": 5, "n-w1": 5}
