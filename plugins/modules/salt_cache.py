#!/usr/bin/python
# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: salt_cache
short_description: Have minions fill the Salt master's cache again
version_added: "0.1.0"
description:
  - A minion whose key came back out of a recovery point answers the master, but other minions do not find it in the mine until it has sent its
    data again. This module has every minion that the cache lacks send its grains, pillar and mine (C(saltutil.refresh_pillar), C(mine.update)), and
    waits until the cache has them.
  - Minions that the cache knows already are not touched.
author:
  - Lifeboat contributors (@lifeboat)
extends_documentation_fragment:
  - lifeboat.cluster.attributes
  - lifeboat.cluster.attributes.changes
  - lifeboat.cluster.inside
  - lifeboat.cluster.salt_master
  - lifeboat.cluster.salt_master.programs
options:
  ids:
    description: Accepted minions to care for. Default is all of them.
    type: list
    elements: str
  wait_seconds:
    description: How long to wait for the data of the minions that were asked.
    type: int
    default: 60
seealso:
  - module: lifeboat.cluster.salt_key_info
"""

EXAMPLES = r"""
- name: Have the minions fill the cache of a restored master
  lifeboat.cluster.salt_cache:
    cache_dir: /var/lib/misc/salt/cache/salt-master
    container: salt-master
"""

RETURN = r"""
asked:
  description: Ids that were asked to send their data, or would be.
  returned: success
  type: list
  elements: str
missing:
  description: Ids that the cache still lacks, C(data) and C(mine); in check mode as they are.
  returned: success
  type: dict
"""

from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.arguments import FILES, PROGRAMS, programs_of
from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.keys import ACCEPTED, read_keys
from ansible_collections.lifeboat.cluster.plugins.module_utils._salt.programs import lacking
from ansible_collections.lifeboat.cluster.plugins.module_utils.adapter import Call, run

SPEC: Dict[str, Any] = dict(FILES, **PROGRAMS, ids={"type": "list", "elements": "str"}, wait_seconds={"type": "int", "default": 60})


def body(call: Call) -> Dict[str, Any]:
    """Look who is lacking, and unless only asked, have them send."""
    params = call.params
    accepted = read_keys(params["pki_dir"]).by_state(ACCEPTED)
    ids = sorted(accepted if params["ids"] is None else set(accepted) & set(params["ids"]))
    missing = lacking(params["cache_dir"], ids)
    asked = sorted(set(missing["data"]) | set(missing["mine"]))
    before = "".join("%s\n" % minion_id for minion_id in asked)
    if asked and not call.check_mode:
        missing = programs_of(params).fill(params["cache_dir"], asked, params["wait_seconds"])
    return {"changed": bool(asked), "asked": asked, "missing": missing, "diff": {"before": before, "after": ""}}


def main() -> None:
    """Entry point."""
    run(SPEC, body)


if __name__ == "__main__":
    main()
