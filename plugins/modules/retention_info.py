#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: retention_info
short_description: Whether a retention policy goes with an RPO target
version_added: "0.1.0"
description:
  - Says whether the recovery points that a policy keeps lie close enough together for the RPO target, for a day at least, and names a policy that does.
  - Looks at no location and at no recovery point. Runs on the controller.
options:
  policy:
    description: The policy, as option O(lifeboat.cluster.recovery_point_prune#module:policy) has it. Without it, the fitting one that is named is judged.
    type: dict
  rpo_target_seconds:
    description: How much may be lost, in seconds.
    type: int
    required: true
extends_documentation_fragment:
  - lifeboat.cluster.attributes
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.recovery_point_prune
"""

EXAMPLES = r"""
- name: Look whether the retention fits
  lifeboat.cluster.retention_info:
    policy:
      keep_daily: 14
      minimum_age_days: 7
    rpo_target_seconds: 3600
"""

RETURN = r"""
fitting:
  description: A policy that fits.
  returned: success
  type: dict
  sample: {"keep_last": 3, "keep_hourly": 48, "keep_daily": 14, "keep_weekly": 8, "keep_monthly": 12, "minimum_age_days": 7}
fits:
  description: Whether O(policy) fits.
  returned: success
  type: bool
found:
  description: The policy and the target in words, or what is wrong with the policy.
  returned: success
  type: str
remedy:
  description: What to do when it does not fit.
  returned: success
  type: str
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._retention import retention_fit
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError


def body(call: adapter.Call) -> Dict[str, Any]:
    """Judge the policy."""
    policy, target = call.params["policy"], call.params["rpo_target_seconds"]
    if target <= 0:
        raise LifeboatError("An RPO target is a number of seconds above 0", found=str(target), remedy="correct rpo_target_seconds")
    fitting = retention_fit.fitting(target)
    fit = retention_fit.judge(fitting if policy is None else policy, target)
    return {"fitting": fitting, "fits": fit.fits, "found": fit.found, "remedy": fit.remedy}


def main() -> None:
    """Argument spec and call."""
    adapter.run({"policy": {"type": "dict"}, "rpo_target_seconds": {"type": "int", "required": True}}, body)


if __name__ == "__main__":
    main()
