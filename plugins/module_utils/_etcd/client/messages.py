# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages and calls of etcd that Lifeboat uses: field numbers, names, gRPC and gateway paths (etcdserverpb, mvccpb)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import Field, Schema

ALARMS = ("NONE", "NOSPACE", "CORRUPT")

HEADER = Schema(Field(1, "cluster_id", "uint"), Field(2, "member_id", "uint"), Field(3, "revision", "int"), Field(4, "raft_term", "uint"))
_HEADER = Field(1, "header", "message", schema=HEADER)
EMPTY = Schema()

MEMBER = Schema(
    Field(1, "ID", "uint"),
    Field(2, "name", "string"),
    Field(3, "peerURLs", "string", repeated=True),
    Field(4, "clientURLs", "string", repeated=True),
    Field(5, "isLearner", "bool"),
)
_MEMBERS = Field(2, "members", "message", repeated=True, schema=MEMBER)

KEY_VALUE = Schema(
    Field(1, "key", "bytes"),
    Field(2, "create_revision", "int"),
    Field(3, "mod_revision", "int"),
    Field(4, "version", "int"),
    Field(5, "value", "bytes"),
    Field(6, "lease", "int"),
)

STATUS_RESPONSE = Schema(
    _HEADER,
    Field(2, "version", "string"),
    Field(3, "dbSize", "int"),
    Field(4, "leader", "uint"),
    Field(5, "raftIndex", "uint"),
    Field(6, "raftTerm", "uint"),
    Field(7, "raftAppliedIndex", "uint"),
    Field(8, "errors", "string", repeated=True),
    Field(9, "dbSizeInUse", "int"),
    Field(10, "isLearner", "bool"),
    Field(11, "storageVersion", "string"),
    Field(12, "dbSizeQuota", "int"),
)

ALARM_MEMBER = Schema(Field(1, "memberID", "uint"), Field(2, "alarm", "enum", names=ALARMS))

SNAPSHOT_RESPONSE = Schema(_HEADER, Field(2, "remaining_bytes", "uint"), Field(3, "blob", "bytes"), Field(4, "version", "string"))

RANGE_REQUEST = Schema(
    Field(1, "key", "bytes"),
    Field(2, "range_end", "bytes"),
    Field(3, "limit", "int"),
    Field(4, "revision", "int"),
    Field(7, "serializable", "bool"),
    Field(8, "keys_only", "bool"),
    Field(9, "count_only", "bool"),
)
RANGE_RESPONSE = Schema(_HEADER, Field(2, "kvs", "message", repeated=True, schema=KEY_VALUE), Field(3, "more", "bool"), Field(4, "count", "int"))

WATCH_REQUEST = Schema(
    Field(
        1,
        "create_request",
        "message",
        schema=Schema(Field(1, "key", "bytes"), Field(2, "range_end", "bytes"), Field(3, "start_revision", "int"), Field(6, "prev_kv", "bool")),
    )
)
EVENT = Schema(
    Field(1, "type", "enum", names=("PUT", "DELETE")),
    Field(2, "kv", "message", schema=KEY_VALUE),
    Field(3, "prev_kv", "message", schema=KEY_VALUE),
)
WATCH_RESPONSE = Schema(
    _HEADER,
    Field(2, "watch_id", "int"),
    Field(3, "created", "bool"),
    Field(4, "canceled", "bool"),
    Field(5, "compact_revision", "int"),
    Field(6, "cancel_reason", "string"),
    Field(11, "events", "message", repeated=True, schema=EVENT),
)


@dataclass(frozen=True)
class Method:
    """One remote call: its name for people, where it is answered, what goes in and out."""

    name: str
    grpc_path: str
    gateway_path: str
    request: Schema
    response: Schema


STATUS = Method("status", "/etcdserverpb.Maintenance/Status", "maintenance/status", EMPTY, STATUS_RESPONSE)
SNAPSHOT = Method("snapshot", "/etcdserverpb.Maintenance/Snapshot", "maintenance/snapshot", EMPTY, SNAPSHOT_RESPONSE)
HASH_KV = Method(
    "hash by revision",
    "/etcdserverpb.Maintenance/HashKV",
    "maintenance/hashkv",
    Schema(Field(1, "revision", "int")),
    Schema(_HEADER, Field(2, "hash", "uint"), Field(3, "compact_revision", "int"), Field(4, "hash_revision", "int")),
)
ALARM = Method(
    "alarms",
    "/etcdserverpb.Maintenance/Alarm",
    "maintenance/alarm",
    Schema(Field(1, "action", "enum", names=("GET", "ACTIVATE", "DEACTIVATE")), Field(2, "memberID", "uint"), Field(3, "alarm", "enum", names=ALARMS)),
    Schema(_HEADER, Field(2, "alarms", "message", repeated=True, schema=ALARM_MEMBER)),
)
DEFRAGMENT = Method("defragmentation", "/etcdserverpb.Maintenance/Defragment", "maintenance/defragment", EMPTY, Schema(_HEADER))
MEMBER_LIST = Method(
    "member list", "/etcdserverpb.Cluster/MemberList", "cluster/member/list", Schema(Field(1, "linearizable", "bool")), Schema(_HEADER, _MEMBERS)
)
MEMBER_ADD = Method(
    "member add",
    "/etcdserverpb.Cluster/MemberAdd",
    "cluster/member/add",
    Schema(Field(1, "peerURLs", "string", repeated=True), Field(2, "isLearner", "bool")),
    Schema(_HEADER, Field(2, "member", "message", schema=MEMBER), Field(3, "members", "message", repeated=True, schema=MEMBER)),
)
MEMBER_REMOVE = Method(
    "member remove", "/etcdserverpb.Cluster/MemberRemove", "cluster/member/remove", Schema(Field(1, "ID", "uint")), Schema(_HEADER, _MEMBERS)
)
MEMBER_PROMOTE = Method(
    "member promote", "/etcdserverpb.Cluster/MemberPromote", "cluster/member/promote", Schema(Field(1, "ID", "uint")), Schema(_HEADER, _MEMBERS)
)
RANGE = Method("read", "/etcdserverpb.KV/Range", "kv/range", RANGE_REQUEST, RANGE_RESPONSE)
PUT = Method(
    "put",
    "/etcdserverpb.KV/Put",
    "kv/put",
    Schema(Field(1, "key", "bytes"), Field(2, "value", "bytes"), Field(3, "lease", "int")),
    Schema(_HEADER),
)
DELETE = Method(
    "delete",
    "/etcdserverpb.KV/DeleteRange",
    "kv/deleterange",
    Schema(Field(1, "key", "bytes"), Field(2, "range_end", "bytes")),
    Schema(_HEADER, Field(2, "deleted", "int")),
)
WATCH = Method("watch", "/etcdserverpb.Watch/Watch", "watch", WATCH_REQUEST, WATCH_RESPONSE)

METHODS: Tuple[Method, ...] = (
    STATUS,
    SNAPSHOT,
    HASH_KV,
    ALARM,
    DEFRAGMENT,
    MEMBER_LIST,
    MEMBER_ADD,
    MEMBER_REMOVE,
    MEMBER_PROMOTE,
    RANGE,
    PUT,
    DELETE,
    WATCH,
)
