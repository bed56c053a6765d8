# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence of a run, copied to the location while the run goes on: a controller may be a container that is thrown away."""

from __future__ import annotations

import os
from typing import List

from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.journal import Journal, locked
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location

REPORTS = ("report.html", "report.json")
# Beside the journal: how many of its segments lie in the location.
_STATE = "upload.lock"


def upload(location: Location, cluster: str, run_id: str, run_directory: str, reports: bool = False) -> List[str]:
    """Copy what the journal has gained since the last time, as its next segments, and in the end the report; returns the new keys.

    Nothing is ever rewritten, so a segment is closed before it is copied, and a report that is there stays. Many hosts may call this at once.
    """
    new: List[str] = []
    with locked(os.path.join(run_directory, _STATE)) as state:
        done = int(os.pread(state, 32, 0) or b"0")
        journal = Journal(run_directory)
        journal.close_segment()
        for path in journal.segments()[:-1][done:]:
            new += _put(location, names.run_key(cluster, run_id, os.path.basename(path)), path)
            done += 1
            os.pwrite(state, b"%020d" % done, 0)
        for name in REPORTS if reports else ():
            key = names.run_key(cluster, run_id, name)
            if location.size(key) is None:
                new += _put(location, key, os.path.join(run_directory, name))
    return new


def _put(location: Location, key: str, path: str) -> List[str]:
    with open(path, "rb") as stream:
        return [key] if location.put_new(key, stream.read()) else []
