# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node in a directory: real processes with real ports, and small stand-ins for crictl, systemctl and the kubelet."""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible_collections.lifeboat.cluster.plugins.module_utils._node.services.services import Journal, Node, Service, read_groups
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.containers import ContainerRuntime
from ansible_collections.lifeboat.cluster.plugins.module_utils._system.units import Systemd

# Not "etcd": other tests of this machine run real ones, and workers of one test run these. The kernel keeps fifteen bytes of a name.
ETCD, API, SCHEDULER, KUBELET = (f"lbt-{name}-{os.getpid()}"[:14] for name in ("e", "a", "s", "k"))

# Ten, where a real kubelet's unit is.
RESTART_SECONDS = 0.6

# Forks daemons that have nothing left to import; a fresh interpreter for each would cost more than everything else.
_ZYGOTE = """
import ctypes, json, os, signal, ssl, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def daemon(world, role, port):
    ctypes.CDLL(None).prctl(15, role.encode())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if os.path.exists(world + "/deaf-" + role):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    if os.path.exists(world + "/crash-" + role):
        os.unlink(world + "/crash-" + role)
        os._exit(1)
    if os.path.exists(world + "/crashes-" + role):
        # Every time, after the tenth of a second that a kubelet without a usable configuration lives.
        time.sleep(0.1)
        os._exit(1)
    if not port:
        while True:
            signal.pause()
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_): pass
        def answer(self, status, document):
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        def do_GET(self):
            ready = not os.path.exists(world + "/unready-" + role)
            self.answer(200 if ready else 500, b"ok" if ready else b"[+]ping ok\\n[-]etcd failed: reason withheld\\n")
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            leader = "0" if os.path.exists(world + "/no-quorum") else "42"
            revision = open(world + "/revision").read() if os.path.exists(world + "/revision") else "1000"
            header = {"cluster_id": "1", "member_id": "42", "revision": revision, "raft_term": "2"}
            hashed = port if os.path.exists(world + "/unequal") else 7
            if self.path.endswith("status"): self.answer(200, {"header": header, "version": "3.6.16", "leader": leader})
            elif self.path.endswith("range"): self.answer(200, {"header": header, "count": "0"})
            elif self.path.endswith("hashkv"): self.answer(200, {"header": header, "hash": hashed, "compact_revision": "900"})
            elif self.path.endswith("alarm"): self.answer(200, {"header": header})
            elif self.path.endswith("member/list"): self.answer(200, json.load(open(world + "/members.json")))
            else: self.answer(404, {"code": 5, "message": "Not Found"})
    class Server(ThreadingHTTPServer):
        daemon_threads = True
    server = Server(("127.0.0.1", port), Handler)
    if role.startswith("lbt-a-"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(world + "/pki/server.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever(0.05)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
# A signal that comes before a child has said whether it is deaf waits for that.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
for line in sys.stdin:
    child = os.fork()
    if not child:
        try: daemon(*json.loads(line))
        finally: os._exit(1)
    print(child, flush=True)
"""

_CRICTL = """#!/bin/sh
cd {world} || exit 1
echo "$*" >> crictl.log
[ -e runtime-broken ] && {{ echo "rpc error: connection refused" >&2; exit 1; }}
case " $* " in
*" ps "*)
  printf '{{"containers": ['
  comma=
  for file in containers/*.json; do [ -e "$file" ] && {{ printf "$comma"; cat "$file"; comma=,; }}; done
  printf ']}}' ;;
*" images "*) printf '{{"images": [{{"repoTags": ["example.org/etcd:1"], "repoDigests": ["example.org/etcd@sha256:00"]}}]}}' ;;
*" stop "*)
  for last in "$@"; do :; done
  case " $* " in *" stop --timeout 0 "*) grace=0 ;; *) grace=30 ;; esac
  printf $grace > stop-requests/$last ;;
*" rm "*)
  for last in "$@"; do :; done
  rm containers/$last.json ;;
esac
"""

# The state of a unit is a directory with one file for each field.
_SYSTEMCTL = """#!/bin/sh
cd {world}/units || exit 1
echo "$*" >> ../systemctl.log
verb=$1
for name in "$@"; do
  case $name in *.service) ;; *) continue ;; esac
  if [ "$verb" = show ]; then
    if [ -d $name ]; then
      echo "Id=$name\nNames=$name\nLoadState=loaded\nActiveState=$(cat $name/active)\nSubState=$(cat $name/sub)\nUnitFileState=$(cat $name/enabled)"
      echo "MainPID=$(cat $name/pid)\nNRestarts=$(cat $name/restarts)\nNeedDaemonReload=no"
      [ -f $name/command ] && echo "ExecStart=$(cat $name/command)"
      echo "ExecMainStartTimestampMonotonic=$(cat $name/since)\nActiveEnterTimestampMonotonic=$(cat $name/since)\n"
    else
      echo "Id=$name\nNames=$name\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n"
    fi
    continue
  fi
  [ -d $name ] || {{ echo "Unit $name not found." >&2; exit 1; }}
  case $verb in
  start|restart)
    # A start of a unit that waits for its next try waits with it.
    [ $verb$(cat $name/sub) = startauto-restart ] && continue
    tr -dc "0-9 " < /proc/uptime | sed 's/ .*/0000/' > $name/since
    printf 0 > $name/pid; printf running > $name/sub; printf active > $name/active ;;
  stop) printf dead > $name/sub; printf inactive > $name/active ;;
  reset-failed)
    printf 0 > $name/restarts
    if [ $(cat $name/active) = failed ]; then printf dead > $name/sub; printf inactive > $name/active; fi ;;
  enable) printf enabled > $name/enabled ;;
  esac
done
"""


class Zygote:
    """Makes daemons."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-IS", "-c", _ZYGOTE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def fork(self, world: Path, role: str, port: int) -> Daemon:
        """A process with this role as its name; without a port it only is there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(world), role, port]) + "\n")
        self._process.stdin.flush()
        return Daemon(int(self._process.stdout.readline()))

    def close(self) -> None:
        """No more daemons."""
        self._process.communicate()


class Daemon:
    """One process that the zygote made and reaps."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    @property
    def alive(self) -> bool:
        """Whether it is there."""
        return os.path.exists(f"/proc/{self.pid}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it is there."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def end(self) -> None:
        """Kill it and wait."""
        self.send(signal.SIGKILL)
        while self.alive:
            time.sleep(0.005)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class World:
    """One node: its directory, its platform facts, and a thread that does a kubelet's work."""

    def __init__(self, directory: Path, zygote: Zygote) -> None:
        self.directory = directory
        self._zygote = zygote
        self.manifests = directory / "manifests"
        self.parking = directory / "var" / "parking"
        for path in ("containers", "stop-requests", "bin", "pki", "run", "units/kubelet.service"):
            (directory / path).mkdir(parents=True)
        self.ports = {name: free_port() for name in (ETCD, API, SCHEDULER)}
        self.set_unit(active="inactive", sub="dead", enabled="disabled", pid="0", restarts="0", since="0")
        (directory / "members.json").write_text(json.dumps(self.members([self.ports[ETCD]])))
        (directory / "runtime.sock").touch()
        self._program("crictl", _CRICTL.format(world=str(directory)))
        self._program("systemctl", _SYSTEMCTL.format(world=str(directory)))
        self._processes: dict[str, Daemon] = {}
        self._attempts: dict[str, int] = {}
        # When a unit that waits for its next try is started again.
        self.next_try = 0.0
        # Pods that the kubelet can't start.
        self.refused: set[str] = set()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @staticmethod
    def members(ports: list[int]) -> dict[str, Any]:
        return {"members": [{"ID": str(port), "name": f"m{port}", "peerURLs": ["http://x"], "clientURLs": [f"http://127.0.0.1:{port}"]} for port in ports]}

    def _program(self, name: str, text: str) -> None:
        path = self.directory / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    @property
    def platform(self) -> dict[str, Any]:
        """The facts as a platform file has them."""

        def pod(name: str, ready: str) -> dict[str, Any]:
            return {"kind": "static_pod", "manifest": f"{name}.yaml", "container": name, "process": name, "ports": [self.ports[name]], "ready": ready}

        pki = str(self.directory / "pki")
        return {
            "manifests_dir": str(self.manifests),
            "manifests_parking": str(self.parking),
            "runtime": {"crictl": str(self.directory / "bin" / "crictl"), "endpoint": f"unix://{self.directory}/runtime.sock"},
            "etcd": {"data_dir": str(self.directory / "etcd"), "endpoint": f"http://127.0.0.1:{self.ports[ETCD]}"},
            "api": {
                "server": f"https://127.0.0.1:{self.ports[API]}",
                "ca_cert": f"{pki}/ca.pem",
                "client_cert": f"{pki}/client.pem",
                "client_key": f"{pki}/client.pem",
            },
            "manifests_agent": "kubelet",
            "services": {
                ETCD: pod(ETCD, "etcd_quorum"),
                API: pod(API, "api"),
                SCHEDULER: pod(SCHEDULER, "container"),
                "kubelet": {"kind": "unit", "unit": "kubelet.service", "process": KUBELET, "ready": "none"},
            },
            "start": [["kubelet", ETCD], [API], [SCHEDULER]],
            "stop": [[SCHEDULER], [API], [ETCD], ["kubelet"]],
        }

    @property
    def platform_of_units(self) -> dict[str, Any]:
        """The same services as systemd units; no kubelet is needed for them, so it comes last."""
        facts = self.platform
        for name, port in self.ports.items():
            facts["services"][name] = {**facts["services"][name], "kind": "unit", "unit": f"{name}.service", "process": name, "ports": [port]}
        return {**facts, "start": [[ETCD], [API], ["kubelet", SCHEDULER]], "stop": [["kubelet", SCHEDULER], [API], [ETCD]]}

    def write_units(self) -> None:
        """Units of all services, none of which runs."""
        for name in self.ports:
            shutil.copytree(self.directory / "units" / "kubelet.service", self.directory / "units" / f"{name}.service")

    def node(self, platform: dict[str, Any] | None = None) -> Node:
        """The node as the modules see it."""
        facts = platform or self.platform
        return Node(facts, ContainerRuntime.of_platform(facts), Systemd(str(self.directory / "bin" / "systemctl")))

    def groups(self, verb: str) -> list[list[Service]]:
        """The order of a verb."""
        return read_groups(self.node().services, self.platform[verb])

    def journal(self, state: str) -> Journal:
        """Phases and progress of one call."""
        return Journal(state, str(self.directory / "run"))

    def unit(self) -> dict[str, str]:
        """The kubelet's unit."""
        path = self.directory / "units" / "kubelet.service"
        return {field: (path / field).read_text() for field in ("active", "sub", "enabled")} if path.is_dir() else {"active": "", "sub": "", "enabled": ""}

    def set_unit(self, **fields: str) -> None:
        """Change the kubelet's unit behind systemctl's back."""
        if fields.get("sub") == "auto-restart":
            # Said by a test, it stays so while the test looks: this is no moment at which it may begin to run.
            self.next_try = time.monotonic() + 600
        for field, value in fields.items():
            (self.directory / "units" / "kubelet.service" / field).write_text(value)

    def flag(self, name: str, on: bool = True) -> None:
        """Switch a misbehaviour of the daemons on or off."""
        path = self.directory / name
        if on:
            path.touch()
        else:
            path.unlink(missing_ok=True)

    def write_manifests(self, where: Path | None = None) -> None:
        """All manifests, live unless said otherwise."""
        directory = where or self.manifests
        directory.mkdir(parents=True, exist_ok=True)
        for name in self.ports:
            self.write_manifest(name, directory)

    def write_manifest(self, name: str, directory: Path, *arguments: str) -> None:
        """One manifest, as kubeadm writes them."""
        text = f"kind: Pod\nmetadata:\n  name: {name}\n  namespace: kube-system\nspec:\n  containers:\n  - command:\n    - {name}\n"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{name}.yaml").write_text(text + "".join(f"    - {argument}\n" for argument in arguments) + f"    image: example.org/{name}:1\n")

    def log(self, program: str) -> list[str]:
        """How a stand-in was called."""
        path = self.directory / f"{program}.log"
        return path.read_text().splitlines() if path.exists() else []

    # The kubelet

    def __enter__(self) -> World:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        for daemon in self._processes.values():
            daemon.end()

    def _run(self) -> None:
        while not self._ended.wait(0.02):
            with suppress(FileNotFoundError):
                self._sync()

    def _sync(self) -> None:
        self._reap()
        for request in (self.directory / "stop-requests").iterdir():
            self._end(request.name.rpartition("-")[0], signal.SIGKILL if request.read_text() == "0" else signal.SIGTERM)
            request.unlink()
        running = self.unit()["active"] == "active"
        self._restart_kubelet()
        self._kubelet(running and self.unit()["sub"] == "running")
        units = self._units()
        if not running or self.unit()["sub"] != "running" or (self.directory / "hung-kubelet").exists():
            return
        wanted = {path.stem for path in self.manifests.glob("*.yaml")} if self.manifests.is_dir() else set()
        for name in wanted - set(self._processes) - self.refused:
            self._begin(name)
        for name in set(self._processes) - wanted - units - {KUBELET}:
            self._end(name, signal.SIGTERM)

    def _restart_kubelet(self) -> None:
        """What systemd does with a unit whose program has ended: it waits, and tries again."""
        now = time.monotonic()
        unit = self.unit()
        if unit["sub"] == "running" and int(self._field("pid")) and KUBELET not in self._processes:
            self.set_unit(active="activating", sub="auto-restart", pid="0")
            self.next_try = now + RESTART_SECONDS
        elif unit["sub"] == "auto-restart" and now >= self.next_try:
            self.set_unit(restarts=str(self.restarts() + 1), sub="running", active="active")

    def restarts(self) -> int:
        """How often the kubelet was started again by itself."""
        return int(self._field("restarts"))

    def _field(self, name: str) -> str:
        return (self.directory / "units" / "kubelet.service" / name).read_text()

    def _kubelet(self, wanted: bool) -> None:
        if wanted and KUBELET not in self._processes:
            daemon = self._processes[KUBELET] = self.spawn(KUBELET, 0)
            self.set_unit(since=str(int(time.monotonic() * 1e6)), pid=str(daemon.pid))
        elif not wanted and KUBELET in self._processes:
            self._end(KUBELET, signal.SIGTERM)

    def _units(self) -> set[str]:
        """Let the services that are units run or end, as systemctl left them; their names."""
        units = {name for name in self.ports if (self.directory / "units" / f"{name}.service").is_dir()}
        for name in units:
            active = (self.directory / "units" / f"{name}.service" / "active").read_text() == "active"
            if active and name not in self._processes:
                self._processes[name] = self.spawn(name, self.ports[name])
            elif not active:
                self._end(name, signal.SIGTERM)
        return units

    def spawn(self, name: str, port: int) -> Daemon:
        """A daemon that is nobody's container."""
        return self._zygote.fork(self.directory, name, port)

    def _begin(self, name: str) -> None:
        self._attempts[name] = self._attempts.get(name, -1) + 1
        # A static pod of somebody else has no port that anybody asks for.
        self._processes[name] = self.spawn(name, self.ports.get(name, 0))
        self._container(name, "RUNNING")

    def _end(self, name: str, number: signal.Signals) -> None:
        if name in self._processes:
            self._processes[name].send(number)

    def _reap(self) -> None:
        for name, daemon in list(self._processes.items()):
            if not daemon.alive:
                del self._processes[name]
                ended = self._attempts.get(name)
                if (self.directory / f"once-more-{name}").exists():
                    # A kubelet that was replacing this container does not know yet that its manifest is gone.
                    self.flag(f"once-more-{name}", on=False)
                    self._begin(name)
                if ended is not None:
                    self._container(name, "EXITED", ended)

    def _container(self, name: str, state: str, attempt: int | None = None) -> None:
        attempt = self._attempts[name] if attempt is None else attempt
        document = {
            "id": f"{name}-{attempt}",
            "podSandboxId": f"sandbox-{name}",
            "metadata": {"name": name, "attempt": attempt},
            "state": f"CONTAINER_{state}",
            "image": {"image": f"example.org/{name}:1"},
            "createdAt": str(time.time_ns()),
            "labels": {
                "io.kubernetes.container.name": name,
                "io.kubernetes.pod.name": f"{name}-node1",
                "io.kubernetes.pod.namespace": "kube-system",
                "io.kubernetes.pod.uid": "0f" * 16,
            },
        }
        path = self.directory / "containers" / f"{name}-{attempt}.json"
        path.with_suffix(".part").write_text(json.dumps(document))
        path.with_suffix(".part").rename(path)

    def run_until(self, what: str, seconds: float = 20.0) -> None:
        """Wait until a process of a name is there."""
        end = time.monotonic() + seconds
        while what not in self._processes:
            assert time.monotonic() < end, f"{what} did not start"
            time.sleep(0.02)


@functools.lru_cache(maxsize=2)
def _certificates(number: int) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)

        def openssl(text: str) -> None:
            subprocess.run(["openssl", *shlex.split(text)], cwd=directory, check=True, capture_output=True)

        (directory / "san").write_text("subjectAltName=DNS:kubernetes\n")
        openssl(f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca{number}")
        for role, extra in (("server", "-extfile san"), ("client", "")):
            openssl(f"req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {role}.key -out {role}.csr -subj /CN={role}")
            openssl(f"x509 -req -in {role}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {role}.crt -days 2 {extra}")
            (directory / f"{role}.pem").write_bytes((directory / f"{role}.crt").read_bytes() + (directory / f"{role}.key").read_bytes())
        return {path.name: path.read_bytes() for path in directory.iterdir()}


def make_certificates(directory: Path, number: int = 0) -> None:
    """A CA, a server certificate for ``kubernetes`` and a client certificate, with openssl; for each number others."""
    for name, data in _certificates(number).items():
        (directory / name).write_bytes(data)
        os.chmod(directory / name, 0o600)
