# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a Salt master keeps what it knows."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the options of all modules that look into a Salt master's files, and of those that run its programs."""

    DOCUMENTATION = r"""
options:
  pki_dir:
    description: Directory with the keys of the master (C(master.pem), C(master.pub)) and of its minions, on the host.
    type: path
    default: /etc/salt/pki/master
  cache_dir:
    description: Directory of the master's cache, on the host.
    type: path
    default: /var/cache/salt/master
"""

    PROGRAMS = r"""
options:
  config_dir:
    description: Directory of the master's configuration, as its programs see it (C(-c)).
    type: str
    default: /etc/salt
  timeout_seconds:
    description: How long minions may take to answer.
    type: int
    default: 15
"""
