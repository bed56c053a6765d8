# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates of a host in a recovery point are no longer valid."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.validity import ends


def expired_certificates(artifacts: Sequence[Mapping[str, Any]], host: str, now: str, checks: Sequence[Mapping[str, Any]]) -> List[str]:
    """Path and end of each certificate that ended before ``now`` (ISO 8601 in UTC, as in the manifest), of those that the platform's ``checks`` name."""
    if isinstance(artifacts, (str, Mapping)) or not isinstance(artifacts, Sequence):
        raise AnsibleFilterError("expired_certificates needs the artifacts of a manifest, not %s" % type(artifacts).__name__)
    return ["%s ended %s" % (path, end) for path, end in ends(artifacts, host, checks).items() if end < now]


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"expired_certificates": expired_certificates}
