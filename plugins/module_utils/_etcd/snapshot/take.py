# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot as one job: look whether the member is worth it, take it, open it, tell."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Dict, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import EtcdClient
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import DEFAULT_MAX_LAG_ENTRIES, look
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import SnapshotError
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members import health
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.inventory import Inventory
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.snapshot import (
    FileProof,
    directory_of,
    prove,
    record_of,
    require_space,
    save,
    store_inventory,
)
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.stored import DEFAULT_PREFIX


def prepare(
    client: EtcdClient,
    path: str,
    *,
    max_lag_entries: int = DEFAULT_MAX_LAG_ENTRIES,
    minimum_free_bytes: int = 0,
    allowed: Sequence[str] = (),
) -> Dict[str, Any]:
    """Refuse a cluster or a directory that no good snapshot can come from or go to; returns the cluster as seen."""
    view = look(client, max_lag_entries=max_lag_entries)
    cluster = health.cluster_result(view, max_lag_entries=max_lag_entries)
    forbidding = health.forbidding(health.problems(view, max_lag_entries=max_lag_entries), allowed)
    if forbidding:
        raise SnapshotError(
            "no snapshot is taken from %s" % client.connection.endpoint,
            tried="looked at the cluster",
            found="; ".join(problem.message for problem in forbidding),
            remedy="Mend that, ask another member, or name the problem in allow_problems (%s)." % ", ".join(sorted({problem.id for problem in forbidding})),
            endpoint=client.connection.endpoint,
            problems=[problem.as_result() for problem in forbidding],
        )
    own = view.state_of(view.member_id)
    with directory_of(path) as (place, directory):
        require_space(place, directory, own.status.db_size_bytes if own and own.status else 0, minimum_free_bytes)
    return cluster


@dataclass(frozen=True)
class Taken:
    """A snapshot's record, and what is in the file beside."""

    record: Dict[str, Any]
    inventory: Inventory


def take(
    client: EtcdClient, path: str, cluster: Dict[str, Any], *, minimum_free_bytes: int = 0, owner: str = "", prefixes: Sequence[str] = (DEFAULT_PREFIX,)
) -> Taken:
    """Take the snapshot and return its record."""
    saved = save(client, path, minimum_free_bytes=minimum_free_bytes, owner=owner)
    # What was written was compared with etcd's own sha256 on its way; reading it all once more would prove the page cache.
    proof = FileProof(path, saved.size_bytes, saved.sha256, True, saved.taken_at)
    inventory = store_inventory(path, prefixes=prefixes)
    result = record_of(proof, inventory)
    own: Dict[str, Any] = next((status for status in cluster["statuses"] if status["endpoint"] == client.connection.endpoint), {})
    result.update(
        taken_at=saved.taken_at,
        duration_seconds=saved.duration_seconds,
        endpoint=client.connection.endpoint,
        transport=client.transport,
        member_id=own.get("member_id", ""),
        server_version=own.get("version", ""),
        cluster=cluster,
    )
    return Taken(result, inventory)


def existing(path: str, prefixes: Sequence[str] = (DEFAULT_PREFIX,)) -> Taken:
    """The record of a snapshot that was taken by an earlier run. Its time is the file's."""
    proof = prove(os.path.realpath(path))
    inventory = store_inventory(path, prefixes=prefixes)
    result = record_of(proof, inventory)
    result.update(path=path, taken_at=proof.modified_at, duration_seconds=0.0, endpoint="", transport="", member_id="", server_version="", cluster=None)
    return Taken(result, inventory)
