# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bare machine: Debian with the Kubernetes binaries, units and settings, and a containerd store with all images imported."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import machinefiles
from .binaries import binaries, binaries_key
from .cache import Cache, key_of, source_text
from .commands import CONTAINED, run
from .images import image_repository, images, write_archive
from .kmsplugin import kms_plugin, kms_plugin_key
from .osimage import os_image, os_image_key
from .paths import SOURCE
from .progress import Progress
from .versions import PAUSE_TAG

ETCD_BYTES = 3 * 1024**3
INSTALLED = ("kubelet", "kubeadm", "kubectl", "crictl")


@dataclass(frozen=True)
class BareMachine:
    """What every bare node is made of: cache entries."""

    entry: Path
    system: Path
    binaries: Path

    @property
    def layers(self) -> tuple[Path, ...]:
        """Read-only layers, uppermost first."""
        return (self.entry / "layer", self.system / "root")

    @property
    def containerd(self) -> Path:
        """A containerd store with the images."""
        return self.entry / "containerd"

    @property
    def etcd_image(self) -> Path:
        """An empty file system for etcd."""
        return self.entry / "etcd.img"

    @property
    def entries(self) -> tuple[Path, ...]:
        """All cache entries in use."""
        return (self.entry, self.system, self.binaries)

    def to_record(self) -> dict[str, str]:
        """For the record of a lab."""
        return {"bare": str(self.entry), "system": str(self.system), "binaries": str(self.binaries)}

    @classmethod
    def from_record(cls, entries: Mapping[str, str]) -> BareMachine:
        """Out of the record of a lab."""
        return cls(Path(entries["bare"]), Path(entries["system"]), Path(entries["binaries"]))


def bare_key() -> str:
    """What a bare machine depends on."""
    sources = (SOURCE / name for name in ("machines.py", "machinefiles.py", "images.py", "versions.py"))
    return key_of(source_text(*sources), binaries_key(), kms_plugin_key(), os_image_key())


def bare_machine(cache: Cache, progress: Progress) -> BareMachine:
    """The bare machine, built when missing."""
    programs = binaries(cache, progress)
    plugin = kms_plugin(cache, progress)
    system = os_image(cache, progress)

    def build(directory: Path) -> None:
        progress("making the bare machine: settings, binaries, imported images (once)")
        _write_layer(directory / "layer", programs)
        _import_images(directory, system / "root", programs, plugin)
        _make_etcd_image(directory / "etcd.img")

    entry = cache.entry("bare", bare_key(), build)
    return BareMachine(entry, system, programs)


def _write_layer(layer: Path, programs: Path) -> None:
    (layer / "usr/bin").mkdir(parents=True)
    for command in INSTALLED:
        shutil.copy2(programs / command, layer / "usr/bin" / command)
        (layer / "usr/bin" / command).chmod(0o755)
    pause = f"{image_repository(programs / 'kubeadm')}/pause:{PAUSE_TAG}"
    for name, (text, mode) in machinefiles.files(pause).items():
        path = layer / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    system = layer / "etc/systemd/system"
    for unit in machinefiles.MASKED_UNITS:
        (system / unit).symlink_to("/dev/null")
    for wanted in machinefiles.ENABLED_UNITS:
        unit, target = wanted.split(":")
        wants = system / f"{target}.wants"
        wants.mkdir(exist_ok=True)
        source = "/etc/systemd/system" if (system / unit).exists() else "/usr/lib/systemd/system"
        (wants / unit).symlink_to(f"{source}/{unit}")
    # Empty until a cluster is made, as the Debian packages leave them.
    for name in ("etc/kubernetes/manifests", "etc/cni/net.d", "var/lib/kubelet"):
        (layer / name).mkdir(parents=True)


_PREPARE = """\
set -eu
root=$1 lower=$2 upper=$3 work=$4 store=$5 archive=$6
mount -t overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" lab-prepare "$root"
chroot "$root" useradd --uid @UID@ --user-group --create-home --shell /bin/bash @USER@
mkdir -p "$root/var/lib/containerd"
mount --bind "$store" "$root/var/lib/containerd"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
cp "$archive" "$root/run/images.tar"
chroot "$root" containerd --config /dev/null > "$store.log" 2>&1 &
daemon=$!
trap 'kill "$daemon"; wait "$daemon" || true' EXIT
tries=0
until chroot "$root" ctr version > /dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { tail -n 20 "$store.log" >&2; exit 1; }
    sleep 0.1
done
chroot "$root" ctr --namespace k8s.io images import /run/images.tar >&2
for image in $(chroot "$root" ctr --namespace k8s.io images list --quiet); do
    chroot "$root" ctr --namespace k8s.io images label "$image" io.cri-containerd.pinned=pinned > /dev/null
done
"""


def _import_images(directory: Path, system: Path, programs: Path, plugin: Path) -> None:
    """Run containerd of the image in a chroot to fill its store; what useradd wrote becomes a part of the layer."""
    archive = directory / "images.tar"
    write_archive(archive, images(programs / "kubeadm"), programs, plugin)
    upper, work, root, store = (directory / name for name in ("upper", "work", "root", "containerd"))
    for path in (upper, work, root, store):
        path.mkdir()
    script = _PREPARE.replace("@UID@", str(machinefiles.USER_ID)).replace("@USER@", machinefiles.USER)
    run(
        [*CONTAINED, "sh", "-c", script, "prepare", root, f"{directory / 'layer'}:{system}", upper, work, store, archive],
        where="the image import in a chroot",
        timeout=600,
    )
    for path in (upper / "etc", upper / "home", upper / "var"):
        if path.exists():
            run(["cp", "-a", path, directory / "layer"])
    for path in (upper, work):
        shutil.rmtree(path)
    root.rmdir()
    archive.unlink()
    Path(f"{store}.log").unlink()


def _make_etcd_image(target: Path) -> None:
    """An empty ext4 file system in a sparse file."""
    with target.open("wb") as handle:
        handle.truncate(ETCD_BYTES)
    run(["mkfs.ext4", "-q", "-F", "-m", "0", "-L", "etcd", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", target])
    # lost+found would make the directory look used.
    run(["debugfs", "-w", "-R", "rmdir lost+found", target])
