# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions the lab is made of; a change here makes every cache entry that depends on it anew."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .errors import LabError


@dataclass(frozen=True)
class Release:
    """What runs together."""

    kubernetes: str
    etcd: str
    # Whether it runs on Debian's containerd. Its kubelets from 1.36 on want more of a runtime than 1.6 knows.
    old_containerd: bool = False


# By minor release of Kubernetes, the oldest first.
RELEASES = {
    "1.34": Release("1.34.4", "3.6.16", old_containerd=True),
    "1.35": Release("1.35.4", "3.6.16", old_containerd=True),
    "1.36": Release("1.36.3", "3.6.16"),
    "1.37": Release("1.37.2", "3.7.3"),
}
# What the suites are known to pass on.
USUAL = "1.34"


def chosen(wanted: str) -> Release:
    """The release that is wanted, the usual one where nothing is. Raises LabError for one that is not known."""
    if wanted and wanted not in RELEASES:
        raise LabError("choose the release of Kubernetes", f"KUBERNETES={wanted}", f"name one of {', '.join(RELEASES)}")
    return RELEASES[wanted or USUAL]


try:
    _CHOSEN = chosen(os.environ.get("LIFEBOAT_KUBERNETES", ""))
except LabError as error:
    # Before any program has begun that could say it.
    raise SystemExit(str(error)) from None
KUBERNETES = _CHOSEN.kubernetes
ETCD = _CHOSEN.etcd
OLD_CONTAINERD = _CHOSEN.old_containerd
CRI_TOOLS = "1.34.0"
# The Kubernetes modules that crictl is built with, whatever else is: those of its own release.
CRI_TOOLS_KUBERNETES = RELEASES["1.34"].kubernetes
DEBIAN = "bookworm"
# Of the trait containerd-2, and where Debian's is too old.
CONTAINERD = "2.4.2"
# Of the trait cri-o.
CRI_O = "1.34.0"
ETCD_IMAGE_TAG = f"{ETCD}-0"
PAUSE_TAG = "3.10.1"
WORKLOAD_IMAGE = "lab.internal/workload:1"
# As people write it; containerd keeps it under its full name.
FRONT_IMAGE = "api-front:1"
KMS_IMAGE = "lab.internal/kms-plugin:1"
CRI_TOOLS_CHECKSUMS = f"""\
sigs.k8s.io/cri-tools v{CRI_TOOLS} h1:KqL9EJ+WgHtz1HR1exezm91n+o8O2uMLs/eHzHJHAWw=
sigs.k8s.io/cri-tools v{CRI_TOOLS}/go.mod h1:JyYVG0YFsly+p/hfDfmQcQBNFVHh0+BpMTn49YpasMA=
"""
