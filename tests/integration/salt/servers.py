# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Salt master with real minions on loopback, laid out as on an admin node, and ways to break them."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from tests.integration.salt import units

PATIENCE_SECONDS = 120.0
CALL_SECONDS = 90
# Two masters and a worker: the id of a minion is the id of its machine.
NODES = ("0a3f5c7e9b1d4f60a2c4e6081a2b3c4d", "1b4a6d8f0c2e5071b3d5f7192b3c4d5e", "2c5b7e901d3f6182c4e608203c4d5e6f")
LOCAL = ("admin", "ca")
PORTS = (4505, 4506)
ROLES = {NODES[0]: ["kube-master", "etcd"], NODES[1]: ["kube-master", "etcd"], NODES[2]: ["kube-minion"], "admin": ["admin"], "ca": ["ca"]}


def wait_for(what: str, condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """Ask until the answer is true; errors of the domain count as not yet."""
    deadline = time.monotonic() + seconds
    problem: object = ""
    while True:
        try:
            answer = condition()
        except LifeboatError as error:
            answer, problem = None, error
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for: {what}\n{problem}"
        time.sleep(0.1)


def _last_lines(log: Path, count: int = 40) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:]) if log.exists() else "(no log)"


class Program:
    """A server program of Salt: it and its children are one process group, which is all that is ever killed.

    It is known by a file, since the stand-in for systemctl starts and stops it too.
    """

    def __init__(self, world: World, name: str, runtime: Path, command: list[str]) -> None:
        self.unit = f"{name}.service"
        self.file = world.units / self.unit
        self.file.mkdir()
        (self.file / "runtime").write_text(str(runtime))
        # Out of the network of this machine: nothing of it is ever reached, and its packet filter stays as it is.
        (self.file / "command").write_text("\0".join(["nsenter", f"--net=/run/netns/{world.network}", *command]))

    @property
    def runs(self) -> bool:
        """Whether anything of it lives."""
        return units.group_lives(self.file)

    def start(self) -> None:
        """Start it; it need not be ready when this returns."""
        units.start(self.file)

    def stop(self) -> None:
        """Kill it."""
        units.stop(self.file)


class Minion(Program):
    """One minion with a configuration directory of its own; as on a node, its id, master and grains are files there."""

    def __init__(self, world: World, minion_id: str, name: str = "") -> None:
        self.id = minion_id
        self.directory = world.directory / (name or minion_id[:8])
        self.config = self.directory / "etc"
        self.pki = self.config / "pki" / "minion"
        self.grains = self.config / "grains"
        (self.config / "minion.d").mkdir(parents=True)
        settings = {
            "root_dir": str(self.directory),
            "pki_dir": str(self.pki),
            "cachedir": str(self.directory / "cache"),
            "sock_dir": str(self.directory / "run"),
            "pidfile": str(self.directory / "pid" / "minion.pid"),
            "log_file": str(self.directory / "minion.log"),
            "master_port": world.ret_port,
            "publish_port": world.publish_port,
            "acceptance_wait_time": 2,
            "auth_timeout": 5,
            "random_reauth_delay": 1,
            "recon_max": 1000,
            "recon_default": 200,
            "multiprocessing": False,
            "enable_fqdns_grains": False,
            "enable_gpu_grains": False,
            "mine_functions": {"nodename": [{"mine_function": "grains.get"}, "id"]},
        }
        (self.config / "minion").write_text(yaml.safe_dump(settings))
        (self.config / "minion.d" / "master.conf").write_text("master: 127.0.0.1\n")
        (self.config / "minion.d" / "minion_id.conf").write_text(f"id: {minion_id}\n")
        self.grains.write_text(yaml.safe_dump({"roles": ROLES.get(minion_id, []), "bootstrap_complete": True}, default_flow_style=False))
        super().__init__(
            world, f"salt-minion-{self.directory.name}", self.directory / "pid", [str(world.programs / "salt-minion"), "-c", str(self.config), "-l", "warning"]
        )


class World:
    """An admin node's master and all minions."""

    def __init__(self, directory: Path, programs: Path, network: str) -> None:
        self.directory = directory
        self.programs = programs
        self.network = network
        self.publish_port, self.ret_port = PORTS
        self.units = directory / "units"
        self.units.mkdir()
        self.golden = directory / "golden"
        self.admin = directory / "srv"
        self.config = self.admin / "etc"
        self.pki = self.config / "pki" / "master"
        self.cache = self.admin / "cache"
        self.config.mkdir(parents=True)
        settings = {
            "interface": "127.0.0.1",
            "publish_port": self.publish_port,
            "ret_port": self.ret_port,
            "root_dir": str(self.admin),
            "pki_dir": str(self.pki),
            "cachedir": str(self.cache),
            "sock_dir": str(self.admin / "run"),
            "pidfile": str(self.admin / "pid" / "master.pid"),
            "log_file": str(self.admin / "master.log"),
            "auto_accept": False,
            "worker_threads": 3,
            "timeout": 3,
            "gather_job_timeout": 3,
            "file_roots": {"base": [str(self.admin / "states")]},
            "pillar_roots": {"base": [str(self.admin / "pillar")]},
        }
        (self.config / "master").write_text(yaml.safe_dump(settings))
        self.master = Program(self, "salt-master", self.admin / "pid", [str(programs / "salt-master"), "-c", str(self.config), "-l", "warning"])
        self.minions = {minion_id: Minion(self, minion_id) for minion_id in (*LOCAL, *NODES)}
        self.guests: list[Minion] = []

    def add(self, minion_id: str, name: str) -> Minion:
        """One more minion, not started, in a directory of its own."""
        self.guests.append(Minion(self, minion_id, name))
        return self.guests[-1]

    def inside(self, *command: str) -> list[str]:
        """A command in the network of this world."""
        return ["nsenter", f"--net=/run/netns/{self.network}", *command]

    def call(self, program: str, *arguments: str, statuses: tuple[int, ...] = (0,)) -> Any:
        """What a program of Salt answers as JSON, None when it says nothing of the kind."""
        command = self.inside(str(self.programs / program), "-c", str(self.config), "--out=json", *arguments)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=CALL_SECONDS, check=False)
        assert done.returncode in statuses, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None

    def keys(self, state: str) -> set[str]:
        """Ids in one of the directories of keys."""
        path = self.pki / state
        return {entry.name for entry in path.iterdir() if not entry.name.startswith(".")} if path.is_dir() else set()

    def accept(self, *ids: str) -> None:
        """As an operator does it, by name."""
        wait_for(f"{ids} to be pending", lambda: set(ids) <= self.keys("minions_pre"))
        for minion_id in ids:
            self.call("salt-key", "--yes", f"--accept={minion_id}")

    def answering(self) -> set[str]:
        """Ids that answer now."""
        answers = self.call("salt", "--static", "--timeout=3", "*", "test.ping", statuses=(0, 1, 2)) or {}
        return {minion_id for minion_id, answer in answers.items() if answer is True}

    def start(self) -> None:
        """Everything: master, minions, keys accepted, all answer, mine filled."""
        self.master.start()
        for minion in self.minions.values():
            minion.start()
        self.accept(*self.minions)
        wait_for("every minion to answer", lambda: self.answering() == set(self.minions))
        wait_for("the mine to be filled", lambda: all((self.cache / "minions" / minion_id / "mine.p").exists() for minion_id in self.minions))

    def keep(self) -> None:
        """Remember what is there now, for ``heal``."""
        shutil.copytree(self.pki, self.golden / "pki")
        shutil.copytree(self.cache / "minions", self.golden / "cache")

    def heal(self) -> None:
        """Whatever a test did: the master has its keys and cache again, all minions answer, and nobody else is there."""
        for guest in self.guests:
            guest.stop()
        for minion in self.minions.values():
            if not minion.runs:
                minion.start()
        if any((self.pki / name).read_bytes() != (self.golden / "pki" / name).read_bytes() for name in ("master.pem", "master.pub")):
            self.master.stop()
            for name in ("master.pem", "master.pub"):
                (self.pki / name).unlink()
                shutil.copy2(self.golden / "pki" / name, self.pki / name)
        for state in ("minions", "minions_pre", "minions_rejected", "minions_denied"):
            kept = self.golden / "pki" / state
            (self.pki / state).mkdir(exist_ok=True)
            for name in self.keys(state) - {path.name for path in kept.iterdir()}:
                (self.pki / state / name).unlink()
            shutil.copytree(kept, self.pki / state, dirs_exist_ok=True)
        shutil.copytree(self.golden / "cache", self.cache / "minions", dirs_exist_ok=True)
        if not self.master.runs:
            self.master.start()
        try:
            wait_for("every minion to answer again", lambda: self.answering() == set(self.minions))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.evidence()}") from error

    def evidence(self) -> str:
        """What the minions that are silent have written, and the master: the last lines of their logs."""
        silent = [minion for minion_id, minion in self.minions.items() if minion_id not in self.answering()]
        logs = [(f"{minion.id}, which {'runs' if minion.runs else 'has ended'}", minion.directory / "minion.log") for minion in silent]
        return "\n".join(f"--- {who}:\n{_last_lines(log)}" for who, log in [*logs, ("the master", self.admin / "master.log")])

    def stop(self) -> None:
        """Kill everything that was started."""
        for program in (self.master, *self.minions.values(), *self.guests):
            program.stop()
