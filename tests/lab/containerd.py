# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trait containerd-2, and what newer releases of Kubernetes need: a layer with a newer containerd than the operating system's, and its configuration.

Images stay where they are: containerd 2 reads the store of 1.6 and writes its own version of it, as at an upgrade of a machine.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import versions
from .cache import Cache, key_of, source_text
from .commands import CONTAINED, run
from .layered import below
from .machines import BareMachine
from .paths import SOURCE
from .progress import Progress
from .traits import Traits

PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr")
_MODULE = "github.com/containerd/containerd/v2"
DROP_IN = "etc/containerd/conf.d/lab.toml"

# Version 3 of its configuration; what a lab needs is in a file that the main one imports.
CONFIGURATION = """\
version = 3
imports = ["/etc/containerd/conf.d/*.toml"]
"""
LAB = """\
version = 3

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "@PAUSE@"

[plugins."io.containerd.cri.v1.runtime"]
  # Without CAP_SYS_RESOURCE runc cannot lower an oom score and dies; with it this changes nothing that a lab needs.
  restrict_oom_score_adj = true

  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]

  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def containerd_key() -> str:
    """What the layer depends on."""
    return key_of(source_text(SOURCE / "containerd.py"), versions.CONTAINERD, versions.PAUSE_TAG)


def _build(directory: Path) -> None:
    work = directory / "work"
    work.mkdir()
    version = run(["go", "env", "GOVERSION"]).stdout.strip().removeprefix("go")
    (work / "go.mod").write_text(f"module lab.internal/containerd\n\ngo {'.'.join(version.split('.')[:2])}\n")
    imports = "\n".join(f'\t_ "{_MODULE}/cmd/{program}"' for program in PROGRAMS)
    (work / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\nimport (\n{imports}\n)\n")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    run(["go", "mod", "edit", f"-require={_MODULE}@v{versions.CONTAINERD}"], directory=work, environment=environment)
    run([*CONTAINED, "go", "mod", "tidy", "-e"], directory=work, environment=environment, timeout=3600)
    stamp = f"-s -w -X {_MODULE}/version.Version={versions.CONTAINERD}"
    built = directory / "layer/usr/bin"
    built.mkdir(parents=True)
    packages = [f"{_MODULE}/cmd/{program}" for program in PROGRAMS]
    run([*CONTAINED, "go", "build", "-trimpath", "-ldflags", stamp, "-o", f"{built}/", *packages], directory=work, environment=environment, timeout=7200)
    shutil.rmtree(work)


def with_containerd(machine: BareMachine, traits: Traits, cache: Cache, progress: Progress) -> BareMachine:
    """The machine of a lab: with the newer containerd when the trait is named, or as it is."""
    return machine if versions.OLD_CONTAINERD and "containerd-2" not in traits else _newer(machine, cache, progress)


def with_needed_containerd(machine: BareMachine, cache: Cache, progress: Progress) -> BareMachine:
    """The machine that clusters are formed on: with the newer containerd where the release of Kubernetes needs it."""
    return machine if versions.OLD_CONTAINERD else _newer(machine, cache, progress)


def _newer(machine: BareMachine, cache: Cache, progress: Progress) -> BareMachine:
    if any((layer / DROP_IN).exists() for layer in machine.layers):
        return machine

    def build(directory: Path) -> None:
        progress(f"building containerd {versions.CONTAINERD} from the Go module proxy (minutes, once)")
        _build(directory)
        layer = directory / "layer"
        pause = (machine.entry / "layer/etc/containerd/config.toml").read_text().partition('sandbox_image = "')[2].partition('"')[0]
        for name, text in (("etc/containerd/config.toml", CONFIGURATION), (DROP_IN, LAB.replace("@PAUSE@", pause))):
            (layer / name).parent.mkdir(parents=True, exist_ok=True)
            (layer / name).write_text(text)
        for place, _names, _files in os.walk(layer):
            # Whatever this machine's umask is.
            Path(place).chmod(0o755)

    return below(cache.entry("containerd", containerd_key(), build), machine)
