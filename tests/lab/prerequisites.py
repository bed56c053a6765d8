# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine must have: one error names all that is missing, and the command that installs it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from .commands import run
from .errors import LabError
from .progress import Progress

# Program to Debian package.
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "nft": "nftables",
    "sysctl": "procps",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "openssl": "openssl",
    "mkfs.ext4": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "mount": "mount",
    "losetup": "mount",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "cp": "coreutils",
}
DEVICES = {"/dev/loop-control": "loop devices", "/dev/net/tun": "tun/tap devices", "/dev/kmsg": "the kernel log"}
GO = (1, 24)
INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 1024


def missing_packages(more: Mapping[str, str] | None = None) -> list[str]:
    """Debian packages whose programs are not found."""
    return sorted({package for program, package in {**PROGRAMS, **(more or {})}.items() if shutil.which(program) is None})


def _missing_from_kernel() -> list[str]:
    known = Path("/proc/filesystems").read_text().split()
    found = [f"the kernel has no {name} file system" for name in ("overlay", "ext4", "tmpfs") if name not in known and not _loadable(name)]
    return found + [f"{device} is missing: {what}" for device, what in DEVICES.items() if not Path(device).exists()]


def _loadable(module: str) -> bool:
    return shutil.which("modprobe") is not None and run(["modprobe", module], check=False).returncode == 0


def _go_problem() -> str:
    if shutil.which("go") is None:
        return f"Go {GO[0]}.{GO[1]} or newer is not in PATH (Debian's own is too old for Kubernetes)"
    version = run(["go", "env", "GOVERSION"]).stdout.strip()
    found = re.match(r"go(\d+)\.(\d+)", version)
    if not found or (int(found.group(1)), int(found.group(2))) < GO:
        return f"{version or 'an unknown Go'} is in PATH, Go {GO[0]}.{GO[1]} or newer is needed"
    return ""


def check(progress: Progress, *, install: bool = False, more: Mapping[str, str] | None = None) -> None:
    """Fail with everything that is missing; with ``install`` get the Debian packages first. ``more`` has what the traits of a lab take besides."""
    if os.geteuid() != 0:
        raise LabError("make machines", "not run by root", "run it as root: it mounts, makes network namespaces and starts systemd-nspawn")
    packages = missing_packages(more)
    if packages and (install or os.environ.get("LIFEBOAT_LAB_INSTALL") == "1"):
        progress(f"installing {' '.join(packages)}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update"], environment=environment)
        run(["apt-get", "install", "--yes", "--no-install-recommends", *packages], environment=environment, timeout=1800)
        packages = missing_packages(more)
    problems = [f"no program of the package {package}" for package in packages] + _missing_from_kernel()
    go = _go_problem()
    if go:
        problems.append(go)
    if problems:
        advice = (
            f"apt-get install {' '.join(packages)}\nor let the lab do it: --install, or LIFEBOAT_LAB_INSTALL=1"
            if packages
            else "add what is missing to this machine"
        )
        raise LabError("check what the lab needs of this machine", "\n".join(problems), advice)
    _raise_inotify(progress)


def _raise_inotify(progress: Progress) -> None:
    """All nodes of all labs share root's inotify instances; a machine has 128 by default, each systemd takes a dozen."""
    if int(INOTIFY_INSTANCES.read_text()) >= INOTIFY_WANTED:
        return
    try:
        INOTIFY_INSTANCES.write_text(str(INOTIFY_WANTED))
    except OSError as error:
        progress(f"warning: cannot raise fs.inotify.max_user_instances to {INOTIFY_WANTED} ({error.strerror}): more than one lab may not boot")
