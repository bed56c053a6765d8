# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab keeps things."""

from __future__ import annotations

import os
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
REPOSITORY = SOURCE.parent.parent


def cache_root() -> Path:
    """What is expensive to make and can be made again."""
    return Path(os.environ.get("LIFEBOAT_CACHE") or "~/.cache/lifeboat").expanduser().resolve()


def state_root() -> Path:
    """What the running labs of this machine are made of; one for all checkouts, because addresses are the machine's."""
    return Path(os.environ.get("LIFEBOAT_LAB_STATE") or "/var/lib/lifeboat-lab").expanduser().resolve()


def output_directory(name: str) -> Path:
    """What the lab hands to its user: inventory, kubeconfig, ssh_config, lab.json."""
    return REPOSITORY / "build" / "lab" / name
