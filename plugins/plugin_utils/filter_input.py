# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What filters are given: refused in the same words, told apart by the same rules."""

from __future__ import annotations

import ipaddress
from typing import Any, Mapping

from ansible.errors import AnsibleFilterError


def need_dictionaries(name: str, needed: str, *given: Any) -> None:
    """Refuse what is no dictionary; ``needed`` says, for people, what the filter takes."""
    for value in given:
        if not isinstance(value, Mapping):
            raise AnsibleFilterError("%s needs %s, not %s" % (name, needed, type(value).__name__))


def is_address(text: str) -> bool:
    """Whether a text is an address of the internet protocol, and no name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
