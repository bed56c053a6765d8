# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kinds of a snapshot an API server of another release cannot read."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.decodable import undecodable


def undecodable_kinds(keys_by_kind: Mapping[str, int], images: Sequence[str]) -> List[str]:
    """Kind, number and reason of each, for the API server among these images."""
    if not isinstance(keys_by_kind, Mapping):
        raise AnsibleFilterError("undecodable_kinds needs the numbers of keys by kind, not %s" % type(keys_by_kind).__name__)
    versions = [name.rpartition(":")[2] for name in images if name.rpartition(":")[0].endswith("kube-apiserver")]
    found: Dict[str, str] = {}
    for version in versions:
        found.update(undecodable(keys_by_kind, version))
    return ["%d of %s (%s)" % (keys_by_kind[kind], kind, reason) for kind, reason in sorted(found.items())]


class FilterModule:
    """Filters of the collection."""

    def filters(self) -> Dict[str, Callable[..., Any]]:
        """By name."""
        return {"undecodable_kinds": undecodable_kinds}
