# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes, etcd, crictl and three small programs of the lab, built from the Go module proxy, static.

A directory named by LIFEBOAT_BINARIES spares the build of everything it holds; what is missing there is built.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import versions
from .cache import Cache, key_of, source_text
from .commands import CONTAINED, run
from .paths import SOURCE
from .progress import Progress

KUBERNETES_COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubeadm", "kubectl", "kube-proxy")
ETCD_COMMANDS = ("etcd", "etcdctl", "etcdutl")
PROGRAMS = SOURCE / "programs"
_CRI_TOOLS_PARTS = ("api", "apimachinery", "apiserver", "client-go", "component-base", "cri-api", "cri-client", "kubectl", "cli-runtime")


@dataclass(frozen=True)
class Recipe:
    """A Go module of somebody else and the commands built out of it."""

    name: str
    requirements: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]
    ldflags: str
    checksums: str = ""


def _recipes() -> tuple[Recipe, ...]:
    version = f"v{versions.KUBERNETES}"
    major, minor, _patch = versions.KUBERNETES.split(".")
    # kubeadm refuses to work when it cannot parse its own version.
    stamps = {
        "k8s.io/component-base/version.gitVersion": version,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        "k8s.io/client-go/pkg/version.gitVersion": version,
    }
    return (
        Recipe(
            "kubernetes",
            (("k8s.io/kubernetes", version),),
            tuple((command, f"k8s.io/kubernetes/cmd/{command}") for command in KUBERNETES_COMMANDS),
            "-s -w " + " ".join(f"-X {name}={value}" for name, value in stamps.items()),
        ),
        Recipe(
            "etcd",
            tuple((f"go.etcd.io/etcd/{part}/v3", f"v{versions.ETCD}") for part in ("server", "etcdctl", "etcdutl")),
            (("etcd", "go.etcd.io/etcd/server/v3"), ("etcdctl", "go.etcd.io/etcd/etcdctl/v3"), ("etcdutl", "go.etcd.io/etcd/etcdutl/v3")),
            "-s -w",
        ),
        Recipe(
            "cri-tools",
            # cri-tools itself asks for a candidate.
            (
                ("sigs.k8s.io/cri-tools", f"v{versions.CRI_TOOLS}"),
                *((f"k8s.io/{part}", f"v0.{versions.CRI_TOOLS_KUBERNETES.split('.', 1)[1]}") for part in _CRI_TOOLS_PARTS),
            ),
            (("crictl", "sigs.k8s.io/cri-tools/cmd/crictl"),),
            f"-s -w -X sigs.k8s.io/cri-tools/pkg/version.Version=v{versions.CRI_TOOLS}",
            # The public checksum database does not know this release; these were computed from its git tag (commit ca0237b9fec5).
            versions.CRI_TOOLS_CHECKSUMS,
        ),
    )


def staging_modules(go_mod: str) -> list[str]:
    """The modules that k8s.io/kubernetes replaces by directories of its own repository; the proxy has them as modules of their own."""
    return sorted(set(re.findall(r"^(?:replace)?\s+(k8s\.io/[a-z-]+)\s+=>\s+\./staging", go_mod, flags=re.MULTILINE)))


def _go_environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}


def _build_recipe(recipe: Recipe, output: Path, wanted: set[str], progress: Progress) -> None:
    progress(f"building {' '.join(sorted(wanted))} from the Go module proxy (minutes, once)")
    work = output / f".{recipe.name}"
    work.mkdir()
    environment = _go_environment()
    go_version = run(["go", "env", "GOVERSION"]).stdout.strip().removeprefix("go")
    (work / "go.mod").write_text(f"module lab.internal/{recipe.name}\n\ngo {'.'.join(go_version.split('.')[:2])}\n")
    imports = "\n".join(f'\t_ "{package}"' for _command, package in recipe.commands)
    (work / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\nimport (\n{imports}\n)\n")
    (work / "go.sum").write_text(recipe.checksums)
    for module, version in recipe.requirements:
        run(["go", "mod", "edit", f"-require={module}@{version}"], directory=work, environment=environment)
        if module != "k8s.io/kubernetes":
            continue
        information = json.loads(
            run([*CONTAINED, "go", "mod", "download", "-json", f"{module}@{version}"], directory=work, environment=environment, timeout=1800).stdout
        )
        for staging in staging_modules(Path(information["GoMod"]).read_text()):
            run(["go", "mod", "edit", f"-replace={staging}={staging}@v0.{version.split('.', 1)[1]}"], directory=work, environment=environment)
    run([*CONTAINED, "go", "mod", "tidy", "-e"], directory=work, environment=environment, timeout=3600)
    packages = {command: package for command, package in recipe.commands if command in wanted}
    built = work / "built"
    built.mkdir()
    # All at once: go then links several of them side by side.
    run(
        [*CONTAINED, "go", "build", "-trimpath", "-ldflags", recipe.ldflags, "-o", f"{built}/", *packages.values()],
        directory=work,
        environment=environment,
        timeout=7200,
    )
    for command, package in packages.items():
        (built / program_name(package)).rename(output / command)
    shutil.rmtree(work)


def program_name(package: str) -> str:
    """What go calls the program of a package: its last element that is not a major version."""
    elements = package.split("/")
    return elements[-2] if re.fullmatch(r"v[0-9]+", elements[-1]) else elements[-1]


def _build_programs(output: Path) -> None:
    for program in ("pause", "workload", "api-front"):
        run(
            [*CONTAINED, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", output / program, f"./{program}"],
            directory=PROGRAMS,
            environment=_go_environment(),
        )


def _given() -> Path | None:
    directory = os.environ.get("LIFEBOAT_BINARIES")
    return Path(directory) if directory else None


def _given_identity(path: Path) -> str:
    status = path.stat()
    return f"{path.name} {status.st_size} {status.st_mtime_ns}"


def binaries_key() -> str:
    """What the binaries depend on."""
    given = _given()
    present = sorted(_given_identity(path) for path in given.iterdir()) if given and given.is_dir() else []
    sources = sorted(path for path in PROGRAMS.rglob("*") if path.is_file())
    chosen = (versions.KUBERNETES, versions.ETCD, versions.CRI_TOOLS, versions.CRI_TOOLS_KUBERNETES)
    return key_of(source_text(SOURCE / "binaries.py", *sources), *chosen, *present)


def binaries(cache: Cache, progress: Progress) -> Path:
    """The directory with all binaries."""

    def build(directory: Path) -> None:
        given = _given()
        for recipe in _recipes():
            wanted = {command for command, _package in recipe.commands}
            for command in sorted(wanted):
                if given and (given / command).is_file():
                    shutil.copy2(given / command, directory / command)
                    wanted.remove(command)
            if wanted:
                _build_recipe(recipe, directory, wanted, progress)
        _build_programs(directory)

    return cache.entry("binaries", binaries_key(), build)
