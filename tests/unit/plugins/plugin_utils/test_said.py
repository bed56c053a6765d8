# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that goes on with a recovery says everything that the operator has said, and a shell reads it as it was meant."""

from __future__ import annotations

import os
import shlex
from typing import Any, Dict

from ansible_collections.lifeboat.cluster.plugins.plugin_utils.said import command, said


def test_what_was_said_is_said_again() -> None:
    variables: Dict[str, Any] = {
        "recovery_point_id": "p1",
        "quorum_lost_source": "",
        "lifeboat_accept_damaged": ["a b", "it's"],
        "platform_mounts_may_differ": True,
        "platform_versions_may_differ": False,
        "lifeboat_signing_key": "/root/key",
        "lifeboat_identity_files": "age.key,/b.key",
        "lifeboat_allowed_signers": "allowed",
    }
    values = said({"node_to_recover": "cp3"}, variables.get)
    # Whoever goes on may stand in another directory.
    assert values.pop("lifeboat_identity_files") == [os.path.abspath("age.key"), "/b.key"]
    assert values.pop("lifeboat_allowed_signers") == os.path.abspath("allowed")
    assert values == {"node_to_recover": "cp3", "recovery_point_id": "p1", "lifeboat_accept_damaged": ["a b", "it's"], "platform_mounts_may_differ": True}
    text = command("recover_node", "shop 1", values, ["/etc/my inventory"])
    assert shlex.split(text) == [
        *("ansible-playbook", "-i", "/etc/my inventory", "lifeboat.cluster.recover_node", "-e", '{"confirm_cluster_name": "shop 1"}'),
        *("-e", "node_to_recover=cp3", "-e", "recovery_point_id=p1", "-e", '{"lifeboat_accept_damaged": ["a b", "it\'s"]}'),
        *("-e", '{"platform_mounts_may_differ": true}'),
    ]
