# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs that a service does its work: etcd has a quorum and equal members, the API server is ready, a container holds."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Mapping, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import NOSPACE, Connection, EtcdClient
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.cluster import look
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.gateway import GatewayClient
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import EtcdError
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.members.verify import HashComparison, compare_hashes
from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes.api import ApiClient, Credentials
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.etcd_place import Restored
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

# A question to a member that has no leader is not answered for seconds; asking again is quicker than waiting.
_ETCD_TIMEOUT_SECONDS = 2.0
_HASH_TIMEOUT_SECONDS = 60.0
_API_TIMEOUT_SECONDS = 5.0
# An API server that has not read all kinds after so long may have one that it cannot decode.
_SYNC_SECONDS = 15.0
# Alarms are raised in the store, which answers already; longer than this it is no matter of starting.
ALARM_PATIENCE_SECONDS = 20.0
DEFRAGMENT_AGAIN_SECONDS = 5.0
_DEFRAGMENT_TIMEOUT_SECONDS = 120.0
_PROBE_KEY = b"lifeboat-probe"


class MembersDifferError(LifeboatError):
    """Members of one etcd cluster hold different data."""


class NotRestoredError(LifeboatError):
    """etcd serves, but not what was restored."""


class EtcdProof:
    """Questions to the local member, and to the others for their hashes.

    ``restored`` is what a restore has put in place on this host: then etcd has to serve that, not merely something. ``place`` tells where etcd looks for its
    data, for an error.
    """

    def __init__(self, facts: Mapping[str, Any], restored: Optional[Restored] = None, place: Callable[[], str] = lambda: "") -> None:
        self._facts = facts
        self._restored = restored
        self._place = place
        self._client: Optional[EtcdClient] = None
        self.revision = 0
        # Alarms that came with restored data: with them etcd refuses every write, whatever its quota is now.
        self.disarmed: List[str] = []
        # Where the data are as large as the quota all the same: how large both are.
        self.no_room = ""
        self._asked_since = 0.0
        self._defragmented_at = -DEFRAGMENT_AGAIN_SECONDS

    def _connection(self, timeout_seconds: float) -> Connection:
        facts = self._facts
        return Connection(
            endpoint=str(facts.get("endpoint") or "https://127.0.0.1:2379"),
            ca_cert=str(facts.get("ca_cert") or ""),
            client_cert=str(facts.get("client_cert") or ""),
            client_key=str(facts.get("client_key") or ""),
            transport="gateway",
            timeout_seconds=timeout_seconds,
        )

    def missing(self) -> str:
        """What is missing for a quorum, or an empty text once a linearizable read was answered. Raises NotRestoredError when other data is served."""

        if self._client is None:
            self._client = GatewayClient(self._connection(_ETCD_TIMEOUT_SECONDS))
        try:
            # Status is answered at once, with or without a leader; a linearizable read without a leader hangs.
            if not self._client.status().leader:
                return "etcd has no leader yet"
            self.revision = self._client.range(_PROBE_KEY, keys_only=True).revision
        except EtcdError as error:
            return "etcd: %s" % (error.found or error.message)
        self._refuse_other_data()
        return self._take_back_alarms(self._client) if self._restored is not None else ""

    def _take_back_alarms(self, client: EtcdClient) -> str:
        """Why they are still there. An etcd that can never be asked for them is not waited for: its health is looked at in the end."""

        self._asked_since = self._asked_since or time.monotonic()
        waiting = time.monotonic() - self._asked_since < ALARM_PATIENCE_SECONDS
        try:
            self._make_room(client)
            self.disarmed += ["%s of member %x" % (alarm.alarm, alarm.member_id) for alarm in client.disarm_nospace()]
            status = client.status()
        except EtcdError as error:
            return "etcd, to take back alarms that were restored: %s" % (error.found or error.message) if waiting else ""
        full = 0 < status.db_size_quota_bytes <= status.db_size_bytes
        self.no_room = "%d of %d bytes" % (status.db_size_bytes, status.db_size_quota_bytes) if full else ""
        return "etcd has no room: %s" % self.no_room if full and waiting else ""

    def _make_room(self, client: EtcdClient) -> None:
        """Give back what the restore compacted, where etcd has no room otherwise. It compacts when it starts, in steps, so this may be needed again."""

        status = client.status()
        full = 0 < status.db_size_quota_bytes <= status.db_size_bytes
        if (full or any(alarm.alarm == NOSPACE for alarm in client.alarms())) and time.monotonic() - self._defragmented_at > DEFRAGMENT_AGAIN_SECONDS:
            with GatewayClient(self._connection(_DEFRAGMENT_TIMEOUT_SECONDS)) as patient:
                patient.defragment()
            self._defragmented_at = time.monotonic()

    def _refuse_other_data(self) -> None:
        """A restore leaves a revision above everything that was ever served, so data with a lower one is not what was restored."""
        restored = self._restored
        if restored is None or self.revision >= restored.revision:
            return
        place = self._place()
        raise NotRestoredError(
            "etcd serves other data than what was restored on this host, so the API server was not started.",
            tried="compare the revision of a linearizable read with the one in %s" % restored.marker,
            found="revision %d is served, revision %d was restored into %s" % (self.revision, restored.revision, restored.target)
            + ("; " + place if place else ""),
            remedy="Find out from which directory etcd reads (its manifest or unit on this host). If it is another one, name it in the inventory "
            "(lifeboat_platform_overrides: {etcd: {data_dir: ...}}), then run the same command again.",
            revision=self.revision,
            restored_revision=restored.revision,
        )

    def compare(
        self, wait_seconds: float, refuse: bool, clock: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep
    ) -> Dict[str, Any]:
        """Hash all members at the revision of the quorum read, waiting for members that are not there yet.

        Nobody may write meanwhile, so members that differ, differ for good. Result: revision, members, equal (None when it can't be known,
        with the reason).
        """

        client = connect(self._connection(_HASH_TIMEOUT_SECONDS))
        end = clock() + wait_seconds
        names: Dict[int, str] = {}
        while True:
            try:
                # A restored member has its name from the restore, but publishes its client URLs only when it runs: it counts as missing until then.
                view = look(client)
                names = {member.member_id: member.name for member in view.members}
                comparison = compare_hashes(client, view, revision=self.revision)
            except EtcdError as error:
                comparison = HashComparison((), None, error.found or error.message)
            if comparison.equal is not None or comparison.impossible or clock() >= end:
                break
            pause(0.1)
        answers = sorted((dict(item.as_result(), name=names.get(item.member_id, "")) for item in comparison.hashes), key=lambda item: str(item["name"]))
        if refuse and comparison.equal is not True:
            raise MembersDifferError(
                "The members of etcd are not proven equal, so the API server was not started.",
                tried="hash of all keys at revision %d on every member" % self.revision,
                found="; ".join(
                    ["%s: hash %s, compacted at %s" % (item["name"], item["hash"], item["compact_revision"]) for item in answers] + [comparison.reason]
                ),
                remedy="Restore all members from the same snapshot with the same bump, then run this again."
                if comparison.equal is False
                else "Start the members that are missing on their hosts, then run this again.",
                revision=self.revision,
                members=answers,
            )
        reason = "" if comparison.equal else comparison.reason
        return {"revision": self.revision, "members": answers, "equal": comparison.equal, "reason": reason}


class ApiProof:
    """Questions to the local API server."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts
        self._client: Optional[ApiClient] = None
        self._first = time.monotonic()

    def missing(self) -> str:
        """What the API server lacks, or an empty text when it says that it is ready."""
        if self._client is None:
            facts = self._facts
            self._client = ApiClient(
                str(facts.get("server") or "https://127.0.0.1:6443"),
                Credentials.of(facts),
                str(facts.get("server_name") or ""),
                _API_TIMEOUT_SECONDS,
            )
        ready, why = self._client.ready()
        if ready:
            return ""
        # Every start shows it for a moment; one Secret that cannot be decoded, for ever.
        late = "informer-sync" in why and time.monotonic() - self._first > _SYNC_SECONDS
        secrets = self._client.unreadable() if late else ""
        return "kube-apiserver: %s%s" % (why, "; Secrets: " + secrets if secrets else "")
