# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An etcd snapshot as one pipeline (stream, sha256, zstd, age, location), and through Ansible, beside the bare tools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests import environment
from tests.benchmarks.measure import Measurement, alternate
from tests.integration.etcd.servers import Authority, Cluster

VALUE_BYTES = 1_000_000
# One process for each measured run, as a controller would start it; it prints its peak memory.
PIPELINE = """
import resource, sys
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.client import Connection
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.client.connecting import connect
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot.snapshot import stream
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.filesystem import FilesystemLocation
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.sealing import seal_to
endpoint, ca, cert, key, transport, location, name, recipient = sys.argv[1:]
with connect(Connection(endpoint, ca, cert, key, transport, 600.0)) as client, stream(client) as source:
    seal_to(FilesystemLocation(location), name, source, [recipient])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: lifeboat.cluster.report, tasks_from: begin}
    - lifeboat.cluster.recovery_point: {state: opened, location: {path: "{{ location }}"}, cluster_name: bench}
      register: point
    - lifeboat.cluster.etcd_snapshot:
        endpoint: "{{ endpoint }}"
        ca_cert: "{{ ca }}"
        client_cert: "{{ cert }}"
        client_key: "{{ key }}"
        transport: gateway
        timeout_seconds: 600
        path: "{{ file }}"
      register: taken
    - lifeboat.cluster.artifact_fetch:
        location: {path: "{{ location }}"}
        cluster_name: bench
        point: "{{ point.id }}"
        recipients: ["{{ recipient }}"]
        component: etcd
        name: snapshot
        format: file
        source: "{{ taken.snapshot.path }}"
        sha256: "{{ taken.snapshot.sha256 }}"
        size_bytes: "{{ taken.snapshot.size_bytes }}"
"""


class Bench:
    """One store of the wanted size, a location, and a recipient."""

    def __init__(self, scratch: Path, binaries: Path, megabytes: int) -> None:
        self._scratch = scratch
        self._binaries = binaries
        self.location = scratch / "location"
        self.location.mkdir()
        subprocess.run(["age-keygen", "-o", scratch / "age.key"], check=True, capture_output=True)
        self.recipient = subprocess.run(["age-keygen", "-y", scratch / "age.key"], check=True, capture_output=True, text=True).stdout.strip()
        self.cluster = Cluster(
            scratch / "etcd", binaries, Authority(scratch / "authority"), 1, options=["--quota-backend-bytes=8000000000", "--unsafe-no-fsync"]
        )
        self.cluster.start()
        self._number = 0
        with self.cluster.servers[0].client("gateway", 60.0) as client:
            for number in range(megabytes):
                # Half random, half text: what a store compresses like, not all of one kind.
                client.put(b"/registry/bench/%06d" % number, os.urandom(VALUE_BYTES // 2) + (b"kubernetes " * (VALUE_BYTES // 11 + 1))[: VALUE_BYTES // 2])

    @property
    def _access(self) -> list[str]:
        connection = self.cluster.servers[0].connection()
        return [connection.endpoint, str(connection.ca_cert), str(connection.client_cert), str(connection.client_key)]

    def fresh(self) -> str:
        """A name that nothing has yet."""
        self._number += 1
        return str(self._number)

    def python(self, program: str, *arguments: str) -> int:
        """Run a program with the collection on its path; the number that it prints, if any."""
        variables = {**os.environ, "PYTHONPATH": str(environment.collection_tree()), "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
        said = subprocess.run([sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True, env=variables).stdout.strip()
        return int(said) if said else 0

    def pipeline(self, transport: str, peaks: list[int]) -> None:
        """Stream, hash, compress, encrypt, store."""
        name = f"bench/{self.fresh()}"
        peaks.append(self.python(PIPELINE, *self._access, transport, str(self.location), name, self.recipient))
        (self.location / name).unlink()

    def etcdctl(self) -> None:
        """The bare tool."""
        target = self._scratch / "bare.db"
        target.unlink(missing_ok=True)
        endpoint, ca, cert, key = self._access
        command = [
            str(self._binaries / "etcdctl"),
            "--endpoints",
            endpoint,
            "--cacert",
            ca,
            "--cert",
            cert,
            "--key",
            key,
            "--command-timeout=600s",
            "snapshot",
            "save",
            str(target),
        ]
        subprocess.run(command, check=True, capture_output=True)

    def through_ansible(self) -> None:
        """The path of a backup: snapshot on the host, fetched, sealed."""
        endpoint, ca, cert, key = self._access
        number = self.fresh()
        play = self._scratch / "play.yml"
        play.write_text(PLAY, encoding="utf-8")
        variables = {
            "endpoint": endpoint,
            "ca": ca,
            "cert": cert,
            "key": key,
            "location": str(self.location),
            "recipient": self.recipient,
            "file": str(self._scratch / f"host-{number}.db"),
            "lifeboat_cluster_name": "bench",
            "lifeboat_runs_directory": str(self._scratch / "runs"),
            "ansible_python_interpreter": sys.executable,
        }
        own = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(environment.collection_tree()), "ANSIBLE_LOCALHOST_WARNING": "false"}
        subprocess.run(["ansible-playbook", "-i", "localhost,", play, "-e", json.dumps(variables)], check=True, capture_output=True, env=own, cwd=self._scratch)


def measure(scratch: Path, binaries: Path, megabytes: int, runs: int) -> list[Measurement]:
    """All figures around an etcd snapshot."""
    bench = Bench(scratch, binaries, megabytes)
    try:
        results = []
        for name, transport, to_reach in (("etcd_snapshot", "grpc", 1.2), ("etcd_snapshot_gateway", "gateway", 3.0)):
            peaks: list[int] = []
            ours, baseline = alternate(partial(bench.pipeline, transport, peaks), bench.etcdctl, runs)
            results.append(Measurement(name, ours, baseline, to_reach, f"{megabytes} MB, peak memory {max(peaks) // 1024} MB (to stay below 100)"))
        ours, baseline = alternate(bench.through_ansible, bench.etcdctl, runs)
        results.append(Measurement("etcd_snapshot_ansible", ours, baseline, None, f"{megabytes} MB, host to controller to sealed artifact"))
        return results
    finally:
        bench.cluster.stop()
