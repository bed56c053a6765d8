#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: prepared
short_description: Publish what a component has brought onto a host, ready to be put in place
version_added: "0.1.0"
author:
  - Lifeboat contributors (@lifeboat)
description:
  - Adds the entry of one component to the fact C(ansible_facts.lifeboat_prepared) of the host. Entries of other components stay.
  - Every component that a plan restores on a host has to have one when the stage C(prepare) ends, also where nothing is put in place.
  - Runs on the controller, and talks to no machine.
extends_documentation_fragment:
  - lifeboat.cluster.attributes
options:
  component:
    description: The component.
    type: str
    required: true
  files:
    description: Unpacked files, as M(lifeboat.cluster.node_services) takes them.
    type: list
    elements: dict
    default: []
  replace:
    description: Directories of data that are swapped, as M(lifeboat.cluster.node_services) takes them.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Publish what is put in place when the services are stopped
  lifeboat.cluster.prepared:
    component: etcd
    replace:
      - staged: /var/lib/etcd/.lifeboat-restore-abc/member
        target: /var/lib/etcd/member
        aside: /var/lib/etcd/member.abc
"""

RETURN = r"""
ansible_facts:
  description: The fact with the new entry.
  returned: success
  type: dict
  contains:
    lifeboat_prepared:
      description: C(files) and C(replace) by component.
      type: dict
      sample: {etcd: {files: [], replace: []}}
"""
