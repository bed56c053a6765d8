# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows how far the module of this name is."""

from __future__ import annotations

from ansible.plugins.action.normal import ActionModule as AnyModule

from ansible_collections.lifeboat.cluster.plugins.plugin_utils.progress import ShowsProgress


class ActionModule(ShowsProgress, AnyModule):
    """lifeboat.cluster.recovery_point_copy"""
