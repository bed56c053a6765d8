# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which artifacts of a recovery point a recovery brings onto machines."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.needs import needed
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.filter_input import need_dictionaries


def needed_artifacts(manifest: Any, components: Any, etcd: bool, etcdutl: bool = False) -> List[str]:
    """Names of artifacts, as ``recovery_point.needs`` says."""
    for what, value in (("a manifest", manifest), ("components by host", components)):
        need_dictionaries("needed_artifacts", "%s as a dictionary" % what, value)
    by_host: Mapping[str, Sequence[str]] = components
    return needed(manifest, by_host, etcd, etcdutl)


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"needed_artifacts": needed_artifacts}
