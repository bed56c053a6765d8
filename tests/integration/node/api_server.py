# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real kube-apiserver with a real etcd on loopback."""

from __future__ import annotations

import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible_collections.lifeboat.cluster.plugins.module_utils._kubernetes.api import ApiClient, Credentials
from tests.ports import free_port

_PATIENCE_SECONDS = 120.0


class RealApiServer:
    """One API server; its certificate names ``kubernetes`` and not its address, as kubeadm's."""

    def __init__(self, directory: Path, binaries: Path) -> None:
        self.directory = directory
        self._binaries = binaries
        self.port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def options(self) -> dict[str, str]:
        """Connection options of the module."""
        client = str(self.directory / "client")
        return {
            "server": f"https://127.0.0.1:{self.port}",
            "ca_cert": str(self.directory / "ca.crt"),
            "client_cert": client + ".crt",
            "client_key": client + ".key",
        }

    def client(self) -> ApiClient:
        """An administrator's client."""
        options = self.options
        return ApiClient(options["server"], Credentials.of(options))

    def make_certificates(self) -> None:
        """An authority, and what it signed."""

        def openssl(text: str) -> None:
            subprocess.run(["openssl", *shlex.split(text)], cwd=self.directory, check=True, capture_output=True)

        openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=kubernetes")
        (self.directory / "san").write_text("subjectAltName=DNS:kubernetes\n")
        for name, subject, extra in (("server", "/CN=kube-apiserver", "-extfile san"), ("client", "/O=system:masters/CN=admin", "")):
            openssl(f"req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.csr -subj {subject}")
            openssl(f"x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {name}.crt -days 2 {extra}")
        openssl("ecparam -name prime256v1 -genkey -noout -out sa.key")

    def _run(self, program: str, *arguments: str) -> None:
        with (self.directory / f"{program}.log").open("wb") as log:
            command = [str(self._binaries / program), *arguments]
            self._processes.append(subprocess.Popen(command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT))

    def start(self) -> None:
        """Both processes; back when the API is ready."""
        self.make_certificates()
        etcd = self.start_etcd()
        self.start_api(etcd)
        self.wait_ready()

    def start_etcd(self, data: str = "etcd") -> str:
        """That alone; returns its URL."""
        etcd, peer = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
        urls = [f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
        self._run("etcd", f"--data-dir={data}", "--name=one", f"--initial-cluster=one={peer}", "--unsafe-no-fsync", *urls)
        return etcd

    def start_api(self, etcd: str, *more: str, program: str = "kube-apiserver") -> None:
        """That alone, with further options."""
        self._run(
            program,
            f"--etcd-servers={etcd}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=192.0.2.11",
            "--authorization-mode=RBAC",
            "--client-ca-file=ca.crt",
            "--tls-cert-file=server.crt",
            "--tls-private-key-file=server.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=sa.key",
            "--service-account-signing-key-file=sa.key",
            "--service-cluster-ip-range=10.96.0.0/16",
            # No controller makes service accounts here, and pods are to be bound to nodes that never were.
            "--disable-admission-plugins=ServiceAccount",
            *more,
        )

    def wait_ready(self) -> None:
        """Back when the API is ready."""
        with self.client() as client:
            try:
                client.wait_ready(_PATIENCE_SECONDS)
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """End both."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes.clear()

    def create(self, path: str, kind: str, api_version: str, name: str, **fields: Any) -> dict[str, Any]:
        """Create an object; a list path says where."""
        body = dict(fields, apiVersion=api_version, kind=kind, metadata=dict(fields.get("metadata", {}), name=name))
        with self.client() as client:
            return client.request("POST", path, None, body)

    def create_config_maps(self, count: int) -> None:
        """Many objects, over one connection."""
        with self.client() as client:
            for number in range(count):
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"cm-{number}"}, "data": {"n": str(number)}}
                client.request("POST", "/api/v1/namespaces/default/configmaps", None, body)

    def wait_for(self, path: str) -> None:
        """Wait until an object is there."""
        end = time.monotonic() + _PATIENCE_SECONDS
        with self.client() as client:
            while client.find(path) is None:
                assert time.monotonic() < end, f"{path} did not come"
                time.sleep(0.1)
