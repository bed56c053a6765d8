# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab: machines, network, load balancer and cluster under one name."""

from __future__ import annotations

import hashlib
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from . import accounts, crio, faults, inventory, kms, prerequisites
from .balancer import Balancer, proxies
from .cache import Cache
from .cgroups import Cgroups
from .commands import in_parallel, run
from .errors import LabError
from .golden import golden_disk, note_cluster, save_disk
from .locks import locked
from .machines import BareMachine
from .network import Network
from .node import PASSWORD, Node
from .paths import output_directory
from .platforms import FinishedCluster, platform_of
from .processes import PRIVATE_MOUNTS, carry_out, send, wait_gone
from .progress import Progress
from .relay import Relay
from .state import LabRecord, LabStore, check_name, write_json
from .topology import API_PORT, LAST_SLOT, Topology, bracketed, make_topology
from .traits import Traits


class Lab:
    """One lab by name; it may be up or not."""

    def __init__(self, name: str, *, progress: Progress | None = None, install: bool = False) -> None:
        self.name = check_name(name)
        self._store = LabStore()
        self._cache = Cache()
        self._progress = progress or Progress()
        self._install = install
        self._cgroups = Cgroups()

    @classmethod
    def open(cls, name: str, *, progress: Progress | None = None, install: bool = False) -> Lab:
        """A lab by name; `up` makes it when it is not there."""
        return cls(name, progress=progress, install=install)

    # What it is

    @property
    def directory(self) -> Path:
        """Disks, keys and records."""
        return self._store.directory(self.name)

    @property
    def output(self) -> Path:
        """What users read."""
        return output_directory(self.name)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.output / "kubeconfig"

    @property
    def inventory(self) -> Path:
        """The Ansible inventory."""
        return self.output / "inventory" / "hosts.yml"

    @property
    def ssh_config(self) -> Path:
        """The ssh configuration."""
        return inventory.ssh_configuration_file(self.output)

    @property
    def exists(self) -> bool:
        """Whether there is anything of this lab."""
        return self._store.read(self.name) is not None

    @property
    def topology(self) -> Topology:
        """Machines and addresses; fails when the lab does not exist."""
        record = self._record()
        return _topology(record)

    @property
    def controller_environment(self) -> dict[str, str]:
        """What Ansible has to find in its environment when it works on this lab."""
        return self.topology.traits.controller_environment()

    @property
    def private_values(self) -> dict[str, bytes]:
        """What of this lab nobody may write anywhere, by name."""
        password = self._password(self.topology)
        return {
            **({"password of sudo": password.encode()} if password else {}),
            **({"key of the KMS": kms.KEY.encode()} if "kms" in self.topology.traits else {}),
        }

    def _password(self, topology: Topology) -> str:
        """The one of the user of all machines; empty when there is none."""
        return (self.directory / "keys" / PASSWORD).read_text() if "become-password" in topology.traits else ""

    @property
    def nodes(self) -> list[Node]:
        """All machines."""
        return self._nodes(self.topology)

    def node(self, name: str) -> Node:
        """One machine."""
        self.topology.node(name)
        return next(node for node in self.nodes if node.name == name)

    def _record(self) -> LabRecord:
        record = self._store.read(self.name)
        if record is None:
            known = " ".join(self._store.names()) or "none"
            raise LabError(f"use the lab {self.name}", f"no such lab; there is: {known}", f"make it: python3 -m tests.lab up TOPOLOGY --name {self.name}")
        return record

    def _nodes(self, topology: Topology) -> list[Node]:
        return [Node(self.name, topology, plan, self.directory / "nodes" / plan.name, self.directory / "keys", self._cgroups) for plan in topology.nodes]

    def _chosen(self, names: Sequence[str] | None) -> list[Node]:
        return [self.node(name) for name in names] if names else self.nodes

    def _network(self, topology: Topology) -> Network:
        return Network(self.name, topology)

    def _cluster(self, topology: Topology) -> FinishedCluster:
        return platform_of(topology.kind).cluster(topology, self._nodes(topology), self.directory / "scratch", self._progress)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        with locked(self._store.lock_path(self.name), f"the lab {self.name}", timeout=3600):
            yield

    # Verbs

    def up(self, kind: str, traits: Iterable[str] = ()) -> None:
        """Make the lab, unlike the plain one by traits; a lab of this name that is there is thrown away first."""
        wanted = Traits.parse(traits)
        # Refused before anything is thrown away.
        make_topology(kind, 0, wanted)
        prerequisites.check(self._progress, install=self._install, more=crio.PROGRAMS if "cri-o" in wanted else {})
        with self._exclusive():
            self._tear_down()
            topology = make_topology(kind, self._store.slots.take(self.name, self._slots_with_golden(kind, wanted)), wanted)
            record = LabRecord(self.name, kind, topology.slot, traits=wanted.words)
            self._store.write(record)
            self._progress(" ".join([f"lab {self.name}: {kind} on {topology.subnet}", *(["with", *wanted.words] if wanted.words else [])]))
            bare = platform_of(kind).bare_machine(self._cache, self._progress)
            self._store.write(replace(record, entries=bare.to_record()))
            self._prepare(topology)
            bare = platform_of(kind).forming_machine(bare, wanted, self._cache, self._progress)
            golden = self._golden(topology, bare)
            bare = platform_of(kind).machine_of(bare, wanted, self._cache, self._progress)
            self._store.write(replace(record, entries={"golden": str(golden), **bare.to_record()}))
            self._start_golden(topology, golden, bare)
            _write_private(self.kubeconfig, self._cluster(topology).admin_kubeconfig())
            write_json(self.output / "lab.json", self.status())
            self._progress(f"lab {self.name} is up: inventory {self.inventory}")

    def down(self) -> None:
        """Remove the lab and all it left, also a half-made one."""
        with self._exclusive():
            self._tear_down()
            self._store.slots.release(self.name)
            if self.output.exists():
                shutil.rmtree(self.output)

    def reset(self, nodes: Sequence[str] | None = None, bare: bool = False) -> None:
        """Give nodes (default: all) new disks: of the finished cluster, or empty ones."""
        with self._exclusive():
            topology = self.topology
            chosen = self._chosen(nodes)
            machine, golden = self._entries()
            network = self._connected()
            for node in chosen:
                Relay(node, network).stop()
                network.set_link(node.name, True)
            in_parallel(lambda node: node.power_off(), chosen)
            if bare:
                in_parallel(lambda node: node.boot_bare(machine), chosen)
            elif len(chosen) == len(topology.nodes):
                self._start_golden(topology, golden, machine)
            else:
                in_parallel(lambda node: self._boot_golden(node, golden, machine), chosen)
            write_json(self.output / "lab.json", self.status())
            names = " ".join(node.name for node in chosen)
            self._progress(f"bare machines are up: {names}" if bare else f"back to the golden cluster: {names}")

    def break_(self, fault: str, *nodes: str) -> None:
        """Break nodes (default: all) in one way."""
        self._change(fault, nodes, heal=False)

    def heal(self, fault: str, *nodes: str) -> None:
        """Take a fault back from nodes (default: all)."""
        self._change(fault, nodes, heal=True)

    def _change(self, fault: str, names: Sequence[str], *, heal: bool) -> None:
        found = faults.find(fault)
        with self._exclusive():
            setting = faults.Setting(self._connected(), lambda: self._entries()[0])
            chosen = self._chosen(names)
            action = found.heal if heal else found.break_
            in_parallel(lambda node: action(node, setting), chosen)
            write_json(self.output / "lab.json", self.status())
            self._progress(f"{'healed' if heal else 'broken'}: {fault} on {' '.join(node.name for node in chosen)}")

    def status(self) -> dict[str, object]:
        """What is there."""
        topology = self.topology
        network = self._network(topology)
        balancer = Balancer(self.directory, network).identity
        nodes = {}
        for node in self._nodes(topology):
            slow = Relay(node, network).identity
            nodes[node.name] = {**node.status(), "network": "cut" if not network.link_is_up(node.name) else "slow" if slow else "up"}
        return {
            "name": self.name,
            "topology": topology.kind,
            "traits": list(topology.traits.words),
            "slot": topology.slot,
            "subnet": topology.subnet,
            "api_server": f"https://{bracketed(topology.api_address)}:{API_PORT}",
            "cgroups": self._cgroups.mode,
            "load_balancer": {
                "address": topology.balancer_address,
                "running": balancer is not None and balancer.alive(),
                "pid": balancer.pid if balancer else None,
            },
            "nodes": nodes,
            "inventory": str(self.inventory),
            "kubeconfig": str(self.kubeconfig),
            "ssh_config": str(self.ssh_config),
        }

    # Parts

    def _entries(self) -> tuple[BareMachine, Path]:
        """The cache entries that the lab was made of."""
        record = self._record()
        if "golden" not in record.entries:
            raise LabError(f"use the lab {self.name}", "it was never finished", f"make it anew: python3 -m tests.lab up {record.topology} --name {self.name}")
        return platform_of(record.topology).read_machine(record.entries), Path(record.entries["golden"])

    def _connected(self) -> Network:
        """The lab's network; after a reboot of this machine there is none."""
        topology = self.topology
        network = self._network(topology)
        if network.switch not in network.namespaces() or not all(proxy.runs for proxy in proxies(self.directory, network)):
            advice = f"make the lab anew: python3 -m tests.lab up {topology.kind} --name {self.name}"
            raise LabError(
                f"use the network of the lab {self.name}", "its bridge, its load balancer or its forwarder is gone; was this machine started again?", advice
            )
        return network

    def _prepare(self, topology: Topology) -> None:
        """Keys, network and load balancer."""
        keys = self.directory / "keys"
        keys.mkdir(parents=True, exist_ok=True)
        keys.chmod(0o700)
        for file in ("user", *(f"host-{node.name}" for node in topology.nodes)):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab-{self.name}", "-f", keys / file])
        if "become-password" in topology.traits:
            accounts.make_password(keys / PASSWORD)
        network = self._network(topology)
        network.create()
        for proxy in proxies(self.directory, network):
            proxy.start()
        self._write_output(topology)

    def _golden(self, topology: Topology, bare: BareMachine) -> Path:
        platform = platform_of(topology.kind)

        def build(directory: Path) -> None:
            self._progress("forming the golden cluster (a minute or two, once for each topology, its traits and subnet)")
            # What is not of the cluster must not get on its disks: labs without it start from them too.
            formed = topology.formed
            nodes = self._nodes(formed)
            in_parallel(lambda node: node.boot_bare(bare), nodes)
            platform.form(formed, nodes, self.directory / "scratch", self._progress)
            for node in nodes:
                save_disk(node.disk, directory / node.name, keep_root=platform.keep_root)
            note_cluster(directory, formed)
            self._progress("the golden cluster is saved")

        return self._cache.entry("golden", platform.golden_key(topology), build)

    def _slots_with_golden(self, kind: str, traits: Traits) -> list[int]:
        """Where a cluster of this topology need not be formed first."""
        key = platform_of(kind).golden_key
        return [slot for slot in range(LAST_SLOT + 1) if self._cache.path("golden", key(make_topology(kind, slot, traits))).exists()]

    @staticmethod
    def _boot_golden(node: Node, golden: Path, bare: BareMachine) -> None:
        golden_disk(node.disk, golden, node.name, bare)
        node.provision(fresh_identity=False)
        node.boot()
        node.wait_booted()

    def _start_golden(self, topology: Topology, golden: Path, bare: BareMachine) -> None:
        begin = time.time()
        cluster = self._cluster(topology)

        def boot(node: Node) -> None:
            node.directory.mkdir(parents=True, exist_ok=True)
            golden_disk(node.disk, golden, node.name, bare)
            node.provision(fresh_identity=False)
            cluster.hold_back(node)
            node.boot()

        nodes = self._nodes(topology)
        in_parallel(boot, nodes)
        in_parallel(lambda node: node.wait_booted(), nodes)
        self._progress("machines have booted")
        cluster.start_in_order()
        self._progress("the API answers; waiting for nodes and pods")
        cluster.wait_complete(begin)

    def _write_output(self, topology: Topology) -> None:
        """What users read; before the cluster is there, so that a lab that fails half way can be looked at."""
        output = self.output
        (output / "inventory").mkdir(parents=True, exist_ok=True)
        keys = self.directory / "keys"
        sockets = self._socket_directory()
        _write_private(output / "id_ed25519", (keys / "user").read_text())
        host_keys = {node.name: (keys / f"host-{node.name}.pub").read_text() for node in topology.nodes}
        (output / "known_hosts").write_text(inventory.known_hosts(topology, host_keys))
        self.ssh_config.write_text(inventory.ssh_configuration(topology, output, sockets))
        password = self._password(topology)
        _write_private(self.inventory, inventory.render(topology, self.name, inventory.variables(topology, self.name, output, sockets, password)))

    def _socket_directory(self) -> Path:
        """Where ssh keeps its control sockets; short, because a socket's path must be."""
        digest = hashlib.sha256(str(self.directory).encode()).hexdigest()[:8]
        path = Path(tempfile.gettempdir()) / f"lab-{digest}"
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def _tear_down(self) -> None:
        """Remove whatever is there of the lab, finished or not. The record goes after everything that it names."""
        record = self._store.read(self.name)
        if record is not None:
            self._progress(f"removing what is there of lab {self.name}")
            topology = _topology(record)
            network = self._network(topology)
            nodes = self._nodes(topology)
            for identity in (*(proxy.identity for proxy in proxies(self.directory, network)), *(Relay(node, network).identity for node in nodes)):
                if identity is not None and identity.alive():
                    send(identity, signal.SIGKILL)
                    wait_gone(identity, 10, f"process {identity.pid} of the lab's network")
            in_parallel(lambda node: node.power_off(), nodes)
            carry_out(self.directory / "sweep.json", [*self._cgroups.mount_steps(), *self._cgroups.remove_steps(self.name)], prefix=PRIVATE_MOUNTS)
            network.remove()
            shutil.rmtree(self._socket_directory())
            (self.directory / "record.json").unlink()
        if self.directory.exists():
            shutil.rmtree(self.directory)


def _topology(record: LabRecord) -> Topology:
    return make_topology(record.topology, record.slot, Traits.parse(record.traits))


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
