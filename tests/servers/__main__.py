# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drive the real servers, and write what was seen into rows.json and docs/locations.md. Names of servers as arguments: only those."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.servers.ceph import CephGateway
from tests.servers.real import RealServer
from tests.servers.seaweedfs import SeaweedFS
from tests.servers.story import Story, make_certificate
from tests.servers.table import PAGE, ROWS, page_with, recorded
from tests.servers.versitygw import VersityGateway

KINDS: tuple[type[RealServer], ...] = (CephGateway, SeaweedFS, VersityGateway)


def main(wanted: list[str]) -> None:
    """One server after the other."""
    rows = recorded() if ROWS.exists() else {}
    for kind in KINDS:
        if wanted and kind.name not in wanted:
            continue
        with tempfile.TemporaryDirectory(prefix="lifeboat-server-") as path, kind(Path(path) / "s3", **make_certificate(Path(path))) as server:
            rows[kind.name] = Story(server, Path(path)).facts()
            print(kind.name, json.dumps(rows[kind.name], indent=2))
    ROWS.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(page_with(rows), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
