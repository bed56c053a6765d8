# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trait etcd-symlink: data behind a link."""

from __future__ import annotations

# As somebody does it who moves the data to another disk.
LINK = """\
set -eu
mkdir -p "$1" "$(dirname "$2")"
chmod 700 "$1"
ln -s "$1" "$2"
"""
