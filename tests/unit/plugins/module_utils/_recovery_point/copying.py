# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes many points out of one: the same artifacts under another id, with a manifest that is signed for it. Cheap, so nothing is synchronised."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from tests.unit.plugins.module_utils._recovery_point.making import Maker


def copy_of(maker: Maker, template: Manifest, point: str, sign: bool = True, source: Maker | None = None, **changes: Any) -> Manifest:
    """A whole point with this id; ``changes`` are fields of its manifest, ``source`` made the template if that was another."""
    there = source or maker
    for artifact in template.artifacts:
        target = maker.path(names.artifact_key(maker.cluster, point, artifact.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(there.path(names.artifact_key(maker.cluster, template.id, artifact.name)), target)
    opening = there.path(names.open_key(maker.cluster, template.id)).read_bytes().replace(template.id.encode(), point.encode())
    maker.path(names.open_key(maker.cluster, point)).write_bytes(opening)
    manifest = replace(template, id=point, open_sha256=hashlib.sha256(opening).hexdigest(), **changes)
    data = manifest.to_bytes()
    maker.path(names.manifests_prefix(maker.cluster)).mkdir(exist_ok=True)
    if sign:
        maker.path(names.signature_key(maker.cluster, point)).write_bytes(signing.sign(data, str(maker.keys.signing_key), signing.MANIFEST_NAMESPACE))
    maker.path(names.manifest_key(maker.cluster, point)).write_bytes(data)
    return manifest


def name_only(maker: Maker, point: str, content: Path) -> None:
    """What a listing shows of a whole point with this id, and nothing that is it when it is read: links to one file."""
    directory = maker.root / maker.cluster / "points" / point
    directory.mkdir()
    for target in (directory / "open.json", maker.path(names.manifest_key(maker.cluster, point)), maker.path(names.signature_key(maker.cluster, point))):
        os.link(content, target)
