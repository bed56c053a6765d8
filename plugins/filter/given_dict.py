# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dictionary that a person gave, as a dictionary, or as the text that surveys and ``-e name=value`` make of everything."""

from __future__ import annotations

from typing import Any, Callable, Dict

from ansible_collections.lifeboat.cluster.plugins.plugin_utils.given import given_dict


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"given_dict": given_dict}
