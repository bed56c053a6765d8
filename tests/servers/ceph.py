# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's object gateway out of Debian's packages: one monitor, one OSD that keeps everything in memory, one gateway; nothing is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from tests.debian_programs import LIBRARIES, environment, unpacked
from tests.lab.commands import run
from tests.ports import free_port
from tests.servers.real import PATIENCE_SECONDS, RealServer

# The programs, and of what they depend on that which no small Debian has.
PACKAGES = (
    "ceph-base",
    "ceph-common",
    "ceph-mon",
    "ceph-osd",
    "libaio1",
    "libboost-context1.74.0",
    "libboost-thread1.74.0",
    "libcephfs2",
    "libdaxctl1",
    "libfmt9",
    "libfuse2",
    "libgoogle-perftools4",
    "libibverbs1",
    "libleveldb1d",
    "libndctl6",
    "libnl-3-200",
    "libnl-route-3-200",
    "liboath0",
    "libpmem1",
    "librabbitmq4",
    "librados2",
    "libradosstriper1",
    "librbd1",
    "librdmacm1",
    "librgw2",
    "libsnappy1v5",
    "libtcmalloc-minimal4",
    "radosgw",
)
# Ceph's own command line needs its Python packages; of all that it can do, this is what is needed here.
_MON_COMMAND = """
import ctypes, sys
library, configuration, command = sys.argv[1:]
rados = ctypes.CDLL(library)
handle, text, size = ctypes.c_void_p(), ctypes.c_char_p(), ctypes.c_size_t()
def done(code, what):
    if code < 0:
        sys.exit("%s: error %d %s" % (what, code, (text.value or b"").decode()))
done(rados.rados_create(ctypes.byref(handle), b"admin"), "create")
done(rados.rados_conf_read_file(handle, configuration.encode()), "read the configuration")
done(rados.rados_connect(handle), "connect")
words = (ctypes.c_char_p * 1)(command.encode())
out = ctypes.c_char_p()
out_size = ctypes.c_size_t()
answers = [ctypes.byref(place) for place in (out, out_size, text, size)]
code = rados.rados_mon_command(handle, words, ctypes.c_size_t(1), None, ctypes.c_size_t(0), *answers)
done(code, command)
sys.stdout.write(ctypes.string_at(out, out_size.value).decode())
"""


class CephGateway(RealServer):
    """RADOS Gateway."""

    name = "Ceph RGW"

    def __init__(self, directory: Path, **tls: Path) -> None:
        super().__init__(directory, **tls)
        self._root = unpacked(*PACKAGES)
        self._libraries = [self._root / name for prefix in ("", "usr/") for name in (f"{prefix}lib/x86_64-linux-gnu", f"{prefix}lib/aarch64-linux-gnu")]
        self._libraries += [path / "ceph" for path in self._libraries] + [self._root / name for name in LIBRARIES]
        self._environment = environment(self._root)
        self._environment["LD_LIBRARY_PATH"] = os.pathsep.join(str(path) for path in self._libraries if path.is_dir())
        self._mon_port = free_port()
        self._fsid = str(uuid.uuid4())

    def version(self) -> str:
        """Its release."""
        found = re.search(r"\b(\d+\.\d+\.\d+)\b", self._run("radosgw", "--version"))
        assert found
        return found.group(1)

    @property
    def _configuration(self) -> Path:
        return self.directory / "ceph.conf"

    def _run(self, program: str, *arguments: str | Path) -> str:
        command = [str(self._root / "usr/bin" / program), *map(str, arguments)]
        return run(command, environment=self._environment, timeout=PATIENCE_SECONDS).stdout

    def _library(self, name: str) -> Path:
        return next(path for path in (directory / name for directory in self._libraries) if path.exists())

    def _mon_command(self, prefix: str, **arguments: Any) -> str:
        command = [
            sys.executable,
            "-c",
            _MON_COMMAND,
            str(self._library("librados.so.2")),
            str(self._configuration),
            json.dumps({"prefix": prefix, **arguments}),
        ]
        done = subprocess.run(command, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Monitor, OSD, gateway, and its user."""
        self._configure()
        monitor_map, keyring = self.directory / "monmap", self.directory / "keyring"
        self._run("monmaptool", "--create", "--clobber", "--fsid", self._fsid, "--addv", "a", f"[v2:127.0.0.1:{self._mon_port}]", monitor_map)
        # All keys of this cluster in one file, which the monitor takes over when it is made.
        for number, who in enumerate(("mon.", "client.admin", "osd.0")):
            capabilities = [word for part in ("mon", "osd") for word in ("--cap", part, "allow *")]
            self._run("ceph-authtool", *([] if number else ["--create-keyring"]), keyring, "--gen-key", "-n", who, *capabilities)
        self._run("ceph-mon", "-c", self._configuration, "--mkfs", "-i", "a", "--monmap", monitor_map, "--keyring", keyring)
        self._daemon("ceph-mon", "-i", "a")
        self.wait("ceph-mon", lambda: self.listens(self._mon_port))
        disk = str(uuid.uuid4())
        self._mon_command("osd new", uuid=disk)
        self._mon_command("osd crush add", id=0, weight=1.0, args=["root=default", "host=here"])
        self._run("ceph-osd", "-c", self._configuration, "-i", "0", "--mkfs", "--osd-uuid", disk)
        self._daemon("ceph-osd", "-i", "0")
        self.wait("ceph-osd", lambda: json.loads(self._mon_command("osd dump", format="json"))["osds"][0]["up"] == 1)
        keys = ("--access-key", self.access_key, "--secret-key", self.secret)
        self._run("radosgw-admin", "-c", self._configuration, "user", "create", "--uid", "owner", "--display-name", "owner", *keys)
        self.port = free_port()
        tls = f"ssl_endpoint=127.0.0.1:{self.port} ssl_certificate={self.certificate} ssl_private_key={self.private_key}"
        frontend = f"beast {tls if self.certificate else f'endpoint=127.0.0.1:{self.port}'}"
        self._daemon("radosgw", "-n", "client.admin", "--rgw_frontends", frontend)
        self.wait("radosgw", self.serves)

    def _daemon(self, program: str, *arguments: str) -> None:
        self.run_daemon(program, [self._root / "usr/bin" / program, "-c", self._configuration, "-f", *arguments], self._environment)

    def _configure(self) -> None:
        data = self.directory / "data"
        for name in ("mon", "osd", "rgw"):
            (data / name).mkdir(parents=True, exist_ok=True)
        settings = {
            "fsid": self._fsid,
            "mon_host": f"[v2:127.0.0.1:{self._mon_port}]",
            "keyring": str(self.directory / "keyring"),
            "public_addr": "127.0.0.1",
            "cluster_addr": "127.0.0.1",
            "ms_bind_msgr1": "false",
            "run_dir": str(self.directory),
            "admin_socket": "",
            "log_file": "",
            "mon_data": str(data / "mon"),
            "osd_data": str(data / "osd"),
            "rgw_data": str(data / "rgw"),
            "osd_objectstore": "memstore",
            "memstore_device_bytes": str(2 << 30),
            "osd_pool_default_size": "1",
            "osd_pool_default_min_size": "1",
            "osd_pool_default_pg_num": "4",
            "osd_pool_default_pg_autoscale_mode": "off",
            "mon_allow_pool_size_one": "true",
            "osd_crush_chooseleaf_type": "0",
            "erasure_code_dir": str(self._library("ceph/erasure-code")),
            "osd_class_dir": str(self._library("rados-classes")),
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        self._configuration.write_text("\n".join(["[global]", *lines, ""]))
