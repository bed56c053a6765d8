# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates of a host in a recovery point are no longer valid."""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from ansible.errors import AnsibleFilterError

# A kubelet that rotates keeps its former certificates beside the one in use, each with its date in its name.
_ROTATED = re.compile(r"(?P<kind>.*/kubelet-(?:client|server)-)\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d\.pem\Z")


def expired_certificates(artifacts: Sequence[Mapping[str, Any]], host: str, now: str) -> List[str]:
    """Path and end of each certificate that ended before ``now`` (ISO 8601 in UTC, as in the manifest). Of rotated ones the newest counts."""
    if isinstance(artifacts, (str, Mapping)) or not isinstance(artifacts, Sequence):
        raise AnsibleFilterError("expired_certificates needs the artifacts of a manifest, not %s" % type(artifacts).__name__)
    ends: Dict[Tuple[str, int], Tuple[str, str]] = {}
    for artifact in artifacts:
        if artifact.get("host") != host:
            continue
        for certificate in (artifact.get("contents") or {}).get("certificates") or ():
            path, end = str(certificate.get("path") or ""), str(certificate.get("not_after") or "")
            rotated = _ROTATED.match(path)
            key = (rotated.group("kind") if rotated else path, int(certificate.get("number") or 0))
            if end and end >= ends.get(key, ("", ""))[1]:
                ends[key] = (path, end)
    return ["/%s ended %s" % item for item in sorted(set(ends.values())) if item[1] < now]


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"expired_certificates": expired_certificates}
