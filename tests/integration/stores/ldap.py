# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real OpenLDAP server with a tree of the shape of CaaSP's; out of unpacked packages, on a private socket."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap import dump, restore
from ansible_collections.lifeboat.cluster.plugins.module_utils._ldap.server import Bind, Directory, socket_url
from ansible_collections.lifeboat.cluster.plugins.module_utils._system import processes
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.inside import Inside
from tests.debian_programs import LIBRARIES, unpacked
from tests.integration.stores.velum import wait_for

PACKAGES = ("slapd", "ldap-utils", "libltdl7", "libwrap0")
PROGRAMS = ("sbin/slapd", "sbin/slapadd", "sbin/slapcat", "bin/ldapsearch", "bin/ldapwhoami", "bin/ldapmodify")
SUFFIX = "dc=infra,dc=caasp,dc=local"
ADMIN = f"cn=admin,{SUFFIX}"
OWNER = "nobody"
CONFIG = """dn: cn=config
objectClass: olcGlobal
cn: config
olcPidFile: {directory}/pid
olcTLSCertificateFile: {directory}/ldap.crt
olcTLSCertificateKeyFile: {directory}/ldap.key

dn: cn=module{{0}},cn=config
objectClass: olcModuleList
cn: module{{0}}
olcModulePath: {root}/usr/lib/ldap
olcModuleLoad: back_mdb
olcModuleLoad: syncprov

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file://{root}/etc/ldap/schema/core.ldif
include: file://{root}/etc/ldap/schema/cosine.ldif
include: file://{root}/etc/ldap/schema/inetorgperson.ldif

dn: olcDatabase={{0}}config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {{0}}config

dn: olcDatabase={{1}}mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: {{1}}mdb
olcSuffix: {suffix}
olcRootDN: {admin}
olcRootPW: {password}
olcDbDirectory: {directory}/data

dn: olcOverlay=syncprov,olcDatabase={{1}}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcSyncProvConfig
olcOverlay: syncprov
"""
TREE = """dn: {suffix}
objectClass: dcObject
objectClass: organization
o: SUSE
dc: infra

dn: ou=People,{suffix}
objectClass: organizationalUnit
ou: People

dn: ou=Groups,{suffix}
objectClass: organizationalUnit
ou: Groups

dn: cn=Administrators,ou=Groups,{suffix}
objectClass: groupOfUniqueNames
cn: Administrators
uniqueMember: uid=root@example.org,ou=People,{suffix}

dn: uid=root@example.org,ou=People,{suffix}
objectClass: inetOrgPerson
uid: root@example.org
cn: Jürgen
sn: {long}
userPassword: {password}
"""


@dataclass
class Ldap:
    """A directory, its running server or none, and what the modules are told."""

    directory: Path
    programs: Path
    root: Path
    password: str = field(default_factory=lambda: "ldap " + secrets.token_hex(8))
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.directory / "config"

    @property
    def data(self) -> Path:
        """The database."""
        return self.directory / "data"

    @property
    def url(self) -> str:
        """Where the server listens."""
        return socket_url(str(self.directory / "socket"))

    @property
    def password_file(self) -> Path:
        """As installed: with a newline at its end."""
        return self.directory / "openldap-password"

    @property
    def scratch(self) -> str:
        """Where scratch servers live."""
        return str(self.directory / "scratch")

    @property
    def inside(self) -> Inside:
        """The programs."""
        return Inside(search=(str(self.programs),))

    @property
    def live(self) -> Directory:
        """The directory as the modules see it."""
        return Directory(self.inside, str(self.config), SUFFIX, 60)

    @property
    def bind(self) -> Bind:
        """The administrator."""
        return Bind.from_params({"bind_dn": ADMIN, "password_file": str(self.password_file)})

    def options(self, **more: Any) -> dict[str, Any]:
        """What every module is told."""
        return {"search_path": [str(self.programs)], "config_dir": str(self.config), "suffix": SUFFIX, **more}

    def binding(self) -> dict[str, Any]:
        """What those modules are told that log in."""
        return {"bind_dn": ADMIN, "password_file": str(self.password_file)}

    def take(self, path: Path) -> dump.Dump:
        """Dump it."""
        return dump.take(self.live, str(path), bind=self.bind, owner="", scratch_directory=self.scratch)

    def request(self, **more: Any) -> restore.Request:
        """A restore."""
        config, data = (restore.Place(str(path), str(path)) for path in (self.config, self.data))
        fixed = {"restore_id": "r1", "owner": OWNER, "scratch_directory": self.scratch, "ledger": str(self.directory / "replaced.json")}
        return restore.Request(**{"directory": self.live, "config": config, "data": data, **fixed, **more})

    def bring_back(self, path: Path | str, **more: Any) -> restore.Plan:
        """Plan, stage and swap; returns the plan."""
        held, request = dump.examine(str(path)), self.request(**more)
        planned = restore.plan(held, request)
        if planned.changed:
            restore.swap(request, planned.names or restore.stage(held, request))
        return planned

    def tree(self) -> bytes:
        """All entries, as slapcat tells them."""
        return self.inside.run(["slapcat", "-F", str(self.config), "-b", SUFFIX, "-o", "ldif-wrap=no"]).output

    def modify(self, ldif: str) -> None:
        """Change entries of the running server."""
        command = ["ldapmodify", "-x", "-H", self.url, "-D", ADMIN, "-w", self.password]
        self.inside.run(command, stdin=ldif.format(suffix=SUFFIX).encode())

    def add_user(self, name: str) -> None:
        """One entry more."""
        self.modify(f"dn: uid={name},ou=People,{{suffix}}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\n")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.process = subprocess.Popen([str(self.programs / "slapd"), "-d", "0", "-F", str(self.config), "-h", self.url], stdin=subprocess.DEVNULL)
        wait_for("slapd", lambda: not self.live.bind_problem(self.url, self.bind))

    def end(self) -> None:
        """Stop a server that somebody else started."""
        pid = int((self.directory / "pid").read_text())
        os.kill(pid, signal.SIGTERM)
        wait_for("end of slapd", lambda: not processes.running("/proc", pid))

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def reset(self) -> None:
        """A new installation, running."""
        self.stop()
        for path in self.directory.iterdir():
            if path != self.programs:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.password_file.write_text(self.password + "\n")
        certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=ldap", "-days", "2"]
        certificate += ["-keyout", str(self.directory / "ldap.key"), "-out", str(self.directory / "ldap.crt")]
        subprocess.run(certificate, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        for path in (self.config, self.data):
            path.mkdir()
        values = {"directory": self.directory, "root": self.root, "suffix": SUFFIX, "admin": ADMIN, "password": self.password, "long": "x" * 200}
        self.inside.run(["slapadd", "-n", "0", "-F", str(self.config)], stdin=CONFIG.format(**values).encode())
        self.inside.run(["slapadd", "-w", "-b", SUFFIX, "-F", str(self.config)], stdin=TREE.format(**values).encode())
        self.start()


@contextmanager
def installed(directory: Path) -> Iterator[Ldap]:
    """The programs, in a directory for a server."""
    root = unpacked(*PACKAGES)
    libraries = os.pathsep.join(str(root / name) for name in LIBRARIES)
    programs = directory / "bin"
    programs.mkdir()
    for path in PROGRAMS:
        program = programs / Path(path).name
        program.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {root}/usr/{path} "$@"\n')
        program.chmod(0o755)
    ldap = Ldap(directory, programs, root)
    try:
        yield ldap
    finally:
        ldap.stop()
