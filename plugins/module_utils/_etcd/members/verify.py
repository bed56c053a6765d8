# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof that a cluster is one: equal hashes, a quorum that answers, old watches that are cancelled."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import EtcdClient, KeyHash, hex_id
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import ClusterView, Connector, MemberState
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError, NotAvailable, Rejected

_ATTEMPTS = 5
_PAUSE_SECONDS = 0.3


@dataclass(frozen=True)
class MemberHash:
    """The hash of one member, or why there is none."""

    endpoint: str
    member_id: int
    value: Optional[KeyHash]
    error: str = ""
    impossible: bool = False  # nothing on this host can ask that server; it does not help to wait

    def as_result(self) -> Dict[str, Any]:
        """Fields for a module's result."""
        value = self.value
        return {
            "endpoint": self.endpoint,
            "member_id": hex_id(self.member_id),
            "hash": value.hash if value else None,
            "hash_revision": value.hash_revision if value else None,
            "compact_revision": value.compact_revision if value else None,
            "error": self.error,
        }


@dataclass(frozen=True)
class HashComparison:
    """``equal`` is None when nothing was proven; ``reason`` says why."""

    hashes: Tuple[MemberHash, ...]
    equal: Optional[bool]
    reason: str

    @property
    def impossible(self) -> bool:
        """A member can never be asked from here."""
        return any(entry.impossible for entry in self.hashes)


def compare_hashes(client: EtcdClient, view: ClusterView, *, revision: int = 0, sentinel: bytes = b"", connector: Connector = connect) -> HashComparison:
    """Ask every member for the hash at one revision: the given one, else the newest that all members have.

    Nothing is written, unless ``sentinel`` names a key for it: straight after a restore with a bump, releases before 3.4.27 and
    3.5.10 cannot hash the newest revision before there is a newer one. Hashes count only where ``compact_revision`` is equal; the
    API server compacts every few minutes, so an unequal one is asked for again.
    """
    if sentinel:
        client.put(sentinel, b"lifeboat")
    # A learner may still be on its way; it counts when it is promoted.
    states = [state for state in view.states if not state.member.is_learner]
    missing = [state.label for state in states if not state.reachable]
    comparison = HashComparison((), None, "no member could be asked")
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        with ThreadPoolExecutor(max_workers=max(1, len(states))) as pool:
            at = revision or _common_revision(client, states, connector, pool)
            asked = [state for state in states if state.reachable]
            hashes = tuple(pool.map(partial(_hash, client, at, connector), asked))
        before, comparison = comparison, _judge(hashes, missing)
        # That members differ is said only when it was seen twice.
        if comparison.equal or (comparison.equal is False and before.equal is False):
            break
        if comparison.equal is None and not _worth_another_try(hashes, missing):
            break
    return comparison


def _common_revision(client: EtcdClient, states: Sequence[MemberState], connector: Connector, pool: ThreadPoolExecutor) -> int:
    """The newest revision that every member which answers has reached."""

    def ask(state: MemberState) -> int:
        other, mine = _client_for(client, state, connector)
        try:
            return other.status().revision
        except EtcdError:
            return 0
        finally:
            if mine:
                other.close()

    revisions = [number for number in pool.map(ask, [state for state in states if state.reachable]) if number]
    return min(revisions) if revisions else 0


def _client_for(client: EtcdClient, state: MemberState, connector: Connector) -> Tuple[EtcdClient, bool]:
    if state.endpoint == client.connection.endpoint:
        return client, False
    return connector(client.connection.at(state.endpoint)), True


def _hash(client: EtcdClient, revision: int, connector: Connector, state: MemberState) -> MemberHash:
    try:
        other, mine = _client_for(client, state, connector)
        try:
            return MemberHash(state.endpoint, state.member.member_id, other.hash_kv(revision))
        finally:
            if mine:
                other.close()
    except NotAvailable as error:
        return _hash_by_etcdctl(client, state, revision, connector, error)
    except EtcdError as error:
        return MemberHash(state.endpoint, state.member.member_id, None, error.found or error.message)


def _hash_by_etcdctl(client: EtcdClient, state: MemberState, revision: int, connector: Connector, problem: NotAvailable) -> MemberHash:
    """The gateway of old servers cannot answer; etcdctl can, where there is one."""
    if client.transport == "etcdctl" or shutil.which("etcdctl") is None:
        return MemberHash(state.endpoint, state.member.member_id, None, "%s; etcdctl, which could ask, is not on this host" % problem.message, impossible=True)
    try:
        other = connector(replace(client.connection, endpoint=state.endpoint, transport="etcdctl"))
        return MemberHash(state.endpoint, state.member.member_id, other.hash_kv(revision))
    except EtcdError as error:
        return MemberHash(state.endpoint, state.member.member_id, None, error.found or error.message)


def _judge(hashes: Sequence[MemberHash], missing: Sequence[str]) -> HashComparison:
    answered = [entry for entry in hashes if entry.value is not None]
    values = [entry.value for entry in answered if entry.value is not None]
    by_base: Dict[Tuple[int, int], List[int]] = {}
    for value in values:
        by_base.setdefault((value.hash_revision, value.compact_revision), []).append(value.hash)
    if any(len(set(group)) > 1 for group in by_base.values()):
        return HashComparison(tuple(hashes), False, "members hold different data at the same revision")
    failed = ["%s: %s" % (entry.endpoint, entry.error) for entry in hashes if entry.value is None]
    if not values:
        return HashComparison(tuple(hashes), None, "no member gave a hash: %s" % ("; ".join(failed) or "none answered"))
    if len(by_base) > 1:
        return HashComparison(tuple(hashes), None, "the hashes are over different revisions or compactions, so they cannot be compared")
    agree = "%d of %d members hold equal data at revision %d" % (len(values), len(hashes) + len(missing), values[0].hash_revision)
    if failed or missing:
        return HashComparison(tuple(hashes), None, "%s; without an answer: %s" % (agree, "; ".join(failed + list(missing))))
    return HashComparison(tuple(hashes), True, agree)


def _worth_another_try(hashes: Sequence[MemberHash], missing: Sequence[str]) -> bool:
    """A compaction or a member that was a moment behind may explain it; a member that is gone does not come back for us."""
    if missing:
        return False
    errors = [entry.error for entry in hashes if entry.value is None]
    return all("compacted" in error or "future revision" in error for error in errors)


def linearizable_read(client: EtcdClient) -> Tuple[bool, str]:
    """Whether a quorum answers right now: only it can answer a linearizable read."""
    try:
        client.range(b"\0lifeboat/quorum-probe", count_only=True)
    except Rejected as error:
        return False, error.reason
    except EtcdError as error:
        return False, error.found or error.message
    return True, ""
