# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a golden cluster of the product depends on."""

from __future__ import annotations

from ..cache import source_text
from ..golden import cluster_key
from ..paths import SOURCE
from ..topology import Topology
from .machines import product_key

_RECIPE = ("caasp/forming.py", "caasp/documents.py", "caasp/velum.py", "caasp/registry.py", "kubeadm.py", "yamltext.py", "golden.py", "topology.py")


def golden_key(topology: Topology) -> str:
    """The key of the finished cluster."""
    return cluster_key(topology, source_text(*(SOURCE / name for name in _RECIPE)), product_key())
