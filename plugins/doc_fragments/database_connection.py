# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module reaches a MariaDB or MySQL server, and what it is told about the schema."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the options that the database modules share."""

    DOCUMENTATION = r"""
options:
  schema:
    description:
      - Name of the schema.
    type: str
    required: true
  socket:
    description:
      - Path of the server's socket, as its programs see it.
    type: path
    required: true
  root_user:
    description:
      - Who administers the server.
    type: str
    default: root
  root_password_file:
    description:
      - File of the host with the administrator's password.
    type: path
    required: true
  timeout_seconds:
    description:
      - Longest time for one call of a program.
    type: int
    default: 600
"""

    CONTENTS = r"""
options:
  state_tables:
    description:
      - Tables that have to be there. All tables but the volatile ones are counted and compared.
    type: list
    elements: str
    required: true
  volatile_tables:
    description:
      - Tables whose structure is kept and whose rows are not.
    type: list
    elements: str
    default: []
  busy_query:
    description:
      - Query for one number. With more than V(0) something is in progress, and no backup is taken.
    type: str
    default: ""
  version_query:
    description:
      - Query for the version of the schema's structure.
    type: str
    default: ""
"""

    CREDENTIALS = r"""
options:
  users:
    description:
      - Users of the schema, each with the file of the host that holds its password.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the user.
        type: str
        required: true
      host:
        description: Host part of the user.
        type: str
        default: localhost
      password_file:
        description: File of the host with its password.
        type: path
        required: true
      privileges:
        description: What it may do in the schema, as C(GRANT) names it.
        type: list
        elements: str
        required: true
  returner_file:
    description:
      - Configuration of Salt's returner, which holds the password of one of O(users) once more.
    type: path
    default: ""
"""

    SCRATCH = r"""
options:
  scratch_directory:
    description:
      - Directory for the scratch server, as the server's programs see it. There has to be room for the whole schema.
    type: path
    default: /var/lib/lifeboat/scratch
"""
