# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine: a systemd-nspawn container with its own kernel namespaces, disk and address."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import accounts, kms, machinefiles
from .cgroups import Cgroups
from .commands import run, tail, tail_of
from .disk import Disk
from .errors import LabError
from .machines import BareMachine
from .network import node_namespace
from .processes import PRIVATE_MOUNTS, Identity, carry_out, children, launch, read_identity, send, wait_gone
from .topology import NodePlan, Topology, hosts_file

BOOT_TIMEOUT = 120.0
# With the trait become-password: the file beside the keys.
PASSWORD = "password"


class Node:
    """A machine of a lab, running or not."""

    def __init__(self, lab: str, topology: Topology, plan: NodePlan, directory: Path, keys: Path, cgroups: Cgroups) -> None:
        self.lab = lab
        self.topology = topology
        self.plan = plan
        self.name = plan.name
        self.directory = directory
        self.disk = Disk(directory / "disk")
        self.record = directory / "process.json"
        self.console = directory / "console.log"
        self._root = directory / "root"
        self._data = directory / "data"
        self._security_module = directory / "security-module"
        self._keys = keys
        self._cgroups = cgroups

    @property
    def identity(self) -> Identity | None:
        """The systemd-nspawn process as recorded."""
        return read_identity(self.record)

    @property
    def init(self) -> Identity | None:
        """The node's process 1, None while the node is off."""
        supervisor = self.identity
        if supervisor is None or not supervisor.alive():
            return None
        for child in children(supervisor):
            try:
                status = Path(f"/proc/{child.pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if any(line.startswith("NSpid:") and line.split()[-1] == "1" for line in status.splitlines()):
                return child
        return None

    @property
    def running(self) -> bool:
        """Whether it has a process 1."""
        return self.init is not None

    def provision(self, *, fresh_identity: bool) -> None:
        """What a provisioning system writes on a disk before the first boot: name, names of the others, keys; a new machine id when asked."""
        disk = self.disk
        host_key = self._keys / f"host-{self.name}"
        disk.write("etc/hostname", f"{self.plan.host_name}\n", 0o644)
        disk.write("etc/hosts", hosts_file(self.topology, admin=self.plan.admin), 0o644)
        disk.write("etc/resolv.conf", "", 0o644)
        disk.write("etc/ssh/ssh_host_ed25519_key", host_key.read_text(), 0o600)
        disk.write("etc/ssh/ssh_host_ed25519_key.pub", host_key.with_suffix(".pub").read_text(), 0o644)
        disk.write(f"home/{machinefiles.USER}/.ssh/authorized_keys", (self._keys / "user.pub").read_text(), 0o600, machinefiles.USER_ID)
        directory = disk.upper / "home" / machinefiles.USER / ".ssh"
        directory.chmod(0o700)
        os.chown(directory, machinefiles.USER_ID, machinefiles.USER_ID)
        if fresh_identity:
            disk.write("etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
        if "become-password" in self.plan.traits:
            digest = accounts.hashed((self._keys / PASSWORD).read_text())
            disk.edit("etc/shadow", lambda text: accounts.with_password(text, machinefiles.USER, digest))
            disk.write(machinefiles.SUDOERS_FILE, machinefiles.SUDOERS_WITH_PASSWORD, 0o440)
        if "noexec-tmp" in self.plan.traits:
            disk.write("etc/fstab", machinefiles.FSTAB_NO_EXECUTION, 0o644)
        if self.plan.kms:
            self._security_module.write_text(kms.KEY)

    def boot(self) -> None:
        """Power on; returns when its systemd-nspawn runs."""
        if self.running:
            return
        self.power_off()
        for path in (self._root, self._data):
            path.mkdir(parents=True, exist_ok=True)
        self.console.unlink(missing_ok=True)
        binds = [f"--bind={self.disk.containerd}:{self.plan.runtime.store}", "--bind=/dev/kmsg"]
        # Nothing of a node need survive a crash of this machine, and a power cut of the lab is no crash of the kernel: no time is spent on
        # writing through to the real disk. The kernel marks a volatile overlay so that it is not used again; here it may be.
        run(["rm", "-rf", self.disk.work / "work" / "incompat"])
        # redirect_dir: a directory of a layer below can be renamed, as on a machine's own disk.
        overlay = f"volatile,redirect_dir=on,lowerdir={':'.join(str(layer) for layer in self.disk.layers)},upperdir={self.disk.upper},workdir={self.disk.work}"
        steps = [
            *self._cgroups.mount_steps(),
            *self._cgroups.join_steps(self.lab, self.name),
            ("run", "mount", "-t", "overlay", "-o", overlay, f"lab-{self.name}", str(self._root)),
        ]
        if self.disk.data_image.exists():
            steps.append(("run", "mount", "-o", "loop,discard,barrier=0", str(self.disk.data_image), str(self._data)))
            binds.append(f"--bind={self._data}:{self.plan.data_directory}")
        if self.plan.kms:
            binds.append(f"--bind-ro={self._security_module}:{kms.KEY_FILE}")
        program = [
            *("systemd-nspawn", "--quiet", f"--directory={self._root}", f"--machine={self.lab}-{self.name}", f"--hostname={self.plan.host_name}", "--boot"),
            *("--register=no", "--keep-unit", "--capability=all", "--system-call-filter=@known", "--resolv-conf=off", "--timezone=off", "--link-journal=no"),
            f"--network-namespace-path=/run/netns/{node_namespace(self.lab, self.name)}",
            *binds,
        ]
        # Kubelet sets kernel parameters and the node its cgroups: /proc/sys and /sys must be writable.
        environment = {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1", "SYSTEMD_NSPAWN_USE_CGNS": "1"}
        if "noexec-tmp" in self.plan.traits:
            # systemd-nspawn would mount /tmp itself, and systemd would leave it as it is.
            environment["SYSTEMD_NSPAWN_TMPFS_TMP"] = "0"
        launch(self.directory / "launch.json", steps, program, self.record, self.console, prefix=PRIVATE_MOUNTS, environment=environment)

    def wait_booted(self) -> None:
        """Wait until it answers on ssh and systemd has nothing left to start."""
        deadline = time.monotonic() + BOOT_TIMEOUT
        while not self._ssh_answers():
            identity = self.identity
            ended = identity is None or not identity.alive()
            if ended or time.monotonic() > deadline:
                found = "systemd-nspawn ended" if ended else f"no ssh after {BOOT_TIMEOUT:.0f} s"
                raise LabError(f"boot {self.name}", f"{found}; last lines of the console:\n{tail_of(self.console)}", where=str(self.console))
            time.sleep(0.1)

    def _ssh_answers(self) -> bool:
        try:
            with socket.create_connection((self.plan.address, 22), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def boot_bare(self, bare: BareMachine) -> None:
        """Give it an empty disk and power on; returns when it can be reached."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.disk.create(bare.layers, bare.containerd, bare.etcd_image if self.plan.data_directory else None)
        self.provision(fresh_identity=True)
        self.boot()
        self.wait_booted()

    def power_off(self) -> None:
        """Cut the power: every process of the node dies at once, nothing is written any more."""
        init = self.init
        if init is not None:
            send(init, signal.SIGKILL)
        supervisor = self.identity
        if supervisor is not None:
            if init is not None:
                try:
                    wait_gone(supervisor, 5, f"systemd-nspawn of {self.name}")
                except LabError:
                    send(supervisor, signal.SIGKILL)
            else:
                send(supervisor, signal.SIGKILL)
            wait_gone(supervisor, 30, f"systemd-nspawn of {self.name}")
        if self.directory.exists():
            # Whatever else was in its cgroups: a launcher that was killed half way, a container that outlived its node.
            carry_out(self.directory / "sweep.json", [*self._cgroups.mount_steps(), *self._cgroups.remove_steps(self.lab, self.name)], prefix=PRIVATE_MOUNTS)
        self.record.unlink(missing_ok=True)

    def shut_down(self, timeout: float = 60) -> None:
        """Shut down in order, as an administrator does."""
        supervisor = self.identity
        if supervisor is None or not self.running:
            return
        command = ["systemctl", "poweroff", "--no-block"]
        asked = self.run(command, check=False)
        # The shutdown may end the very program that asks for it.
        if asked.returncode not in (0, -signal.SIGTERM):
            raise LabError(
                " ".join(command), f"exit status {asked.returncode}\n{tail(asked.stdout + asked.stderr)}", where=f"node {self.name} of lab {self.lab}"
            )
        wait_gone(supervisor, timeout, f"node {self.name}")
        self.power_off()

    def run(
        self,
        command: Sequence[str],
        *,
        check: bool = True,
        input: str | None = None,
        timeout: float | None = 120,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the node as root."""
        init = self.init
        if init is None:
            raise LabError(f"run {' '.join(command)} on {self.name}", "the node is off", f"heal it: python3 -m tests.lab heal {self.lab} power-off {self.name}")
        variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", **(environment or {})}
        argv = [
            *("nsenter", f"--target={init.pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"),
            *("env", "-i", *(f"{name}={value}" for name, value in variables.items())),
            *command,
        ]
        try:
            result = subprocess.run(
                argv,
                input=input,
                stdin=subprocess.DEVNULL if input is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(" ".join(command), f"no end after {timeout} s", where=f"node {self.name} of lab {self.lab}") from error
        if check and result.returncode:
            found = f"exit status {result.returncode}\n{tail(result.stdout + result.stderr)}"
            raise LabError(" ".join(command), found, where=f"node {self.name} of lab {self.lab}")
        return result

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Put a file on the running node; it appears as a whole, renamed from one beside it that no program takes for one of its own."""
        script = 'set -eu; umask 077; d=$(dirname "$1"); mkdir -p "$d"; t=$(mktemp -p "$d" .lab-XXXXXX); cat > "$t"; chmod "$2" "$t"; mv "$t" "$1"'
        self.run(["sh", "-c", script, "write", path, f"{mode:o}"], input=text)

    def read(self, name: str) -> str:
        """A file of the node, running or not."""
        if self.running:
            return self.run(["cat", f"/{name}"]).stdout
        found = self.disk.find(name)
        return found.read_text() if found else ""

    def overwrite(self, name: str, text: str) -> None:
        """Replace the content of a file that is there, of a running node in place, else on its disk."""
        if self.running:
            self.run(["sh", "-c", 'cat > "$1"', "overwrite", f"/{name}"], input=text)
        else:
            self.disk.write(name, text, 0o644)

    def journal(self, unit: str, lines: int = 20) -> str:
        """The last lines of a unit's journal; for error messages, so it fails into words."""
        if not self.running:
            return f"({self.name} is off)"
        result = self.run(["journalctl", "--no-pager", "-n", str(lines), "-u", unit, "-o", "cat"], check=False)
        return result.stdout + result.stderr

    def status(self) -> dict[str, object]:
        """What a status listing shows."""
        init = self.init
        return {"address": self.plan.address, "running": init is not None, "init_pid": init.pid if init else None, "control_plane": self.plan.control_plane}
