# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the product's packages and container images bring, as one more layer over a bare machine: Salt, etcd 3.4, MariaDB, OpenLDAP.

Everything is fetched by programs of this machine, with its settings for mirrors and proxies; inside of the layer nothing needs the network.
"""

from __future__ import annotations

import os
import venv
from pathlib import Path

from ..cache import Cache, key_of, source_text
from ..commands import CONTAINED, run
from ..machines import BareMachine, bare_key
from ..paths import REPOSITORY, SOURCE
from ..progress import Progress

PACKAGES = ("python3-venv", "etcd-server", "etcd-client", "mariadb-server", "slapd", "ldap-utils")
SALT = REPOSITORY / "requirements" / "salt.txt"


def software_key() -> str:
    """What the layer depends on."""
    return key_of(source_text(SOURCE / "caasp" / "software.py", SALT), bare_key())


# Built above the layer with the lab's user, in one line of descent: each layer carries whole files like /etc/passwd and dpkg's status.
_INSTALL = """\
set -eu
root=$1 lower=$2 upper=$3 work=$4 archives=$5 wheels=$6
mount -t overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" lab-software "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir "$root/run/archives" "$root/run/wheels"
mount --bind "$archives" "$root/run/archives"
mount --bind "$wheels" "$root/run/wheels"
# No service is started here, and none is enabled below: the lab's own units do that, when there is something to serve.
printf '#!/bin/sh\\nexit 101\\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
chroot "$root" sh -c 'echo slapd slapd/no_configuration boolean true | debconf-set-selections'
chroot "$root" sh -c 'apt-get install -qy --no-install-recommends -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 \\
    -o Dpkg::Options::=--force-unsafe-io /run/archives/*.deb'
rm "$root/usr/sbin/policy-rc.d"
chroot "$root" python3 -m venv /opt/salt
chroot "$root" sh -c '/opt/salt/bin/pip install --quiet --no-index --no-deps /run/wheels/*.whl'
chroot "$root" systemctl disable --quiet etcd mariadb
chroot "$root" systemctl mask --quiet slapd
chroot "$root" sh -c 'rm -rf /var/lib/mysql/* /var/lib/etcd/* /var/lib/ldap /var/log/mysql/* /etc/ldap/slapd.d /var/log/apt /var/log/dpkg.log'
"""


def _download_packages(root: Path, archives: Path) -> None:
    """The packages and all that the machine lacks for them."""
    (archives / "partial").mkdir()
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["-o", f"Dir::State::status={root / 'var/lib/dpkg/status'}", "-o", f"Dir::Cache::archives={archives}", "-o", "APT::Sandbox::User=root"]
    command = ["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", "--download-only", *options, *PACKAGES]
    if run(command, environment=environment, check=False, timeout=1800).returncode:
        run(["apt-get", "-o", "DPkg::Lock::Timeout=600", "update"], environment=environment)
        run(command, environment=environment, advice="check that the mirror in /etc/apt answers", timeout=1800)


def _build_wheels(directory: Path, wheels: Path) -> None:
    """Salt and what it needs, every file proven by its hash; Salt itself comes as source."""
    builder = directory / "builder"
    venv.create(builder, with_pip=True)
    options = ["--quiet", "--no-deps", "--require-hashes", "--requirement", str(SALT), "--wheel-dir", str(wheels)]
    run([*CONTAINED, str(builder / "bin/pip"), "wheel", *options], advice="check that pip reaches its package index", timeout=1800)


def software(cache: Cache, bare: BareMachine, progress: Progress) -> Path:
    """The cache entry with the layer in ``layer``."""

    def build(directory: Path) -> None:
        progress("installing Salt, etcd 3.4, MariaDB and OpenLDAP for the machines (a minute or two, once)")
        names = ("layer", "work", "root", "archives", "wheels", "builder")
        layer, work, root, archives, wheels, builder = (directory / name for name in names)
        for path in (layer, work, root, archives, wheels):
            path.mkdir()
        _build_wheels(directory, wheels)
        lower = ":".join(str(path) for path in bare.layers)
        _download_packages(bare.system / "root", archives)
        run(
            [*CONTAINED, "sh", "-c", _INSTALL, "install", root, lower, layer, work, archives, wheels],
            where="the installation in a chroot",
            environment={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
            timeout=1800,
        )
        run(["rm", "-rf", work, root, archives, wheels, builder])

    return cache.entry("caasp-software", software_key(), build)
