# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the programs of a service are run."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the options of all modules that run programs of a service."""

    DOCUMENTATION = r"""
options:
  container:
    description:
      - Name of the container in which the service's programs are, as the kubelet or the runtime names it.
      - Empty means that they are on the host itself.
    type: str
    default: ""
  container_runtime:
    description:
      - Program that lists containers and runs commands in them, C(docker) or one with its commands.
    type: str
    default: docker
  search_path:
    description:
      - Directories of the host that are looked through for programs before the C(PATH).
    type: list
    elements: path
    default: []
"""
