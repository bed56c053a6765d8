# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A path on the controller that a person gave, from the directory in which that person stands."""

from __future__ import annotations

from typing import Any, Callable, Dict

from ansible_collections.lifeboat.cluster.plugins.plugin_utils.given import given_path


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"given_path": given_path}
