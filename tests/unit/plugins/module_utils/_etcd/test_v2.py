# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The v2 store without a server: where a log ends that can be believed, what differs between trees, and which store it is."""

from __future__ import annotations

import io
import json
import struct
import time
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.errors import BackupError, BackupInvalid, StoreUnknown
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2 import v2_log, v2_tree
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_survey import decide, declared
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.v2.v2_tree import Node, Tree
from ansible_collections.lifeboat.cluster.plugins.module_utils.wire import varint

ENTRY, STATE = 2, 3


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def _frame(kind: int, data: bytes) -> bytes:
    record = _field(1, kind) + _field(2, 12345) + _field(3, data)
    padding = -len(record) % 8
    length = len(record) | ((0x80 | padding) << 56 if padding else 0)
    return struct.pack("<Q", length) + record + bytes(padding)


def _entry(index: int) -> bytes:
    return _frame(ENTRY, _field(2, 1) + _field(3, index) + _field(4, b"x" * index))


def _state(commit: int) -> bytes:
    return _frame(STATE, _field(1, 1) + _field(2, 7) + _field(3, commit))


def test_a_log_is_believed_up_to_what_it_tells_to_be_committed(tmp_path: Path) -> None:
    """Entries are there, and told to be committed only later: what a copy that ends in between loses."""
    first = _entry(1) + _entry(2) + _state(1)
    second = _state(1) + _entry(3) + _state(2) + _entry(4) + _state(4) + _entry(5)
    (tmp_path / f"{0:016x}-{0:016x}.wal").write_bytes(first + bytes(4096))
    name = f"{1:016x}-{3:016x}.wal"
    (tmp_path / name).write_bytes(second + bytes(4096))
    names = v2_log.segments(str(tmp_path))
    assert v2_log.needed(names, 0) == names
    assert v2_log.needed(names, 2) == names[:1] + names[1:]
    assert v2_log.needed(names, 3) == names[1:]

    end = v2_log.find_end(str(tmp_path), names, 3)
    assert (end.segment, end.commit) == (name, 4)
    assert v2_log.find_end(str(tmp_path), names, 5).commit == 4
    v2_log.copy(str(tmp_path), names, end, str(tmp_path / "copy"))
    assert (tmp_path / "copy" / name).read_bytes() == second[: -len(_entry(5))]
    # The state at the head of the second segment says nothing new.
    early = v2_log.find_end(str(tmp_path), names, 1)
    assert (early.segment, early.length) == (names[0], len(first))

    v2_log.trim(str(tmp_path / "copy"))
    assert (tmp_path / "copy" / names[0]).read_bytes() == first
    # Whoever reads while etcd writes may see half a record.
    (tmp_path / name).write_bytes(second[:-3])
    assert v2_log.find_end(str(tmp_path), names, 5).commit == 4
    with pytest.raises(BackupError, match="does not reach back"):
        v2_log.needed([name], 2)


def _node(key: str, value: str = "v", modified: int = 5, created: int = 5, expires: str = "") -> Node:
    return Node(key, False, value, created, modified, expires)


def _tree(*nodes: Node, index: int = 10, hidden_known: bool = True) -> Tree:
    return Tree({node.key: node for node in nodes}, index, hidden_known)


def test_what_differs() -> None:
    now = time.time()
    expected = _tree(_node("/a"), _node("/b"), _node("/_h"), _node("/t/x", expires="2020-01-01T00:00:00.5Z"))
    assert v2_tree.compare(expected, expected, now).equal
    found = _tree(_node("/a", "other"), _node("/new"))
    strict = v2_tree.compare(expected, found, now)
    assert (strict.changed, strict.missing, strict.extra, strict.expired) == (["/a"], ["/_h", "/b"], ["/new"], ["/t/x"])
    assert str(strict) == "missing: /_h, /b; extra: /new; changed: /a"
    # A listing of the API does not show hidden keys: that is no difference.
    assert "/_h" not in v2_tree.compare(expected, _tree(_node("/a"), hidden_known=False), now).missing


def test_what_was_written_since_is_no_difference() -> None:
    expected = _tree(_node("/a"), _node("/b"))
    later = _tree(_node("/a", "new", modified=11), _node("/c", created=12, modified=12), index=12)
    difference = v2_tree.compare(expected, later, time.time(), since=10)
    assert difference.equal
    assert difference.changed_since == ["/a", "/b", "/c"]
    # What the found store had before that index has to be there, with its value; a key that is gone while nothing was written is missing.
    lost = v2_tree.compare(expected, _tree(_node("/a", "new", modified=9), _node("/c", created=9), index=12), time.time(), since=10)
    assert (lost.changed, lost.extra) == (["/a"], ["/c"])
    assert v2_tree.compare(expected, _tree(_node("/a")), time.time(), since=10).missing == ["/b"]


def test_a_directory_that_expires_takes_all_below_it_along() -> None:
    expected = _tree(Node("/d", True, "", 1, 1, "2020-01-01T00:00:00Z"), _node("/d/x"), _node("/dx"))
    assert v2_tree.compare(expected, _tree(_node("/dx")), time.time()).expired == ["/d", "/d/x"]


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ("2026-11-28T09:57:15.176119706+01:00", "2026-11-28T08:57:15.176119706Z"),
        ("2026-11-28T00:27:15-02:30", "2026-11-28T02:57:15Z"),
        ("2026-11-28T08:57:15.5Z", "2026-11-28T08:57:15.5Z"),
    ],
)
def test_times_are_those_of_the_api(tmp_path: Path, stored: str, told: str) -> None:
    child = {"Path": "/1/t", "CreatedIndex": 1, "ModifiedIndex": 2, "ExpireTime": stored, "Value": "v", "Children": None}
    document = {"Root": {"Children": {"1": {"Children": {"t": child}}}}, "CurrentIndex": 9}
    path = tmp_path / "a.snap"
    path.write_bytes(_field(1, 1) + _field(2, _field(1, json.dumps(document).encode())))
    tree = v2_tree.from_raft_snapshot(str(path))
    assert tree.nodes["/t"].expires_at == told
    answered = Tree()
    v2_tree.add_answer(answered, {"nodes": [{"key": "/t", "value": "v", "expiration": told, "createdIndex": 1, "modifiedIndex": 2}]})
    assert answered.nodes == tree.nodes


@pytest.mark.parametrize("content", [b"", b"no protobuf", _field(2, b""), _field(2, _field(1, b"{}")), _field(2, _field(1, b'{"Root": 1}'))])
def test_what_is_no_raft_snapshot(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.snap"
    path.write_bytes(content)
    with pytest.raises(BackupInvalid):
        v2_tree.from_raft_snapshot(str(path))


def test_a_listing_is_read_back_and_names_no_value() -> None:
    tree = _tree(_node("/ä b", expires="2026-11-28T08:57:15Z"), Node("/d", True, "", 1, 1))
    target = io.BytesIO()
    v2_tree.write_listing(tree, target)
    again = v2_tree.read_listing(iter(target.getvalue().splitlines()), 10, "listing")
    assert again == tree
    assert again.digest == tree.digest
    with pytest.raises(BackupInvalid, match="not a listing"):
        v2_tree.read_listing(iter([b'{"key": "/a"}']), 1, "listing")


def test_the_digest_tells_what_a_restore_has_to_bring_back() -> None:
    base = _tree(_node("/a"))
    assert _tree(_node("/a", modified=9), index=99).digest == base.digest
    others = [_tree(_node("/a", "w")), _tree(_node("/b")), _tree(_node("/a", expires="2026-11-28T08:57:15Z")), _tree(Node("/a", True, "v", 5, 5)), _tree()]
    assert base.digest not in {other.digest for other in others}


@pytest.mark.parametrize(
    ("backends", "v2_keys", "v3_keys", "store"),
    [
        (["etcd2"], 5, 0, "v2"),
        (["etcd3", ""], 0, 5, "v3"),
        ([], 5, 0, "v2"),
        ([], 0, 5, "v3"),
        (["etcd2", "etcd2"], 5, 5, "both"),
        ([], 5, 5, "both"),
    ],
)
def test_which_store(backends: list[str], v2_keys: int, v3_keys: int, store: str) -> None:
    assert decide(backends, v2_keys, v3_keys) == store


@pytest.mark.parametrize(
    ("backends", "v2_keys", "v3_keys"),
    [(["etcd2"], 0, 5), (["etcd3"], 5, 0), ([], 0, 0), (["etcd2", "etcd3"], 5, 5), (["etcd4"], 5, 5)],
)
def test_what_cannot_be_told(backends: list[str], v2_keys: int, v3_keys: int) -> None:
    with pytest.raises(StoreUnknown) as caught:
        decide(backends, v2_keys, v3_keys)
    assert caught.value.remedy


def test_the_word_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "apiserver"
    path.write_text('A="x"\n#B="--storage-backend=etcd3"\nC="--storage-backend=etcd3 --storage-backend=etcd2"\n')
    assert declared("no-such-process", [str(path)], str(tmp_path)).backend == "etcd2"
    path.write_text("A=\"it's --storage-backend etcd3\n")
    assert declared("no-such-process", [str(path)], str(tmp_path)).backend == "etcd3"
    path.write_text("A=1\n")
    assert declared("no-such-process", [str(path)], str(tmp_path)).as_result() == {"backend": "", "source": ""}
