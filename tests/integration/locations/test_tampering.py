# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog of a real bucket in which everything was overwritten and deleted by somebody who may only write: points are used, and what was done is named."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import results
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from tests.integration.locations.places import S3Place
from tests.unit.plugins.module_utils._recovery_point.making import CLUSTER, Keys, Maker


def test_a_point_under_ransom_is_used_and_the_deed_is_named(s3: S3Place, tmp_path: Path, keys: Keys) -> None:
    maker = Maker(tmp_path, keys)
    maker.location = s3.open()
    manifest = maker.point(highest_revision=4711)
    results.append(maker.location, results.new_result(CLUSTER, manifest.id, "drill", "booted", True, "r"))
    client = s3.server.client(s3.server.environment())
    keys_of_all = [stored.key for prefix in ("points", "manifests", "results") for stored in maker.location.list(f"{CLUSTER}/{prefix}/")]
    assert len(keys_of_all) == 6
    for key in keys_of_all:
        client.put_object(Bucket=s3.bucket, Key=key, Body=b"pay")
        client.delete_object(Bucket=s3.bucket, Key=key)
    # What nobody signed takes no point out of use either.
    grave = names.tombstone_key(CLUSTER, manifest.id)
    client.put_object(Bucket=s3.bucket, Key=grave, Body=b"{}")

    found = maker.catalog()
    row = found.rows()[0]
    assert (row["id"], row["state"], row["usable"]) == (manifest.id, "tampered", True)
    assert row["overlaid"] == sorted([*keys_of_all, grave])
    assert (row["drill_verdict"], row["verified"]) == ("passed", True)
    assert found.select("latest").manifest == manifest
    assert found.high_water_revision() == 4711
