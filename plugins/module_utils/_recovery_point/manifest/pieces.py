# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a point holds of which machine: the pieces out of which a cluster comes back."""

from __future__ import annotations

from typing import FrozenSet, Iterable, Tuple

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names

# A component, and the machine of which it is; no machine for a component of which one artifact serves the whole cluster.
Piece = Tuple[str, str]
NO_PIECES: FrozenSet[Piece] = frozenset()


def piece(component: str, machine: str) -> Piece:
    """The piece that an artifact is. A snapshot of etcd is the same whichever member gave it."""
    return component, "" if component in names.OF_THE_CLUSTER else machine


def held(manifest: Manifest) -> FrozenSet[Piece]:
    """What the point holds of the cluster; what is there to help whoever opens it is none of it."""
    return frozenset(piece(artifact.component, artifact.host) for artifact in manifest.artifacts if artifact.component not in names.KIT)


def missing(manifest: Manifest) -> FrozenSet[Piece]:
    """What it would hold if nothing were missing."""
    return frozenset(piece(lack.component, lack.host) for lack in manifest.missing)


def said(found: Iterable[Piece], most_named: int = 5) -> str:
    """Pieces of one component in words: ``pki of cp3, w1``."""
    known = sorted(found)
    machines = [machine for _component, machine in known if machine]
    more = " and %d more" % (len(machines) - most_named) if len(machines) > most_named else ""
    return known[0][0] + (" of %s%s" % (", ".join(machines[:most_named]), more) if machines else "")
