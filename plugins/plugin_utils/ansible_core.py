# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of ansible-core; importing this file refuses one that is too old.

The check is made at import, because the other files of this directory import names that an older ansible-core does not have: its user would read an
ImportError. So this file comes before them, and imports nothing of 2.19 itself.
"""

from __future__ import annotations

import re
from typing import Tuple

from ansible.errors import AnsibleError
from ansible.release import __version__ as version

# As requires_ansible in meta/runtime.yml, of which ansible-core makes a warning only.
OLDEST = "2.19"


def check(found: str) -> None:
    """Refuse an ansible-core that cannot run this collection."""
    if _numbers(found) < _numbers(OLDEST):
        raise AnsibleError(
            "lifeboat.cluster needs ansible-core %s or newer.\n"
            "Tried: read the version of the ansible-core that runs this playbook\n"
            "Found: ansible-core %s\n"
            "What to do: install a newer one (pip install 'ansible-core>=%s', with Python 3.11 or newer). In AWX, use an execution environment with it: "
            "execution-environment.yml of the collection describes one." % (OLDEST, found, OLDEST)
        )


def _numbers(text: str) -> Tuple[int, ...]:
    """The first two numbers; what follows them, as in 2.19.0b1, is of the same release."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


check(version)
