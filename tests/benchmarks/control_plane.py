# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three bare control planes: from the first change to API ready on all three, beside the same steps by hand, with DNS alive and dead."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.lifeboat.cluster.plugins.module_utils.clock import to_moment
from tests.benchmarks.measure import Measurement
from tests.drill.keys import Keys, make_keys
from tests.drill.playbooks import Playbooks
from tests.lab import Lab
from tests.lab.api import readyz

LAB = "bench"
TO_REACH = 0.6
LIMIT_SECONDS = 300.0
# What a person does: unpack the files, restore etcd, start everything at once.
BY_HAND = """
set -e
tar --xattrs -xpf /root/by-hand/pki.tar -C / --exclude='LIFEBOAT-*' --exclude=etc/hosts
tar --xattrs -xpf /root/by-hand/node_config.tar -C / --exclude='LIFEBOAT-*' --exclude=etc/hosts --exclude=etc/resolv.conf --exclude='etc/ssh/*'
/root/by-hand/etcdutl snapshot restore /root/by-hand/snapshot.db --name {name} --initial-cluster {cluster} --initial-cluster-token {token} \
  --initial-advertise-peer-urls {url} --data-dir /var/lib/etcd/restored --bump-revision 1000000000 --mark-compacted >/dev/null 2>&1
mv /var/lib/etcd/restored/member /var/lib/etcd/member
systemctl daemon-reload
systemctl restart containerd
systemctl enable --now kubelet >/dev/null 2>&1
"""


class Bench:
    """One lab, one recovery point, and the three control planes lost again and again."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self.lab = Lab.open(LAB)
        self._keys: Keys = make_keys(scratch / "keys")
        (scratch / "location").mkdir()

    def prepare(self) -> None:
        """A cluster and its recovery point."""
        self.lab.up("ha")
        finished = self._playbooks().run("backup_cluster", {"lifeboat_recipients": [self._keys.recipient], "lifeboat_signing_key": str(self._keys.signing_key)})
        assert finished.status == 0, finished.tail()
        self.manifest: dict[str, Any] = json.loads(next((self._scratch / "location" / LAB / "manifests").glob("*.json")).read_text())

    def _playbooks(self) -> Playbooks:
        variables = {
            "lifeboat_location": {"type": "directory", "path": str(self._scratch / "location")},
            "lifeboat_allowed_signers": str(self._keys.allowed_signers),
        }
        return Playbooks(self.lab.inventory, self._scratch / "logs", self._scratch / "runs", variables)

    @property
    def _control_planes(self) -> list[str]:
        return [node.name for node in self.lab.topology.control_plane]

    def lose(self, dns_dead: bool) -> None:
        """Three bare machines; the worker stays."""
        self.lab.reset(self._control_planes, bare=True)
        if dns_dead:
            self.lab.break_("dns-dead", *self._control_planes)

    def ours(self) -> float:
        """Seconds from the first change to API ready on all three, as the run's own measures have it."""
        finished = self._playbooks().run("recover_cluster", {"confirm_cluster_name": LAB, "lifeboat_identity_files": [str(self._keys.identity)]})
        assert finished.status == 0, finished.tail()
        measures = [measure for measure in finished.report["measures"] if measure["host"] in self._control_planes]
        changed = [to_moment(measure["value"]) for measure in measures if measure["name"] == "first_change_at"]
        ready = [to_moment(measure["value"]) for measure in measures if measure["name"] == "ready_at"]
        assert len(changed) == len(ready) == 3, measures
        return max(moment for moment in ready if moment is not None) - min(moment for moment in changed if moment is not None)

    def _open(self, artifact: str, target: Path) -> None:
        source = self._scratch / "location" / LAB / "points" / self.manifest["id"] / "artifacts" / artifact
        command = f"age -d -i {shlex.quote(str(self._keys.identity))} {shlex.quote(str(source))} | zstd -q -d -c > {shlex.quote(str(target))}"
        subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True)

    def by_hand(self) -> float:
        """The same with stock tools, everything lying ready on the machines before the clock starts."""
        hosts = self.manifest["etcd"]["hosts"]
        snapshot = next(artifact["name"] for artifact in self.manifest["artifacts"] if artifact["component"] == "etcd")
        token = f"by-hand-{time.time_ns()}"
        for name in self._control_planes:
            node = self.lab.node(name)
            assert node.init is not None, f"{name} is off"
            directory = Path(f"/proc/{node.init.pid}/root/root/by-hand")
            directory.mkdir(parents=True)
            self._open(snapshot, directory / "snapshot.db")
            self._open(f"pki/{name}.tar.zst.age", directory / "pki.tar")
            self._open(f"node_config/{name}.tar.zst.age", directory / "node_config.tar")
            shutil.copy2(Path(self._binaries) / "etcdutl", directory / "etcdutl")
        cluster = ",".join(f"{name}={url}" for name, url in sorted(hosts.items()))
        began = time.monotonic()

        def work(name: str) -> None:
            script = BY_HAND.format(name=name, cluster=cluster, token=token, url=hosts[name])
            self.lab.node(name).run(["bash", "-c", script], timeout=LIMIT_SECONDS)

        with ThreadPoolExecutor() as pool:
            list(pool.map(work, self._control_planes))
        waiting = {node.address for node in self.lab.topology.control_plane}
        while waiting:
            waiting = {address for address in waiting if readyz(address)}
            assert time.monotonic() - began < LIMIT_SECONDS, f"not ready after {LIMIT_SECONDS:.0f} s: {waiting}"
            time.sleep(0.05)
        return time.monotonic() - began

    @property
    def _binaries(self) -> Path:
        from tests.run import build_binaries

        return build_binaries()


def measure() -> list[Measurement]:
    """By hand and ours, twice: with DNS alive and dead."""
    results = []
    with tempfile.TemporaryDirectory(prefix="lifeboat-bench-") as scratch:
        bench = Bench(Path(scratch))
        try:
            bench.prepare()
            seconds: dict[str, float] = {}
            for dns_dead in (False, True):
                for side in ("by_hand", "ours"):
                    bench.lose(dns_dead)
                    seconds[f"{side}{dns_dead}"] = getattr(bench, side)()
                name = "control_plane_restore" + ("_dns_dead" if dns_dead else "")
                note = "first change to API ready on all three, beside: unpack, etcdutl, start everything at once"
                results.append(Measurement(name, seconds[f"ours{dns_dead}"], seconds[f"by_hand{dns_dead}"], TO_REACH, note))
            slower = seconds["oursTrue"] / seconds["oursFalse"]
            results.append(
                Measurement("control_plane_restore_dns", seconds["oursTrue"], seconds["oursFalse"], 1.5, f"DNS dead beside DNS alive: {slower:.2f} x")
            )
        finally:
            bench.lab.down()
    return results
