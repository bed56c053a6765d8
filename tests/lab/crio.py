# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trait cri-o: a layer with CRI-O instead of containerd, and a store of its own with all images.

CRI-O and pinns are built from its module of the Go module proxy, conmon and runc are Debian's.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

from . import versions
from .cache import Cache, key_of, source_text
from .commands import CONTAINED, run
from .images import image_repository, images, write_archive
from .kmsplugin import kms_plugin
from .layered import below
from .machines import BareMachine, bare_key
from .paths import SOURCE
from .processes import PRIVATE_MOUNTS
from .progress import Progress
from .traits import Traits

# What making the store takes on this machine, program to Debian package.
PROGRAMS = {"skopeo": "skopeo", "gcc": "gcc"}
_MODULE = "github.com/cri-o/cri-o"
_TAGS = "containers_image_openpgp containers_image_ostree_stub exclude_graphdriver_btrfs"

CONFIGURATION = """\
[crio]
root = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
storage_driver = "overlay"

[crio.api]
listen = "/run/crio/crio.sock"

[crio.runtime]
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
pinns_path = "/usr/libexec/crio/pinns"
default_runtime = "runc"
apparmor_profile = "unconfined"

[crio.runtime.runtimes.runc]
runtime_path = "/usr/lib/lifeboat-lab/runc"
runtime_type = "oci"
runtime_root = "/run/runc"
monitor_path = "/usr/bin/conmon"
monitor_cgroup = "pod"

[crio.image]
pause_image = "@PAUSE@"
pause_command = ""

[crio.network]
network_dir = "/etc/cni/net.d/"
plugin_dirs = ["/usr/lib/cni"]
"""

POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
REGISTRIES = 'unqualified-search-registries = ["docker.io"]\n'

UNIT = """\
[Unit]
Description=Container Runtime Interface for OCI (CRI-O)
Documentation=https://github.com/cri-o/cri-o
Wants=network-online.target
Before=kubelet.service
After=network-online.target

[Service]
Type=notify
ExecStart=/usr/bin/crio
KillMode=process
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576
OOMScoreAdjust=0
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""

CRICTL = """\
runtime-endpoint: unix:///run/crio/crio.sock
image-endpoint: unix:///run/crio/crio.sock
timeout: 10
"""

# As the lab's containerd does it (restrict_oom_score_adj); CRI-O has no option for it.
RUNC = """\
#!/bin/sh
# Without CAP_SYS_RESOURCE runc cannot lower an oom score and dies.
bundle=
previous=
for word in "$@"; do
    case "$previous" in --bundle | -b) bundle=$word ;; esac
    previous=$word
done
if [ -n "$bundle" ] && [ -e "$bundle/config.json" ]; then
    jq -c 'if (.process.oomScoreAdj // 0) < 0 then .process.oomScoreAdj = 0 else . end' "$bundle/config.json" > "$bundle/config.json.lab" \\
        && cat "$bundle/config.json.lab" > "$bundle/config.json"
    rm -f "$bundle/config.json.lab"
fi
exec /usr/sbin/runc "$@"
"""


def crio_key() -> str:
    """What layer and store depend on."""
    return key_of(source_text(SOURCE / "crio.py"), versions.CRI_O, bare_key())


def files(pause: str) -> dict[str, tuple[str, int]]:
    """Path to content and mode."""
    return {
        "etc/crio/crio.conf.d/10-lab.conf": (CONFIGURATION.replace("@PAUSE@", pause), 0o644),
        "etc/containers/policy.json": (POLICY, 0o644),
        "etc/containers/registries.conf": (REGISTRIES, 0o644),
        "etc/crictl.yaml": (CRICTL, 0o644),
        "usr/lib/systemd/system/crio.service": (UNIT, 0o644),
        "usr/lib/lifeboat-lab/runc": (RUNC, 0o755),
    }


def _build_programs(directory: Path) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=mod"}
    said = run(["go", "mod", "download", "-json", f"{_MODULE}@v{versions.CRI_O}"], environment=environment, timeout=1800).stdout
    # Beside itself a module is a main module: its own list of dependencies counts.
    work = directory / "work"
    shutil.copytree(json.loads(said)["Dir"], work, copy_function=shutil.copyfile)
    for place, _names, _files in os.walk(work):
        Path(place).chmod(0o755)
    built = directory / "layer/usr/bin"
    built.mkdir(parents=True)
    command: list[str | Path] = [*CONTAINED, "go", "build", "-trimpath", "-tags", _TAGS, "-ldflags", "-s -w", "-o", built / "crio", "./cmd/crio"]
    run(command, directory=work, environment=environment, timeout=7200)
    pinns = directory / "layer/usr/libexec/crio/pinns"
    pinns.parent.mkdir(parents=True)
    run(["gcc", "-std=c99", "-Os", "-static", "-o", pinns, *sorted((work / "pinns/src").glob("*.c"))])
    shutil.rmtree(work)


def _write_files(layer: Path, pause: str) -> None:
    for name, (text, mode) in files(pause).items():
        (layer / name).parent.mkdir(parents=True, exist_ok=True)
        (layer / name).write_text(text)
        (layer / name).chmod(mode)
    wants = layer / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "crio.service").symlink_to("/usr/lib/systemd/system/crio.service")
    (layer / "etc/systemd/system/containerd.service").symlink_to("/dev/null")
    for place, _names, _files in os.walk(layer):
        # Whatever this machine's umask is.
        Path(place).chmod(0o755)


def _import_images(directory: Path, programs: Path, plugin: Path) -> None:
    """All images into a store such as CRI-O reads it."""
    archive, store = directory / "images.tar", directory / "store"
    wanted = images(programs / "kubeadm")
    write_archive(archive, wanted, programs, plugin)
    place = f"overlay@{store / 'storage'}+{directory / 'run'}"
    # The store mounts its own directory over itself, and leaves it so.
    copy = [*PRIVATE_MOUNTS, "skopeo", "--insecure-policy", "copy"]
    for image in wanted:
        run([*copy, f"docker-archive:{archive}:{image.reference}", f"containers-storage:[{place}]{image.reference}"], timeout=600)
    archive.unlink()
    shutil.rmtree(directory / "run")


def with_crio(machine: BareMachine, traits: Traits, cache: Cache, progress: Progress) -> BareMachine:
    """The machine that a cluster is formed on: with CRI-O when the trait is named, or as it is."""
    if "cri-o" not in traits:
        return machine

    def build(directory: Path) -> None:
        progress(f"building CRI-O {versions.CRI_O} from the Go module proxy, and its store (minutes, once)")
        _build_programs(directory)
        pause = f"{image_repository(machine.binaries / 'kubeadm')}/pause:{versions.PAUSE_TAG}"
        _write_files(directory / "layer", pause)
        _import_images(directory, machine.binaries, kms_plugin(cache, progress))

    entry = cache.entry("crio", crio_key(), build)
    return replace(below(entry, machine), store=entry / "store")
