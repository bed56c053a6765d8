# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an OpenLDAP server keeps what it has, and how to get in."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the options that the directory modules share."""

    DOCUMENTATION = r"""
options:
  config_dir:
    description:
      - Directory of the host with the configuration (C(slapd.d)).
    type: path
    required: true
  config_dir_inside:
    description:
      - The same directory as the programs in O(container) see it. Default is O(config_dir).
    type: path
    default: ""
  suffix:
    description:
      - Suffix of the database in question.
    type: str
    required: true
  timeout_seconds:
    description:
      - Longest time for one call of a program.
    type: int
    default: 600
"""

    BIND = r"""
options:
  bind_dn:
    description:
      - DN of the directory's administrator.
    type: str
    required: true
  password_file:
    description:
      - File of the host with its password. A newline at its end is no part of the password.
    type: path
    required: true
"""

    SCRATCH = r"""
options:
  scratch_directory:
    description:
      - Directory for scratch data and the scratch server, as the programs see it. Its path has to be short, as a socket lies in it.
    type: path
    default: /var/lib/lifeboat/scratch
"""
