# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes that every module and action of the collection states."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of check mode, diff mode and the action group."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and returns what would change, without changing the target.
    support: full
  diff_mode:
    description: Returns details on what has changed, or would change in C(check_mode), when run in diff mode.
    support: none
  action_group:
    description: Use C(group/lifeboat.cluster.lifeboat) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - lifeboat.cluster.lifeboat
"""

    # For modules that change something and say what.
    CHANGES = r"""
options: {}
attributes:
  diff_mode:
    description: Returns details on what has changed, or would change in C(check_mode), when run in diff mode.
    support: full
"""
