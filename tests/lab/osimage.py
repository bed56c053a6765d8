# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operating system of the nodes: Debian 12 by debootstrap, from the mirror that this machine itself uses."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from . import versions
from .cache import Cache, key_of, source_text
from .commands import CONTAINED, run, tail_of
from .errors import LabError
from .paths import SOURCE
from .progress import Progress

# Debian 12 (systemd 252) also boots on cgroup v1 machines; systemd 256 and newer refuse.
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "python3", "procps", "kmod", "ca-certificates", "curl", "openssl", "jq", "zstd", "age"),
    *("containerd", "runc", "conmon", "containernetworking-plugins", "iproute2", "iptables", "nftables", "conntrack", "ethtool", "socat", "iputils-ping"),
)


def mirror_of(texts: Iterable[str]) -> str | None:
    """The first Debian mirror in sources lists: deb822 (``URIs:``) or one-line (``deb URL suite ...``) format."""
    for text in texts:
        lines = [line.strip() for line in text.splitlines() if not line.lstrip().startswith("#")]
        for index, line in enumerate(lines):
            fields = re.match(r"deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", line)
            if fields and _is_debian(fields.group(1), fields.group(2)):
                return fields.group(1).rstrip("/")
            field = re.match(r"URIs:\s+(\S+)", line)
            if field:
                suites = next((other for other in lines[index:] if other.startswith("Suites:")), "")
                if _is_debian(field.group(1), suites):
                    return field.group(1).rstrip("/")
    return None


def _is_debian(url: str, suites: str) -> bool:
    return url.rstrip("/").endswith("/debian") and versions.DEBIAN in suites


def _mirror() -> str:
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    found = mirror_of(file.read_text(errors="replace") for file in files if file.suffix in (".list", ".sources") and file.is_file())
    if found is None:
        raise LabError(
            "find the Debian mirror of this machine",
            f"no {versions.DEBIAN} mirror in /etc/apt/sources.list*",
            "set up apt for Debian 12: the lab's nodes come from the same mirror",
        )
    return found


def os_image_key() -> str:
    """What the image depends on."""
    return key_of(source_text(SOURCE / "osimage.py"), versions.DEBIAN, *PACKAGES)


def os_image(cache: Cache, progress: Progress) -> Path:
    """The cache entry with the root file system in ``root``, never written to again: nodes lay their own directories over it."""

    def build(directory: Path) -> None:
        progress(f"installing Debian {versions.DEBIAN} for the nodes (a minute or two, once)")
        root = directory / "root"
        # An entry counts when it is finished; waiting for the disk after each file of each package would only cost time.
        unsafe = root / "etc/dpkg/dpkg.cfg.d/unsafe-io"
        unsafe.parent.mkdir(parents=True)
        unsafe.write_text("force-unsafe-io\n")
        result = run(
            [*CONTAINED, "debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", versions.DEBIAN, root, _mirror()],
            check=False,
            timeout=3600,
        )
        if result.returncode:
            log = root / "debootstrap/debootstrap.log"
            raise LabError("debootstrap", f"exit status {result.returncode}\n{tail_of(log)}", "check that the mirror in /etc/apt answers: apt-get update")
        unsafe.unlink()
        # Each of these would be the same on all nodes, or is this machine's and not theirs.
        for name in ("etc/machine-id", "etc/resolv.conf", "etc/hostname"):
            (root / name).write_text("")
        for key in root.glob("etc/ssh/ssh_host_*"):
            key.unlink()
        shutil.rmtree(root / "var/cache/apt")
        shutil.rmtree(root / "var/lib/apt/lists")
        (root / "var/cache/apt/archives/partial").mkdir(parents=True)
        (root / "var/lib/apt/lists/partial").mkdir(parents=True)

    return cache.entry("debian", os_image_key(), build)
