# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Protobuf on the wire and as JSON: round trips, defaults, and bytes that are none."""

from __future__ import annotations

import random

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client import messages
from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import Malformed, fields, read_varint, varint

MEMBER_LIST = {
    "header": {"cluster_id": 2**64 - 1, "member_id": 7, "revision": -1, "raft_term": 3},
    "members": [
        {"ID": 10276657743932975437, "name": "node1", "peerURLs": ["https://a:2380", "https://b:2380"], "clientURLs": ["https://a:2379"], "isLearner": False},
        {"ID": 1, "name": "", "peerURLs": ["https://c:2380"], "clientURLs": [], "isLearner": True},
    ],
}


def test_numbers() -> None:
    for number in (0, 1, 127, 128, 300, 2**32, 2**63 - 1, 2**64 - 1):
        assert read_varint(varint(number), 0) == (number, len(varint(number)))
    assert varint(-1) == varint(2**64 - 1)


def test_a_message_survives_the_wire_and_json() -> None:
    schema = messages.MEMBER_LIST.response
    assert schema.decode(schema.encode(MEMBER_LIST)) == MEMBER_LIST
    assert schema.from_json(schema.to_json(MEMBER_LIST)) == MEMBER_LIST


def test_json_of_the_gateway_and_of_etcdctl() -> None:
    gateway = {"header": {"revision": "7"}, "alarms": [{"memberID": "10276657743932975437", "alarm": "NOSPACE"}]}
    etcdctl = {"header": {"revision": 7}, "alarms": [{"memberID": 10276657743932975437, "alarm": 1}]}
    schema = messages.ALARM.response
    assert schema.from_json(gateway) == schema.from_json(etcdctl)
    assert schema.from_json(gateway)["alarms"] == [{"memberID": 10276657743932975437, "alarm": "NOSPACE"}]


def test_defaults_are_left_out_for_servers_that_do_not_know_the_field() -> None:
    assert messages.MEMBER_LIST.request.to_json({"linearizable": False}) == {}
    assert messages.MEMBER_ADD.request.to_json({"peerURLs": ["u"], "isLearner": False}) == {"peerURLs": ["u"]}
    assert messages.RANGE.request.encode({"key": b"k", "limit": 0, "serializable": False}) == b"\x0a\x01k"


def test_unknown_fields_are_passed_over() -> None:
    extended = messages.PUT.response.encode({"header": {"revision": 5}}) + b"\xfa\x01\x03new" + b"\x95\x02abcd" + b"\x99\x02abcdefgh"
    assert messages.PUT.response.decode(extended)["header"]["revision"] == 5


@pytest.mark.parametrize("damaged", [b"\x0a", b"\x0a\x05abc", b"\xff" * 11, b"\x0b", b"\x80", b"\x10\x80"])
def test_bytes_that_are_no_message(damaged: bytes) -> None:
    with pytest.raises(Malformed):
        messages.RANGE.response.decode(damaged)


def test_any_bytes_are_a_message_or_malformed() -> None:
    chance = random.Random(1)
    for _round in range(3000):
        data = chance.randbytes(chance.randrange(40))
        try:
            list(fields(data))
            for method in messages.METHODS:
                method.response.decode(data)
        except Malformed:
            continue


@pytest.mark.parametrize("document", [[], "text", None, {"members": {}}, {"members": ["text"]}, {"header": 5}, {"members": [{"ID": "x"}]}])
def test_json_that_is_no_message(document: object) -> None:
    with pytest.raises(Malformed):
        messages.MEMBER_LIST.response.from_json(document)
