# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container images out of single static binaries: one layer, in the docker archive format that containerd imports."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from . import kmsplugin, versions
from .commands import run

# The kernel's names for what container images call otherwise.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Image:
    """Name, the binaries inside, and the one that is started."""

    reference: str
    commands: tuple[str, ...]
    entry_point: str | None


def control_plane_images(kubeadm: Path) -> list[str]:
    """The names under which kubeadm expects its images."""
    return run([kubeadm, "config", "images", "list", f"--kubernetes-version=v{versions.KUBERNETES}"]).stdout.split()


def image_repository(kubeadm: Path) -> str:
    """The part of those names before the component."""
    return control_plane_images(kubeadm)[0].rpartition("/")[0]


def images(kubeadm: Path) -> list[Image]:
    """All images of the lab."""
    repository = image_repository(kubeadm)
    found = [
        Image(f"{repository}/{command}:v{versions.KUBERNETES}", (command,), None) for command in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    ]
    found.append(Image(f"{repository}/etcd:{versions.ETCD_IMAGE_TAG}", ("etcd", "etcdctl", "etcdutl"), None))
    found.append(Image(f"{repository}/pause:{versions.PAUSE_TAG}", ("pause",), "pause"))
    found.append(Image(versions.WORKLOAD_IMAGE, ("workload",), "workload"))
    found.append(Image(f"docker.io/library/{versions.FRONT_IMAGE}", ("api-front",), "api-front"))
    found.append(Image(versions.KMS_IMAGE, (kmsplugin.PROGRAM,), kmsplugin.PROGRAM))
    return found


def _member(archive: tarfile.TarFile, name: str, size: int, content: BinaryIO, mode: int = 0o644) -> None:
    """Name, size and mode only: no times and no owners of this machine."""
    information = tarfile.TarInfo(name)
    information.size = size
    information.mode = mode
    archive.addfile(information, content)


def _text(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    _member(archive, name, len(data), io.BytesIO(data))


def _file(archive: tarfile.TarFile, name: str, source: Path, mode: int) -> None:
    with source.open("rb") as opened:
        _member(archive, name, source.stat().st_size, opened, mode)


def _directory(archive: tarfile.TarFile, name: str, mode: int = 0o755) -> None:
    information = tarfile.TarInfo(name)
    information.type = tarfile.DIRTYPE
    information.mode = mode
    archive.addfile(information)


def _found(command: str, directories: Sequence[Path]) -> Path:
    return next(directory / command for directory in directories if (directory / command).exists())


def write_archive(target: Path, wanted: Sequence[Image], *directories: Path) -> None:
    """One archive with all images, their binaries out of these directories; the same input gives the same bytes."""
    manifest = []
    with tarfile.open(target, "w") as archive:
        for image in wanted:
            layer_file = target.with_suffix(".layer")
            with tarfile.open(layer_file, "w") as layer:
                for directory in ("etc", "usr", "usr/local", "usr/local/bin"):
                    _directory(layer, directory)
                _directory(layer, "tmp", 0o1777)
                _directory(layer, "data")
                for command in image.commands:
                    _file(layer, f"usr/local/bin/{command}", _found(command, directories), 0o755)
            with layer_file.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
            configuration: dict[str, object] = {"Env": [f"PATH={_SEARCH_PATH}"]}
            if image.entry_point:
                configuration["Entrypoint"] = [f"/usr/local/bin/{image.entry_point}"]
            description = {
                "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
                "os": "linux",
                "config": configuration,
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            }
            text = json.dumps(description, sort_keys=True).encode()
            name = f"{hashlib.sha256(text).hexdigest()}.json"
            _text(archive, name, text)
            _file(archive, f"{digest}/layer.tar", layer_file, 0o644)
            manifest.append({"Config": name, "RepoTags": [image.reference], "Layers": [f"{digest}/layer.tar"]})
            layer_file.unlink()
        _text(archive, "manifest.json", json.dumps(manifest).encode())
