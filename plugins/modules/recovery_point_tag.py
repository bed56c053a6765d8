#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_point_tag
short_description: Hold a recovery point back from pruning, or release it
version_added: "0.1.0"
description:
  - Appends a signed tag to a recovery point. Tags are never changed; the newest one whose signature is believed counts.
  - A point that is tagged V(keep) is kept by M(lifeboat.cluster.recovery_point_prune) until it is tagged V(release), whatever the policy says.
  - A point whose newest verification failed is kept as evidence. A V(release) that is newer than the failure ends that too.
  - Needs O(allowed_signers). A tag that no reader would believe is not written.
  - Runs on the controller.
options:
  id:
    description: Id of the point.
    type: str
    required: true
    aliases: [recovery_point_id]
  state:
    description: Which tag the point shall have. When its newest tag says so already, nothing changes, whatever the reason then was.
    type: str
    choices: [keep, release]
    required: true
  reason:
    description: Why. Shown in each plan as long as the point is held back.
    type: str
    required: true
  signing_key:
    description: SSH private key without passphrase that signs the tag, of one of O(allowed_signers).
    type: path
    required: true
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.recovery_point_location
  - lifeboat.cluster.recovery_point_location.trust
author:
  - Lifeboat contributors (@lifeboat)
seealso:
  - module: lifeboat.cluster.recovery_point_prune
"""

EXAMPLES = r"""
- name: Keep the point that the auditors have looked at
  lifeboat.cluster.recovery_point_tag:
    location:
      path: /srv/lifeboat
    cluster_name: shop
    id: 20261120T133500Z-1a2b3c
    state: keep
    reason: audit of 2026, ticket 4711
    allowed_signers: /etc/lifeboat/allowed_signers
    signing_key: /etc/lifeboat/signing_key
"""

RETURN = r"""
id:
  description: Id of the point.
  returned: success
  type: str
  sample: 20261120T133500Z-1a2b3c
tag:
  description: The tag that counts from now on, with C(tag), C(reason), C(at), C(user) and C(controller).
  returned: success
  type: dict
tag_key:
  description: Where the new tag was stored.
  returned: when one was
  type: str
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Dict, Optional

from ansible_collections.lifeboat.cluster.plugins.module_utils import adapter
from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import signing, tags
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import TRUST_ARGUMENTS, Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import ManifestError, NameRefusedError, ObjectMissingError, SignatureError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS, open_location


def in_force(location: Location, cluster: str, point: str, trust: Trust) -> Optional[tags.Tag]:
    """The newest tag, when it is believed."""
    listed = tags.names_of(stored.key for stored in location.list(names.tags_prefix(cluster, point)))
    newest = tags.newest(listed.get(point, []))
    if newest is None:
        return None
    try:
        return tags.read_believed(location, newest, cluster, point, trust)
    except (SignatureError, ManifestError, ObjectMissingError):
        return None


def kept_until(location: Location, cluster: str, point: str) -> Optional[datetime]:
    """A tag is locked for as long as its point. Raises NoRecoveryPointError when there is none."""
    try:
        retain = catalog.read_opening(location, cluster, point).retain
    except ManifestError:
        return None
    return retain if retain > names.now() else None


def shown(tag: tags.Tag) -> Dict[str, Any]:
    """A tag for people."""
    return {name: value for name, value in asdict(tag).items() if name not in ("format", "cluster_name", "point_id")}


def body(call: adapter.Call) -> Dict[str, Any]:
    """Tag the point, unless it is so tagged already."""
    params = call.params
    cluster, point, trust = params["cluster_name"], params["id"], Trust.from_params(params)
    if trust.allowed_signers is None:
        raise catalog.unchecked("The tags of recovery point %s" % point)
    if not params["reason"].strip():
        raise NameRefusedError(
            "A tag needs a reason", found="nothing", remedy="say why the point is to be kept or released, for whoever reads the plan in a year"
        )
    location = open_location(params["location"])
    retain = kept_until(location, cluster, point)
    if location.size(names.tombstone_key(cluster, point)) is not None:
        call.warn("Recovery point %s has a tombstone: it was, or is being, pruned" % point)
    there = in_force(location, cluster, point, trust)
    if there is not None and there.tag == params["state"]:
        return {"changed": False, "id": point, "tag": shown(there), "diff": {"before": shown(there), "after": shown(there)}}
    tag = tags.new_tag(cluster, point, params["state"], params["reason"].strip())
    signature = signing.sign(b"proof", params["signing_key"], signing.TAG_NAMESPACE)
    signing.verify(b"proof", signature, signing.TAG_NAMESPACE, trust.allowed_signers, "A tag signed with this key", trust.signer)
    key = None if call.check_mode else tags.append(location, tag, params["signing_key"], retain)
    outcome: Dict[str, Any] = {"changed": True, "id": point, "tag": shown(tag), "diff": {"before": shown(there) if there else {}, "after": shown(tag)}}
    return dict(outcome, tag_key=key) if key else outcome


def main() -> None:
    """Argument spec and call."""
    adapter.run(
        dict(
            LOCATION_ARGUMENTS,
            **TRUST_ARGUMENTS,
            id={"type": "str", "required": True, "aliases": ["recovery_point_id"]},
            state={"type": "str", "choices": list(names.TAGS), "required": True},
            reason={"type": "str", "required": True},
            signing_key={"type": "path", "required": True, "no_log": False},
        ),
        body,
    )


if __name__ == "__main__":
    main()
