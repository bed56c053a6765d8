#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin recovery_point_kit."""

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_point_kit
short_description: Add the inventory without its secrets and the collection itself to a recovery point
version_added: "0.1.0"
description:
  - For the day on which the controller is gone, too. Seals two artifacts from the controller into an open recovery point.
  - C(inventory/inventory.json.zst.age) is a file that C(ansible-inventory) reads, with all groups and hosts. Of their variables it has only how a host is
    reached (C(ansible_host), C(ansible_port), C(ansible_user), C(ansible_connection), C(ansible_python_interpreter), C(ansible_become), its user, method and
    flags), C(lifeboat_*) and C(*_target_seconds). Passwords, values that stand encrypted in the inventory, and what has a secret's name or shape are hidden.
    The path of a key file stays.
  - C(collection/collection.tar.zst.age) is this collection as it runs. Of an installed one it is what was installed, so that C(ansible-galaxy) can
    install it again; of a checkout what is run and read, without the tests.
  - One that cannot be made is told in RV(problems) and fails nothing. The rest of the point is worth more.
  - Runs on the controller.
options:
  point:
    description: Id of the open recovery point.
    type: str
    required: true
    aliases: [recovery_point_id]
attributes:
  action:
    description: Runs on the controller.
    support: full
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.recovery_point_location
  - lifeboat.cluster.recovery_point_location.sealing
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.recovery_point
  - module: lifeboat.cluster.artifact_fetch
"""

EXAMPLES = r"""
- name: Add what helps whoever opens the point
  lifeboat.cluster.recovery_point_kit:
    location:
      path: /srv/lifeboat
    cluster_name: shop
    point: "{{ opened.id }}"
    recipients: "{{ lifeboat_recipients }}"
  register: kit
"""

RETURN = r"""
artifacts:
  description: Their entries for the manifest, as RV(lifeboat.cluster.artifact_fetch#module:artifact). Empty in check mode.
  returned: success
  type: list
  elements: dict
problems:
  description: What could not be added, and why.
  returned: success
  type: list
  elements: str
  sample: []
duration_seconds:
  description: How long it took.
  returned: success, not in check mode
  type: float
"""
