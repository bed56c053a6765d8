# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator has said to a playbook, and the command that says it again. Names of files and machines, no secrets."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, Callable, Dict, Mapping, Sequence

from ansible_collections.lifeboat.cluster.plugins.plugin_utils.given import given_list, given_path

# Variables of a recovery that a rerun needs with the same values.
OF_RECOVERIES = (
    "recovery_point_id",
    "quorum_lost_source",
    "quorum_lost_survivor",
    "confirm_missing_members",
    "lifeboat_scope",
    "lifeboat_accept_damaged",
    "lifeboat_add_encryption_keys",
    "lifeboat_identity_files",
    "lifeboat_allowed_signers",
    "lifeboat_host_names",
    "lifeboat_moved_names",
    "recovery_point_accept_unsigned",
    "recovery_point_level",
    "node_config_named",
    "platform_mounts_may_differ",
    "platform_certificates_may_be_expired",
    "platform_versions_may_differ",
    "platform_revision_slack",
)
# Ansible splits key=value at blanks, and reads quotes in it.
_PLAIN = re.compile(r"[A-Za-z0-9_.,:/@%+-]+")


def said(named: Mapping[str, Any], variable: Callable[[str], Any]) -> Dict[str, Any]:
    """By name what was said; ``named`` first, and nothing that is empty."""
    values = {**named, **{name: variable(name) for name in OF_RECOVERIES}}
    # Whoever goes on may stand in another directory.
    values["lifeboat_identity_files"] = given_path(given_list(values["lifeboat_identity_files"]))
    values["lifeboat_allowed_signers"] = given_path(values["lifeboat_allowed_signers"])
    return {name: value for name, value in values.items() if value not in (None, "", [], {}, False)}


def command(playbook: str, cluster_name: str, values: Mapping[str, Any], inventories: Sequence[str]) -> str:
    """The command that runs a playbook of this collection with these values."""
    words = ["ansible-playbook"]
    for inventory in inventories:
        words += ["-i", inventory]
    words += ["lifeboat.cluster.%s" % playbook]
    for name, value in {"confirm_cluster_name": cluster_name, **values}.items():
        words += ["-e", "%s=%s" % (name, value) if isinstance(value, str) and _PLAIN.fullmatch(value) else json.dumps({name: value})]
    return " ".join(shlex.quote(word) for word in words)
