# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine on which docs/break-glass.md is followed word for word, and recovery points to follow it with."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from tests.integration.recovery_point.servers import PATIENCE_SECONDS, Snapshot
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Maker, make_pki_files, make_tar

STOCK = [
    "age",
    "base64",
    "cat",
    "chmod",
    "cut",
    "date",
    "dirname",
    "find",
    "grep",
    "head",
    "jq",
    "mkdir",
    "rm",
    "sh",
    "sha256sum",
    "sort",
    "ssh-keygen",
    "tail",
    "tar",
    "zstd",
]


ALWAYS, FOR_A_BUCKET, FOR_A_WRONG_SUM = "sh", "sh s3", "sh s3 wrong-sum"


def blocks(repository: Path, kinds: Sequence[str] = (ALWAYS,)) -> list[str]:
    """The commands of the document, as they follow each other, of those blocks that are for these cases."""
    found = re.findall(r"^```(sh.*)\n((?:.*\n)*?)^```$", (repository / "docs" / "break-glass.md").read_text(), re.MULTILINE)
    assert {kind for kind, _commands in found} == {ALWAYS, FOR_A_BUCKET, FOR_A_WRONG_SUM}
    return [commands for kind, commands in found if kind in kinds]


class Glass:
    """A machine without Lifeboat: a location, two keys, the document, stock programs."""

    def __init__(self, directory: Path, maker: Maker, binaries: Path, repository: Path, programs: Sequence[str] = ()) -> None:
        """``programs`` are there besides STOCK."""
        self.repository = repository
        self.work = directory / "work"
        self.root = directory / "root"
        self.home = directory / "home"
        for path in (self.root, self.home, directory / "bin"):
            path.mkdir()
        for program in (*STOCK, *programs):
            found = shutil.which(program)
            assert found, f"{program} is not installed"
            (directory / "bin" / program).symlink_to(found)
        (directory / "bin" / "etcdutl").symlink_to(binaries / "etcdutl")
        self.settings = {
            "PATH": str(directory / "bin"),
            "HOME": str(self.home),
            "LOCATION": str(maker.root),
            "CLUSTER": CLUSTER,
            "IDENTITY": str(maker.keys.identity_file),
            "SIGNERS": str(maker.keys.allowed_signers),
            "WORK": str(self.work),
            "ROOT": str(self.root),
        }

    def run(self, count: int | None = None, kinds: Sequence[str] = (ALWAYS,), **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the first blocks (or all) of these kinds, as they follow each other."""
        return self.follow(self.blocks(kinds)[:count], **settings)

    def blocks(self, kinds: Sequence[str]) -> list[str]:
        """The blocks of these kinds."""
        return blocks(self.repository, kinds)

    def follow(self, commands: Sequence[str], **settings: str) -> subprocess.CompletedProcess[str]:
        """Run blocks one after the other, in an environment that holds nothing but the settings."""
        return subprocess.run(
            ["/bin/sh"],
            input="".join(commands),
            env={**self.settings, **settings},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


def make_point(maker: Maker, snapshot: Snapshot, **more: object) -> tuple[Manifest, dict[str, bytes]]:
    """A point with the snapshot and the files of a control plane node."""
    opening = maker.open()
    files = make_pki_files()
    artifacts = [
        maker.add(opening.id, "etcd", "snapshot", snapshot.content, extension="db"),
        maker.add(opening.id, "pki", "cp1", make_tar(files), inspect=True),
        maker.add(opening.id, "tools", "notes", b"for people", extension="txt"),
    ]
    ca = next(entry["fingerprint_sha256"] for entry in artifacts[1].contents["certificates"])
    manifest = maker.seal(opening.id, artifacts, etcd=snapshot.record, cluster_identity={"kube_system_uid": None, "ca_sha256": ca}, **more)
    return manifest, files
