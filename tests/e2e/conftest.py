# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab, one recovery point, for all tests of this suite; the files are numbered so that the cheap tests come first."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drill.keys import make_keys
from tests.drill.memory import remember
from tests.drill.playbooks import Playbooks
from tests.e2e.bench import LAB, OUTPUT, Baseline, Bench, keep_lab, succeeded
from tests.lab import Lab
from tests.secrets_search import Hit, ProcessWatch, Search, planted_value
from tests.workload import capture, create, settle


@pytest.fixture(scope="session")
def output() -> Path:
    """Where every test keeps what it said."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    return OUTPUT


@pytest.fixture(scope="session")
def planted() -> dict[str, str]:
    """Secret values that are put into the cluster and must appear nowhere else."""
    return {name: planted_value() for name in ("shop", "ledger")}


@pytest.fixture(scope="session")
def private(bench: Bench, planted: dict[str, str]) -> dict[str, bytes]:
    """Everything secret that the recovery has to do with, by name: planted values, keys of the machines, keys of the operator."""
    found = {f"planted {name}": value.encode() for name, value in planted.items()}
    found.update(bench.keys.private_values())
    first = bench.lab.node(bench.control_plane[0])
    for key in ("sa.key", "ca.key", "apiserver.key", "etcd/server.key", "etcd/ca.key"):
        lines = first.run(["cat", f"/etc/kubernetes/pki/{key}"]).stdout.splitlines()
        # A line from the middle: the first ones are the same for all keys of a kind.
        found[key] = lines[len(lines) // 2].encode()
    configuration = first.run(["cat", "/etc/kubernetes/enc/encryption.yaml"]).stdout
    match = re.search(r'"?secret"?: "?([A-Za-z0-9+/=]{40,})', configuration)
    assert match, "the lab's encryption configuration has no key"
    found["encryption key"] = match.group(1).encode()
    admin = first.run(["cat", "/etc/kubernetes/admin.conf"]).stdout
    client = re.search(r"client-key-data: (\S+)", admin)
    assert client, "admin.conf has no client key"
    found["admin.conf"] = client.group(1)[600:664].encode()
    return found


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The machines; also when they do not come up, nothing of them stays."""
    lab = Lab.open(LAB)
    try:
        if keep_lab() and lab.inventory.exists():
            lab.reset()
        else:
            lab.up("ha")
        yield lab
    finally:
        if not keep_lab():
            lab.down()


@pytest.fixture(scope="session")
def bench(lab: Lab, output: Path, planted: dict[str, str]) -> Bench:
    """The lab, with a workload and a recovery point that was made with the backup playbook at its most talkative."""
    shared = output / "session"
    shared.mkdir()
    bench = Bench(lab, make_keys(shared / "keys"))
    bench.close_connections()
    create(lab.kubeconfig, 2000, planted)
    settle(lab.kubeconfig)
    memory = remember(lab, planted)
    location = shared / "location"
    location.mkdir(mode=0o700)
    backup = succeeded(bench.playbooks(shared, location, bench.writing()).run("backup_cluster", verbosity=3))
    manifest_file = sorted((location / LAB / "manifests").glob("*.json"))[0]
    manifest = json.loads(manifest_file.read_text())
    picture = capture(lab.kubeconfig, int(manifest["etcd"]["revision"]))
    memory.picture = picture
    bench.baseline = Baseline(memory, picture, backup, location, manifest_file.stem, manifest)
    return bench


@pytest.fixture
def directory(request: pytest.FixtureRequest, output: Path) -> Path:
    """The test's own directory."""
    module = request.node.path.stem.removeprefix("test_")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", request.node.name.removeprefix("test_")).strip("-")
    path = output / module / name
    path.mkdir(parents=True)
    return path


@pytest.fixture
def location(bench: Bench, directory: Path) -> Path:
    """A copy of the location with the recovery point, which the test may damage."""
    copy = directory / "location"
    shutil.copytree(bench.baseline.location, copy)
    return copy


@pytest.fixture
def operator(bench: Bench, directory: Path, location: Path) -> Playbooks:
    """Playbooks as an operator runs them who recovers a cluster."""
    return bench.playbooks(directory, location, bench.reading())


@pytest.fixture
def living(bench: Bench) -> Bench:
    """The bench with a cluster that is whole."""
    bench.living()
    return bench


class Silence:
    """Watches that no secret gets out while a test runs."""

    def __init__(self, values: dict[str, bytes]) -> None:
        self.search = Search(values)

    def watching(self) -> ProcessWatch:
        """Samples the arguments and environments of all processes, in the lab's machines too."""
        return ProcessWatch(self.search)

    def outputs(self, directory: Path, besides: list[Path]) -> list[Hit]:
        """Where secrets are in files of the controller."""
        hits, count = self.search.in_trees([directory], besides)
        assert count, f"no file below {directory}"
        return hits


@pytest.fixture
def silence(private: dict[str, bytes]) -> Silence:
    """The search for everything that is secret."""
    return Silence(private)
