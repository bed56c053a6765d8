# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real members of etcd are started by the same functions as on a node: with fewer forks than members, and on another directory than the restored one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore import restore
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.restore.restore import Request
from ansible_collections.lifeboat.cluster.plugins.module_utils._etcd.snapshot import snapshot
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.readiness import MembersDifferError, NotRestoredError
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import Journal, Node, ServiceError, read_groups
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.start_plan import ETCD_BEGUN, StartRequest
from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.starting import start
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Systemd
from tests.integration.etcd.servers import Cluster, Server

BUMP = 1_000_000_000
TOKEN = "fresh-1"
_SYSTEMCTL = """#!/bin/sh
cd {directory} || exit 1
case $1 in
start) touch wanted ;;
show)
  if [ -e pid ]; then state='active\\nSubState=running'; elif [ -e wanted ]; then state='activating\\nSubState=start'; else state='inactive\\nSubState=dead'; fi
  echo "Id=etcd.service\\nNames=etcd.service\\nLoadState=loaded\\nUnitFileState=enabled\\nActiveState=$state"
  echo "MainPID=$(cat pid 2>/dev/null || echo 0)\\nNRestarts=0\\nExecMainStartTimestampMonotonic=$(cat since 2>/dev/null || echo 0)" ;;
esac
"""


class Machine:
    """A machine whose unit is a real etcd: systemd is a stand-in, everything else is not."""

    def __init__(self, directory: Path, server: Server, members: dict[str, str]) -> None:
        directory.mkdir()
        self.directory = directory
        self.server = server
        program = directory / "systemctl"
        program.write_text(_SYSTEMCTL.format(directory=directory))
        program.chmod(0o755)
        authority = server.cluster.authority
        self.facts: dict[str, Any] = {
            "endpoint": server.endpoint,
            "ca_cert": str(authority.ca_cert),
            "client_cert": str(authority.client_cert),
            "client_key": str(authority.client_key),
            "data_dir": str(server.data_dir),
            "service": "etcd",
        }
        # Other tests of this machine have processes of the name etcd.
        service = {"kind": "unit", "unit": "etcd.service", "ready": "etcd_quorum", "ports": [int(server.endpoint.rpartition(":")[2])]}
        self.node = Node({"services": {"etcd": service}, "etcd": self.facts, "manifests_parking": str(directory / "parking")}, systemd=Systemd(str(program)))
        self.request: Request | None = None
        self._members = members
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._act, daemon=True)
        self._thread.start()

    def _act(self) -> None:
        while not self._over.wait(0.02):
            if (self.directory / "wanted").exists() and not (self.directory / "pid").exists():
                self.server.start(self._members, token=TOKEN)
                (self.directory / "since").write_text(str(int(time.monotonic() * 1e6)))
                (self.directory / "pid").write_text(str(self.server.pid))

    def restore(self, request: Request, data_dir: Path) -> None:
        """Build the data of this member beside where they belong."""
        data_dir.mkdir(mode=0o700)
        self.request = replace(request, data_dir=str(data_dir), name=self.server.name, initial_cluster=self._members)
        restore.apply(restore.plan(self.request))

    def start(self, wait_seconds: float = 60, **more: Any) -> dict[str, Any]:
        """What one call of node_services does."""
        assert self.request is not None
        data = {"staged": self.request.staged.member, "target": f"{self.request.data_dir}/member", "aside": f"{self.request.data_dir}/member.aside"}
        wanted = StartRequest(
            groups=read_groups(self.node.services, ["etcd"]),
            etcd=self.facts,
            api={},
            replace=[data],
            wait_seconds=wait_seconds,
            ledger=str(self.directory / "replaced.json"),
            placed=str(self.directory / "placed.json"),
        )
        return start(self.node, replace(wanted, **more), Journal("started", str(self.directory / "run")))

    def close(self) -> None:
        """Nothing more is started."""
        self._over.set()
        self._thread.join()


@pytest.fixture(scope="module")
def wanted(single: Server, binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Request:
    """A restore out of a snapshot of the shared member."""
    path = tmp_path_factory.mktemp("started") / "etcd.db"
    with single.client() as client:
        snapshot.save(client, str(path))
    return Request(str(path), "/unused", "one", {"one": "https://127.0.0.1:1"}, TOKEN, bump_revision=BUMP, etcdutl=str(binaries / "etcdutl"))


@pytest.fixture
def machines(tmp_path: Path, new_cluster: Callable[..., Cluster]) -> Iterator[Callable[[int], list[Machine]]]:
    """Machines with a member each."""
    made: list[Machine] = []

    def make(size: int) -> list[Machine]:
        cluster = new_cluster(size, start=False)
        members = {server.name: server.peer_url for server in cluster.servers}
        made.extend(Machine(tmp_path / f"machine-{server.name}", server, members) for server in cluster.servers)
        return made

    yield make
    for machine in made:
        machine.close()


def test_members_start_one_after_the_other_when_there_is_one_fork(machines: Callable[[int], list[Machine]], wanted: Request) -> None:
    """One call for each machine, and the next begins when the one before has ended, as Ansible does it with one fork."""
    three = machines(3)
    for machine in three:
        machine.restore(wanted, machine.server.data_dir)
    with pytest.raises(ServiceError, match="did not become ready: etcd"):
        three[0].start(wait_seconds=2, etcd_hash=True)

    for machine in three:
        begun = machine.start(until=ETCD_BEGUN, etcd_hash=True)
        assert begun["etcd"] is None
        assert [item["state"] for item in begun["services"]] == ["started"]
    for machine in three:
        done = machine.start(etcd_hash=True)
        assert done["etcd"]["equal"] is True
        assert len(done["etcd"]["members"]) == 3
        assert [item["state"] for item in done["services"]] == ["started"]
        assert not done["changed"]


def test_two_forks_for_three_members_do_not_wait_for_the_third(machines: Callable[[int], list[Machine]], wanted: Request) -> None:
    """Two make a quorum, and then waited for the hash of the third, which waited for a fork."""
    three = machines(3)
    for machine in three:
        machine.restore(wanted, machine.server.data_dir)
    with ThreadPoolExecutor(2) as forks:
        old = [forks.submit(machine.start, wait_seconds=15, etcd_hash=True) for machine in three[:2]]
        for answer in old:
            with pytest.raises(MembersDifferError, match="Start the members that are missing"):
                answer.result()
        begun = list(forks.map(lambda machine: machine.start(until=ETCD_BEGUN), three))
        assert len(begun) == 3
        done = list(forks.map(lambda machine: machine.start(etcd_hash=True), three))
    assert [item["etcd"]["equal"] for item in done] == [True, True, True]


def test_an_empty_etcd_on_another_directory_is_not_what_was_restored(machines: Callable[[int], list[Machine]], wanted: Request, tmp_path: Path) -> None:
    """It has a leader, a quorum and one hash on all of its members: only the revision tells."""
    (machine,) = machines(1)
    elsewhere = tmp_path / "var-lib-etcd"
    machine.facts["data_dir"] = str(elsewhere)
    machine.restore(wanted, elsewhere)
    with pytest.raises(NotRestoredError) as caught:
        machine.start(etcd_hash=True)
    assert "revision 1 is served" in caught.value.found
    assert f"was restored into {elsewhere}/member" in caught.value.found
    machine.server.kill()

    (machine.directory / "wanted").unlink()
    (machine.directory / "pid").unlink()
    machine.server.data_dir = elsewhere
    done = machine.start(etcd_hash=True)
    assert done["etcd"]["equal"] is True
    assert done["etcd"]["revision"] > BUMP
