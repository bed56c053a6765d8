#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: backup_location_info
short_description: Check a backup storage location and the rights of whoever runs this
version_added: "0.1.0"
description:
  - Tries with the credentials at hand what a location can do. Whether it can be listed, written and read, keeps versions, locks, keeps its locks;
    how far the clocks are apart; whether TLS is used; how much space a directory has, and whether its links can be relied upon.
  - With O(purpose), compares the rights with those that this purpose needs.
  - One small object is written below C(<cluster>/probes/), and everything is tried on it or on names that nobody ever wrote.
  - Where objects are locked, it is locked for one minute, because an object without a lock of its own would get the bucket's default, which may be years,
    and because only a locked object shows whether locks hold.
  - It is removed again where the credentials allow. Else it stays, with a name that says what it is, and whoever may remove versions
    removes it with the next run of this module.
  - Rights over the bucket as a whole (its versioning, retention, policy, removal) cannot be tried without harm.
    So they are not, and RV(facts.not_probed) says so.
  - In check mode nothing at all is written; the result is then a listing only.
options:
  purpose:
    description:
      - Whose credentials these should be. Each has its policy in C(extensions/s3-policies).
      - Without it, no right is missing or too much.
    type: str
    choices: [backup, verify, restore, prune]
  clock_tolerance_seconds:
    description: How far the clocks of the controller and of the location may be apart.
    type: int
    default: 60
  minimum_free_bytes:
    description: Space that a directory has to have left.
    type: int
    default: 1073741824
  retain_days:
    description: Days for which recovery points shall be locked. Without O(location.object_lock_mode), the bucket's default retention has to be as long.
    type: int
    default: 0
  failed_checks:
    description:
      - What happens when a check of severity V(error) is not met.
      - V(fail) fails the task, V(return) only returns the checks, for M(lifeboat.cluster.check) to record.
    type: str
    choices: [fail, return]
    default: fail
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.recovery_point_location
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.backup_location
"""

EXAMPLES = r"""
- name: Can the nightly job back up, and no more than that?
  lifeboat.cluster.backup_location_info:
    location:
      type: s3
      bucket: lifeboat-shop
      endpoint_url: https://s3.example.com
      object_lock_mode: governance
    cluster_name: shop
    purpose: backup
"""

RETURN = r"""
checks:
  description: What was checked. A check that does not apply to this kind of location is met, and says so.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: One of V(listed), V(written), V(parts), V(names), V(versioned), V(locked), V(lock_holds), V(clock),
        V(transport), V(space), V(links), V(private),
        V(rights_needed), V(rights_excess).
      type: str
    title:
      description: What is true when it is met.
      type: str
    passed:
      description: Whether it is met.
      type: bool
    found:
      description: The evidence.
      type: str
    expected:
      description: The expectation in words.
      type: str
    remedy:
      description: What to do when it is not met.
      type: str
    severity:
      description: V(error) or V(warning).
      type: str
passed:
  description: Whether all checks of severity V(error) were met.
  returned: success
  type: bool
facts:
  description: The same as values; what could not be found out is null.
  returned: success
  type: dict
  contains:
    kind:
      description: V(directory), V(nfs) or V(s3).
      type: str
    versioned:
      description: Whether versions are kept.
      type: bool
    locked:
      description: Whether the bucket has object lock.
      type: bool
    write_once:
      description: Whether what is written stays until its time is over, also against whoever has the credentials of the backup.
      type: bool
    lacks:
      description: What the location does not protect against, in words. Empty when it is write-once.
      type: str
    conditions:
      description: Whether a second object under the same name is refused, C(single) of one request and C(parts) of an upload in parts.
      type: dict
    default_retention:
      description: Mode and days of the bucket's default retention.
      type: dict
    skew_seconds:
      description: By how much the controller's clock is ahead of the location's.
      type: float
    tls:
      description: Whether TLS is used.
      type: bool
    free_bytes:
      description: Free space of a directory.
      type: int
    rights:
      description: What the credentials may do.
      type: dict
    not_probed:
      description: Rights that were not tried, because that could do harm.
      type: list
      elements: str
    leftover_probes:
      description: Probes that are still there.
      type: int
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import LocationError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS, open_location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.probing import PURPOSES, Settings, probe


def body(call: adapter.Call) -> Dict[str, Any]:
    """Probe the location."""
    params = call.params
    settings = Settings(
        purpose=params["purpose"] or "",
        clock_tolerance_seconds=params["clock_tolerance_seconds"],
        minimum_free_bytes=params["minimum_free_bytes"],
        retain_days=params["retain_days"],
        write=not call.check_mode,
    )
    location = open_location(params["location"])
    found = probe(location, params["cluster_name"], settings)
    unmet = [entry for entry in found.checks if entry["severity"] == "error" and not entry["passed"]]
    if unmet and params["failed_checks"] == "fail":
        raise LocationError(
            "The backup location is not fit",
            tried=location.describe(),
            found="; ".join("%s: %s" % (entry["title"], entry["found"]) for entry in unmet),
            remedy=" ".join(entry["remedy"] for entry in unmet),
            checks=found.checks,
            facts=found.facts,
        )
    return {"checks": found.checks, "facts": found.facts, "passed": not unmet}


def main() -> None:
    """Argument spec and call."""
    adapter.run(
        dict(
            LOCATION_ARGUMENTS,
            purpose={"type": "str", "choices": list(PURPOSES)},
            clock_tolerance_seconds={"type": "int", "default": 60},
            minimum_free_bytes={"type": "int", "default": 1 << 30},
            retain_days={"type": "int", "default": 0},
            failed_checks={"type": "str", "choices": ["fail", "return"], "default": "fail"},
        ),
        body,
    )


if __name__ == "__main__":
    main()
