# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example ansible.cfg is the one that prepare_controller makes, but for where the inventory is."""

from __future__ import annotations

from pathlib import Path


def test_the_example_is_what_is_made(repository: Path) -> None:
    made = (repository / "roles/controller/templates/ansible.cfg.j2").read_text()
    assert made.count("{{ controller_root }}/") == 1
    assert (repository / "inventories/kubeadm/ansible.cfg").read_text() == made.replace("{{ controller_root }}/", "")
