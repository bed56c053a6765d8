# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An ansible-core that is too old is refused with a sentence, before anything is imported that it does not have."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleError

from ansible_collections.lifeboat.cluster.plugins.plugin_utils import ansible_core
from tests.environment import ROOT

# What ansible-core 2.18 is, as far as it matters: its version, and errors and templates without what came with 2.19.
OLD = """
import ansible.errors, ansible.parsing.vault, ansible.release, ansible.template
ansible.release.__version__ = "2.18.19"
del ansible.errors.AnsibleBrokenConditionalError, ansible.parsing.vault.EncryptedString, ansible.template.is_trusted_as_template
import ansible_collections.lifeboat.cluster.plugins.action.run_begin
"""


@pytest.mark.parametrize("version", ["2.16.19", "2.18.19", "2.18.0rc1", "1.9"])
def test_an_old_one_is_refused(version: str) -> None:
    with pytest.raises(AnsibleError, match=re.escape("needs ansible-core 2.19 or newer.\nTried: read the version") + f"(.|\n)*{re.escape(version)}(.|\n)*AWX"):
        ansible_core.check(version)


@pytest.mark.parametrize("version", ["2.19.0b1", "2.19.14", "2.21.5", "3.0"])
def test_others_pass(version: str) -> None:
    ansible_core.check(version)


def test_it_comes_before_what_an_old_one_cannot_import() -> None:
    """run_begin is the first action of every playbook."""
    tree = next(path for path in sys.path if (Path(path) / "ansible_collections" / "lifeboat").is_dir())
    done = subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {tree!r})\n{OLD}"], capture_output=True, text=True, check=False)
    assert "needs ansible-core 2.19 or newer" in done.stderr, done.stderr
    assert "ImportError" not in done.stderr


def test_the_bound_is_that_of_the_collection() -> None:
    assert yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["requires_ansible"] == f">={ansible_core.OLDEST}.0"
