# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/break-glass.md, word for word: its commands, in an empty environment, end in a running etcd with the right content."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from tests.integration.recovery_point.glass import Glass, make_point
from tests.integration.recovery_point.servers import KEY, PATIENCE_SECONDS, VALUE, Snapshot, etcd, free_ports
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Maker, flip, make_keys, make_pki_files, make_tar

# Of an earlier restore, beyond what the clock says.
HIGHEST = 3_000_000_000_000_000


@pytest.fixture
def glass(tmp_path: Path, maker: Maker, binaries: Path, repository: Path) -> Glass:
    """A machine without Lifeboat."""
    return Glass(tmp_path, maker, binaries, repository)


def test_the_document_ends_in_a_running_etcd(glass: Glass, maker: Maker, snapshot: Snapshot, binaries: Path) -> None:
    make_point(maker, snapshot, taken_at="2026-11-19T00:00:00Z", highest_revision=700)
    manifest, files = make_point(maker, snapshot, taken_at="2026-11-20T00:00:00Z")
    restored = results.new_result(CLUSTER, manifest.id, "restore", "restored", True, "r", HIGHEST)
    results.append(maker.location, restored, str(maker.keys.signing_key))
    # Unsigned, so anybody may have written it.
    results.append(maker.location, results.new_result(CLUSTER, manifest.id, "restore", "restored", True, "r", 9_000_000_000_000_000))
    peer, client = free_ports()
    done = glass.run(PEER=f"http://127.0.0.1:{peer}")
    assert done.returncode == 0, done.stdout
    assert f"chosen: {manifest.id}" in done.stdout
    assert 'Good "lifeboat-recovery-point" signature for ops@shop' in done.stdout
    assert "the CA is that of shop" in done.stdout
    assert not (glass.work / "plain").exists()
    for path, content in files.items():
        assert (glass.root / path).read_bytes() == content
        assert (glass.root / path).stat().st_mode & 0o777 == 0o600
    with etcd(binaries, glass.root / "var/lib/etcd", "cp1", peer, client) as server:
        answer = json.loads(server.ctl("get", KEY, "--write-out", "json"))
        assert server.ctl("get", KEY, "--print-value-only").strip() == VALUE
        assert HIGHEST + 1_000_000_000 <= answer["header"]["revision"] < HIGHEST + 2_000_000_000
        watch = subprocess.run(
            [binaries / "etcdctl", "--endpoints", f"http://127.0.0.1:{client}", "watch", KEY, "--rev", str(snapshot.record["revision"])],
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert "required revision has been compacted" in watch.stdout + watch.stderr


def test_a_machine_with_nothing_of_etcd_uses_what_the_point_holds(glass: Glass, maker: Maker, snapshot: Snapshot, binaries: Path) -> None:
    """The tool of the point restores, the inventory shows its hosts, the collection is unpacked where Ansible finds it."""
    opening = maker.open()
    files = make_pki_files()
    artifacts = [
        maker.add(opening.id, "etcd", "snapshot", snapshot.content, extension="db"),
        maker.add(opening.id, "pki", "cp1", make_tar(files), inspect=True),
        maker.add(opening.id, "tools", "etcdutl", (binaries / "etcdutl").read_bytes(), extension=""),
        maker.add(opening.id, "inventory", "inventory", b'{"all": {"hosts": {"cp1": {"ansible_host": "192.0.2.11"}, "w1": {}}}}', extension="json"),
        maker.add(opening.id, "collection", "collection", make_tar({"galaxy.yml": b"name: cluster"})),
    ]
    ca = next(entry["fingerprint_sha256"] for entry in artifacts[1].contents["certificates"])
    maker.seal(opening.id, artifacts, etcd=snapshot.record, cluster_identity={"kube_system_uid": None, "ca_sha256": ca})
    (glass.work.parent / "bin" / "etcdutl").unlink()
    begun = glass.run(count=6)
    assert begun.returncode == 0, begun.stdout
    assert f"{glass.work}/plain/tools/etcdutl\ncp1  192.0.2.11\nw1  \n" in begun.stdout
    assert (glass.work / "plain/ansible_collections/lifeboat/cluster/galaxy.yml").read_bytes() == b"name: cluster"
    peer, _client = free_ports()
    done = glass.run(PEER=f"http://127.0.0.1:{peer}")
    assert done.returncode == 0, done.stdout
    assert (glass.root / "var/lib/etcd/member/snap/db").exists()


def test_a_machine_with_no_etcdutl_at_all_stops_before_it_restores(glass: Glass, maker: Maker, snapshot: Snapshot) -> None:
    make_point(maker, snapshot)
    (glass.work.parent / "bin" / "etcdutl").unlink()
    assert glass.run(count=6).returncode != 0


def test_an_older_point_is_opened_when_it_is_named(glass: Glass, maker: Maker, snapshot: Snapshot) -> None:
    older, _files = make_point(maker, snapshot, taken_at="2026-11-19T00:00:00Z")
    make_point(maker, snapshot, taken_at="2026-11-20T00:00:00Z")
    done = glass.run(count=5, POINT=older.id)
    assert done.returncode == 0, done.stdout
    assert f"chosen: {older.id}" in done.stdout
    assert (glass.work / "plain/etcd/snapshot.db").read_bytes() == snapshot.content
    assert (glass.work / "plain/tools/notes.txt").read_bytes() == b"for people"
    assert (glass.work / "plain/pki/cp1.tar.list").read_text().count("\n") == 8


def damage(maker: Maker, manifest: Manifest, what: str) -> dict[str, str]:
    """Do harm; returns other settings."""
    if what == "artifact":
        flip(maker.path(names.artifact_key(CLUSTER, manifest.id, "pki/cp1.tar.zst.age")), 1000)
    elif what == "manifest":
        path = maker.path(names.manifest_key(CLUSTER, manifest.id))
        path.write_bytes(path.read_bytes().replace(b"kubeadm", b"kubeaDm"))
    elif what == "opening":
        flip(maker.path(names.open_key(CLUSTER, manifest.id)), 30)
    elif what == "identity":
        return {"IDENTITY": str(make_keys(maker.root.parent / "stranger").identity_file)}
    elif what == "signers":
        return {"SIGNERS": str(make_keys(maker.root.parent / "stranger").allowed_signers)}
    elif what == "cluster":
        maker.path(CLUSTER).rename(maker.path("office"))
        return {"CLUSTER": "office"}
    return {}


def test_a_damaged_recovery_point_is_opened_without_what_is_damaged(glass: Glass, maker: Maker, snapshot: Snapshot) -> None:
    """All that is damaged is said at once; told by name, the rest is opened and proven."""
    manifest, files = make_point(maker, snapshot)
    for name in ("tools/notes.txt.zst.age", "pki/cp1.tar.zst.age"):
        flip(maker.path(names.artifact_key(CLUSTER, manifest.id, name)), 100)
    flip(maker.path(names.open_key(CLUSTER, manifest.id)), 30)
    done = glass.run(count=5)
    assert done.returncode != 0
    failed = [line.partition(":")[0] for line in done.stdout.splitlines() if line.endswith(": FAILED")]
    assert failed == ["../open.json", "pki/cp1.tar.zst.age", "tools/notes.txt.zst.age"]
    assert glass.run(count=5, DAMAGED=" ".join(failed[:2])).returncode != 0
    done = glass.run(count=5, DAMAGED=" ".join(failed))
    assert done.returncode == 0, done.stdout
    assert (glass.work / "plain/etcd/snapshot.db").read_bytes() == snapshot.content
    assert not (glass.work / "plain/pki").exists()


@pytest.mark.parametrize(
    ("what", "count", "words"),
    [
        ("signers", 3, "No principal matched"),
        ("manifest", 3, "Could not verify signature"),
        ("cluster", 3, ""),
        ("artifact", 4, "pki/cp1.tar.zst.age: FAILED"),
        ("opening", 4, "../open.json: FAILED"),
        ("identity", 5, "no identity matched"),
    ],
)
def test_harm_stops_the_document_at_the_right_place(glass: Glass, maker: Maker, snapshot: Snapshot, what: str, count: int, words: str) -> None:
    manifest, _files = make_point(maker, snapshot)
    settings = damage(maker, manifest, what)
    before = glass.run(count=count - 1, **settings)
    assert before.returncode == 0, before.stdout
    done = glass.run(**settings)
    assert done.returncode != 0
    assert words in done.stdout
    assert not (glass.root / "var/lib/etcd").exists()
    assert not (glass.root / "etc").exists()
