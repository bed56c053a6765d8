# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which artifacts of a recovery point a recovery reads: pure functions on the manifest and what the plan says."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence

_ETCD = "etcd"
_ETCDUTL = "tools/etcdutl."


def needed(manifest: Mapping[str, Any], components_by_host: Mapping[str, Sequence[str]], etcd: bool, etcdutl: bool = False) -> List[str]:
    """Names of the artifacts that are brought onto machines, in the order of the manifest.

    ``components_by_host``: the components that each machine gets back from the recovery point. The data of etcd lie in one artifact, whoever it was taken
    from: ``etcd`` says whether they are restored. ``etcdutl``: whether a machine needs the program that the recovery point holds. What helps only people
    (the inventory, the collection) is never needed.
    """

    def wanted(artifact: Mapping[str, Any]) -> bool:
        component, host = artifact["component"], artifact["host"]
        if component == _ETCD:
            return etcd
        if str(artifact["name"]).startswith(_ETCDUTL):
            return etcdutl
        return component in components_by_host.get(host, ())

    return [str(artifact["name"]) for artifact in manifest["artifacts"] if wanted(artifact)]
